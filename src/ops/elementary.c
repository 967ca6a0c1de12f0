/* elementary: exp, sine or cosine of each number, for parameters; see ops.inc. */
#include "base/elementary.h"

#include "ops.h"

int tsr_op_elementary_shape(tsr_op_args *args, char *why) {
  (void)why;
  args->out[0].shape = args->in[0].shape;
  return 1;
}

tsr_op_work tsr_op_elementary_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS)};
}

void tsr_op_elementary_run(const tsr_op_args *args, int task, void *scratch) {
  static double (*const functions[])(double) = {tsr_exp, tsr_sin, tsr_cos};
  size_t i, end;
  (void)scratch;
  tsr_task_range(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS, task, &i, &end);
  for (; i < end; i++) args->out[0].data[i] = (float)functions[args->attrs->elementary.function](args->in[0].data[i]);
}
