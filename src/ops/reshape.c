/* reshape: the same numbers under another shape; see ops.inc.
 * It is a view: the executor gives output and input the same memory, so there is nothing to run. */

#include "ops.h"

int tsr_op_reshape_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->attrs->reshape.shape;
  if (tsr_shape_count(x, NULL) != tsr_shape_count(y, NULL)) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "%s cannot become %s", tsr_shape_print(x, text[0]), tsr_shape_print(y, text[1]));
    return 0;
  }
  args->out[0].shape = *y;
  return 1;
}

tsr_op_work tsr_op_reshape_work(const tsr_op_args *args) {
  (void)args;
  return (tsr_op_work){0};
}

void tsr_op_reshape_run(const tsr_op_args *args, int task, void *scratch) { (void)args, (void)task, (void)scratch; }
