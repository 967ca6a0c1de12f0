/* Copying for concat, pad and slice: an output of equal rounds, each of strips that are copied from inputs or are
 * zero. */
#ifndef TSR_OPS_STRIPS_H
#define TSR_OPS_STRIPS_H

#include "ops.h"

typedef struct tsr_strip {
  const float *from;   /* the strip of the first round; NULL: zeros */
  size_t length, step; /* elements of the strip; elements of `from` from one round to the next */
} tsr_strip;

/* The work of such an op. */
static inline tsr_op_work tsr_strips_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->out[0].shape, NULL), TSR_TASK_FLOATS)};
}

/* Writes the part of task `task` of the output, whose rounds have `count` strips. */
void tsr_strips_run(const tsr_op_args *args, int task, const tsr_strip *strips, int count);

#endif
