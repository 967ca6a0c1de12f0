/* DeepViT: "DeepViT: Towards Deeper Vision Transformer" (Zhou et al., 2021, arXiv 2103.11886), a ViT that mixes the
 * heads' attention.
 * Reference: vit-pytorch 1.26.11, module deepvit, class DeepViT.
 *
 *   A  = softmax(Q K^T / sqrt(d))                       H matrices
 *   A' = LN_H(Theta^T A)                                re-attention: heads are mixed, then normed over H
 *   z' = Linear(A' V) + z;  z = MLP(LN(z')) + z'        L times, pre-norm
 *   y  = Linear(LN(z[class])), or of the mean over tokens
 *
 * Traps:
 * - Theta [from,to] is no Linear: it multiplies from the right.
 * - LN_H has as many channels as there are heads.
 * - Rows of A' do not sum to 1.
 * - The output projection is always there.
 * - There is no norm behind the last layer. */
#include <math.h>

#include "arch.h"

static tsr_value re_attention(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning tokens, int layer) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), h = c->heads;
  tsr_value qkv = tsr_nn_linear(b, "to_qkv", tsr_nn_layer_norm(b, "norm", x), 3 * h * c->dim_head, TSR_NO_BIAS);
  tsr_value q = tsr_nn_split_heads(b, qkv, 3, 0, h), k = tsr_nn_split_heads(b, qkv, 3, 1, h),
            v = tsr_nn_split_heads(b, qkv, 3, 2, h);
  tsr_value a = tsr_nn_softmax(b, tsr_nn_bmm(b, q, k, 1), 1 / sqrtf((float)c->dim_head)); /* [B,H,N,N] */
  tokens.kind = "attention";
  tsr_tap_add(b, a, tokens, "blocks.%d.attn", layer);
  tsr_value theta = tsr_weight_vector(b, "reattn_weights", tsr_shape_of(2, h, h));
  theta = tsr_nn_reshape(b, theta, tsr_shape_of(3, 1, h, h));
  a = tsr_nn_reshape(b, tsr_nn_permute(b, a, (int[]){0, 2, 3, 1}), tsr_shape_of(3, batch, n * n, h));
  a = tsr_nn_layer_norm(b, "reattn_norm.1", tsr_nn_bmm(b, a, theta, 0));
  a = tsr_nn_permute(b, tsr_nn_reshape(b, a, tsr_shape_of(4, batch, n, n, h)), (int[]){0, 3, 1, 2}); /* [B,H,N,N] */
  tokens.kind = "mixed_attention";
  tsr_tap_add(b, a, tokens, "blocks.%d.reattn", layer);
  return tsr_nn_linear_add(b, "to_out.0", tsr_nn_merge_heads(b, tsr_nn_bmm(b, a, v, 0)), c->dim, TSR_BIAS, x);
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_tokens(b, &c, &tokens);
  for (int i = 0; i < c.depth; i++) {
    tsr_enter(b, "transformer.layers.%d.0", i);
    x = re_attention(b, x, &c, tokens, i);
    tsr_leave(b);
    tsr_enter(b, "transformer.layers.%d.1", i);
    x = tsr_nn_feed_forward(b, x, c.mlp_dim, "4", x);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

/* The paper's sizes, with an MLP three times as wide as the tokens. */
#define SIZE(dim, depth, head)                                                                  \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth \
  ",\"heads\":12,\"dim_head\":" head ",\"mlp_dim\":"

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"deepvit_s", SIZE("396", "16", "33") "1188}"},
    {"deepvit_l", SIZE("420", "32", "35") "1260}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_deepvit = {
    .name = "deepvit",
    .title = "DeepViT",
    .paper = "Zhou et al. 2021, arXiv 2103.11886",
    .reference = "vit-pytorch 1.26.11, deepvit.DeepViT",
    .presets = presets,
    .build = build,
};
