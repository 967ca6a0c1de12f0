/* cross_entropy: the loss of logits for given classes or class probabilities; see ops.inc. */
#include <math.h>
#include <string.h>

#include "base/elementary.h"
#include "rowwise.h"

int tsr_op_cross_entropy_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *t = &args->in[1].shape;
  tsr_shape rows = *x;
  if (rows.ndim) rows.ndim--;
  if (x->ndim < 2 || !(tsr_shape_equal(t, x) || tsr_shape_equal(t, &rows))) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "targets %s do not fit %s", tsr_shape_print(t, text[1]), tsr_shape_print(x, text[0]));
    return 0;
  }
  args->out[0].shape = rows;
  return 1;
}

tsr_op_work tsr_op_cross_entropy_work(const tsr_op_args *args) {
  tsr_op_work work = tsr_rowwise_work(&args->in[0].shape);
  work.scratch = (size_t)tsr_shape_last(&args->in[0].shape) * sizeof(float);
  return work;
}

void tsr_op_cross_entropy_run(const tsr_op_args *args, int task, void *scratch) {
  float scale = args->attrs->cross_entropy.scale, eps = args->attrs->cross_entropy.eps, *p = scratch;
  size_t at;
  int k = tsr_shape_last(&args->in[0].shape), rows = tsr_rowwise_range(&args->in[0].shape, task, &at);
  int by_number = args->in[1].shape.ndim < args->in[0].shape.ndim;
  const float *x = args->in[0].data + at, *t = args->in[1].data + (by_number ? at / (size_t)k : at);
  float *y = args->out[0].data + at / (size_t)k;
  for (int r = 0; r < rows; r++, x += k, t += by_number ? 1 : k) {
    tsr_softmax_row state = {-INFINITY, 0, 0};
    memcpy(p, x, (size_t)k * sizeof *p);
    args->kernels->softmax_part(p, k, scale, 1, k, &state); /* p becomes e^(scale x - top) */
    float top = -INFINITY; /* computed here, because state.top is in the isa's own unit */
    for (int i = 0; i < k; i++)
      if (scale * x[i] > top) top = scale * x[i];
    double all = state.sum > 0 ? top + tsr_log(state.sum) : NAN, sum = 0;
    if (by_number) {
      int label = *t >= 0 && *t < k ? (int)*t : -1;
      y[r] = label < 0 || (float)label != *t ? NAN : (float)(all - (double)(scale * x[label]));
      continue;
    }
    for (int i = 0; i < k; i++) {
      float share = p[i] / state.sum;
      sum += t[i] * (share < 1e6f * eps ? -tsr_log(share + eps) : all - (double)(scale * x[i]));
    }
    y[r] = (float)sum;
  }
}
