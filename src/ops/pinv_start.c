/* pinv_start: the start of an iteration towards pseudoinverses; see ops.inc.
 * The first tasks find the largest sums of each matrix. Each further task computes one matrix. */
#include <math.h>

#include "ops.h"

int tsr_op_pinv_start_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  if (x->ndim < 2 || x->dims[x->ndim - 1] != x->dims[x->ndim - 2]) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "%s has no square matrices", tsr_shape_print(x, text));
    return 0;
  }
  args->out[0].shape = *x;
  return 1;
}

static int matrices(const tsr_op_args *args) {
  return (int)tsr_dims_product(&args->in[0].shape, 0, args->in[0].shape.ndim - 2);
}

tsr_op_work tsr_op_pinv_start_work(const tsr_op_args *args) {
  int count = matrices(args);
  return (tsr_op_work){.tasks = 2 * count, .before = count, .shared = (size_t)count * 2 * sizeof(float)};
}

/* The largest sum of |x| over a row, or over a column. */
static float largest(const float *x, int n, int row_step, int step) {
  float top = 0;
  for (int i = 0; i < n; i++) {
    float sum = 0;
    for (int j = 0; j < n; j++) sum += fabsf(x[(size_t)i * row_step + (size_t)j * step]);
    if (!(sum <= top)) top = sum;
  }
  return top;
}

void tsr_op_pinv_start_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int n = tsr_shape_last(&args->in[0].shape), count = matrices(args);
  size_t at = (size_t)(task % count) * n * n;
  const float *x = args->in[0].data + at;
  float *tops = args->shared, *y = args->out[0].data + at, row = 0, column = 0;
  if (task < count) {
    tops[2 * task] = largest(x, n, n, 1);
    tops[2 * task + 1] = largest(x, n, 1, n);
    return;
  }
  for (int i = 0; i < count; i++) {
    row = fmaxf(row, tops[2 * i]);
    column = fmaxf(column, tops[2 * i + 1]);
  }
  args->kernels->transpose(y, n, x, n, n, n);
  for (size_t i = 0; i < (size_t)n * n; i++) y[i] /= row * column;
}
