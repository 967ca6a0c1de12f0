/* ViT: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", Dosovitskiy et al., 2020, arXiv 2010.11929.
 * Reference: vit-pytorch 1.26.11, module vit, class ViT.
 *
 *   z0 = [x_class; x_p^1 E; ...; x_p^N E] + E_pos          patches through LayerNorm, Linear, LayerNorm
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'             L times, pre-norm
 *   y  = Linear(LN(z)[class]), or of the mean over tokens with pool 'mean'
 *
 * Traps: qkv without bias; with heads 1 and dim_head = dim there is no output projection; the head has no norm of its
 * own (the transformer ends with one); pool 'mean' has no class token at all; with fewer patches than the config's the FIRST
 * rows of the position table are used, without interpolation; num_classes 0 gives all tokens. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 0);
  tsr_vit_config_more(b, &c);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_own_tokens(b, &c, &tokens); /* [B,1+N,C] */

  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  if (!c.num_classes) {
    tsr_output_means(b, tokens);
    return x;
  }
  return tsr_nn_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,\"dim_head\":16}"},
    {"vit_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"vit_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"vit_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {"vit_l_16", TSR_VIT_SIZE("1024", "24", "16", "4096")},
    {NULL, NULL}};

const tsr_arch tsr_arch_vit = {
    .name = "vit",
    .title = "Vision Transformer",
    .paper = "Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "vit-pytorch 1.26.11, vit.ViT",
    .presets = presets,
    .build = build,
};
