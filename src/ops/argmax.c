/* argmax: the index of the largest number along the last dim; see ops.inc. */
#include "rowwise.h"

int tsr_op_argmax_shape(tsr_op_args *args, char *why) {
  (void)why;
  args->out[0].shape = args->in[0].shape;
  if (args->out[0].shape.ndim) args->out[0].shape.ndim--;
  return 1;
}

tsr_op_work tsr_op_argmax_work(const tsr_op_args *args) { return tsr_rowwise_work(&args->in[0].shape); }

void tsr_op_argmax_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t at;
  int rows = tsr_rowwise_range(&args->in[0].shape, task, &at), n = tsr_shape_last(&args->in[0].shape);
  const float *x = args->in[0].data + at;
  float *y = args->out[0].data + at / (size_t)n;
  for (int r = 0; r < rows; r++, x += n) {
    int best = 0;
    for (int i = 1; i < n; i++)
      if (x[i] > x[best]) best = i;
    y[r] = (float)best;
  }
}
