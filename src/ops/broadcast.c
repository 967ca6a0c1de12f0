/* Broadcasting; see broadcast.h. Rows are runs over the last dim; each row of the output finds its row in either input. */
#include "broadcast.h"

#include <stdio.h>

enum { CHUNK_ROWS = 64 };

static int dim_from_right(const tsr_shape *shape, int i) { return i < shape->ndim ? shape->dims[shape->ndim - 1 - i] : 1; }

int tsr_broadcast_shape(tsr_op_args *args, char *why) {
  const tsr_shape *a = &args->in[0].shape, *b = &args->in[1].shape;
  tsr_shape *y = &args->out[0].shape;
  y->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
  for (int i = 0; i < y->ndim; i++) {
    int da = dim_from_right(a, i), db = dim_from_right(b, i);
    if (da != db && da != 1 && db != 1) {
      char text[2][TSR_SHAPE_TEXT];
      snprintf(why, TSR_WHY, "%s and %s do not go together", tsr_shape_print(a, text[0]), tsr_shape_print(b, text[1]));
      return 0;
    }
    y->dims[y->ndim - 1 - i] = da == 1 ? db : da;
  }
  return 1;
}

tsr_op_work tsr_broadcast_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_rows(&args->out[0].shape), CHUNK_ROWS)};
}

/* Where output row `row` begins in an input. */
static size_t row_offset(const tsr_shape *in, const tsr_shape *out, size_t row) {
  size_t offset = 0, stride = (size_t)dim_from_right(in, 0);
  for (int i = 1; i < out->ndim; i++) {
    size_t size = (size_t)dim_from_right(out, i), index = row % size;
    row /= size;
    if (dim_from_right(in, i) != 1) offset += index * stride;
    stride *= (size_t)dim_from_right(in, i);
  }
  return offset;
}

void tsr_broadcast_run(const tsr_op_args *args, int task, tsr_kf_add *kernel) {
  const tsr_shape *out = &args->out[0].shape, *a = &args->in[0].shape, *b = &args->in[1].shape;
  int n = tsr_shape_last(out), repeat_a = dim_from_right(a, 0) != n, repeat_b = dim_from_right(b, 0) != n;
  size_t begin, end;
  tsr_task_range(tsr_rows(out), CHUNK_ROWS, task, &begin, &end);
  for (size_t row = begin; row < end; row++) {
    const float *x = args->in[0].data + row_offset(a, out, row), *z = args->in[1].data + row_offset(b, out, row);
    float *y = args->out[0].data + row * n;
    if (!repeat_a && !repeat_b) kernel(y, x, z, n);
    else
      for (int i = 0; i < n; i++) kernel(y + i, x + (repeat_a ? 0 : i), z + (repeat_b ? 0 : i), 1);
  }
}
