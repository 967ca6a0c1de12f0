/* The only file that includes stb_image, for its JPEG decoder and its inflater. stb_image 2.30 is by Sean Barrett, in
 * the public domain; it is found through the include path and not copied here. Its PNG reader is not compiled, because
 * it ignores CRCs, overflows sizes of 16-bit images, reads past short palettes and keeps three copies of the pixels;
 * png.c reads PNG.
 *
 * This is the one exception to "no globals": stb's allocation hooks have no user pointer, so tsr_stb_jpeg sets a
 * thread-local variable to the heap of the running call, and clears it. A wasm build without threads makes it a plain
 * static, which is as good there. */
#include "guard.h"

#include <limits.h>
#include <string.h>

typedef struct stb_call {
  tsr_heap *heap;
  size_t before, budget; /* heap->in_use when the call began; bytes that the call may use in addition */
  int out_of_memory, over_budget;
} stb_call;

static _Thread_local stb_call *stb_current;

/* Memory is zeroed, because stb does not write the pixels of blocks that it skips, and those must not be old memory. */
static void *stb_hook_alloc(size_t bytes) {
  stb_call *call = stb_current;
  if (bytes > call->budget || call->heap->in_use - call->before > call->budget - bytes) {
    call->over_budget = 1;
    return NULL;
  }
  void *block = tsr_heap_calloc(call->heap, 1, bytes);
  if (!block) call->out_of_memory = 1;
  return block;
}

static void *stb_hook_realloc(void *block, size_t old_bytes, size_t bytes) {
  void *fresh = stb_hook_alloc(bytes);
  if (!fresh || !block) return fresh;
  memcpy(fresh, block, old_bytes < bytes ? old_bytes : bytes);
  tsr_heap_free(stb_current->heap, block);
  return fresh;
}

static void stb_hook_free(void *block) { tsr_heap_free(stb_current->heap, block); }

#define STBI_MALLOC(bytes) stb_hook_alloc(bytes)
#define STBI_REALLOC_SIZED(block, old_bytes, bytes) stb_hook_realloc(block, old_bytes, bytes)
#define STBI_FREE(block) stb_hook_free(block)
#define STBI_ASSERT(condition) ((void)0) /* library code never aborts; the fuzzer finds memory errors */
#define STBI_ONLY_JPEG
#define STBI_SUPPORT_ZLIB
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_SIMD /* native tests and sanitizers run the code that wasm runs */
#define STBI_MAX_DIMENSIONS 8192
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION

/* Broken files can overflow the sums of the inverse DCT. The sums wrap on every machine this runs on, and the overflow
 * only changes pixel values, so the sanitizer ignores it instead of a slower transform avoiding it. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("signed-integer-overflow"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("wrapv")
#endif

/* Not popped after the include, because gcc reports unused functions at the end of the file. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#include <stb_image.h>
#pragma GCC diagnostic pop

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

_Static_assert(STBI_MAX_DIMENSIONS == TSR_IMAGE_MAX_SIDE, "stb and the guard agree on the largest side");
_Static_assert(TSR_IMAGE_MAX_FILE_BYTES < INT_MAX, "stb takes sizes as int");

/* The bytes that stb may use. Per pixel, with sides padded to whole blocks: 4 planes, 4 planes of 16-bit coefficients,
 * 3 bytes of output. */
static size_t stb_jpeg_budget(const tsr_image_info *info) {
  return 16 * (size_t)(info->width + 64) * (size_t)(info->height + 64) + (256u << 10);
}

tsr_status tsr_stb_jpeg(tsr_heap *heap, tsr_error *err, const uint8_t *bytes, size_t n, const tsr_image_info *info,
                        tsr_image *out) {
  stb_call call = {.heap = heap, .before = heap->in_use, .budget = stb_jpeg_budget(info)};
  stb_current = &call;
  int width = 0, height = 0;
  uint8_t *pixels = stbi_load_from_memory(bytes, (int)n, &width, &height, NULL, 3);
  stb_current = NULL;
  if (pixels && width == info->width && height == info->height) {
    *out = (tsr_image){pixels, width, height, 3};
    return TSR_OK;
  }
  tsr_heap_free(heap, pixels);
  if (call.out_of_memory)
    return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                         "no memory to decode a %d x %d JPEG (%zu bytes in use); give a smaller image", info->width,
                         info->height, heap->in_use);
  const char *reason = call.over_budget ? "it needs more memory than its size allows" : stbi_failure_reason();
  return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                       "the %d x %d JPEG cannot be decoded: %s; save it again or fetch it anew", info->width,
                       info->height, reason ? reason : "unknown reason");
}

/* Some files have more pixel data than their size needs, and all decoders read them. There stb stops with "output
 * buffer limit". Because one step writes at most 65535 bytes, with the slack all `needed` bytes are written by then. */
const char *tsr_stb_inflate(const uint8_t *in, size_t n, uint8_t *out, size_t capacity, size_t needed) {
  if (capacity > INT_MAX || n > INT_MAX) return "too much data";
  int got = stbi_zlib_decode_buffer((char *)out, (int)capacity, (const char *)in, (int)n);
  if (got < 0) {
    const char *reason = stbi_failure_reason();
    if (reason && !strcmp(reason, "output buffer limit") && capacity >= needed + TSR_INFLATE_SLACK) return NULL;
    return reason ? reason : "bad block type";
  }
  return (size_t)got < needed ? "not enough pixels" : NULL;
}
