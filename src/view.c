/* What a run answers when it is asked for more than plain taps: attention (heads of some layers or their mean, the rollout, what a
 * classification looks at) and embeddings (pooled tokens). tesserae.h describes the requests. Names are resolved before the graph is
 * built, sizes before it runs, so that what cannot be fails then. */
#include <math.h>
#include <string.h>

#include "model.h"

struct tsr_view {
  int embeds;             /* an embedding; else attention */
  const char **names;     /* [L] taps, of attention or the one that is pooled */
  const tsr_tap **layers; /* [L], in the session's graph */
  const float **values;   /* [L], of a run */
  float *indices;         /* [L], which layers of the model these are */
  int layer_count;
  tsr_shape shape;
  float *data;            /* of `shape` */
  /* attention */
  const tsr_json *heads_asked;
  int tokens, rollout, mean, all_heads, head_count;
  size_t area;            /* of one head */
  int *heads;             /* [K] */
  const char *pool_name;  /* weights [N] of the tokens; NULL: none */
  const tsr_tap *pool;
  float *map, *last;      /* [cells], and the matrix it is read from; NULL: no grid to draw it on */
  /* embedding */
  int pools, normalizes;  /* pools: 0: the tap as it is, 1: its first token, 2: the mean behind the prefix */
};

static const tsr_tap *find_tap(const tsr_graph *g, const char *name) {
  for (int t = 0; t < g->tap_count; t++)
    if (!strcmp(g->taps[t].name, name)) return &g->taps[t];
  return NULL;
}

static int is_text(const tsr_json *value, const char *text) { return value && value->kind == TSR_JSON_STRING && !strcmp(value->string, text); }

/* The refusal says what the model has instead. */
static tsr_status lacks(tsr_model *model, const char *where, const char *what) {
  char list[TSR_MESSAGE_BYTES / 2] = "nothing";
  size_t length = 0;
  for (int t = 0; t < model->declared.tap_count; t++) {
    const char *name = model->declared.taps[t].name;
    size_t n = strlen(name);
    if (length + n + 8 > sizeof list) {
      memcpy(list + length, ", ...", 6);
      break;
    }
    if (length) memcpy(list + length, ", ", 2), length += 2;
    memcpy(list + length, name, n + 1);
    length += n;
  }
  return tsr_error_set(&model->ctx->err, TSR_ERR_ARGUMENT, "%s: %s has no %s; forward() can capture %s", where, model->arch->title, what, list);
}

static tsr_status no_memory(tsr_error *err) { return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for what was asked for"); }

/* Room for `count` layers. */
static tsr_status room(tsr_view *v, tsr_model *model, int count) {
  tsr_arena *arena = &model->session.arena;
  v->names = tsr_arena_alloc(arena, sizeof *v->names * (size_t)count);
  v->layers = tsr_arena_alloc(arena, sizeof *v->layers * (size_t)count);
  v->values = tsr_arena_alloc(arena, sizeof *v->values * (size_t)count);
  v->indices = tsr_arena_alloc(arena, sizeof *v->indices * (size_t)count);
  return v->names && v->layers && v->values && v->indices ? TSR_OK : no_memory(&model->ctx->err);
}

/* layers: "all", or indices, from the end if negative. */
static tsr_status open_attention(tsr_view *v, tsr_model *model, const tsr_json *asked) {
  const tsr_json *layers = tsr_json_get(asked, "layers"), *rollout = tsr_json_get(asked, "rollout");
  const tsr_graph *g = &model->declared;
  tsr_error *err = &model->ctx->err;
  int known = 0;
  for (int t = 0; t < g->tap_count; t++) known += !strcmp(g->taps[t].meaning.kind, "attention");
  if (!known) return lacks(model, "attention", "attention");
  v->rollout = rollout && rollout->kind == TSR_JSON_TRUE;
  if (rollout && !v->rollout && rollout->kind != TSR_JSON_FALSE)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: rollout must be true or false");
  int all = layers ? is_text(layers, "all") : v->rollout, listed = layers && layers->kind == TSR_JSON_ARRAY && layers->count;
  if (layers && !all && !listed)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: layers must be \"all\" or an array such as [-1]");
  int count = all ? known : listed ? layers->count : 1;
  if (room(v, model, count)) return err->code;
  const tsr_json *item = listed ? layers->child : NULL;
  for (; v->layer_count < count; item = item ? item->next : NULL) {
    int64_t index = all ? v->layer_count : -1;
    int fine = !item || tsr_json_int(item, -known, known - 1, &index);
    if (!fine && item->kind == TSR_JSON_NUMBER)
      return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: layer %.9g asked for; the model has 0 to %d, or -1 for the last", item->number, known - 1);
    if (!fine) return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: layers must be \"all\" or an array such as [-1]");
    if (index < 0) index += known;
    v->indices[v->layer_count] = (float)index;
    for (int t = 0; t < g->tap_count; t++)
      if (!strcmp(g->taps[t].meaning.kind, "attention") && !index--) v->names[v->layer_count] = g->taps[t].name;
    v->layer_count++;
  }
  v->heads_asked = tsr_json_get(asked, "heads");
  v->pool_name = find_tap(g, "pool.weights") ? "pool.weights" : NULL;
  return TSR_OK;
}

/* pooling "auto" is what the model's own head sees: its embedding, or else its class token, or else the mean of the tokens. */
static tsr_status open_embedding(tsr_view *v, tsr_model *model, const tsr_json *asked) {
  const tsr_json *pooling = tsr_json_get(asked, "pooling"), *normalize = tsr_json_get(asked, "normalize");
  const tsr_tap *tokens = find_tap(&model->declared, "tokens");
  int automatic = !pooling || is_text(pooling, "auto"), prefix = tokens ? tokens->meaning.prefix_tokens : 0;
  if (!automatic && !is_text(pooling, "cls") && !is_text(pooling, "mean"))
    return tsr_error_set(&model->ctx->err, TSR_ERR_ARGUMENT, "embed: pooling must be \"auto\", \"cls\" or \"mean\"");
  v->embeds = 1;
  v->normalizes = !normalize || normalize->kind != TSR_JSON_FALSE;
  if (room(v, model, 1)) return model->ctx->err.code;
  v->layer_count = 1;
  v->names[0] = automatic && find_tap(&model->declared, "embedding") ? "embedding" : "tokens";
  if (!strcmp(v->names[0], "embedding")) return TSR_OK;
  if (!tokens) return lacks(model, "embed", "tokens");
  v->pools = automatic ? (prefix ? 1 : 2) : is_text(pooling, "cls") ? 1 : 2;
  return v->pools == 1 && !prefix ? lacks(model, "embed", "class token (pooling \"mean\" needs none)") : TSR_OK;
}

tsr_view *tsr_view_open(tsr_model *model, const tsr_json *request, const char **patterns, int max, int *count) {
  const tsr_json *attention = tsr_json_get(request, "attention"), *embed = tsr_json_get(request, "embed");
  if (!attention && !embed) return NULL;
  tsr_view *v = tsr_arena_alloc(&model->session.arena, sizeof *v);
  if (!v) {
    no_memory(&model->ctx->err);
    return NULL;
  }
  if (attention ? open_attention(v, model, attention) : open_embedding(v, model, embed)) return NULL;
  if (v->layer_count >= max) {
    tsr_error_set(&model->ctx->err, TSR_ERR_ARGUMENT, "attention: %d layers asked for; at most %d at a time", v->layer_count, max - 1);
    return NULL;
  }
  for (int l = 0; l < v->layer_count; l++) patterns[l] = v->names[l];
  *count = v->layer_count;
  if (v->pool_name) patterns[(*count)++] = v->pool_name;
  return v;
}

static int dim(const tsr_shape *shape, int from_end) { return shape->ndim < from_end ? 1 : shape->dims[shape->ndim - from_end]; }

/* All layers have one shape [H,N,M], behind dims of 1. */
static tsr_status check_shapes(const tsr_view *v, tsr_error *err) {
  const tsr_shape *first = &v->layers[0]->shape;
  size_t whole = (size_t)dim(first, 3) * dim(first, 2) * dim(first, 1);
  char text[2][TSR_SHAPE_TEXT];
  for (int l = 0; l < v->layer_count; l++) {
    const tsr_tap *tap = v->layers[l];
    if (tsr_shape_count(&tap->shape, NULL) == whole) continue;
    if (!l)
      return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: %s is %s; give one image at a time", tap->name,
                           tsr_shape_print(&tap->shape, text[0]));
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: %s is %s; give one image at a time, and ask for layers of one shape (%s is %s)",
                         tap->name, tsr_shape_print(&tap->shape, text[0]), v->layers[0]->name, tsr_shape_print(first, text[1]));
  }
  return TSR_OK;
}

/* heads: "mean" (the default) and "all" keep each; an index, or an array of them. */
static tsr_status find_heads(tsr_view *v, tsr_arena *arena, tsr_error *err) {
  const tsr_json *asked = v->heads_asked, *item = NULL;
  v->mean = !asked || is_text(asked, "mean");
  v->head_count = v->all_heads;
  if (!v->mean && !is_text(asked, "all")) {
    item = asked->kind == TSR_JSON_ARRAY ? asked->child : asked;
    v->head_count = asked->kind == TSR_JSON_ARRAY ? asked->count : 1;
    for (const tsr_json *i = item; i; i = asked->kind == TSR_JSON_ARRAY ? i->next : NULL)
      if (i->kind != TSR_JSON_NUMBER || i->number < 0 || i->number != floor(i->number)) item = NULL;
    if (!item) return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: heads must be \"mean\", \"all\", an index or an array of indices");
  }
  v->heads = tsr_arena_alloc(arena, sizeof *v->heads * (size_t)v->head_count);
  if (!v->heads) return no_memory(err);
  for (int h = 0; h < v->head_count; h++, item = item ? item->next : NULL) {
    int64_t head = h;
    if (item && !tsr_json_int(item, 0, v->all_heads - 1, &head))
      return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: head %.9g asked for; the layer has 0 to %d", item->number, v->all_heads - 1);
    v->heads[h] = (int)head;
  }
  return TSR_OK;
}

static tsr_status plan_attention(tsr_view *v, tsr_session *s, tsr_error *err) {
  const tsr_shape *shape = &v->layers[0]->shape;
  int rows = dim(shape, 2);
  if (check_shapes(v, err)) return err->code;
  v->all_heads = dim(shape, 3);
  v->tokens = dim(shape, 1);
  v->area = (size_t)rows * v->tokens;
  if (find_heads(v, &s->arena, err)) return err->code;
  v->shape = v->rollout ? tsr_shape_of(2, rows, v->tokens) : tsr_shape_of(4, v->layer_count, v->mean ? 1 : v->head_count, rows, v->tokens);
  if (v->rollout && rows != v->tokens) {
    char text[TSR_SHAPE_TEXT];
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "attention: rollout needs square attention, %s is %s", v->layers[0]->name,
                         tsr_shape_print(shape, text));
  }
  v->pool = v->pool_name ? find_tap(&s->graph, v->pool_name) : NULL;
  if (v->pool && (v->pool->value == TSR_NO_VALUE || tsr_shape_count(&v->pool->shape, NULL) != (size_t)v->tokens)) v->pool = NULL;
  return TSR_OK;
}

tsr_status tsr_view_plan(tsr_view *v, tsr_session *s, tsr_error *err) {
  int overflow = 0;
  for (int l = 0; l < v->layer_count; l++) {
    v->layers[l] = find_tap(&s->graph, v->names[l]);
    if (!v->layers[l] || v->layers[l]->value == TSR_NO_VALUE)
      return tsr_error_set(err, TSR_ERR_ARGUMENT, "\"%.80s\" is not there with these options", v->names[l]);
  }
  v->shape = v->layers[0]->shape;
  if (v->pools) {
    int width = tsr_shape_last(&v->shape), n = dim(&v->shape, 2);
    size_t count = tsr_shape_count(&v->shape, NULL);
    v->shape = tsr_shape_of(2, n && width ? (int)(count / n / width) : 0, width);
  }
  if (!v->embeds && plan_attention(v, s, err)) return err->code;
  size_t count = tsr_shape_count(&v->shape, &overflow);
  v->data = overflow ? NULL : tsr_arena_alloc(&s->arena, count * sizeof *v->data);
  if (!v->data) return no_memory(err);
  const tsr_meaning *meaning = &v->layers[0]->meaning;
  int cells = v->tokens - meaning->prefix_tokens;
  if (v->embeds || !meaning->grid_h || cells != meaning->grid_h * meaning->grid_w || v->area != (size_t)v->tokens * v->tokens) return TSR_OK;
  v->map = tsr_arena_alloc(&s->arena, (size_t)cells * sizeof *v->map);
  v->last = v->rollout ? v->data : tsr_arena_alloc(&s->arena, v->area * sizeof *v->last);
  return v->map && v->last ? TSR_OK : no_memory(err);
}

/* out [area]: the mean over the heads asked for. */
static void mean_of(const tsr_view *v, const float *layer, float *out) {
  for (size_t i = 0; i < v->area; i++) {
    double sum = 0;
    for (int h = 0; h < v->head_count; h++) sum += (double)layer[(size_t)v->heads[h] * v->area + i];
    out[i] = (float)(sum / v->head_count);
  }
}

/* The class token's row where there is one; else the rows weighted as the pooling weights them, equally where it has no weights. */
static void look(const tsr_view *v, const float *weights) {
  int n = v->tokens, prefix = v->layers[0]->meaning.prefix_tokens;
  for (int j = prefix; j < n; j++) {
    double sum = (double)v->last[j];
    for (int i = 0; !prefix && i < n; i++)
      sum = (i ? sum : 0) + (double)v->last[(size_t)i * n + j] * (weights ? (double)weights[i] : 1.0 / n);
    v->map[j - prefix] = (float)sum;
  }
}

static void embed(const tsr_view *v) {
  const tsr_tap *tap = v->layers[0];
  int width = tsr_shape_last(&v->shape), n = dim(&tap->shape, 2);
  int from = v->pools == 2 ? tap->meaning.prefix_tokens : 0, to = v->pools == 2 ? n : 1;
  size_t rows = width ? tsr_shape_count(&v->shape, NULL) / width : 0;
  for (size_t b = 0; b < rows; b++) {
    const float *x = v->values[0] + b * width * (v->pools ? n : 1);
    float *out = v->data + b * width;
    double length = 0;
    for (int c = 0; c < width; c++) {
      double sum = 0;
      for (int i = from; i < to; i++) sum += (double)x[(size_t)i * width + c];
      out[c] = (float)(sum / (to - from));
      length += (double)out[c] * (double)out[c];
    }
    length = v->normalizes && length > 0 ? sqrt(length) : 1;
    for (int c = 0; c < width; c++) out[c] = (float)((double)out[c] / length);
  }
}

tsr_status tsr_view_read(const tsr_view *v, tsr_context *ctx, const tsr_session *s) {
  float *out = v->data;
  for (int l = 0; l < v->layer_count; l++) v->values[l] = tsr_exec_data(s->exec, v->layers[l]->value);
  if (v->embeds) {
    embed(v);
    return TSR_OK;
  }
  if (v->rollout && tsr_attention_rollout(ctx, out, v->values, v->layer_count, v->all_heads, v->tokens)) return ctx->err.code;
  for (int l = 0; !v->rollout && l < v->layer_count; l++) {
    for (int h = 0; !v->mean && h < v->head_count; h++, out += v->area)
      memcpy(out, v->values[l] + (size_t)v->heads[h] * v->area, v->area * sizeof *out);
    if (v->mean) mean_of(v, v->values[l], out), out += v->area;
  }
  if (v->map && !v->rollout) mean_of(v, v->values[v->layer_count - 1], v->last);
  if (v->map) look(v, v->pool ? tsr_exec_data(s->exec, v->pool->value) : NULL);
  return TSR_OK;
}

void tsr_view_write(tsr_text *text, const tsr_view *v) {
  const tsr_meaning *meaning = &v->layers[0]->meaning;
  tsr_shape layers = tsr_shape_of(1, v->layer_count), cells = tsr_shape_of(1, v->tokens - meaning->prefix_tokens);
  tsr_write_meaning(text, v->embeds ? "embedding" : "attention", meaning, &v->shape);
  tsr_text_add(text, ",");
  tsr_write_meaning(text, "layers", meaning, &layers);
  if (v->map) tsr_text_add(text, ",");
  if (v->map) tsr_write_meaning(text, "map", meaning, &cells);
}

const float *tsr_view_output(const tsr_view *v, int index) {
  return index == 0 ? v->data : index == 1 ? v->indices : index == 2 ? v->map : NULL;
}
