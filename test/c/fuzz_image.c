/* libFuzzer entry: any bytes give an image or an error, no leak, and stay within the heap's limit. Alone:
 *
 *   clang-19 -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION \
 *       -Isrc -I/usr/include/stb -o /tmp/fuzz_image src/base/status.c src/base/arena.c $(ls src/image/[a-z]*.c) \
 *       test/c/fuzz_image.c -lm
 *   /tmp/fuzz_image -max_total_time=60 -max_len=20000 /tmp/corpus test/golden/image
 *
 * The define switches PNG checksums off (src/image/guard.c), which a fuzzer cannot guess. */
#include <stdlib.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  tsr_heap heap = {.limit = 16 << 20};
  tsr_error err = {0};
  tsr_image image = {0};
  tsr_status status = tsr_image_decode(&heap, &err, data, n, &image);
  if ((status == TSR_OK) != (image.pixels != NULL) || status != err.code) abort();
  if (status != TSR_OK && heap.in_use) abort();
  if (status == TSR_OK) {
    tsr_image_spec spec = {16, 16, 1, TSR_FILTER_BICUBIC, TSR_FIT_CROP, 0.9f, {0.5f}, {0.5f}};
    float pixels[16 * 16];
    if (tsr_image_preprocess(&heap, NULL, &image, &spec, pixels) == TSR_ERR_ARGUMENT) abort();
  }
  tsr_image_free(&heap, &image);
  if (heap.in_use) abort();
  return 0;
}
