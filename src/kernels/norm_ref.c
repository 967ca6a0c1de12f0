/* Layer norm, softmax, L2 normalization and dot products in portable C. Sums are in double, because the other variants
 * are compared with these. */
#include "gemm_q8.h"

#include <math.h>

void tsr_k_layer_norm_ref(float *y, const float *x, const float *gamma, const float *beta, float eps, int m, int c) {
  for (int i = 0; i < m; i++, x += c, y += c) {
    double sum = 0, squares = 0;
    for (int j = 0; j < c; j++) sum += x[j];
    double mean = sum / c;
    for (int j = 0; j < c; j++) squares += (x[j] - mean) * (x[j] - mean);
    double rate = 1 / sqrt(squares / c + eps);
    for (int j = 0; j < c; j++) y[j] = (float)((x[j] - mean) * rate * (gamma ? gamma[j] : 1) + (beta ? beta[j] : 0));
  }
}

void tsr_k_softmax_ref(float *y, int ldy, const float *x, int ldx, float scale, int m, int n) {
  for (int i = 0; i < m; i++) {
    const float *row = x + (size_t)i * ldx;
    float *out = y + (size_t)i * ldy, max = -INFINITY;
    double sum = 0;
    for (int j = 0; j < n; j++)
      if (scale * row[j] > max) max = scale * row[j];
    if (max == -INFINITY) max = 0; /* -inf - -inf would be NaN; with 0, exp is 0, and NaNs of the row stay */
    for (int j = 0; j < n; j++) sum += out[j] = (float)exp((double)(scale * row[j]) - max);
    for (int j = 0; j < n; j++) out[j] = sum == 0 ? 0 : (float)(out[j] / sum);
  }
}

void tsr_k_softmax_part_ref(float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows) {
  for (int i = 0; i < m; i++, x += ldx, rows++) {
    float top = rows->top;
    double sum = 0;
    for (int j = 0; j < n; j++)
      if (scale * x[j] > top) top = scale * x[j];
    double shift = top == -INFINITY ? 0 : top, keep = exp(rows->top - shift);
    for (int j = 0; j < n; j++) sum += x[j] = (float)exp((double)(scale * x[j]) - shift);
    *rows = (tsr_softmax_row){top, (float)(rows->sum * keep + sum), (float)keep};
  }
}

void tsr_k_softmax_part_q8_ref(void *q, const float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows) {
  uint8_t *y = q;
  for (int i = 0; i < m; i++, x += ldx, y += tsr_q8_padded(n), rows++) {
    float top = rows->top, sum = 0;
    for (int j = 0; j < n; j++)
      if (scale * x[j] > top) top = scale * x[j];
    double shift = top == -INFINITY ? 0 : top, keep = exp(rows->top - shift);
    for (int j = 0; j < tsr_q8_padded(n); j++) {
      double p = j < n ? 127 * exp((double)(scale * x[j]) - shift) : 0;
      if (!(p >= 0)) p = 0; /* NaN */
      y[j] = (uint8_t)tsr_round_even((float)p);
      sum += (float)p;
    }
    *rows = (tsr_softmax_row){top, (float)(rows->sum * keep) + sum, (float)keep};
  }
}

void tsr_k_l2_normalize_ref(float *y, const float *x, float eps, int m, int c) {
  for (int i = 0; i < m; i++, x += c, y += c) {
    double squares = 0;
    for (int j = 0; j < c; j++) squares += (double)x[j] * x[j];
    double norm = sqrt(squares);
    if (norm < eps) norm = eps;
    for (int j = 0; j < c; j++) y[j] = (float)(x[j] / norm);
  }
}

float tsr_k_dot_ref(const float *a, const float *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += (double)a[i] * b[i];
  return (float)sum;
}
