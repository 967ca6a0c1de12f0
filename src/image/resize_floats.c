/* Resizing without rounding to 8 bits, with the weights of resize.c: each row of the result is one pass down, over as
 * many rows of the image as it sums, and one across. */
#include "resize.h"

#include <string.h>

void *tsr_resize_floats(tsr_heap *heap, const tsr_image *image, int width, int height, tsr_filter filter,
                        const float box[4], tsr_window window) {
  tsr_axis ax = {0}, ay = {0};
  int channels = image->channels, row = image->width * channels;
  int32_t *sums = tsr_heap_alloc(heap, (size_t)row * sizeof *sums);
  float *out = NULL, *to;
  if (sums && tsr_axis_plan(heap, image->width, box[0], box[2], width, window.x, window.width, filter, &ax) &&
      tsr_axis_plan(heap, image->height, box[1], box[3], height, window.y, window.height, filter, &ay))
    out = tsr_heap_alloc(heap, (size_t)window.width * (size_t)window.height * (size_t)channels * sizeof *out);
  to = out;
  for (int y = 0; out && y < window.height; y++) {
    memset(sums, 0, (size_t)row * sizeof *sums);
    for (int k = 0; k < ay.used[y]; k++) {
      const uint8_t *from = image->pixels + (size_t)(ay.start[y] + k) * (size_t)row;
      int32_t weight = ay.weights[y * ay.taps + k];
      for (int i = 0; i < row; i++) sums[i] += from[i] * weight;
    }
    for (int i = 0; i < window.width * channels; i++) {
      const int32_t *from = sums + ax.start[i / channels] * channels + i % channels;
      double sum = 0;
      for (int k = 0; k < ax.used[i / channels]; k++)
        sum += (double)from[k * channels] * ax.weights[i / channels * ax.taps + k];
      *to++ = (float)(sum / ((double)(1 << TSR_WEIGHT_BITS) * (1 << TSR_WEIGHT_BITS)));
    }
  }
  tsr_heap_free(heap, sums);
  tsr_axis_free(heap, &ax);
  tsr_axis_free(heap, &ay);
  return out;
}
