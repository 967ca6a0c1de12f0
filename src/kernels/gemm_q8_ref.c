/* The int8 product in portable C, with rows of activations in u8 and panels of K rows of 8 columns. */
#include "gemm_q8.h"

size_t tsr_k_gemm_q8_packed_bytes_ref(int n, int k) {
  if (n <= 0 || k <= 0 || k > INT32_MAX - 7) return 0;
  uint64_t panels = ((uint64_t)n + TSR_PANEL - 1) / TSR_PANEL;
  uint64_t bytes = panels * (TSR_Q8_HEADER + (uint64_t)TSR_PANEL * (uint64_t)tsr_q8_padded(k)); /* < 2^63 */
  return bytes > SIZE_MAX ? 0 : (size_t)bytes;
}

void tsr_k_gemm_q8_pack_ref(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k) {
  for (int n = n0; k && n < n1; n += TSR_PANEL, w += (size_t)TSR_PANEL * ldw)
    tsr_q8_pack_rest(tsr_q8_begin_panel(panels, n, k), w, ldw, n1 - n, 0, k, 1);
}

int tsr_k_gemm_q8_row_bytes_ref(int k) { return tsr_q8_padded(k); }

void tsr_k_gemm_q8_quantize_ref(void *q, float *scale, int32_t *zero, const float *x, int ldx, int m, int k,
                                uint8_t *kind) {
  int padded = tsr_q8_padded(k);
  for (int i = 0; i < m; i++) {
    const float *row = x + (size_t)i * ldx;
    uint8_t *y = (uint8_t *)q + (size_t)i * padded;
    float low = 0, high = 0, sums[4] = {0}; /* as with vectors, whose last numbers are added one by one */
    for (int p = 0; p < k; p++) {
      if (row[p] < low) low = row[p];
      if (row[p] > high) high = row[p];
      if (p < (k & ~3)) sums[p & 3] += fabsf(row[p]);
    }
    float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int p = k & ~3; p < k; p++) sum += fabsf(row[p]);
    tsr_q8_range range = tsr_q8_range_of(low, high);
    for (int p = 0; p < padded; p++) y[p] = p < k ? (uint8_t)tsr_q8_value(&range, row[p]) : 0;
    scale[i] = range.scale;
    zero[i] = range.zero;
    if (kind) kind[i] = tsr_q8_kind(&range, sum, k);
  }
}

/* Repeats the rounding instead of reading q. */
void tsr_k_gemm_q8_rest_ref(void *q, float *scale, int32_t *zero, const float *x, int ldx, const int32_t *rows,
                            int count, int k, const float *row_scale, const int32_t *row_zero) {
  int padded = tsr_q8_padded(k);
  for (int i = 0; i < count; i++) {
    const float *row = x + (size_t)rows[i] * ldx;
    uint8_t *y = (uint8_t *)q + (size_t)i * padded;
    float inverse = 1 / row_scale[rows[i]];
    for (int p = 0; p < padded; p++) y[p] = p < k ? (uint8_t)tsr_q8_rest_value(row[p], inverse, row_zero[rows[i]]) : 0;
    scale[i] = row_scale[rows[i]] / TSR_Q8_MAX;
    zero[i] = TSR_Q8_MIDDLE;
  }
}

void tsr_k_gemm_q8_ref(float *c, int ldc, const void *q, const float *a_scale, const int32_t *a_zero,
                       const int8_t *panels, const float *w_scale, const int32_t *w_sum, const float *bias, int m,
                       int n0, int n1, int k) {
  int padded = tsr_q8_padded(k);
  for (int i = 0; i < m; i++)
    for (int n = n0; n < n1; n++) {
      const uint8_t *row = (const uint8_t *)q + (size_t)i * padded;
      const int8_t *column =
          panels + (size_t)(n / TSR_PANEL) * tsr_q8_panel_bytes(padded) + TSR_Q8_HEADER + n % TSR_PANEL;
      int32_t sum = 0;
      for (int p = 0; p < k; p++) sum += row[p] * column[(size_t)p * TSR_PANEL];
      float scale = a_scale[i] * w_scale[n];
      c[(size_t)i * ldc + n] = scale * (float)(sum - a_zero[i] * w_sum[n]) + (bias ? bias[n] : 0);
    }
}
