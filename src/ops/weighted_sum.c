/* weighted_sum: the sum of tokens, each times a weight; see ops.inc.
 * A task is a block of columns of one image of the batch. A sum runs over n in order. */

#include "ops.h"

int tsr_op_weighted_sum_shape(tsr_op_args *args, char *why) {
  const tsr_shape *w = &args->in[0].shape, *x = &args->in[1].shape;
  if (w->ndim != 2 || x->ndim != 3 || w->dims[0] != x->dims[0] || w->dims[1] != x->dims[1]) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "weights %s do not fit %s", tsr_shape_print(w, text[0]), tsr_shape_print(x, text[1]));
    return 0;
  }
  args->out[0].shape = tsr_shape_of(2, x->dims[0], x->dims[2]);
  return 1;
}

tsr_op_work tsr_op_weighted_sum_work(const tsr_op_args *args) {
  const int32_t *x = args->in[1].shape.dims;
  return (tsr_op_work){.tasks = x[0] * tsr_tasks((size_t)x[2], TSR_SUM_COLUMNS),
                       .operations = (double)tsr_shape_count(&args->in[1].shape, NULL)};
}

void tsr_op_weighted_sum_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int n = args->in[1].shape.dims[1];
  size_t c = (size_t)args->in[1].shape.dims[2], begin, end;
  int blocks = tsr_tasks(c, TSR_SUM_COLUMNS), batch = task / blocks;
  tsr_task_range(c, TSR_SUM_COLUMNS, task % blocks, &begin, &end);
  const float *w = args->in[0].data + (size_t)batch * n, *x = args->in[1].data + (size_t)batch * n * c;
  float *y = args->out[0].data + (size_t)batch * c;
  for (size_t j = begin; j < end; j++) y[j] = 0;
  for (int i = 0; i < n; i++)
    for (size_t j = begin; j < end; j++) y[j] += w[i] * x[(size_t)i * c + j];
}
