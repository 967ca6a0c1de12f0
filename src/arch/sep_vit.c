/* SepViT: "SepViT: Separable Vision Transformer" (Li et al., 2022, arXiv 2203.15380), attention within windows, then
 * among windows.
 * Reference: vit-pytorch 1.26.11, module sep_vit, class SepViT.
 *
 *   for each stage:
 *     x = Conv(x), overlapping, stride 4 or 2;  x = x + DW(x);  depth_s layers;  x = LN(x), not in the last
 *   layer, in windows of 7 x 7, each with a learned window token in front:
 *     [t; y] = softmax(q k^T / sqrt(32)) v of [t; LN(x)]            depthwise: within each window
 *     q, k of GELU(LN_32(t));  y = softmax(q k^T / sqrt(32)) y      pointwise: among windows, if there are several
 *     x = x + W y;  x = x + MLP(LN(x))
 *   y = Linear(LN(mean over pixels of x))
 *
 * Traps:
 * - The reference accepts window_size and dim_head and does not pass them on, so windows are 7 x 7 and heads 32 wide.
 * - For windows, a head's 32 columns of q and 32 of k stand next to each other.
 * - The window token has no norm of its own; it joins normed pixels. */
#include <math.h>

#include "arch.h"

enum { MOST = 8, WINDOW = 7, AREA = WINDOW * WINDOW, HEAD_DIM = 32 };

typedef struct sep_vit_config {
  int num_classes, dim, stages, depth[MOST], heads[MOST], ff_mult, channels;
} sep_vit_config;

static sep_vit_config read_config(tsr_builder *b) {
  static const char *const unread[] = {"dropout", "window_size", "dim_head", NULL};
  sep_vit_config c;
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, 4096);
  c.stages = tsr_config_list(b, "depth", NULL, 0, TSR_MAX_DEPTH, 1, MOST, c.depth);
  tsr_config_list(b, "heads", NULL, 1, TSR_MAX_HEADS, c.stages, c.stages, c.heads);
  c.ff_mult = tsr_config_int(b, "ff_mult", 4, 1, 16);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, unread);
  return c;
}

/* Conv1d of kernel size 1, without bias. */
static tsr_value project(tsr_builder *b, const char *name, tsr_value x, int out) {
  int in = tsr_dim(b, x, -1);
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_matrix(b, "weight", tsr_shape_of(3, out, in, 1), (tsr_matrix_layout){1, out, in, 1});
  x = tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_linear, (tsr_value[]){x, w}, 2, &(tsr_attrs){0});
  tsr_leave(b);
  return x;
}

/* [B n,49,H D] -> [B,n,H 49 D] and back: a head's values for attention over windows. */
static tsr_value by_heads(tsr_builder *b, tsr_value x, int batch, int windows, int heads) {
  x = tsr_nn_reshape(b, x, tsr_shape_of(5, batch, windows, AREA, heads, HEAD_DIM));
  return tsr_nn_reshape(b, tsr_nn_permute(b, x, (int[]){0, 1, 3, 2, 4}),
                        tsr_shape_of(3, batch, windows, heads * AREA * HEAD_DIM));
}

static tsr_value by_pixels(tsr_builder *b, tsr_value x, int batch, int windows, int heads) {
  x = tsr_nn_reshape(b, x, tsr_shape_of(5, batch, windows, heads, AREA, HEAD_DIM));
  return tsr_nn_reshape(b, tsr_nn_permute(b, x, (int[]){0, 1, 3, 2, 4}),
                        tsr_shape_of(3, batch * windows, AREA, heads * HEAD_DIM));
}

/* Pointwise attention: y [B n,49,H D] mixed by attention of the window tokens t [B n,1,H D]. */
static tsr_value mix(tsr_builder *b, tsr_value t, tsr_value y, int heads, tsr_value map, const char *tap) {
  int batch = tsr_dim(b, map, 0), rows = tsr_dim(b, map, 1) / WINDOW, columns = tsr_dim(b, map, 2) / WINDOW,
      windows = rows * columns;
  int width = heads * HEAD_DIM;
  tsr_enter(b, "window_tokens_to_qk");
  t = tsr_nn_layer_norm(b, "0", tsr_nn_reshape(b, t, tsr_shape_of(4, batch, windows, heads, HEAD_DIM)));
  t = tsr_nn_reshape(b, tsr_nn_activate(b, t, TSR_ACT_GELU), tsr_shape_of(3, batch, windows, width));
  t = tsr_nn_grouped_linear(b, "3", t, 1, 2 * width, TSR_ACT_NONE);
  tsr_leave(b);
  if (windows == 1) return y; /* after reading the weights, which the file has anyway */
  t = tsr_nn_reshape(b, t, tsr_shape_of(4, batch, windows, heads, 2 * HEAD_DIM));
  tsr_value q = tsr_nn_reshape(b, tsr_nn_slice(b, t, 3, 0, HEAD_DIM), tsr_shape_of(3, batch, windows, width));
  tsr_value k =
      tsr_nn_reshape(b, tsr_nn_slice(b, t, 3, HEAD_DIM, 2 * HEAD_DIM), tsr_shape_of(3, batch, windows, width));
  tsr_attention attention = tsr_nn_heads(heads, HEAD_DIM, (tsr_meaning){"attention", rows, columns, 0}, 0);
  attention.value_dim = AREA * HEAD_DIM;
  attention.tap = tap;
  return by_pixels(b, tsr_nn_attention(b, q, k, by_heads(b, y, batch, windows, heads), attention), batch, windows,
                   heads);
}

static tsr_value separable_attention(tsr_builder *b, tsr_value map, int heads, int s, int layer) {
  char tap[64];
  int dim = tsr_dim(b, map, 3), width = heads * HEAD_DIM;
  tsr_windows cut = {WINDOW, WINDOW, 0};
  tsr_value x = tsr_nn_windows(b, tsr_nn_channel_norm(b, "norm", map), cut);
  x = tsr_nn_prepend(b, tsr_weight_vector(b, "window_tokens", tsr_shape_of(1, dim)), x); /* [B n,50,C] */
  tsr_attention attention = tsr_nn_heads(heads, HEAD_DIM, tsr_nn_window_meaning(b, map, cut, "attention"), 0);
  attention.meaning.prefix_tokens = 1;
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, layer);
  attention.tap = tap;
  x = tsr_nn_attention_qkv(b, project(b, "to_qkv", x, 3 * width), attention);
  tsr_value t = tsr_nn_slice(b, x, 1, 0, 1), y = tsr_nn_slice(b, x, 1, 1, 1 + AREA);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.window_attn", s, layer);
  y = tsr_nn_unwindows(b, mix(b, t, y, heads, map, tap), cut, map);
  return tsr_nn_pointwise_add(b, "to_out.0", y, dim, TSR_BIAS, map);
}

static tsr_value stage(tsr_builder *b, tsr_value x, const sep_vit_config *c, int s) {
  int stride = s ? 2 : 4, kernel = 2 * stride - 1, dim = c->dim << s;
  tsr_enter(b, "layers.%d", s);
  x = tsr_nn_conv2d(b, "0.conv", x,
                    (tsr_conv){.out = dim,
                               .kernel_h = kernel,
                               .kernel_w = kernel,
                               .stride_h = stride,
                               .stride_w = stride,
                               .pad_h = kernel / 2,
                               .pad_w = kernel / 2,
                               .bias = TSR_BIAS});
  x = tsr_nn_peg(b, "1.proj", x, 3);
  tsr_meaning map = tsr_nn_map_meaning(b, x, "features");
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_enter(b, "2.layers.%d.0", i);
    x = separable_attention(b, x, c->heads[s], s, i);
    tsr_leave(b);
    tsr_enter(b, "2.layers.%d.1.net", i);
    x = tsr_nn_map_feed_forward_add(b, x, dim * c->ff_mult);
    tsr_leave(b);
    tsr_tap_add(b, x, map, "stages.%d.blocks.%d", s, i);
  }
  if (s + 1 < c->stages) x = tsr_nn_channel_norm(b, "2.norm", x);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  sep_vit_config c = read_config(b);
  tsr_value x = tsr_nn_input_map(b, c.channels, WINDOW * (2 << c.stages));
  for (int s = 0; s < c.stages; s++) x = stage(b, x, &c, s);
  tsr_enter(b, "mlp_head");
  x = tsr_nn_layer_norm(b, "1", tsr_nn_map_mean(b, x));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

#define SIZE(dim, depth, heads) "{\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":56,\"num_classes\":10,\"dim\":8,\"depth\":[1,1],\"heads\":1}"},
    {"sep_vit_lite", SIZE("32", "[1,2,6,2]", "[1,2,4,8]")},
    {"sep_vit_t", SIZE("96", "[1,2,6,2]", "[3,6,12,24]")},
    {"sep_vit_s", SIZE("96", "[1,2,14,2]", "[3,6,12,24]")},
    {"sep_vit_b", SIZE("128", "[1,2,14,2]", "[4,8,16,32]")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_sep_vit = {
    .name = "sep_vit",
    .title = "SepViT",
    .paper = "Li et al. 2022, arXiv 2203.15380",
    .reference = "vit-pytorch 1.26.11, sep_vit.SepViT",
    .presets = presets,
    .build = build,
};
