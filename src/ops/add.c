/* add: sum of two values; see ops.inc. */
#include "broadcast.h"

int tsr_op_add_shape(tsr_op_args *args, char *why) { return tsr_broadcast_shape(args, why); }

tsr_op_work tsr_op_add_work(const tsr_op_args *args) { return tsr_broadcast_work(args); }

void tsr_op_add_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  tsr_broadcast_run(args, task, args->kernels->add);
}
