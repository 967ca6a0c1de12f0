/* NumPy broadcasting for elementwise ops of two inputs: shapes are aligned at the right, a dim of 1 repeats. */
#ifndef TSR_OPS_BROADCAST_H
#define TSR_OPS_BROADCAST_H

#include "ops.h"

int tsr_broadcast_shape(tsr_op_args *args, char *why);
tsr_op_work tsr_broadcast_work(const tsr_op_args *args);
/* Applies `kernel` to the task's part of the output. An op of one input has it twice. */
void tsr_broadcast_run(const tsr_op_args *args, int task, tsr_kf_add *kernel);

#endif
