/* What models share that are trained by hiding patches: which ones (from the input "mask", or drawn), tokens in place
 * of hidden ones, and the loss of what was made up for them. All of it plain ops: rows by number, concatenation,
 * means. */
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
  uint64_t random;               /* for what else is to be drawn */
} tsr_masking;

/* Reads the optional input "mask" [B,N] of 0 and 1 (hidden), as many of each image. Without it the options "ratio"
 * (default: that of the config) and "seed" (0) choose: int(ratio N) patches, or the next larger number if `up`, any
 * set of them as likely as any other. At least one is hidden and at least one seen. Tap mask. */
tsr_masking tsr_masking_read(tsr_builder *b, int batch, tsr_meaning grid, double ratio, int up);

/* The config of the ViT inside, at `key` of the wrapper's; `what` as tsr_config_open takes it. */
tsr_vit tsr_masking_vit(tsr_builder *b, const char *key, const char *what);

/* The config key `name` of a ratio: above 0 and below 1. */
double tsr_masking_ratio(tsr_builder *b, double fallback);

/* hidden [B,K,C], seen [B,N-K,C] -> [B,N,C] in the order of patches. */
tsr_value tsr_masking_merge(tsr_builder *b, const tsr_masking *m, tsr_value hidden, tsr_value seen);
/* The same with `token`, C numbers, for each hidden one. */
tsr_value tsr_masking_fill(tsr_builder *b, const tsr_masking *m, tsr_value token, tsr_value seen);

/* scale times the mean of |x - y|, or of (x - y)^2 where squared is 1. */
typedef struct tsr_pixel_loss {
  int squared;
  float scale;
} tsr_pixel_loss;

/* The end of models that predict pixels: x [B,K,C] stands for the hidden patches; Linear `to_pixels` makes the tap
 * `prediction` [B,K,P] of it, which `loss` compares with the patches. Returns the image [B,C,H,W]: patches [B,N,P],
 * the hidden ones as predicted. */
tsr_value tsr_masking_image(tsr_builder *b, const tsr_masking *m, tsr_value x, tsr_value patches, const tsr_vit *c,
                            tsr_meaning grid, tsr_pixel_loss loss);

#endif
