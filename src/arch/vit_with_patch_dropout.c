/* ViT with patch dropout: "PatchDropout: Economizing Vision Transformers Using Patch Dropout" (Liu et al., 2022, arXiv
 * 2208.07220).
 * Reference: vit-pytorch 1.26.11, module vit_with_patch_dropout, class ViT.
 *
 *   z0 = [x_class; x_p E + E_pos]                           while training, only some of the patches
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'              L times, pre-norm
 *   y  = Linear(LN(z[class])), or of the mean over tokens
 *
 * Traps:
 * - Patches have positions, the class token has none.
 * - Patches go through a Linear alone, without norms.
 * - The mean includes the class token.
 * - There is no norm behind the last layer.
 * - Images must have the config's size. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  tsr_config_number(b, "patch_dropout", 0.25, 0, 1); /* for training only */
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]);
  tsr_meaning tokens = tsr_vit_grid(b, image, &c);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value x = tsr_nn_linear(b, "to_patch_embedding.1", tsr_nn_patchify(b, image, c.patch[0], c.patch[1]), c.dim,
                              TSR_BIAS); /* [B,N,C] */
  tsr_tap_add(b, x, tokens, "patch_embed");
  x = tsr_vit_add_positions(b, x, tsr_shape_of(2, tsr_dim(b, x, 1), c.dim), &c, tokens);
  x = tsr_nn_prepend(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c.dim)), x);
  tokens.prefix_tokens = 1;
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  tsr_enter(b, "transformer");
  x = tsr_nn_transformer(b, x, &layers);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"patch_dropout_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"patch_dropout_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"patch_dropout_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_vit_with_patch_dropout = {
    .name = "vit_with_patch_dropout",
    .title = "Vision Transformer with patch dropout",
    .paper = "Liu et al. 2022, arXiv 2208.07220",
    .reference = "vit-pytorch 1.26.11, vit_with_patch_dropout.ViT",
    .presets = presets,
    .build = build,
};
