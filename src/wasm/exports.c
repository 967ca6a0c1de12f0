/* The functions that JavaScript may call. Most are the public C functions as they are (the list below).
 * A wrapper is written out only where a C type has no equal in JavaScript: 64-bit sizes, structs. */
#include <emscripten/emscripten.h>
#include <string.h>

#include "tesserae.h"

/* performance.now of the page, the worker or Node, in milliseconds. */
__attribute__((import_module("env"), import_name("tsr_now"))) double tsr_now(void);

EMSCRIPTEN_KEEPALIVE tsr_context *tsr_wasm_context_create(int threads) {
  tsr_context *ctx = tsr_context_create(threads);
  if (ctx) tsr_context_set_clock(ctx, tsr_now);
  return ctx;
}

/* total_bytes < 0: unknown. */
EMSCRIPTEN_KEEPALIVE tsr_loader *tsr_wasm_loader_create(tsr_context *ctx, int dtype, double total_bytes) {
  return tsr_loader_create(ctx, (tsr_load_dtype)dtype, total_bytes < 0 ? UINT64_MAX : (uint64_t)total_bytes);
}

/* Decodes into out[4] = { pixels, width, height, channels }. The caller frees the pixels with tsr_context_free. */
EMSCRIPTEN_KEEPALIVE tsr_status tsr_wasm_image_decode(tsr_context *ctx, const void *bytes, size_t n, uint32_t out[4]) {
  uint8_t *pixels;
  int size[2];
  tsr_status status = tsr_context_decode_image(ctx, bytes, n, &pixels, size);
  out[0] = (uint32_t)(uintptr_t)pixels;
  out[1] = (uint32_t)size[0];
  out[2] = (uint32_t)size[1];
  out[3] = 3;
  return status;
}

/* Reads out[2] = { width, height } from the file's header. */
EMSCRIPTEN_KEEPALIVE tsr_status tsr_wasm_image_size(tsr_context *ctx, const void *bytes, size_t n, int out[2]) {
  return tsr_context_image_size(ctx, bytes, n, out);
}

EMSCRIPTEN_KEEPALIVE tsr_status tsr_wasm_model_preprocess(tsr_model *model, uint8_t *pixels, int width, int height,
                                                          int channels, float *out, uint8_t *fitted, int *size) {
  return tsr_model_preprocess(model, pixels, width, height, channels, out, fitted, size);
}

/* A function of tesserae.h under a name of its own, which EMSCRIPTEN_KEEPALIVE keeps in the linked file. */
#define TSR_EXPORT(type, name, params, args) \
  EMSCRIPTEN_KEEPALIVE type tsr_wasm_##name params { return tsr_##name args; }

TSR_EXPORT(void, context_destroy, (tsr_context * c), (c))
TSR_EXPORT(tsr_status, context_status, (const tsr_context *c), (c))
TSR_EXPORT(const char *, context_message, (const tsr_context *c), (c))
TSR_EXPORT(void, context_clear, (tsr_context * c), (c))
TSR_EXPORT(size_t, context_bytes, (const tsr_context *c), (c))
TSR_EXPORT(size_t, context_peak_bytes, (const tsr_context *c), (c))
TSR_EXPORT(int, context_threads, (const tsr_context *c), (c))
#ifdef TSR_THREADS
TSR_EXPORT(void *, context_admit_thread, (tsr_context * c), (c))
TSR_EXPORT(void, context_serve_thread, (tsr_context * c, int thread), (c, thread))
TSR_EXPORT(void, context_stop, (tsr_context * c), (c))
#endif
TSR_EXPORT(void *, context_alloc, (tsr_context * c, size_t bytes), (c, bytes))
TSR_EXPORT(void, context_free, (tsr_context * c, void *block), (c, block))
TSR_EXPORT(tsr_status, loader_feed, (tsr_loader * l, const void *bytes, size_t n), (l, bytes, n))
TSR_EXPORT(tsr_status, loader_expect_sha256, (tsr_loader * l, const uint8_t *digest), (l, digest))
TSR_EXPORT(const char *, loader_weights, (tsr_loader * l), (l))
TSR_EXPORT(int, loader_has_header, (const tsr_loader *l), (l))
TSR_EXPORT(tsr_model *, loader_finish, (tsr_loader * l), (l))
TSR_EXPORT(void, loader_destroy, (tsr_loader * l), (l))
TSR_EXPORT(const char *, model_info, (tsr_model * m), (m))
TSR_EXPORT(tsr_status, model_set_input, (tsr_model * m, const char *name, const float *data, int ndim, const int *dims),
           (m, name, data, ndim, dims))
TSR_EXPORT(tsr_status, model_run, (tsr_model * m, const char *request), (m, request))
TSR_EXPORT(const char *, model_result, (tsr_model * m), (m))
TSR_EXPORT(const float *, model_output, (tsr_model * m, int index), (m, index))
TSR_EXPORT(void, model_destroy, (tsr_model * m), (m))
TSR_EXPORT(void, quantize_rows, (int8_t * q, float *scale, const float *w, int n, int k), (q, scale, w, n, k))
TSR_EXPORT(const char *, list_architectures, (tsr_context * c), (c))
TSR_EXPORT(const char *, describe, (tsr_context * c, const char *metadata), (c, metadata))
TSR_EXPORT(const char *, status_name, (tsr_status s), (s))
