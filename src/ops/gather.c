/* gather: rows by number; see ops.inc. A task is a block of whole rows of the output. */
#include <string.h>

#include "ops.h"

int tsr_op_gather_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *at = &args->in[1].shape;
  if (x->ndim < 2 || at->ndim != 2 || (at->dims[0] != x->dims[0] && at->dims[0] != 1)) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "indices %s of %s", tsr_shape_print(at, text[0]), tsr_shape_print(x, text[1]));
    return 0;
  }
  args->out[0].shape = *x;
  args->out[0].shape.dims[1] = at->dims[1];
  return 1;
}

static size_t width_of(const tsr_op_args *args) { return tsr_dims_product(&args->in[0].shape, 2, args->in[0].shape.ndim); }
static size_t chunk_of(size_t width) { return width < TSR_TASK_FLOATS ? TSR_TASK_FLOATS / (width + !width) : 1; }

tsr_op_work tsr_op_gather_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_dims_product(&args->out[0].shape, 0, 2), chunk_of(width_of(args)))};
}

void tsr_op_gather_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t width = width_of(args), rows = (size_t)args->in[0].shape.dims[1], per = (size_t)args->in[1].shape.dims[1], i, end;
  const float *indices = args->in[1].data;
  int shared = args->in[1].shape.dims[0] == 1;
  tsr_task_range(tsr_dims_product(&args->out[0].shape, 0, 2), chunk_of(width), task, &i, &end);
  for (; i < end; i++) {
    float *y = args->out[0].data + i * width, at = indices[shared ? i % per : i] + 0.5f; /* rounds: an index may be the sum of products */
    int is_there = at >= 0 && at < (float)rows;
    const float *x = args->in[0].data + (i / per * rows + (is_there ? (size_t)at : 0)) * width;
    if (width == 1) *y = is_there ? *x : 0; /* as a table's numbers: no call for each */
    else if (is_there) memcpy(y, x, width * sizeof *y);
    else memset(y, 0, width * sizeof *y);
  }
}
