/* ViT for video: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (Dosovitskiy et al.,
 * 2020, arXiv 2010.11929), over patches in space and time.
 * Reference: vit-pytorch 1.26.11, module vit_3d, class ViT.
 *
 *   z0 = [x_class; x_p^1 E; ...; x_p^N E] + E_pos     patches of pf frames x P x P through LayerNorm, Linear, LayerNorm
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'             L times, every token attends to all tokens of all frames
 *   y  = Linear(LN(z[class])), or of the mean over tokens with pool 'mean'
 *
 * Presets are the sizes of ViViT (Arnab et al., 2021, arXiv 2103.15691), whose first model this is.
 *
 * Traps:
 * - A patch's numbers are in the order (frame, row, column, channel), patches in the order (frame, row, column).
 * - The transformer has no norm at its end; the head has one.
 * - The class token is there with pool 'mean' too, and in the mean.
 * - With fewer patches than the config's, the FIRST rows of the position table are used, as in ViT. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_video(b);
  tsr_vit_config_more(b, &c);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_tokens(b, &c, &tokens); /* [B,1+N,C] */
  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  x = tsr_nn_transformer(b, x, &layers);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

#define SIZE(dim, depth, heads, mlp)                                                                                  \
  "{\"image_size\":224,\"image_patch_size\":16,\"frames\":32,\"frame_patch_size\":2,\"num_classes\":400,\"dim\":" dim \
  ",\"depth\":" depth ",\"heads\":" heads ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"image_patch_size\":8,\"frames\":4,\"frame_patch_size\":2,\"num_classes\":10,\"dim\":16,"
     "\"depth\":2,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8}"},
    {"vit_b_16x2", SIZE("768", "12", "12", "3072")},
    {"vit_l_16x2", SIZE("1024", "24", "16", "4096")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_vit_3d = {
    .name = "vit_3d",
    .title = "Vision Transformer for video",
    .paper = "Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "vit-pytorch 1.26.11, vit_3d.ViT",
    .presets = presets,
    .build = build,
};
