/* SimpleViT with value residual: "Value Residual Learning For Alleviating Attention Concentration In Transformers"
 * (Zhou et al., 2024, arXiv 2410.17897).
 * Reference: vit-pytorch 1.26.11, module simple_vit_with_value_residual, class SimpleViT.
 *
 *   n  = LN(z);  V_1 = n U_V in the first layer
 *   V_l = m (n U_V) + (1 - m) V_1 in the others,  m = sigmoid(n W_m) for each token and head
 *   z' = softmax(Q K^T / sqrt(D)) V_l U + z;  z = MLP(z') + z'        L times, as in simple_vit
 *
 * Traps:
 * - The feed-forward is a Sequential: 0, 1 and 3.
 * - m is the share of the layer's own values. */
#include "arch.h"

/* Values of the first layer [B,N,H,D], and their negative; TSR_NO_VALUE before. */
typedef struct values {
  tsr_value first, minus;
  int layer;
} values;

static tsr_value attend(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention a, void *user) {
  values *kept = user;
  int width = a.heads * a.head_dim, batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1);
  if (kept->layer && kept->first == TSR_NO_VALUE) return TSR_NO_VALUE;
  tsr_value q = tsr_nn_slice(b, qkv, 2, 0, width), k = tsr_nn_slice(b, qkv, 2, width, 2 * width);
  tsr_value v =
      tsr_nn_reshape(b, tsr_nn_slice(b, qkv, 2, 2 * width, 3 * width), tsr_shape_of(4, batch, n, a.heads, a.head_dim));
  if (!kept->layer) {
    kept->first = v, kept->minus = tsr_nn_times(b, v, -1);
  } else {
    tsr_value share = tsr_nn_linear_act(b, "to_residual_mix.0", x, a.heads, TSR_BIAS, TSR_ACT_SIGMOID);
    a.meaning.kind = "value_shares";
    tsr_tap_add(b, share, a.meaning, "blocks.%d.value_shares", kept->layer);
    share = tsr_nn_reshape(b, share, tsr_shape_of(4, batch, n, a.heads, 1));
    v = tsr_nn_add(b, tsr_nn_mul(b, tsr_nn_add(b, v, kept->minus), share), kept->first); /* V_1 + m (n U_V - V_1) */
  }
  kept->layer++;
  return tsr_nn_attention(b, q, k, tsr_nn_reshape(b, v, tsr_shape_of(3, batch, n, width)), a);
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_simple(b, 1);
  tsr_meaning grid;
  tsr_value x = tsr_vit_start_simple(b, &c, &grid); /* [B,N,C] */
  values kept = {0};
  tsr_transformer layers = tsr_vit_layers_simple(&c, grid);
  layers.attend = attend, layers.user = &kept, layers.bare = 1;
  x = tsr_vit_transform_simple(b, x, &layers);
  return tsr_nn_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"value_residual_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"value_residual_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_vit_with_value_residual = {
    .name = "simple_vit_with_value_residual",
    .title = "SimpleViT with value residual",
    .paper = "Zhou et al. 2024, arXiv 2410.17897",
    .reference = "vit-pytorch 1.26.11, simple_vit_with_value_residual.SimpleViT",
    .presets = presets,
    .build = build,
};
