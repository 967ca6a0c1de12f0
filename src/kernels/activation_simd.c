/* The elementwise operations with SIMD. */
#include "kernels.h"
#include "simd.h"

#define TSR_GELU_NAME(op) tsr_k_##op##_simd
#define TSR_MADD(a, b, c) tsr_f32x4_add(tsr_f32x4_mul(a, b), c)
#include "gelu_tile.h"

void tsr_k_relu_simd(float *y, const float *x, int n) {
  tsr_f32x4 zero = tsr_f32x4_splat(0);
  int i = 0;
  for (; i + 4 <= n; i += 4) tsr_f32x4_store(y + i, tsr_f32x4_max(tsr_f32x4_load(x + i), zero)); /* keeps NaN */
  for (; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

void tsr_k_add_simd(float *y, const float *a, const float *b, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) tsr_f32x4_store(y + i, tsr_f32x4_add(tsr_f32x4_load(a + i), tsr_f32x4_load(b + i)));
  for (; i < n; i++) y[i] = a[i] + b[i];
}

void tsr_k_mul_simd(float *y, const float *a, const float *b, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) tsr_f32x4_store(y + i, tsr_f32x4_mul(tsr_f32x4_load(a + i), tsr_f32x4_load(b + i)));
  for (; i < n; i++) y[i] = a[i] * b[i];
}
