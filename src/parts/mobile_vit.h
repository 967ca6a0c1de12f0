/* What MobileViT and MobileViTv2 share as published (timm's and transformers'; vit-pytorch's MobileViT differs):
 * config keys, inverted residuals, the stages and the head. Weights have timm's names. */
#ifndef TSR_PARTS_MOBILE_VIT_H
#define TSR_PARTS_MOBILE_VIT_H

#include "nn/map.h"

enum { TSR_MOBILE_VIT_STAGES = 8, TSR_MOBILE_VIT_WIDTHS = 2 * TSR_MOBILE_VIT_STAGES + 2 };

typedef struct tsr_mobile_vit {
  int image[2], channels, num_classes;
  int plain, residuals[TSR_MOBILE_VIT_STAGES]; /* stages without attention, and how many residuals each has */
  int stages, dims[TSR_MOBILE_VIT_STAGES], depths[TSR_MOBILE_VIT_STAGES]; /* those with attention */
  int widths[TSR_MOBILE_VIT_WIDTHS];                                      /* of the stem, the stages, the last map */
  int last;                                                               /* whether a 1x1 convolution ends it */
  int kernel, patch;
  double expansion;
  float eps; /* of layer and group norms */
  /* Keys of one architecture, which fills these in. */
  int heads, qkv_bias, cut;
  double mlp_ratio;
} tsr_mobile_vit;

/* Reads the keys that both have. `usual` has the defaults of residuals, widths, dims, depths and expansion. */
tsr_mobile_vit tsr_mobile_vit_config(tsr_builder *b, const tsr_mobile_vit *usual);

/* The convolution name.conv without bias and its BatchNorm name.bn. */
tsr_value tsr_mobile_vit_conv(tsr_builder *b, const char *name, tsr_value x, int out, int side, int stride,
                              int activation);

/* The part of a stage that has attention, behind its residual: [B,H,W,C] -> [B,*,*,C]. Taps begin with "stages.s.". */
typedef tsr_value tsr_mobile_vit_block(tsr_builder *b, tsr_value x, const tsr_mobile_vit *c, int s);

/* The whole model: logits, or with num_classes 0 the embedding. */
tsr_value tsr_mobile_vit_model(tsr_builder *b, const tsr_mobile_vit *c, tsr_mobile_vit_block *block);

#endif
