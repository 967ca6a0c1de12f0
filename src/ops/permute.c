/* permute: dims in another order; see ops.inc. */
#include <string.h>

#include "walk.h"

enum { ROWS = 256 }; /* the part of the output's innermost dim that a task takes, unless the other dim is short */

int tsr_op_permute_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  unsigned seen = 0;
  tsr_shape y = {.ndim = x->ndim};
  for (int i = 0; i < x->ndim; i++) {
    int from = args->attrs->permute.order[i];
    if (from < 0 || from >= x->ndim || seen >> from & 1) {
      tsr_print(why, TSR_WHY, "order is not a permutation of %d dims", x->ndim);
      return 0;
    }
    seen |= 1u << from;
    y.dims[i] = x->dims[from];
  }
  args->out[0].shape = y;
  return 1;
}

/* How the work is divided. Where the output's innermost dim is not contiguous in the input, it is transposed with the
 * dim that is, `across`, in blocks of [rows, columns]; `rest` is the product of the other dims. Else runs are
 * copied. */
typedef struct cut {
  tsr_walk walk;
  int across;
  size_t rows, columns, row_blocks, column_blocks, rest;
} cut;

static cut cut_of(const tsr_op_args *args) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->out[0].shape;
  cut c = {.rest = 1};
  for (int i = y->ndim - 1; i >= 0; i--) {
    size_t step = tsr_dims_product(x, args->attrs->permute.order[i] + 1, x->ndim);
    tsr_walk_add(&c.walk, (size_t)y->dims[i], step, step);
  }
  if (!c.walk.ndim) c.walk = (tsr_walk){1, {1}, {1}, {1}};
  while (c.across + 1 < c.walk.ndim && c.walk.a[c.across] != 1) c.across++;
  size_t n = c.walk.size[0], m = c.walk.size[c.across];
  c.rows = n < ROWS ? n : ROWS;
  c.columns = !c.rows || m < TSR_TASK_FLOATS / c.rows ? m : TSR_TASK_FLOATS / c.rows;
  if (c.columns && c.rows < n) c.rows = n < TSR_TASK_FLOATS / c.columns ? n : TSR_TASK_FLOATS / c.columns;
  if (c.rows) c.row_blocks = (n + c.rows - 1) / c.rows;
  if (c.columns) c.column_blocks = (m + c.columns - 1) / c.columns;
  for (int i = 1; i < c.walk.ndim; i++)
    if (i != c.across) c.rest *= c.walk.size[i];
  return c;
}

tsr_op_work tsr_op_permute_work(const tsr_op_args *args) {
  cut c = cut_of(args);
  size_t count = tsr_shape_count(&args->out[0].shape, NULL);
  return (tsr_op_work){.tasks = c.across ? (int)(c.rest * c.row_blocks * c.column_blocks)
                                         : tsr_tasks(count, TSR_TASK_FLOATS)};
}

static void copy_runs(const tsr_op_args *args, const tsr_walk *walk, int task) {
  size_t n = walk->size[0], begin, end, count, from, same;
  tsr_task_range(tsr_shape_count(&args->out[0].shape, NULL), TSR_TASK_FLOATS, task, &begin, &end);
  for (size_t at = begin; at < end; at += count) {
    size_t column = at % n;
    count = n - column < end - at ? n - column : end - at;
    tsr_walk_at(walk, 1, at / n, &from, &same);
    memcpy(args->out[0].data + at, args->in[0].data + from + column, count * sizeof(float));
  }
}

void tsr_op_permute_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  cut c = cut_of(args);
  if (!c.across) {
    copy_runs(args, &c.walk, task);
    return;
  }
  size_t row = (size_t)task % c.row_blocks * c.rows, column = (size_t)task / c.row_blocks % c.column_blocks * c.columns;
  size_t rest = (size_t)task / c.row_blocks / c.column_blocks, step = 1, across_step = 0, x = 0, y = 0;
  for (int i = 0; i < c.walk.ndim; step *= c.walk.size[i++]) {
    if (i == c.across) across_step = step;
    if (i == 0 || i == c.across) continue;
    x += rest % c.walk.size[i] * c.walk.a[i], y += rest % c.walk.size[i] * step;
    rest /= c.walk.size[i];
  }
  size_t rows = c.walk.size[0] - row < c.rows ? c.walk.size[0] - row : c.rows;
  size_t columns = c.walk.size[c.across] - column < c.columns ? c.walk.size[c.across] - column : c.columns;
  args->kernels->transpose(args->out[0].data + y + column * across_step + row, (int)across_step,
                           args->in[0].data + x + row * c.walk.a[0] + column, (int)c.walk.a[0], (int)rows,
                           (int)columns);
}
