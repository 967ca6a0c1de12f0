/* ScalableViT: "ScalableViT: Rethinking the Context-oriented Generalization of Vision Transformer" (Yang et al., 2022,
 * arXiv 2203.10790), attention to a reduced map and attention in windows, by turns.
 * Reference: vit-pytorch 1.26.11, module scalable_vit, class ScalableViT.
 *
 *   x = Conv7/4(x);  for each stage:
 *     depth_s times:
 *       x = x + SSA(LN(x))       keys and values by convolutions with kernel and stride r, of different widths
 *       x = x + MLP(x);  x = x + DW(x) in the first layer;  x = x + MLP(x)
 *       x = x + IWSA(LN(x))      in windows; W_o(attention + Conv3(v)), v as a map
 *     x = LN(x), Conv3/2(x)      not after the last
 *   y = Linear(LN(mean over pixels of x))
 *
 * Traps:
 * - The second MLP comes before IWSA, because the reference unpacks its list in another order than it was filled.
 * - A window_size of null means the whole map.
 * - The width doubles with each stage. */
#include <math.h>

#include "arch.h"

enum { MOST = 8 };

typedef struct scalable_config {
  int num_classes, dim, stages, depth[MOST], heads[MOST], reduction[MOST], window[MOST];
  int ssa_key[MOST], ssa_value[MOST], iwsa_key[MOST], iwsa_value[MOST], ff_mult, channels;
} scalable_config;

static scalable_config read_config(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  static const int whole[MOST] = {0}, wide[MOST] = {32, 32, 32, 32, 32, 32, 32, 32};
  scalable_config c;
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, 4096);
  int n = c.stages = tsr_config_list(b, "depth", NULL, 0, TSR_MAX_DEPTH, 1, MOST, c.depth);
  tsr_config_list(b, "heads", NULL, 1, TSR_MAX_HEADS, n, n, c.heads);
  tsr_config_list(b, "reduction_factor", NULL, 1, 64, n, n, c.reduction);
  tsr_config_list(b, "window_size", whole, 0, 1024, n, n, c.window);
  tsr_config_list(b, "ssa_dim_key", wide, 1, 1024, n, n, c.ssa_key);
  tsr_config_list(b, "ssa_dim_value", wide, 1, 1024, n, n, c.ssa_value);
  tsr_config_list(b, "iwsa_dim_key", wide, 1, 1024, n, n, c.iwsa_key);
  tsr_config_list(b, "iwsa_dim_value", wide, 1, 1024, n, n, c.iwsa_value);
  c.ff_mult = tsr_config_int(b, "ff_expansion_factor", 4, 1, 16);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

static tsr_conv kernel(int side, int out, int stride, int pad, int bias) {
  return (tsr_conv){.out = out,
                    .kernel_h = side,
                    .kernel_w = side,
                    .stride_h = stride,
                    .stride_w = stride,
                    .pad_h = pad,
                    .pad_w = pad,
                    .bias = bias};
}

static tsr_value scalable_attention(tsr_builder *b, tsr_value x, const scalable_config *c, int s, int layer) {
  char tap[64];
  int heads = c->heads[s], r = c->reduction[s];
  tsr_value y = tsr_nn_channel_norm(b, "norm", x);
  tsr_value q = tsr_nn_pointwise(b, "to_q", y, heads * c->ssa_key[s], TSR_NO_BIAS);
  tsr_value k = tsr_nn_conv2d(b, "to_k", y, kernel(r, heads * c->ssa_key[s], r, 0, TSR_NO_BIAS));
  tsr_value v = tsr_nn_conv2d(b, "to_v", y, kernel(r, heads * c->ssa_value[s], r, 0, TSR_NO_BIAS));
  tsr_attention attention = tsr_nn_heads(heads, c->ssa_key[s], tsr_nn_map_meaning(b, k, "attention"), 0);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.ssa_attn", s, layer);
  attention.tap = tap;
  attention.value_dim = c->ssa_value[s];
  y = tsr_nn_attention(b, tsr_nn_tokens(b, q), tsr_nn_tokens(b, k), tsr_nn_tokens(b, v), attention);
  return tsr_nn_pointwise_add(b, "to_out.0", tsr_nn_map(b, y, x), tsr_dim(b, x, 3), TSR_BIAS, x);
}

static tsr_value window_attention(tsr_builder *b, tsr_value x, const scalable_config *c, int s, int layer) {
  char tap[64];
  int heads = c->heads[s], side = c->window[s];
  tsr_windows windows = {side ? side : tsr_dim(b, x, 1), side ? side : tsr_dim(b, x, 2), 0};
  tsr_value y = tsr_nn_channel_norm(b, "norm", x),
            v = tsr_nn_pointwise(b, "to_v", y, heads * c->iwsa_value[s], TSR_NO_BIAS);
  tsr_value around =
      tsr_nn_conv2d(b, "local_interactive_module", v, kernel(3, heads * c->iwsa_value[s], 1, 1, TSR_BIAS));
  tsr_value q = tsr_nn_pointwise(b, "to_q", y, heads * c->iwsa_key[s], TSR_NO_BIAS);
  tsr_value k = tsr_nn_pointwise(b, "to_k", y, heads * c->iwsa_key[s], TSR_NO_BIAS);
  tsr_attention attention = tsr_nn_heads(heads, c->iwsa_key[s], tsr_nn_window_meaning(b, x, windows, "attention"), 0);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.iwsa_attn", s, layer);
  attention.tap = tap;
  attention.value_dim = c->iwsa_value[s];
  y = tsr_nn_attention(b, tsr_nn_windows(b, q, windows), tsr_nn_windows(b, k, windows), tsr_nn_windows(b, v, windows),
                       attention);
  y = tsr_nn_add(b, tsr_nn_unwindows(b, y, windows, x), around);
  return tsr_nn_pointwise_add(b, "to_out.0", y, tsr_dim(b, x, 3), TSR_BIAS, x);
}

static tsr_value feed_forward(tsr_builder *b, tsr_value x, const scalable_config *c, int layer, int place) {
  tsr_enter(b, "layers.%d.%d.net", layer, place);
  x = tsr_nn_map_feed_forward_add(b, x, c->ff_mult * tsr_dim(b, x, 3));
  tsr_leave(b);
  return x;
}

static tsr_value stage(tsr_builder *b, tsr_value x, const scalable_config *c, int s) {
  tsr_enter(b, "layers.%d.0", s);
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_enter(b, "layers.%d.0", i);
    x = scalable_attention(b, x, c, s, i);
    tsr_leave(b);
    x = feed_forward(b, x, c, i, 1);
    if (!i) x = tsr_nn_peg(b, "layers.0.2.proj", x, 3);
    x = feed_forward(b, x, c, i, 3);
    tsr_enter(b, "layers.%d.4", i);
    x = window_attention(b, x, c, s, i);
    tsr_leave(b);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
  }
  if (s + 1 < c->stages) x = tsr_nn_channel_norm(b, "norm", x);
  tsr_leave(b);
  if (s + 1 == c->stages) return x;
  tsr_enter(b, "layers.%d.1", s);
  x = tsr_nn_conv2d(b, "conv", x, kernel(3, 2 * tsr_dim(b, x, 3), 2, 1, TSR_BIAS));
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  scalable_config c = read_config(b);
  int unit = 1;
  for (int s = 0; s < c.stages; s++)
    if (c.window[s]) unit = tsr_nn_common_multiple(unit, c.window[s] * (4 << s));
  tsr_value x = tsr_nn_input_map(b, c.channels, unit);
  x = tsr_nn_conv2d(b, "to_patches", x, kernel(7, c.dim, 4, 3, TSR_BIAS));
  tsr_tap_add(b, tsr_nn_tokens(b, x), tsr_nn_map_meaning(b, x, "tokens"), "patch_embed");
  for (int s = 0; s < c.stages; s++) x = stage(b, x, &c, s);
  tsr_enter(b, "mlp_head");
  x = tsr_nn_layer_norm(b, "1", tsr_nn_map_mean(b, x));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"dim\":8,\"depth\":[1,1],\"heads\":[1,2],\"reduction_factor\":[2,1],"
     "\"window_size\":[4,null],\"ssa_dim_key\":8,\"ssa_dim_value\":4,\"iwsa_dim_key\":8,\"iwsa_dim_value\":4}"},
    {"scalable_vit_s",
     "{\"image_size\":256,\"num_classes\":1000,\"dim\":64,\"depth\":[2,2,20,2],\"heads\":[2,4,8,16],"
     "\"ssa_dim_key\":[40,40,40,32],\"reduction_factor\":[8,4,2,1],\"window_size\":[64,32,null,null]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_scalable_vit = {
    .name = "scalable_vit",
    .title = "ScalableViT",
    .paper = "Yang et al. 2022, arXiv 2203.10790",
    .reference = "vit-pytorch 1.26.11, scalable_vit.ScalableViT",
    .presets = presets,
    .build = build,
};
