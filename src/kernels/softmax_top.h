/* The largest number of a row, with which every kernel of softmax begins. */
#ifndef TSR_KERNELS_SOFTMAX_TOP_H
#define TSR_KERNELS_SOFTMAX_TOP_H

#include "simd.h"

#include <math.h>

/* The largest factor * x of a row. */
static float tsr_top_of(const float *x, int n, tsr_f32x4 factor) {
  tsr_f32x4 max = tsr_f32x4_splat(-INFINITY), other = max;
  int j = 0;
  for (; j + 8 <= n; j += 8) {
    max = tsr_f32x4_max(max, tsr_f32x4_mul(tsr_f32x4_load(x + j), factor));
    other = tsr_f32x4_max(other, tsr_f32x4_mul(tsr_f32x4_load(x + j + 4), factor));
  }
  max = tsr_f32x4_max(max, other);
  for (; j < n; j += 4) max = tsr_f32x4_max(max, tsr_f32x4_mul(tsr_f32x4_load_part(x + j, n - j, x[j]), factor));
  return tsr_f32x4_highest(max);
}

#endif
