/* unfold: the numbers of each window of a map as channels; see ops.inc.
 * A task is a row of windows of one image of the batch. */
#include <string.h>

#include "ops.h"
#include "window.h"

int tsr_op_unfold_shape(tsr_op_args *args, char *why) {
  const __typeof__(args->attrs->unfold) *a = &args->attrs->unfold;
  const tsr_shape *x = &args->in[0].shape;
  int h = x->ndim == 4 ? tsr_window_count(x->dims[1], a->kernel, a->stride, a->pad) : 0;
  int w = x->ndim == 4 ? tsr_window_count(x->dims[2], a->kernel, a->stride, a->pad) : 0;
  if (h < 1 || w < 1) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "windows of %d do not fit into %s", a->kernel, tsr_shape_print(x, text));
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], h, w, x->dims[3] * a->kernel * a->kernel);
  return 1;
}

tsr_op_work tsr_op_unfold_work(const tsr_op_args *args) {
  const int32_t *out = args->out[0].shape.dims;
  return (tsr_op_work){.tasks = out[0] * out[1]};
}

void tsr_op_unfold_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const __typeof__(args->attrs->unfold) *a = &args->attrs->unfold;
  const int32_t *in = args->in[0].shape.dims, *out = args->out[0].shape.dims;
  int channels = in[3], taps = a->kernel * a->kernel;
  size_t width = (size_t)out[2] * (size_t)out[3];
  float *y = args->out[0].data + (size_t)task * width;
  memset(y, 0, width * sizeof *y);
  tsr_span down = tsr_window_span(in[1], a->kernel, a->stride, a->pad, task % out[1], 1);
  const float *row = args->in[0].data + ((size_t)(task / out[1]) * in[1] + down.from) * in[2] * channels;
  for (int column = 0; column < out[2]; column++, y += (size_t)taps * channels) {
    tsr_span across = tsr_window_span(in[2], a->kernel, a->stride, a->pad, column, 1);
    for (int r = down.first; r < down.last; r++)
      args->kernels->transpose(y + r * a->kernel + across.first, taps,
                               row + ((size_t)(r - down.first) * in[2] + across.from) * channels, channels,
                               across.last - across.first, channels);
  }
}
