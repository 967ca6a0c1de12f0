/* The product that linear and conv2d share: f32 rows times a packed weight, with what follows it. The rows are laid out first, or
 * quantized, once for all columns. */
#ifndef TSR_OPS_MATMUL_H
#define TSR_OPS_MATMUL_H

#include "ops.h"

enum {
  TSR_MATMUL_ROWS = 48,   /* rows of a block: a multiple of TSR_ROW_GROUP */
  TSR_MATMUL_COLUMNS = 64 /* columns finished at a time, so that what follows the product finds them in the cache */
};

typedef struct tsr_matmul {
  const tsr_kernels *kernels;
  const tsr_weight *weight;
  const float *bias;     /* [groups * n] or NULL */
  const float *scale;    /* as bias, and only with one: y = scale * product + bias */
  int activation;
  const float *residual; /* rows as y's, or NULL */
  int ld_residual;
} tsr_matmul;

/* Rows as the product wants them. */
typedef struct tsr_matmul_rows {
  char *data;
  float *scale; /* in 8 bits only */
  int32_t *zero;
} tsr_matmul_rows;

/* Bytes of `rows` such rows, and the places in such memory, 16-byte aligned. */
size_t tsr_matmul_rows_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows);
tsr_matmul_rows tsr_matmul_rows_at(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows, void *memory);
/* The same rows from `first` on, a multiple of TSR_ROW_GROUP. */
tsr_matmul_rows tsr_matmul_rows_from(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows rows, size_t first);
/* Makes them of m rows of x. */
void tsr_matmul_prepare(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, const float *x, int ldx, int m);

/* y[i, n0:n1] of group `group` for m rows; columns counted within the group; `y` and residual point at the group's column 0. */
void tsr_matmul_product(const tsr_matmul *matmul, int group, tsr_matmul_rows rows, float *y, int ldy, int m, int n0, int n1);

/* The same of f32 rows that gemm_f32_strassen_rows laid out; scratch: tsr_strassen_scratch. */
void tsr_matmul_strassen(const tsr_matmul *matmul, int group, const float *rows, float *y, int ldy, int m, int n0, int n1, int levels, float *scratch);

/* Rows that keep 14 bits, in groups of TSR_MATMUL_FINE: quantized rows, then what quantizing left out of each. `x` [2 * rows, k] holds the
 * rows, and what is left of them afterwards. */
enum { TSR_MATMUL_FINE = TSR_ROW_GROUP / 2 };
void tsr_matmul_prepare_fine(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, float *x, int rows);
/* y [rows, n1 - n0] of a group of these, without what follows; `y` has room for 2 * rows. */
void tsr_matmul_product_fine(const tsr_matmul *matmul, int group, tsr_matmul_rows from, float *y, int rows, int n0, int n1);
/* What follows the product, for y as in tsr_matmul_product. */
void tsr_matmul_finish(const tsr_matmul *matmul, int group, float *y, int ldy, int m, int n0, int n1);

/* Both for a block of rows x [m, k], ldx apart; scratch: tsr_matmul_rows_bytes of m. */
void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0, int n1,
                      void *scratch);

#endif
