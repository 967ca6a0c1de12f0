/* What CCT and its form for video share: config keys, the convolutions that make tokens, positions, layers and
 * pooling. */
#ifndef TSR_PARTS_CCT_H
#define TSR_PARTS_CCT_H

#include "nn/layers.h"

typedef struct tsr_cct {
  int image[2], dim, channels, conv_layers, kernel, stride, padding, pool_kernel, pool_stride, pool_padding;
  int layers, heads, mlp_dim, num_classes, position, seq_pool;
  int frames; /* of a video; 0: an image. The frame_ fields are the third dimension of its kernels and windows */
  int frame_kernel, frame_stride, frame_padding, frame_pool_kernel, frame_pool_stride, frame_pool_padding;
} tsr_cct;

/* `position`, as the key positional_embedding has it. */
enum { TSR_CCT_SINE, TSR_CCT_LEARNABLE, TSR_CCT_NONE };

/* Reads every key but those of frames. */
tsr_cct tsr_cct_config(tsr_builder *b);

/* The convolutions and pools below "tokenizer": [B,C,H,W] or [B,C,F,H,W] -> [B,N,dim], N tokens row by row (frame by
 * frame). *tokens gets their grid. Taps conv.i and patch_embed. */
tsr_value tsr_cct_tokens(tsr_builder *b, tsr_value input, const tsr_cct *c, tsr_meaning *tokens);

/* z + positional_emb [1,N,dim], or z where the config has none. Tap pos_embedding. */
tsr_value tsr_cct_add_positions(tsr_builder *b, tsr_value z, const tsr_cct *c, tsr_meaning tokens);

/* z = z + MSA(LN(z)); z = LN(z); z = z + MLP(z), below blocks.i: [B,N,dim]. Taps blocks.i.attn and blocks.i. */
tsr_value tsr_cct_layer(tsr_builder *b, tsr_value z, const tsr_cct *c, tsr_meaning tokens, int i);

/* Sequence pooling softmax(g(z))^T z, or the class token without seq_pool: [B,N,dim] -> [B,dim]. Tap pool.weights. */
tsr_value tsr_cct_pool(tsr_builder *b, tsr_value z, const tsr_cct *c, tsr_meaning tokens);

#endif
