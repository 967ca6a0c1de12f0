/* The row of each op, expanded from ops.inc. */
#include "ops.h"

#define TSR_OP(name, least, most, outs, traits, ...) \
  const tsr_op_row TSR_OP_##name[1] = {              \
      {#name, least, most, outs, traits, tsr_op_##name##_shape, tsr_op_##name##_work, tsr_op_##name##_run}};
#include "ops.inc"
#undef TSR_OP
