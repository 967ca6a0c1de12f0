/* SimpleViT with register tokens: "Vision Transformers Need Registers" (Darcet, Oquab, Mairal, Bojanowski, 2023, arXiv
 * 2309.16588).
 * Reference: vit-pytorch 1.26.11, module simple_vit_with_register_tokens, class SimpleViT.
 *
 *   z0 = [x_p^1 E + sincos2d; ...; x_p^N E + sincos2d; r_1; ...; r_R]     registers: learned, without position
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'                           L times
 *   y  = Linear(mean over the patches' tokens of LN(z))                  registers are dropped
 *
 * Traps:
 * - Registers follow the patches, unlike the paper's.
 * - There is no class token.
 * - Layers are simple_vit's. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_simple(b, 1);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_add_registers(b, tsr_vit_start_simple(b, &c, &tokens), &tokens); /* [B,N+R,C] */
  tsr_transformer layers = tsr_vit_layers_simple(&c, tokens);
  x = tsr_vit_transform_simple(b, x, &layers);
  x = tsr_nn_slice(b, x, 1, 0, tsr_dim(b, x, 1) - tokens.suffix_tokens);
  return tsr_nn_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"registers_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"registers_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_vit_with_register_tokens = {
    .name = "simple_vit_with_register_tokens",
    .title = "SimpleViT with register tokens",
    .paper = "Darcet et al. 2023, arXiv 2309.16588",
    .reference = "vit-pytorch 1.26.11, simple_vit_with_register_tokens.SimpleViT",
    .presets = presets,
    .build = build,
};
