/* depthwise_conv2d: a convolution of each channel with its own kernel; see ops.inc. A task is a row of output
 * pixels. */
#include <string.h>

#include "window.h"

typedef __typeof__(((tsr_attrs *)0)->depthwise_conv2d) depthwise_attrs;

int tsr_op_depthwise_conv2d_shape(tsr_op_args *args, char *why) {
  const depthwise_attrs *a = &args->attrs->depthwise_conv2d;
  const tsr_shape *x = &args->in[0].shape, *w = &args->in[1].shape;
  char text[2][TSR_SHAPE_TEXT];
  if (x->ndim != 4 || w->ndim != 4 || w->dims[0] != x->dims[3] || w->dims[1] != 1) {
    tsr_print(why, TSR_WHY, "input %s does not fit weight %s, expected [C,1,*,*]", tsr_shape_print(x, text[0]),
              tsr_shape_print(w, text[1]));
    return 0;
  }
  int h = tsr_window_count(x->dims[1], w->dims[2], a->stride_h, a->pad_h);
  int width = tsr_window_count(x->dims[2], w->dims[3], a->stride_w, a->pad_w);
  if (h < 1 || width < 1) {
    tsr_print(why, TSR_WHY, "input %s is smaller than the kernel %dx%d", tsr_shape_print(x, text[0]), (int)w->dims[2],
              (int)w->dims[3]);
    return 0;
  }
  if (args->n_in > 2 && tsr_shape_count(&args->in[2].shape, NULL) != (size_t)x->dims[3]) {
    tsr_print(why, TSR_WHY, "bias %s does not fit input %s", tsr_shape_print(&args->in[2].shape, text[1]),
              tsr_shape_print(x, text[0]));
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], h, width, x->dims[3]);
  return 1;
}

tsr_op_work tsr_op_depthwise_conv2d_work(const tsr_op_args *args) {
  const tsr_shape *y = &args->out[0].shape;
  return (tsr_op_work){.tasks = y->dims[0] * y->dims[1],
                       .operations = (double)tsr_shape_count(y, NULL) * tsr_dims_product(&args->in[1].shape, 2, 4)};
}

void tsr_op_depthwise_conv2d_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const depthwise_attrs *a = &args->attrs->depthwise_conv2d;
  const int32_t *in = args->in[0].shape.dims, *out = args->out[0].shape.dims, *kernel = args->in[1].shape.dims + 2;
  int c = in[3], line = in[2] * c;
  const float *bias = args->n_in > 2 ? args->in[2].data : NULL;
  tsr_span rows = tsr_window_span(in[1], kernel[0], a->stride_h, a->pad_h, task % out[1], 1);
  const float *x = args->in[0].data + ((size_t)(task / out[1]) * in[1] + rows.from) * line;
  const float *w = args->in[1].data + (size_t)rows.first * kernel[1] * c;
  float *y = args->out[0].data + (size_t)task * out[2] * c;
  for (int ox = 0; ox < out[2];) {
    tsr_span part = tsr_window_span(in[2], kernel[1], a->stride_w, a->pad_w, ox, out[2] - ox);
    args->kernels->depthwise(y + (size_t)ox * c, x + (size_t)part.from * c, a->stride_w * c, line,
                             w + (size_t)part.first * c, kernel[1] * c, bias, part.count, rows.last - rows.first,
                             part.last - part.first, c);
    ox += part.count;
  }
  tsr_activate(args->kernels, a->activation, y, y, out[2] * c);
}
