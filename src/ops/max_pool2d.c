/* max_pool2d: the largest number of each window; see ops.inc. A task is a row of output pixels. */
#include "window.h"

typedef struct across { /* a window along the columns */
  int kernel, stride, pad;
} across;

static across across_of(const tsr_op_args *args) {
  const __typeof__(args->attrs->max_pool2d) *a = &args->attrs->max_pool2d;
  return a->rows_only ? (across){1, 1, 0} : (across){a->kernel, a->stride, a->pad};
}

int tsr_op_max_pool2d_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int kernel = args->attrs->max_pool2d.kernel, stride = args->attrs->max_pool2d.stride,
      pad = args->attrs->max_pool2d.pad;
  across a = across_of(args);
  char text[TSR_SHAPE_TEXT];
  if (x->ndim != 4 || 2 * pad > kernel || x->dims[1] + 2 * pad < kernel || x->dims[2] + 2 * a.pad < a.kernel) {
    tsr_print(why, TSR_WHY, "kernel %d with padding %d (at most half the kernel) does not fit input %s", kernel, pad,
              tsr_shape_print(x, text));
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], tsr_window_count(x->dims[1], kernel, stride, pad),
                                    tsr_window_count(x->dims[2], a.kernel, a.stride, a.pad), x->dims[3]);
  return 1;
}

tsr_op_work tsr_op_max_pool2d_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = args->out[0].shape.dims[0] * args->out[0].shape.dims[1]};
}

void tsr_op_max_pool2d_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const int32_t *in = args->in[0].shape.dims, *out = args->out[0].shape.dims;
  int kernel = args->attrs->max_pool2d.kernel, stride = args->attrs->max_pool2d.stride,
      pad = args->attrs->max_pool2d.pad;
  int c = in[3], line = in[2] * c;
  across a = across_of(args);
  tsr_span rows = tsr_window_span(in[1], kernel, stride, pad, task % out[1], 1);
  const float *x = args->in[0].data + ((size_t)(task / out[1]) * in[1] + rows.from) * line;
  float *y = args->out[0].data + (size_t)task * out[2] * c;
  for (int ox = 0; ox < out[2];) {
    tsr_span part = tsr_window_span(in[2], a.kernel, a.stride, a.pad, ox, out[2] - ox);
    args->kernels->max_window(y + (size_t)ox * c, x + (size_t)part.from * c, a.stride * c, line, part.count,
                              rows.last - rows.first, part.last - part.first, c);
    ox += part.count;
  }
}
