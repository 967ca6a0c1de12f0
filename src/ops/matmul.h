/* The product that linear and conv2d share: a block of f32 rows times a packed weight, with what follows it.
 * In 8 bits the rows are quantized first, into the thread's scratch. */
#ifndef TSR_MATMUL_H
#define TSR_MATMUL_H

#include "ops.h"

enum {
  TSR_MATMUL_ROWS = 48,     /* rows of a block: a multiple of every tile's height (4, 6, 8) */
  TSR_MATMUL_COLUMNS = 64,  /* columns finished at a time, so that what follows the product finds them in the cache */
  TSR_MATMUL_FEW_ROWS = 24, /* up to so many rows the work is split by columns too */
  TSR_MATMUL_SPLIT = 128    /* ... so many at a time */
};

typedef struct tsr_matmul {
  const tsr_kernels *kernels;
  const tsr_weight *weight;
  const float *bias;     /* [groups * n] or NULL */
  int activation;
  const float *residual; /* rows as y's, or NULL */
  int ld_residual;
} tsr_matmul;

/* Scratch bytes for blocks of up to `rows` rows. */
size_t tsr_matmul_scratch(const tsr_kernels *kernels, const tsr_weight *weight, int rows);

/* y[i, n0:n1] of group `group` for m rows: x [m, k] ldx apart, y's columns counted within the group; `y` and residual
 * point at the group's column 0. */
void tsr_matmul_block(const tsr_matmul *matmul, int group, const float *x, int ldx, float *y, int ldy, int m, int n0, int n1,
                      void *scratch);

#endif
