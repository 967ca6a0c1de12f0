/* SimpleViT: "Better plain ViT baselines for ImageNet-1k" (Beyer, Zhai, Kolesnikov, 2022, arXiv 2205.01580), a ViT with
 * sin-cos positions and no class token.
 * Reference: vit-pytorch 1.26.11, module simple_vit, class SimpleViT.
 *
 *   z0 = [x_p^1 E; ...; x_p^N E] + sincos2d(h, w)     no class token; patches through LayerNorm, Linear, LayerNorm
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'        L times
 *   y  = Linear(mean over tokens of LN(z))
 *
 * Traps:
 * - to_out has no bias and is always there.
 * - The table's columns are (x sin, x cos, y sin, y cos), a quarter of dim each, with omega_i = 10000^(-i / (dim/4 -
 *   1)).
 * - The table belongs to the config's grid, so other image sizes are refused, as the reference refuses them.
 * - The feed-forward's second Linear is net.3 (no dropout between), unlike ViT's net.4. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_simple(b, 1);
  tsr_meaning grid;
  tsr_value x = tsr_vit_start_simple(b, &c, &grid); /* [B,N,C] */
  tsr_transformer layers = tsr_vit_layers_simple(&c, grid);
  x = tsr_vit_transform_simple(b, x, &layers);
  return tsr_nn_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,"
     "\"dim_head\":16}"},
    {"simple_vit_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"simple_vit_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"simple_vit_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_vit = {
    .name = "simple_vit",
    .title = "SimpleViT",
    .paper = "Beyer, Zhai, Kolesnikov 2022, arXiv 2205.01580",
    .reference = "vit-pytorch 1.26.11, simple_vit.SimpleViT",
    .presets = presets,
    .build = build,
};
