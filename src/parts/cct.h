/* What CCT and its form for video share beyond nn/layers.h: config keys, the convolutions that make tokens, and the classifier behind them. */
#ifndef TSR_PARTS_CCT_H
#define TSR_PARTS_CCT_H

#include "nn/layers.h"

typedef struct tsr_cct {
  int image[2], dim, channels, conv_layers, kernel, stride, padding, pool_kernel, pool_stride, pool_padding;
  int layers, heads, mlp_dim, num_classes, position, seq_pool;
  int frames; /* of a video, and the rest of its kernels and windows; 0: a picture */
  int frame_kernel, frame_stride, frame_padding, frame_pool_kernel, frame_pool_stride, frame_pool_padding;
} tsr_cct;

/* `position`, as the key positional_embedding has it. */
enum { TSR_CCT_SINE, TSR_CCT_LEARNABLE, TSR_CCT_NONE };

/* Every key but those of frames. */
tsr_cct tsr_cct_config(tsr_builder *b);

/* The model behind its input, [B,C,H,W] or [B,C,F,H,W], which has the config's size: logits. */
tsr_value tsr_cct_logits(tsr_builder *b, tsr_value input, const tsr_cct *c);

#endif
