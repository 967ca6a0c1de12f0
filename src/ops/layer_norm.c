/* layer_norm: layer normalisation over the last dim; see ops.inc.
 * Ba, Kiros and Hinton 2016, arXiv 1607.06450. The variance is divided by C, not C - 1, as in PyTorch. */

#include "rowwise.h"

int tsr_op_layer_norm_shape(tsr_op_args *args, char *why) {
  char text[TSR_SHAPE_TEXT];
  for (int i = 1; i < args->n_in; i++)
    if (tsr_shape_count(&args->in[i].shape, NULL) != (size_t)tsr_shape_last(&args->in[0].shape)) {
      tsr_print(why, TSR_WHY, "a parameter of %d numbers does not fit input %s", tsr_shape_last(&args->in[i].shape),
                tsr_shape_print(&args->in[0].shape, text));
      return 0;
    }
  args->out[0].shape = args->in[0].shape;
  return 1;
}

tsr_op_work tsr_op_layer_norm_work(const tsr_op_args *args) { return tsr_rowwise_work(&args->in[0].shape); }

void tsr_op_layer_norm_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t at;
  int rows = tsr_rowwise_range(&args->in[0].shape, task, &at), next = 1;
  const float *gamma = args->attrs->layer_norm.has_gamma ? args->in[next++].data : NULL;
  const float *beta = args->attrs->layer_norm.has_beta ? args->in[next].data : NULL;
  args->kernels->layer_norm(args->out[0].data + at, args->in[0].data + at, gamma, beta, args->attrs->layer_norm.eps,
                            rows, tsr_shape_last(&args->in[0].shape));
}
