/* expand: see ops.inc. A task is one index of the output's first dim. */
#include <stdio.h>
#include <string.h>

#include "ops.h"

int tsr_op_expand_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->attrs->expand.shape;
  int ok = x->ndim == y->ndim && x->ndim > 0;
  for (int i = 0; ok && i < x->ndim; i++) ok = x->dims[i] == y->dims[i] || x->dims[i] == 1;
  if (!ok) {
    char text[2][TSR_SHAPE_TEXT];
    snprintf(why, TSR_WHY, "%s to %s", tsr_shape_print(x, text[0]), tsr_shape_print(y, text[1]));
    return 0;
  }
  args->out[0].shape = *y;
  return 1;
}

tsr_op_work tsr_op_expand_work(const tsr_op_args *args) { return (tsr_op_work){.tasks = args->out[0].shape.dims[0]}; }

void tsr_op_expand_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const tsr_shape *x = &args->in[0].shape, *y = &args->out[0].shape;
  int n = tsr_shape_last(y), rows = (int)(tsr_dims_product(y, 0, y->ndim) / (size_t)y->dims[0] / (size_t)(n ? n : 1));
  if (y->ndim == 1) n = 1, rows = 1; /* a task is one number */
  int repeat = tsr_shape_last(x) != tsr_shape_last(y);
  for (int row = 0; row < rows; row++) {
    size_t rest = (size_t)task * rows + row, offset = 0, stride = (size_t)tsr_shape_last(x);
    for (int i = y->ndim - 2; i >= 0; i--) {
      if (x->dims[i] != 1) offset += rest % (size_t)y->dims[i] * stride;
      rest /= (size_t)y->dims[i];
      stride *= (size_t)x->dims[i];
    }
    if (y->ndim == 1) offset = repeat ? 0 : (size_t)task;
    float *out = args->out[0].data + ((size_t)task * rows + row) * n;
    if (!repeat) memcpy(out, args->in[0].data + offset, (size_t)n * sizeof *out);
    else
      for (int i = 0; i < n; i++) out[i] = args->in[0].data[offset];
  }
}
