/* The product of linear and conv2d: f32 rows times a packed weight, then scale, bias, activation and residual. The rows
 * are first laid out, or quantized, once for all columns. */
#ifndef TSR_OPS_MATMUL_H
#define TSR_OPS_MATMUL_H

#include "ops.h"

enum {
  TSR_MATMUL_ROWS = 48,   /* rows of a block, a multiple of TSR_ROW_GROUP */
  TSR_MATMUL_COLUMNS = 64 /* columns finished at a time, so that the steps after the product find them in the cache */
};

typedef struct tsr_matmul {
  const tsr_kernels *kernels;
  const tsr_weight *weight;
  const float *bias;     /* [groups * n] or NULL */
  const float *scale;    /* [groups * n] or NULL; only with a bias: y = scale * product + bias */
  int activation;        /* TSR_ACT_* */
  const float *residual; /* rows like those of y, or NULL */
  int ld_residual;
} tsr_matmul;

/* Prepared rows, in the format that the product reads. */
typedef struct tsr_matmul_rows {
  char *data;    /* laid out (f32) or quantized (8 bits) */
  float *scale;  /* [rows], in 8 bits only */
  int32_t *zero; /* [rows], in 8 bits only */
} tsr_matmul_rows;

/* The bytes of `rows` prepared rows. */
size_t tsr_matmul_rows_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows);
/* `rows` prepared rows in `memory` of that size, 16-byte aligned. */
tsr_matmul_rows tsr_matmul_rows_at(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows, void *memory);
/* The same rows from row `first` on, a multiple of TSR_ROW_GROUP. */
tsr_matmul_rows tsr_matmul_rows_from(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows rows,
                                     size_t first);
/* Prepares m rows of x [m,k]. */
void tsr_matmul_prepare(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, const float *x,
                        int ldx, int m);

/* y[i, n0:n1] of group `group` for m prepared rows. Columns are counted within the group; `y` and the residual point at
 * the group's column 0. */
void tsr_matmul_product(const tsr_matmul *matmul, int group, tsr_matmul_rows rows, float *y, int ldy, int m, int n0,
                        int n1);

/* The same for f32 rows that gemm_f32_strassen_rows laid out. scratch: tsr_strassen_scratch floats. */
void tsr_matmul_strassen(const tsr_matmul *matmul, int group, const float *rows, float *y, int ldy, int m, int n0,
                         int n1, int levels, float *scratch);

/* 14-bit rows ("fine"): rows of activations that are kept at 14 bits instead of 7 in an 8-bit product. Each is two
 * quantized rows: the row, and the rest that quantizing it left. They are prepared in groups of at most TSR_MATMUL_FINE
 * rows. `x` [2 * rows, k] has the rows first, and room for their rests after them. */
enum { TSR_MATMUL_FINE = TSR_ROW_GROUP / 2 };
void tsr_matmul_prepare_fine(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, float *x,
                             int rows);
/* y [rows, n1 - n0] of such a group, without scale, activation and residual; `y` has room for 2 * rows rows. */
void tsr_matmul_product_fine(const tsr_matmul *matmul, int group, tsr_matmul_rows from, float *y, int rows, int n0,
                             int n1);
/* Applies scale, activation and residual to y as in tsr_matmul_product. */
void tsr_matmul_finish(const tsr_matmul *matmul, int group, float *y, int ldy, int m, int n0, int n1);

/* Prepares a block of rows x [m,k] and multiplies it. scratch: tsr_matmul_rows_bytes of m rows. */
void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0,
                      int n1, void *scratch);

#endif
