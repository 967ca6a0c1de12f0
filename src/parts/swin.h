/* What Swin and Swin V2 share: config keys, windows that are shifted in every second block, merging of patches, the
 * classifier. Weights have timm's names. */
#ifndef TSR_PARTS_SWIN_H
#define TSR_PARTS_SWIN_H

#include "nn/map.h"

enum { TSR_SWIN_STAGES = 8 };

/* Of one block, what its attention is made of: qkv [B,N,3C] of the tokens, the table of position biases
 * [positions,H], and what `attend` needs besides. */
typedef struct tsr_swin_parts {
  tsr_value qkv, table, scales;
} tsr_swin_parts;

typedef struct tsr_swin {
  int image[2], patch[2], channels, num_classes, dim, stages, depth[TSR_SWIN_STAGES], heads[TSR_SWIN_STAGES];
  int window[TSR_SWIN_STAGES][2], qkv_bias, absolute;
  int transformers; /* windows lie by the rules of transformers, not of timm */
  double mlp_ratio;
  tsr_norm norm;
  /* An architecture sets these: */
  int post_norm; /* norms follow attention, MLP and merging */
  float masked;  /* is added to the score of a pair that the shift has put side by side */
  /* Below the scope of a block's attention, for tokens x [B,N,C] and windows of h x w. */
  tsr_swin_parts (*parts)(tsr_builder *b, tsr_value x, const struct tsr_swin *c, int stage, const int window[2]);
  tsr_attend *attend; /* its user is the parts */
} tsr_swin;

/* Reads the keys that both have. */
tsr_swin tsr_swin_config(tsr_builder *b);

/* The whole model: logits, or the embedding without classes. */
tsr_value tsr_swin_model(tsr_builder *b, const tsr_swin *c);

#endif
