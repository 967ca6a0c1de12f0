/* What vit-pytorch's ViT and its variants have in common besides the layers of nn/layers.h: config keys, the way from
 * the image to tokens with positions, and pooling. */
#ifndef TSR_PARTS_VIT_H
#define TSR_PARTS_VIT_H

#include "nn/layers.h"

/* Configs of presets: the sizes of most papers of this family, with heads of 64; and a small one for golden cases. */
#define TSR_VIT_SIZE(dim, depth, heads, mlp)                                                                        \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"
#define TSR_VIT_TINY                                                                                          \
  "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32," \
  "\"dim_head\":8}"

typedef struct tsr_vit {
  int image[2], patch[2], num_classes, dim, depth, heads, mlp_dim, dim_head;
  int channels;            /* 3, unless an architecture sets it */
  int mean_pool;           /* 0, unless an architecture sets it */
  int frames, frame_patch; /* of a video; 0 for images */
  const char *prefix;      /* in front of the tap pos_embedding; NULL: none */
} tsr_vit;

/* Reads the keys image_size, patch_size, num_classes (at least `least_classes`), dim, depth, heads, mlp_dim, dim_head.
 * Accepts dropout and emb_dropout. */
tsr_vit tsr_vit_config(tsr_builder *b, int least_classes);
/* Reads those of video models: image_patch_size in place of patch_size, frames, frame_patch_size, and no depth. */
tsr_vit tsr_vit_config_video(tsr_builder *b);
/* Reads the keys pool and channels, which most variants have. */
void tsr_vit_config_more(tsr_builder *b, tsr_vit *c);

/* Reads the keys of vit-pytorch's module efficient: image_size, patch_size (one number), num_classes, dim, pool,
 * channels; and of the transformer that it is given: depth, heads, and the width of a head, whose key is `dim_head`. */
tsr_vit tsr_vit_config_efficient(tsr_builder *b, const char *dim_head);

/* How many patches an image or video of the config's size has. */
int tsr_vit_patch_count(const tsr_vit *c);

/* The grid of an image's or video's patches, without prefix tokens. */
tsr_meaning tsr_vit_grid(tsr_builder *b, tsr_value image, const tsr_vit *c);

/* x [B,N,C] + the first N rows of the weight pos_embedding, whose shape is `table`, [R,C] or [1,R,C]; N > R is an
 * error that names the image's size. Tap pos_embedding. */
tsr_value tsr_vit_add_positions(tsr_builder *b, tsr_value x, tsr_shape table, const tsr_vit *c, tsr_meaning tokens);

/* x [B,N,C] + a table of positions: for each axis of `tokens` (columns, rows, and frames of video) C/4 sines and C/4
 * cosines, of video C/6 each. The remaining channels are 0. f32 arithmetic in the reference's order, so that large
 * arguments of sin agree. Tap pos_embedding. */
tsr_value tsr_vit_add_sincos(tsr_builder *b, tsr_value x, tsr_meaning tokens);

/* The image's or video's patches through to_patch_embedding, with the tap patch_embed: [B,N,C]. */
tsr_value tsr_vit_embed(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);
/* x [B,N,C] + the patches' rows of pos_embedding, [1,1+N,C] with a class token's row in front, else [N,C]: for models
 * that see only some of the patches. */
tsr_value tsr_vit_add_patch_positions(tsr_builder *b, tsr_value x, const tsr_vit *c, int class_row, tsr_meaning tokens);

/* Puts the class token [1,1,C] in front of the patches' tokens and adds positions [1,1+N,C]: [B,N,C] -> [B,1+N,C].
 * Counts the class token in tokens->prefix_tokens. */
tsr_value tsr_vit_start(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning *tokens);

/* tsr_vit_embed and tsr_vit_start: what most variants begin with. */
tsr_value tsr_vit_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);

/* The same without a class token: positions [1,N+spare,C]. `spare`: rows of the table that an image of the config's
 * size does not read. */
tsr_value tsr_vit_patches(tsr_builder *b, const tsr_vit *c, int spare, tsr_meaning *tokens);
/* tsr_vit_tokens with the weight shapes of vit.ViT: cls_token [1,C], positions [1+N,C]; no class token with pool
 * 'mean'. */
tsr_value tsr_vit_own_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);

/* The class token, or with mean_pool the mean over tokens: [B,N,C] -> [B,C]. Tap embedding. */
tsr_value tsr_vit_pool(tsr_builder *b, tsr_value x, const tsr_vit *c);

/* The transformer's layers of a config. */
tsr_transformer tsr_vit_layers(const tsr_vit *c, tsr_meaning tokens);

/* What SimpleViT and its variants share: the keys of tsr_vit_config and channels, dim a multiple of 4 from 8, and the
 * mean over tokens. */
tsr_vit tsr_vit_config_simple(tsr_builder *b, int least_classes);
/* The patches of an image of the config's size (others fail) plus the table of sines and cosines: [B,N,C]. */
tsr_value tsr_vit_start_simple(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens);
/* The weight register_tokens [R,C] behind each image's tokens, R the key num_register_tokens: [B,N,C] -> [B,N+R,C].
 * Counts them in `tokens`. */
tsr_value tsr_vit_add_registers(tsr_builder *b, tsr_value x, tsr_meaning *tokens);
/* SimpleViT's layers: to_out has no bias and is always there. */
tsr_transformer tsr_vit_layers_simple(const tsr_vit *c, tsr_meaning tokens);
/* These layers and the norm that follows them, below "transformer": [B,N,C]. Tap tokens. */
tsr_value tsr_vit_transform_simple(tsr_builder *b, tsr_value x, const tsr_transformer *layers);

/* y * scale + x, where the weight `scale` has one number a channel and the shape given: LayerScale, behind each part
 * of CaiT's and XCiT's layers. */
tsr_value tsr_vit_layer_scale_add(tsr_builder *b, tsr_value y, tsr_shape scale, tsr_value x);

#endif
