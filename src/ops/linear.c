/* linear: see ops.inc. Tasks are blocks of rows of one group; with few rows also blocks of columns. */
#include <stdio.h>

#include "matmul.h"

int tsr_op_linear_shape(tsr_op_args *args, char *why) {
  const tsr_weight *w = args->in[1].weight;
  char text[TSR_SHAPE_TEXT];
  const tsr_shape *x = &args->in[0].shape;
  int groups = w->layout.groups, n = groups * w->layout.n, next = 2;
  if (x->ndim < 1 || tsr_shape_last(x) != groups * w->k) {
    snprintf(why, TSR_WHY, "input %s does not end in the %d columns that the weight takes", tsr_shape_print(x, text), groups * w->k);
    return 0;
  }
  tsr_shape y = *x;
  y.dims[y.ndim - 1] = n;
  if (args->attrs->linear.has_bias && tsr_shape_count(&args->in[next++].shape, NULL) != (size_t)n) {
    snprintf(why, TSR_WHY, "bias %s, expected %d numbers", tsr_shape_print(&args->in[2].shape, text), n);
    return 0;
  }
  if (args->attrs->linear.has_residual && !tsr_shape_equal(&args->in[next].shape, &y)) {
    snprintf(why, TSR_WHY, "residual %s differs from the output", tsr_shape_print(&args->in[next].shape, text));
    return 0;
  }
  args->out[0].shape = y;
  return 1;
}

typedef struct split {
  int row_blocks, column_blocks, columns;
} split;

static split split_of(const tsr_op_args *args) {
  size_t rows = tsr_rows(&args->in[0].shape);
  int n = args->in[1].weight->layout.n;
  int columns = rows <= TSR_MATMUL_FEW_ROWS ? TSR_MATMUL_SPLIT : n;
  if (columns > n) columns = n ? n : 1;
  return (split){tsr_tasks(rows, TSR_MATMUL_ROWS), tsr_tasks((size_t)n, (size_t)(columns ? columns : 1)), columns};
}

tsr_op_work tsr_op_linear_work(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  return (tsr_op_work){.tasks = s.row_blocks * s.column_blocks * w->layout.groups,
                       .scratch = tsr_matmul_scratch(args->kernels, w, TSR_MATMUL_ROWS),
                       .operations = (double)tsr_rows(&args->in[0].shape) * w->layout.groups * w->layout.n * w->k};
}

void tsr_op_linear_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  int group = task / (s.row_blocks * s.column_blocks);
  int row_block = task / s.column_blocks % s.row_blocks, column_block = task % s.column_blocks;
  int ldx = w->k * w->layout.groups, ldy = w->layout.n * w->layout.groups, next = 2;
  size_t begin, end;
  tsr_task_range(tsr_rows(&args->in[0].shape), TSR_MATMUL_ROWS, row_block, &begin, &end);
  size_t at = begin * ldy + (size_t)group * w->layout.n;
  tsr_matmul matmul = {.kernels = args->kernels, .weight = w, .activation = args->attrs->linear.activation};
  if (args->attrs->linear.has_bias) matmul.bias = args->in[next++].data;
  if (args->attrs->linear.has_residual) matmul.residual = args->in[next].data + at;
  matmul.ld_residual = ldy;
  int n0 = column_block * s.columns, n1 = n0 + s.columns < w->layout.n ? n0 + s.columns : w->layout.n;
  tsr_matmul_block(&matmul, group, args->in[0].data + begin * ldx + (size_t)group * w->k, ldx, args->out[0].data + at, ldy,
                   (int)(end - begin), n0, n1, scratch);
}
