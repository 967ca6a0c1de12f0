/* conv2d: see ops.inc. Output pixels are rows of a product: each task gathers the pixels under the kernel for a block of
 * them (im2col, a block at a time), then multiplies. */
#include <stdio.h>
#include <string.h>

#include "matmul.h"

static int out_size(int in, int kernel, int stride, int pad) {
  return in + 2 * pad < kernel ? 0 : (in + 2 * pad - kernel) / stride + 1;
}

int tsr_op_conv2d_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  const tsr_weight *w = args->in[1].weight;
  const __typeof__(args->attrs->conv2d) *a = &args->attrs->conv2d;
  char text[TSR_SHAPE_TEXT];
  if (x->ndim != 4 || x->dims[3] != w->layout.channels || a->kernel_h * a->kernel_w != w->layout.taps) {
    snprintf(why, TSR_WHY, "input %s, weight of %d channels and %d taps", tsr_shape_print(x, text), w->layout.channels,
             w->layout.taps);
    return 0;
  }
  int h = out_size(x->dims[1], a->kernel_h, a->stride_h, a->pad_h), width = out_size(x->dims[2], a->kernel_w, a->stride_w, a->pad_w);
  if (h < 1 || width < 1) {
    snprintf(why, TSR_WHY, "input %s is smaller than the kernel %dx%d", tsr_shape_print(x, text), a->kernel_h, a->kernel_w);
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], h, width, w->layout.n);
  return 1;
}

tsr_op_work tsr_op_conv2d_work(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  size_t pixels = tsr_rows(&args->out[0].shape);
  return (tsr_op_work){.tasks = tsr_tasks(pixels, TSR_MATMUL_ROWS),
                       .scratch = (size_t)TSR_MATMUL_ROWS * w->k * sizeof(float) + 64 + tsr_matmul_scratch(args->kernels, w, TSR_MATMUL_ROWS),
                       .operations = (double)pixels * w->layout.n * w->k};
}

/* The input under the kernel for output pixel `pixel`, as [kernel_h, kernel_w, C]; zeros outside the picture. */
static void gather(const tsr_op_args *args, size_t pixel, float *row) {
  const __typeof__(args->attrs->conv2d) *a = &args->attrs->conv2d;
  const int32_t *in = args->in[0].shape.dims, *out = args->out[0].shape.dims;
  int channels = in[3];
  int ox = (int)(pixel % out[2]), oy = (int)(pixel / out[2] % out[1]);
  const float *image = args->in[0].data + pixel / ((size_t)out[1] * out[2]) * in[1] * in[2] * channels;
  int x0 = ox * a->stride_w - a->pad_w;
  int first = x0 < 0 ? -x0 : 0, last = in[2] - x0 < a->kernel_w ? in[2] - x0 : a->kernel_w; /* taps inside the row */
  for (int ky = 0; ky < a->kernel_h; ky++, row += (size_t)a->kernel_w * channels) {
    int y = oy * a->stride_h - a->pad_h + ky;
    if (y < 0 || y >= in[1] || first >= last) {
      memset(row, 0, (size_t)a->kernel_w * channels * sizeof *row);
      continue;
    }
    memset(row, 0, (size_t)first * channels * sizeof *row);
    memcpy(row + (size_t)first * channels, image + ((size_t)y * in[2] + x0 + first) * channels,
           (size_t)(last - first) * channels * sizeof *row);
    memset(row + (size_t)last * channels, 0, (size_t)(a->kernel_w - last) * channels * sizeof *row);
  }
}

void tsr_op_conv2d_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_weight *w = args->in[1].weight;
  size_t begin, end;
  tsr_task_range(tsr_rows(&args->out[0].shape), TSR_MATMUL_ROWS, task, &begin, &end);
  float *rows = scratch;
  size_t gathered = ((size_t)TSR_MATMUL_ROWS * w->k * sizeof(float) + 63) & ~(size_t)63;
  for (size_t i = begin; i < end; i++) gather(args, i, rows + (i - begin) * w->k);
  tsr_matmul matmul = {.kernels = args->kernels, .weight = w, .activation = args->attrs->conv2d.activation};
  if (args->attrs->conv2d.has_bias) matmul.bias = args->in[2].data;
  tsr_matmul_block(&matmul, 0, rows, w->k, args->out[0].data + begin * w->layout.n, w->layout.n, (int)(end - begin), 0,
                   w->layout.n, (char *)scratch + gathered);
}
