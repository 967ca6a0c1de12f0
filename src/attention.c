/* What is read from attention that a run captured: heads of some layers or their mean, the rollout, and what a classification looks
 * at. The request is described in tesserae.h. Sizes are known before the run, so that what cannot be fails then. */
#include <string.h>

#include "model.h"

struct tsr_attention_view {
  const tsr_tap **layers; /* [L] */
  const float **values;   /* [L], of the run */
  const tsr_tap *pool;    /* weights [N], or NULL */
  int layer_count, tokens, rollout, mean;
  size_t area;            /* of one head */
  int *heads;             /* [K], those asked for */
  int head_count, all_heads;
  tsr_shape shape;
  float *data;            /* of `shape` */
  float *map, *last;      /* [cells], and the matrix it is read from; NULL: no grid to draw it on */
};

int tsr_attention_patterns(const tsr_json *asked, tsr_error *err, const char **patterns, int room) {
  const tsr_json *taps = tsr_json_get(asked, "taps"), *pool = tsr_json_get(asked, "pool");
  int count = 0;
  for (const tsr_json *item = taps ? taps->child : NULL; item; item = item->next) {
    if (item->kind != TSR_JSON_STRING || count == room - 1) break;
    patterns[count++] = item->string;
  }
  if (!count || count != taps->count) {
    tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: taps is a list of 1 to %d tap names", room - 1);
    return -1;
  }
  if (pool && pool->kind == TSR_JSON_STRING) patterns[count++] = pool->string;
  return count;
}

static const tsr_tap *find_tap(const tsr_graph *g, const char *name) {
  for (int t = 0; t < g->tap_count; t++)
    if (!strcmp(g->taps[t].name, name)) return &g->taps[t];
  return NULL;
}

static int dim(const tsr_shape *shape, int from_end) { return shape->ndim < from_end ? 1 : shape->dims[shape->ndim - from_end]; }

/* The layers, all of one shape [H,N,M] behind dims of 1. */
static tsr_status find_layers(tsr_attention_view *v, const tsr_graph *g, tsr_error *err, const tsr_json *taps) {
  for (const tsr_json *item = taps->child; item; item = item->next) {
    const tsr_tap *tap = find_tap(g, item->string);
    if (!tap || tap->value == TSR_NO_VALUE) return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: \"%.80s\" is no tap", item->string);
    v->layers[v->layer_count++] = tap;
    const tsr_shape *first = &v->layers[0]->shape;
    size_t whole = (size_t)dim(first, 3) * dim(first, 2) * dim(first, 1);
    if (tsr_shape_count(&tap->shape, NULL) == whole) continue;
    char text[2][TSR_SHAPE_TEXT];
    if (v->layer_count == 1)
      return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: %s is %s; give one image at a time", tap->name,
                           tsr_shape_print(&tap->shape, text[0]));
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: %s is %s; give one image at a time, and ask for layers of one shape (%s is %s)",
                         tap->name, tsr_shape_print(&tap->shape, text[0]), v->layers[0]->name, tsr_shape_print(first, text[1]));
  }
  return TSR_OK;
}

/* heads: "mean" and "all" keep each. */
static tsr_status find_heads(tsr_attention_view *v, tsr_arena *arena, tsr_error *err, const tsr_json *heads) {
  int listed = heads && heads->kind == TSR_JSON_ARRAY;
  v->head_count = listed ? heads->count : v->all_heads;
  v->heads = tsr_arena_alloc(arena, sizeof *v->heads * (size_t)v->head_count);
  if (!v->heads) return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for %d heads", v->head_count);
  const tsr_json *item = listed ? heads->child : NULL;
  for (int i = 0; i < v->head_count; i++, item = item ? item->next : NULL) {
    int64_t head = i;
    if (item && !tsr_json_int(item, 0, v->all_heads - 1, &head))
      return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: head %.0f asked for; the layer has 0 to %d", item->number, v->all_heads - 1);
    v->heads[i] = (int)head;
  }
  v->mean = heads && heads->kind == TSR_JSON_STRING && !strcmp(heads->string, "mean");
  return TSR_OK;
}

static tsr_status take_memory(tsr_attention_view *v, tsr_arena *arena, tsr_error *err) {
  const tsr_meaning *meaning = &v->layers[0]->meaning;
  int overflow = 0, rows = dim(&v->layers[0]->shape, 2), cells = v->tokens - meaning->prefix_tokens;
  size_t count = tsr_shape_count(&v->shape, &overflow);
  if (!overflow) v->data = tsr_arena_alloc(arena, count * sizeof *v->data);
  if (v->data && rows == v->tokens && meaning->grid_h && cells == meaning->grid_h * meaning->grid_w) {
    v->map = tsr_arena_alloc(arena, (size_t)cells * sizeof *v->map);
    v->last = v->map && !v->rollout ? tsr_arena_alloc(arena, v->area * sizeof *v->last) : v->data;
  }
  if (v->data && !v->map == !v->last) return TSR_OK;
  return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for the attention of %d layers", v->layer_count);
}

tsr_attention_view *tsr_attention_plan(tsr_session *session, tsr_error *err, const tsr_json *asked) {
  const tsr_json *taps = tsr_json_get(asked, "taps"), *rollout = tsr_json_get(asked, "rollout"), *pool = tsr_json_get(asked, "pool");
  tsr_attention_view *v = tsr_arena_alloc(&session->arena, sizeof *v);
  if (v) v->layers = tsr_arena_alloc(&session->arena, sizeof *v->layers * (size_t)taps->count);
  if (v) v->values = tsr_arena_alloc(&session->arena, sizeof *v->values * (size_t)taps->count);
  if (!v || !v->layers || !v->values) {
    tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for attention");
    return NULL;
  }
  if (find_layers(v, &session->graph, err, taps)) return NULL;
  const tsr_shape *shape = &v->layers[0]->shape;
  int rows = dim(shape, 2);
  v->all_heads = dim(shape, 3);
  v->tokens = dim(shape, 1);
  v->area = (size_t)rows * v->tokens;
  v->rollout = rollout && rollout->kind == TSR_JSON_TRUE;
  v->pool = pool && pool->kind == TSR_JSON_STRING ? find_tap(&session->graph, pool->string) : NULL;
  if (v->pool && (v->pool->value == TSR_NO_VALUE || tsr_shape_count(&v->pool->shape, NULL) != (size_t)v->tokens)) v->pool = NULL;
  if (find_heads(v, &session->arena, err, tsr_json_get(asked, "heads"))) return NULL;
  v->shape = v->rollout ? tsr_shape_of(2, rows, v->tokens) : tsr_shape_of(4, v->layer_count, v->mean ? 1 : v->head_count, rows, v->tokens);
  if (v->rollout && rows != v->tokens) {
    char text[TSR_SHAPE_TEXT];
    tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: rollout needs square attention, %s is %s", v->layers[0]->name,
                  tsr_shape_print(shape, text));
    return NULL;
  }
  return take_memory(v, &session->arena, err) ? NULL : v;
}

/* out [area]: the mean over the heads asked for. */
static void mean_of(const tsr_attention_view *v, const float *layer, float *out) {
  for (size_t i = 0; i < v->area; i++) {
    double sum = 0;
    for (int h = 0; h < v->head_count; h++) sum += (double)layer[(size_t)v->heads[h] * v->area + i];
    out[i] = (float)(sum / v->head_count);
  }
}

/* The class token's row where there is one; else the rows weighted as the pooling weights them, equally where it has no weights. */
static void look(const tsr_attention_view *v, const float *weights) {
  int n = v->tokens, prefix = v->layers[0]->meaning.prefix_tokens;
  if (prefix) {
    memcpy(v->map, v->last + prefix, (size_t)(n - prefix) * sizeof *v->map);
    return;
  }
  for (int j = 0; j < n; j++) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)v->last[(size_t)i * n + j] * (weights ? (double)weights[i] : 1.0 / n);
    v->map[j] = (float)sum;
  }
}

tsr_status tsr_attention_read(tsr_context *ctx, const tsr_session *session) {
  const tsr_attention_view *v = session->view;
  const float **layers = v->values;
  float *out = v->data;
  for (int l = 0; l < v->layer_count; l++) layers[l] = tsr_exec_data(session->exec, v->layers[l]->value);
  if (v->rollout) {
    if (tsr_attention_rollout(ctx, out, layers, v->layer_count, v->all_heads, v->tokens)) return ctx->err.code;
  } else {
    for (int l = 0; l < v->layer_count; l++) {
      for (int h = 0; !v->mean && h < v->head_count; h++, out += v->area)
        memcpy(out, layers[l] + (size_t)v->heads[h] * v->area, v->area * sizeof *out);
      if (v->mean) mean_of(v, layers[l], out), out += v->area;
    }
    if (v->map) mean_of(v, layers[v->layer_count - 1], v->last);
  }
  if (v->map) look(v, v->pool ? tsr_exec_data(session->exec, v->pool->value) : NULL);
  return TSR_OK;
}

void tsr_attention_write(tsr_text *text, const tsr_attention_view *view) {
  const tsr_meaning *meaning = &view->layers[0]->meaning;
  tsr_write_meaning(text, "attention", meaning, &view->shape);
  if (view->map) {
    tsr_shape cells = tsr_shape_of(1, view->tokens - meaning->prefix_tokens);
    tsr_text_add(text, ",");
    tsr_write_meaning(text, "map", meaning, &cells);
  }
  tsr_text_add(text, "]");
}

const float *tsr_attention_output(const tsr_attention_view *view, int index) {
  return index == 0 ? view->data : index == 1 ? view->map : NULL;
}
