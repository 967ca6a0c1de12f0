/* ViT, the Vision Transformer: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
 * Dosovitskiy et al., 2020, arXiv 2010.11929. Reference: vit-pytorch 1.26.11, module vit, class ViT.
 *
 *   z  = [x_class; x_1 E; ...; x_N E] + E_pos         N patches x_i; E is LayerNorm, Linear, LayerNorm
 *   z  = z + MSA(LN(z))                               L times:
 *   z  = z + MLP(LN(z))
 *   y  = Linear(LN(z)_class)                          pool 'cls'; with pool 'mean' of the mean over the tokens
 *
 * Traps
 *   - Pool 'mean' has no class token: neither x_class nor its row of E_pos.
 *   - to_qkv has no bias. One head as wide as the tokens has no output projection.
 *   - The transformer ends with a LayerNorm; the head has none of its own.
 *   - An image with fewer patches than the config's uses the first rows of E_pos; they are not interpolated.
 *   - num_classes 0 gives all tokens.
 *
 * Shapes: B batch, N patches, C dim. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 0);
  tsr_vit_config_more(b, &c);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]); /* [B,channels,H,W] */
  tsr_meaning tokens = tsr_vit_grid(b, image, &c);
  int rows = tsr_vit_patch_count(&c);

  /* z = [x_class; x_1 E; ...; x_N E] + E_pos */
  tsr_value z = tsr_nn_patch_embed(b, image, c.patch[0], c.patch[1], c.dim); /* [B,N,C] */
  tsr_tap_add(b, z, tokens, "patch_embed");
  tokens.prefix_tokens = !c.mean_pool;
  tsr_value cls_token = tsr_weight_vector(b, "cls_token", tsr_shape_of(2, tokens.prefix_tokens, c.dim));
  if (tokens.prefix_tokens) z = tsr_nn_prepend(b, cls_token, z); /* [B,1+N,C] */
  z = tsr_vit_add_positions(b, z, tsr_shape_of(2, tokens.prefix_tokens + rows, c.dim), &c, tokens);

  /* z = z + MSA(LN(z)); z = z + MLP(LN(z)): tsr_nn_transformer_layer (nn/layers.c) */
  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  z = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, z, &layers));
  tsr_leave(b);
  tsr_tap_add(b, z, tokens, "tokens");

  /* y = Linear(LN(z)_class) */
  if (c.num_classes) return tsr_nn_linear(b, "mlp_head", tsr_vit_pool(b, z, &c), c.num_classes, TSR_BIAS);
  tsr_output_means(b, tokens);
  return z;
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,"
     "\"dim_head\":16}"},
    {"vit_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"vit_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"vit_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {"vit_l_16", TSR_VIT_SIZE("1024", "24", "16", "4096")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_vit = {
    .name = "vit",
    .title = "Vision Transformer",
    .paper = "Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "vit-pytorch 1.26.11, vit.ViT",
    .presets = presets,
    .build = build,
};
