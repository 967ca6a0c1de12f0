/* What a model says of itself, as JSON; see tesserae.h. */
#include <string.h>

#include "graph/meaning.h"
#include "registry.h"
#include "state.h"

/* A member of an object of the file's JSON, as it stands there. */
static void pass_on(tsr_text *text, const tsr_model *model, const tsr_json *from, const char *key, int even_missing) {
  const tsr_json *value = tsr_json_get(from, key);
  if (!value && !even_missing) return;
  tsr_text_add(text, ",");
  tsr_text_quote(text, key);
  tsr_text_add(text, ":");
  if (value) tsr_text_add_bytes(text, model->root_text + value->begin, value->end - value->begin);
  else tsr_text_add(text, "null");
}

static void write_preprocess(tsr_text *text, const tsr_model *model) {
  static const char *const few[] = {"shortest_edge", "longest_edge", "resize_size",
                                    "crop_offset",   "bgr",          "rescale_first"};
  const tsr_image_spec *s = &model->image_spec;
  tsr_text_add(text, ",\"preprocess\":");
  if (!model->has_image_spec) {
    tsr_text_add(text, "null");
    return;
  }
  tsr_text_format(text, "{\"size\":[%d,%d],\"channels\":%d,\"resize\":\"%s\",\"fit\":\"%s\",\"crop_pct\":%.17g",
                  s->height, s->width, s->channels, tsr_filter_names[s->filter],
                  tsr_fit_names[model->max_patches ? TSR_FIT_NATIVE : s->fit], s->crop_pct);
  tsr_text_format(text, ",\"mean\":[%.9g,%.9g,%.9g],\"std\":[%.9g,%.9g,%.9g]", (double)s->mean[0], (double)s->mean[1],
                  (double)s->mean[2], (double)s->std[0], (double)s->std[1], (double)s->std[2]);
  for (int i = 0; i < (int)(sizeof few / sizeof *few); i++)
    pass_on(text, model, tsr_json_get(model->root, "preprocess"), few[i], 0);
  tsr_text_add(text, "}");
}

static void write_names(tsr_text *text, const char *const *names, int count) {
  tsr_text_add(text, "[");
  for (int i = 0; i < count; i++) {
    if (i) tsr_text_add(text, ",");
    tsr_text_quote(text, names[i]);
  }
  tsr_text_add(text, "]");
}

static void write_taps(tsr_text *text, const tsr_graph *graph) {
  tsr_text_add(text, ",\"taps\":[");
  for (int i = 0; i < graph->tap_count; i++) {
    if (i) tsr_text_add(text, ",");
    tsr_write_meaning(text, graph->taps[i].name, &graph->taps[i].meaning, &graph->taps[i].shape);
  }
  tsr_text_add(text, "]");
}

tsr_status tsr_model_write_info(tsr_model *model, int with_keys) {
  tsr_text *t = &model->info;
  const tsr_graph *g = &model->declared;
  const tsr_value_info *input = &g->values[g->main_input];
  tsr_text_add(t, "{\"arch\":");
  tsr_text_quote(t, model->arch->name);
  tsr_text_add(t, ",\"title\":");
  tsr_text_quote(t, model->arch->title);
  tsr_text_add(t, ",\"paper\":");
  tsr_text_quote(t, model->arch->paper);
  tsr_text_add(t, ",\"reference\":");
  tsr_text_quote(t, model->arch->reference);
  pass_on(t, model, model->root, "config", 1);
  pass_on(t, model, model->root, "labels", 1);
  pass_on(t, model, model->root, "license", 1);
  pass_on(t, model, model->root, "source", 1);
  tsr_text_add(t, ",\"problem_type\":");
  tsr_text_quote(t, model->problem_type);
  tsr_text_add(t, ",\"prefix\":");
  tsr_text_quote(t, model->weights.prefix ? model->weights.prefix : "");
  write_preprocess(t, model);
  tsr_text_format(t, ",\"dtype\":\"%s\",\"parameters\":%.0f,\"operations\":%.0f,\"weights_bytes\":%.0f",
                  tsr_weights_any_q8(&model->weights) ? "q8" : "f32", tsr_weights_parameters(&model->weights),
                  tsr_graph_operations(g, model->ctx->kernels), (double)tsr_weights_bytes(&model->weights));
  tsr_text_add(t, ",\"input\":{\"name\":");
  tsr_text_quote(t, input->input ? input->input : "image");
  tsr_text_add(t, ",\"dims\":");
  tsr_text_shape(t, &input->shape);
  tsr_text_format(t, ",\"list\":%s},\"inputs\":", g->list_patch ? "true" : "false");
  write_names(t, model->input_names, model->input_count_known);
  tsr_text_add(t, ",\"options\":");
  write_names(t, model->option_names, model->option_count);
  tsr_text_add(t, ",\"output\":");
  tsr_write_meaning(t, "output", &g->output_meaning, &g->values[g->output].shape);
  write_taps(t, g);
  tsr_text_add(t, ",\"unused\":");
  tsr_text_add(t, model->unused.length ? tsr_text_get(&model->unused) : "[]");
  if (with_keys) {
    tsr_text_add(t, ",\"keys\":");
    write_names(t, model->key_names, model->key_count);
  }
  tsr_text_add(t, "}");
  if (tsr_text_get(t)) return TSR_OK;
  return tsr_error_set(&model->ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the model's description");
}

const char *tsr_list_architectures(tsr_context *ctx) {
  tsr_text *t = &ctx->architectures;
  tsr_text_clear(t);
  tsr_text_add(t, "[");
  for (int i = 0; i < tsr_arch_count; i++) {
    const tsr_arch *arch = tsr_archs[i];
    tsr_text_add(t, i ? ",{\"arch\":" : "{\"arch\":");
    tsr_text_quote(t, arch->name);
    tsr_text_add(t, ",\"title\":");
    tsr_text_quote(t, arch->title);
    tsr_text_add(t, ",\"paper\":");
    tsr_text_quote(t, arch->paper);
    tsr_text_add(t, ",\"reference\":");
    tsr_text_quote(t, arch->reference);
    tsr_text_add(t, ",\"presets\":[");
    for (const tsr_preset *p = arch->presets; p->name; p++) {
      if (p != arch->presets) tsr_text_add(t, ",");
      tsr_text_quote(t, p->name);
    }
    tsr_text_add(t, "]}");
  }
  tsr_text_add(t, "]");
  return tsr_text_get(t);
}
