/* The op table, expanded from ops.inc. */
#include "ops.h"

const tsr_op_row tsr_ops[TSR_OP_COUNT] = {
#define TSR_OP(name, least, most, outs, ...) \
  {#name, least, most, outs, tsr_op_##name##_shape, tsr_op_##name##_work, tsr_op_##name##_run},
#include "../ops.inc"
#undef TSR_OP
};
