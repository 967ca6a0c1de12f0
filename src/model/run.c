/* A model's life and runs; see tesserae.h. */
#include "request.h"

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

void tsr_model_destroy(tsr_model *model) {
  if (!model) return;
  tsr_session_end(model);
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
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "%s has no input \"%.60s\"; its inputs are \"%s\"%s%s%s",
                         model->arch->name, name, model->input_names[0], model->input_count_known > 1 ? ", \"" : "",
                         model->input_count_known > 1 ? model->input_names[1] : "",
                         model->input_count_known > 1 ? "\"" : "");
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
    if (dims[i] < 1)
      return tsr_error_set(err, TSR_ERR_SHAPE, "input \"%s\": dim %d is %d; expected at least 1", known, i, dims[i]);
  }
  tsr_shape_count(&input.shape, &overflow);
  if (overflow) return tsr_error_set(err, TSR_ERR_SHAPE, "input \"%s\" has more than 2^31 - 1 numbers", known);
  model->inputs[at] = input;
  if (at == model->input_count) model->input_count++;
  return TSR_OK;
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
  if (tsr_session_find(model, request) || tsr_session_check_numbers(model)) return ctx->err.code;
  tsr_request_write_result(model);
  if (!tsr_text_get(&model->result)) return tsr_error_set(&ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the result");
  float *work = s->request ? tsr_request_take(s->request, ctx) : NULL;
  if (ctx->err.code) return ctx->err.code;
  /* All that can fail is done: weights change from here on. */
  follow(model);
  tsr_session_bind_inputs(model);
  if (model->ran && tsr_weights_any_q8(&model->weights)) tsr_context_try_kernels(ctx);
  model->ran = 1;
  tsr_exec_use(s->exec, ctx->kernels);
  tsr_exec_run(s->exec, ctx->pool);
  store(model);
  if (s->request) tsr_request_answer(s->request, ctx, s, work);
  tsr_heap_free(&ctx->heap, work);
  return ctx->err.code;
}

const float *tsr_model_output(tsr_model *model, int index) {
  const tsr_session *s = &model->session;
  if (!s->exec || index < 0) return NULL;
  if (s->request) return tsr_request_output(s->request, index);
  if (index == 0) return tsr_exec_data(s->exec, s->graph.output);
  for (int i = 0; i < s->graph.tap_count; i++)
    if (s->graph.taps[i].value != TSR_NO_VALUE && --index == 0) return tsr_exec_data(s->exec, s->graph.taps[i].value);
  return NULL;
}

tsr_status tsr_model_preprocess(tsr_model *model, const uint8_t *pixels, int width, int height, int channels,
                                float *out, uint8_t *fitted, int *size) {
  const tsr_image image = {(uint8_t *)pixels, width, height, channels}; /* only read */
  tsr_context *ctx = model->ctx;
  if (!model->has_image_spec)
    return tsr_error_set(&ctx->err, TSR_ERR_ARGUMENT, "%s takes no images of 1 or 3 channels; hand in a tensor",
                         model->arch->name);
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
