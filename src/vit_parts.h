/* What vit-pytorch's ViT and those of its variants that change only its inside write identically, beyond nn.h: config keys, the way from the
 * picture to tokens with positions, and the way from tokens to what the head sees. No layers: those are in nn.h. */
#ifndef TSR_VIT_PARTS_H
#define TSR_VIT_PARTS_H

#include "nn.h"

typedef struct tsr_vit {
  int image[2], patch[2], num_classes, dim, depth, heads, mlp_dim, dim_head;
  int channels;  /* 3, for an architecture to overwrite */
  int mean_pool; /* 0, as above */
} tsr_vit;

/* The keys image_size, patch_size, num_classes (at least `least_classes`), dim, depth, heads, mlp_dim, dim_head, and dropout and emb_dropout,
 * which are accepted. */
tsr_vit tsr_vit_config(tsr_builder *b, int least_classes);
/* The keys pool and channels, which most variants have. */
void tsr_vit_config_more(tsr_builder *b, tsr_vit *c);

/* The grid of a picture's patches, without prefix. */
tsr_meaning tsr_vit_grid(tsr_builder *b, tsr_value image, const tsr_vit *c);

/* x [B,N,C] + the first N rows of the weight pos_embedding, whose shape is `table`, [R,C] or [1,R,C]; N > R is an error that names the
 * picture. Tap pos_embedding. */
tsr_value tsr_vit_add_positions(tsr_builder *b, tsr_value x, tsr_shape table, const tsr_vit *c, tsr_meaning tokens);

/* Patches through to_patch_embedding with its tap, a class token [1,1,C], positions of a table [1,1+N,C] of the config's size: the start
 * of most variants. Gives [B,1+N,C] and what its tokens mean. */
tsr_value tsr_vit_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);

/* The class token, or the mean over tokens where the config says so: [B,N,C] -> [B,C], with the tap embedding. */
tsr_value tsr_vit_pool(tsr_builder *b, tsr_value x, const tsr_vit *c);

/* The transformer's layers as the config has them. */
tsr_transformer tsr_vit_layers(const tsr_vit *c, tsr_meaning tokens);

#endif
