/* The f32 product in portable C. The packed layout of its weights is the same for every isa: ceil(N / 8) panels of K
 * rows of 8 columns, with zeros in the columns after N. */
#include "kernels.h"

size_t tsr_k_gemm_f32_packed_bytes_ref(int n, int k) {
  if (n <= 0 || k <= 0) return 0;
  uint64_t columns = ((uint64_t)n + TSR_PANEL - 1) / TSR_PANEL * TSR_PANEL;
  uint64_t floats = columns * (uint64_t)k; /* < 2^63 */
  return floats > SIZE_MAX / sizeof(float) ? 0 : (size_t)floats * sizeof(float);
}

void tsr_k_gemm_f32_pack_ref(float *panels, const float *w, int ldw, int n0, int n1, int k) {
  for (int n = n0; n < n1; n += TSR_PANEL) {
    float *panel = panels + (size_t)n * (size_t)k;
    for (int p = 0; p < k; p++)
      for (int j = 0; j < TSR_PANEL; j++)
        panel[(size_t)p * TSR_PANEL + j] = n + j < n1 ? w[(size_t)(n - n0 + j) * ldw + p] : 0;
  }
}

void tsr_k_gemm_f32_rows_ref(float *to, const float *a, int lda, int m, int k) {
  for (int i = 0; i < m; i++)
    for (int p = 0; p < k; p++) to[(size_t)i * k + p] = a[(size_t)i * lda + p];
}

void tsr_k_gemm_f32_ref(float *c, int ldc, const float *a, const float *panels, const float *bias, int m, int n0,
                        int n1, int k) {
  for (int i = 0; i < m; i++)
    for (int n = n0; n < n1; n++) {
      const float *column = panels + (size_t)(n / TSR_PANEL * TSR_PANEL) * (size_t)k + n % TSR_PANEL;
      float sum = bias ? bias[n] : 0;
      for (int p = 0; p < k; p++) sum += a[(size_t)i * k + p] * column[(size_t)p * TSR_PANEL];
      c[(size_t)i * ldc + n] = sum;
    }
}

int tsr_k_gemm_f32_levels_ref(int m, int n, int k) { return (void)m, (void)n, (void)k, 0; }

void tsr_k_gemm_f32_strassen_rows_ref(float *to, const float *a, int lda, int m, int k, int levels, int begin,
                                      int end) {
  (void)m, (void)levels;
  tsr_k_gemm_f32_rows_ref(to + (size_t)begin * k, a + (size_t)begin * lda, lda, end - begin, k);
}

void tsr_k_gemm_f32_strassen_ref(float *c, int ldc, const float *a, const float *panels, const float *bias, int m,
                                 int n0, int n1, int k, int levels, float *scratch) {
  (void)levels, (void)scratch;
  tsr_k_gemm_f32_ref(c, ldc, a, panels, bias, m, n0, n1, k);
}
