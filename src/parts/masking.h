/* Shared by models that are trained on masked patches: choosing the patches, mask tokens, loss. The patches are those
 * of the input "mask", or are drawn at random. All of it is plain ops: gather, concat, mean. */
#ifndef TSR_PARTS_MASKING_H
#define TSR_PARTS_MASKING_H

#include "graph/settings.h"
#include "base/random.h"
#include "vit.h"

/* Of each of B images of N patches the same number K is hidden. Indices are in the order of patches, as constants. */
typedef struct tsr_masking {
  int count;                     /* K */
  tsr_value hidden, seen, place; /* [B,K], [B,N-K]; and where a patch is in [hidden; seen]: [B,N] */
  const float *map;              /* [B,N]: 1 hidden; NULL when only declaring */
  uint64_t random;               /* seed for further draws */
} tsr_masking;

/* Reads the optional input "mask" [B,N] of 0 and 1 (hidden); each image must hide the same number. Without it the
 * options "ratio" (default: that of the config) and "seed" (0) choose: int(ratio N) patches, or with `up` ratio N
 * rounded up. Every set of so many patches is equally likely. At least one patch is hidden and one seen. Tap mask. */
tsr_masking tsr_masking_read(tsr_builder *b, int batch, tsr_meaning grid, double ratio, int up);

/* The config of the ViT inside, at `key` of the wrapper's; `what` as tsr_config_open takes it. */
tsr_vit tsr_masking_vit(tsr_builder *b, const char *key, const char *what);

/* The config key `name` of a ratio: above 0 and below 1. */
double tsr_masking_ratio(tsr_builder *b, double fallback);

/* hidden [B,K,C], seen [B,N-K,C] -> [B,N,C] in the order of patches. */
tsr_value tsr_masking_merge(tsr_builder *b, const tsr_masking *m, tsr_value hidden, tsr_value seen);
/* The same with the mask token `token` (C numbers) for each hidden patch. */
tsr_value tsr_masking_fill(tsr_builder *b, const tsr_masking *m, tsr_value token, tsr_value seen);

/* scale times the mean of |x - y|, or of (x - y)^2 where squared is 1. normed: of patches that were normalised, each by
 * itself; the image has their means and deviations again. */
typedef struct tsr_pixel_loss {
  int squared;
  float scale;
  int normed;
} tsr_pixel_loss;

/* The end of models that predict pixels. Linear `to_pixels` maps the tokens x [B,K,C] of the hidden patches to the tap
 * `prediction` [B,K,P*P*C]; `loss` compares it with the patches [B,N,P*P*C]. Returns the image [B,C,H,W], with the
 * hidden patches as predicted. */
tsr_value tsr_masking_image(tsr_builder *b, const tsr_masking *m, tsr_value x, tsr_value patches, const tsr_vit *c,
                            tsr_meaning grid, tsr_pixel_loss loss);

#endif
