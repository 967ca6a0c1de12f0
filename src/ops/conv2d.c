/* conv2d: a convolution of images or videos as a product, by im2col; see ops.inc.
 * Output pixels are the rows of the product. A task gathers the inputs of a block of output pixels (im2col, a block at
 * a time), then multiplies. Because maps are channels last, a row of the kernel is one run of a row of the image. */
#include <string.h>

#include "matmul.h"
#include "window.h"

enum { LEAST_TASKS = 8, LEAST_COLUMNS = 128 };

typedef __typeof__(((tsr_attrs *)0)->conv2d) conv2d_attrs;

int tsr_op_conv2d_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  const tsr_weight *w = args->in[1].weight;
  const conv2d_attrs *a = &args->attrs->conv2d;
  int video = x->ndim == 5, area = a->kernel_h * a->kernel_w, frames = video ? w->layout.taps / area : 1;
  char text[TSR_SHAPE_TEXT];
  if ((x->ndim != 4 && !video) || tsr_shape_last(x) != w->layout.channels || frames * area != w->layout.taps) {
    tsr_print(why, TSR_WHY, "input %s does not fit the weight of %d channels and %d taps", tsr_shape_print(x, text),
              w->layout.channels, w->layout.taps);
    return 0;
  }
  int h = tsr_window_count(x->dims[video + 1], a->kernel_h, a->stride_h, a->pad_h);
  int width = tsr_window_count(x->dims[video + 2], a->kernel_w, a->stride_w, a->pad_w);
  int length = video ? tsr_window_count(x->dims[1], frames, a->stride_f, a->pad_f) : 1;
  if (h < 1 || width < 1 || length < 1) {
    tsr_print(why, TSR_WHY, "input %s is smaller than the kernel %dx%d (of %d frames)", tsr_shape_print(x, text),
              a->kernel_h, a->kernel_w, frames);
    return 0;
  }
  args->out[0].shape = video ? tsr_shape_of(5, x->dims[0], length, h, width, w->layout.n)
                             : tsr_shape_of(4, x->dims[0], h, width, w->layout.n);
  return 1;
}

/* 1 for a kernel of one pixel with stride 1: then the map itself is the input of the product, and nothing is
 * gathered. */
static int is_pointwise(const conv2d_attrs *a) {
  return a->kernel_h * a->kernel_w * a->stride_h * a->stride_w == 1 && !a->pad_h && !a->pad_w && !a->stride_f;
}

/* The blocks of a task: rows are output pixels, columns are output channels. A small map has blocks of half the height,
 * and few blocks are split by columns as well, so that there are tasks for all threads; every block of columns gathers
 * the pixels again. */
typedef struct split {
  int rows, row_blocks, columns, column_blocks;
} split;

static split split_of(const tsr_op_args *args) {
  size_t pixels = tsr_rows(&args->out[0].shape);
  int n = args->in[1].weight->layout.n;
  split s = {.rows = pixels < (size_t)LEAST_TASKS * TSR_MATMUL_ROWS ? TSR_MATMUL_ROWS / 2 : TSR_MATMUL_ROWS};
  s.row_blocks = tsr_tasks(pixels, (size_t)s.rows);
  int parts = s.row_blocks ? (LEAST_TASKS + s.row_blocks - 1) / s.row_blocks : 1;
  s.columns = tsr_tasks((size_t)n, (size_t)parts * TSR_MATMUL_COLUMNS) * TSR_MATMUL_COLUMNS;
  if (s.columns < LEAST_COLUMNS) s.columns = LEAST_COLUMNS;
  s.column_blocks = tsr_tasks((size_t)n, (size_t)s.columns);
  return s;
}

static size_t gathered_bytes(const tsr_op_args *args) {
  if (is_pointwise(&args->attrs->conv2d)) return 0;
  return ((size_t)split_of(args).rows * args->in[1].weight->k * sizeof(float) + 63) & ~(size_t)63;
}

tsr_op_work tsr_op_conv2d_work(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  return (tsr_op_work){.tasks = s.row_blocks * s.column_blocks,
                       .scratch = gathered_bytes(args) + tsr_matmul_rows_bytes(args->kernels, w, (size_t)s.rows),
                       .operations = (double)tsr_rows(&args->out[0].shape) * w->layout.n * w->k};
}

/* Gathers the inputs of one row of the kernel for `count` output pixels from column `ox` on. The pixels are k floats
 * apart in `to`. line: the row of the input. */
static void gather_line(const tsr_op_args *args, float *to, int k, const float *line, int ox, int count) {
  const conv2d_attrs *a = &args->attrs->conv2d;
  const tsr_shape *x = &args->in[0].shape;
  int width = x->dims[x->ndim - 2], c = x->dims[x->ndim - 1], run = a->kernel_w * c;
  for (int i = 0; i < count;) {
    tsr_span part = tsr_window_span(width, a->kernel_w, a->stride_w, a->pad_w, ox + i, count - i);
    int inside = (part.last - part.first) * c;
    if (inside < run) memset(to, 0, (size_t)run * sizeof *to);
    args->kernels->copy_rows(to + (size_t)part.first * c, k, line + (size_t)part.from * c, a->stride_w * c, part.count,
                             inside);
    i += part.count, to += (size_t)part.count * k;
  }
}

/* Gathers the inputs of output pixels [begin, end), each as [kernel_h, kernel_w, C], or [frames, kernel_h, kernel_w, C]
 * for video. They are zero outside the image and before and after the video. */
static void gather(const tsr_op_args *args, size_t begin, size_t end, float *rows) {
  const conv2d_attrs *a = &args->attrs->conv2d;
  int video = args->in[0].shape.ndim == 5;
  const int32_t *in = args->in[0].shape.dims + video, *out = args->out[0].shape.dims + video;
  int frames = video ? in[0] : 1, out_frames = video ? out[0] : 1;
  int k = args->in[1].weight->k, run = a->kernel_w * in[3], count;
  for (size_t at = begin; at < end; at += (size_t)count, rows += (size_t)count * k) {
    int ox = (int)(at % out[2]), oy = (int)(at / out[2] % out[1]);
    size_t picture = at / ((size_t)out[1] * out[2]), of = picture % out_frames;
    count = end - at < (size_t)(out[2] - ox) ? (int)(end - at) : out[2] - ox;
    for (int line = 0; line * run < k; line++) {
      int f = (int)of * a->stride_f - a->pad_f + line / a->kernel_h;
      int y = oy * a->stride_h - a->pad_h + line % a->kernel_h;
      size_t from = ((picture / out_frames * frames + (size_t)f) * in[1] + (size_t)y) * in[2] * in[3];
      float *to = rows + (size_t)line * run;
      if (f >= 0 && f < frames && y >= 0 && y < in[1]) gather_line(args, to, k, args->in[0].data + from, ox, count);
      else
        for (int i = 0; i < count; i++) memset(to + (size_t)i * k, 0, (size_t)run * sizeof *to);
    }
  }
}

void tsr_op_conv2d_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  size_t begin, end;
  tsr_task_range(tsr_rows(&args->out[0].shape), (size_t)s.rows, task / s.column_blocks, &begin, &end);
  int n0 = task % s.column_blocks * s.columns, n1 = n0 + s.columns < w->layout.n ? n0 + s.columns : w->layout.n;
  const float *rows = scratch;
  if (is_pointwise(&args->attrs->conv2d)) rows = args->in[0].data + begin * w->k;
  else gather(args, begin, end, scratch);
  tsr_matmul matmul = {.kernels = args->kernels, .weight = w, .activation = args->attrs->conv2d.activation};
  if (args->attrs->conv2d.has_bias) matmul.bias = args->in[2].data;
  if (args->attrs->conv2d.has_scale) matmul.scale = args->in[3].data;
  tsr_matmul_block(&matmul, 0, rows, w->k, args->out[0].data + begin * w->layout.n, w->layout.n, (int)(end - begin), n0,
                   n1, NULL, (char *)scratch + gathered_bytes(args));
}
