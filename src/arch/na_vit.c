/* NaViT: "Patch n' Pack: NaViT, a Vision Transformer for any Aspect Ratio and Resolution" (Dehghani et al., 2023, arXiv
 * 2307.06304), a ViT for images of different sizes in one run.
 * Reference: vit-pytorch 1.26.11, module na_vit, class NaViT.
 *
 *   z0 = [x_p E + E_height[row] + E_width[column]], patches of every image       patches through LN, Linear, LN
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'                                   L times; within each image
 *   y  = Linear(LN(u)), u = q + MSA(LN(q), LN(z))                                one learned query q for each image
 *
 * Traps:
 * - A patch's numbers are in the order (c p1 p2), unlike ViT's.
 * - Norms have a weight gamma and a buffer beta.
 * - RMSNorm of q and k: x / norm(x) * sqrt(D) * gamma. Scores have no further scale.
 * - The pool's keys are of the last norm's output.
 * - Only the MLP and the patch embedding have biases.
 * - Packing changes no result, because masks keep images apart.
 * - Token dropout is for training only. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"token_dropout_prob", NULL};
  tsr_vit c = tsr_vit_config(b, 1);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  return tsr_na_vit(b, &c, (tsr_navit_form){.qk_norm = 1});
}

#define SIZE(dim, depth, heads, mlp)                                                                                \
  "{\"image_size\":384,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,"
     "\"dim_head\":16}"},
    {"na_vit_s_16", SIZE("384", "12", "6", "1536")},
    {"na_vit_b_16", SIZE("768", "12", "12", "3072")},
    {"na_vit_l_16", SIZE("1024", "24", "16", "4096")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_na_vit = {
    .name = "na_vit",
    .title = "NaViT",
    .paper = "Dehghani et al. 2023, arXiv 2307.06304",
    .reference = "vit-pytorch 1.26.11, na_vit.NaViT",
    .presets = presets,
    .build = build,
};
