/* l2_normalize: rows divided by their length; see ops.inc. */
#include "rowwise.h"

int tsr_op_l2_normalize_shape(tsr_op_args *args, char *why) {
  (void)why;
  args->out[0].shape = args->in[0].shape;
  return 1;
}

tsr_op_work tsr_op_l2_normalize_work(const tsr_op_args *args) { return tsr_rowwise_work(&args->in[0].shape); }

void tsr_op_l2_normalize_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t at;
  int rows = tsr_rowwise_range(&args->in[0].shape, task, &at);
  args->kernels->l2_normalize(args->out[0].data + at, args->in[0].data + at, args->attrs->l2_normalize.eps, rows,
                              tsr_shape_last(&args->in[0].shape));
}
