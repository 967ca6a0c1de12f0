/* What MaxViT with and without registers share: config keys, convolutions, attention in windows, the classifier. */
#ifndef TSR_PARTS_MAX_VIT_H
#define TSR_PARTS_MAX_VIT_H

#include "nn/map.h"

enum { TSR_MAX_VIT_STAGES = 8 };

typedef struct tsr_max_vit {
  int num_classes, dim, stages, depth[TSR_MAX_VIT_STAGES], dim_head, stem, window, channels;
  double expansion, shrinkage;
  int registers; /* 0, for an architecture to overwrite: tokens in front of each window's */
} tsr_max_vit;

/* Reads every key but that of registers. */
tsr_max_vit tsr_max_vit_config(tsr_builder *b);

/* Windows of `map`, neighbours or spread, [B * windows, registers + w w, C] -> x + attention below the current scope,
 * with the tap blocks.<block>.block_attn or .grid_attn. */
tsr_value tsr_max_vit_attend(tsr_builder *b, tsr_value x, tsr_value map, const tsr_max_vit *c, tsr_windows windows,
                             int block);

/* The attention of a block, after its MBConv: [B,H,W,C] -> [B,H,W,C]. It is called with the model's own scope open. */
typedef tsr_value tsr_max_vit_axes(tsr_builder *b, tsr_value map, const tsr_max_vit *c, int block);

/* The whole model: logits. */
tsr_value tsr_max_vit_logits(tsr_builder *b, const tsr_max_vit *c, tsr_max_vit_axes *axes);

#endif
