/* expand: a value repeated along dims of length 1; see ops.inc. */
#include <string.h>

#include "broadcast.h"

int tsr_op_expand_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->attrs->expand.shape;
  int ok = x->ndim == y->ndim && x->ndim > 0;
  for (int i = 0; ok && i < x->ndim; i++) ok = x->dims[i] == y->dims[i] || x->dims[i] == 1;
  if (!ok) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "%s cannot be expanded to %s", tsr_shape_print(x, text[0]), tsr_shape_print(y, text[1]));
    return 0;
  }
  args->out[0].shape = *y;
  return 1;
}

tsr_op_work tsr_op_expand_work(const tsr_op_args *args) { return tsr_broadcast_work(args); }

static void copy(float *y, const float *a, const float *b, int n) {
  (void)b;
  memcpy(y, a, (size_t)n * sizeof *y);
}

void tsr_op_expand_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  tsr_broadcast_run(args, task, copy);
}
