/* attention: see ops.inc. A task is a block of queries of one head: its scores against all keys live in the thread's scratch,
 * so that N x M is stored only when the probabilities are asked for. */
#include <stdio.h>
#include <string.h>

#include "ops.h"

enum { QUERY_ROWS = 48 };

typedef __typeof__(((tsr_attrs *)0)->attention) attention_attrs;

int tsr_op_attention_shape(tsr_op_args *args, char *why) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_shape *q = &args->in[0].shape, *k = &args->in[1].shape, *v = &args->in[2].shape;
  char text[3][TSR_SHAPE_TEXT];
  int width = a->heads * a->head_dim;
  int ok = q->ndim == 3 && k->ndim == 3 && v->ndim == 3 && q->dims[0] == k->dims[0] && k->dims[0] == v->dims[0] &&
           k->dims[1] == v->dims[1] && a->q_offset + width <= q->dims[2] && a->k_offset + width <= k->dims[2] &&
           a->v_offset + width <= v->dims[2];
  if (!ok) {
    snprintf(why, TSR_WHY, "q %s, k %s, v %s with %d heads of %d", tsr_shape_print(q, text[0]), tsr_shape_print(k, text[1]),
             tsr_shape_print(v, text[2]), a->heads, a->head_dim);
    return 0;
  }
  if (args->n_in > 3) {
    const tsr_shape *bias = &args->in[3].shape;
    if (bias->ndim != 3 || (bias->dims[0] != 1 && bias->dims[0] != a->heads) || bias->dims[1] != q->dims[1] || bias->dims[2] != k->dims[1]) {
      snprintf(why, TSR_WHY, "bias %s, expected [1 or %d,%d,%d]", tsr_shape_print(bias, text[0]), a->heads, (int)q->dims[1],
               (int)k->dims[1]);
      return 0;
    }
  }
  args->out[0].shape = tsr_shape_of(3, q->dims[0], q->dims[1], width);
  args->out[1].shape = tsr_shape_of(4, q->dims[0], a->heads, q->dims[1], k->dims[1]);
  args->n_out = a->store ? 2 : 1;
  return 1;
}

static int panels_of(int columns) { return (columns + TSR_PANEL - 1) / TSR_PANEL; }

static size_t key_floats(const tsr_op_args *args) {
  return (size_t)panels_of(args->in[1].shape.dims[1]) * TSR_PANEL * args->attrs->attention.head_dim;
}

static size_t value_floats(const tsr_op_args *args) {
  return (size_t)panels_of(args->attrs->attention.head_dim) * TSR_PANEL * args->in[1].shape.dims[1];
}

tsr_op_work tsr_op_attention_work(const tsr_op_args *args) {
  const attention_attrs *a = &args->attrs->attention;
  const int32_t *q = args->in[0].shape.dims;
  int m = args->in[1].shape.dims[1];
  return (tsr_op_work){.tasks = q[0] * a->heads * tsr_tasks((size_t)q[1], QUERY_ROWS),
                       .scratch = (key_floats(args) + value_floats(args) + (size_t)QUERY_ROWS * m) * sizeof(float),
                       .operations = 2.0 * q[0] * a->heads * q[1] * (double)m * a->head_dim};
}

/* V [M, D] into panels of 8 columns: the weight of the second product is V transposed. */
static void pack_values(float *panels, const float *v, int ldv, int m, int d) {
  for (int p = 0; p < panels_of(d); p++) {
    int width = d - p * TSR_PANEL < TSR_PANEL ? d - p * TSR_PANEL : TSR_PANEL;
    for (int i = 0; i < m; i++, panels += TSR_PANEL) {
      memcpy(panels, v + (size_t)i * ldv + p * TSR_PANEL, (size_t)width * sizeof *v);
      memset(panels + width, 0, (size_t)(TSR_PANEL - width) * sizeof *v);
    }
  }
}

/* scores [rows, M] -> probabilities, in place. `first`: index of the block's first query. */
static void probabilities(const tsr_op_args *args, float *scores, int first, int rows, int m, int head) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_kernels *k = args->kernels;
  float scale = a->scale;
  if (a->self_mask || args->n_in > 3) { /* replaced and added values are not scaled: scale before */
    const float *bias = args->n_in > 3 ? args->in[3].data : NULL;
    if (bias && args->in[3].shape.dims[0] > 1) bias += (size_t)head * args->in[0].shape.dims[1] * m;
    for (int i = 0; i < rows; i++) {
      float *row = scores + (size_t)i * m;
      for (int j = 0; j < m; j++) row[j] *= scale;
      if (a->self_mask) row[first + i] = a->self_value;
      if (bias) k->add(row, row, bias + (size_t)(first + i) * m, m);
    }
    scale = 1;
  }
  k->softmax(scores, m, scores, m, scale, rows, m);
}

void tsr_op_attention_run(const tsr_op_args *args, int task, void *scratch) {
  const attention_attrs *a = &args->attrs->attention;
  const tsr_kernels *k = args->kernels;
  int n = args->in[0].shape.dims[1], m = args->in[1].shape.dims[1], d = a->head_dim;
  int ldq = args->in[0].shape.dims[2], ldk = args->in[1].shape.dims[2], ldv = args->in[2].shape.dims[2];
  int blocks = tsr_tasks((size_t)n, QUERY_ROWS), head = task / blocks % a->heads, width = a->heads * d;
  size_t batch = (size_t)task / blocks / a->heads, begin, end;
  tsr_task_range((size_t)n, QUERY_ROWS, task % blocks, &begin, &end);
  int rows = (int)(end - begin);

  float *keys = scratch, *values = keys + key_floats(args), *scores = values + value_floats(args);
  if (args->n_out > 1) scores = args->out[1].data + ((batch * a->heads + head) * n + begin) * m;
  k->gemm_f32_pack(keys, args->in[1].data + batch * m * ldk + a->k_offset + head * d, ldk, 0, m, d);
  pack_values(values, args->in[2].data + batch * m * ldv + a->v_offset + head * d, ldv, m, d);
  const float *q = args->in[0].data + (batch * n + begin) * ldq + a->q_offset + head * d;
  k->gemm_f32(scores, m, q, ldq, keys, NULL, rows, 0, m, d);
  probabilities(args, scores, (int)begin, rows, m, head);
  k->gemm_f32(args->out[0].data + (batch * n + begin) * width + head * d, width, scores, m, values, NULL, rows, 0, d, m);
}
