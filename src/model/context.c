/* Contexts, and the public helpers that need no model; see tesserae.h. */
#include "context.h"

#include "image/image.h"

tsr_context *tsr_context_create(int threads) {
  tsr_heap first = {0}; /* the context's own block cannot be counted in a heap that lives inside it */
  tsr_context *ctx = tsr_heap_calloc(&first, 1, sizeof *ctx);
  if (!ctx) return NULL;
  ctx->kernels = tsr_kernels_best();
  ctx->architectures.heap = ctx->description.heap = &ctx->heap;
  ctx->pool = tsr_pool_create(&ctx->heap, threads < 1 ? 1 : threads > TSR_MAX_THREADS ? TSR_MAX_THREADS : threads);
  if (ctx->pool) return ctx;
  tsr_heap_free(&first, ctx);
  return NULL;
}

void tsr_context_set_clock(tsr_context *ctx, double (*now)(void)) { ctx->now = now; }

/* A file that has not come after so long is on its way through a network: the first thread uses the time, some 50 ms
 * of it at most. One that lies here is packed meanwhile, by whoever would lose a core. */
enum { IDLE_MS = 100, WARM_ROUNDS = 60 };

/* The engine optimizes a form between the trial that first runs it and the next. */
enum { TRIALS = 3 };

void tsr_context_try_kernels(tsr_context *ctx) {
  size_t bytes = tsr_kernels_trial_bytes();
  if (!ctx->now || ctx->trials == TRIALS || !bytes) return;
  void *memory = tsr_heap_calloc(&ctx->heap, 1, bytes);
  if (!memory) return; /* the forms differ in speed only */
  ctx->kernels = tsr_kernels_try(memory, ctx->now);
  ctx->trials++;
  tsr_heap_free(&ctx->heap, memory);
}

void tsr_context_destroy(tsr_context *ctx) {
  if (!ctx) return;
  tsr_heap last = {.in_use = sizeof *ctx};
  tsr_text_free(&ctx->architectures);
  tsr_text_free(&ctx->description);
  tsr_pool_destroy(ctx->pool);
  tsr_heap_free(&last, ctx);
}

tsr_status tsr_context_status(const tsr_context *ctx) { return ctx->err.code; }
const char *tsr_context_message(const tsr_context *ctx) { return ctx->err.message; }
void tsr_context_clear(tsr_context *ctx) { tsr_error_clear(&ctx->err); }
int tsr_context_threads(const tsr_context *ctx) { return tsr_pool_threads(ctx->pool); }
#if defined(TSR_THREADS) && defined(__wasm__)
void *tsr_context_admit_thread(tsr_context *ctx) { return tsr_pool_admit(ctx->pool); }
void tsr_context_serve_thread(tsr_context *ctx, int thread) {
  for (int i = 0; thread == 1 && i < WARM_ROUNDS && tsr_pool_is_idle(ctx->pool, i ? 0 : IDLE_MS); i++)
    tsr_kernels_warm(ctx->kernels);
  tsr_pool_serve(ctx->pool, thread);
}
void tsr_context_stop(tsr_context *ctx) { tsr_pool_stop(ctx->pool); }
#endif
size_t tsr_context_bytes(const tsr_context *ctx) { return ctx->heap.in_use; }
size_t tsr_context_peak_bytes(const tsr_context *ctx) { return ctx->heap.peak; }

tsr_status tsr_context_decode_image(tsr_context *ctx, const void *bytes, size_t n, uint8_t **pixels, int size[2]) {
  tsr_image image = {0};
  tsr_status status = tsr_image_decode(&ctx->heap, &ctx->err, bytes, n, &image);
  *pixels = image.pixels;
  size[0] = image.width, size[1] = image.height;
  return status;
}

tsr_status tsr_context_image_size(tsr_context *ctx, const void *bytes, size_t n, int size[2]) {
  return tsr_image_size(&ctx->err, bytes, n, &size[0], &size[1]);
}

void *tsr_context_alloc(tsr_context *ctx, size_t bytes) {
  void *block = tsr_heap_alloc(&ctx->heap, bytes);
  if (!block) tsr_error_set(&ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for a buffer of %.1f MB", (double)bytes / 1e6);
  return block;
}

void tsr_context_free(tsr_context *ctx, void *block) { tsr_heap_free(&ctx->heap, block); }

void tsr_quantize_rows(int8_t *q, float *scale, const float *w, int n, int k) {
  tsr_kernels_best()->quantize_weight_q8(q, scale, w, n, k);
}
