/* attention: softmax attention, a block of queries of one head at a time; see ops.inc.
 * The first tasks pack the keys and the values of each head. Each further task is a block of queries of one head. It
 * takes the keys in parts of at most KEYS and updates the softmax with each part (Milakov and Gimelshein 2018, arXiv
 * 1805.02867; Dao et al. 2022, arXiv 2205.14135). The scores of a part lie in the thread's scratch, so memory grows
 * with N. Only the probabilities, if they are stored, take N x M. */
#include <math.h>
#include <string.h>

#include "ops.h"

enum {
  QUERY_ROWS = 48, /* a multiple of TSR_ROW_GROUP */
  KEYS = 256,      /* 48 kB of scores */
  LEAST_KEYS = 64  /* fewer keys are multiplied in f32 */
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
    tsr_print(why, TSR_WHY, "q %s, k %s and v %s do not fit %d heads of %d", tsr_shape_print(q, text[0]),
              tsr_shape_print(k, text[1]), tsr_shape_print(v, text[2]), a->heads, a->head_dim);
    return 0;
  }
  if (a->has_scale && tsr_shape_count(&args->in[args->n_in - 1].shape, NULL) != 1) {
    tsr_print(why, TSR_WHY, "the scale is not one number");
    return 0;
  }
  const tsr_shape *keys = &args->in[args->n_in - 1 - a->has_scale].shape;
  if (a->limited && (keys->ndim != 1 || keys->dims[0] != k->dims[0])) {
    tsr_print(why, TSR_WHY, "numbers of keys %s do not fit k %s", tsr_shape_print(keys, text[0]),
              tsr_shape_print(k, text[1]));
    return 0;
  }
  if (has_bias(args)) {
    const tsr_shape *bias = &args->in[3].shape;
    if (bias->ndim != 3 || (bias->dims[0] != 1 && bias->dims[0] != a->heads) || bias->dims[1] != q->dims[1] ||
        bias->dims[2] != k->dims[1]) {
      tsr_print(why, TSR_WHY, "bias is %s, expected [1 or %d,%d,%d]", tsr_shape_print(bias, text[0]), a->heads,
                (int)q->dims[1], (int)k->dims[1]);
      return 0;
    }
  }
  args->out[0].shape = tsr_shape_of(3, q->dims[0], q->dims[1], out);
  args->out[1].shape = tsr_shape_of(4, q->dims[0], a->heads, q->dims[1], k->dims[1]);
  args->n_out = a->store ? 2 : 1;
  args->whole = a->self_mask || args->n_in > 3;
  return 1;
}

/* The number of keys of head `index` (of B * H). */
static int keys_of(const tsr_op_args *args, int index) {
  const attention_attrs *a = &args->attrs->attention;
  return a->limited ? (int)args->in[args->n_in - 1 - a->has_scale].data[index / a->heads] : args->in[1].shape.dims[1];
}

/* 1 if both products are in 8 bits. Decided by the number of keys only, never by N (queries) or B, so captures and
 * batch size cannot change the result. */
static int in_8_bits(const tsr_op_args *args) {
  return args->attrs->attention.q8 && args->in[1].shape.dims[1] >= LEAST_KEYS;
}

/* The number of keys of a part. All parts have as many, except the last. */
static int keys_of_part(const tsr_op_args *args) {
  int m = args->in[1].shape.dims[1], parts = tsr_tasks((size_t)m, KEYS);
  return parts > 1 ? ((m + parts - 1) / parts + TSR_PANEL - 1) / TSR_PANEL * TSR_PANEL : m;
}

static int panels_of(int columns) { return (columns + TSR_PANEL - 1) / TSR_PANEL; }
static size_t align16(size_t bytes) { return (bytes + 15) & ~(size_t)15; }

/* The packed keys and values of a head, as byte offsets in its memory. The keys come first: they are the weight of a
 * product with M outputs and D inputs. The values are one weight for each part, with value_dim outputs, whose inputs
 * are the keys of the part.
 * In 8 bits there are also the scales and sums of the keys, and the scales of the values (for each part). There the
 * mean of the values is subtracted before they are quantized, so that weights which are rounded to 0 count as the mean,
 * not as nothing. */
typedef struct places {
  size_t key_scale, key_sum, values, part, value_scale, mean, all; /* part: bytes of one part's values */
} places;

static places places_of(const tsr_op_args *args) {
  const tsr_kernels *k = args->kernels;
  int m = args->in[1].shape.dims[1], d = args->attrs->attention.head_dim, width = args->attrs->attention.value_dim;
  int keys = keys_of_part(args);
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

/* A thread's scratch for packing in 8 bits: the keys of a part, or its values by columns, and the same in 8 bits. */
static size_t pack_bytes(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  size_t width = (size_t)(a->head_dim > a->value_dim ? a->head_dim : a->value_dim);
  return in_8_bits(args) ? (size_t)keys_of_part(args) * width * (sizeof(float) + 1) : 0;
}

/* A thread's scratch for a block of queries; block_of divides it. */
static size_t block_bytes(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  size_t floats = 2 * (size_t)keys_of_part(args) + (size_t)a->head_dim + (size_t)a->value_dim + 3 + 3 * TSR_PANEL;
  return (size_t)QUERY_ROWS * floats * sizeof(float);
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

/* The packed keys and values of head `index` (of B * H). */
static char *packed_of(const tsr_op_args *args, const places *p, int index) {
  return (char *)args->shared + p->all * (size_t)index;
}

/* The first row of head `index` in input `input`, from column `column` on. */
static const float *rows_of(const tsr_op_args *args, int input, int index, int column) {
  const int32_t *dims = args->in[input].shape.dims;
  return args->in[input].data + (size_t)(index / args->attrs->attention.heads) * dims[1] * dims[2] + column;
}

/* Packs keys [begin, end) in 8 bits. `from` points at key 0; `x` is scratch. */
static void pack_keys_q8(const tsr_op_args *args, char *to, const places *p, const float *from, int ld, int begin,
                         int end, float *x) {
  const tsr_kernels *k = args->kernels;
  int d = args->attrs->attention.head_dim, keys = end - begin;
  int8_t *q = (int8_t *)(x + (size_t)keys * d);
  k->copy_rows(x, d, from + (size_t)begin * ld, ld, keys, d);
  k->quantize_weight_q8(q, (float *)(void *)(to + p->key_scale) + begin, x, keys, d);
  k->sum_i8((int32_t *)(void *)(to + p->key_sum) + begin, q, keys, d);
  k->gemm_q8_pack((int8_t *)to, q, d, begin, end, d);
}

/* Packs the keys of head `index`. */
static void pack_keys(const tsr_op_args *args, int index, float *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  places p = places_of(args);
  int m = keys_of(args, index), d = a->head_dim, ld = args->in[1].shape.dims[2], part = keys_of_part(args);
  const float *from = rows_of(args, 1, index, a->k_offset + index % a->heads * d);
  char *to = packed_of(args, &p, index);
  if (!in_8_bits(args)) {
    args->kernels->gemm_f32_pack((float *)(void *)to, from, ld, 0, m, d);
    return;
  }
  for (int begin = 0; begin < m; begin += part)
    pack_keys_q8(args, to, &p, from, ld, begin, m - begin < part ? m : begin + part, scratch);
}

/* Packs values [M, D] in f32 into panels of 8 columns, because the weight of the second product is V transposed. */
static void pack_values_f32(float *panels, const float *v, int ldv, int m, int d) {
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

/* The mean of M values. */
static void average(const tsr_kernels *k, float *mean, const float *v, int ld, int m, int d) {
  memset(mean, 0, (size_t)d * sizeof *mean);
  for (int i = 0; i < m; i++) k->add(mean, mean, v + (size_t)i * ld, d);
  for (int j = 0; j < d; j++) mean[j] /= (float)m;
}

/* Packs values [begin, end) in 8 bits, as part `part`. `from` points at value 0; `x` is scratch. */
static void pack_values_q8(const tsr_op_args *args, char *to, const places *p, const float *from, int ld, int part,
                           int begin, int end, float *x) {
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

/* Packs the values of head `index`. */
static void pack_values(const tsr_op_args *args, int index, float *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  places p = places_of(args);
  int m = keys_of(args, index), d = a->value_dim, ld = args->in[2].shape.dims[2], keys = keys_of_part(args);
  const float *from = rows_of(args, 2, index, a->v_offset + index % a->heads * d);
  char *to = packed_of(args, &p, index);
  if (in_8_bits(args)) average(args->kernels, (float *)(void *)(to + p.mean), from, ld, m, d);
  for (int part = 0, begin = 0; begin < m; part++, begin += keys) {
    int end = m - begin < keys ? m : begin + keys;
    float *panels = (float *)(void *)(to + p.values + (size_t)part * p.part);
    if (in_8_bits(args)) pack_values_q8(args, to, &p, from, ld, part, begin, end, scratch);
    else pack_values_f32(panels, from + (size_t)begin * ld, ld, end - begin, d);
  }
}

/* A task: `rows` queries of head `index`, from query `first` on. */
typedef struct block {
  int index, first, rows;
  places places;
  const char *packed; /* keys and values of the head */
  float *q;           /* queries, laid out or quantized [rows, D] */
  float *scores, *p;  /* scores of a part [rows, keys]; their softmax, laid out or quantized */
  float *part, *y;    /* output of a part [rows, value_dim]; the op's output for these queries */
  float *q_scale;     /* [rows]; in 8 bits */
  int32_t *q_zero;    /* [rows]; in 8 bits */
  float *rates;       /* [rows]; in 8 bits: the scale of each row of p */
  tsr_softmax_row state[QUERY_ROWS];
} block;

/* scores [rows, keys] = q k^T, for keys [begin, begin + keys). */
static void multiply_keys(const tsr_op_args *args, const block *t, int begin, int keys) {
  const tsr_kernels *k = args->kernels;
  int d = args->attrs->attention.head_dim;
  if (in_8_bits(args)) {
    const int8_t *panels = (const int8_t *)t->packed + k->gemm_q8_packed_bytes(begin, d);
    const float *scale = (const float *)(const void *)(t->packed + t->places.key_scale) + begin;
    const int32_t *sum = (const int32_t *)(const void *)(t->packed + t->places.key_sum) + begin;
    k->gemm_q8(t->scores, keys, t->q, t->q_scale, t->q_zero, panels, scale, sum, NULL, t->rows, 0, keys, d);
    return;
  }
  const float *panels = (const float *)(const void *)t->packed + (size_t)begin * d;
  k->gemm_f32(t->scores, keys, t->q, panels, NULL, t->rows, 0, keys, d);
}

/* Computes the scores against keys [begin, end). Returns the factor that softmax still has to apply: the scale, or 1
 * where the scores are already scaled, because values that replace them or are added to them must not be scaled. */
static float scores_of(const tsr_op_args *args, const block *t, int begin, int end) {
  const attention_attrs *a = &args->attrs->attention;
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], head = t->index % a->heads, keys = end - begin;
  multiply_keys(args, t, begin, keys);
  float scale = a->has_scale ? *args->in[args->n_in - 1].data : a->scale;
  if (!a->self_mask && !has_bias(args)) return scale;
  const float *bias = has_bias(args) ? args->in[3].data + begin : NULL;
  if (bias && args->in[3].shape.dims[0] > 1) bias += (size_t)head * n * m;
  for (int i = 0; i < t->rows; i++) {
    float *row = t->scores + (size_t)i * keys;
    int self = t->first + i - begin;
    for (int j = 0; j < keys; j++) row[j] *= scale;
    if (a->self_mask && self >= 0 && self < keys) row[self] = a->self_value;
    if (bias) args->kernels->add(row, row, bias + (size_t)(t->first + i) * m, keys);
  }
  return 1;
}

/* y = y * keep + part. */
static void add_part(const block *t, int width, int d) {
  for (int i = 0; i < t->rows; i++) {
    float *y = t->y + (size_t)i * width, keep = t->state[i].keep;
    const float *part = t->part + (size_t)i * d;
    for (int j = 0; j < d; j++) y[j] = y[j] * keep + part[j];
  }
}

static void lay_out_queries(const tsr_op_args *args, const block *t) {
  const attention_attrs *a = &args->attrs->attention;
  int ldq = args->in[0].shape.dims[2], d = a->head_dim;
  const float *q = rows_of(args, 0, t->index, a->q_offset + t->index % a->heads * d) + (size_t)t->first * ldq;
  if (in_8_bits(args)) args->kernels->gemm_q8_quantize(t->q, t->q_scale, t->q_zero, q, ldq, t->rows, d, NULL);
  else args->kernels->gemm_f32_rows(t->q, q, ldq, t->rows, d);
}

static const float *mean_of(const block *t) { return (const float *)(const void *)(t->packed + t->places.mean); }
static float rate_of(const block *t, int row) { return t->state[row].sum == 0 ? 0 : 1 / t->state[row].sum; }

/* Turns the scores of part `part` into weights (not yet divided by their sum), and multiplies them with the values of
 * the part: y [rows, ldy]. is_whole: in 8 bits with one part only; then y is the final result, except for rows whose
 * weights are all 0. */
static void weigh(const tsr_op_args *args, block *t, int part, int keys, float scale, float *y, int ldy, int is_whole) {
  static const int32_t zeros[QUERY_ROWS] = {0};
  const tsr_kernels *k = args->kernels;
  int d = args->attrs->attention.value_dim;
  const char *values = t->packed + t->places.values + (size_t)part * t->places.part;
  if (in_8_bits(args)) {
    const float *scales = (const float *)(const void *)(t->packed + t->places.value_scale) + (size_t)part * d;
    /* The sums of the values are multiplied by the zero point, which is 0, so any numbers can stand for them. */
    const int32_t *sums = (const int32_t *)(const void *)scales;
    k->softmax_part_q8(t->p, t->scores, keys, scale, t->rows, keys, t->state);
    for (int i = 0; is_whole && i < t->rows; i++) t->rates[i] = rate_of(t, i);
    k->gemm_q8(y, ldy, t->p, t->rates, zeros, (const int8_t *)values, scales, sums, is_whole ? mean_of(t) : NULL,
               t->rows, 0, d, keys);
    return;
  }
  k->softmax_part(t->scores, keys, scale, t->rows, keys, t->state);
  k->gemm_f32_rows(t->p, t->scores, keys, t->rows, keys);
  k->gemm_f32(y, ldy, t->p, (const float *)(const void *)values, NULL, t->rows, 0, d, keys);
}

/* Divides the sums of all parts by the sums of their weights, and adds the mean of the values in 8 bits. is_whole: as
 * in weigh. */
static void divide(const tsr_op_args *args, const block *t, int width, int d, int is_whole) {
  for (int i = 0; i < t->rows; i++) {
    float *y = t->y + (size_t)i * width, rate = rate_of(t, i);
    if (is_whole && rate != 0) continue;
    /* Where every key is masked, y is the mean of the values, which may be infinite; 0 * y would then be NaN. */
    for (int j = 0; j < d; j++) y[j] = rate == 0 ? 0 : y[j] * rate;
    if (in_8_bits(args) && rate != 0) args->kernels->add(y, y, mean_of(t), d);
  }
}

static void attend(const tsr_op_args *args, block *t) {
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], all = keys_of(args, t->index);
  int d = args->attrs->attention.value_dim, width = args->attrs->attention.heads * d;
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
  divide(args, t, width, d, is_whole);
  if (!stored) return;
  args->kernels->softmax(stored, m, stored, m, scale, t->rows, all);
  for (int i = 0; i < t->rows && all < m; i++)
    memset(stored + (size_t)i * m + all, 0, (size_t)(m - all) * sizeof *stored);
}

/* Block number `number` of all heads' blocks, with its parts of the scratch. */
static block block_of(const tsr_op_args *args, int number, float *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  int n = args->in[0].shape.dims[1], blocks = tsr_tasks((size_t)n, QUERY_ROWS);
  size_t begin, end, padded = (size_t)(keys_of_part(args) + TSR_PANEL);
  tsr_task_range((size_t)n, QUERY_ROWS, number % blocks, &begin, &end);
  block t = {.index = number / blocks, .first = (int)begin, .rows = (int)(end - begin), .places = places_of(args)};
  t.packed = packed_of(args, &t.places, t.index);
  t.scores = scratch;
  t.p = t.scores + QUERY_ROWS * padded;
  t.q = t.p + QUERY_ROWS * padded;
  t.part = t.q + (size_t)QUERY_ROWS * (a->head_dim + TSR_PANEL);
  t.q_scale = t.part + (size_t)QUERY_ROWS * a->value_dim;
  t.rates = t.q_scale + QUERY_ROWS;
  t.q_zero = (int32_t *)(t.rates + QUERY_ROWS);
  for (int i = 0; i < QUERY_ROWS; i++) t.rates[i] = 1;
  size_t row = (size_t)(t.index / a->heads) * n + begin;
  t.y = args->out[0].data + (row * a->heads + t.index % a->heads) * a->value_dim;
  return t;
}

void tsr_op_attention_run(const tsr_op_args *args, int task, void *scratch) {
  int heads = args->in[0].shape.dims[0] * args->attrs->attention.heads;
  if (task >= 2 * heads) {
    block t = block_of(args, task - 2 * heads, scratch);
    attend(args, &t);
  } else if (task % 2) pack_values(args, task / 2, scratch);
  else pack_keys(args, task / 2, scratch);
}
