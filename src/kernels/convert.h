/* The quantization of one weight, for the reference and the SIMD conversions. */
#ifndef TSR_KERNELS_CONVERT_H
#define TSR_KERNELS_CONVERT_H

#include "gemm_q8.h"

/* The scale of a row of weights (kernels.h has the formula). Infinities count as FLT_MAX; the caller leaves NaN out.
 * `pairs` / 256 leaves room for four roundings below TSR_Q8_PAIRS. */
static inline float tsr_weight_scale(float most, float pairs) {
  float scale = (most > FLT_MAX ? FLT_MAX : most) / TSR_Q8_MAX;
  float wide = (pairs > FLT_MAX ? FLT_MAX : pairs) / (TSR_Q8_PAIRS - 2);
  if (wide > scale) scale = wide;
  return scale == 0 ? 1 : scale;
}

static inline int8_t tsr_weight_value(float w, float scale) {
  float ratio = w / scale; /* a division, as in the exporters, because w * (1 / scale) rounds some halves differently */
  if (ratio != ratio) return 0;
  if (ratio > TSR_Q8_MAX) ratio = TSR_Q8_MAX; /* infinities, and subnormal scales */
  if (ratio < -TSR_Q8_MAX) ratio = -TSR_Q8_MAX;
  return (int8_t)tsr_round_even(ratio);
}

#endif
