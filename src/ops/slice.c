/* slice: a part of an axis; see ops.inc. */

#include "strips.h"

int tsr_op_slice_shape(tsr_op_args *args, char *why) {
  int axis = args->attrs->slice.axis, begin = args->attrs->slice.begin, end = args->attrs->slice.end;
  tsr_shape y = args->in[0].shape;
  if (!tsr_has_axis(&y, axis) || begin < 0 || end < begin || end > y.dims[axis]) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "[%d:%d] is outside axis %d of %s", begin, end, axis, tsr_shape_print(&y, text));
    return 0;
  }
  y.dims[axis] = end - begin;
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_slice_work(const tsr_op_args *args) { return tsr_strips_work(args); }

void tsr_op_slice_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int axis = args->attrs->slice.axis;
  const tsr_shape *x = &args->in[0].shape, *y = &args->out[0].shape;
  size_t inner = tsr_dims_product(x, axis + 1, x->ndim);
  tsr_strip strip = {args->in[0].data + (size_t)args->attrs->slice.begin * inner, (size_t)y->dims[axis] * inner,
                     (size_t)x->dims[axis] * inner};
  tsr_strips_run(args, task, &strip, 1);
}
