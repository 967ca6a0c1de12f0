/* MaxViT: "MaxViT: Multi-Axis Vision Transformer", Tu et al., 2022, arXiv 2204.01697.
 * Reference: vit-pytorch 1.26.11, module max_vit, class MaxViT.
 *
 *   x = Conv3(Conv3/2(x))
 *   depth_s blocks in each stage, the first with stride 2:
 *     x = MBConv(x)                                       + x where the shape stays
 *     in windows of w x w neighbours, then on grids of w x w pixels spread over the map:  x = x + MSA(x);  x = x + MLP(x)
 *   MBConv(x) = BN(Conv1(SE(GELU(BN(DW(GELU(BN(Conv1(x)))))))))    SE(x) = x * sigmoid(W SiLU(W mean(x)))
 *   y = Linear(LN(mean over pixels of x))
 *
 * Traps: hidden width is expansion times the block's OUTPUT width; SE shrinks the hidden width; the projection of attention has no bias; the bias table
 * of (dy (2w - 1) + dx) is each attention's own; blocks are numbered through all stages; no norm or activation between the stem's convolutions. */
#include <math.h>

#include "../build.h"

enum { MOST = 8 };

typedef struct max_vit_config {
  int num_classes, dim, stages, depth[MOST], dim_head, stem, window, channels;
  double expansion, shrinkage;
} max_vit_config;

static max_vit_config read_config(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  max_vit_config c;
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, 4096);
  c.stages = tsr_config_list(b, "depth", NULL, 1, TSR_MAX_DEPTH, 1, MOST, c.depth);
  c.dim_head = tsr_config_int(b, "dim_head", 32, 1, TSR_MAX_DIM);
  c.stem = tsr_config_int(b, "dim_conv_stem", c.dim, 1, TSR_MAX_DIM);
  c.window = tsr_config_int(b, "window_size", 7, 1, 64);
  c.expansion = tsr_config_number(b, "mbconv_expansion_rate", 4, 0.01, 16);
  c.shrinkage = tsr_config_number(b, "mbconv_shrinkage_rate", 0.25, 0.001, 16);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  if (c.dim % c.dim_head) tsr_fail(b, TSR_ERR_CONFIG, "\"dim\" %d is not a multiple of \"dim_head\" %d", c.dim, c.dim_head);
  return c;
}

static tsr_conv kernel(int side, int out, int stride, int activation) {
  return (tsr_conv){.out = out, .kernel_h = side, .kernel_w = side, .stride_h = stride, .stride_w = stride, .pad_h = side / 2, .pad_w = side / 2,
                    .bias = TSR_BIAS, .activation = activation};
}

static tsr_value squeeze_excitation(tsr_builder *b, tsr_value x, int hidden) {
  int c = tsr_dim(b, x, 3);
  tsr_enter(b, "gate");
  tsr_value y = tsr_nn_linear_act(b, "1", tsr_nn_map_mean(b, x), hidden, TSR_NO_BIAS, TSR_ACT_SILU);
  y = tsr_nn_linear_act(b, "3", y, c, TSR_NO_BIAS, TSR_ACT_SIGMOID);
  tsr_leave(b);
  return tsr_nn_mul(b, x, tsr_nn_reshape(b, y, tsr_shape_of(4, tsr_dim(b, x, 0), 1, 1, c)));
}

static tsr_value mbconv(tsr_builder *b, tsr_value x, const max_vit_config *c, int out, int stride) {
  int hidden = (int)(c->expansion * out), same = stride == 1; /* after a stage's first block the width stays */
  tsr_enter(b, same ? "0.fn" : "0");
  tsr_value y = tsr_nn_conv2d_norm(b, "0", "1", x, kernel(1, hidden, 1, TSR_ACT_GELU), TSR_NO_VALUE);
  y = tsr_nn_depthwise_norm(b, "3", "4", y, kernel(3, hidden, stride, TSR_ACT_GELU));
  tsr_enter(b, "6");
  y = squeeze_excitation(b, y, (int)(hidden * c->shrinkage));
  tsr_leave(b);
  y = tsr_nn_conv2d_norm(b, "7", "8", y, kernel(1, out, 1, TSR_ACT_NONE), same ? x : TSR_NO_VALUE);
  tsr_leave(b);
  return y;
}

static int bias_index(const void *user, int i, int j) {
  int w = *(const int *)user;
  return (i / w - j / w + w - 1) * (2 * w - 1) + i % w - j % w + w - 1;
}

/* Attention and MLP below `first`.fn and `first + 1`.fn, in windows or on grids. */
static tsr_value axis(tsr_builder *b, tsr_value map, const max_vit_config *c, int spread, int block, const char *kind) {
  char tap[64];
  int dim = tsr_dim(b, map, 3), heads = dim / c->dim_head, w = c->window, first = spread ? 6 : 2;
  tsr_windows windows = {w, w, spread};
  tsr_print(tap, sizeof tap, "blocks.%d.%s_attn", block, kind);
  tsr_value x = tsr_nn_windows(b, map, windows);
  tsr_enter(b, "%d.fn", first);
  tsr_value table = tsr_weight_vector(b, "rel_pos_bias.weight", tsr_shape_of(2, (2 * w - 1) * (2 * w - 1), heads));
  tsr_attention attention = tsr_nn_heads(heads, c->dim_head, tsr_nn_window_meaning(b, map, windows, "attention"), block);
  attention.tap = tap;
  attention.bias = tsr_nn_bias_table(b, table, w * w, w * w, 1, bias_index, &w);
  x = tsr_nn_mha(b, x, &(tsr_mha){.attention = attention, .to_out = "to_out.0", .out_unbiased = 1, .context = TSR_NO_VALUE}, x);
  tsr_leave(b);
  tsr_enter(b, "%d.fn", first + 1);
  x = tsr_nn_feed_forward(b, x, 4 * dim, "4", x);
  tsr_leave(b);
  return tsr_nn_unwindows(b, x, windows, map);
}

static tsr_value build(tsr_builder *b) {
  max_vit_config c = read_config(b);
  tsr_value x = tsr_nn_input_map(b, c.channels, (2 << c.stages) * c.window);
  tsr_enter(b, "conv_stem");
  x = tsr_nn_conv2d(b, "0", x, kernel(3, c.stem, 2, TSR_ACT_NONE));
  x = tsr_nn_conv2d(b, "1", x, kernel(3, c.stem, 1, TSR_ACT_NONE));
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0, block = 0; s < c.stages; s++)
    for (int i = 0; i < c.depth[s]; i++, block++) {
      tsr_enter(b, "layers.%d", block);
      x = mbconv(b, x, &c, c.dim << s, i ? 1 : 2);
      x = axis(b, x, &c, 0, block, "block");
      x = axis(b, x, &c, 1, block, "grid");
      tsr_leave(b);
      tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "blocks.%d", block);
    }
  tsr_enter(b, "mlp_head");
  x = tsr_nn_layer_norm(b, "1", tsr_nn_map_mean(b, x));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"num_classes\":10,\"dim\":8,\"dim_head\":4,\"depth\":[1,1],\"window_size\":4}"},
    {"max_vit_t", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":64,\"depth\":[2,2,5,2]}"},
    {"max_vit_s", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":96,\"depth\":[2,2,5,2]}"},
    {"max_vit_b", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":96,\"depth\":[2,6,14,2]}"},
    {NULL, NULL}};

const tsr_arch tsr_arch_max_vit = {
    .name = "max_vit",
    .title = "MaxViT",
    .paper = "Tu et al. 2022, arXiv 2204.01697",
    .reference = "vit-pytorch 1.26.11, max_vit.MaxViT",
    .presets = presets,
    .build = build,
};
