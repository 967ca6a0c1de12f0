/* Checks of the ops that move numbers, or add and multiply them one by one: each number of the output is looked up by
 * its index. See ops_run.h. */
#ifndef OPS_MOVES_H
#define OPS_MOVES_H

#include "ops_run.h"

/* add, mul and expand: y [..], and inputs in which some dims are 1, or which have fewer dims. */
static void broadcasts(tsr_op op, const tsr_attrs *attrs, tsr_shape y, int is_product) {
  tsr_shape a = y, b = y;
  int inputs = attrs ? 1 : 2;
  for (int i = 0; i < y.ndim; i++) {
    if (!pick(4)) a.dims[i] = 1;
    if (!pick(4) && a.dims[i] == y.dims[i]) b.dims[i] = 1;
  }
  tsr_op_args args = {.attrs = attrs, .n_in = inputs, .in = {tensor(a)}};
  tsr_arg whole = inputs > 1 ? tensor(b) : args.in[0];
  if (inputs > 1) {
    args.in[1] = whole;
    if (b.dims[0] == 1 && y.ndim > 1)
      memmove(args.in[1].shape.dims, b.dims + 1, sizeof(int32_t) * (size_t)--args.in[1].shape.ndim);
    if (pick(2)) {
      tsr_arg first = args.in[0];
      args.in[0] = args.in[1], args.in[1] = first;
    }
  }
  if (run(op, &args, y)) {
    float *want = numbers(count_of(&y));
    tsr_arg first = {.shape = a,
                     .data = inputs > 1 && args.in[0].data == whole.data ? args.in[1].data : args.in[0].data};
    for (size_t at = 0; at < count_of(&y); at++) {
      int index[TSR_MAX_DIMS];
      index_of(&y, at, index);
      float u = *element(&first, index), v = *element(&whole, index);
      want[at] = inputs == 1 ? u : is_product ? u * v : u + v;
    }
    expect(op, &args, want, 0);
    free(want);
  }
  done(&args);
}

static void check_add(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) broadcasts(op, NULL, random_shape(60000), 0);
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(2, 3, 4)),
          "[3,5] and [3,4] cannot be broadcast together");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(1, 3), tsr_shape_of(2, 3, 5)), "cannot be broadcast together");
}

static void check_mul(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) broadcasts(op, NULL, random_shape(60000), 1);
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(2, 2, 5), tsr_shape_of(2, 3, 5)), "cannot be broadcast together");
}

static void check_expand(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_attrs attrs = {.expand = {.shape = random_shape(60000)}};
    broadcasts(op, &attrs, attrs.expand.shape, 0);
  }
  tsr_attrs attrs = {.expand = {.shape = tsr_shape_of(2, 3, 5)}};
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(2, 3, 4)), "[3,4] cannot be expanded to [3,5]");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(1, 3)), "[3] cannot be expanded to [3,5]");
  attrs.expand.shape = tsr_shape_of(2, 1, 5);
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(2, 3, 5)), "[3,5] cannot be expanded to [1,5]");
}

static void check_permute(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape x = random_shape(60000), y = x;
    tsr_attrs attrs = {0};
    int *order = attrs.permute.order;
    for (int i = 0; i < x.ndim; i++) {
      int j = pick(i + 1);
      order[i] = order[j], order[j] = i;
    }
    for (int i = 0; i < x.ndim; i++) y.dims[i] = x.dims[order[i]];
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(x)}};
    if (run(op, &args, y)) {
      float *want = numbers(count_of(&y));
      for (size_t at = 0; at < count_of(&y); at++) {
        int index[TSR_MAX_DIMS], from[TSR_MAX_DIMS];
        index_of(&y, at, index);
        for (int i = 0; i < x.ndim; i++) from[order[i]] = index[i];
        want[at] = *element(&args.in[0], from);
      }
      expect(op, &args, want, 0);
      free(want);
    }
    done(&args);
  }
  tsr_shape x = tsr_shape_of(3, 2, 3, 5);
  refuses(op, &(tsr_attrs){.permute = {.order = {0, 2, 2}}}, 1, &x, "order is not a permutation of 3 dims");
  refuses(op, &(tsr_attrs){.permute = {.order = {0, 1, 3}}}, 1, &x, "is not a permutation");
  refuses(op, &(tsr_attrs){.permute = {.order = {0, -1, 2}}}, 1, &x, "is not a permutation");
}

/* concat, slice and pad: y is x along all dims but one. Number i along `axis` of y is number i + shift of x, which is
 * all inputs behind each other; zeros outside. */
static void along(tsr_op op, tsr_op_args *args, int axis, int length, int shift) {
  tsr_shape y = args->in[0].shape;
  y.dims[axis] = length;
  if (run(op, args, y)) {
    float *want = numbers(count_of(&y));
    for (size_t at = 0; at < count_of(&y); at++) {
      int index[TSR_MAX_DIMS], source = 0;
      index_of(&y, at, index);
      index[axis] += shift;
      while (source < args->n_in - 1 && index[axis] >= args->in[source].shape.dims[axis])
        index[axis] -= args->in[source++].shape.dims[axis];
      int inside = index[axis] >= 0 && index[axis] < args->in[source].shape.dims[axis];
      want[at] = inside ? *element(&args->in[source], index) : 0;
    }
    expect(op, args, want, 0);
    free(want);
  }
  done(args);
}

static void check_concat(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape x = random_shape(40000);
    int axis = pick(x.ndim), length = x.dims[axis];
    tsr_attrs attrs = {.concat = {.axis = axis}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1 + pick(op->most), .in = {tensor(x)}};
    for (int i = 1; i < args.n_in; i++) {
      tsr_shape other = x;
      length += other.dims[axis] = pick(4);
      args.in[i] = tensor(other);
    }
    along(op, &args, axis, length, 0);
  }
  tsr_attrs attrs = {.concat = {.axis = 1}};
  refuses(op, &attrs, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(2, 4, 5)),
          "[3,5] and [4,5] cannot be joined along axis 1");
  refuses(op, &attrs, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(3, 3, 5, 1)), "along axis 1");
  refuses(op, &attrs, 2, SHAPES(tsr_shape_of(1, 3), tsr_shape_of(1, 3)), "along axis 1");
  refuses(op, &(tsr_attrs){.concat = {.axis = -1}}, 2, SHAPES(tsr_shape_of(2, 3, 5), tsr_shape_of(2, 3, 5)),
          "along axis -1");
}

static void check_slice(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape x = random_shape(40000);
    int axis = pick(x.ndim), begin = pick(x.dims[axis] + 1), length = pick(x.dims[axis] - begin + 1);
    tsr_attrs attrs = {.slice = {.axis = axis, .begin = begin, .end = begin + length}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(x)}};
    along(op, &args, axis, length, begin);
  }
  tsr_shape x = tsr_shape_of(2, 3, 5);
  refuses(op, &(tsr_attrs){.slice = {.axis = 1, .begin = 2, .end = 6}}, 1, &x, "[2:6] is outside axis 1 of [3,5]");
  refuses(op, &(tsr_attrs){.slice = {.axis = 1, .begin = -1, .end = 5}}, 1, &x, "[-1:5]");
  refuses(op, &(tsr_attrs){.slice = {.axis = 1, .begin = 3, .end = 2}}, 1, &x, "[3:2]");
  refuses(op, &(tsr_attrs){.slice = {.axis = -1, .end = 1}}, 1, &x, "axis -1");
  refuses(op, &(tsr_attrs){.slice = {.axis = 2, .end = 1}}, 1, &x, "axis 2");
}

static void check_pad(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape x = random_shape(40000);
    int axis = pick(x.ndim), before = pick(5), after = pick(5);
    tsr_attrs attrs = {.pad = {.axis = axis, .before = before, .after = after}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(x)}};
    along(op, &args, axis, before + x.dims[axis] + after, -before);
  }
  tsr_shape x = tsr_shape_of(2, 3, 5);
  refuses(op, &(tsr_attrs){.pad = {.axis = -1, .before = 1}}, 1, &x, "does not fit axis -1 of [3,5]");
  refuses(op, &(tsr_attrs){.pad = {.axis = 2, .before = 1}}, 1, &x, "does not fit axis 2 of [3,5]");
  refuses(op, &(tsr_attrs){.pad = {.axis = 1, .before = -1}}, 1, &x, "-1 and 0");
  refuses(op, &(tsr_attrs){.pad = {.axis = 1, .after = -1}}, 1, &x, "0 and -1");
}

/* Whole rows by their numbers, each near a whole one; numbers that name no row give zeros. */
static void check_gather(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape x = random_shape(40000), y;
    if (x.ndim < 2) continue;
    int rows = x.dims[1], k = pick(pick(3) ? 12 : 300), lists = pick(3) ? x.dims[0] : 1; /* 1: one for all */
    y = x, y.dims[1] = k;
    tsr_op_args args = {.n_in = 2, .in = {tensor(x), tensor(tsr_shape_of(2, lists, k))}};
    for (int i = 0; i < lists * k; i++) {
      float odd[] = {-1, (float)rows, 3e9f, -3e9f, NAN, INFINITY};
      args.in[1].data[i] = pick(9) && rows ? (float)pick(rows) + (pick(2) ? 0.01f : -0.01f) : odd[pick(6)];
    }
    if (run(op, &args, y)) {
      float *want = numbers(count_of(&y));
      for (size_t at = 0; at < count_of(&y); at++) {
        int index[TSR_MAX_DIMS];
        index_of(&y, at, index);
        double row = floor(args.in[1].data[(lists == 1 ? 0 : index[0]) * k + index[1]] + 0.5);
        int is_there = row >= 0 && row < rows;
        index[1] = is_there ? (int)row : 0;
        want[at] = is_there ? *element(&args.in[0], index) : 0;
      }
      expect(op, &args, want, 0);
      free(want);
    }
    done(&args);
  }
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(3, 3, 5, 2), tsr_shape_of(2, 2, 4)), "indices [2,4] do not fit [3,5,2]");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(3, 3, 5, 2), tsr_shape_of(1, 3)), "indices");
  refuses(op, NULL, 2, SHAPES(tsr_shape_of(1, 3), tsr_shape_of(2, 3, 1)), "indices");
}

/* A view: the rule says the shape, and there is nothing to run. */
static void check_reshape(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    tsr_shape from = random_shape(1000), to = tsr_shape_of(3, 1, (int)count_of(&from), 1);
    tsr_attrs attrs = {.reshape = {.shape = to}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(from)}};
    if (run(op, &args, to)) {
      CHECK_INT(op->work(&args).tasks, 0);
      memcpy(args.out[0].data, args.in[0].data,
             count_of(&to) * sizeof(float)); /* as the executor: one memory for both */
      expect(op, &args, args.in[0].data, 0);
    }
    done(&args);
  }
  tsr_attrs attrs = {.reshape = {.shape = tsr_shape_of(2, 3, 5)}};
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(1, 16)), "[16] cannot become [3,5]");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(2, 3, 0)), "cannot become");
}

/* Patch pixel (i, j) of channel c at (row, column) of the patches is column (i patch_w + j) C + c. */
static void check_patchify(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int b = pick(9) ? 1 + pick(2) : 0, c = 1 + pick(5), ph = 1 + pick(5), pw = 1 + pick(9), rows = 1 + pick(4);
    int columns = 1 + pick(4);
    tsr_attrs attrs = {.patchify = {.patch_h = ph, .patch_w = pw}};
    tsr_shape y = tsr_shape_of(3, b, rows * columns, ph * pw * c);
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(tsr_shape_of(4, b, c, rows * ph, columns * pw))}};
    if (run(op, &args, y)) {
      float *want = numbers(count_of(&y));
      for (int at = 0; at < (int)count_of(&y); at++) {
        int channel = at % c, j = at / c % pw, i = at / c / pw % ph, patch = at / c / pw / ph;
        int index[] = {patch / columns / rows, channel, patch / columns % rows * ph + i, patch % columns * pw + j};
        want[at] = *element(&args.in[0], index);
      }
      expect(op, &args, want, 0);
      free(want);
    }
    done(&args);
  }
  tsr_attrs attrs = {.patchify = {.patch_h = 2, .patch_w = 3}};
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 3, 5, 6)), "not a whole number of 2x3 patches");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 3, 4, 7)), "not a whole number of");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 3, 0, 6)), "not a whole number of");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(3, 3, 4, 6)), "not a whole number of");
}

/* Column (c, row, column) of a window; zeros outside. */
static void check_unfold(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int kernel = 1 + pick(5), stride = 1 + pick(4), pad = pick(4), h = kernel + pick(9), w = kernel + pick(9),
        c = 1 + pick(9);
    int b = pick(9) ? 1 + pick(2) : 0;
    tsr_attrs attrs = {.unfold = {.kernel = kernel, .stride = stride, .pad = pad}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(tsr_shape_of(4, b, h, w, c))}};
    tsr_shape to = tsr_shape_of(4, b, (h + 2 * pad - kernel) / stride + 1, (w + 2 * pad - kernel) / stride + 1,
                                c * kernel * kernel);
    if (run(op, &args, to)) {
      float *want = numbers(count_of(&to));
      for (size_t at = 0; at < count_of(&to); at++) {
        int o[TSR_MAX_DIMS];
        index_of(&to, at, o);
        int y = o[1] * stride - pad + o[3] / kernel % kernel, x = o[2] * stride - pad + o[3] % kernel;
        int inside = y >= 0 && y < h && x >= 0 && x < w;
        want[at] = inside ? *element(&args.in[0], (int[]){o[0], y, x, o[3] / kernel / kernel}) : 0;
      }
      expect(op, &args, want, 0);
      free(want);
    }
    done(&args);
  }
  tsr_attrs attrs = {.unfold = {.kernel = 5, .stride = 1, .pad = 1}};
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 2, 9, 3)), "windows of 5 do not fit into [1,2,9,3]");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 9, 2, 3)), "do not fit");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(3, 9, 9, 3)), "do not fit");
}

/* A window's largest number; what lies outside does not count. With rows_only windows are one column wide. */
static void check_max_pool2d(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int kernel = 1 + pick(4), pad = pick(kernel / 2 + 1), stride = 1 + pick(3), rows_only = !pick(3),
        b = pick(9) ? 1 + pick(2) : 0;
    int kernel_w = rows_only ? 1 : kernel, pad_w = rows_only ? 0 : pad, stride_w = rows_only ? 1 : stride;
    int h = kernel + pick(9), w = kernel + pick(9), c = 1 + pick(9);
    tsr_attrs attrs = {.max_pool2d = {.kernel = kernel, .stride = stride, .pad = pad, .rows_only = rows_only}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(tsr_shape_of(4, b, h, w, c))}};
    tsr_shape to =
        tsr_shape_of(4, b, (h + 2 * pad - kernel) / stride + 1, (w + 2 * pad_w - kernel_w) / stride_w + 1, c);
    if (run(op, &args, to)) {
      float *want = numbers(count_of(&to));
      for (size_t at = 0; at < count_of(&to); at++) {
        int o[TSR_MAX_DIMS];
        index_of(&to, at, o);
        want[at] = -INFINITY;
        for (int y = o[1] * stride - pad; y < o[1] * stride - pad + kernel; y++)
          for (int x = o[2] * stride_w - pad_w; x < o[2] * stride_w - pad_w + kernel_w; x++)
            if (y >= 0 && y < h && x >= 0 && x < w)
              want[at] = fmaxf(want[at], *element(&args.in[0], (int[]){o[0], y, x, o[3]}));
      }
      expect(op, &args, want, 0);
      free(want);
    }
    done(&args);
  }
  tsr_attrs attrs = {.max_pool2d = {.kernel = 3, .stride = 1, .pad = 0}};
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 2, 5, 3)), "kernel 3");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 5, 2, 3)), "kernel 3");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(3, 5, 5, 3)), "input [5,5,3]");
  attrs.max_pool2d.pad = 2;
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 5, 5, 3)), "at most half the kernel");
}

#include "resize_cases.inc"

/* Against torch.nn.functional.interpolate: both sides grown and shrunk, with several channels and images. */
static void check_resize(tsr_op op) {
  for (size_t i = 0; i < sizeof resize_cases / sizeof *resize_cases; i++) {
    const resize_case *one = &resize_cases[i];
    tsr_attrs attrs = {.resize = {one->height, one->width, one->way}};
    tsr_shape to = one->from;
    to.dims[1] = one->height, to.dims[2] = one->width;
    tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(one->from)}};
    for (size_t at = 0; at < count_of(&one->from); at++) args.in[0].data[at] = (float)((at * 37 + 11) % 101) / 50 - 1;
    if (run(op, &args, to)) expect(op, &args, one->expected, 1e-6);
    done(&args);
  }
  tsr_attrs attrs = {.resize = {2, 2, TSR_RESIZE_BILINEAR}};
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(3, 4, 4, 3)), "[4,4,3] cannot be resized to 2 x 2");
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 0, 4, 3)), "cannot be resized");
  attrs.resize.height = 0;
  refuses(op, &attrs, 1, SHAPES(tsr_shape_of(4, 1, 4, 4, 3)), "to 0 x 2");
}

#endif
