/* softmax: softmax over the last dim; see ops.inc. */
#include "rowwise.h"

int tsr_op_softmax_shape(tsr_op_args *args, char *why) {
  (void)why;
  args->out[0].shape = args->in[0].shape;
  return 1;
}

tsr_op_work tsr_op_softmax_work(const tsr_op_args *args) { return tsr_rowwise_work(&args->in[0].shape); }

void tsr_op_softmax_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t at;
  int rows = tsr_rowwise_range(&args->in[0].shape, task, &at), n = tsr_shape_last(&args->in[0].shape);
  args->kernels->softmax(args->out[0].data + at, n, args->in[0].data + at, n, args->attrs->softmax.scale, rows, n);
}
