/* What vit-pytorch's ViT and those of its variants that change only its inside write identically, beyond nn/layers.h: config keys, the way from the
 * picture to tokens with positions, and the way from tokens to what the head sees. No layers: those are in nn/layers.h. */
#ifndef TSR_PARTS_VIT_H
#define TSR_PARTS_VIT_H

#include "nn/layers.h"

/* Configs of presets: the sizes most papers of this family have, heads of 64; and a small one for the golden cases. */
#define TSR_VIT_SIZE(dim, depth, heads, mlp)                                                                        \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"
#define TSR_VIT_TINY \
  "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8}"

typedef struct tsr_vit {
  int image[2], patch[2], num_classes, dim, depth, heads, mlp_dim, dim_head;
  int channels;            /* 3, for an architecture to overwrite */
  int mean_pool;           /* 0, as above */
  int frames, frame_patch; /* of a video; 0: a picture */
  const char *prefix;      /* of pos_embedding's tap; NULL: none */
} tsr_vit;

/* The keys image_size, patch_size, num_classes (at least `least_classes`), dim, depth, heads, mlp_dim, dim_head, and dropout and emb_dropout,
 * which are accepted. */
tsr_vit tsr_vit_config(tsr_builder *b, int least_classes);
/* The same for video: image_patch_size in place of patch_size, frames, frame_patch_size, and no depth. */
tsr_vit tsr_vit_config_video(tsr_builder *b);
/* The keys pool and channels, which most variants have. */
void tsr_vit_config_more(tsr_builder *b, tsr_vit *c);

/* Of vit-pytorch's module efficient, which takes its transformer from elsewhere: image_size, patch_size (one number), num_classes, dim, pool,
 * channels; and depth, heads and, called `dim_head`, the heads' width, which belong to the transformer. */
tsr_vit tsr_vit_config_efficient(tsr_builder *b, const char *dim_head);

/* How many patches an image or video of the config's size has. */
int tsr_vit_patch_count(const tsr_vit *c);

/* The grid of an image's or video's patches, without prefix tokens. */
tsr_meaning tsr_vit_grid(tsr_builder *b, tsr_value image, const tsr_vit *c);

/* x [B,N,C] + the first N rows of the weight pos_embedding, whose shape is `table`, [R,C] or [1,R,C]; N > R is an error that names the
 * picture. Tap pos_embedding. */
tsr_value tsr_vit_add_positions(tsr_builder *b, tsr_value x, tsr_shape table, const tsr_vit *c, tsr_meaning tokens);

/* x [B,N,C] + a table of sines and cosines of the columns, rows and (for video) frames of `tokens`: dim / 4 (6) numbers each, 0 in what is
 * left. f32 arithmetic in the reference's order, so that large arguments of sin agree. Tap pos_embedding. */
tsr_value tsr_vit_add_sincos(tsr_builder *b, tsr_value x, tsr_meaning tokens);

/* Patches of the picture or video through to_patch_embedding, with its tap: [B,N,C] */
tsr_value tsr_vit_embed(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);
/* x [B,N,C] + the patches' rows of pos_embedding, [1,1+N,C] with a class token's row in front, else [N,C]: for those who see only some patches. */
tsr_value tsr_vit_add_patch_positions(tsr_builder *b, tsr_value x, const tsr_vit *c, int class_row, tsr_meaning tokens);

/* A class token [1,1,C] before the patches' tokens, and positions of a table [1,1+N,C] of the config's size: [B,N,C] -> [B,1+N,C]. Counts the
 * prefix in `tokens`. */
tsr_value tsr_vit_start(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning *tokens);

/* The same behind patches that go through to_patch_embedding, with its tap: the start of most variants. */
tsr_value tsr_vit_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);

/* Without a class token: patches through to_patch_embedding, and positions of a table [1,N+spare,C]. */
tsr_value tsr_vit_patches(tsr_builder *b, const tsr_vit *c, int spare, tsr_meaning *tokens);
/* As tsr_vit_tokens, as ViT itself has it: cls_token [1,C], positions [1+N,C]; neither has the class token's row with pool 'mean'. */
tsr_value tsr_vit_own_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);

/* The class token, or the mean over tokens where the config says so: [B,N,C] -> [B,C], with the tap embedding. */
tsr_value tsr_vit_pool(tsr_builder *b, tsr_value x, const tsr_vit *c);

/* The transformer's layers as the config has them. */
tsr_transformer tsr_vit_layers(const tsr_vit *c, tsr_meaning tokens);

/* What SimpleViT and its variants share: the keys of tsr_vit_config and channels, dim a multiple of 4 from 8, and the mean over tokens. */
tsr_vit tsr_vit_config_simple(tsr_builder *b, int least_classes);
/* Patches of a picture of the config's size, others are refused, and the table of sines and cosines: [B,N,C] */
tsr_value tsr_vit_start_simple(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);
/* The weight register_tokens [R,C] behind each picture's tokens, R the key num_register_tokens: [B,N,C] -> [B,N+R,C]. Counts them in `tokens`. */
tsr_value tsr_vit_add_registers(tsr_builder *b, tsr_value x, tsr_meaning *tokens);
/* Its layers; their to_out has no bias and is always there. */
tsr_transformer tsr_vit_layers_simple(const tsr_vit *c, tsr_meaning tokens);
/* Those layers and the norm behind them, below "transformer": [B,N,C], with the tap tokens. */
tsr_value tsr_vit_transform_simple(tsr_builder *b, tsr_value x, const tsr_transformer *layers);

/* y * scale + x, where the weight `scale` has one number a channel and the shape given: LayerScale, behind each part of CaiT's and
 * XCiT's layers. */
tsr_value tsr_vit_layer_scale_add(tsr_builder *b, tsr_value y, tsr_shape scale, tsr_value x);

#endif
