/* Images of different sizes in one run, and NaViT in its packed and nested forms. Tokens of all images lie side by
 * side, [1,N,C], so that each layer has one product for all of them; attention is within one image. The reference
 * does the same by masks over packed sequences, whichever images share a sequence. */
#ifndef TSR_PARTS_NA_VIT_H
#define TSR_PARTS_NA_VIT_H

#include "vit.h"

/* A batch of images of different sizes is passed flat: the input "image" has all of their numbers [sum of C*H*W], and
 * the option "sizes" is [[H,W], ...]. */
enum { TSR_MAX_IMAGES = 256 };

typedef struct tsr_navit_form {
  int nested;  /* the reference's form over nested tensors, with other norms and names */
  int qk_norm; /* layers norm queries and keys; always 1 in the packed form */
} tsr_navit_form;

/* The model of a config: c.image is the position tables' size, c.patch square. Options of the packed form: groups,
 * group_images, group_max_seq_len, which the tap "packing" shows. */
tsr_value tsr_na_vit(tsr_builder *b, const tsr_vit *c, tsr_navit_form form);

#endif
