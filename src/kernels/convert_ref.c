/* The widening of half floats and the quantization of weights in portable C. */
#include "convert.h"

#include <math.h>

static float from_bits(uint32_t bits) {
  float y;
  memcpy(&y, &bits, sizeof y);
  return y;
}

/* A half float has 1 bit of sign, 5 of exponent (bias 15) and 10 of mantissa. */
static float from_f16(uint32_t h) {
  uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | mantissa << 13); /* infinity, NaN with its payload */
  if (exponent) return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
  float small = (float)mantissa * 0x1p-24f; /* zero and subnormal, exact */
  return sign ? -small : small;
}

void tsr_k_f16_to_f32_ref(float *y, const void *x, int n) {
  for (int i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, (const char *)x + 2 * (size_t)i, sizeof h);
    y[i] = from_f16(h);
  }
}

void tsr_k_bf16_to_f32_ref(float *y, const void *x, int n) {
  for (int i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, (const char *)x + 2 * (size_t)i, sizeof h);
    y[i] = from_bits((uint32_t)h << 16); /* bf16 is the upper half of an f32 */
  }
}

static float part(const float *w, int p, int k, float sign) { return p < k && sign * w[p] > 0 ? sign * w[p] : 0; }

static float scale_of(const float *w, int k) {
  float most = 0, pairs = 0;
  for (int p = 0; p < k; p++)
    if (fabsf(w[p]) > most) most = fabsf(w[p]);
  for (int g = 0; g < k; g += 8)
    for (int half = g; half < g + 4; half += 2)
      for (int sign = -1; sign <= 1; sign += 2) {
        float first = part(w, half, k, sign) + part(w, half + 4, k, sign);
        float sum = first + (part(w, half + 1, k, sign) + part(w, half + 5, k, sign));
        if (sum > pairs) pairs = sum;
      }
  return tsr_weight_scale(most, pairs);
}

void tsr_k_quantize_weight_q8_ref(int8_t *q, float *scale, const float *w, int n, int k) {
  for (int i = 0; i < n; i++, w += k, q += k) {
    scale[i] = scale_of(w, k);
    for (int p = 0; p < k; p++) q[p] = tsr_weight_value(w[p], scale[i]);
  }
}

void tsr_k_sum_i8_ref(int32_t *sum, const int8_t *q, int n, int k) {
  for (int i = 0; i < n; i++, q += k) {
    sum[i] = 0;
    for (int p = 0; p < k; p++) sum[i] += q[p];
  }
}
