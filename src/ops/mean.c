/* mean: see ops.inc. A task is one index of the dims before the axis. Sums run along the axis in order. */
#include <stdio.h>

#include "ops.h"

int tsr_op_mean_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int axis = args->attrs->mean.axis;
  if (axis < 0 || axis >= x->ndim || x->dims[axis] < 1) {
    char text[TSR_SHAPE_TEXT];
    snprintf(why, TSR_WHY, "axis %d of %s", axis, tsr_shape_print(x, text));
    return 0;
  }
  tsr_shape y = {.ndim = x->ndim - 1};
  for (int i = 0; i < y.ndim; i++) y.dims[i] = x->dims[i < axis ? i : i + 1];
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_mean_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = (int)tsr_dims_product(&args->in[0].shape, 0, args->attrs->mean.axis)};
}

void tsr_op_mean_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const tsr_shape *x = &args->in[0].shape;
  int axis = args->attrs->mean.axis, length = x->dims[axis];
  int inner = (int)tsr_dims_product(x, axis + 1, x->ndim);
  const float *in = args->in[0].data + (size_t)task * length * inner;
  float *out = args->out[0].data + (size_t)task * inner;
  for (int i = 0; i < inner; i++) out[i] = in[i];
  for (int j = 1; j < length; j++) args->kernels->add(out, out, in + (size_t)j * inner, inner);
  for (int i = 0; i < inner; i++) out[i] /= (float)length;
}
