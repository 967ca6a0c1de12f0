/* permute: see ops.inc. A task is one index of the output's first dim. */
#include <stdio.h>

#include "ops.h"

int tsr_op_permute_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  unsigned seen = 0;
  tsr_shape y = {.ndim = x->ndim};
  for (int i = 0; i < x->ndim; i++) {
    int from = args->attrs->permute.order[i];
    if (from < 0 || from >= x->ndim || seen >> from & 1) {
      snprintf(why, TSR_WHY, "order is no permutation of %d dims", x->ndim);
      return 0;
    }
    seen |= 1u << from;
    y.dims[i] = x->dims[from];
  }
  args->out[0].shape = y;
  return 1;
}

tsr_op_work tsr_op_permute_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = args->out[0].shape.ndim ? args->out[0].shape.dims[0] : 1};
}

void tsr_op_permute_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const tsr_shape *x = &args->in[0].shape, *y = &args->out[0].shape;
  size_t stride[TSR_MAX_DIMS] = {0}, inner = tsr_dims_product(y, 1, y->ndim);
  for (int i = 0; i < y->ndim; i++) {
    int from = args->attrs->permute.order[i];
    stride[i] = tsr_dims_product(x, from + 1, x->ndim);
  }
  int last = y->ndim - 1, run = last > 0 ? y->dims[last] : 1;
  const float *in = args->in[0].data + (size_t)task * stride[0];
  float *out = args->out[0].data + (size_t)task * inner;
  for (size_t row = 0; row < inner; row += (size_t)run) {
    size_t rest = row / (size_t)run, offset = 0;
    for (int i = last - 1; i > 0; i--) {
      offset += rest % (size_t)y->dims[i] * stride[i];
      rest /= (size_t)y->dims[i];
    }
    size_t step = last > 0 ? stride[last] : 0;
    for (int j = 0; j < run; j++) out[row + (size_t)j] = in[offset + (size_t)j * step];
  }
}
