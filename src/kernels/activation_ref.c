/* The elementwise operations in portable C. */
#include "kernels.h"

#include <math.h>

void tsr_k_gelu_ref(float *y, const float *x, int n) {
  /* erfc instead of 1 + erf, because it keeps the digits of the negative side. Below -40 erfc is 0, and -inf * 0 is
   * NaN. */
  for (int i = 0; i < n; i++) y[i] = x[i] < -40 ? 0 : (float)(0.5 * x[i] * erfc(x[i] * -0.70710678118654752440));
}

void tsr_k_gelu_coarse_ref(float *y, const float *x, int n) { tsr_k_gelu_ref(y, x, n); }

void tsr_k_relu_ref(float *y, const float *x, int n) {
  for (int i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays */
}

void tsr_k_add_ref(float *y, const float *a, const float *b, int n) {
  for (int i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void tsr_k_mul_ref(float *y, const float *a, const float *b, int n) {
  for (int i = 0; i < n; i++) y[i] = a[i] * b[i];
}
