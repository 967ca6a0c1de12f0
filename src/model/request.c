/* Requests of a run; see request.h. */
#include <math.h>
#include <string.h>

#include "graph/meaning.h"
#include "graph/settings.h"
#include "request.h"
#include "rollout.h"

struct tsr_request {
  const char *name; /* of the first output: "attention" or "embedding" */
  const tsr_tap *
      *taps; /* [T]: those of the layers; behind them, if the model has any, the weights that tokens are pooled with */
  const float **values; /* [T], of a run */
  int tap_count, layer_count, head_count;
  float *layers, *heads; /* [L] and [K], which ones; floats since an output is */
  int rollout, mean;     /* instead of heads side by side */
  int cells;             /* tokens without prefix and suffix */
  int groups;            /* images, and in each its windows */
  int rows, tokens;      /* of one: those who look, those looked at */
  int all_heads;
  int reads;         /* TSR_READS_... */
  size_t area;       /* of one head */
  float *map, *last; /* [cells], and the matrix it is read from; NULL: no grid to draw it on */
  int pools,
      normalizes; /* embedding. pools: 0: the tap as it is, 1: its first token, 2: the mean between prefix and suffix */
  tsr_shape shape;
  float *data; /* of `shape` */
};

/* The model's own, or that of the network inside a wrapper, whose prefix stands in front; one that is there with the
 * main input alone. */
static const tsr_tap *find_tap(const tsr_graph *g, const char *name) {
  for (int t = 0; t < g->tap_count; t++)
    if (g->taps[t].name_prefix >= 0 && !strcmp(g->taps[t].name + g->taps[t].name_prefix, name)) return &g->taps[t];
  return NULL;
}

static int is_text(const tsr_json *value, const char *text) {
  return value && value->kind == TSR_JSON_STRING && !strcmp(value->string, text);
}

/* 1: the last; 1 for a dim that is not there. */
static int dim(const tsr_shape *shape, int from_end) {
  return shape->ndim < from_end ? 1 : shape->dims[shape->ndim - from_end];
}

static int is_attention(const tsr_tap *tap) { return tap->name_prefix >= 0 && !strcmp(tap->meaning.kind, "attention"); }

static void lacks(tsr_builder *b, const char *where, const char *what) {
  tsr_fail(b, TSR_ERR_ARGUMENT, "%s: the model has no %s; info.taps lists what forward() can capture", where, what);
}

/* Room for something that a request asks for; NULL: failed. */
static void *take(tsr_builder *b, size_t size, int count) {
  void *block = tsr_arena_alloc(b->arena, size * (size_t)count);
  if (!block) tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for the request");
  return block;
}

/* Room for `count` layers and the weights behind them. */
static void take_taps(tsr_request *v, tsr_builder *b, int count) {
  v->tap_count = v->layer_count = count;
  v->taps = take(b, sizeof *v->taps, count + 1);
  v->values = take(b, sizeof *v->values, count + 1);
}

/* [*count] indices below `known`: all, or those that `value` has (one or an array, negative from the end), if NULL
 * the last. `words` are what it might be besides. NULL: failed. */
static float *read_indices(tsr_builder *b, const tsr_json *value, const char *request, const char *what,
                           const char *words, int all, int known, int *count) {
  int listed = value && value->kind == TSR_JSON_ARRAY;
  const tsr_json *item = listed ? value->child : value;
  *count = all ? known : listed ? value->count : 1;
  float *list = take(b, sizeof *list, *count);
  int fine = *count > 0;
  for (int i = 0; list && fine && i < *count; i++) {
    int64_t index = all ? i : -1;
    fine = all || !value || tsr_json_int(item, -known, known - 1, &index);
    list[i] = (float)(index < 0 ? index + known : index);
    if (listed) item = item->next;
  }
  if (fine) return list;
  char text[TSR_PRINT_TEXT];
  tsr_fail(b, TSR_ERR_ARGUMENT,
           "attention option \"%s\" is %s; expected %s, or indices from 0 to %d, negative from the end", what,
           tsr_print_text(request + value->begin, value->end - value->begin, text), words, known - 1);
  return NULL;
}

static void open_attention(tsr_request *v, tsr_builder *b, const tsr_graph *g, const tsr_json *asked,
                           const char *request) {
  static const char *const lists[] = {"layers", "heads", NULL};
  tsr_settings settings = {.given = asked, .what = "attention option", .code = TSR_ERR_ARGUMENT};
  const tsr_json *layers = tsr_json_get(asked, "layers"), *heads = tsr_json_get(asked, "heads");
  int known = 0;
  v->rollout = tsr_setting_bool(b, &settings, "rollout", 0);
  tsr_settings_ignore(b, &settings, lists);
  tsr_settings_finish(b, &settings);
  for (int t = 0; t < g->tap_count; t++) known += is_attention(&g->taps[t]);
  if (!known) lacks(b, "attention", "attention");
  if (tsr_failed(b)) return;
  int count;
  v->layers = read_indices(b, layers, request, "layers", "\"all\"", layers ? is_text(layers, "all") : v->rollout, known,
                           &count);
  if (v->layers) take_taps(v, b, count);
  if (tsr_failed(b)) return;
  for (int l = 0; l < count; l++) {
    int left = (int)v->layers[l];
    for (int t = 0; t < g->tap_count; t++)
      if (is_attention(&g->taps[t]) && !left--) v->taps[l] = &g->taps[t];
  }
  v->mean = !heads || is_text(heads, "mean");
  v->all_heads = dim(&v->taps[0]->shape, 3);
  v->heads = read_indices(b, heads, request, "heads", "\"mean\", \"all\"", v->mean || is_text(heads, "all"),
                          v->all_heads, &v->head_count);
  if ((v->taps[count] = find_tap(g, "pool.weights"))) v->tap_count++;
}

/* pooling "auto" is what the model's own head sees: its embedding, or else its class token, or else the mean of the
 * tokens. */
static void open_embedding(tsr_request *v, tsr_builder *b, const tsr_graph *g, const tsr_json *asked) {
  static const char *const poolings[] = {"auto", "cls", "mean", NULL};
  tsr_settings settings = {.given = asked, .what = "embed option", .code = TSR_ERR_ARGUMENT};
  v->pools = tsr_setting_choice(b, &settings, "pooling", poolings, 0);
  v->normalizes = tsr_setting_bool(b, &settings, "normalize", 1);
  tsr_settings_finish(b, &settings);
  take_taps(v, b, 1);
  if (tsr_failed(b)) return;
  const tsr_tap *tokens = find_tap(g, "tokens");
  v->taps[0] = v->pools ? NULL : find_tap(g, "embedding");
  if (v->taps[0]) return;
  v->taps[0] = tokens;
  int prefix = tokens ? tokens->meaning.prefix_tokens : 0;
  if (!v->pools) v->pools = prefix ? 1 : 2;
  if (!tokens) lacks(b, "embed", find_tap(g, "embedding") ? "list of tokens (pooling \"auto\" needs none)" : "tokens");
  else if (v->pools == 1 && !prefix) lacks(b, "embed", "class token (pooling \"mean\" needs none)");
}

static tsr_request *open_view(tsr_builder *b, const tsr_graph *declared, const tsr_json *asked, const char *request,
                              const char **patterns, int max) {
  const tsr_json *attention = tsr_json_get(asked, "attention"), *embed = tsr_json_get(asked, "embed");
  if (!attention && !embed) return NULL;
  tsr_request *v = take(b, sizeof *v, 1);
  if (v && attention) open_attention(v, b, declared, attention, request);
  else if (v) open_embedding(v, b, declared, embed);
  if (tsr_failed(b)) return NULL;
  v->name = attention ? "attention" : "embedding";
  if (v->tap_count > max)
    tsr_fail(b, TSR_ERR_ARGUMENT, "attention: %d layers asked for; at most %d at a time", v->layer_count, max - 1);
  for (int t = 0; t < v->tap_count && t < max; t++) patterns[t] = v->taps[t]->name;
  b->pattern_count = v->tap_count;
  return v;
}

/* Layers [groups,H,N,M], of one shape. */
static tsr_status plan_attention(tsr_request *v, tsr_error *err) {
  const tsr_shape *first = &v->taps[0]->shape;
  char text[TSR_SHAPE_TEXT], other[TSR_SHAPE_TEXT];
  v->groups = dim(first, 4);
  v->rows = dim(first, 2);
  v->tokens = dim(first, 1);
  v->area = (size_t)v->rows * v->tokens;
  for (int l = 0; l < v->layer_count; l++)
    if (!tsr_shape_equal(&v->taps[l]->shape, first))
      return tsr_error_set(err, TSR_ERR_ARGUMENT,
                           "attention: %s is %s, %s is %s; ask for layers of one shape, or forward() for these taps",
                           v->taps[0]->name, tsr_shape_print(first, text), v->taps[l]->name,
                           tsr_shape_print(&v->taps[l]->shape, other));
  if (v->rollout && (v->rows != v->tokens || v->groups > 1))
    return tsr_error_set(err, TSR_ERR_ARGUMENT,
                         "attention: rollout needs one square matrix a head, of one image; %s is %s", v->taps[0]->name,
                         tsr_shape_print(first, text));
  int heads = v->mean ? 1 : v->head_count;
  v->shape = v->rollout      ? tsr_shape_of(2, v->rows, v->rows)
             : v->groups > 1 ? tsr_shape_of(5, v->layer_count, v->groups, heads, v->rows, v->tokens)
                             : tsr_shape_of(4, v->layer_count, heads, v->rows, v->tokens);
  if (v->tap_count > v->layer_count && tsr_shape_count(&v->taps[v->layer_count]->shape, NULL) != (size_t)v->rows)
    v->tap_count = v->layer_count; /* other tokens than these are pooled */
  return TSR_OK;
}

tsr_status tsr_request_plan(tsr_request *v, tsr_session *s, tsr_error *err) {
  for (int t = 0; t < v->tap_count; t++)
    v->taps[t] = find_tap(&s->graph, v->taps[t]->name + v->taps[t]->name_prefix); /* there: the patterns found them */
  const tsr_shape *first = &v->taps[0]->shape;
  const tsr_meaning *meaning = &v->taps[0]->meaning;
  int overflow = 0;
  v->reads = s->graph.head_reads;
  v->shape = tsr_shape_of(2, first->dims[0], tsr_shape_last(first));
  if (v->layers && plan_attention(v, err)) return err->code;
  v->cells = v->tokens - meaning->prefix_tokens - meaning->suffix_tokens;
  int drawn = v->groups < 2 && meaning->grid_h &&
              v->cells == (meaning->grid_f ? meaning->grid_f : 1) * meaning->grid_h * meaning->grid_w;
  size_t count = tsr_shape_count(&v->shape, &overflow), more = drawn ? v->area + v->tokens : 0;
  size_t bytes = tsr_size_mul(tsr_size_add(count, more, &overflow), sizeof *v->data, &overflow);
  v->data = overflow ? NULL : tsr_arena_alloc(&s->arena, bytes);
  if (!v->data) return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for the request");
  if (drawn) {
    v->map = v->data + count;
    v->last = v->rollout ? v->data : v->map + v->tokens;
  }
  return TSR_OK;
}

/* out [area]: the mean over the heads asked for. */
static void mean_of(const tsr_request *v, const float *layer, float *out) {
  for (size_t i = 0; i < v->area; i++) {
    double sum = 0;
    for (int h = 0; h < v->head_count; h++) sum += (double)layer[(size_t)v->heads[h] * v->area + i];
    out[i] = (float)(sum / v->head_count);
  }
}

/* The rows of the tokens that the head reads: the class token's, the first, where there is one; else the cells' rows
 * weighted as the pooling weights them, equally where it has no weights. A head that reads a mean says so
 * (TSR_READS_...). */
static void look(const tsr_request *v) {
  const float *weights = v->tap_count > v->layer_count ? v->values[v->layer_count] : NULL;
  int n = v->tokens, prefix = v->taps[0]->meaning.prefix_tokens, is_square = v->rows == n;
  int first = is_square && v->reads == TSR_READS_CELLS ? prefix : 0;
  int rows = is_square && v->reads == TSR_READS_ALL ? prefix + v->cells
             : prefix && !(is_square && v->reads)   ? 1
             : is_square                            ? v->cells
                                                    : v->rows;
  for (int j = prefix; j < prefix + v->cells; j++) {
    double sum = 0;
    for (int i = first; i < first + rows; i++)
      sum += (double)v->last[(size_t)i * n + j] * (weights && !prefix ? (double)weights[i] : 1.0 / rows);
    v->map[j - prefix] = (float)sum;
  }
}

static void embed(const tsr_request *v) {
  const tsr_tap *tap = v->taps[0];
  int width = v->shape.dims[1], n = v->pools ? tap->shape.dims[1] : 1;
  int from = v->pools == 2 ? tap->meaning.prefix_tokens : 0, to = v->pools == 2 ? n - tap->meaning.suffix_tokens : 1;
  const float *x = v->values[0];
  float *out = v->data;
  for (int b = 0; b < v->shape.dims[0]; b++, x += (size_t)n * width, out += width) {
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

float *tsr_request_take(const tsr_request *v, tsr_context *ctx) {
  return v->rollout ? tsr_rollout_take(ctx, v->tokens) : NULL;
}

void tsr_request_answer(const tsr_request *v, const tsr_context *ctx, const tsr_session *s, float *work) {
  float *out = v->data;
  for (int t = 0; t < v->tap_count; t++) v->values[t] = tsr_exec_data(s->exec, v->taps[t]->value);
  if (!v->layers) {
    embed(v);
    return;
  }
  if (v->rollout) tsr_rollout_run(ctx, work, out, v->values, v->layer_count, v->all_heads, v->tokens);
  for (int l = 0; !v->rollout && l < v->layer_count; l++)
    for (int g = 0; g < v->groups; g++) {
      const float *layer = v->values[l] + (size_t)g * v->all_heads * v->area;
      for (int h = 0; !v->mean && h < v->head_count; h++, out += v->area)
        memcpy(out, layer + (size_t)v->heads[h] * v->area, v->area * sizeof *out);
      if (v->mean) mean_of(v, layer, out), out += v->area;
    }
  if (v->map && !v->rollout) mean_of(v, v->values[v->layer_count - 1], v->last);
  if (v->map) look(v);
}

void tsr_request_write(tsr_text *text, const tsr_request *v) {
  const tsr_meaning *meaning = &v->taps[0]->meaning;
  tsr_shape layers = tsr_shape_of(1, v->layer_count), cells = tsr_shape_of(1, v->cells);
  tsr_write_meaning(text, v->name, meaning, &v->shape);
  if (v->layers) tsr_text_add(text, ","), tsr_write_meaning(text, "layers", meaning, &layers);
  if (v->map) tsr_text_add(text, ","), tsr_write_meaning(text, "map", meaning, &cells);
}

const float *tsr_request_output(const tsr_request *v, int index) {
  return index == 0 ? v->data : index == 1 ? v->layers : index == 2 ? v->map : NULL;
}

tsr_status tsr_request_read(tsr_builder *b, const char *request, const char *patterns[TSR_MAX_PATTERNS],
                            tsr_model *model) {
  if (!request) return TSR_OK;
  const tsr_json *root = tsr_json_parse(b->arena, b->err, request, strlen(request), "request");
  const tsr_json *capture = tsr_json_get(root, "capture");
  b->options.given = tsr_json_get(root, "options");
  for (const tsr_json *item = capture ? capture->child : NULL; item; item = item->next) {
    if (item->kind != TSR_JSON_STRING || b->pattern_count == TSR_MAX_PATTERNS)
      return tsr_error_set(b->err, TSR_ERR_ARGUMENT, "capture is a list of at most %d tap names or patterns",
                           TSR_MAX_PATTERNS);
    patterns[b->pattern_count++] = item->string;
  }
  model->session.request = open_view(b, &model->declared, root, request, patterns, TSR_MAX_PATTERNS);
  b->patterns = patterns;
  return b->err->code;
}

tsr_status tsr_request_check_patterns(const tsr_builder *b) {
  const char *names[64];
  int count = 0;
  for (int t = 0; t < b->graph.tap_count && count < 64; t++) names[count++] = b->graph.taps[t].name;
  for (int p = 0; p < b->pattern_count; p++) {
    int found = 0;
    for (int t = 0; t < b->graph.tap_count && !found; t++)
      found = tsr_pattern_matches(b->patterns[p], b->graph.taps[t].name);
    if (found) continue;
    const char *nearest = tsr_nearest(b->patterns[p], names, count);
    if (!nearest && count) nearest = names[0];
    return tsr_error_set(b->err, TSR_ERR_ARGUMENT, "%s has no tap \"%.80s\"%s%s%s; info.taps lists them", b->arch,
                         b->patterns[p], nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                         nearest ? "\"?" : "");
  }
  return TSR_OK;
}

void tsr_request_write_result(tsr_model *model) {
  const tsr_graph *g = &model->session.graph;
  tsr_text *t = &model->result;
  tsr_text_clear(t);
  tsr_text_add(t, "[");
  if (model->session.request) {
    tsr_request_write(t, model->session.request);
    tsr_text_add(t, "]");
    return;
  }
  tsr_write_meaning(t, "output", &g->output_meaning, &g->values[g->output].shape);
  for (int i = 0; i < g->tap_count; i++) {
    if (g->taps[i].value == TSR_NO_VALUE) continue;
    tsr_text_add(t, ",");
    tsr_write_meaning(t, g->taps[i].name, &g->taps[i].meaning, &g->taps[i].shape);
  }
  tsr_text_add(t, "]");
}
