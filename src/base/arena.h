/* All memory allocation of the core: a heap that counts bytes, and arenas on top of it.
 *
 *   tsr_heap heap = {0};
 *   tsr_arena arena = {.heap = &heap};
 *   char *s = tsr_arena_copy_text(&arena, "vit", 3);
 *   tsr_arena_free(&arena);            // heap.in_use is what it was before
 *
 * Heap: blocks that are freed one by one (packed weights, images). Arena: many small objects that are freed together
 * (parsed JSON, graph nodes, names). Every heap block is aligned to 64 bytes (a cache line; SIMD needs 16).
 * All functions return NULL when memory is out or the limit is reached, and never abort; callers report
 * TSR_ERR_OUT_OF_MEMORY. Not thread-safe, because worker threads never allocate. */
#ifndef TSR_BASE_ARENA_H
#define TSR_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct tsr_heap {
  size_t in_use;   /* bytes allocated and not yet freed */
  size_t peak;     /* highest in_use so far */
  size_t limit;    /* in_use may not exceed this many bytes; 0: no limit */
  long fail_after; /* for tests: if > 0, allocations count it down; the one that reaches 0 and all later ones fail */
} tsr_heap;

/* `bytes` of uninitialised memory, 64-byte aligned; bytes 0 gives a valid pointer. NULL: out of memory. */
void *tsr_heap_alloc(tsr_heap *heap, size_t bytes);
/* count * size bytes of zeroed memory, 64-byte aligned. NULL: out of memory, or the product overflows. */
void *tsr_heap_calloc(tsr_heap *heap, size_t count, size_t size);
/* Grows or shrinks `block` and keeps its content; block NULL allocates. NULL: out of memory, the old block is
 * unchanged. */
void *tsr_heap_realloc(tsr_heap *heap, void *block, size_t bytes);
/* Frees a block of this heap; NULL is allowed. */
void tsr_heap_free(tsr_heap *heap, void *block);

typedef struct tsr_arena_block tsr_arena_block;
typedef struct tsr_arena {
  tsr_heap *heap;
  tsr_arena_block *blocks; /* newest first */
} tsr_arena;

/* `bytes` of zeroed memory, 16-byte aligned, freed with the arena. NULL: out of memory. */
void *tsr_arena_alloc(tsr_arena *arena, size_t bytes);
/* A copy of `length` bytes of `text` with a terminating 0. NULL: out of memory. */
char *tsr_arena_copy_text(tsr_arena *arena, const char *text, size_t length);
/* Frees everything in the arena; it is empty and usable afterwards. */
void tsr_arena_free(tsr_arena *arena);

/* a * b and a + b, or 0 with *overflow set to 1 when the result does not fit size_t. They never set *overflow to 0, so
 * one flag serves a chain of calls. */
size_t tsr_size_mul(size_t a, size_t b, int *overflow);
size_t tsr_size_add(size_t a, size_t b, int *overflow);

#endif
