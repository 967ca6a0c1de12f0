/* Layer norm, L2 normalization and dot products with SIMD. */
#include "kernels.h"
#include "simd.h"

#include <math.h>

TSR_INLINE tsr_f32x4 add_term(tsr_f32x4 sum, const float *x, tsr_f32x4 shift, int square) {
  tsr_f32x4 v = tsr_f32x4_sub(tsr_f32x4_load(x), shift);
  return tsr_f32x4_add(sum, square ? tsr_f32x4_mul(v, v) : v);
}

/* The sum of x[j] - shift, squared if `square`. Four accumulators, because an addition's latency is three to four times
 * its throughput, and because shorter sums round less. */
TSR_INLINE float sum_of(const float *x, int c, float shift, int square) {
  tsr_f32x4 s = tsr_f32x4_splat(shift), sum[4];
  int j = 0;
  sum[0] = sum[1] = sum[2] = sum[3] = tsr_f32x4_splat(0);
  for (; j + 16 <= c; j += 16)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sum[i] = add_term(sum[i], x + j + 4 * i, s, square);
  for (; j + 4 <= c; j += 4) sum[0] = add_term(sum[0], x + j, s, square);
  float total = tsr_f32x4_sum(tsr_f32x4_add(tsr_f32x4_add(sum[0], sum[1]), tsr_f32x4_add(sum[2], sum[3])));
  for (; j < c; j++) total += square ? (x[j] - shift) * (x[j] - shift) : x[j] - shift;
  return total;
}

TSR_INLINE void normalize_row(float *y, const float *x, const float *gamma, const float *beta, float mean, float rate,
                              int c) {
  tsr_f32x4 shift = tsr_f32x4_splat(mean), factor = tsr_f32x4_splat(rate);
  int j = 0;
  for (; j + 4 <= c; j += 4) {
    tsr_f32x4 v = tsr_f32x4_mul(tsr_f32x4_sub(tsr_f32x4_load(x + j), shift), factor);
    if (gamma) v = tsr_f32x4_mul(v, tsr_f32x4_load(gamma + j));
    if (beta) v = tsr_f32x4_add(v, tsr_f32x4_load(beta + j));
    tsr_f32x4_store(y + j, v);
  }
  for (; j < c; j++) y[j] = (x[j] - mean) * rate * (gamma ? gamma[j] : 1) + (beta ? beta[j] : 0);
}

void tsr_k_layer_norm_simd(float *y, const float *x, const float *gamma, const float *beta, float eps, int m, int c) {
  for (int i = 0; i < m; i++, x += c, y += c) {
    float mean = sum_of(x, c, 0, 0) / (float)c;
    float rate = 1 / sqrtf(sum_of(x, c, mean, 1) / (float)c + eps);
    if (gamma && beta) normalize_row(y, x, gamma, beta, mean, rate, c); /* a loop of its own, without tests for NULL */
    else normalize_row(y, x, gamma, beta, mean, rate, c);
  }
}

void tsr_k_l2_normalize_simd(float *y, const float *x, float eps, int m, int c) {
  for (int i = 0; i < m; i++, x += c, y += c) {
    float norm = sqrtf(sum_of(x, c, 0, 1));
    if (norm < eps) norm = eps;
    tsr_f32x4 divisor = tsr_f32x4_splat(norm);
    int j = 0;
    for (; j + 4 <= c; j += 4) tsr_f32x4_store(y + j, tsr_f32x4_div(tsr_f32x4_load(x + j), divisor));
    for (; j < c; j++) y[j] = x[j] / norm;
  }
}

float tsr_k_dot_simd(const float *a, const float *b, int n) {
  tsr_f32x4 low = tsr_f32x4_splat(0), high = low;
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    low = tsr_f32x4_add(low, tsr_f32x4_mul(tsr_f32x4_load(a + i), tsr_f32x4_load(b + i)));
    high = tsr_f32x4_add(high, tsr_f32x4_mul(tsr_f32x4_load(a + i + 4), tsr_f32x4_load(b + i + 4)));
  }
  float sum = tsr_f32x4_sum(tsr_f32x4_add(low, high));
  for (; i < n; i++) sum += a[i] * b[i];
  return sum;
}
