/* attention: see ops.inc. The first tasks pack each head's keys and values. Then a task is a block of queries of one head, which takes the keys
 * KEYS at a time: their scores live in the thread's scratch, and softmax goes along (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
 * arXiv 2205.14135). So memory grows with N, not with N x M, which is stored only when the probabilities are asked for. */
#include <math.h>
#include <string.h>

#include "ops.h"

enum { QUERY_ROWS = 48 /* a multiple of TSR_ROW_GROUP */, KEYS = 256 /* 48 kB of scores */ };

typedef __typeof__(((tsr_attrs *)0)->attention) attention_attrs;

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
  const tsr_shape *keys = &args->in[args->n_in - 1].shape;
  if (a->limited && (keys->ndim != 1 || keys->dims[0] != k->dims[0])) {
    tsr_print(why, TSR_WHY, "numbers of keys %s for k %s", tsr_shape_print(keys, text[0]), tsr_shape_print(k, text[1]));
    return 0;
  }
  if (args->n_in - a->limited > 3) {
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
  return a->limited ? (int)args->in[args->n_in - 1].data[index / a->heads] : args->in[1].shape.dims[1];
}

static int panels_of(int columns) { return (columns + TSR_PANEL - 1) / TSR_PANEL; }

/* A head's keys: a product's weight of M outputs and D inputs, packed in parts of KEYS outputs. */
static size_t key_floats(const tsr_op_args *args) {
  return (size_t)panels_of(args->in[1].shape.dims[1]) * TSR_PANEL * args->attrs->attention.head_dim;
}

/* A head's values: for each part of KEYS tokens, a weight of as many outputs as a value has numbers, and as many inputs as tokens. */
static size_t value_floats(const tsr_op_args *args) {
  return (size_t)panels_of(args->attrs->attention.value_dim) * TSR_PANEL * args->in[1].shape.dims[1];
}

tsr_op_work tsr_op_attention_work(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  const int32_t *q = args->in[0].shape.dims;
  int m = args->in[1].shape.dims[1], heads = q[0] * a->heads;
  return (tsr_op_work){.tasks = 2 * heads + heads * tsr_tasks((size_t)q[1], QUERY_ROWS),
                       .before = 2 * heads,
                       .shared = (key_floats(args) + value_floats(args)) * sizeof(float) * (size_t)heads,
                       .scratch = (size_t)QUERY_ROWS * (2 * (m < KEYS ? m : KEYS) + a->head_dim + a->value_dim) * sizeof(float),
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

/* Where head `index` (of B * H) has its packed keys; its values follow. */
static float *packed_of(const tsr_op_args *args, int index) {
  return (float *)args->shared + (key_floats(args) + value_floats(args)) * (size_t)index;
}

static void pack(const tsr_op_args *args, int index, int is_values) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_shape *shape = &args->in[1 + is_values].shape;
  int m = keys_of(args, index), d = is_values ? a->value_dim : a->head_dim, ld = shape->dims[2], head = index % a->heads;
  const float *from = args->in[1 + is_values].data + (size_t)(index / a->heads) * shape->dims[1] * ld + (is_values ? a->v_offset : a->k_offset) + head * d;
  float *to = packed_of(args, index);
  if (!is_values) {
    args->kernels->gemm_f32_pack(to, from, ld, 0, m, d);
    return;
  }
  to += key_floats(args);
  for (int j = 0; j < m; j += KEYS) {
    int part = m - j < KEYS ? m - j : KEYS;
    pack_values(to + (size_t)j * panels_of(d) * TSR_PANEL, from + (size_t)j * ld, ld, part, d);
  }
}

/* One task: `rows` queries from `first` on of head `index`. */
typedef struct block {
  int index, first, rows;
  /* queries laid out [rows, D]; scores [rows, KEYS], and laid out; [rows, value_dim], and where the result goes */
  float *q, *scores, *p, *part, *y;
  tsr_softmax_row state[QUERY_ROWS];
} block;

/* The scores against keys [begin, end), not yet scaled: with `scale` left for softmax, or 1 where they had to be scaled at once. */
static float scores_of(const tsr_op_args *args, const block *t, int begin, int end) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_kernels *k = args->kernels;
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], d = a->head_dim, head = t->index % a->heads, keys = end - begin;
  k->gemm_f32(t->scores, keys, t->q, packed_of(args, t->index) + (size_t)begin * d, NULL, t->rows, 0, keys, d);
  int has_bias = args->n_in - a->limited > 3;
  if (!a->self_mask && !has_bias) return a->scale;
  const float *bias = has_bias ? args->in[3].data + begin : NULL; /* replaced and added values are not scaled */
  if (bias && args->in[3].shape.dims[0] > 1) bias += (size_t)head * n * m;
  for (int i = 0; i < t->rows; i++) {
    float *row = t->scores + (size_t)i * keys;
    int self = t->first + i - begin;
    for (int j = 0; j < keys; j++) row[j] *= a->scale;
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
  args->kernels->gemm_f32_rows(t->q, q, ldq, t->rows, a->head_dim);
}

static void attend(const tsr_op_args *args, block *t) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_kernels *k = args->kernels;
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], all = keys_of(args, t->index), d = a->value_dim, width = a->heads * d;
  float *stored = args->n_out > 1 ? args->out[1].data + ((size_t)t->index * n + t->first) * m : NULL, scale = 1;
  for (int i = 0; i < t->rows; i++) t->state[i] = (tsr_softmax_row){-INFINITY, 0, 0};
  lay_out_queries(args, t);
  for (int begin = 0; begin < all; begin += KEYS) {
    int end = all - begin < KEYS ? all : begin + KEYS, keys = end - begin;
    scale = scores_of(args, t, begin, end);
    for (int i = 0; stored && i < t->rows; i++)
      memcpy(stored + (size_t)i * m + begin, t->scores + (size_t)i * keys, (size_t)keys * sizeof *stored);
    k->softmax_part(t->scores, keys, scale, t->rows, keys, t->state);
    const float *values = packed_of(args, t->index) + key_floats(args) + (size_t)begin * panels_of(d) * TSR_PANEL;
    k->gemm_f32_rows(t->p, t->scores, keys, t->rows, keys);
    k->gemm_f32(begin ? t->part : t->y, begin ? d : width, t->p, values, NULL, t->rows, 0, d, keys);
    if (begin) add_part(t, width, d);
  }
  for (int i = 0; i < t->rows; i++) {
    float *y = t->y + (size_t)i * width, rate = t->state[i].sum == 0 ? 0 : 1 / t->state[i].sum;
    for (int j = 0; j < d; j++) y[j] *= rate;
  }
  if (!stored) return;
  k->softmax(stored, m, stored, m, scale, t->rows, all);
  for (int i = 0; i < t->rows && all < m; i++) memset(stored + (size_t)i * m + all, 0, (size_t)(m - all) * sizeof *stored);
}

void tsr_op_attention_run(const tsr_op_args *args, int task, void *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  int heads = args->in[0].shape.dims[0] * a->heads, n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1];
  if (task < 2 * heads) {
    pack(args, task / 2, task % 2);
    return;
  }
  task -= 2 * heads;
  int blocks = tsr_tasks((size_t)n, QUERY_ROWS);
  size_t begin, end;
  tsr_task_range((size_t)n, QUERY_ROWS, task % blocks, &begin, &end);
  block t = {.index = task / blocks, .first = (int)begin, .rows = (int)(end - begin), .scores = scratch};
  t.p = t.scores + (size_t)QUERY_ROWS * (m < KEYS ? m : KEYS);
  t.part = t.p + (size_t)QUERY_ROWS * (m < KEYS ? m : KEYS);
  t.q = t.part + (size_t)QUERY_ROWS * a->value_dim;
  t.y = args->out[0].data + ((size_t)(t.index / a->heads) * n + begin) * a->heads * a->value_dim + t.index % a->heads * a->value_dim;
  attend(args, &t);
}
