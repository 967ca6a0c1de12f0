/* concat: several values joined along one axis; see ops.inc. */

#include "strips.h"

int tsr_op_concat_shape(tsr_op_args *args, char *why) {
  int axis = args->attrs->concat.axis;
  tsr_shape y = args->in[0].shape;
  for (int i = 1; i < args->n_in; i++) {
    tsr_shape x = args->in[i].shape;
    int is_axis = tsr_has_axis(&x, axis), length = is_axis ? x.dims[axis] : 0;
    if (is_axis) x.dims[axis] = y.dims[axis];
    if (!is_axis || !tsr_shape_equal(&x, &y)) {
      char text[2][TSR_SHAPE_TEXT];
      tsr_print(why, TSR_WHY, "%s and %s cannot be joined along axis %d", tsr_shape_print(&args->in[0].shape, text[0]),
                tsr_shape_print(&args->in[i].shape, text[1]), axis);
      return 0;
    }
    y.dims[axis] += length;
  }
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_concat_work(const tsr_op_args *args) { return tsr_strips_work(args); }

void tsr_op_concat_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  tsr_strip strips[TSR_MAX_IN];
  for (int i = 0; i < args->n_in; i++) {
    size_t run = tsr_dims_product(&args->in[i].shape, args->attrs->concat.axis, args->in[i].shape.ndim);
    strips[i] = (tsr_strip){args->in[i].data, run, run};
  }
  tsr_strips_run(args, task, strips, args->n_in);
}
