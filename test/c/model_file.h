/* A model file in memory, for native tests: the tiny preset of an architecture with seeded weights. The list of
 * tensors is the architecture's own; the bytes are laid out as the safetensors format says. */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include <stdlib.h>

#include "model/state.h"
#include "model/registry.h"
#include "check.h"

typedef struct model_file {
  uint8_t *bytes;
  size_t length;
} model_file;

/* Small weights around 0, norm scales and variances around 1: activations stay in range. */
static inline float model_file_weight(const char *name, uint64_t *seed) {
  float u = check_uniform(seed);
  return strstr(name, "running_var") || (strstr(name, "norm") && strstr(name, "weight")) ? 1 + 0.2f * u : 0.2f * u;
}

/* How a file differs from the plain one: further keys of its metadata (",\"prefix\":..."), what stands before its
 * names, once for each copy of the weights (copy i has those of seed + i), and dims of 1 put before its shapes. */
typedef struct model_file_look {
  const char *keys, *prefixes[5];
  int ones;
} model_file_look;

static inline model_file model_file_make_as(const char *arch, const char *config, uint64_t seed,
                                            const model_file_look *look) {
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = tsr_model_create(ctx);
  tsr_text inner = {.heap = &ctx->heap}, meta = {.heap = &ctx->heap}, header = {.heap = &ctx->heap};
  tsr_text_format(&inner, "{\"arch\":\"%s\",\"config\":", arch);
  tsr_text_add(&inner, config);
  if (look->keys) tsr_text_add(&inner, look->keys);
  tsr_text_add(&inner, "}");
  tsr_text_add(&meta, "{\"tesserae\":");
  tsr_text_quote(&meta, tsr_text_get(&inner));
  tsr_text_add(&meta, "}");
  const tsr_json *metadata = tsr_json_parse(&model->arena, &ctx->err, tsr_text_get(&meta), meta.length, "test");
  if (tsr_model_read_metadata(model, metadata)) printf("%s: %s\n", arch, ctx->err.message);
  CHECK_INT(ctx->err.code, TSR_OK);

  size_t data = 0, at = 8;
  tsr_text_add(&header, "{\"__metadata__\":");
  tsr_text_add(&header, tsr_text_get(&meta));
  int copies = 0;
  do
    for (tsr_weight *w = model->weights.first; w; w = w->next) {
      size_t bytes = tsr_shape_count(&w->shape, NULL) * 4;
      tsr_shape shape = {0};
      while (shape.ndim < look->ones && shape.ndim + w->shape.ndim < TSR_MAX_DIMS) shape.dims[shape.ndim++] = 1;
      for (int i = 0; i < w->shape.ndim; i++) shape.dims[shape.ndim++] = w->shape.dims[i];
      tsr_text_format(&header,
                      ",\"%s%s\":{\"dtype\":\"F32\",\"shape\":", look->prefixes[copies] ? look->prefixes[copies] : "",
                      w->name);
      tsr_text_shape(&header, &shape);
      tsr_text_format(&header, ",\"data_offsets\":[%lu,%lu]}", (unsigned long)data, (unsigned long)(data + bytes));
      data += bytes;
    }
  while (look->prefixes[++copies]);
  tsr_text_add(&header, "}");
  model_file file = {.length = 8 + header.length + data};
  file.bytes = calloc(1, file.length);
  for (int i = 0; i < 8; i++) file.bytes[i] = (uint8_t)((uint64_t)header.length >> (8 * i));
  memcpy(file.bytes + at, tsr_text_get(&header), header.length);
  at += header.length;
  for (int copy = 0; copy < copies; copy++) {
    uint64_t dice = seed + (uint64_t)copy;
    for (tsr_weight *w = model->weights.first; w; w = w->next)
      for (size_t n = tsr_shape_count(&w->shape, NULL); n; n--, at += 4)
        memcpy(file.bytes + at, &(float){model_file_weight(w->name, &dice)}, 4);
  }

  tsr_text_free(&inner);
  tsr_text_free(&meta);
  tsr_text_free(&header);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  return file;
}

static inline model_file model_file_make(const char *arch, const char *config, uint64_t seed) {
  return model_file_make_as(arch, config, seed, &(model_file_look){0});
}

/* NULL on failure, with the error in the context. */
static inline tsr_model *model_file_load(tsr_context *ctx, const model_file *file, tsr_load_dtype dtype) {
  tsr_loader *loader = tsr_loader_create(ctx, dtype, file->length);
  if (!loader) return NULL;
  for (size_t at = 0; at < file->length; at += 4096) {
    size_t n = file->length - at < 4096 ? file->length - at : 4096;
    if (tsr_loader_feed(loader, file->bytes + at, n)) break;
  }
  if (!ctx->err.code) return tsr_loader_finish(loader);
  tsr_loader_destroy(loader);
  return NULL;
}

#endif
