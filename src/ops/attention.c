/* attention: softmax attention, a block of queries of one head at a time; see ops.inc.
 * The first tasks pack each head's keys and values. Then a task is a block of queries of one head, which takes the keys
 * KEYS at a time: their scores live in the thread's scratch, and softmax goes along (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
 * arXiv 2205.14135). So memory grows with N, not with N x M, which is stored only when the probabilities are asked for. */
#include <math.h>
#include <string.h>

#include "ops.h"

enum {
  QUERY_ROWS = 48, /* a multiple of TSR_ROW_GROUP */
  KEYS = 256,      /* 48 kB of scores */
  LEAST_KEYS = 64  /* for 8 bits */
};

typedef __typeof__(((tsr_attrs *)0)->attention) attention_attrs;

static int has_bias(const tsr_op_args *args) {
  return args->n_in - args->attrs->attention.limited - args->attrs->attention.has_scale > 3;
}

int tsr_op_attention_shape(tsr_op_args *args, char *why) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_shape *q = &args->in[0].shape, *k = &args->in[1].shape, *v = &args->in[2].shape;
  char text[3][TSR_SHAPE_TEXT];
  int width = a->heads * a->head_dim, out = a->heads * a->value_dim;
  int ok = q->ndim == 3 && k->ndim == 3 && v->ndim == 3 && q->dims[0] == k->dims[0] && k->dims[0] == v->dims[0] &&
           k->dims[1] == v->dims[1] && a->q_offset + width <= q->dims[2] && a->k_offset + width <= k->dims[2] &&
           a->v_offset + out <= v->dims[2];
  if (!ok) {
    tsr_print(why, TSR_WHY, "q %s, k %s, v %s with %d heads of %d", tsr_shape_print(q, text[0]), tsr_shape_print(k, text[1]),
              tsr_shape_print(v, text[2]), a->heads, a->head_dim);
    return 0;
  }
  if (a->has_scale && tsr_shape_count(&args->in[args->n_in - 1].shape, NULL) != 1) {
    tsr_print(why, TSR_WHY, "the scale is not one number");
    return 0;
  }
  const tsr_shape *keys = &args->in[args->n_in - 1 - a->has_scale].shape;
  if (a->limited && (keys->ndim != 1 || keys->dims[0] != k->dims[0])) {
    tsr_print(why, TSR_WHY, "numbers of keys %s for k %s", tsr_shape_print(keys, text[0]), tsr_shape_print(k, text[1]));
    return 0;
  }
  if (has_bias(args)) {
    const tsr_shape *bias = &args->in[3].shape;
    if (bias->ndim != 3 || (bias->dims[0] != 1 && bias->dims[0] != a->heads) || bias->dims[1] != q->dims[1] || bias->dims[2] != k->dims[1]) {
      tsr_print(why, TSR_WHY, "bias %s, expected [1 or %d,%d,%d]", tsr_shape_print(bias, text[0]), a->heads, (int)q->dims[1],
                (int)k->dims[1]);
      return 0;
    }
  }
  args->out[0].shape = tsr_shape_of(3, q->dims[0], q->dims[1], out);
  args->out[1].shape = tsr_shape_of(4, q->dims[0], a->heads, q->dims[1], k->dims[1]);
  args->n_out = a->store ? 2 : 1;
  return 1;
}

/* Keys that head `index` (of B * H) looks at. */
static int keys_of(const tsr_op_args *args, int index) {
  const attention_attrs *a = &args->attrs->attention;
  return a->limited ? (int)args->in[args->n_in - 1 - a->has_scale].data[index / a->heads] : args->in[1].shape.dims[1];
}

/* Whether both products are in 8 bits. What decides is nothing that captures or a picture's company change: not N, not B. */
static int in_8_bits(const tsr_op_args *args) { return args->attrs->attention.q8 && args->in[1].shape.dims[1] >= LEAST_KEYS; }

/* Keys of a part: as many in each, but for the last. */
static int keys_of_part(const tsr_op_args *args) {
  int m = args->in[1].shape.dims[1], parts = tsr_tasks((size_t)m, KEYS);
  return parts > 1 ? ((m + parts - 1) / parts + TSR_PANEL - 1) / TSR_PANEL * TSR_PANEL : m;
}

static int panels_of(int columns) { return (columns + TSR_PANEL - 1) / TSR_PANEL; }
static size_t align16(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

/* What a head has packed: keys as a product's weight of M outputs and D inputs; values as one of D outputs for each part, whose inputs are the
 * part's tokens. All but `keys`, which come first, are bytes from there on. In 8 bits scales (of values: of each part) and sums come with them;
 * values are then taken off their mean, so that weights which are rounded away count as the mean does, and not as nothing. */
typedef struct places {
  size_t key_scale, key_sum, values, part, value_scale, mean, all;
} places;

static places places_of(const tsr_op_args *args) {
  const tsr_kernels *k = args->kernels;
  int m = args->in[1].shape.dims[1], d = args->attrs->attention.head_dim, width = args->attrs->attention.value_dim, keys = keys_of_part(args);
  size_t parts = keys ? (size_t)tsr_tasks((size_t)m, (size_t)keys) : 0, row = align16((size_t)m * sizeof(float));
  places p = {0};
  if (in_8_bits(args)) {
    p.key_scale = k->gemm_q8_packed_bytes(m, d), p.key_sum = p.key_scale + row, p.values = p.key_sum + row;
    p.part = k->gemm_q8_packed_bytes(width, keys);
    p.value_scale = p.values + parts * p.part;
    p.mean = p.value_scale + align16(parts * (size_t)width * sizeof(float));
    p.all = p.mean + align16((size_t)width * sizeof(float));
  } else {
    p.values = (size_t)panels_of(m) * TSR_PANEL * (size_t)d * sizeof(float);
    p.part = (size_t)panels_of(width) * TSR_PANEL * (size_t)keys * sizeof(float);
    p.all = p.values + parts * p.part;
  }
  return p;
}

/* A thread's memory. For packing in 8 bits: a part's keys, or values by columns, and the same in 8 bits. For a block: its queries, laid out, with scales and zero
 * points; scores [rows, keys], and laid out; what a part adds. */
static size_t pack_bytes(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  size_t width = (size_t)(a->head_dim > a->value_dim ? a->head_dim : a->value_dim);
  return in_8_bits(args) ? (size_t)keys_of_part(args) * width * (sizeof(float) + 1) : 0;
}

static size_t block_bytes(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  return (size_t)QUERY_ROWS * (2 * (size_t)keys_of_part(args) + (size_t)a->head_dim + (size_t)a->value_dim + 3 + 3 * TSR_PANEL) * sizeof(float);
}

tsr_op_work tsr_op_attention_work(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  const int32_t *q = args->in[0].shape.dims;
  int m = args->in[1].shape.dims[1], heads = q[0] * a->heads;
  size_t pack = pack_bytes(args), block = block_bytes(args);
  return (tsr_op_work){.tasks = 2 * heads + heads * tsr_tasks((size_t)q[1], QUERY_ROWS),
                       .before = 2 * heads,
                       .shared = places_of(args).all * (size_t)heads,
                       .scratch = pack > block ? pack : block,
                       .operations = (double)heads * q[1] * (double)m * (a->head_dim + a->value_dim)};
}

/* V [M, D] into panels of 8 columns: the weight of the second product is V transposed. */
static void pack_values(float *panels, const float *v, int ldv, int m, int d) {
  for (int p = 0; p < panels_of(d); p++) {
    const float *from = v + p * TSR_PANEL;
    int width = d - p * TSR_PANEL;
    if (width >= TSR_PANEL) {
      for (int i = 0; i < m; i++, panels += TSR_PANEL) memcpy(panels, from + (size_t)i * ldv, TSR_PANEL * sizeof *v);
      continue;
    }
    for (int i = 0; i < m; i++, panels += TSR_PANEL) {
      memset(panels, 0, TSR_PANEL * sizeof *v);
      memcpy(panels, from + (size_t)i * ldv, (size_t)width * sizeof *v);
    }
  }
}

/* Where head `index` (of B * H) has what it packed. */
static char *packed_of(const tsr_op_args *args, const places *p, int index) { return (char *)args->shared + p->all * (size_t)index; }

/* Keys [begin, end) of `from`, which points at key 0. */
static void pack_keys_q8(const tsr_op_args *args, char *to, const places *p, const float *from, int ld, int begin, int end, float *x) {
  const tsr_kernels *k = args->kernels;
  int d = args->attrs->attention.head_dim, keys = end - begin;
  int8_t *q = (int8_t *)(x + (size_t)keys * d);
  k->copy_rows(x, d, from + (size_t)begin * ld, ld, keys, d);
  k->quantize_weight_q8(q, (float *)(void *)(to + p->key_scale) + begin, x, keys, d);
  k->sum_i8((int32_t *)(void *)(to + p->key_sum) + begin, q, keys, d);
  k->gemm_q8_pack((int8_t *)to, q, d, begin, end, d);
}

/* The mean of M values. */
static void average(const tsr_kernels *k, float *mean, const float *v, int ld, int m, int d) {
  memset(mean, 0, (size_t)d * sizeof *mean);
  for (int i = 0; i < m; i++) k->add(mean, mean, v + (size_t)i * ld, d);
  for (int j = 0; j < d; j++) mean[j] /= (float)m;
}

static void pack_values_q8(const tsr_op_args *args, char *to, const places *p, const float *from, int ld, int part, int begin, int end, float *x) {
  const tsr_kernels *k = args->kernels;
  int d = args->attrs->attention.value_dim, keys = end - begin;
  int8_t *q = (int8_t *)(x + (size_t)keys * d);
  const float *mean = (const float *)(const void *)(to + p->mean);
  k->transpose(x, keys, from + (size_t)begin * ld, ld, keys, d);
  for (int j = 0; j < d; j++)
    for (int i = 0; i < keys; i++) x[(size_t)j * keys + i] -= mean[j];
  k->quantize_weight_q8(q, (float *)(void *)(to + p->value_scale) + (size_t)part * d, x, d, keys);
  k->gemm_q8_pack((int8_t *)to + p->values + (size_t)part * p->part, q, keys, 0, d, keys);
}

static void pack(const tsr_op_args *args, int index, int is_values, float *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_shape *shape = &args->in[1 + is_values].shape;
  places p = places_of(args);
  int m = keys_of(args, index), d = is_values ? a->value_dim : a->head_dim, ld = shape->dims[2], head = index % a->heads, part = keys_of_part(args);
  const float *from = args->in[1 + is_values].data + (size_t)(index / a->heads) * shape->dims[1] * ld + (is_values ? a->v_offset : a->k_offset) + head * d;
  char *to = packed_of(args, &p, index);
  if (!is_values && !in_8_bits(args)) {
    args->kernels->gemm_f32_pack((float *)(void *)to, from, ld, 0, m, d);
    return;
  }
  if (is_values && in_8_bits(args)) average(args->kernels, (float *)(void *)(to + p.mean), from, ld, m, d);
  for (int i = 0, begin = 0; begin < m; i++, begin += part) {
    int end = m - begin < part ? m : begin + part;
    if (!in_8_bits(args)) pack_values((float *)(void *)(to + p.values + (size_t)i * p.part), from + (size_t)begin * ld, ld, end - begin, d);
    else if (is_values) pack_values_q8(args, to, &p, from, ld, i, begin, end, scratch);
    else pack_keys_q8(args, to, &p, from, ld, begin, end, scratch);
  }
}

/* One task: `rows` queries from `first` on of head `index`. */
typedef struct block {
  int index, first, rows;
  places places;
  const char *packed;
  /* queries laid out [rows, D]; scores [rows, keys], and laid out; [rows, value_dim], and where the result goes */
  float *q, *scores, *p, *part, *y;
  float *q_scale, *rates; /* in 8 bits */
  int32_t *q_zero;
  tsr_softmax_row state[QUERY_ROWS];
} block;

/* The scores against keys [begin, end), not yet scaled: with `scale` left for softmax, or 1 where they had to be scaled at once. */
static float scores_of(const tsr_op_args *args, const block *t, int begin, int end) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_kernels *k = args->kernels;
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], d = a->head_dim, head = t->index % a->heads, keys = end - begin;
  if (in_8_bits(args))
    k->gemm_q8(t->scores, keys, t->q, t->q_scale, t->q_zero, (const int8_t *)t->packed + k->gemm_q8_packed_bytes(begin, d),
               (const float *)(const void *)(t->packed + t->places.key_scale) + begin,
               (const int32_t *)(const void *)(t->packed + t->places.key_sum) + begin, NULL, t->rows, 0, keys, d);
  else k->gemm_f32(t->scores, keys, t->q, (const float *)(const void *)t->packed + (size_t)begin * d, NULL, t->rows, 0, keys, d);
  float scale = a->has_scale ? *args->in[args->n_in - 1].data : a->scale;
  if (!a->self_mask && !has_bias(args)) return scale;
  const float *bias = has_bias(args) ? args->in[3].data + begin : NULL; /* replaced and added values are not scaled */
  if (bias && args->in[3].shape.dims[0] > 1) bias += (size_t)head * n * m;
  for (int i = 0; i < t->rows; i++) {
    float *row = t->scores + (size_t)i * keys;
    int self = t->first + i - begin;
    for (int j = 0; j < keys; j++) row[j] *= scale;
    if (a->self_mask && self >= 0 && self < keys) row[self] = a->self_value;
    if (bias) k->add(row, row, bias + (size_t)(t->first + i) * m, keys);
  }
  return 1;
}

/* y = y * keep + part, or part for the first. */
static void add_part(const block *t, int width, int d) {
  for (int i = 0; i < t->rows; i++) {
    float *y = t->y + (size_t)i * width, keep = t->state[i].keep;
    const float *part = t->part + (size_t)i * d;
    for (int j = 0; j < d; j++) y[j] = y[j] * keep + part[j];
  }
}

static void lay_out_queries(const tsr_op_args *args, const block *t) {
  const attention_attrs *a = &args->attrs->attention;
  int n = args->in[0].shape.dims[1], ldq = args->in[0].shape.dims[2], head = t->index % a->heads;
  const float *q = args->in[0].data + ((size_t)(t->index / a->heads) * n + t->first) * ldq + a->q_offset + head * a->head_dim;
  if (in_8_bits(args)) args->kernels->gemm_q8_quantize(t->q, t->q_scale, t->q_zero, q, ldq, t->rows, a->head_dim);
  else args->kernels->gemm_f32_rows(t->q, q, ldq, t->rows, a->head_dim);
}

static const float *mean_of(const block *t) { return (const float *)(const void *)(t->packed + t->places.mean); }
static float rate_of(const block *t, int row) { return t->state[row].sum == 0 ? 0 : 1 / t->state[row].sum; }

/* The scores of part `part` become weights (not yet divided by their sum), which go into y [rows, ldy] with the part's values. is_whole: in 8 bits,
 * and there is no other part: all is done then, but for rows whose weights are all 0. */
static void weigh(const tsr_op_args *args, block *t, int part, int keys, float scale, float *y, int ldy, int is_whole) {
  static const int32_t zeros[QUERY_ROWS] = {0};
  const tsr_kernels *k = args->kernels;
  int d = args->attrs->attention.value_dim;
  const char *values = t->packed + t->places.values + (size_t)part * t->places.part;
  if (in_8_bits(args)) {
    const float *scales = (const float *)(const void *)(t->packed + t->places.value_scale) + (size_t)part * d;
    k->softmax_part_q8(t->p, t->scores, keys, scale, t->rows, keys, t->state);
    for (int i = 0; is_whole && i < t->rows; i++) t->rates[i] = rate_of(t, i);
    /* sums of values do not count where the zero point is 0: any numbers will do */
    k->gemm_q8(y, ldy, t->p, t->rates, zeros, (const int8_t *)values, scales, (const int32_t *)(const void *)scales, is_whole ? mean_of(t) : NULL,
               t->rows, 0, d, keys);
    return;
  }
  k->softmax_part(t->scores, keys, scale, t->rows, keys, t->state);
  k->gemm_f32_rows(t->p, t->scores, keys, t->rows, keys);
  k->gemm_f32(y, ldy, t->p, (const float *)(const void *)values, NULL, t->rows, 0, d, keys);
}

static void attend(const tsr_op_args *args, block *t) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_kernels *k = args->kernels;
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], all = keys_of(args, t->index), d = a->value_dim, width = a->heads * d;
  int most = keys_of_part(args), is_whole = in_8_bits(args) && all <= most;
  float *stored = args->n_out > 1 ? args->out[1].data + ((size_t)t->index * n + t->first) * m : NULL, scale = 1;
  for (int i = 0; i < t->rows; i++) t->state[i] = (tsr_softmax_row){-INFINITY, 0, 0};
  lay_out_queries(args, t);
  for (int begin = 0, part = 0; begin < all; begin += most, part++) {
    int end = all - begin < most ? all : begin + most, keys = end - begin;
    scale = scores_of(args, t, begin, end);
    for (int i = 0; stored && i < t->rows; i++)
      memcpy(stored + (size_t)i * m + begin, t->scores + (size_t)i * keys, (size_t)keys * sizeof *stored);
    weigh(args, t, part, keys, scale, begin ? t->part : t->y, begin ? d : width, is_whole);
    if (begin) add_part(t, width, d);
  }
  for (int i = 0; i < t->rows; i++) {
    float *y = t->y + (size_t)i * width, rate = rate_of(t, i);
    if (is_whole && rate != 0) continue;
    /* not 0 * y where every key is masked: y is the values' mean then, and may be infinite */
    for (int j = 0; j < d; j++) y[j] = rate == 0 ? 0 : y[j] * rate;
    if (in_8_bits(args) && rate != 0) k->add(y, y, mean_of(t), d);
  }
  if (!stored) return;
  k->softmax(stored, m, stored, m, scale, t->rows, all);
  for (int i = 0; i < t->rows && all < m; i++) memset(stored + (size_t)i * m + all, 0, (size_t)(m - all) * sizeof *stored);
}

void tsr_op_attention_run(const tsr_op_args *args, int task, void *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  int heads = args->in[0].shape.dims[0] * a->heads, n = args->in[0].shape.dims[1];
  if (task < 2 * heads) {
    pack(args, task / 2, task % 2, scratch);
    return;
  }
  task -= 2 * heads;
  int blocks = tsr_tasks((size_t)n, QUERY_ROWS);
  size_t begin, end;
  tsr_task_range((size_t)n, QUERY_ROWS, task % blocks, &begin, &end);
  block t = {.index = task / blocks, .first = (int)begin, .rows = (int)(end - begin), .scores = scratch, .places = places_of(args)};
  size_t padded = (size_t)(keys_of_part(args) + TSR_PANEL);
  t.packed = packed_of(args, &t.places, t.index);
  t.p = t.scores + QUERY_ROWS * padded;
  t.q = t.p + QUERY_ROWS * padded;
  t.part = t.q + (size_t)QUERY_ROWS * (a->head_dim + TSR_PANEL);
  t.q_scale = t.part + (size_t)QUERY_ROWS * a->value_dim;
  t.rates = t.q_scale + QUERY_ROWS;
  t.q_zero = (int32_t *)(t.rates + QUERY_ROWS);
  for (int i = 0; i < QUERY_ROWS; i++) t.rates[i] = 1;
  t.y = args->out[0].data + ((size_t)(t.index / a->heads) * n + begin) * a->heads * a->value_dim + t.index % a->heads * a->value_dim;
  attend(args, &t);
}
