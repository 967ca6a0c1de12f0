/* concat: see ops.inc. One task per input. */
#include <stdio.h>
#include <string.h>

#include "ops.h"

int tsr_op_concat_shape(tsr_op_args *args, char *why) {
  int axis = args->attrs->concat.axis;
  tsr_shape y = args->in[0].shape;
  for (int i = 1; i < args->n_in; i++) {
    tsr_shape x = args->in[i].shape;
    int length = axis < x.ndim ? x.dims[axis] : 0;
    if (axis < x.ndim) x.dims[axis] = y.dims[axis];
    if (axis >= y.ndim || !tsr_shape_equal(&x, &y)) {
      char text[2][TSR_SHAPE_TEXT];
      snprintf(why, TSR_WHY, "%s and %s along axis %d", tsr_shape_print(&args->in[0].shape, text[0]),
               tsr_shape_print(&args->in[i].shape, text[1]), axis);
      return 0;
    }
    y.dims[axis] += length;
  }
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_concat_work(const tsr_op_args *args) { return (tsr_op_work){.tasks = args->n_in}; }

void tsr_op_concat_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int axis = args->attrs->concat.axis;
  const tsr_shape *y = &args->out[0].shape, *x = &args->in[task].shape;
  size_t outer = tsr_dims_product(y, 0, axis), before = 0;
  size_t run = tsr_dims_product(x, axis, x->ndim), stride = tsr_dims_product(y, axis, y->ndim);
  for (int i = 0; i < task; i++) before += tsr_dims_product(&args->in[i].shape, axis, y->ndim);
  for (size_t o = 0; o < outer; o++)
    memcpy(args->out[0].data + o * stride + before, args->in[task].data + o * run, run * sizeof(float));
}
