/* What concat, pad and slice share: an output made of equal rounds, each of them strips copied from the inputs, or zeros. */
#ifndef TSR_OPS_STRIPS_H
#define TSR_OPS_STRIPS_H

#include "ops.h"

typedef struct tsr_strip {
  const float *from; /* of the first round; NULL: zeros */
  size_t length, step; /* elements of a round's strip, and between the rounds' in `from` */
} tsr_strip;

static inline tsr_op_work tsr_strips_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->out[0].shape, NULL), TSR_TASK_FLOATS)};
}

/* Writes the task's part of the output. */
void tsr_strips_run(const tsr_op_args *args, int task, const tsr_strip *strips, int count);

#endif
