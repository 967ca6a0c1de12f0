/* mean: the mean over one axis; see ops.inc.
 * A task is a block of columns at one index of the dims before the axis. A sum runs along the axis in order. */
#include <string.h>

#include "ops.h"

int tsr_op_mean_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int axis = args->attrs->mean.axis;
  if (axis < 0 || axis >= x->ndim || x->dims[axis] < 1) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "axis %d of %s does not exist or is empty", axis, tsr_shape_print(x, text));
    return 0;
  }
  tsr_shape y = {.ndim = x->ndim - 1};
  for (int i = 0; i < y.ndim; i++) y.dims[i] = x->dims[i < axis ? i : i + 1];
  args->out[0].shape = y;
  return 1;
}

static size_t inner_of(const tsr_op_args *args) {
  return tsr_dims_product(&args->in[0].shape, args->attrs->mean.axis + 1, args->in[0].shape.ndim);
}

tsr_op_work tsr_op_mean_work(const tsr_op_args *args) {
  int outer = (int)tsr_dims_product(&args->in[0].shape, 0, args->attrs->mean.axis);
  return (tsr_op_work){.tasks = outer * tsr_tasks(inner_of(args), TSR_SUM_COLUMNS)};
}

void tsr_op_mean_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int length = args->in[0].shape.dims[args->attrs->mean.axis];
  size_t inner = inner_of(args), begin, end;
  int blocks = tsr_tasks(inner, TSR_SUM_COLUMNS);
  tsr_task_range(inner, TSR_SUM_COLUMNS, task % blocks, &begin, &end);
  const float *in = args->in[0].data + (size_t)(task / blocks) * length * inner + begin;
  float *out = args->out[0].data + (size_t)(task / blocks) * inner + begin;
  int n = (int)(end - begin);
  memcpy(out, in, (size_t)n * sizeof *out);
  for (int j = 1; j < length; j++) args->kernels->add(out, out, in + (size_t)j * inner, n);
  for (int i = 0; i < n; i++) out[i] /= (float)length;
}
