/* Checks of the products: linear, convolutions and bmm, in f32 and, with weights in 8 bits, within what their rounding
 * allows. See ops_run.h. */
#ifndef OPS_PRODUCTS_H
#define OPS_PRODUCTS_H

#include "ops_run.h"

/* A weight [groups, n, taps, channels], packed as the loader does; `w` has the numbers that it stands for. */
typedef struct matrix {
  tsr_weight weight;
  float *w;
} matrix;

static matrix packed(const tsr_kernels *kernels, int groups, int n, int channels, int taps, int is_q8) {
  int k = channels * taps, rows = groups * n;
  matrix m = {.weight = {.is_matrix = 1, .is_q8 = is_q8, .layout = {groups, n, channels, taps}, .k = k}};
  m.w = numbers((size_t)rows * k);
  m.weight.group_bytes = is_q8 ? kernels->gemm_q8_packed_bytes(n, k) : kernels->gemm_f32_packed_bytes(n, k);
  m.weight.panels = malloc((size_t)groups * m.weight.group_bytes);
  int8_t *q = malloc((size_t)rows * k);
  if (is_q8) {
    m.weight.scale = numbers((size_t)rows), m.weight.sum = malloc((size_t)rows * sizeof(int32_t));
    kernels->quantize_weight_q8(q, m.weight.scale, m.w, rows, k);
    kernels->sum_i8(m.weight.sum, q, rows, k);
    for (int i = 0; i < rows * k; i++) m.w[i] = (float)q[i] * m.weight.scale[i / k];
  }
  for (int g = 0; g < groups; g++) {
    char *to = (char *)m.weight.panels + (size_t)g * m.weight.group_bytes;
    if (is_q8) kernels->gemm_q8_pack((int8_t *)to, q + (size_t)g * n * k, k, 0, n, k);
    else kernels->gemm_f32_pack((float *)(void *)to, m.w + (size_t)g * n * k, k, 0, n, k);
  }
  free(q);
  return m;
}

static void drop(matrix *m) {
  free(m->w), free(m->weight.panels), free(m->weight.scale), free(m->weight.sum);
  *m = (matrix){0};
}

/* One number of a product in double, and what its error in 8 bits depends on: the range of the row, sum |w|, and
 * whether the row has outliers. */
typedef struct dot {
  double sum, low, high, size, sizes;
  int count;
} dot;

static void add_term(dot *d, double x, double w) {
  d->sum += x * w;
  d->low = fmin(d->low, x), d->high = fmax(d->high, x);
  d->size += fabs(w);
  d->sizes += fabs(x), d->count++;
}

/* How far off a product may be. In 8 bits each number of a row is off by up to half a step, of 127 from end to end, and
 * a row that keeps 14 bits by a hundredth of that: where the caller wants it, and where its range is 20 times the mean
 * of its numbers' sizes (here a little more, for the rounding of sums). */
static double may_be_off(const dot *d, int is_q8, int is_fine) {
  is_fine |= (d->high - d->low) * d->count > 20.001 * d->sizes;
  return 1e-5 + (is_q8 ? (d->high - d->low) / 127 * 0.51 * d->size / (is_fine ? 100 : 1) : 0);
}

/* ---- linear ---- */

/* Activations are at most 1.5 times as steep as x, and after products in 8 bits GELU may be off by 1e-4 by itself. */
static double after(double off, const float *scale, int j, int is_q8) {
  return (off * (scale ? fmax(fabs((double)scale[j]), 1) : 1) + 1e-5) * 1.5 + (is_q8 ? 1e-4 : 0);
}

/* y [.., groups n] of x [.., groups k], with inputs as the flags say; the output stays in args. A row keeps 14 bits
 * when it is among the first or the last of its image. */
static int linear_case(const tsr_kernels *kernels, tsr_op op, tsr_op_args *args, const matrix *m) {
  const __typeof__(args->attrs->linear) *a = &args->attrs->linear;
  const tsr_shape *x = &args->in[0].shape;
  int n = m->weight.layout.n, k = m->weight.k, columns = n * m->weight.layout.groups, is_q8 = m->weight.is_q8, next = 2;
  tsr_shape y = *x;
  y.dims[y.ndim - 1] = columns;
  const float *bias = a->has_bias ? args->in[next++].data : NULL, *scale = a->has_scale ? args->in[next++].data : NULL;
  const float *residual = a->has_residual ? args->in[next].data : NULL;
  size_t count = count_of(&y), tokens = 1;
  for (int i = 1; i < y.ndim - 1; i++) tokens *= (size_t)y.dims[i];
  if (!run_with(kernels, op, args, y)) return 0;
  float *want = numbers(count), *off = numbers(count);
  for (size_t at = 0; at < count; at++) {
    size_t i = at / (size_t)columns, j = at % (size_t)columns, token = i % tokens;
    int is_fine = token < (size_t)a->fine_first || token + (size_t)a->fine_last >= tokens;
    dot d = {0};
    for (int p = 0; p < k; p++)
      add_term(&d, args->in[0].data[(i * (size_t)m->weight.layout.groups + j / (size_t)n) * (size_t)k + (size_t)p],
               m->w[j * (size_t)k + (size_t)p]);
    double sum = (scale ? d.sum * scale[j] : d.sum) + (bias ? bias[j] : 0);
    want[at] = (float)(activated(a->activation, sum) + (residual ? residual[at] : 0));
    off[at] = (float)after(may_be_off(&d, is_q8, is_fine), scale, (int)j, is_q8);
  }
  expect_each(op, args, want, 1, off);
  free(want), free(off);
  return 1;
}

static tsr_op_args linear_args(const tsr_attrs *attrs, const matrix *m, tsr_shape x) {
  int columns = m->weight.layout.n * m->weight.layout.groups;
  tsr_op_args args = {.attrs = attrs, .n_in = 2, .in = {tensor(x), {.weight = &m->weight}}};
  if (attrs->linear.has_bias) args.in[args.n_in++] = tensor(tsr_shape_of(1, columns));
  if (attrs->linear.has_scale) args.in[args.n_in++] = tensor(tsr_shape_of(1, columns));
  if (attrs->linear.has_residual) args.in[args.n_in++] = tensor((x.dims[x.ndim - 1] = columns, x));
  return args;
}

/* Any shapes, none of them a whole number of vectors, with any of the inputs; in 8 bits with some rows of 14. */
static void linear_of_odd_shapes(tsr_op op) {
  for (int round = 0; round < 2 * ROUNDS; round++) {
    int groups = 1 + pick(3), n = 1 + pick(pick(3) ? 13 : 150), k = 1 + pick(pick(3) ? 13 : 90), is_q8 = round % 2;
    matrix m = packed(tsr_kernels_select(NULL), groups, n, k, 1, is_q8);
    int has_bias = pick(2);
    tsr_attrs attrs = {.linear = {.activation = pick(ACTIVATIONS),
                                  .has_bias = has_bias,
                                  .has_scale = has_bias && pick(2),
                                  .has_residual = pick(2),
                                  .fine_first = is_q8 ? pick(3) : 0,
                                  .fine_last = is_q8 ? pick(3) : 0}};
    tsr_shape x = {.ndim = 2 + pick(3)};
    for (int i = 0; i < x.ndim - 1; i++) x.dims[i] = pick(20) ? 1 + pick(pick(9) ? 9 : 70) : 0;
    x.dims[x.ndim - 1] = groups * k;
    if (!pick(9)) x = tsr_shape_of(1, groups * k);                        /* one row */
    if (x.ndim < 3) attrs.linear.fine_first = attrs.linear.fine_last = 0; /* which are of a sequence */
    tsr_op_args args = linear_args(&attrs, &m, x);
    for (size_t i = 0, count = is_q8 && pick(2) ? count_of(&x) : 0; i < count; i += (size_t)k)
      if (pick(2)) args.in[0].data[i + (size_t)pick(k)] *= 200; /* an outlier */
    linear_case(tsr_kernels_select(NULL), op, &args, &m);
    done(&args), drop(&m);
  }
}

static int no_levels(int m, int n, int k) { return (void)m, (void)n, (void)k, 0; }
static int one_level(int m, int n, int k) { return (void)m, n % 16 == 0 && k % 8 == 0; }
static int two_levels(int m, int n, int k) { return (void)m, n % 32 == 0 && k % 16 == 0 ? 2 : 0; }

/* Strassen's product, forced upon small sizes; an image of a batch has the bits that it has alone. */
static void linear_of_strassen(tsr_op op) {
  tsr_kf_gemm_f32_levels *const levels[] = {no_levels, one_level, two_levels};
  for (int round = 0; round < ROUNDS; round++) {
    tsr_kernels kernels = *tsr_kernels_select(NULL);
    kernels.gemm_f32_levels = levels[round % 3];
    int b = 1 + pick(3), tokens = 1 + pick(pick(4) ? 90 : 560), groups = 1 + pick(3), n = 32 * (1 + pick(5)),
        k = 16 * (1 + pick(3));
    matrix m = packed(&kernels, groups, n, k, 1, 0);
    tsr_attrs attrs = {.linear = {.activation = TSR_ACT_RELU, .has_bias = 1, .has_residual = 1, .has_scale = pick(2)}};
    tsr_shape y = tsr_shape_of(3, 1, tokens, groups * n);
    tsr_op_args args = linear_args(&attrs, &m, tsr_shape_of(3, b, tokens, groups * k));
    if (linear_case(&kernels, op, &args, &m)) {
      tsr_op_args last = args;
      tsr_arg *residual = &last.in[last.n_in - 1];
      size_t others = (size_t)(b - 1) * count_of(&y);
      last.in[0].data += (size_t)(b - 1) * tokens * groups * k, last.in[0].shape.dims[0] = 1;
      residual->data += others, residual->shape.dims[0] = 1;
      if (run_with(&kernels, op, &last, y)) {
        CHECK(!memcmp(last.out[0].data, args.out[0].data + others, count_of(&y) * sizeof(float)));
        free(last.out[0].data);
      }
    }
    done(&args), drop(&m);
  }
}

static void check_linear(tsr_op op) {
  linear_of_odd_shapes(op);
  linear_of_strassen(op);
  tsr_weight w = {.layout = {2, 3, 5, 1}, .k = 5}; /* [2, 3, 5] */
  tsr_attrs attrs = {.linear = {.has_bias = 1, .has_residual = 1}};
  tsr_op_args args = {.attrs = &attrs, .n_in = 4, .in = {{.shape = tsr_shape_of(2, 4, 9)}, {.weight = &w}}};
  args.in[2].shape = tsr_shape_of(1, 6), args.in[3].shape = tsr_shape_of(2, 4, 6);
  refuses_args(op, args, "does not end in the 10 columns that the weight takes");
  args.in[0].shape = tsr_shape_of(0);
  refuses_args(op, args, "does not end in the 10 columns");
  args.in[0].shape = tsr_shape_of(2, 4, 10), args.in[2].shape = tsr_shape_of(1, 3);
  refuses_args(op, args, "bias is [3], expected 6 numbers");
  args.in[2].shape = tsr_shape_of(1, 6), args.in[3].shape = tsr_shape_of(2, 3, 6);
  refuses_args(op, args, "residual [3,6] does not have the shape of the output");
}

/* ---- convolutions ---- */

/* A window in frames, rows and columns; and where output number `at` along an axis begins. */
typedef struct window {
  int kernel[3], stride[3], pad[3];
} window;

static window random_window(int frames) {
  window w;
  int is_point = !pick(4);
  for (int i = 0; i < 3; i++) {
    int one = is_point || (i == 0 && !frames);
    w.kernel[i] = one ? 1 : 1 + pick(4), w.stride[i] = one ? 1 : 1 + pick(3), w.pad[i] = one ? 0 : pick(4);
  }
  return w;
}

static int outputs(const window *win, int axis, int size) {
  return (size + 2 * win->pad[axis] - win->kernel[axis]) / win->stride[axis] + 1;
}

/* Where tap [f, row, column] of output o [B, F, H, W, *] lies in x [B, F, H, W, *]; 0 outside. */
static int under(const window *win, const int *size, const int *o, const int tap[3], int *index) {
  index[0] = o[0];
  for (int i = 0; i < 3; i++) {
    index[1 + i] = o[1 + i] * win->stride[i] - win->pad[i] + tap[i];
    if (index[1 + i] < 0 || index[1 + i] >= size[1 + i]) return 0;
  }
  return 1;
}

/* conv2d of x [B,F,H,W,C], or of [B,H,W,C] with a window of one frame; weights [n, frames, rows, columns, C]. */
static void convolution(tsr_op op, const window *win, int is_video, int is_q8) {
  const int *kernel = win->kernel, c = 1 + pick(12), n = 1 + pick(pick(3) ? 20 : 200);
  matrix m = packed(tsr_kernels_select(NULL), 1, n, c, kernel[0] * kernel[1] * kernel[2], is_q8);
  int has_bias = pick(4), has_scale = has_bias && pick(2), b = pick(20) ? 1 + pick(2) : 0,
      f = is_video ? 4 + pick(2) : 1;
  tsr_attrs attrs = {.conv2d = {.kernel_h = kernel[1],
                                .kernel_w = kernel[2],
                                .stride_h = win->stride[1],
                                .stride_w = win->stride[2],
                                .pad_h = win->pad[1],
                                .pad_w = win->pad[2],
                                .activation = pick(ACTIVATIONS),
                                .has_bias = has_bias,
                                .has_scale = has_scale,
                                .stride_f = is_video ? win->stride[0] : 0,
                                .pad_f = win->pad[0]}};
  int h = 4 + pick(is_video ? 4 : 12), w = 4 + pick(is_video ? 4 : 12), size[] = {b, f, h, w, c};
  int to_f = outputs(win, 0, f), to_h = outputs(win, 1, h), to_w = outputs(win, 2, w);
  tsr_op_args args = {
      .attrs = &attrs, .n_in = 2, .in = {tensor(tsr_shape_of(5, b, f, h, w, c)), {.weight = &m.weight}}};
  tsr_arg x = args.in[0];
  tsr_shape y = tsr_shape_of(5, b, to_f, to_h, to_w, n);
  if (!is_video) args.in[0].shape = tsr_shape_of(4, b, h, w, c);
  for (int i = 0; i < has_scale + !!has_bias; i++) args.in[args.n_in++] = tensor(tsr_shape_of(1, n));
  if (run(op, &args, is_video ? y : tsr_shape_of(4, b, to_h, to_w, n))) {
    size_t count = count_of(&y);
    float *want = numbers(count), *off = numbers(count);
    for (size_t at = 0; at < count; at++) {
      int o[TSR_MAX_DIMS], index[TSR_MAX_DIMS];
      dot d = {0};
      index_of(&y, at, o);
      for (int t = 0; t < kernel[0] * kernel[1] * kernel[2]; t++) {
        int inside =
            under(win, size, o, (int[]){t / kernel[2] / kernel[1], t / kernel[2] % kernel[1], t % kernel[2]}, index);
        for (index[4] = 0; index[4] < c; index[4]++)
          add_term(&d, inside ? *element(&x, index) : 0, m.w[(size_t)o[4] * m.weight.k + t * c + index[4]]);
      }
      const float *scale = has_scale ? args.in[3].data : NULL;
      double sum = (scale ? d.sum * scale[o[4]] : d.sum) + (has_bias ? args.in[2].data[o[4]] : 0);
      want[at] = (float)activated(attrs.conv2d.activation, sum);
      off[at] = (float)after(may_be_off(&d, is_q8, 0), scale, o[4], is_q8);
    }
    expect_each(op, &args, want, 1, off);
    free(want), free(off);
  }
  done(&args), drop(&m);
}

static void check_conv2d(tsr_op op) {
  for (int round = 0; round < 2 * ROUNDS; round++) {
    int is_video = round % 4 == 3;
    window win = random_window(is_video);
    convolution(op, &win, is_video, !pick(4));
  }
  tsr_weight w = {.layout = {1, 7, 3, 6}, .k = 18}; /* 7 of 3 channels under 2 x 3 */
  tsr_attrs attrs = {.conv2d = {.kernel_h = 2, .kernel_w = 3, .stride_h = 1, .stride_w = 1}};
  tsr_op_args args = {.attrs = &attrs, .n_in = 2, .in = {{.shape = tsr_shape_of(4, 1, 5, 5, 4)}, {.weight = &w}}};
  refuses_args(op, args, "input [1,5,5,4] does not fit the weight of 3 channels and 6 taps");
  args.in[0].shape = tsr_shape_of(3, 5, 5, 3);
  refuses_args(op, args, "weight of 3 channels");
  args.in[0].shape = tsr_shape_of(4, 1, 1, 5, 3);
  refuses_args(op, args, "smaller than the kernel 2x3");
  args.in[0].shape = tsr_shape_of(4, 1, 5, 2, 3);
  refuses_args(op, args, "smaller than the kernel 2x3");
  attrs.conv2d.kernel_h = 3;
  args.in[0].shape = tsr_shape_of(4, 1, 5, 5, 3);
  refuses_args(op, args, "6 taps");
  attrs.conv2d.kernel_h = 2, attrs.conv2d.stride_f = 1;
  w.layout.taps = 12, w.k = 36; /* two frames */
  args.in[0].shape = tsr_shape_of(5, 1, 1, 5, 5, 3);
  refuses_args(op, args, "(of 2 frames)");
}

/* Weights [kernel_h, kernel_w, C], as they are kept. */
static void check_depthwise_conv2d(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    window win = random_window(0);
    const int *kernel = win.kernel, c = 1 + pick(20), b = pick(20) ? 1 + pick(2) : 0, h = 4 + pick(12),
              w = 4 + pick(12);
    tsr_attrs attrs = {.depthwise_conv2d = {.stride_h = win.stride[1],
                                            .stride_w = win.stride[2],
                                            .pad_h = win.pad[1],
                                            .pad_w = win.pad[2],
                                            .activation = pick(ACTIVATIONS)}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 2 + pick(2), .in = {tensor(tsr_shape_of(4, b, h, w, c))}};
    args.in[1] = tensor(tsr_shape_of(4, c, 1, kernel[1], kernel[2]));
    if (args.n_in > 2) args.in[2] = tensor(tsr_shape_of(1, c));
    tsr_shape y = tsr_shape_of(4, b, outputs(&win, 1, h), outputs(&win, 2, w), c);
    if (run(op, &args, y)) {
      float *want = numbers(count_of(&y));
      for (size_t at = 0; at < count_of(&y); at++) {
        int o[TSR_MAX_DIMS], index[TSR_MAX_DIMS], size[] = {b, 1, h, w};
        index_of(&y, at, o);
        double sum = args.n_in > 2 ? args.in[2].data[o[3]] : 0;
        for (int t = 0; t < kernel[1] * kernel[2]; t++)
          if (under(&win, size, (int[]){o[0], 0, o[1], o[2]}, (int[]){0, t / kernel[2], t % kernel[2]}, index))
            sum +=
                (double)*element(&args.in[0], (int[]){o[0], index[2], index[3], o[3]}) * args.in[1].data[t * c + o[3]];
        want[at] = (float)activated(attrs.depthwise_conv2d.activation, sum);
      }
      expect(op, &args, want, 1e-5);
      free(want);
    }
    done(&args);
  }
  tsr_attrs attrs = {.depthwise_conv2d = {.stride_h = 1, .stride_w = 1}};
  tsr_shape x = tsr_shape_of(4, 1, 5, 6, 7), w = tsr_shape_of(4, 7, 1, 3, 3);
  refuses(op, &attrs, 2, SHAPES(x, tsr_shape_of(4, 6, 1, 3, 3)), "expected [C,1,*,*]");
  refuses(op, &attrs, 2, SHAPES(x, tsr_shape_of(4, 7, 2, 3, 3)), "expected [C,1,*,*]");
  refuses(op, &attrs, 2, SHAPES(tsr_shape_of(3, 5, 6, 7), w), "expected [C,1,*,*]");
  refuses(op, &attrs, 2, SHAPES(tsr_shape_of(4, 1, 2, 6, 7), w), "smaller than the kernel 3x3");
  refuses(op, &attrs, 2, SHAPES(tsr_shape_of(4, 1, 5, 2, 7), w), "smaller than the kernel 3x3");
  refuses(op, &attrs, 3, SHAPES(x, w, tsr_shape_of(1, 6)), "bias [6]");
}

/* ---- products of activations ---- */

/* Dims in front are equal or 1. */
static void check_bmm(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int n = pick(20) ? 1 + pick(60) : 0, k = 1 + pick(40), m = 1 + pick(pick(9) ? 40 : 600), transposed = pick(2);
    int p = 1 + pick(3), q = 1 + pick(3), repeats = pick(5); /* 1 to 4: one of the four dims in front is 1 */
    tsr_attrs attrs = {.bmm = {.transposed = transposed}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 2};
    args.in[0] = tensor(tsr_shape_of(4, repeats == 1 ? 1 : p, repeats == 2 ? 1 : q, n, k));
    args.in[1] =
        tensor(tsr_shape_of(4, repeats == 3 ? 1 : p, repeats == 4 ? 1 : q, transposed ? m : k, transposed ? k : m));
    tsr_shape y = tsr_shape_of(4, p, q, n, m);
    if (run(op, &args, y)) {
      float *want = numbers(count_of(&y));
      for (size_t at = 0; at < count_of(&y); at++) {
        int o[TSR_MAX_DIMS];
        double sum = 0;
        index_of(&y, at, o);
        for (int i = 0; i < k; i++)
          sum += (double)*element(&args.in[0], (int[]){o[0], o[1], o[2], i}) *
                 *element(&args.in[1], (int[]){o[0], o[1], transposed ? o[3] : i, transposed ? i : o[3]});
        want[at] = (float)sum;
      }
      expect(op, &args, want, 1e-5);
      free(want);
    }
    done(&args);
  }
  tsr_attrs plain = {0}, transposed = {.bmm = {.transposed = 1}};
  tsr_shape x = tsr_shape_of(3, 2, 3, 5);
  refuses(op, &plain, 2, SHAPES(x, tsr_shape_of(3, 2, 4, 7)), "[2,3,5] cannot be multiplied by [2,4,7]");
  refuses(op, &transposed, 2, SHAPES(x, tsr_shape_of(3, 2, 5, 7)), "by [2,5,7] transposed");
  refuses(op, &plain, 2, SHAPES(x, tsr_shape_of(3, 3, 5, 7)), "by [3,5,7]");
  refuses(op, &plain, 2, SHAPES(x, tsr_shape_of(2, 5, 7)), "by [5,7]");
  refuses(op, &plain, 2, SHAPES(tsr_shape_of(1, 5), tsr_shape_of(1, 5)), "by [5]");
}

#endif
