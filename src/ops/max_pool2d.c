/* max_pool2d: see ops.inc. A task is a row of output pixels. */
#include <math.h>
#include <stdio.h>

#include "ops.h"

int tsr_op_max_pool2d_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int kernel = args->attrs->max_pool2d.kernel, stride = args->attrs->max_pool2d.stride, pad = args->attrs->max_pool2d.pad;
  char text[TSR_SHAPE_TEXT];
  if (x->ndim != 4 || 2 * pad > kernel || x->dims[1] + 2 * pad < kernel || x->dims[2] + 2 * pad < kernel) {
    snprintf(why, TSR_WHY, "input %s, kernel %d, padding %d (at most half the kernel)", tsr_shape_print(x, text), kernel, pad);
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], (x->dims[1] + 2 * pad - kernel) / stride + 1,
                                    (x->dims[2] + 2 * pad - kernel) / stride + 1, x->dims[3]);
  return 1;
}

tsr_op_work tsr_op_max_pool2d_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = args->out[0].shape.dims[0] * args->out[0].shape.dims[1]};
}

void tsr_op_max_pool2d_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const int32_t *in = args->in[0].shape.dims, *out = args->out[0].shape.dims;
  int kernel = args->attrs->max_pool2d.kernel, stride = args->attrs->max_pool2d.stride, pad = args->attrs->max_pool2d.pad;
  int channels = in[3], oy = task % out[1];
  const float *image = args->in[0].data + (size_t)(task / out[1]) * in[1] * in[2] * channels;
  float *y = args->out[0].data + (size_t)task * out[2] * channels;
  for (int ox = 0; ox < out[2]; ox++, y += channels) {
    for (int c = 0; c < channels; c++) y[c] = -INFINITY;
    for (int ky = 0; ky < kernel; ky++) {
      int iy = oy * stride - pad + ky;
      if (iy < 0 || iy >= in[1]) continue;
      for (int kx = 0; kx < kernel; kx++) {
        int ix = ox * stride - pad + kx;
        if (ix < 0 || ix >= in[2]) continue;
        const float *x = image + ((size_t)iy * in[2] + ix) * channels;
        for (int c = 0; c < channels; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
      }
    }
  }
}
