/* SimpleViT with normed queries and keys: "Scaling Vision Transformers to 22 Billion Parameters" (Dehghani et al.,
 * 2023, arXiv 2302.05442).
 * Reference: vit-pytorch 1.26.11, module simple_vit_with_qk_norm, class SimpleViT.
 *
 *   z0 = [x_p^1 E; ...; x_p^N E] + sincos2d(h, w)
 *   A  = softmax(q' k'^T), q' = sqrt(D) g_q q / |q|, k' = sqrt(D) g_k k / |k|      of each head; g [D]
 *   z' = A v U + z;  z = MLP(LN(z')) + z'        L times, pre-norm;  y = LN(mean over tokens of LN(z))
 *
 * Traps:
 * - Scores have no scale besides the norms'.
 * - The "head" is a LayerNorm. So the output is `dim` numbers, and num_classes is not used.
 * - to_out has no bias.
 * - The feed-forward's second Linear is net.3.
 * - Images must have the config's size. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_simple(b, 0);
  tsr_meaning grid;
  tsr_value x = tsr_vit_start_simple(b, &c, &grid); /* [B,N,C] */
  tsr_transformer layers = tsr_vit_layers_simple(&c, grid);
  layers.attend = tsr_nn_attend_normed;
  x = tsr_vit_transform_simple(b, x, &layers);
  x = tsr_nn_layer_norm(b, "linear_head", tsr_nn_mean(b, x, 1));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
  return x;
}

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"qk_norm_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"qk_norm_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_vit_with_qk_norm = {
    .name = "simple_vit_with_qk_norm",
    .title = "SimpleViT with normed queries and keys",
    .paper = "Dehghani et al. 2023, arXiv 2302.05442",
    .reference = "vit-pytorch 1.26.11, simple_vit_with_qk_norm.SimpleViT",
    .presets = presets,
    .build = build,
};
