/* Attention rollout in two parts, so that nothing can fail once a run has begun. */
#ifndef TSR_MODEL_ROLLOUT_H
#define TSR_MODEL_ROLLOUT_H

#include "context.h"

/* The memory that tsr_rollout_run needs; the caller frees it. NULL: TSR_ERR_OUT_OF_MEMORY. */
float *tsr_rollout_take(tsr_context *ctx, int tokens);
/* Computes tsr_attention_rollout in that memory, `work`. Cannot fail. */
void tsr_rollout_run(const tsr_context *ctx, float *work, float *out, const float *const *layers, int layer_count,
                     int heads, int tokens);

#endif
