/* Parallel ViT: "Three things everyone should know about Vision Transformers" (Touvron et al., 2022, arXiv 2203.09795),
 * a ViT with several branches in each layer.
 * Reference: vit-pytorch 1.26.11, module parallel_vit, class ViT.
 *
 *   z0 = [x_class; x_p E] + E_pos
 *   z' = z + sum_j MSA_j(LN_j(z));  z = z' + sum_j MLP_j(LN_j(z'))     L times, j over the branches
 *   y  = Linear(LN(z[class])), or of the mean over tokens
 *
 * Traps:
 * - Patches go through a Linear alone, without norms.
 * - Every branch has its own norm.
 * - There is no norm behind the last layer. */
#include "arch.h"

enum { MAX_BRANCHES = 64 };

static tsr_value layer(tsr_builder *b, tsr_value x, const tsr_vit *c, int branches, tsr_meaning tokens, int i) {
  char tap[64];
  tsr_value sum = x;
  for (int j = 0; j < branches; j++) {
    tsr_mha mha = {.attention = tsr_nn_heads(c->heads, c->dim_head, tokens, i),
                   .to_out = tsr_nn_to_out(c->heads, c->dim_head, c->dim)};
    tsr_print(tap, sizeof tap, "blocks.%%d.branches.%d.attn", j);
    mha.attention.tap = tap;
    tsr_enter(b, "layers.%d.0.fns.%d", i, j);
    sum = tsr_nn_mha(b, x, &mha, sum);
    tsr_leave(b);
  }
  x = sum;
  for (int j = 0; j < branches; j++) {
    tsr_enter(b, "layers.%d.1.fns.%d", i, j);
    sum = tsr_nn_feed_forward(b, x, c->mlp_dim, "4", sum);
    tsr_leave(b);
  }
  tsr_tap_add(b, sum, tokens, "blocks.%d", i);
  return sum;
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  int branches = tsr_config_int(b, "num_parallel_branches", 2, 1, MAX_BRANCHES);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_meaning tokens = tsr_vit_grid(b, image, &c);
  tsr_value x =
      tsr_nn_linear(b, "to_patch_embedding.1", tsr_nn_patchify(b, image, c.patch[0], c.patch[1]), c.dim, TSR_BIAS);
  tsr_tap_add(b, x, tokens, "patch_embed");
  x = tsr_vit_start(b, x, &c, &tokens);
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) x = layer(b, x, &c, branches, tokens, i);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

/* The paper's ViT-S and ViT-B with half the layers and two branches. */
#define SIZE(dim, heads, mlp)                                                                               \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":6,\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"parallel_vit_s_6x2", SIZE("384", "6", "1536")},
    {"parallel_vit_b_6x2", SIZE("768", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_parallel_vit = {
    .name = "parallel_vit",
    .title = "Parallel Vision Transformer",
    .paper = "Touvron et al. 2022, arXiv 2203.09795",
    .reference = "vit-pytorch 1.26.11, parallel_vit.ViT",
    .presets = presets,
    .build = build,
};
