/* The counting heap, arenas, size arithmetic, shapes' overflow and the table of error names. Alone, from the
 * repository's root:
 *   gcc -std=c11 -g -fsanitize=address,undefined -Isrc test/c/test_arena.c src/base/arena.c src/base/status.c
 *   src/base/tensor.c -lm \
 *     -o t && ./t */
#include <string.h>

#include "base/arena.h"
#include "check.h"
#include "base/status.h"
#include "base/tensor.h"

static int aligned(const void *pointer, size_t to) { return pointer && (uintptr_t)pointer % to == 0; }

static void test_heap_counts(void) {
  tsr_heap heap = {0};
  char *blocks[100];
  size_t sum = 0;
  for (size_t i = 0; i < 100; i++) {
    blocks[i] = tsr_heap_alloc(&heap, i * 37);
    CHECK(aligned(blocks[i], 64));
    memset(blocks[i], (int)i, i * 37); /* all of it is ours: the sanitizer's part */
    sum += i * 37;
    CHECK_INT(heap.in_use, sum);
  }
  CHECK_INT(heap.peak, sum);
  for (size_t i = 0; i < 100; i += 2) {
    tsr_heap_free(&heap, blocks[i]);
    sum -= i * 37;
    CHECK_INT(heap.in_use, sum);
  }
  int kept = 1;
  for (size_t i = 1; i < 100; i += 2)
    for (size_t b = 0; b < i * 37; b++) kept &= blocks[i][b] == (char)i;
  CHECK(kept);
  for (size_t i = 1; i < 100; i += 2) tsr_heap_free(&heap, blocks[i]);
  tsr_heap_free(&heap, NULL);
  CHECK_INT(heap.in_use, 0);
  CHECK_INT(heap.peak, 37 * 99 * 100 / 2); /* the peak stays */
}

static void test_heap_calloc(void) {
  tsr_heap heap = {0};
  for (int round = 0; round < 3; round++) { /* memory that malloc gives back dirty must be zero again */
    unsigned char *block = tsr_heap_calloc(&heap, 77, 13);
    int zero = 1;
    for (size_t i = 0; i < 77 * 13; i++) zero &= block[i] == 0;
    CHECK(zero && aligned(block, 64));
    CHECK_INT(heap.in_use, 77 * 13);
    memset(block, 0xee, 77 * 13);
    tsr_heap_free(&heap, block);
  }
  CHECK(!tsr_heap_calloc(&heap, SIZE_MAX / 2, 3));
  CHECK(!tsr_heap_calloc(&heap, (size_t)1 << (sizeof(size_t) * 4), (size_t)1 << (sizeof(size_t) * 4))); /* wraps to 0 */
  CHECK_INT(heap.in_use, 0);
}

static void test_heap_realloc(void) {
  tsr_heap heap = {0};
  char *block = tsr_heap_realloc(&heap, NULL, 10);
  CHECK(aligned(block, 64));
  memcpy(block, "123456789", 10);
  block = tsr_heap_realloc(&heap, block, 5000);
  CHECK(aligned(block, 64));
  CHECK_TEXT(block, "123456789");
  CHECK_INT(heap.in_use, 5000);
  memset(block + 10, 1, 4990);
  block = tsr_heap_realloc(&heap, block, 4);
  CHECK(aligned(block, 64) && !memcmp(block, "1234", 4));
  CHECK_INT(heap.in_use, 4);
  heap.limit = 100;
  CHECK(!tsr_heap_realloc(&heap, block, 101)); /* the old block is untouched */
  CHECK(!memcmp(block, "1234", 4));
  CHECK_INT(heap.in_use, 4);
  CHECK(!tsr_heap_realloc(&heap, block, SIZE_MAX));
  tsr_heap_free(&heap, block);
  CHECK_INT(heap.in_use, 0);
}

static void test_heap_limit(void) {
  tsr_heap heap = {.limit = 1000};
  void *a = tsr_heap_alloc(&heap, 600);
  CHECK(a && !tsr_heap_alloc(&heap, 401));
  CHECK_INT(heap.in_use, 600);
  void *b = tsr_heap_alloc(&heap, 400); /* exactly the limit */
  CHECK(b && !tsr_heap_alloc(&heap, 1));
  CHECK_INT(heap.peak, 1000);
  tsr_heap_free(&heap, a);
  CHECK(!tsr_heap_alloc(&heap, SIZE_MAX) && !tsr_heap_alloc(&heap, SIZE_MAX - 1));
  CHECK(!tsr_heap_alloc(&heap, SIZE_MAX - 400)); /* in_use + bytes must not wrap below the limit */
  a = tsr_heap_alloc(&heap, 600);
  CHECK(a != NULL);
  tsr_heap_free(&heap, a);
  tsr_heap_free(&heap, b);
  tsr_heap unlimited = {0};
  CHECK(!tsr_heap_alloc(&unlimited, SIZE_MAX) && !tsr_heap_alloc(&unlimited, SIZE_MAX - 64));
  CHECK_INT(unlimited.in_use, 0);
}

static void test_fail_after(void) {
  for (long after = 1; after < 6; after++) {
    tsr_heap heap = {.fail_after = after};
    void *blocks[8];
    for (long i = 0; i < 8; i++) {
      blocks[i] = i % 2 ? tsr_heap_calloc(&heap, 1, 8) : tsr_heap_alloc(&heap, 8);
      CHECK((blocks[i] != NULL) == (i + 1 < after)); /* the one that reaches 0 and all later ones fail */
    }
    CHECK(!tsr_heap_realloc(&heap, blocks[0], 16));
    for (int i = 0; i < 8; i++) tsr_heap_free(&heap, blocks[i]);
    CHECK_INT(heap.in_use, 0);
    heap.fail_after = 0; /* off again */
    void *block = tsr_heap_alloc(&heap, 8);
    CHECK(block != NULL);
    tsr_heap_free(&heap, block);
  }
}

static void test_arena(void) {
  tsr_heap heap = {0};
  tsr_arena arena = {.heap = &heap};
  unsigned char *parts[600];
  uint64_t seed = 3;
  size_t sizes[600];
  for (int i = 0; i < 600; i++) { /* some larger than a block of the arena */
    sizes[i] = i % 97 == 96 ? 40000 + (size_t)i : check_random(&seed) % 300;
    parts[i] = tsr_arena_alloc(&arena, sizes[i]);
    CHECK(aligned(parts[i], 16));
    int zero = 1;
    for (size_t b = 0; b < sizes[i]; b++) zero &= parts[i][b] == 0;
    CHECK(zero);
    memset(parts[i], i & 255, sizes[i]);
  }
  int kept = 1; /* no part overlaps another */
  for (int i = 0; i < 600; i++)
    for (size_t b = 0; b < sizes[i]; b++) kept &= parts[i][b] == (i & 255);
  CHECK(kept);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
  tsr_arena_free(&arena); /* empty is fine, and it is usable afterwards */
  CHECK_TEXT(tsr_arena_copy_text(&arena, "vit-like", 3), "vit");
  CHECK_TEXT(tsr_arena_copy_text(&arena, "", 0), "");
  CHECK(heap.in_use > 0);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

static void test_arena_growth(void) {
  tsr_heap heap = {0};
  tsr_arena arena = {.heap = &heap};
  enum { COUNT = 10000, BYTES = 48 };
  for (int i = 0; i < COUNT; i++) CHECK(tsr_arena_alloc(&arena, BYTES) != NULL);
  CHECK(heap.in_use >= COUNT * BYTES && heap.in_use < COUNT * BYTES * 11 / 10); /* small things cost little more */
  size_t before = heap.in_use;
  CHECK(!tsr_arena_alloc(&arena, SIZE_MAX) && !tsr_arena_alloc(&arena, SIZE_MAX - 15));
  CHECK(!tsr_arena_copy_text(&arena, "", SIZE_MAX));
  heap.fail_after = 1;
  CHECK(!tsr_arena_alloc(&arena, 100000)); /* out of memory leaves the arena as it was */
  heap.fail_after = 0;
  CHECK_INT(heap.in_use, before);
  CHECK(tsr_arena_alloc(&arena, 100000) != NULL);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

static void test_sizes(void) {
  int overflow = 0;
  CHECK(tsr_size_mul(6, 7, &overflow) == 42 && tsr_size_add(6, 7, &overflow) == 13);
  CHECK(tsr_size_mul(0, SIZE_MAX, &overflow) == 0 && tsr_size_mul(SIZE_MAX, 0, &overflow) == 0);
  CHECK(tsr_size_mul(SIZE_MAX, 1, &overflow) == SIZE_MAX && tsr_size_add(SIZE_MAX, 0, &overflow) == SIZE_MAX);
  CHECK(tsr_size_mul(SIZE_MAX / 3, 3, &overflow) == SIZE_MAX / 3 * 3);
  CHECK_INT(overflow, 0);
  CHECK(tsr_size_mul(SIZE_MAX / 3 + 1, 3, &overflow) == 0 && overflow);
  CHECK(tsr_size_add(1, 1, &overflow) == 2 && overflow); /* sticky */
  overflow = 0;
  CHECK(tsr_size_add(SIZE_MAX, 1, &overflow) == 0 && overflow);
  overflow = 0;
  size_t half = (size_t)1 << (sizeof(size_t) * 4);
  CHECK(tsr_size_mul(half, half, &overflow) == 0 && overflow);
}

static void test_shape_counts(void) {
  int overflow = 0;
  tsr_shape scalar = tsr_shape_of(0), tokens = tsr_shape_of(3, 1, 65, 256), none = tsr_shape_of(2, 0, 5);
  char text[TSR_SHAPE_TEXT];
  CHECK_INT(tsr_shape_count(&scalar, &overflow), 1);
  CHECK_INT(tsr_shape_count(&tokens, &overflow), 65 * 256);
  CHECK_INT(tsr_shape_count(&none, &overflow), 0);
  CHECK_TEXT(tsr_shape_print(&tokens, text), "[1,65,256]");
  CHECK_TEXT(tsr_shape_print(&scalar, text), "[]");
  CHECK_INT(overflow, 0);
  tsr_shape most = tsr_shape_of(2, 1, INT32_MAX), wide = tsr_shape_of(2, 65536, 32768), negative = tsr_shape_of(1, -1);
  CHECK_INT(tsr_shape_count(&most, &overflow), INT32_MAX);
  CHECK_INT(overflow, 0);
  CHECK(tsr_shape_count(&wide, &overflow) == 0 && overflow);
  overflow = 0;
  CHECK(tsr_shape_count(&negative, &overflow) == 0 && overflow);
  tsr_shape wraps = tsr_shape_of(6, 65536, 65536, 65536, 65536, 65536, 65536);
  overflow = 0;
  CHECK(tsr_shape_count(&wraps, &overflow) == 0 && overflow);
  tsr_shape longest = tsr_shape_of(6, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN);
  CHECK_INT(strlen(tsr_shape_print(&longest, text)), 6 * 11 + 5 + 2); /* the longest text fits */
}

/* The names that users see and the stage each belongs to, as design and documents list them. */
static void test_status_table(void) {
  static const struct {
    tsr_status code;
    const char *name, *stage;
  } rows[] = {
      {TSR_OK, "OK", "none"},
      {TSR_ERR_ARGUMENT, "ERR_ARGUMENT", "call"},
      {TSR_ERR_SHAPE, "ERR_SHAPE", "call"},
      {TSR_ERR_DISPOSED, "ERR_DISPOSED", "call"},
      {TSR_ERR_FETCH_TRUNCATED, "ERR_FETCH_TRUNCATED", "fetch"},
      {TSR_ERR_FETCH_CONTENT_TYPE, "ERR_FETCH_CONTENT_TYPE", "fetch"},
      {TSR_ERR_INTEGRITY, "ERR_INTEGRITY", "fetch"},
      {TSR_ERR_MODEL_HEADER, "ERR_MODEL_HEADER", "model"},
      {TSR_ERR_MODEL_DUPLICATE_KEY, "ERR_MODEL_DUPLICATE_KEY", "model"},
      {TSR_ERR_MODEL_DTYPE, "ERR_MODEL_DTYPE", "model"},
      {TSR_ERR_MODEL_OFFSETS, "ERR_MODEL_OFFSETS", "model"},
      {TSR_ERR_MODEL_OVERFLOW, "ERR_MODEL_OVERFLOW", "model"},
      {TSR_ERR_MODEL_TENSOR_MISSING, "ERR_MODEL_TENSOR_MISSING", "model"},
      {TSR_ERR_MODEL_TENSOR_SHAPE, "ERR_MODEL_TENSOR_SHAPE", "model"},
      {TSR_ERR_CONFIG, "ERR_CONFIG", "model"},
      {TSR_ERR_IMAGE_FORMAT, "ERR_IMAGE_FORMAT", "image"},
      {TSR_ERR_IMAGE_CORRUPT, "ERR_IMAGE_CORRUPT", "image"},
      {TSR_ERR_IMAGE_TOO_LARGE, "ERR_IMAGE_TOO_LARGE", "image"},
      {TSR_ERR_OUT_OF_MEMORY, "ERR_OUT_OF_MEMORY", "memory"},
      {TSR_ERR_WASM_ARCH, "ERR_WASM_ARCH", "environment"},
  };
  CHECK_INT(sizeof rows / sizeof *rows, TSR_STATUS_COUNT); /* a new code needs its row here */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK_TEXT(tsr_status_name(rows[i].code), rows[i].name);
    CHECK_TEXT(tsr_status_stage(rows[i].code), rows[i].stage);
  }
  CHECK_TEXT(tsr_status_name(TSR_STATUS_COUNT), "ERR_UNKNOWN");
  CHECK_TEXT(tsr_status_name((tsr_status)-1), "ERR_UNKNOWN");
  CHECK_TEXT(tsr_status_stage((tsr_status)-1), "none");
}

static void test_sticky_error(void) {
  tsr_error err = {0};
  char long_text[2000];
  CHECK_INT(tsr_error_set(&err, TSR_ERR_SHAPE, "n is %d", 3), TSR_ERR_SHAPE);
  CHECK_INT(tsr_error_set(&err, TSR_ERR_CONFIG, "later"), TSR_ERR_SHAPE); /* the first failure stands */
  CHECK_TEXT(err.message, "n is 3");
  CHECK_INT(tsr_error_set(NULL, TSR_ERR_CONFIG, "nobody listens"), TSR_ERR_CONFIG);
  tsr_error_clear(&err);
  CHECK(err.code == TSR_OK && !err.message[0]);
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = 0;
  tsr_error_set(&err, TSR_ERR_CONFIG, "%s", long_text);
  CHECK_INT(strlen(err.message), TSR_MESSAGE_BYTES - 1);
}

static void test_dtypes(void) {
  CHECK_TEXT(tsr_dtype_name(TSR_DTYPE_F8_E4M3), "F8_E4M3");
  CHECK(tsr_dtype_bytes(TSR_DTYPE_BOOL) == 1 && tsr_dtype_bytes(TSR_DTYPE_BF16) == 2);
  CHECK(tsr_dtype_bytes(TSR_DTYPE_F32) == 4 && tsr_dtype_bytes(TSR_DTYPE_U64) == 8);
  CHECK(tsr_dtype_bytes(TSR_DTYPE_COUNT) == 0 && !strcmp(tsr_dtype_name(TSR_DTYPE_COUNT), "?"));
}

int main(void) {
  test_heap_counts();
  test_heap_calloc();
  test_heap_realloc();
  test_heap_limit();
  test_fail_after();
  test_arena();
  test_arena_growth();
  test_sizes();
  test_shape_counts();
  test_status_table();
  test_sticky_error();
  test_dtypes();
  return check_done("arena");
}
