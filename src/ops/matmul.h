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

/* Prepared rows, in the format that the product reads. In 8 bits some are kept at 14: those with outliers (kernels.h),
 * and those that the caller asks for ("fine"). Of each group of TSR_ROW_GROUP rows these are numbered in `which`, and
 * what quantizing them left is quantized once more, into as many rows of the group's place in `rest`. */
typedef struct tsr_matmul_quantized {
  char *data;
  float *scale;  /* [rows] */
  int32_t *zero; /* [rows] */
} tsr_matmul_quantized;
typedef struct tsr_matmul_rows {
  tsr_matmul_quantized plain; /* data is all that f32 has */
  tsr_matmul_quantized rest;
  int32_t *which; /* [rows]; -1 after the group's last */
} tsr_matmul_rows;

/* The bytes of `rows` prepared rows. */
size_t tsr_matmul_rows_bytes(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows);
/* `rows` prepared rows in `memory` of that size, 16-byte aligned. */
tsr_matmul_rows tsr_matmul_rows_at(const tsr_kernels *kernels, const tsr_weight *weight, size_t rows, void *memory);
/* The same rows from row `first` on, a multiple of TSR_ROW_GROUP. */
tsr_matmul_rows tsr_matmul_rows_from(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows rows,
                                     size_t first);
/* Prepares m rows of x [m,k]. fine: 1 for each row that is to keep 14 bits; NULL: none. */
void tsr_matmul_prepare(const tsr_kernels *kernels, const tsr_weight *weight, tsr_matmul_rows to, const float *x,
                        int ldx, int m, const char *fine);

/* y[i, n0:n1] of group `group` for m prepared rows. Columns are counted within the group; `y` and the residual point at
 * the group's column 0. */
void tsr_matmul_product(const tsr_matmul *matmul, int group, tsr_matmul_rows rows, float *y, int ldy, int m, int n0,
                        int n1);

/* The same for f32 rows that gemm_f32_strassen_rows laid out. scratch: tsr_strassen_scratch floats. */
void tsr_matmul_strassen(const tsr_matmul *matmul, int group, const float *rows, float *y, int ldy, int m, int n0,
                         int n1, int levels, float *scratch);

/* Prepares a block of rows x [m,k] and multiplies it. fine as above; scratch: tsr_matmul_rows_bytes of m rows. */
void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0,
                      int n1, const char *fine, void *scratch);

#endif
