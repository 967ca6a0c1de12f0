/* The product with packed weights; see matmul.h. */
#include "matmul.h"

static size_t align16(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

static size_t row_bytes(const tsr_kernels *kernels, const tsr_weight *weight) {
  return weight->is_q8 ? (size_t)kernels->gemm_q8_row_bytes(weight->k) : sizeof(float) * (size_t)weight->k;
}

static size_t data_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows) {
  return align16(row_bytes(kernels, weight) * ((rows + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP));
}

size_t tsr_matmul_rows_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows) {
  return data_bytes(kernels, weight, rows) + (weight->is_q8 ? 2 * align16(sizeof(float) * rows) : 0);
}

tsr_matmul_rows tsr_matmul_rows_at(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows, void *memory) {
  tsr_matmul_rows r = {.data = memory};
  if (!weight->is_q8) return r;
  r.scale = (float *)(r.data + data_bytes(kernels, weight, rows));
  r.zero = (int32_t *)((char *)r.scale + align16(sizeof(float) * rows));
  return r;
}

tsr_matmul_rows tsr_matmul_rows_from(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows rows,
                                     size_t first) {
  rows.data += first * row_bytes(kernels, weight);
  if (!weight->is_q8) return rows;
  rows.scale += first;
  rows.zero += first;
  return rows;
}

void tsr_matmul_prepare(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, const float *x,
                        int ldx, int m) {
  if (weight->is_q8) kernels->gemm_q8_quantize(to.data, to.scale, to.zero, x, ldx, m, weight->k);
  else kernels->gemm_f32_rows((float *)(void *)to.data, x, ldx, m, weight->k);
}

/* Applies scale, activation and residual. is_coarse: y is an 8-bit product of plain rows, so a coarse GELU is
 * enough. */
static void finish(const tsr_matmul *matmul, int group, float *y, int ldy, int m, int n0, int n1, int is_coarse) {
  const tsr_kernels *k = matmul->kernels;
  const float *residual = matmul->residual;
  size_t first = (size_t)group * matmul->weight->layout.n;
  if (!matmul->scale && !matmul->activation && !residual) return;
  for (int i = 0; i < m; i++) {
    float *row = y + (size_t)i * ldy + n0;
    if (matmul->scale) {
      k->mul(row, row, matmul->scale + first + n0, n1 - n0);
      k->add(row, row, matmul->bias + first + n0, n1 - n0);
    }
    if (is_coarse && matmul->activation == TSR_ACT_GELU) k->gelu_coarse(row, row, n1 - n0);
    else if (matmul->activation) tsr_activate(k, matmul->activation, row, row, n1 - n0);
    if (residual) k->add(row, row, residual + (size_t)i * matmul->ld_residual + n0, n1 - n0);
  }
}

void tsr_matmul_finish(const tsr_matmul *matmul, int group, float *y, int ldy, int m, int n0, int n1) {
  finish(matmul, group, y, ldy, m, n0, n1, 0);
}

void tsr_matmul_product(const tsr_matmul *matmul, int group, tsr_matmul_rows rows, float *y, int ldy, int m, int n0,
                        int n1) {
  const tsr_kernels *k = matmul->kernels;
  const tsr_weight *w = matmul->weight;
  const void *panels = (const char *)w->panels + (size_t)group * w->group_bytes;
  size_t first = (size_t)group * w->layout.n;
  const float *bias = matmul->bias && !matmul->scale ? matmul->bias + first : NULL;
  for (int n = n0; n < n1; n += TSR_MATMUL_COLUMNS) {
    int end = n + TSR_MATMUL_COLUMNS < n1 ? n + TSR_MATMUL_COLUMNS : n1;
    if (w->is_q8)
      k->gemm_q8(y, ldy, rows.data, rows.scale, rows.zero, panels, w->scale + first, w->sum + first, bias, m, n, end,
                 w->k);
    else k->gemm_f32(y, ldy, (const float *)(const void *)rows.data, panels, bias, m, n, end, w->k);
    finish(matmul, group, y, ldy, m, n, end, w->is_q8);
  }
}

void tsr_matmul_strassen(const tsr_matmul *matmul, int group, const float *rows, float *y, int ldy, int m, int n0,
                         int n1, int levels, float *scratch) {
  const tsr_weight *w = matmul->weight;
  const float *panels = (const float *)(const void *)((const char *)w->panels + (size_t)group * w->group_bytes);
  const float *bias = matmul->bias && !matmul->scale ? matmul->bias + (size_t)group * w->layout.n : NULL;
  matmul->kernels->gemm_f32_strassen(y, ldy, rows, panels, bias, m, n0, n1, w->k, levels, scratch);
  finish(matmul, group, y, ldy, m, n0, n1, 0);
}

void tsr_matmul_prepare_fine(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, float *x,
                             int rows) {
  int k = weight->k;
  kernels->gemm_q8_quantize(to.data, to.scale, to.zero, x, k, rows, k);
  kernels->gemm_q8_rest(x + (size_t)rows * k, to.scale, to.zero, x, k, rows, k);
  /* Quantizes rows and rests together, because only whole row groups start at a known place. */
  kernels->gemm_q8_quantize(to.data, to.scale, to.zero, x, k, 2 * rows, k);
}

void tsr_matmul_product_fine(const tsr_matmul *matmul, int group, tsr_matmul_rows from, float *y, int rows, int n0,
                             int n1) {
  const tsr_kernels *k = matmul->kernels;
  const tsr_weight *w = matmul->weight;
  size_t first = (size_t)group * w->layout.n + (size_t)n0;
  const int8_t *panels = (const int8_t *)w->panels + (size_t)group * w->group_bytes + k->gemm_q8_packed_bytes(n0, w->k);
  int width = n1 - n0;
  k->gemm_q8(y, width, from.data, from.scale, from.zero, panels, w->scale + first, w->sum + first, NULL, 2 * rows, 0,
             width, w->k);
  k->add(y, y, y + (size_t)rows * width, rows * width);
  for (int i = 0; matmul->bias && !matmul->scale && i < rows; i++)
    k->add(y + (size_t)i * width, y + (size_t)i * width, matmul->bias + first, width);
}

void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0,
                      int n1, void *scratch) {
  tsr_matmul_rows rows = tsr_matmul_rows_at(matmul->kernels, matmul->weight, (size_t)m, scratch);
  tsr_matmul_prepare(matmul->kernels, matmul->weight, rows, x, ldx, m);
  tsr_matmul_product(matmul, group, rows, y, ldy, m, n0, n1);
}
