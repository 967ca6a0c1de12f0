/* NumPy's broadcasting for elementwise ops of two inputs: shapes are aligned at the right, and a dim of 1 repeats. */
#ifndef TSR_OPS_BROADCAST_H
#define TSR_OPS_BROADCAST_H

#include "ops.h"

/* The shape rule and the work of such an op. */
int tsr_broadcast_shape(tsr_op_args *args, char *why);
tsr_op_work tsr_broadcast_work(const tsr_op_args *args);
/* Applies `kernel` to the task's part of the output. For an op of one input, both inputs are that one. */
void tsr_broadcast_run(const tsr_op_args *args, int task, tsr_kf_add *kernel);

#endif
