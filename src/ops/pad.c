/* pad: zeros around an axis; see ops.inc. */

#include "strips.h"

int tsr_op_pad_shape(tsr_op_args *args, char *why) {
  int axis = args->attrs->pad.axis;
  tsr_shape y = args->in[0].shape;
  if (!tsr_has_axis(&y, axis) || args->attrs->pad.before < 0 || args->attrs->pad.after < 0) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "padding of %d and %d does not fit axis %d of %s", args->attrs->pad.before,
              args->attrs->pad.after, axis, tsr_shape_print(&y, text));
    return 0;
  }
  y.dims[axis] += args->attrs->pad.before + args->attrs->pad.after;
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_pad_work(const tsr_op_args *args) { return tsr_strips_work(args); }

void tsr_op_pad_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int axis = args->attrs->pad.axis;
  const tsr_shape *x = &args->in[0].shape;
  size_t inner = tsr_dims_product(x, axis + 1, x->ndim), run = (size_t)x->dims[axis] * inner;
  tsr_strip strips[3] = {{NULL, (size_t)args->attrs->pad.before * inner, 0},
                         {args->in[0].data, run, run},
                         {NULL, (size_t)args->attrs->pad.after * inner, 0}};
  tsr_strips_run(args, task, strips, 3);
}
