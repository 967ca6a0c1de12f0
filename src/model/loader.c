/* Loading: bytes of a safetensors file become a model while they arrive. */
#include <string.h>

#include "state.h"
#include "files/safetensors.h"
#include "base/sha256.h"

struct tsr_loader {
  tsr_context *ctx;
  tsr_model *model;
  tsr_safetensors *reader;
  tsr_weight_dtype dtype;
  tsr_sha256 sha;
  int check_sha;
  uint8_t digest[32];
  tsr_text list;
};

static tsr_status on_header(void *user, const tsr_safetensors_header *header) {
  tsr_loader *loader = user;
  tsr_model *model = loader->model;
  if (tsr_model_read_metadata(model, header->metadata)) return loader->ctx->err.code;
  return tsr_weights_check(&model->weights, &loader->ctx->err, header, loader->dtype, &model->unused);
}

static size_t on_piece(void *user, const tsr_tensor_entry *entry) {
  return tsr_weights_piece(&((tsr_loader *)user)->model->weights, entry);
}

static tsr_status on_take(void *user, const tsr_tensor_entry *entry, uint64_t first, const void *bytes, size_t n) {
  tsr_loader *loader = user;
  return tsr_weights_take(&loader->model->weights, &loader->ctx->err, entry, first, bytes, n);
}

tsr_loader *tsr_loader_create(tsr_context *ctx, tsr_load_dtype dtype, uint64_t total_bytes) {
  tsr_loader *loader = tsr_heap_calloc(&ctx->heap, 1, sizeof *loader);
  if (loader) {
    loader->ctx = ctx;
    loader->dtype = dtype == TSR_LOAD_F32  ? TSR_WEIGHTS_F32
                    : dtype == TSR_LOAD_Q8 ? TSR_WEIGHTS_Q8
                                           : TSR_WEIGHTS_AS_FILE;
    loader->list.heap = &ctx->heap;
    loader->model = tsr_model_create(ctx);
    tsr_safetensors_sink sink = {.user = loader, .header = on_header, .piece = on_piece, .take = on_take};
    if (loader->model) loader->reader = tsr_safetensors_create(&ctx->heap, &ctx->err, sink, total_bytes);
  }
  if (loader && loader->reader) return loader;
  tsr_loader_destroy(loader);
  tsr_error_set(&ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory to load a model");
  return NULL;
}

tsr_status tsr_loader_expect_sha256(tsr_loader *loader, const uint8_t digest[32]) {
  memcpy(loader->digest, digest, sizeof loader->digest);
  tsr_sha256_begin(&loader->sha);
  loader->check_sha = 1;
  return TSR_OK;
}

tsr_status tsr_loader_feed(tsr_loader *loader, const void *bytes, size_t n) {
  if (loader->check_sha) tsr_sha256_feed(&loader->sha, bytes, n);
  return tsr_safetensors_feed(loader->reader, bytes, n);
}

const char *tsr_loader_weights(tsr_loader *loader) {
  tsr_text *t = &loader->list;
  if (!loader->model->weights.sealed) return "";
  tsr_text_clear(t);
  tsr_text_add(t, "[");
  for (const tsr_weight *w = loader->model->weights.first; w; w = w->next) {
    tsr_text_add(t, w == loader->model->weights.first ? "{\"name\":" : ",{\"name\":");
    tsr_text_quote(t, w->entry ? w->entry->name : w->name);
    tsr_text_add(t, ",\"shape\":");
    tsr_text_shape(t, &w->shape);
    tsr_text_format(t, ",\"role\":\"%s\"}",
                    tsr_weight_quantizes(w)              ? "matrix"
                    : w->is_matrix && w->layout.is_float ? "float"
                                                         : "vector");
  }
  tsr_text_add(t, "]");
  return tsr_text_get(t);
}

int tsr_loader_has_header(const tsr_loader *loader) { return loader->model->weights.sealed; }

tsr_model *tsr_loader_finish(tsr_loader *loader) {
  tsr_context *ctx = loader->ctx;
  tsr_model *model = NULL;
  uint8_t digest[32];
  tsr_status status = tsr_safetensors_finish(loader->reader);
  if (!status && loader->check_sha) {
    tsr_sha256_end(&loader->sha, digest);
    if (memcmp(digest, loader->digest, sizeof digest))
      status = tsr_error_set(&ctx->err, TSR_ERR_INTEGRITY,
                             "the file's SHA-256 is not the one asked for; it was changed or damaged");
  }
  if (!status) status = tsr_model_write_info(loader->model, 0);
  if (!status) {
    model = loader->model;
    loader->model = NULL;
  }
  tsr_loader_destroy(loader);
  return model;
}

void tsr_loader_destroy(tsr_loader *loader) {
  if (!loader) return;
  tsr_safetensors_destroy(loader->reader);
  tsr_model_destroy(loader->model);
  tsr_text_free(&loader->list);
  tsr_heap_free(&loader->ctx->heap, loader);
}

const char *tsr_describe(tsr_context *ctx, const char *metadata) {
  tsr_json text = {.kind = TSR_JSON_STRING, .key = "tesserae", .string = metadata, .length = strlen(metadata)};
  tsr_json root = {.kind = TSR_JSON_OBJECT, .child = &text, .count = 1};
  tsr_model *model = tsr_model_create(ctx);
  tsr_text_free(&ctx->description);
  if (!model) tsr_error_set(&ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the model's description");
  else if (!tsr_model_read_metadata(model, &root) && !tsr_model_write_info(model, 1)) {
    ctx->description = model->info;
    model->info = (tsr_text){.heap = &ctx->heap};
  }
  tsr_model_destroy(model);
  return ctx->description.length ? tsr_text_get(&ctx->description) : NULL;
}
