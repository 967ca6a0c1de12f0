/* The counting heap and the bump arenas; see arena.h. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

enum { TSR_ALIGN = 64, TSR_ARENA_BLOCK_BYTES = 16 * 1024 };

/* Before each block lie at least 64 bytes, whose last words hold the pointer of malloc and the size of the block. */
typedef struct tsr_block_head {
  void *base;
  size_t bytes;
} tsr_block_head;

static tsr_block_head *head_of(void *block) { return (tsr_block_head *)((char *)block - sizeof(tsr_block_head)); }

size_t tsr_size_mul(size_t a, size_t b, int *overflow) {
  if (b && a > SIZE_MAX / b) {
    *overflow = 1;
    return 0;
  }
  return a * b;
}

size_t tsr_size_add(size_t a, size_t b, int *overflow) {
  if (a > SIZE_MAX - b) {
    *overflow = 1;
    return 0;
  }
  return a + b;
}

static int refused(tsr_heap *heap, size_t bytes) {
  if (heap->fail_after < 0) return 1;
  if (heap->fail_after > 0 && --heap->fail_after == 0) {
    heap->fail_after = -1;
    return 1;
  }
  if (bytes > SIZE_MAX - 2 * TSR_ALIGN) return 1;
  return heap->limit && (bytes > heap->limit || heap->in_use > heap->limit - bytes);
}

void *tsr_heap_alloc(tsr_heap *heap, size_t bytes) {
  if (refused(heap, bytes)) return NULL;
  char *base = malloc(bytes + 2 * TSR_ALIGN);
  if (!base) return NULL;
  char *block = (char *)(((uintptr_t)base + 2 * TSR_ALIGN - 1) & ~(uintptr_t)(TSR_ALIGN - 1));
  *head_of(block) = (tsr_block_head){base, bytes};
  heap->in_use += bytes;
  if (heap->in_use > heap->peak) heap->peak = heap->in_use;
  return block;
}

void *tsr_heap_calloc(tsr_heap *heap, size_t count, size_t size) {
  int overflow = 0;
  size_t bytes = tsr_size_mul(count, size, &overflow);
  void *block = overflow ? NULL : tsr_heap_alloc(heap, bytes);
  if (block) memset(block, 0, bytes);
  return block;
}

void *tsr_heap_realloc(tsr_heap *heap, void *block, size_t bytes) {
  if (!block) return tsr_heap_alloc(heap, bytes);
  void *fresh = tsr_heap_alloc(heap, bytes);
  if (!fresh) return NULL;
  size_t old = head_of(block)->bytes;
  memcpy(fresh, block, old < bytes ? old : bytes);
  tsr_heap_free(heap, block);
  return fresh;
}

void tsr_heap_free(tsr_heap *heap, void *block) {
  if (!block) return;
  heap->in_use -= head_of(block)->bytes;
  free(head_of(block)->base);
}

struct tsr_arena_block {
  tsr_arena_block *next;
  size_t used, capacity; /* bytes after this head */
};

enum { TSR_ARENA_HEAD = (sizeof(tsr_arena_block) + 15) & ~15 };

void *tsr_arena_alloc(tsr_arena *arena, size_t bytes) {
  if (bytes > SIZE_MAX / 2) return NULL;
  bytes = (bytes + 15) & ~(size_t)15;
  tsr_arena_block *block = arena->blocks;
  if (!block || block->capacity - block->used < bytes) {
    size_t capacity = bytes > TSR_ARENA_BLOCK_BYTES ? bytes : TSR_ARENA_BLOCK_BYTES;
    block = tsr_heap_alloc(arena->heap, TSR_ARENA_HEAD + capacity);
    if (!block) return NULL;
    *block = (tsr_arena_block){arena->blocks, 0, capacity};
    arena->blocks = block;
  }
  char *result = (char *)block + TSR_ARENA_HEAD + block->used;
  block->used += bytes;
  return memset(result, 0, bytes);
}

char *tsr_arena_copy_text(tsr_arena *arena, const char *text, size_t length) {
  char *copy = length < SIZE_MAX ? tsr_arena_alloc(arena, length + 1) : NULL;
  if (copy) memcpy(copy, text, length);
  return copy;
}

void tsr_arena_free(tsr_arena *arena) {
  while (arena->blocks) {
    tsr_arena_block *next = arena->blocks->next;
    tsr_heap_free(arena->heap, arena->blocks);
    arena->blocks = next;
  }
}
