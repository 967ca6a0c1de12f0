/* MAE: "Masked Autoencoders Are Scalable Vision Learners" (He et al., 2021, arXiv 2111.06377), a ViT on the visible
 * patches and a decoder that predicts the masked ones.
 * Reference: vit-pytorch 1.26.11, module mae, class MAE, around vit.ViT.
 *
 *   e = Transformer(x_p E + E_pos) of the visible patches     the encoder never has the others
 *   z = [Linear(e); m], each at its patch, + D_pos            m: one learned token for every masked patch
 *   y = Linear(Transformer(z)) of the masked patches;  loss = mean (y - x_p)^2
 *
 * Traps:
 * - The class token is not used, but its row of the position table is there. The reference slices that row off a table
 *   [1,1+N,C], as ViT had until it lost its first dim; with pool 'mean' the table is [N,C].
 * - decoder_pos_emb has as many rows as the encoder's table. Its last row is unused where the encoder's table has a row
 *   for the class token.
 * - The pixels to predict are the input's, normalised as the image is.
 * - The encoder's head is not read. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_masking_vit(b, "encoder", "encoder key");
  double ratio = tsr_masking_ratio(b, 0.75);
  int dim = tsr_config_int(b, "decoder_dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  tsr_transformer decoder = {.depth = tsr_config_int(b, "decoder_depth", 1, 0, TSR_MAX_DEPTH),
                             .heads = tsr_config_int(b, "decoder_heads", 8, 1, TSR_MAX_HEADS),
                             .head_dim = tsr_config_int(b, "decoder_dim_head", 64, 1, TSR_MAX_DIM),
                             .mlp_dim = dim * 4,
                             .last = "4",
                             .prefix = "decoder."};
  decoder.to_out = tsr_nn_to_out(decoder.heads, decoder.head_dim, dim);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_value patches = tsr_nn_patchify(b, image, c.patch[0], c.patch[1]); /* [B,N,P P C] */
  decoder.tokens = tsr_vit_grid(b, image, &c);
  tsr_masking m = tsr_masking_read(b, tsr_dim(b, image, 0), decoder.tokens, ratio, 0);

  tsr_enter(b, "encoder");
  tsr_enter(b, "to_patch_embedding");
  tsr_value x = tsr_nn_embed_patches(b, patches, c.dim);
  tsr_leave(b);
  tsr_tap_add(b, x, decoder.tokens, "patch_embed");
  x = tsr_nn_gather(b, tsr_vit_add_patch_positions(b, x, &c, !c.mean_pool, decoder.tokens), m.seen); /* [B,N-K,C] */
  tsr_enter(b, "transformer");
  tsr_transformer encoder = tsr_vit_layers(&c, (tsr_meaning){.kind = "tokens"});
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &encoder));
  tsr_leave(b);
  tsr_leave(b);
  tsr_tap_add(b, x, encoder.tokens, "tokens");

  if (c.dim != dim) x = tsr_nn_linear(b, "enc_to_dec", x, dim, TSR_BIAS);
  x = tsr_masking_fill(b, &m, tsr_weight_vector(b, "mask_token", tsr_shape_of(1, dim)), x); /* [B,N,D] */
  int rows = c.image[0] / c.patch[0] * (c.image[1] / c.patch[1]) + !c.mean_pool;
  tsr_value table = tsr_weight_vector(b, "decoder_pos_emb.weight", tsr_shape_of(2, rows, dim));
  x = tsr_nn_add(b, x, tsr_nn_slice(b, table, 0, 0, tsr_dim(b, x, 1)));
  tsr_enter(b, "decoder");
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &decoder));
  tsr_leave(b);
  return tsr_masking_image(b, &m, tsr_nn_gather(b, x, m.hidden), patches, &c, decoder.tokens,
                           (tsr_pixel_loss){.squared = 1, .scale = 1});
}

/* The paper's sizes, with decoders of 8 layers, 512 wide, of 16 heads. */
#define SIZE(patch, dim, depth, heads, dim_head, mlp)                                                               \
  "{\"encoder\":{\"image_size\":224,\"patch_size\":" patch ",\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth \
  ",\"heads\":" heads ",\"dim_head\":" dim_head ",\"mlp_dim\":" mlp                                                 \
  "},\"decoder_dim\":512,\"decoder_depth\":8,\"decoder_heads\":16,\"decoder_dim_head\":32}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"encoder\":{\"image_size\":16,\"patch_size\":4,\"num_classes\":3,\"dim\":16,\"depth\":2,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8},\"decoder_dim\":12,\"decoder_heads\":2,\"decoder_dim_head\":6}"},
    {"mae_vit_b_16", SIZE("16", "768", "12", "12", "64", "3072")},
    {"mae_vit_l_16", SIZE("16", "1024", "24", "16", "64", "4096")},
    {"mae_vit_h_14", SIZE("14", "1280", "32", "16", "80", "5120")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_mae = {
    .name = "mae",
    .title = "Masked Autoencoder",
    .paper = "He et al. 2021, arXiv 2111.06377",
    .reference = "vit-pytorch 1.26.11, mae.MAE",
    .presets = presets,
    .build = build,
};
