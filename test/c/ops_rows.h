/* Checks of the ops that compute number by number, over the last dim, or sums over an axis: against formulas in double.
 * See ops_run.h. */
#ifndef OPS_ROWS_H
#define OPS_ROWS_H

#include "ops_run.h"

static void check_activate(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_attrs attrs = {.activate = {.activation = round % ACTIVATIONS}};
    tsr_shape shape = random_shape(40000);
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(shape)}};
    size_t n = count_of(&shape);
    float *want = numbers(n), *x = args.in[0].data;
    for (size_t i = 0; i < n; i++) x[i] *= i % 50 ? 6 : 90; /* where exp(x) is no float any more, too */
    for (size_t i = 0; i < n; i++) want[i] = (float)activated(attrs.activate.activation, x[i]);
    if (run(op, &args, shape)) expect(op, &args, want, 1e-5);
    free(want), done(&args);
  }
  takes_any_shape(op, &(tsr_attrs){.activate = {.activation = TSR_ACT_GELU}}, 0);
}

/* Against the C library, from which they may differ by what rounding to a float leaves. */
static void check_elementary(tsr_op op) {
  static double (*const expected[])(double) = {[TSR_EXP] = exp, [TSR_SIN] = sin, [TSR_COS] = cos};
  for (int f = 0; f < 3; f++) {
    tsr_attrs attrs = {.elementary = {.function = f}};
    tsr_shape shape = tsr_shape_of(3, 3, 1, 3001);
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(shape)}};
    float *want = numbers(count_of(&shape)), *size = numbers(count_of(&shape));
    for (size_t i = 0; i < count_of(&shape); i++) {
      args.in[0].data[i] *= 5;
      want[i] = (float)expected[f](args.in[0].data[i]);
      size[i] = fabsf(want[i]);
    }
    if (run(op, &args, shape)) expect_each(op, &args, want, 0x1p-23, size);
    free(want), free(size), done(&args);
  }
  takes_any_shape(op, &(tsr_attrs){.elementary = {.function = TSR_SIN}}, 0);
}

/* exp(scale x_i) / sum; -infinity is masked, and a row that is masked as a whole gives zeros. */
static void check_softmax(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_attrs attrs = {.softmax = {.scale = pick(2) ? 1 : 7.5f}};
    tsr_shape shape = random_shape(40000);
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(shape)}};
    size_t n = count_of(&shape), c = (size_t)shape.dims[shape.ndim - 1];
    float *want = numbers(n), *x = args.in[0].data;
    for (size_t i = 0; i < n; i++)
      if (i < c || !pick(9)) x[i] = -INFINITY;
    for (size_t at = 0; at < n; at += c) {
      double sum = 0;
      for (size_t i = at; i < at + c; i++) sum += exp((double)attrs.softmax.scale * x[i]);
      for (size_t i = at; i < at + c; i++)
        want[i] = sum > 0 ? (float)(exp((double)attrs.softmax.scale * x[i]) / sum) : 0;
    }
    if (run(op, &args, shape)) expect(op, &args, want, 2e-6);
    free(want), done(&args);
  }
  takes_any_shape(op, &(tsr_attrs){.softmax = {.scale = 1}}, 0);
}

/* x / max(|x|, eps) */
static void check_l2_normalize(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_attrs attrs = {.l2_normalize = {.eps = pick(2) ? 1e-12f : 0.5f}};
    tsr_shape shape = random_shape(40000);
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(shape)}};
    size_t n = count_of(&shape), c = (size_t)shape.dims[shape.ndim - 1];
    float *want = numbers(n), *x = args.in[0].data;
    for (size_t at = 0; at < n; at += c) {
      double squares = 0;
      for (size_t i = at; i < at + c; i++) squares += (double)x[i] * x[i];
      for (size_t i = at; i < at + c; i++)
        want[i] = (float)(x[i] / fmax(sqrt(squares), (double)attrs.l2_normalize.eps));
    }
    if (run(op, &args, shape)) expect(op, &args, want, 2e-6);
    free(want), done(&args);
  }
  takes_any_shape(op, &(tsr_attrs){.l2_normalize = {.eps = 1e-12f}}, 0);
}

/* (x - mean) / sqrt(variance + eps) * gamma + beta */
static void check_layer_norm(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int gamma = pick(2), beta = pick(2);
    tsr_attrs attrs = {.layer_norm = {.eps = pick(2) ? 1e-5f : 0.1f, .has_gamma = gamma, .has_beta = beta}};
    tsr_shape shape = random_shape(40000);
    int c = shape.dims[shape.ndim - 1];
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(shape)}};
    for (int i = 0; i < gamma + beta; i++) args.in[args.n_in++] = tensor(tsr_shape_of(1, c));
    size_t n = count_of(&shape);
    float *want = numbers(n);
    for (size_t at = 0; at < n; at += (size_t)c) {
      const float *x = args.in[0].data + at;
      double mean = 0, variance = 0;
      for (int i = 0; i < c; i++) mean += (double)x[i] / c;
      for (int i = 0; i < c; i++) variance += (x[i] - mean) * (x[i] - mean) / c;
      for (int i = 0; i < c; i++)
        want[at + (size_t)i] =
            (float)((x[i] - mean) / sqrt(variance + attrs.layer_norm.eps) * (gamma ? args.in[1].data[i] : 1) +
                    (beta ? args.in[1 + gamma].data[i] : 0));
    }
    /* A norm of two numbers that are nearly equal divides their rounding by sqrt(eps): 6e-8 / 3e-3. */
    if (run(op, &args, shape)) expect(op, &args, want, 4e-5);
    free(want), done(&args);
  }
  tsr_attrs attrs = {.layer_norm = {.eps = 1e-5f, .has_gamma = 1, .has_beta = 1}};
  refuses(op, &attrs, 3, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(1, 3), tsr_shape_of(1, 5)), "parameter of 3");
  refuses(op, &attrs, 3, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(1, 5), tsr_shape_of(1, 6)), "parameter of 6");
}

/* x through the norm, behind a product that lacks its bias, is scale * x + offset. */
static void check_batch_norm(tsr_op op) {
  for (int round = 0; round < 20; round++) {
    int c = round == 1 ? 0 : 1 + pick(round ? 50 : 9000);
    tsr_attrs attrs = {.batch_norm = {.eps = round % 3 ? 1e-3 : 0.5}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 4 + round % 2};
    for (int i = 0; i < args.n_in; i++) args.in[i] = tensor(tsr_shape_of(1, c));
    for (int i = 0; i < c; i++) args.in[3].data[i] = args.in[3].data[i] * args.in[3].data[i]; /* a variance */
    if (run(op, &args, tsr_shape_of(1, c)) && CHECK(args.n_out == 2)) {
      float *want = numbers((size_t)c);
      for (int i = 0; i < c; i++) {
        double deviation = sqrt(args.in[3].data[i] + attrs.batch_norm.eps), x = check_uniform(&seed);
        double before = x + (round % 2 ? (double)args.in[4].data[i] : 0);
        double y = (before - args.in[2].data[i]) / deviation * args.in[0].data[i] + args.in[1].data[i];
        CHECK_NEAR(args.out[0].data[i] * x + args.out[1].data[i], y, 1e-5);
        want[i] = (float)(args.in[0].data[i] / deviation);
      }
      expect(op, &args, want, 1e-5);
      free(want);
    }
    done(&args);
  }
  tsr_attrs attrs = {.batch_norm = {.eps = 1e-3}};
  for (int i = 1; i < 5; i++) {
    char part[] = "input 0";
    tsr_shape shapes[5];
    for (int j = 0; j < 5; j++) shapes[j] = tsr_shape_of(1, j == i ? 5 : 4);
    part[6] = (char)('0' + i);
    refuses(op, &attrs, 5, shapes, part);
  }
}

/* Of equals the first. */
static void check_argmax(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape shape = random_shape(20000), to = shape;
    size_t n = count_of(&shape), c = (size_t)shape.dims[--to.ndim];
    if (!c) continue;
    tsr_op_args args = {.n_in = 1, .in = {tensor(shape)}};
    float *want = numbers(n / c), *x = args.in[0].data;
    for (size_t i = 0; i < n; i++) x[i] = floorf(x[i] * 5);
    for (size_t row = 0; row < n / c; row++) {
      float top = -INFINITY;
      for (size_t i = 0; i < c; i++) top = fmaxf(top, x[row * c + i]);
      for (size_t i = c; i-- > 0;)
        if (x[row * c + i] == top) want[row] = (float)i;
    }
    if (run(op, &args, to)) expect(op, &args, want, 0);
    free(want), done(&args);
  }
  takes_any_shape(op, NULL, 1);
}

/* Against numbers of classes and shares of each; a number that is none of a class gives NaN. */
static void check_cross_entropy(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int n = pick(20) ? 1 + pick(9) : 0, m = 1 + pick(5), k = 1 + pick(pick(4) ? 30 : 3000), by_number = pick(2);
    double scale = pick(2) ? 1 : 10, eps = pick(2) ? 0 : (double)1e-6f;
    tsr_attrs attrs = {.cross_entropy = {.scale = (float)scale, .eps = (float)eps}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 2, .in = {tensor(tsr_shape_of(3, n, m, k))}};
    args.in[1] = tensor(by_number ? tsr_shape_of(2, n, m) : tsr_shape_of(3, n, m, k));
    float *want = numbers((size_t)n * m), *t = args.in[1].data, odd[] = {-1, 0.5f, (float)k, NAN};
    for (int i = 0; i < n * m * (by_number ? 1 : k); i++)
      t[i] = !by_number ? fabsf(t[i]) / (float)k : pick(6) ? (float)pick(k) : odd[pick(4)];
    for (int row = 0; row < n * m; row++) {
      const float *x = args.in[0].data + (size_t)row * k;
      double sum = 0, loss = 0;
      for (int i = 0; i < k; i++) sum += exp(scale * x[i]);
      for (int i = 0; i < k; i++) {
        double share = exp(scale * x[i]) / sum;
        if (!by_number) loss -= t[(size_t)row * k + i] * log(share + eps);
        else if (t[row] == (float)i) loss -= log(share); /* without eps, as PyTorch */
      }
      int none = by_number && !(t[row] >= 0 && t[row] < (float)k && t[row] == floorf(t[row]));
      want[row] = none ? NAN : (float)loss;
    }
    if (run(op, &args, tsr_shape_of(2, n, m))) expect(op, &args, want, 1e-5);
    free(want), done(&args);
  }
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(1, 4)), "targets [4] do not fit [3,5]");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(2, 3, 4)), "targets [3,4] do not fit [3,5]");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(1, 5), tsr_shape_of(1, 5)), "targets [5] do not fit [5]");
}

static void check_mean(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape x = random_shape(40000), y = x;
    int axis = pick(x.ndim), length = x.dims[axis];
    if (!length) continue;
    y.ndim--;
    for (int i = axis; i < y.ndim; i++) y.dims[i] = x.dims[i + 1];
    tsr_attrs attrs = {.mean = {.axis = axis}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(x)}};
    if (run(op, &args, y)) {
      float *want = numbers(count_of(&y));
      for (size_t at = 0; at < count_of(&y); at++) {
        int index[TSR_MAX_DIMS + 1] = {0};
        double sum = 0;
        index_of(&y, at, index);
        for (int i = y.ndim; i > axis; i--) index[i] = index[i - 1];
        for (index[axis] = 0; index[axis] < length; index[axis]++) sum += *element(&args.in[0], index);
        want[at] = (float)(sum / length);
      }
      expect(op, &args, want, 1e-5);
      free(want);
    }
    done(&args);
  }
  tsr_shape x = tsr_shape_of(2, 3, 5), empty = tsr_shape_of(2, 3, 0);
  refuses(op, &(tsr_attrs){.mean = {.axis = 2}}, 1, &x, "axis 2 of [3,5]");
  refuses(op, &(tsr_attrs){.mean = {.axis = -1}}, 1, &x, "axis -1 of [3,5]");
  refuses(op, &(tsr_attrs){.mean = {.axis = 1}}, 1, &empty, "axis 1 of [3,0]");
}

static void check_weighted_sum(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int b = pick(20) ? 1 + pick(3) : 0, n = pick(20) ? 1 + pick(40) : 0, c = 1 + pick(300);
    tsr_op_args args = {.n_in = 2, .in = {tensor(tsr_shape_of(2, b, n)), tensor(tsr_shape_of(3, b, n, c))}};
    float *want = numbers((size_t)b * c);
    for (int i = 0; i < b * c; i++) {
      double sum = 0;
      for (int t = 0; t < n; t++)
        sum += (double)*element(&args.in[0], (int[]){i / c, t}) * *element(&args.in[1], (int[]){i / c, t, i % c});
      want[i] = (float)sum;
    }
    if (run(op, &args, tsr_shape_of(2, b, c))) expect(op, &args, want, 2e-5);
    free(want), done(&args);
  }
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(3, 3, 4, 7)), "weights [3,5] do not fit [3,4,7]");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(3, 2, 5, 7)), "weights");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(2, 3, 5)), "weights");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(3, 3, 5, 1), tsr_shape_of(3, 3, 5, 7)), "weights");
}

/* The cosine with the right and the lower neighbour; a state of zeros has no direction, and similarity 0. */
static void check_neighbour_similarity(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int b = pick(20) ? 1 + pick(2) : 0, h = 1 + pick(4), w = 1 + pick(5), levels = 1 + pick(3), d = 1 + pick(20);
    tsr_attrs attrs = {.neighbour_similarity = {.grid_w = w}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(tsr_shape_of(4, b, h * w, levels, d))}};
    for (int i = 0; b && i < d; i++) args.in[0].data[i] = 0;
    tsr_shape to = tsr_shape_of(4, b, h * w, levels, 2);
    if (run(op, &args, to)) {
      float *want = numbers(count_of(&to));
      for (int at = 0; at < (int)count_of(&to); at++) {
        int o[TSR_MAX_DIMS], down;
        index_of(&to, (size_t)at, o), down = o[3];
        int other = o[1] + (down ? w : 1), has = down ? other < h * w : o[1] % w + 1 < w;
        double xy = 0, xx = 0, yy = 0;
        for (int k = 0; has && k < d; k++) {
          double x = *element(&args.in[0], (int[]){o[0], o[1], o[2], k});
          double y = *element(&args.in[0], (int[]){o[0], other, o[2], k});
          xy += x * y, xx += x * x, yy += y * y;
        }
        want[at] = xx * yy > 0 ? (float)(xy / sqrt(xx * yy)) : 0;
      }
      expect(op, &args, want, 2e-6);
      free(want);
    }
    done(&args);
  }
  refuses(op, &(tsr_attrs){.neighbour_similarity = {.grid_w = 4}}, 1, SHAPES(tsr_shape_of(4, 1, 6, 2, 3)), "rows of 4");
  refuses(op, &(tsr_attrs){.neighbour_similarity = {.grid_w = 0}}, 1, SHAPES(tsr_shape_of(4, 1, 6, 2, 3)), "rows of 0");
  refuses(op, &(tsr_attrs){.neighbour_similarity = {.grid_w = 3}}, 1, SHAPES(tsr_shape_of(3, 6, 2, 3)),
          "is not a grid");
}

/* x^T over the product of the largest sums of |x| along a row and along a column, of all matrices. */
static void check_pinv_start(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int b = pick(20) ? 1 + pick(3) : 0, h = 1 + pick(3), n = 1 + pick(20);
    tsr_shape shape = tsr_shape_of(4, b, h, n, n);
    tsr_op_args args = {.n_in = 1, .in = {tensor(shape)}};
    float *want = numbers(count_of(&shape));
    double along = 0, down = 0;
    for (int line = 0; line < b * h * n; line++) {
      double row = 0, column = 0;
      for (int i = 0; i < n; i++) {
        row += fabs((double)*element(&args.in[0], (int[]){line / n / h, line / n % h, line % n, i}));
        column += fabs((double)*element(&args.in[0], (int[]){line / n / h, line / n % h, i, line % n}));
      }
      along = fmax(along, row), down = fmax(down, column);
    }
    for (size_t at = 0; at < count_of(&shape); at++) {
      int o[TSR_MAX_DIMS];
      index_of(&shape, at, o);
      want[at] = (float)(*element(&args.in[0], (int[]){o[0], o[1], o[3], o[2]}) / (along * down));
    }
    if (run(op, &args, shape)) expect(op, &args, want, 1e-5);
    free(want), done(&args);
  }
  refuses(op, NULL, 1, SHAPES(tsr_shape_of(3, 2, 3, 4)), "[2,3,4] has no square matrices");
  refuses(op, NULL, 1, SHAPES(tsr_shape_of(1, 3)), "[3] has no square matrices");
}

#endif
