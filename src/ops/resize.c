/* resize: bilinear and bicubic interpolation of a map; see ops.inc. A task is an output row: its input rows are summed
 * into one row, then that row's pixels. */
#include <math.h>
#include <string.h>

#include "ops.h"

/* The input pixels that an output pixel is made of, first to last, and what turns their distance into a weight. */
typedef struct taps {
  int way, first, last;
  double center, shrink, total;
} taps;

static double weight_of(const taps *t, int i) {
  double x = fabs((i - t->center) * t->shrink), a = t->way == TSR_RESIZE_ANTIALIAS ? -0.5 : -0.75, w = 0;
  if (t->way < TSR_RESIZE_BICUBIC) w = x < 1 ? 1 - x : 0;
  else if (x < 1) w = ((a + 2) * x - (a + 3)) * x * x + 1;
  else if (x < 2) w = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return w / t->total;
}

static taps taps_of(int way, int at, int from, int to) {
  double scale = (double)from / to;
  int reach = way < TSR_RESIZE_BICUBIC ? 1 : 2;
  taps t = {.way = way, .center = (at + 0.5) * scale - 0.5, .shrink = 1, .total = 1};
  if (way == TSR_RESIZE_CORNERS) t.center = to > 1 ? (double)at * (from - 1) / (to - 1) : 0;
  t.first = (int)floor(t.center) - reach + 1;
  t.last = t.first + 2 * reach - 1;
  if (way != TSR_RESIZE_ANTIALIAS) return t;
  t.shrink = fmin(1, 1 / scale);
  t.first = (int)fmax(0, floor(t.center - reach / t.shrink + 1));
  t.last = (int)fmin(from - 1, floor(t.center + reach / t.shrink));
  double total = 0;
  for (int i = t.first; i <= t.last; i++) total += weight_of(&t, i);
  t.total = total;
  return t;
}

int tsr_op_resize_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int height = args->attrs->resize.height, width = args->attrs->resize.width;
  if (x->ndim != 4 || !x->dims[1] || !x->dims[2] || height < 1 || width < 1) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "%s cannot be resized to %d x %d; expected [B,H,W,C]", tsr_shape_print(x, text), height,
              width);
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], height, width, x->dims[3]);
  return 1;
}

tsr_op_work tsr_op_resize_work(const tsr_op_args *args) {
  const int32_t *in = args->in[0].shape.dims;
  return (tsr_op_work){.tasks = in[0] * args->attrs->resize.height,
                       .scratch = (size_t)in[2] * (size_t)in[3] * sizeof(float)};
}

/* y[0 .. n) += weight * x */
static void add_times(float *y, const float *x, float weight, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += weight * x[i];
}

static int clamp(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }

void tsr_op_resize_run(const tsr_op_args *args, int task, void *scratch) {
  const int32_t *in = args->in[0].shape.dims;
  int height = args->attrs->resize.height, width = args->attrs->resize.width, way = args->attrs->resize.way;
  size_t c = (size_t)in[3], line = (size_t)in[2] * c;
  const float *x = args->in[0].data + (size_t)(task / height) * (size_t)in[1] * line;
  float *y = args->out[0].data + (size_t)task * (size_t)width * c, *row = scratch;
  taps rows = taps_of(way, task % height, in[1], height);
  memset(row, 0, line * sizeof *row);
  for (int i = rows.first; i <= rows.last; i++)
    add_times(row, x + (size_t)clamp(i, in[1]) * line, (float)weight_of(&rows, i), line);
  memset(y, 0, (size_t)width * c * sizeof *y);
  for (int at = 0; at < width; at++, y += c) {
    taps columns = taps_of(way, at, in[2], width);
    for (int i = columns.first; i <= columns.last; i++)
      add_times(y, row + (size_t)clamp(i, in[2]) * c, (float)weight_of(&columns, i), c);
  }
}
