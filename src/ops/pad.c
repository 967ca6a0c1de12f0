/* pad: see ops.inc. */
#include <stdio.h>
#include <string.h>

#include "ops.h"

int tsr_op_pad_shape(tsr_op_args *args, char *why) {
  int axis = args->attrs->pad.axis;
  tsr_shape y = args->in[0].shape;
  if (axis >= y.ndim || args->attrs->pad.before < 0 || args->attrs->pad.after < 0) {
    char text[TSR_SHAPE_TEXT];
    snprintf(why, TSR_WHY, "%d and %d along axis %d of %s", args->attrs->pad.before, args->attrs->pad.after, axis,
             tsr_shape_print(&y, text));
    return 0;
  }
  y.dims[axis] += args->attrs->pad.before + args->attrs->pad.after;
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_pad_work(const tsr_op_args *args) {
  (void)args;
  return (tsr_op_work){.tasks = 1};
}

void tsr_op_pad_run(const tsr_op_args *args, int task, void *scratch) {
  (void)task, (void)scratch;
  int axis = args->attrs->pad.axis;
  const tsr_shape *x = &args->in[0].shape;
  size_t outer = tsr_dims_product(x, 0, axis), inner = tsr_dims_product(x, axis + 1, x->ndim);
  size_t run = (size_t)x->dims[axis] * inner;
  size_t before = (size_t)args->attrs->pad.before * inner, after = (size_t)args->attrs->pad.after * inner;
  float *y = args->out[0].data;
  for (size_t o = 0; o < outer; o++) {
    memset(y, 0, before * sizeof *y);
    memcpy(y + before, args->in[0].data + o * run, run * sizeof *y);
    memset(y + before + run, 0, after * sizeof *y);
    y += before + run + after;
  }
}
