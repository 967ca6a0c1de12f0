/* batch_norm: the scale and offset of a BatchNorm with the statistics of training; see ops.inc. Ioffe and Szegedy 2015,
 * arXiv 1502.03167. */
#include <math.h>

#include "ops.h"

int tsr_op_batch_norm_shape(tsr_op_args *args, char *why) {
  args->out[0].shape = args->out[1].shape = args->in[0].shape;
  args->n_out = 2;
  for (int i = 1; i < args->n_in; i++)
    if (!tsr_shape_equal(&args->in[i].shape, &args->in[0].shape)) {
      tsr_print(why, TSR_WHY, "input %d does not have the weight's shape", i);
      return 0;
    }
  return 1;
}

tsr_op_work tsr_op_batch_norm_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS)};
}

void tsr_op_batch_norm_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_arg *in = args->in;
  size_t i, end;
  (void)scratch;
  tsr_task_range(tsr_shape_count(&in[0].shape, NULL), TSR_TASK_FLOATS, task, &i, &end);
  for (; i < end; i++) {
    double scale = in[0].data[i] / sqrt((double)in[3].data[i] + args->attrs->batch_norm.eps);
    double before = args->n_in > 4 ? (double)in[4].data[i] : 0;
    args->out[0].data[i] = (float)scale;
    args->out[1].data[i] = (float)(in[1].data[i] + scale * (before - (double)in[2].data[i]));
  }
}
