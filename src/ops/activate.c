/* activate: see ops.inc; and the choice of activation that products share. */
#include <string.h>

#include "ops.h"

void tsr_activate(const tsr_kernels *kernels, int activation, float *y, const float *x, int n) {
  if (activation == TSR_ACT_GELU) kernels->gelu(y, x, n);
  else if (activation == TSR_ACT_RELU) kernels->relu(y, x, n);
  else if (y != x) memcpy(y, x, (size_t)n * sizeof *y);
}

int tsr_op_activate_shape(tsr_op_args *args, char *why) {
  (void)why;
  args->out[0].shape = args->in[0].shape;
  return 1;
}

tsr_op_work tsr_op_activate_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS)};
}

void tsr_op_activate_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t begin, end;
  tsr_task_range(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS, task, &begin, &end);
  tsr_activate(args->kernels, args->attrs->activate.activation, args->out[0].data + begin, args->in[0].data + begin,
               (int)(end - begin));
}
