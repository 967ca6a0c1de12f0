/* From __metadata__.tesserae to a model: architecture, config, preprocessing, and the list of weights to expect. */
#include <string.h>

#include "state.h"
#include "registry.h"

static tsr_status out_of_memory(tsr_model *model) {
  return tsr_error_set(&model->ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the model's description");
}

static tsr_status find_arch(tsr_model *model) {
  tsr_error *err = &model->ctx->err;
  const tsr_json *name = tsr_json_get(model->root, "arch");
  if (!name || name->kind != TSR_JSON_STRING)
    return tsr_error_set(err, TSR_ERR_CONFIG,
                         "key \"arch\" of __metadata__.tesserae is missing; expected the name of an architecture");
  model->arch = tsr_arch_find(name->string);
  if (model->arch) return TSR_OK;
  const char *nearest = tsr_nearest(name->string, tsr_arch_names, tsr_arch_name_count);
  if (nearest && !strcmp(nearest, name->string))
    return tsr_error_set(err, TSR_ERR_WASM_ARCH,
                         "arch \"%s\" is not in this .wasm; give the one whose name ends in -all", nearest);
  return tsr_error_set(err, TSR_ERR_CONFIG, "arch \"%.60s\" is not known%s%s%s; `tesserae list` names them all",
                       name->string, nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static tsr_status find_preset(tsr_model *model) {
  tsr_error *err = &model->ctx->err;
  const tsr_json *name = tsr_json_get(model->config, "preset");
  const tsr_preset *p = model->arch->presets;
  const char *names[32];
  int count = 0;
  if (!name) return TSR_OK;
  for (; p->name; p++) {
    if (count < 32) names[count++] = p->name;
    if (name->kind != TSR_JSON_STRING || strcmp(name->string, p->name)) continue;
    model->preset = tsr_json_parse(&model->arena, err, p->config, strlen(p->config), "preset");
    return err->code;
  }
  const char *nearest = name->kind == TSR_JSON_STRING ? tsr_nearest(name->string, names, count) : NULL;
  return tsr_error_set(err, TSR_ERR_CONFIG, "config key \"preset\" is \"%.40s\", no preset of %s; did you mean \"%s\"?",
                       name->kind == TSR_JSON_STRING ? name->string : "?", model->arch->name,
                       nearest ? nearest : names[0]);
}

tsr_builder tsr_model_builder(tsr_model *model, tsr_arena *arena) {
  return (tsr_builder){
      .arena = arena,
      .err = &model->ctx->err,
      .arch = model->arch->name,
      .find_arch = tsr_arch_find,
      .weights = &model->weights,
      .graph = {.output_meaning = {.kind = "logits"}},
      .config = {.given = model->config, .preset = model->preset, .what = "config key", .code = TSR_ERR_CONFIG},
      .options = {.what = "option", .code = TSR_ERR_ARGUMENT},
  };
}

void tsr_model_build(const tsr_model *model, tsr_builder *b) {
  b->graph.output = model->arch->build(b);
  if (!tsr_failed(b) && b->graph.output == TSR_NO_VALUE) tsr_fail(b, TSR_ERR_CONFIG, "the model has no output");
}

/* problem_type: whether labels exclude each other, in transformers' words. One output's softmax would always be 1, so
 * there they do not. */
static void read_problem_type(tsr_model *model, tsr_builder *b) {
  static const char *const types[] = {"single_label_classification", "multi_label_classification", "regression", NULL};
  tsr_settings from = {.given = model->root, .what = "key", .code = TSR_ERR_CONFIG};
  int type = tsr_setting_choice(b, &from, "problem_type", types, 0);
  if (tsr_failed(b) || strcmp(b->graph.output_meaning.kind, "logits")) return;
  if (!type && tsr_shape_last(&b->graph.values[b->graph.output].shape) == 1) type = 1;
  model->problem_type = types[type];
}

/* Builds the graph for the default input: this declares the weights, and shows shapes and taps. */
static tsr_status declare(tsr_model *model) {
  static const char *const reserved[] = {"preset", NULL};
  tsr_builder b = tsr_model_builder(model, &model->arena);
  b.declaring = 1;
  tsr_model_build(model, &b);
  tsr_settings_ignore(&b, &b.config, reserved);
  tsr_settings_finish(&b, &b.config);
  read_problem_type(model, &b);
  if (tsr_failed(&b)) return b.err->code;
  model->declared = b.graph;
  model->weights.sealed = 1;
  model->input_names = tsr_arena_alloc(&model->arena, sizeof b.known_inputs);
  if (!model->input_names) return out_of_memory(model);
  memcpy(model->input_names, b.known_inputs, sizeof b.known_inputs);
  model->input_count_known = b.known_input_count;
  model->fixed_inputs = b.fixed_inputs;
  model->option_names = b.options.known;
  model->option_count = b.options.known_count;
  model->key_names = b.config.known;
  model->key_count = b.config.known_count;
  return TSR_OK;
}

/* A list of one number for all channels or one each. */
static void read_channels(tsr_builder *b, const tsr_json *from, const char *key, float lo, float out[3]) {
  const tsr_json *value = tsr_json_get(from, key), *item;
  int i = 0;
  if (!value) return;
  for (item = value->kind == TSR_JSON_ARRAY ? value->child : value; item && i < 3; item = item->next) {
    if (item->kind != TSR_JSON_NUMBER || !(item->number >= lo && item->number <= 1e6)) break;
    out[i++] = (float)item->number;
    if (item == value) break; /* a plain number: what stands next to it is another key */
  }
  if (i == 1) out[1] = out[2] = out[0], i = 3;
  if (i != 3) tsr_fail(b, TSR_ERR_CONFIG, "preprocess key \"%s\" is not a list of three numbers", key);
}

/* The keys of `preprocess` that say how an image is resized and cropped. */
static void read_fit(tsr_builder *b, tsr_settings *from, tsr_image_spec *spec, int fallback) {
  static const char *const offsets[] = {"even", "floor", NULL};
  int size[2];
  spec->filter = (tsr_filter)tsr_setting_choice(b, from, "resize", tsr_filter_names, TSR_FILTER_BILINEAR);
  spec->fit = (tsr_fit)tsr_setting_choice(b, from, "fit", tsr_fit_names, fallback);
  spec->crop_pct = tsr_setting_number(b, from, "crop_pct", 1, 0.05, TSR_IMAGE_MAX_CROP);
  spec->shortest_edge = tsr_setting_int(b, from, "shortest_edge", 0, 1, TSR_MAX_SIDE);
  spec->longest_edge = tsr_setting_int(b, from, "longest_edge", 0, 1, TSR_MAX_SIDE);
  tsr_setting_pair(b, from, "resize_size", 0, 1, TSR_MAX_SIDE, size);
  spec->resize_height = size[0], spec->resize_width = size[1];
  spec->floor_offset = tsr_setting_choice(b, from, "crop_offset", offsets, 0);
  spec->rescale_first = tsr_setting_bool(b, from, "rescale_first", 0);
  if ((spec->shortest_edge && spec->fit != TSR_FIT_CROP) || (size[0] && spec->fit != TSR_FIT_SQUASH))
    tsr_fail(b, TSR_ERR_CONFIG,
             "preprocess key \"fit\" is '%s'; \"shortest_edge\" needs 'crop', \"resize_size\" needs 'squash'",
             tsr_fit_names[spec->fit]);
}

/* mean and std of pixels scaled to 0..1: (f x - mean) / std is (x / 255 - mean / g) / (std / g), with g = 255 f. */
static void read_scale(tsr_builder *b, tsr_settings *from, tsr_image_spec *spec) {
  double scale = 255 * tsr_setting_number(b, from, "rescale_factor", 1 / 255.0, 1e-6, 1e6);
  read_channels(b, from->given, "mean", -1e6f, spec->mean);
  read_channels(b, from->given, "std", 1e-6f, spec->std);
  for (int c = 0; c < 3; c++) {
    spec->mean[c] = (float)(spec->mean[c] / scale);
    spec->std[c] = (float)(spec->std[c] / scale);
  }
  spec->bgr = tsr_setting_bool(b, from, "bgr", 0);
}

/* preprocess, as docs/format.md has it. What is missing follows from the model's default input. */
static tsr_status read_preprocess(tsr_model *model) {
  static const char *const own[] = {"mean", "std", "channels", NULL};
  const tsr_value_info *image = &model->declared.values[model->declared.main_input];
  int size[2], sides = image->shape.ndim - 2, patch = model->declared.list_patch;
  if (!image->input || sides < 2 || (image->shape.dims[1] != 1 && image->shape.dims[1] != 3)) return TSR_OK;
  tsr_builder b = tsr_model_builder(model, &model->arena);
  tsr_settings from = {
      .given = tsr_json_get(model->root, "preprocess"), .what = "preprocess key", .code = TSR_ERR_CONFIG};
  tsr_image_spec spec = {.channels = image->shape.dims[1], .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}};
  tsr_setting_pair(&b, &from, "size", 0, 1, TSR_MAX_SIDE, size);
  spec.height = size[0] ? size[0] : image->shape.dims[sides];
  spec.width = size[1] ? size[1] : image->shape.dims[sides + 1];
  read_fit(&b, &from, &spec, patch ? TSR_FIT_NATIVE : TSR_FIT_CROP);
  read_scale(&b, &from, &spec);
  if (spec.fit == TSR_FIT_NATIVE) {
    if (!patch) tsr_fail(&b, TSR_ERR_CONFIG, "preprocess key \"fit\" is 'native'; this model's images have one size");
    else
      model->max_patches = tsr_setting_int(&b, &from, "max_patches", spec.height / patch * (spec.width / patch), 1,
                                           TSR_MAX_SIDE * TSR_MAX_SIDE);
    spec.fit = TSR_FIT_SQUASH;
  }
  tsr_settings_ignore(&b, &from, own);
  tsr_settings_finish(&b, &from);
  model->has_image_spec = !tsr_failed(&b);
  model->image_spec = spec;
  return b.err->code;
}

tsr_status tsr_model_read_metadata(tsr_model *model, const tsr_json *metadata) {
  tsr_error *err = &model->ctx->err;
  const tsr_json *text = tsr_json_get(metadata, "tesserae");
  if (!text || text->kind != TSR_JSON_STRING)
    return tsr_error_set(
        err, TSR_ERR_CONFIG,
        "the file has no __metadata__.tesserae; save it with {\"arch\": ..., \"config\": ...} there (docs/format.md)");
  model->root_text = tsr_arena_copy_text(&model->arena, text->string, text->length);
  if (!model->root_text) return out_of_memory(model);
  model->root = tsr_json_parse(&model->arena, err, model->root_text, text->length, "__metadata__.tesserae");
  if (!model->root) return err->code;
  model->config = tsr_json_get(model->root, "config");
  if (!model->config || model->config->kind != TSR_JSON_OBJECT)
    return tsr_error_set(err, TSR_ERR_CONFIG, "key \"config\" of __metadata__.tesserae is missing; expected an object");
  if (find_arch(model) || find_preset(model) || declare(model)) return err->code;
  const tsr_json *prefix = tsr_json_get(model->root, "prefix");
  if (prefix && prefix->kind == TSR_JSON_STRING)
    model->weights.prefix = prefix->string, model->weights.prefix_length = prefix->length;
  return read_preprocess(model);
}
