/* CrossFormer: "CrossFormer: A Versatile Vision Transformer Hinging on Cross-scale Attention" (Wang et al., 2021, arXiv
 * 2108.00154), attention in windows of near and of far pixels.
 * Reference: vit-pytorch 1.26.11, module crossformer, class CrossFormer.
 *
 *   for each of four stages:
 *     x = [Conv_k(x) for k in kernels]    one stride; the smallest kernel has half the channels, the next a quarter ...
 *     depth_s times, first in windows of neighbours, then in windows of pixels spread over the map:
 *       x = x + MSA(LN(x) + bias);  x = x + MLP(LN(x))
 *   bias = DPB(dy, dx), one number for all heads: DPB = Linear ReLU(LN(Linear(.))) ... three times
 *   y = Linear(mean over pixels of x)
 *
 * Traps:
 * - DPB is computed for positions -w ... w, 2w + 1 an axis, but its results are read as a table of 2w - 1 an axis. So
 *   neighbouring rows of positions are mixed up.
 * - Heads are 32 wide; there are dim / 32 of them.
 * - Kernels count from the smallest, whatever their order in the config. */
#include <math.h>

#include "arch.h"

enum { STAGES = 4, SCALES = 6, HEAD_DIM = 32 };

typedef struct crossformer_config {
  int dim[STAGES], depth[STAGES], global[STAGES], local[STAGES], kernels[STAGES][SCALES], scales[STAGES],
      stride[STAGES];
  int num_classes, channels;
} crossformer_config;

static void sort(int *x, int n) {
  for (int i = 1; i < n; i++)
    for (int j = i; j > 0 && x[j] < x[j - 1]; j--) {
      int swap = x[j];
      x[j] = x[j - 1], x[j - 1] = swap;
    }
}

static crossformer_config read_config(tsr_builder *b) {
  static const char *const training[] = {"attn_dropout", "ff_dropout", NULL};
  static const int dims[] = {64, 128, 256, 512}, depths[] = {2, 2, 8, 2}, globals[] = {8, 4, 2, 1},
                   locals[] = {7, 7, 7, 7}, strides[] = {4, 2, 2, 2};
  crossformer_config c = {.kernels = {{4, 8, 16, 32}, {2, 4}, {2, 4}, {2, 4}}, .scales = {4, 2, 2, 2}};
  tsr_config_list(b, "dim", dims, HEAD_DIM, TSR_MAX_DIM, STAGES, STAGES, c.dim);
  tsr_config_list(b, "depth", depths, 0, TSR_MAX_DEPTH, STAGES, STAGES, c.depth);
  tsr_config_list(b, "global_window_size", globals, 1, 64, STAGES, STAGES, c.global);
  tsr_config_list(b, "local_window_size", locals, 1, 64, STAGES, STAGES, c.local);
  tsr_config_rows(b, "cross_embed_kernel_sizes", 1, 64, STAGES, SCALES, c.kernels[0], c.scales);
  tsr_config_list(b, "cross_embed_strides", strides, 1, 64, STAGES, STAGES, c.stride);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 1, TSR_MAX_CLASSES);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  for (int s = 0; s < STAGES; s++) {
    sort(c.kernels[s], c.scales[s]);
    if (c.kernels[s][0] < c.stride[s])
      tsr_fail(b, TSR_ERR_CONFIG,
               "config key \"cross_embed_kernel_sizes\" has %d in stage %d; expected at least the stage's stride, %d",
               c.kernels[s][0], s, c.stride[s]);
  }
  return c;
}

static tsr_value cross_embed(tsr_builder *b, tsr_value x, const crossformer_config *c, int s) {
  tsr_value maps[SCALES];
  int left = c->dim[s], stride = c->stride[s];
  for (int i = 0; i < c->scales[s]; i++) {
    int k = c->kernels[s][i], out = i + 1 < c->scales[s] ? c->dim[s] >> (i + 1) : left;
    left -= out;
    tsr_enter(b, "layers.%d.0.convs.%d", s, i);
    maps[i] = tsr_nn_conv2d(b, "", x,
                            (tsr_conv){.out = out,
                                       .kernel_h = k,
                                       .kernel_w = k,
                                       .stride_h = stride,
                                       .stride_w = stride,
                                       .pad_h = (k - stride) / 2,
                                       .pad_w = (k - stride) / 2,
                                       .bias = TSR_BIAS});
    tsr_leave(b);
  }
  return tsr_nn_concat(b, 3, c->scales[s], maps);
}

/* The bias [1,w^2,w^2]. DPB of the positions in the table's first (2w - 1)^2 rows is a map, over which a w x w window
 * slides: its place is the query, its elements are the keys. So it is a depthwise convolution, a channel a key. */
static tsr_value position_bias(tsr_builder *b, int dim, int w) {
  int side = 2 * w - 1, area = w * w;
  float *data;
  tsr_value x = tsr_constant(b, tsr_shape_of(2, side * side, 2), &data);
  for (int i = 0; data && i < side * side; i++)
    data[2 * i] = (float)(i / (2 * w + 1) - w), data[2 * i + 1] = (float)(i % (2 * w + 1) - w);
  static const char *const linear[] = {"0", "3", "6"}, *const norm[] = {"1", "4", "7"};
  tsr_enter(b, "dpb");
  for (int i = 0; i < 3; i++)
    x = tsr_nn_activate(b, tsr_nn_layer_norm(b, norm[i], tsr_nn_linear(b, linear[i], x, dim / 4, TSR_BIAS)),
                        TSR_ACT_RELU);
  x = tsr_nn_linear(b, "9", x, 1, TSR_BIAS);
  tsr_leave(b);
  tsr_value corners = tsr_constant(b, tsr_shape_of(4, area, 1, w, w), &data); /* kept as [taps, keys] */
  for (int i = 0; data && i < area * area; i++) data[i] = 0;
  for (int j = 0; data && j < area; j++) data[(area - 1 - j) * area + j] = 1;
  x = tsr_nn_expand(b, tsr_nn_reshape(b, x, tsr_shape_of(4, 1, side, side, 1)), tsr_shape_of(4, 1, side, side, area));
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = tsr_node_add(b, TSR_OP_depthwise_conv2d, (tsr_value[]){x, corners}, 2,
                   &(tsr_attrs){.depthwise_conv2d = {.stride_h = 1, .stride_w = 1}});
  return tsr_nn_reshape(b, x, tsr_shape_of(3, 1, area, area));
}

/* Attention and MLP; weights are in layers.`layer`.`place` and the next. */
static tsr_value half(tsr_builder *b, tsr_value x, int w, int spread, int s, int layer) {
  char tap[64];
  int dim = tsr_dim(b, x, 3), heads = dim / HEAD_DIM, width = heads * HEAD_DIM, place = 2 * spread;
  tsr_windows windows = {w, w, spread};
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.%s_attn", s, layer, spread ? "long" : "short");
  tsr_attention attention = tsr_nn_heads(heads, HEAD_DIM, tsr_nn_window_meaning(b, x, windows, "attention"), 0);
  attention.tap = tap;
  tsr_enter(b, "layers.%d.%d", layer, place);
  tsr_value y = tsr_nn_windows(b, tsr_nn_channel_norm(b, "norm", x), windows);
  y = tsr_nn_pointwise(b, "to_qkv", y, 3 * width, TSR_NO_BIAS);
  attention.bias = position_bias(b, dim, w);
  tsr_tap_add(b, attention.bias, (tsr_meaning){"position_bias", w, w, 0}, "%s_bias", tap);
  y = tsr_nn_unwindows(b, tsr_nn_attention_qkv(b, y, attention), windows, x);
  x = tsr_nn_pointwise_add(b, "to_out", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.%d", layer, place + 1);
  x = tsr_nn_map_feed_forward_add(b, x, 4 * dim);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  crossformer_config c = read_config(b);
  int unit = 1, stride = 1;
  for (int s = 0; s < STAGES; s++) {
    stride *= c.stride[s];
    unit = tsr_nn_common_multiple(unit, stride * tsr_nn_common_multiple(c.local[s], c.global[s]));
  }
  tsr_value x = tsr_nn_input_map(b, c.channels, unit);
  for (int s = 0; s < STAGES; s++) {
    x = cross_embed(b, x, &c, s);
    tsr_meaning map = tsr_nn_map_meaning(b, x, "features");
    tsr_tap_add(b, x, map, "stages.%d.embed", s);
    tsr_enter(b, "layers.%d.1", s);
    for (int i = 0; i < c.depth[s]; i++) {
      x = half(b, x, c.local[s], 0, s, i);
      x = half(b, x, c.global[s], 1, s, i);
      tsr_tap_add(b, x, map, "stages.%d.blocks.%d", s, i);
    }
    tsr_leave(b);
  }
  x = tsr_nn_map_mean(b, x);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "to_logits.1", x, c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"dim\":32,\"depth\":[1,1,0,1],\"global_window_size\":[4,2,1,1],"
     "\"local_window_size\":[2,2,2,1],\"cross_embed_kernel_sizes\":[[4,8],[2,4],[2],[2,4]]}"},
    {"crossformer_s", "{\"num_classes\":1000,\"dim\":[96,192,384,768],\"depth\":[2,2,6,2]}"},
    {"crossformer_b", "{\"num_classes\":1000,\"dim\":[96,192,384,768],\"depth\":[2,2,18,2]}"},
    {"crossformer_l", "{\"num_classes\":1000,\"dim\":[128,256,512,1024],\"depth\":[2,2,18,2]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_crossformer = {
    .name = "crossformer",
    .title = "CrossFormer",
    .paper = "Wang et al. 2021, arXiv 2108.00154",
    .reference = "vit-pytorch 1.26.11, crossformer.CrossFormer",
    .presets = presets,
    .build = build,
};
