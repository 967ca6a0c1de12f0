/* NaViT over nested tensors: "Patch n' Pack: NaViT, a Vision Transformer for any Aspect Ratio and Resolution" (Dehghani
 * et al., 2023, arXiv 2307.06304).
 * Reference: vit-pytorch 1.26.11, module na_vit_nested_tensor, class NaViT.
 *
 * The pseudo-code is na_vit's. The reference holds lists of images without padding or masks.
 *
 * Traps:
 * - All traps of na_vit apply but those of norms.
 * - Norms have a weight and no bias; the norms of the patches have both.
 * - Queries and keys go through a LayerNorm, and scores are scaled by 1 / sqrt(D).
 * - qk_rmsnorm false removes these norms from the layers, not from the pool.
 * - The pool's result does not have the query added. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"token_dropout_prob", NULL};
  tsr_vit c = tsr_vit_config(b, 1);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  return tsr_na_vit(b, &c, (tsr_navit_form){.nested = 1, .qk_norm = tsr_config_bool(b, "qk_rmsnorm", 1)});
}

#define SIZE(dim, depth, heads, mlp)                                                                                \
  "{\"image_size\":384,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,"
     "\"dim_head\":16}"},
    {"na_vit_nested_tensor_s_16", SIZE("384", "12", "6", "1536")},
    {"na_vit_nested_tensor_b_16", SIZE("768", "12", "12", "3072")},
    {"na_vit_nested_tensor_l_16", SIZE("1024", "24", "16", "4096")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_na_vit_nested_tensor = {
    .name = "na_vit_nested_tensor",
    .title = "NaViT over nested tensors",
    .paper = "Dehghani et al. 2023, arXiv 2307.06304",
    .reference = "vit-pytorch 1.26.11, na_vit_nested_tensor.NaViT",
    .presets = presets,
    .build = build,
};
