/* Attention rollout, Abnar and Zuidema 2020, arXiv 2005.00928: how much each token's final state draws on each input
 * token, if attention were all there is. With residuals as A' = rows of (mean over heads of A + I) made to sum to 1,
 * the rollout is A'_L ... A'_2 A'_1. */
#include <string.h>

#include "rollout.h"

/* out [N,N] = normalised rows of (mean over heads of layer [H,N,N]) + I. */
static void with_residual(float *out, const float *layer, int heads, int tokens) {
  size_t n = (size_t)tokens;
  for (size_t i = 0; i < n; i++) {
    float *row = out + i * n, sum = 0;
    memset(row, 0, n * sizeof *row);
    for (int h = 0; h < heads; h++)
      for (size_t j = 0; j < n; j++) row[j] += layer[((size_t)h * n + i) * n + j];
    for (size_t j = 0; j < n; j++) row[j] /= (float)heads;
    row[i] += 1;
    for (size_t j = 0; j < n; j++) sum += row[j];
    for (size_t j = 0; j < n; j++) row[j] /= sum;
  }
}

float *tsr_rollout_take(tsr_context *ctx, int tokens) {
  int overflow = 0;
  size_t n = (size_t)tokens, square = tsr_size_mul(tsr_size_mul(n, n, &overflow), sizeof(float), &overflow);
  /* two work matrices, the second also for rows laid out; and the running product packed as a weight: columns padded
   * to a panel */
  size_t packed = ctx->kernels->gemm_f32_packed_bytes(tokens, tokens);
  size_t padding = tsr_size_mul(TSR_ROW_GROUP * sizeof(float), n, &overflow);
  size_t bytes = tsr_size_add(tsr_size_add(tsr_size_mul(square, 2, &overflow), padding, &overflow), packed, &overflow);
  float *work = overflow ? NULL : tsr_heap_alloc(&ctx->heap, bytes);
  if (!work) tsr_error_set(&ctx->err, TSR_ERR_OUT_OF_MEMORY, "no memory for the rollout of %d tokens", tokens);
  return work;
}

void tsr_rollout_run(const tsr_context *ctx, float *work, float *out, const float *const *layers, int layer_count,
                     int heads, int tokens) {
  size_t n = (size_t)tokens;
  float *layer = work, *transposed = work + n * n, *panels = transposed + (n + TSR_ROW_GROUP) * n;
  with_residual(out, layers[0], heads, tokens);
  for (int l = 1; l < layer_count; l++) {
    with_residual(layer, layers[l], heads, tokens);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) transposed[j * n + i] = out[i * n + j];
    ctx->kernels->gemm_f32_pack(panels, transposed, tokens, 0, tokens, tokens);
    ctx->kernels->gemm_f32_rows(transposed, layer, tokens, tokens, tokens);
    ctx->kernels->gemm_f32(out, tokens, transposed, panels, NULL, tokens, 0, tokens, tokens);
  }
}

tsr_status tsr_attention_rollout(tsr_context *ctx, float *out, const float *const *layers, int layer_count, int heads,
                                 int tokens) {
  if (layer_count < 1 || heads < 1 || tokens < 1)
    return tsr_error_set(&ctx->err, TSR_ERR_ARGUMENT,
                         "rollout of %d layers, %d heads, %d tokens; each must be at least 1", layer_count, heads,
                         tokens);
  float *work = tsr_rollout_take(ctx, tokens);
  if (!work) return ctx->err.code;
  tsr_rollout_run(ctx, work, out, layers, layer_count, heads, tokens);
  tsr_heap_free(&ctx->heap, work);
  return TSR_OK;
}
