/* MaxViT as published: "MaxViT: Multi-Axis Vision Transformer" (Tu et al., 2022, arXiv 2204.01697), convolutions, then
 * attention in windows and in grids, in each block.
 * Reference: timm 1.0.31, models.maxxvit, class MaxxVit with the configs maxvit_*_tf.
 *
 *   x = Conv3(act(BN(Conv3/2(x))))                                        the stem
 *   each block:
 *     x = S(x) + Conv1(SE(act(BN(DW3(act(BN(Conv1(BN(x))))))))            MBConv; the first of a stage halves the map
 *     x = x + Attend(LN(x));  x = x + MLP(LN(x))                          in windows of neighbours
 *     x = x + Attend(LN(x));  x = x + MLP(LN(x))                          in grids of tokens far apart
 *   y = Linear(tanh(Linear(LN(mean over pixels of x))))
 *   S(x) = Conv1(mean of 2 x 2 pixels) where the map is halved    SE(x) = x * sigmoid(W SiLU(W mean(x)))
 *
 * Traps:
 * - Convolutions with a stride pad as TensorFlow does: what is odd goes below and to the right.
 * - act is GELU in its tanh form.
 * - BatchNorm has eps 1e-3, LayerNorm 1e-5.
 * - The first BN of a block has no activation, and its input goes on.
 * - The table of position biases is [heads, rows, columns], of key minus query. */
#include "arch.h"

enum { MOST = 8, MOST_SIDE = 128 /* of a window, whose table of biases has a row for each pair of tokens */ };
static const float EPS = 1e-3f; /* of BatchNorm */

typedef struct timm_max_vit_config {
  int image[2], channels, num_classes, stages, dim[MOST], depth[MOST], stem[2], window[2], dim_head, hidden;
} timm_max_vit_config;

static timm_max_vit_config read_config(tsr_builder *b) {
  static const int dims[MOST] = {64, 128, 256, 512, 1, 1, 1, 1}, depths[MOST] = {2, 2, 5, 2};
  timm_max_vit_config c;
  int window[2];
  tsr_config_pair(b, "image_size", 224, 1, 32 * MOST_SIDE, c.image);
  tsr_config_pair(b, "window_size", 0, 0, MOST_SIDE, window);
  for (int i = 0; i < 2; i++) c.window[i] = window[i] ? window[i] : c.image[i] < 32 ? 1 : c.image[i] / 32;
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.stages = tsr_config_list(b, "depths", depths, 0, TSR_MAX_DEPTH, 1, MOST, c.depth);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists four stages of eight */
  c.dim_head = tsr_config_int(b, "dim_head", 32, 1, TSR_MAX_DIM);
  int listed = tsr_config_list(b, "embed_dim", dims, 1, TSR_MAX_DIM, 1, MOST, c.dim);
  for (int s = 0; s < c.stages; s++)
    if (s >= listed || c.dim[s] % c.dim_head || c.dim[s] < 4)
      tsr_fail(b, TSR_ERR_CONFIG,
               "config key \"embed_dim\" must give each of the %d stages a multiple of %d, at least 4", c.stages,
               c.dim_head);
  tsr_config_pair(b, "stem_width", 64, 1, TSR_MAX_DIM, c.stem);
  c.hidden = tsr_config_int(b, "head_hidden_size", c.dim[c.stages - 1], 1, TSR_MAX_DIM);
  return c;
}

/* Zeros around x so that a window of `kernel` pixels with stride 2 meets every second pixel. */
static tsr_value pad_same(tsr_builder *b, tsr_value x, int kernel) {
  for (int axis = 1; axis < 3; axis++) {
    int spare = kernel - 2 + tsr_dim(b, x, axis) % 2;
    if (spare > 0) x = tsr_nn_pad(b, x, axis, spare / 2, spare - spare / 2);
  }
  return x;
}

static tsr_conv kernel3(int out, int stride, int bias, int activation) {
  int pad = stride == 1;
  return (tsr_conv){out, 3, 3, stride, stride, pad, pad, bias, activation, .norm_eps = EPS};
}

/* S(x): the means of 2 x 2 pixels, in `out` channels. */
static tsr_value shrink(tsr_builder *b, tsr_value x, int out) {
  x = pad_same(b, x, 2);
  int batch = tsr_dim(b, x, 0), h = tsr_dim(b, x, 1) / 2, w = tsr_dim(b, x, 2) / 2, c = tsr_dim(b, x, 3);
  x = tsr_nn_mean(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch * h, 2, 2 * w, c)), 1);
  x = tsr_nn_mean(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch * h, w, 2, c)), 2);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h, w, c));
  return out == c ? x : tsr_nn_pointwise(b, "shortcut.expand", x, out, TSR_BIAS);
}

static tsr_value mbconv(tsr_builder *b, tsr_value x, int out, int stride) {
  int wide = (4 * out + 4) / 8 * 8;
  tsr_enter(b, "conv");
  tsr_value shortcut = stride == 2 ? shrink(b, x, out) : x, y = tsr_nn_batch_norm(b, "pre_norm", x, EPS);
  tsr_conv widen = {wide, 1, 1, 1, 1, .activation = TSR_ACT_GELU_TANH, .norm_eps = EPS};
  y = tsr_nn_conv2d_norm(b, "conv1_1x1", "norm1", y, widen, TSR_NO_VALUE);
  if (stride == 2) y = pad_same(b, y, 3);
  y = tsr_nn_depthwise_norm(b, "conv2_kxk", "norm2", y, kernel3(wide, stride, TSR_NO_BIAS, TSR_ACT_GELU_TANH));
  tsr_value gate = tsr_nn_reshape(b, tsr_nn_map_mean(b, y), tsr_shape_of(4, tsr_dim(b, y, 0), 1, 1, wide));
  gate = tsr_nn_pointwise_act(b, "se.fc1", gate, out / 4, TSR_BIAS, TSR_ACT_SILU);
  gate = tsr_nn_pointwise_act(b, "se.fc2", gate, wide, TSR_BIAS, TSR_ACT_SIGMOID);
  y = tsr_nn_pointwise_add(b, "conv3_1x1", tsr_nn_mul(b, y, gate), out, TSR_BIAS, shortcut);
  tsr_leave(b);
  return y;
}

static int bias_index(const void *user, int i, int j) {
  const int *w = user; /* rows and columns of a window */
  return (j / w[1] - i / w[1] + w[0] - 1) * (2 * w[1] - 1) + j % w[1] - i % w[1] + w[1] - 1;
}

/* Attention and MLP, in windows or, with `spread`, in grids. */
static tsr_value attend(tsr_builder *b, tsr_value x, const timm_max_vit_config *c, int spread, int s, int i) {
  char tap[64];
  const int *w = c->window;
  int dim = c->dim[s], heads = dim / c->dim_head, positions = (2 * w[0] - 1) * (2 * w[1] - 1);
  const char *name = spread ? "grid" : "block";
  tsr_windows windows = {w[0], w[1], spread};
  tsr_attention attention = tsr_nn_heads(heads, c->dim_head, tsr_nn_window_meaning(b, x, windows, "attention"), i);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%%d.%s_attn", s, name);
  attention.tap = tap;
  tsr_enter(b, "attn_%s", name);
  tsr_value table = tsr_weight_vector(b, "attn.rel_pos.relative_position_bias_table",
                                      tsr_shape_of(3, heads, 2 * w[0] - 1, 2 * w[1] - 1));
  table = tsr_nn_permute(b, tsr_nn_reshape(b, table, tsr_shape_of(2, heads, positions)), (int[]){1, 0});
  attention.bias = tsr_nn_bias_table(b, table, w[0] * w[1], w[0] * w[1], 1, bias_index, w);
  tsr_value y =
      tsr_nn_linear(b, "attn.qkv", tsr_nn_windows(b, tsr_nn_layer_norm(b, "norm1", x), windows), 3 * dim, TSR_BIAS);
  y = tsr_nn_linear(b, "attn.proj", tsr_nn_attention_qkv(b, y, attention), dim, TSR_BIAS);
  x = tsr_nn_add(b, x, tsr_nn_unwindows(b, y, windows, x));
  y = tsr_nn_linear_act(b, "mlp.fc1", tsr_nn_layer_norm(b, "norm2", x), 4 * dim, TSR_BIAS, TSR_ACT_GELU_TANH);
  x = tsr_nn_linear_add(b, "mlp.fc2", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value head(tsr_builder *b, tsr_value x, const timm_max_vit_config *c) {
  tsr_enter(b, "head");
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_map_mean(b, x));
  x = tsr_nn_linear_act(b, "pre_logits.fc", x, c->hidden, TSR_BIAS, TSR_ACT_TANH);
  x = tsr_nn_classify(b, "fc", x, c->num_classes);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  timm_max_vit_config c = read_config(b);
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image(b, c.channels, c.image[0], c.image[1]));
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_enter(b, "stem");
  x = tsr_nn_conv2d_norm(b, "conv1", "norm1", pad_same(b, x, 3), kernel3(c.stem[0], 2, TSR_BIAS, TSR_ACT_GELU_TANH),
                         TSR_NO_VALUE);
  x = tsr_nn_conv2d(b, "conv2", x, kernel3(c.stem[1], 1, TSR_BIAS, TSR_ACT_NONE));
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0; s < c.stages; s++)
    for (int i = 0; i < c.depth[s]; i++) {
      tsr_enter(b, "stages.%d.blocks.%d", s, i);
      x = mbconv(b, x, c.dim[s], i ? 1 : 2);
      x = attend(b, x, &c, 0, s, i);
      x = attend(b, x, &c, 1, s, i);
      tsr_leave(b);
      tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
    }
  return head(b, x, &c);
}

#define SIZE(dims, depths, stem) "{\"embed_dim\":" dims ",\"depths\":" depths ",\"stem_width\":" stem "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dim\":[8,16],\"depths\":[1,1],\"stem_width\":8,\"dim_head\":8,"
     "\"window_size\":4}"},
    {"maxvit_tiny_tf_224", SIZE("[64,128,256,512]", "[2,2,5,2]", "64")},
    {"maxvit_small_tf_224", SIZE("[96,192,384,768]", "[2,2,5,2]", "64")},
    {"maxvit_base_tf_224", SIZE("[96,192,384,768]", "[2,6,14,2]", "64")},
    {"maxvit_large_tf_224", SIZE("[128,256,512,1024]", "[2,6,14,2]", "128")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_max_vit = {
    .name = "timm_max_vit",
    .title = "MaxViT, as published",
    .paper = "Tu et al. 2022, arXiv 2204.01697",
    .reference = "timm 1.0.31, models.maxxvit.MaxxVit",
    .presets = presets,
    .build = build,
};
