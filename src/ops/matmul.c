/* The product with packed weights; see matmul.h. */
#include "matmul.h"

static size_t align16(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

static size_t row_bytes(const tsr_kernels *kernels, const tsr_weight *weight) {
  return weight->is_q8 ? (size_t)kernels->gemm_q8_row_bytes(weight->k) : sizeof(float) * (size_t)weight->k;
}

static size_t whole_groups(size_t rows) { return (rows + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP; }

static size_t data_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows) {
  return align16(row_bytes(kernels, weight) * whole_groups(rows));
}

/* Rows and rests each with a scale and a zero, and `which`. */
size_t tsr_matmul_rows_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows) {
  size_t data = data_bytes(kernels, weight, rows);
  return weight->is_q8 ? 2 * data + 5 * align16(sizeof(float) * whole_groups(rows)) : data;
}

tsr_matmul_rows tsr_matmul_rows_at(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows, void *memory) {
  tsr_matmul_rows r = {.plain.data = memory};
  if (!weight->is_q8) return r;
  size_t data = data_bytes(kernels, weight, rows), numbers = align16(sizeof(float) * whole_groups(rows));
  char *at = (char *)memory + 2 * data;
  r.rest.data = (char *)memory + data;
  r.plain.scale = (float *)(void *)at, r.plain.zero = (int32_t *)(void *)(at + numbers);
  r.rest.scale = (float *)(void *)(at + 2 * numbers), r.rest.zero = (int32_t *)(void *)(at + 3 * numbers);
  r.which = (int32_t *)(void *)(at + 4 * numbers);
  return r;
}

static void move_on(tsr_matmul_quantized *to, size_t bytes, size_t rows) {
  to->data += bytes;
  to->scale += rows;
  to->zero += rows;
}

tsr_matmul_rows tsr_matmul_rows_from(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows rows,
                                     size_t first) {
  size_t bytes = first * row_bytes(kernels, weight);
  if (weight->is_q8) {
    move_on(&rows.plain, bytes, first);
    move_on(&rows.rest, bytes, first);
    rows.which += first;
  } else {
    rows.plain.data += bytes;
  }
  return rows;
}

/* Quantizes a group of m rows, and the rests of those that keep 14 bits. */
static void quantize_group(const tsr_kernels *kernels, int k, const tsr_matmul_rows *to, const float *x, int ldx, int m,
                           const char *fine) {
  uint8_t kind[TSR_ROW_GROUP];
  int count = 0;
  kernels->gemm_q8_quantize(to->plain.data, to->plain.scale, to->plain.zero, x, ldx, m, k, kind);
  for (int i = 0; i < m; i++)
    if (kind[i] == TSR_Q8_OUTLIERS || (fine && fine[i] && kind[i] != TSR_Q8_NOT_FINITE)) to->which[count++] = i;
  kernels->gemm_q8_rest(to->rest.data, to->rest.scale, to->rest.zero, x, ldx, to->which, count, k, to->plain.scale,
                        to->plain.zero);
  if (count < TSR_ROW_GROUP) to->which[count] = -1;
}

void tsr_matmul_prepare(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, const float *x,
                        int ldx, int m, const char *fine) {
  if (!weight->is_q8) kernels->gemm_f32_rows((float *)(void *)to.plain.data, x, ldx, m, weight->k);
  for (int i = 0; weight->is_q8 && i < m; i += TSR_ROW_GROUP) {
    tsr_matmul_rows group = tsr_matmul_rows_from(kernels, weight, to, (size_t)i);
    quantize_group(kernels, weight->k, &group, x + (size_t)i * ldx, ldx, m - i < TSR_ROW_GROUP ? m - i : TSR_ROW_GROUP,
                   fine ? fine + i : NULL);
  }
}

/* Applies scale, activation and residual. is_coarse: y is an 8-bit product, for which a coarse GELU is enough. */
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

/* Adds the products of the rests of m rows, columns [n, end) of the group whose columns begin with column `first` of
 * all, at most TSR_MATMUL_COLUMNS. */
static void add_rests(const tsr_matmul *matmul, const int8_t *panels, size_t first, const tsr_matmul_rows *rows,
                      float *y, int ldy, int m, int n, int end) {
  float sums[TSR_ROW_GROUP * TSR_MATMUL_COLUMNS];
  const tsr_kernels *k = matmul->kernels;
  const tsr_weight *w = matmul->weight;
  int width = end - n;
  for (int i = 0; i < m; i += TSR_ROW_GROUP) {
    int count = 0;
    const int32_t *which = rows->which + i;
    while (count < TSR_ROW_GROUP && which[count] >= 0) count++;
    if (!count) continue;
    tsr_matmul_rows from = tsr_matmul_rows_from(k, w, *rows, (size_t)i);
    k->gemm_q8(sums, width, from.rest.data, from.rest.scale, from.rest.zero, panels + k->gemm_q8_packed_bytes(n, w->k),
               w->scale + first + n, w->sum + first + n, NULL, count, 0, width, w->k);
    for (int j = 0; j < count; j++) {
      float *row = y + (size_t)(i + which[j]) * ldy + n;
      k->add(row, row, sums + (size_t)j * width, width);
    }
  }
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
    if (w->is_q8) {
      k->gemm_q8(y, ldy, rows.plain.data, rows.plain.scale, rows.plain.zero, panels, w->scale + first, w->sum + first,
                 bias, m, n, end, w->k);
      add_rests(matmul, panels, first, &rows, y, ldy, m, n, end);
    } else {
      k->gemm_f32(y, ldy, (const float *)(const void *)rows.plain.data, panels, bias, m, n, end, w->k);
    }
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

void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0,
                      int n1, const char *fine, void *scratch) {
  tsr_matmul_rows rows = tsr_matmul_rows_at(matmul->kernels, matmul->weight, (size_t)m, scratch);
  tsr_matmul_prepare(matmul->kernels, matmul->weight, rows, x, ldx, m, fine);
  tsr_matmul_product(matmul, group, rows, y, ldy, m, n0, n1);
}
