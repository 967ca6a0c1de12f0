/* Products with packed weights; see matmul.h. */
#include "matmul.h"

static size_t align16(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

size_t tsr_matmul_scratch(const tsr_kernels *kernels, const tsr_weight *weight, int rows) {
  if (!weight->is_q8) return 0;
  size_t row = (size_t)kernels->gemm_q8_row_bytes(weight->k);
  return align16(row * rows) + 2 * align16(sizeof(float) * rows);
}

static void finish(const tsr_matmul *matmul, float *y, int ldy, const float *residual, int m, int n0, int n1) {
  const tsr_kernels *k = matmul->kernels;
  for (int i = 0; i < m; i++) {
    float *row = y + (size_t)i * ldy + n0;
    if (matmul->activation) tsr_activate(k, matmul->activation, row, row, n1 - n0);
    if (residual) k->add(row, row, residual + (size_t)i * matmul->ld_residual + n0, n1 - n0);
  }
}

void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0, int n1,
                      void *scratch) {
  const tsr_kernels *k = matmul->kernels;
  const tsr_weight *w = matmul->weight;
  const void *panels = (const char *)w->panels + (size_t)group * w->group_bytes;
  size_t first = (size_t)group * w->layout.n;
  const float *bias = matmul->bias ? matmul->bias + first : NULL;
  char *q = scratch;
  float *scale = NULL;
  int32_t *zero = NULL;
  if (w->is_q8) {
    scale = (float *)(q + align16((size_t)k->gemm_q8_row_bytes(w->k) * m));
    zero = (int32_t *)((char *)scale + align16(sizeof(float) * m));
    k->gemm_q8_quantize(q, scale, zero, x, ldx, m, w->k);
  }
  for (int n = n0; n < n1; n += TSR_MATMUL_COLUMNS) {
    int end = n + TSR_MATMUL_COLUMNS < n1 ? n + TSR_MATMUL_COLUMNS : n1;
    if (w->is_q8) k->gemm_q8(y, ldy, q, scale, zero, panels, w->scale + first, w->sum + first, bias, m, n, end, w->k);
    else k->gemm_f32(y, ldy, x, ldx, panels, bias, m, n, end, w->k);
    if (matmul->activation || matmul->residual) finish(matmul, y, ldy, matmul->residual, m, n, end);
  }
}
