/* Checks of attention, in f32 and in 8 bits, and of the sampling of tokens by it: in double, a query at a time. See
 * ops_run.h. */
#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H

#include "ops_run.h"

/* The query at [image, head, token]: its probabilities p [M] and its output y [value_dim], of the first `keys` keys. */
static void attend(const tsr_op_args *args, const tsr_arg *bias, int keys, const int at[3], double *p, double *y) {
  const __typeof__(args->attrs->attention) *a = &args->attrs->attention;
  const tsr_arg *q = &args->in[0], *k = &args->in[1], *v = &args->in[2];
  int b = at[0], h = at[1], i = at[2], m = k->shape.dims[1];
  double top = -INFINITY, sum = 0;
  for (int j = 0; j < m; j++) {
    double score = 0;
    for (int d = h * a->head_dim; d < (h + 1) * a->head_dim; d++)
      score += (double)*element(q, (int[]){b, i, a->q_offset + d}) * *element(k, (int[]){b, j, a->k_offset + d});
    score = a->self_mask && i == j ? a->self_value : score * a->scale;
    p[j] = j < keys ? score + (bias ? *element(bias, (int[]){h, i, j}) : 0) : -INFINITY;
    top = fmax(top, p[j]);
  }
  for (int j = 0; j < m; j++) sum += p[j] = j < keys ? exp(p[j] - top) : 0;
  for (int d = 0; d < a->value_dim; d++) y[d] = 0;
  for (int j = 0; j < keys; j++) {
    p[j] /= sum;
    for (int d = 0; d < a->value_dim; d++)
      y[d] += p[j] * *element(v, (int[]){b, j, a->v_offset + h * a->value_dim + d});
  }
}

/* In f32: heads of odd widths at odd columns, biases of one or all heads, tokens that do not see themselves, images
 * with fewer keys, and the probabilities where they are stored. */
static void attention_of_odd_shapes(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int b = pick(20) ? 1 + pick(3) : 0, h = 1 + pick(3), d = 1 + pick(20), dv = 1 + pick(20),
        m = 1 + pick(pick(9) ? 40 : 300);
    int n = pick(2) ? m : 1 + pick(30), biased = pick(3), limited = pick(2), off[] = {pick(4), pick(4), pick(4)};
    tsr_attrs attrs = {.attention = {.heads = h,
                                     .head_dim = d,
                                     .value_dim = dv,
                                     .q_offset = off[0],
                                     .k_offset = off[1],
                                     .v_offset = off[2],
                                     .scale = 0.3f,
                                     .self_mask = n == m && pick(2),
                                     .self_value = -5e-4f,
                                     .store = pick(2),
                                     .limited = limited}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 3};
    args.in[0] = tensor(tsr_shape_of(3, b, n, off[0] + h * d + pick(3)));
    args.in[1] = tensor(tsr_shape_of(3, b, m, off[1] + h * d));
    args.in[2] = tensor(tsr_shape_of(3, b, m, off[2] + h * dv + pick(3)));
    if (biased) args.in[args.n_in++] = tensor(tsr_shape_of(3, biased == 1 ? 1 : h, n, m));
    if (limited) args.in[args.n_in++] = tensor(tsr_shape_of(1, b));
    for (int i = 0; limited && i < b; i++) args.in[args.n_in - 1].data[i] = (float)(1 + pick(m));
    if (run(op, &args, tsr_shape_of(3, b, n, h * dv))) {
      float *want = numbers((size_t)b * n * h * dv);
      double *p = malloc((size_t)m * sizeof *p), y[20], worst = 0;
      tsr_shape stored = tsr_shape_of(4, b, h, n, m);
      CHECK_INT(args.n_out, 1 + attrs.attention.store);
      CHECK(!attrs.attention.store || tsr_shape_equal(&args.out[1].shape, &stored));
      for (int at = 0; at < b * h * n; at++) {
        int query[] = {at / n / h, at / n % h, at % n};
        attend(&args, biased ? &args.in[3] : NULL, limited ? (int)args.in[args.n_in - 1].data[query[0]] : m, query, p,
               y);
        for (int i = 0; i < dv; i++) want[(((size_t)query[0] * n + query[2]) * h + query[1]) * dv + i] = (float)y[i];
        for (int j = 0; attrs.attention.store && j < m; j++)
          worst = fmax(worst, fabs(p[j] - args.out[1].data[(size_t)at * m + j]));
      }
      CHECK(worst < 2e-6);
      expect(op, &args, want, 4e-6);
      free(want), free(p);
    }
    done(&args);
  }
}

/* In 8 bits. The cost of 7 bits of q and p and 8 of k and v is known, and nothing else may be lost: neither what a
 * hundred keys have together that one would round away, nor what other parts of the keys have. Storing the
 * probabilities changes no bit. */
static void attention_q8(tsr_op op, int n, int m, int keys, int sink) {
  enum { H = 2, D = 24, V = 20 };
  tsr_attrs attrs = {.attention = {.heads = H,
                                   .head_dim = D,
                                   .value_dim = V,
                                   .k_offset = 3,
                                   .v_offset = 1,
                                   .scale = 0.5f,
                                   .limited = 1,
                                   .q8 = 1}};
  tsr_op_args args = {.attrs = &attrs, .n_in = 5};
  tsr_shape to = tsr_shape_of(3, 1, n, H * V);
  args.in[0] = tensor(tsr_shape_of(3, 1, n, H * D)), args.in[1] = tensor(tsr_shape_of(3, 1, m, H * D + 4));
  args.in[2] = tensor(tsr_shape_of(3, 1, m, H * V + 2)), args.in[3] = tensor(tsr_shape_of(3, H, n, m));
  args.in[4] = tensor(tsr_shape_of(1, 1));
  args.in[4].data[0] = (float)keys;
  for (int i = 0; sink && i < H * n; i++)
    args.in[3].data[(size_t)i * m + keys / 3] = 7; /* one key has a thousand times what others have */
  for (int j = 0; j < m; j++) args.in[2].data[(size_t)j * (H * V + 2) + 1] = j == keys / 3 ? 1 : -1;
  double *p = malloc((size_t)m * sizeof *p), y[V], spread = 0;
  if (!run(op, &args, to)) return;
  float *plain = args.out[0].data, *want = numbers(count_of(&to));
  attrs.attention.store = 1;
  if (!run(op, &args, to)) return;
  CHECK(!memcmp(plain, args.out[0].data, count_of(&to) * sizeof *plain));
  for (int i = 0; i < n; i++)
    for (int head = 0; head < H; head++) {
      attend(&args, &args.in[3], keys, (int[]){0, head, i}, p, y);
      for (int d = 0; d < V; d++) want[(i * H + head) * V + d] = (float)y[d];
      for (int j = 0; j < m; j++) spread = fmax(spread, fabs(p[j] - args.out[1].data[((size_t)head * n + i) * m + j]));
    }
  /* With a sink all weights together are some 150 steps, and hundreds of them are off by up to half a step each, at
   * random: 0.032 was seen. */
  expect(op, &args, want, sink ? 0.05 : 0.02);
  if (!CHECK(spread < 0.02))
    printf("attention of %d queries, %d of %d keys: probabilities off by %g\n", n, keys, m, spread);
  free(p), free(plain), free(want), done(&args);
}

/* A query that may look at no key gives zeros, whatever the values are. */
static void attention_masked(tsr_op op, int m, int q8) {
  enum { N = 3, D = 8 };
  tsr_attrs attrs = {.attention = {.heads = 1, .head_dim = D, .value_dim = D, .scale = 1, .q8 = q8}};
  tsr_op_args args = {.attrs = &attrs, .n_in = 4, .in = {tensor(tsr_shape_of(3, 1, N, D))}};
  args.in[1] = tensor(tsr_shape_of(3, 1, m, D)), args.in[2] = tensor(tsr_shape_of(3, 1, m, D));
  args.in[3] = tensor(tsr_shape_of(3, 1, N, m));
  args.in[2].data[1] = INFINITY;
  for (int j = 0; j < m; j++) args.in[3].data[m + j] = -INFINITY;
  if (run(op, &args, tsr_shape_of(3, 1, N, D))) {
    for (int d = 0; d < D; d++) CHECK(args.out[0].data[D + d] == 0);
    for (int d = 2; d < D; d++) CHECK(isfinite(args.out[0].data[d]) && args.out[0].data[d] != 0);
  }
  done(&args);
}

/* A scale that is an input: the bits of the one that is an attribute, with all that may stand before it. */
static void attention_scaled(tsr_op op, int with_bias, int limited, int self_mask) {
  enum { N = 30, D = 8 };
  tsr_attrs attrs = {.attention = {.heads = 2,
                                   .head_dim = D,
                                   .value_dim = D,
                                   .scale = 0.3f,
                                   .limited = limited,
                                   .self_mask = self_mask,
                                   .self_value = -9}};
  tsr_op_args args = {.attrs = &attrs, .n_in = 3};
  tsr_shape to = tsr_shape_of(3, 1, N, 2 * D);
  for (int i = 0; i < 3; i++) args.in[i] = tensor(to);
  if (with_bias) args.in[args.n_in++] = tensor(tsr_shape_of(3, 2, N, N));
  if (limited) args.in[args.n_in] = tensor(tsr_shape_of(1, 1)), *args.in[args.n_in++].data = N - 3;
  if (!run(op, &args, to)) return;
  float *want = args.out[0].data;
  attrs.attention.has_scale = 1, attrs.attention.scale = 0;
  args.in[args.n_in] = tensor(tsr_shape_of(0)), *args.in[args.n_in++].data = 0.3f;
  if (run(op, &args, to)) expect(op, &args, want, 0);
  free(want);
  args.in[args.n_in - 1].shape = tsr_shape_of(1, 2);
  refuses_args(op, args, "the scale is not one number");
  done(&args);
}

static void attention_refuses(tsr_op op) {
  tsr_attrs attrs = {
      .attention = {.heads = 2, .head_dim = 3, .value_dim = 5, .q_offset = 1, .k_offset = 2, .v_offset = 3}};
  tsr_shape q = tsr_shape_of(3, 4, 7, 7), k = tsr_shape_of(3, 4, 9, 8), v = tsr_shape_of(3, 4, 9, 13);
  refuses(op, &attrs, 3, SHAPES(tsr_shape_of(3, 4, 7, 6), k, v),
          "q [4,7,6], k [4,9,8] and v [4,9,13] do not fit 2 heads of 3");
  refuses(op, &attrs, 3, SHAPES(q, tsr_shape_of(3, 4, 9, 7), v), "k [4,9,7]");
  refuses(op, &attrs, 3, SHAPES(q, k, tsr_shape_of(3, 4, 9, 12)), "v [4,9,12]");
  refuses(op, &attrs, 3, SHAPES(q, k, tsr_shape_of(3, 4, 8, 13)), "v [4,8,13]");
  refuses(op, &attrs, 3, SHAPES(q, tsr_shape_of(3, 3, 9, 8), v), "k [3,9,8]");
  refuses(op, &attrs, 3, SHAPES(q, k, tsr_shape_of(3, 3, 9, 13)), "v [3,9,13]");
  refuses(op, &attrs, 3, SHAPES(tsr_shape_of(2, 7, 7), k, v), "q [7,7]");
  refuses(op, &attrs, 4, SHAPES(q, k, v, tsr_shape_of(3, 3, 7, 9)), "bias is [3,7,9], expected [1 or 2,7,9]");
  refuses(op, &attrs, 4, SHAPES(q, k, v, tsr_shape_of(3, 2, 9, 7)), "bias is [2,9,7]");
  refuses(op, &attrs, 4, SHAPES(q, k, v, tsr_shape_of(2, 7, 9)), "bias is [7,9]");
  attrs.attention.limited = 1;
  refuses(op, &attrs, 4, SHAPES(q, k, v, tsr_shape_of(1, 3)), "numbers of keys [3] do not fit k [4,9,8]");
  refuses(op, &attrs, 5, SHAPES(q, k, v, tsr_shape_of(3, 2, 7, 9), tsr_shape_of(2, 4, 1)), "numbers of keys [4,1]");
}

static void check_attention(tsr_op op) {
  attention_of_odd_shapes(op);
  attention_q8(op, 50, 64, 64, 0);
  attention_q8(op, 97, 197, 197, 1);
  attention_q8(op, 13, 785, 785, 1);
  attention_q8(op, 1, 600, 501, 0);
  attention_masked(op, 20, 0);
  attention_masked(op, 100, 0);
  attention_masked(op, 100, 1);
  for (int i = 0; i < 8; i++) attention_scaled(op, i & 1, i >> 1 & 1, i >> 2);
  attention_refuses(op);
}

/* The draw of one column: the token whose log(weight) + Gumbel noise is largest. */
static int token_of(const double *weights, const float *noise, const float *numbers_of, int count) {
  double best = -INFINITY;
  int at = 0;
  for (int j = 1; j < count; j++) {
    double u = fmin(fabs((double)noise[(int)numbers_of[j] - 1]), 1);
    double score = log(weights[j]) - log(1e-6 - log(u + 1e-6));
    if (score > best) best = score, at = j;
  }
  return at;
}

/* weights [count] of tokens 1 ... count - 1 of image i: probability times |v|, summed over heads of dv columns. */
static void weigh_tokens(const tsr_op_args *args, int i, int count, int dv, double *weights) {
  int h = args->in[0].shape.dims[1], off = args->attrs->sample_tokens.v_offset;
  double sum = 0;
  for (int j = 1; j < count; j++) {
    weights[j] = 0;
    for (int head = 0; head < h; head++) {
      double squares = 0;
      for (int d = 0; d < dv; d++) squares += pow(*element(&args->in[1], (int[]){i, j, off + head * dv + d}), 2);
      weights[j] += *element(&args->in[0], (int[]){i, head, 0, j}) * sqrt(squares);
    }
    sum += weights[j];
  }
  for (int j = 1; j < count; j++) weights[j] = weights[j] / (sum + 1e-6) + 1e-6;
}

static void check_sample_tokens(tsr_op op) {
  for (int round = 0; round < ROUNDS; round++) {
    int b = 1 + pick(3), h = 1 + pick(3), n = 3 + pick(20), keep = 1 + pick(n), off = pick(5), dv = 1 + pick(9),
        most = 0;
    tsr_attrs attrs = {.sample_tokens = {.v_offset = off}};
    tsr_op_args args = {.attrs = &attrs, .n_in = 5, .in = {tensor(tsr_shape_of(4, b, h, 1, n))}};
    args.in[1] = tensor(tsr_shape_of(3, b, n, off + h * dv));
    args.in[2] = tensor(tsr_shape_of(3, pick(2) ? b : 1, keep, n + 3));
    args.in[3] = tensor(tsr_shape_of(1, b)), args.in[4] = tensor(tsr_shape_of(3, b, n, 1));
    int is_blind = !pick(9); /* no token has a probability, and the draw is among equals */
    for (int i = 0; i < b * h * n; i++) args.in[0].data[i] = is_blind ? 0 : fabsf(args.in[0].data[i]);
    for (int i = 0; i < b; i++) {
      int count = 2 + pick(n - 1), number = 0;
      args.in[3].data[i] = (float)count, most = count > most ? count : most;
      for (int j = 0; j < n; j++) { /* numbers rise from 0, and leave some out */
        number += j && number < n + 2 - (n - 1 - j) && pick(2) ? 2 : j > 0;
        args.in[4].data[i * n + j] = (float)number;
      }
    }
    if (run(op, &args, tsr_shape_of(2, b, keep + 1)) && CHECK(args.n_out == 2 && args.out[1].shape.dims[0] == b)) {
      float *want = numbers((size_t)b * (keep + 1));
      for (int i = 0; i < b; i++) {
        int count = (int)args.in[3].data[i], chosen[32] = {1}, used = 0, all = most <= keep + 1;
        double weights[32] = {0};
        weigh_tokens(&args, i, count, dv, weights);
        for (int j = 1; j < count; j++) chosen[j] = all;
        for (int k = 0; !all && k < keep; k++)
          chosen[token_of(weights, element(&args.in[2], (int[]){i, k, 0}), args.in[4].data + i * n, count)] = 1;
        for (int j = 0; j < count; j++)
          if (chosen[j]) want[i * (keep + 1) + used++] = (float)j;
        CHECK_INT(args.out[1].data[i], used);
        while (used <= keep) want[i * (keep + 1) + used++] = -1;
      }
      expect(op, &args, want, 0);
      free(want);
    }
    done(&args);
  }
  tsr_attrs attrs = {0};
  tsr_shape p = tsr_shape_of(4, 2, 3, 1, 5), v = tsr_shape_of(3, 2, 5, 6), noise = tsr_shape_of(3, 2, 3, 4);
  tsr_shape count = tsr_shape_of(1, 2), ids = tsr_shape_of(3, 2, 5, 1);
  refuses(op, &attrs, 5, SHAPES(p, v, tsr_shape_of(3, 2, 3, 3), count, ids),
          "noise [2,3,3] does not fit probabilities [2,3,1,5]");
  refuses(op, &attrs, 5, SHAPES(tsr_shape_of(3, 2, 3, 5), v, noise, count, ids), "probabilities [2,3,5]");
  refuses(op, &attrs, 5, SHAPES(p, tsr_shape_of(2, 2, 5), noise, count, ids), "probabilities");
  refuses(op, &attrs, 5, SHAPES(p, v, tsr_shape_of(3, 3, 3, 4), count, ids), "noise [3,3,4]");
  refuses(op, &attrs, 5, SHAPES(p, v, tsr_shape_of(2, 3, 4), count, ids), "noise [3,4]");
  refuses(op, &attrs, 5, SHAPES(p, tsr_shape_of(3, 2, 4, 6), noise, count, ids), "probabilities");
  refuses(op, &attrs, 5, SHAPES(p, tsr_shape_of(3, 3, 5, 6), noise, count, ids), "probabilities");
  refuses(op, &attrs, 5, SHAPES(p, v, noise, tsr_shape_of(1, 3), ids), "probabilities");
  refuses(op, &attrs, 5, SHAPES(p, v, noise, tsr_shape_of(2, 2, 1), ids), "probabilities");
}

#endif
