/* Sessions: a graph built for one input shape and request, with its memory; see state.h. */
#include "state.h"

#include <string.h>

#include "base/sha256.h"
#include "exec/fold.h"
#include "graph/refine.h"
#include "request.h"

void tsr_session_end(tsr_model *model) {
  tsr_session *s = &model->session;
  tsr_exec_destroy(s->exec);
  tsr_arena_free(&s->arena);
  tsr_text_free(&s->key);
  s->exec = NULL;
  s->request = NULL;
  s->graph = (tsr_graph){0};
}

/* Because a NaN or infinity among the pixels would come out as a confident wrong answer. */
tsr_status tsr_session_check_numbers(tsr_model *model) {
  for (int i = 0; i < model->input_count; i++) {
    const tsr_input *input = &model->inputs[i];
    size_t n = tsr_shape_count(&input->shape, NULL);
    for (size_t j = 0; j < n; j++)
      if (!(input->data[j] - input->data[j] == 0))
        return tsr_error_set(&model->ctx->err, TSR_ERR_ARGUMENT,
                             "input \"%s\" is not finite at index %lu; expected numbers, as pixels after normalisation",
                             input->name, (unsigned long)j);
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

static tsr_status begin_session(tsr_model *model, const char *request) {
  tsr_session *s = &model->session;
  tsr_error *err = &model->ctx->err;
  const char *patterns[TSR_MAX_PATTERNS];
  tsr_builder b = tsr_model_builder(model, &s->arena);
  b.inputs = model->inputs;
  b.input_count = model->input_count;
  if (tsr_request_read(&b, request, patterns, model)) return err->code;
  tsr_model_build(model, &b);
  tsr_settings_finish(&b, &b.options);
  if (tsr_failed(&b) || tsr_request_check_patterns(&b)) return err->code;
  tsr_graph_refine(&b);
  tsr_graph_fold(&b, model->ctx->kernels);
  if (err->code) return err->code;
  s->graph = b.graph;
  if (s->request && tsr_request_plan(s->request, s, err)) return err->code;
  s->exec = tsr_exec_create(&model->ctx->heap, err, &s->graph, model->ctx->kernels, tsr_pool_threads(model->ctx->pool));
  return err->code;
}

tsr_status tsr_session_find(tsr_model *model, const char *request) {
  tsr_session *s = &model->session;
  tsr_text key = {.heap = &model->ctx->heap};
  write_key(model, request, &key);
  if (s->exec && tsr_text_get(&key) && !strcmp(tsr_text_get(&key), tsr_text_get(&s->key))) {
    tsr_text_free(&key);
    return TSR_OK;
  }
  tsr_session_end(model);
  if (!tsr_text_get(&key)) tsr_error_set(&model->ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the run");
  if (!model->ctx->err.code) begin_session(model, request);
  s->key = key;
  if (model->ctx->err.code) tsr_session_end(model);
  return model->ctx->err.code;
}

void tsr_session_bind_inputs(tsr_model *model) {
  tsr_graph *g = &model->session.graph;
  for (int v = 0; v < g->value_count; v++)
    for (int i = 0; g->values[v].input && i < model->input_count; i++)
      if (!strcmp(g->values[v].input, model->inputs[i].name)) g->values[v].data = model->inputs[i].data;
}
