/* SimpleViT with normed queries and keys: "Scaling Vision Transformers to 22 Billion Parameters", Dehghani et al., 2023, arXiv 2302.05442.
 * Reference: vit-pytorch 1.26.11, module simple_vit_with_qk_norm, class SimpleViT.
 *
 *   z0 = [x_p^1 E; ...; x_p^N E] + sincos2d(h, w)
 *   A  = softmax(q' k'^T), q' = sqrt(D) g_q q / |q|, k' = sqrt(D) g_k k / |k|      of each head; g: a number for each of its D
 *   z' = A v U + z;  z = MLP(LN(z')) + z'        L times, pre-norm;  y = LN(mean over tokens of LN(z))
 *
 * Traps: scores have no scale beside the norms'; the "head" is a LayerNorm, so that `dim` numbers come out and num_classes plays no part; to_out
 * has no bias; feed-forward's second Linear is net.3; pictures have the config's size. */
#include "../build.h"

/* Queries or keys, each head's of length 1 times g; the roots of D are the scores' scale. [B,N,H*D] */
static tsr_value norm_heads(tsr_builder *b, const tsr_vit *c, const char *name, tsr_value x) {
  tsr_shape shape = tsr_shape_at(b, x);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, shape.dims[0], shape.dims[1], c->heads, c->dim_head));
  tsr_enter(b, "%s", name);
  tsr_value gamma = tsr_weight_vector(b, "gamma", tsr_shape_of(3, c->heads, 1, c->dim_head));
  tsr_leave(b);
  x = tsr_nn_mul(b, tsr_nn_l2_normalize(b, x, 1e-12f), tsr_nn_reshape(b, gamma, tsr_shape_of(2, c->heads, c->dim_head)));
  return tsr_nn_reshape(b, x, shape);
}

static tsr_value layer(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning grid, int i) {
  int width = c->heads * c->dim_head;
  tsr_attention heads = tsr_nn_heads(c->heads, c->dim_head, grid, i);
  heads.scale = (float)c->dim_head;
  tsr_enter(b, "layers.%d.0", i);
  tsr_value qkv = tsr_nn_linear(b, "to_qkv", tsr_nn_layer_norm(b, "norm", x), 3 * width, TSR_NO_BIAS); /* [B,N,3*H*D] */
  tsr_value q = norm_heads(b, c, "q_norm", tsr_nn_slice(b, qkv, 2, 0, width)), k = norm_heads(b, c, "k_norm", tsr_nn_slice(b, qkv, 2, width, 2 * width));
  tsr_value y = tsr_nn_attention(b, q, k, tsr_nn_slice(b, qkv, 2, 2 * width, 3 * width), heads);
  x = tsr_nn_linear_add(b, "to_out", y, c->dim, TSR_NO_BIAS, x);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.1", i);
  x = tsr_nn_feed_forward(b, x, c->mlp_dim, "3", x);
  tsr_leave(b);
  tsr_tap_add(b, x, grid, "blocks.%d", i);
  return x;
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 0);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  if (c.dim % 4 || c.dim < 8) return tsr_fail(b, TSR_ERR_CONFIG, "config key \"dim\" is %d; the sin-cos table needs a multiple of 4 from 8", c.dim);
  tsr_meaning grid;
  tsr_value x = tsr_vit_embed(b, &c, &grid); /* [B,N,C] */
  int h = c.image[0] / c.patch[0], w = c.image[1] / c.patch[1];
  if (!tsr_failed(b) && (grid.grid_h != h || grid.grid_w != w))
    return tsr_fail(b, TSR_ERR_SHAPE, "a picture of %d x %d does not fit; this model takes %d x %d", grid.grid_h * c.patch[0], grid.grid_w * c.patch[1],
                    c.image[0], c.image[1]);
  x = tsr_vit_add_sincos(b, x, grid);
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) x = layer(b, x, &c, grid, i);
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  tsr_tap_add(b, x, grid, "tokens");
  x = tsr_nn_layer_norm(b, "linear_head", tsr_nn_mean(b, x, 1));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
  return x;
}

#define SIZE(dim, heads, mlp)                                                                                  \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":12,\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8}"},
    {"qk_norm_s_16", SIZE("384", "6", "1536")},
    {"qk_norm_b_16", SIZE("768", "12", "3072")},
    {NULL, NULL}};

const tsr_arch tsr_arch_simple_vit_with_qk_norm = {
    .name = "simple_vit_with_qk_norm",
    .title = "SimpleViT with normed queries and keys",
    .paper = "Dehghani et al. 2023, arXiv 2302.05442",
    .reference = "vit-pytorch 1.26.11, simple_vit_with_qk_norm.SimpleViT",
    .presets = presets,
    .build = build,
};
