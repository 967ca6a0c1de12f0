/* A model's life and runs; see tesserae.h. */
#include "state.h"
#include "base/sha256.h"
#include "exec/fold.h"
#include "graph/refine.h"

#include <string.h>

tsr_model *tsr_model_create(tsr_context *ctx) {
  tsr_model *model = tsr_heap_calloc(&ctx->heap, 1, sizeof *model);
  if (!model) return NULL;
  model->ctx = ctx;
  model->arena.heap = model->session.arena.heap = &ctx->heap;
  model->weights = (tsr_weights){.heap = &ctx->heap, .arena = &model->arena, .kernels = ctx->kernels};
  model->info.heap = model->result.heap = model->unused.heap = model->session.key.heap = &ctx->heap;
  return model;
}

static void end_session(tsr_model *model) {
  tsr_session *s = &model->session;
  tsr_exec_destroy(s->exec);
  tsr_arena_free(&s->arena);
  tsr_text_free(&s->key);
  s->exec = NULL;
  s->view = NULL;
  s->graph = (tsr_graph){0};
}

void tsr_model_destroy(tsr_model *model) {
  if (!model) return;
  end_session(model);
  tsr_weights_free(&model->weights);
  tsr_text_free(&model->info);
  tsr_text_free(&model->result);
  tsr_text_free(&model->unused);
  tsr_arena_free(&model->arena);
  tsr_heap_free(&model->ctx->heap, model);
}

const char *tsr_model_info(tsr_model *model) { return tsr_text_get(&model->info); }
const char *tsr_model_result(tsr_model *model) { return tsr_text_get(&model->result); }

static const char *known_input(const tsr_model *model, const char *name) {
  for (int i = 0; i < model->input_count_known; i++)
    if (!strcmp(model->input_names[i], name)) return model->input_names[i];
  return NULL;
}

tsr_status tsr_model_set_input(tsr_model *model, const char *name, const float *data, int ndim, const int *dims) {
  tsr_error *err = &model->ctx->err;
  const char *known = known_input(model, name);
  int at = 0, overflow = 0;
  if (!known)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "%s has no input \"%.60s\"; its inputs are \"%s\"%s%s%s", model->arch->name, name,
                         model->input_names[0], model->input_count_known > 1 ? ", \"" : "",
                         model->input_count_known > 1 ? model->input_names[1] : "", model->input_count_known > 1 ? "\"" : "");
  while (at < model->input_count && strcmp(model->inputs[at].name, name)) at++;
  if (!data) {
    if (at < model->input_count) model->inputs[at] = model->inputs[--model->input_count];
    return TSR_OK;
  }
  tsr_input input = {.name = known, .data = data, .shape = {.ndim = ndim}};
  if (ndim < 1 || ndim > TSR_MAX_DIMS)
    return tsr_error_set(err, TSR_ERR_SHAPE, "input \"%s\" has %d dims; expected 1 to %d", known, ndim, TSR_MAX_DIMS);
  for (int i = 0; i < ndim; i++) {
    input.shape.dims[i] = dims[i];
    if (dims[i] < 1) return tsr_error_set(err, TSR_ERR_SHAPE, "input \"%s\": dim %d is %d; expected at least 1", known, i, dims[i]);
  }
  tsr_shape_count(&input.shape, &overflow);
  if (overflow) return tsr_error_set(err, TSR_ERR_SHAPE, "input \"%s\" has more than 2^31 - 1 numbers", known);
  model->inputs[at] = input;
  if (at == model->input_count) model->input_count++;
  return TSR_OK;
}

/* A NaN or infinity among the pixels would come out as a confident wrong answer. */
static tsr_status check_numbers(tsr_model *model) {
  for (int i = 0; i < model->input_count; i++) {
    const tsr_input *input = &model->inputs[i];
    size_t n = tsr_shape_count(&input->shape, NULL);
    for (size_t j = 0; j < n; j++)
      if (!(input->data[j] - input->data[j] == 0))
        return tsr_error_set(&model->ctx->err, TSR_ERR_ARGUMENT,
                             "input \"%s\" is not finite at index %lu; expected numbers, as pixels after normalisation", input->name,
                             (unsigned long)j);
  }
  return TSR_OK;
}

static void write_digest(tsr_text *key, const tsr_input *input) {
  tsr_sha256 sha;
  uint8_t digest[32];
  tsr_sha256_begin(&sha);
  tsr_sha256_feed(&sha, input->data, tsr_shape_count(&input->shape, NULL) * sizeof *input->data);
  tsr_sha256_end(&sha, digest);
  for (int i = 0; i < 32; i++) tsr_text_format(key, "%02x", digest[i]);
}

/* What a session depends on: shapes of the inputs, numbers of some, and the request's text. */
static void write_key(const tsr_model *model, const char *request, tsr_text *key) {
  for (int i = 0; i < model->input_count; i++) {
    const tsr_input *input = &model->inputs[i];
    tsr_text_add(key, input->name);
    tsr_text_shape(key, &input->shape);
    for (int k = 0; k < model->input_count_known; k++)
      if (input->name == model->input_names[k] && model->fixed_inputs >> k & 1) write_digest(key, input);
  }
  tsr_text_add(key, request ? request : "{}");
}

enum { MAX_PATTERNS = 256 };

static tsr_status read_request(tsr_builder *b, const char *request, const char *patterns[MAX_PATTERNS], tsr_model *model) {
  if (!request) return TSR_OK;
  const tsr_json *root = tsr_json_parse(b->arena, b->err, request, strlen(request), "request");
  const tsr_json *capture = tsr_json_get(root, "capture");
  b->options.given = tsr_json_get(root, "options");
  for (const tsr_json *item = capture ? capture->child : NULL; item; item = item->next) {
    if (item->kind != TSR_JSON_STRING || b->pattern_count == MAX_PATTERNS)
      return tsr_error_set(b->err, TSR_ERR_ARGUMENT, "capture is a list of at most %d tap names or patterns", MAX_PATTERNS);
    patterns[b->pattern_count++] = item->string;
  }
  model->session.view = tsr_view_open(b, &model->declared, root, request, patterns, MAX_PATTERNS);
  b->patterns = patterns;
  return b->err->code;
}

/* Every pattern must have found a tap. */
static tsr_status check_patterns(const tsr_builder *b) {
  const char *names[64];
  int count = 0;
  for (int t = 0; t < b->graph.tap_count && count < 64; t++) names[count++] = b->graph.taps[t].name;
  for (int p = 0; p < b->pattern_count; p++) {
    int found = 0;
    for (int t = 0; t < b->graph.tap_count && !found; t++) found = tsr_pattern_matches(b->patterns[p], b->graph.taps[t].name);
    if (found) continue;
    const char *nearest = tsr_nearest(b->patterns[p], names, count);
    if (!nearest && count) nearest = names[0];
    return tsr_error_set(b->err, TSR_ERR_ARGUMENT, "%s has no tap \"%.80s\"%s%s%s; info.taps lists them", b->arch, b->patterns[p],
                         nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
  }
  return TSR_OK;
}

static tsr_status begin_session(tsr_model *model, const char *request) {
  tsr_session *s = &model->session;
  tsr_error *err = &model->ctx->err;
  const char *patterns[MAX_PATTERNS];
  tsr_builder b = tsr_model_builder(model, &s->arena);
  b.inputs = model->inputs;
  b.input_count = model->input_count;
  if (read_request(&b, request, patterns, model)) return err->code;
  tsr_model_build(model, &b);
  tsr_settings_finish(&b, &b.options);
  if (tsr_failed(&b) || check_patterns(&b)) return err->code;
  tsr_rows_refine(&b);
  tsr_graph_fold(&b, model->ctx->kernels);
  if (err->code) return err->code;
  s->graph = b.graph;
  if (s->view && tsr_view_plan(s->view, s, err)) return err->code;
  s->exec = tsr_exec_create(&model->ctx->heap, err, &s->graph, model->ctx->kernels, tsr_pool_threads(model->ctx->pool));
  return err->code;
}

/* The session for this request: the last one if it fits, else a new one. After a failure there is none. */
static tsr_status find_session(tsr_model *model, const char *request) {
  tsr_session *s = &model->session;
  tsr_text key = {.heap = &model->ctx->heap};
  write_key(model, request, &key);
  if (s->exec && tsr_text_get(&key) && !strcmp(tsr_text_get(&key), tsr_text_get(&s->key))) {
    tsr_text_free(&key);
    return TSR_OK;
  }
  end_session(model);
  if (!tsr_text_get(&key)) tsr_error_set(&model->ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the run");
  if (!model->ctx->err.code) begin_session(model, request);
  s->key = key;
  if (model->ctx->err.code) end_session(model);
  return model->ctx->err.code;
}

static void bind_inputs(tsr_model *model) {
  tsr_graph *g = &model->session.graph;
  for (int v = 0; v < g->value_count; v++)
    for (int i = 0; g->values[v].input && i < model->input_count; i++)
      if (!strcmp(g->values[v].input, model->inputs[i].name)) g->values[v].data = model->inputs[i].data;
}

static void write_result(tsr_model *model) {
  const tsr_graph *g = &model->session.graph;
  tsr_text *t = &model->result;
  tsr_text_clear(t);
  tsr_text_add(t, "[");
  if (model->session.view) {
    tsr_view_write(t, model->session.view);
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

/* The steps before the nodes. */
static void follow(tsr_model *model) {
  const tsr_graph *g = &model->session.graph;
  for (int i = 0; i < g->follow_count; i++)
    tsr_weights_average(&model->weights, g->follows[i].to, g->follows[i].from, (float)g->follows[i].keep,
                        (float)(1 - g->follows[i].keep));
}

/* The steps after the nodes. */
static void store(tsr_model *model) {
  const tsr_session *s = &model->session;
  for (int i = 0; i < s->graph.store_count; i++) {
    tsr_weight *to = s->graph.stores[i].to;
    const float *from = tsr_exec_data(s->exec, s->graph.stores[i].from);
    memcpy(to->values, from, tsr_shape_count(&to->shape, NULL) * sizeof *from);
  }
}

tsr_status tsr_model_run(tsr_model *model, const char *request) {
  tsr_context *ctx = model->ctx;
  tsr_session *s = &model->session;
  if (ctx->err.code) return ctx->err.code;
  if (find_session(model, request) || check_numbers(model)) return ctx->err.code;
  write_result(model);
  if (!tsr_text_get(&model->result)) return tsr_error_set(&ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the result");
  float *work = s->view ? tsr_view_take(s->view, ctx) : NULL;
  if (ctx->err.code) return ctx->err.code;
  /* All that can fail is done: weights change from here on. */
  follow(model);
  bind_inputs(model);
  if (model->ran && tsr_weights_any_q8(&model->weights)) tsr_context_try_kernels(ctx);
  model->ran = 1;
  tsr_exec_use(s->exec, ctx->kernels);
  tsr_exec_run(s->exec, ctx->pool);
  store(model);
  if (s->view) tsr_view_read(s->view, ctx, s, work);
  tsr_heap_free(&ctx->heap, work);
  return ctx->err.code;
}

const float *tsr_model_output(tsr_model *model, int index) {
  const tsr_session *s = &model->session;
  if (!s->exec || index < 0) return NULL;
  if (s->view) return tsr_view_output(s->view, index);
  if (index == 0) return tsr_exec_data(s->exec, s->graph.output);
  for (int i = 0; i < s->graph.tap_count; i++)
    if (s->graph.taps[i].value != TSR_NO_VALUE && --index == 0) return tsr_exec_data(s->exec, s->graph.taps[i].value);
  return NULL;
}

tsr_status tsr_model_preprocess(tsr_model *model, const uint8_t *pixels, int width, int height, int channels, float *out,
                                uint8_t *fitted, int *size) {
  const tsr_image image = {(uint8_t *)pixels, width, height, channels}; /* only read */
  tsr_context *ctx = model->ctx;
  if (!model->has_image_spec)
    return tsr_error_set(&ctx->err, TSR_ERR_ARGUMENT, "%s takes no pictures of 1 or 3 channels; hand in a tensor", model->arch->name);
  tsr_image_spec spec = model->image_spec;
  if (model->max_patches && width > 0 && height > 0)
    tsr_image_native_size(&image, model->declared.list_patch, model->max_patches, &spec);
  if (size) size[0] = spec.width, size[1] = spec.height;
  if (fitted) {
    tsr_image fit = {0};
    if (tsr_image_fit(&ctx->heap, &ctx->err, &image, &spec, &fit)) return ctx->err.code;
    memcpy(fitted, fit.pixels, (size_t)fit.width * fit.height * fit.channels);
    tsr_image_free(&ctx->heap, &fit);
  }
  return tsr_image_preprocess(&ctx->heap, &ctx->err, &image, &spec, out);
}
