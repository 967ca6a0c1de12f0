/* gather: rows chosen by index; see ops.inc. A task is a block of whole rows of the output. */
#include <string.h>

#include "ops.h"

int tsr_op_gather_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *at = &args->in[1].shape;
  if (x->ndim < 2 || at->ndim != 2 || (at->dims[0] != x->dims[0] && at->dims[0] != 1)) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "indices %s do not fit %s", tsr_shape_print(at, text[0]), tsr_shape_print(x, text[1]));
    return 0;
  }
  args->out[0].shape = *x;
  args->out[0].shape.dims[1] = at->dims[1];
  return 1;
}

static size_t width_of(const tsr_op_args *args) {
  return tsr_dims_product(&args->in[0].shape, 2, args->in[0].shape.ndim);
}
static size_t chunk_of(size_t width) { return width < TSR_TASK_FLOATS ? TSR_TASK_FLOATS / (width + !width) : 1; }

tsr_op_work tsr_op_gather_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_dims_product(&args->out[0].shape, 0, 2), chunk_of(width_of(args)))};
}

void tsr_op_gather_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t rows = (size_t)args->in[0].shape.dims[1], per = (size_t)args->in[1].shape.dims[1];
  size_t width = width_of(args), i, end;
  const float *indices = args->in[1].data;
  int shared = args->in[1].shape.dims[0] == 1;
  tsr_task_range(tsr_dims_product(&args->out[0].shape, 0, 2), chunk_of(width), task, &i, &end);
  for (; i < end; i++) {
    /* Rounded, because an index may be a sum of products. */
    float *y = args->out[0].data + i * width, at = indices[shared ? i % per : i] + 0.5f;
    int is_there = at >= 0 && at < (float)rows;
    const float *x = args->in[0].data + (i / per * rows + (is_there ? (size_t)at : 0)) * width;
    if (width == 1) *y = is_there ? *x : 0; /* rows of one number, as in tables: without a call for each */
    else if (is_there) memcpy(y, x, width * sizeof *y);
    else memset(y, 0, width * sizeof *y);
  }
}
