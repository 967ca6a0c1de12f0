/* EfficientFormerV2: "Rethinking Vision Transformers for MobileNet Size and Speed" (Li et al., 2022, arXiv 2212.08059),
 * convolutional blocks, with attention of talking heads in the last two stages.
 * Reference: timm 1.0.31, models.efficientformer_v2, class EfficientFormerV2.
 *
 *   x = GELU(BN(Conv3/2(x))), twice                                               the stem
 *   each stage but the first: x = BN(Conv3/2(x)); in the fourth + P(GELU(A'(x) + BN(DW3/2(v))))
 *     x = x + s P(GELU(Up(A(x) + BN(DW3(v)))))                                    the last num_vit blocks of two stages
 *     x = x + s BN(Conv1(GELU(BN(DW3(GELU(BN(Conv1(x))))))))                       every block
 *   y = the mean of two Linears of BN(mean over pixels of x)
 *   A = W'softmax(W (q k^T / sqrt(D) + B)) v: heads mixed before and after         q, k, v, P = BN(Conv1(.))
 *
 * Traps:
 * - In the third stage A sees every second pixel, made by BN(DW3/2(x)), and Up doubles the map again (bilinear).
 * - A' has queries of every second pixel, x + DW3/2(x) there, and mixes no heads.
 * - B depends on distances along each axis, |dy| and |dx|; its table has a column for each pixel of the map, so that
 *   images have the config's size.
 * - Heads are always 8; q and k are 32 wide (16 in A'), v four times as wide, whatever the stage's width.
 * - All convolutions have a bias. */
#include <math.h>

#include "arch.h"

enum { MOST = 8, HEADS = 8, MOST_BLOCKS = 64 };

typedef struct efficient_former_config {
  int image[2], channels, num_classes, stages, dim[MOST], depth[MOST], num_vit, scaled, distilled;
  int hidden[MOST][MOST_BLOCKS];
} efficient_former_config;

static void read_config(tsr_builder *b, efficient_former_config *c) {
  int counts[MOST];
  tsr_config_pair(b, "image_size", 224, 1, 2048, c->image); /* scores of all pairs of pixels, a 32nd of it */
  c->channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c->num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c->stages = tsr_config_list(b, "depths", NULL, 0, MOST_BLOCKS, 1, MOST, c->depth);
  int listed = tsr_config_list(b, "embed_dims", NULL, 2, 4096, 1, MOST, c->dim);
  c->num_vit = tsr_config_int(b, "num_vit", 0, 0, MOST_BLOCKS);
  c->scaled = tsr_config_bool(b, "layer_scale", 1);
  c->distilled = tsr_config_bool(b, "distillation", 1);
  for (int s = 0; s < c->stages; s++) {
    counts[s] = c->depth[s];
    for (int i = 0; i < MOST_BLOCKS; i++) c->hidden[s][i] = 4 * c->dim[s];
  }
  tsr_config_rows(b, "mlp_dims", 1, TSR_MAX_DIM, c->stages, MOST_BLOCKS, c->hidden[0], counts);
  for (int s = 0; s < c->stages; s++)
    if (s >= listed || counts[s] < c->depth[s])
      tsr_fail(
          b, TSR_ERR_CONFIG,
          "config keys \"embed_dims\" and \"mlp_dims\" must give stage %d a width, and one to each of its %d blocks", s,
          c->depth[s]);
}

/* BN(Conv(x)) below `name`, of an odd kernel, plus `residual` (1x1 alone) or TSR_NO_VALUE. */
static tsr_value conv(tsr_builder *b, const char *name, tsr_value x, int out, int kernel, int activation,
                      tsr_value residual) {
  int stride = kernel == 1 ? 1 : 2, pad = kernel / 2;
  tsr_conv c = {out, kernel, kernel, stride, stride, pad, pad, TSR_BIAS, activation};
  tsr_enter(b, "%s", name);
  x = tsr_nn_conv2d_norm(b, "conv", "bn", x, c, residual);
  tsr_leave(b);
  return x;
}

static tsr_value conv1(tsr_builder *b, const char *name, tsr_value x, int out) {
  return conv(b, name, x, out, 1, TSR_ACT_NONE, TSR_NO_VALUE);
}

/* BN(DW3(x)) below `name`. */
static tsr_value depthwise(tsr_builder *b, const char *name, tsr_value x, int stride, int activation) {
  tsr_enter(b, "%s", name);
  x = tsr_nn_depthwise_norm(b, "conv", "bn", x, (tsr_conv){0, 3, 3, stride, stride, 1, 1, TSR_BIAS, activation});
  tsr_leave(b);
  return x;
}

typedef struct offsets {
  int columns, rows, stride; /* of the keys' map; queries are every stride-th pixel of it */
} offsets;

static int bias_index(const void *user, int i, int j) {
  const offsets *o = user;
  int columns = (o->columns + o->stride - 1) / o->stride; /* of the queries */
  int dy = i / columns * o->stride - j / o->columns, dx = i % columns * o->stride - j % o->columns;
  return (dy < 0 ? -dy : dy) * o->columns + (dx < 0 ? -dx : dx);
}

/* B [H,N,M] for the keys' map `keys`. */
static tsr_value biases(tsr_builder *b, tsr_value keys, int stride) {
  offsets o = {tsr_dim(b, keys, 2), tsr_dim(b, keys, 1), stride};
  int n = ((o.rows + stride - 1) / stride) * ((o.columns + stride - 1) / stride), m = o.rows * o.columns;
  tsr_value table = tsr_weight_vector(b, "attention_biases", tsr_shape_of(2, HEADS, m));
  return tsr_nn_bias_table(b, tsr_nn_permute(b, table, (int[]){1, 0}), n, m, 1, bias_index, &o);
}

/* W x over heads: x [B,H,N] */
static tsr_value mix(tsr_builder *b, tsr_value w, tsr_value x) {
  return tsr_nn_bmm(b, tsr_nn_reshape(b, w, tsr_shape_of(3, 1, HEADS, HEADS)), x, 0);
}

/* P(GELU(Up(A(x) + BN(DW3(v))))); with stride 2 A sees a smaller map, and Up is there. */
static tsr_value talking_heads(tsr_builder *b, tsr_value x, int stride, int s, int i) {
  enum { WIDTH = 32, VALUES = 4 * WIDTH };
  int dim = tsr_dim(b, x, 3), batch = tsr_dim(b, x, 0);
  tsr_enter(b, "token_mixer");
  if (stride > 1) x = depthwise(b, "stride_conv", x, stride, TSR_ACT_NONE);
  int n = tsr_dim(b, x, 1) * tsr_dim(b, x, 2);
  tsr_shape flat = tsr_shape_of(3, batch, HEADS, n * n), square = tsr_shape_of(4, batch, HEADS, n, n);
  tsr_meaning meaning = tsr_nn_map_meaning(b, x, "attention");
  tsr_value q = tsr_nn_split_heads(b, tsr_nn_tokens(b, conv1(b, "q", x, HEADS * WIDTH)), 1, 0, HEADS);
  tsr_value k = tsr_nn_split_heads(b, tsr_nn_tokens(b, conv1(b, "k", x, HEADS * WIDTH)), 1, 0, HEADS);
  tsr_value map = conv1(b, "v", x, HEADS * VALUES);
  tsr_value v = tsr_nn_split_heads(b, tsr_nn_tokens(b, map), 1, 0, HEADS), w[2], c[2];
  for (int j = 0; j < 2; j++) {
    tsr_enter(b, "talking_head%d", j + 1);
    w[j] = tsr_weight_vector(b, "weight", tsr_shape_of(4, HEADS, HEADS, 1, 1));
    c[j] = tsr_nn_reshape(b, tsr_weight_vector(b, "bias", tsr_shape_of(1, HEADS)), tsr_shape_of(3, 1, HEADS, 1));
    tsr_leave(b);
  }
  /* W (S / sqrt(D) + B) + c = (W / sqrt(D)) S + (W B + c), whose second part depends on weights alone */
  tsr_value bias = tsr_nn_reshape(b, biases(b, x, 1), tsr_shape_of(3, 1, HEADS, n * n));
  bias = tsr_nn_add(b, mix(b, w[0], bias), c[0]);
  tsr_value a = mix(b, tsr_nn_times(b, w[0], 1 / sqrtf(WIDTH)), tsr_nn_reshape(b, tsr_nn_bmm(b, q, k, 1), flat));
  a = tsr_nn_softmax(b, tsr_nn_reshape(b, tsr_nn_add(b, a, bias), square), 1);
  tsr_tap_add(b, a, meaning, "stages.%d.blocks.%d.attn", s, i);
  a = tsr_nn_add(b, mix(b, w[1], tsr_nn_reshape(b, a, flat)), c[1]);
  a = tsr_nn_reshape(b, a, square);
  meaning.kind = "mixed_attention";
  tsr_tap_add(b, a, meaning, "stages.%d.blocks.%d.mixed", s, i);
  x = tsr_nn_map(b, tsr_nn_merge_heads(b, tsr_nn_bmm(b, a, v, 0)), map);
  x = tsr_nn_add(b, x, depthwise(b, "v_local", map, 1, TSR_ACT_NONE));
  if (stride > 1) x = tsr_nn_resize(b, x, 2 * tsr_dim(b, x, 1), 2 * tsr_dim(b, x, 2), TSR_RESIZE_BILINEAR);
  x = conv1(b, "proj", tsr_nn_activate(b, x, TSR_ACT_GELU), dim);
  tsr_leave(b);
  return x;
}

/* P(GELU(A'(x) + BN(DW3/2(v)))) + y */
static tsr_value attend_down(tsr_builder *b, tsr_value x, int out, int s, tsr_value y) {
  enum { WIDTH = 16, VALUES = 4 * WIDTH };
  char tap[40];
  tsr_attention attention = tsr_nn_heads(HEADS, WIDTH, tsr_nn_map_meaning(b, x, "attention"), 0);
  tsr_print(tap, sizeof tap, "stages.%d.downsample.attn", s);
  attention.tap = tap, attention.value_dim = VALUES;
  tsr_enter(b, "attn");
  attention.bias = biases(b, x, 2);
  tsr_enter(b, "q");
  tsr_value q = tsr_nn_depthwise_conv2d(b, "local", x, (tsr_conv){0, 3, 3, 2, 2, 1, 1, TSR_BIAS});
  q = tsr_nn_add(b, q, tsr_nn_max_pool2d(b, x, 1, 2, 0)); /* every second pixel */
  q = conv1(b, "proj", q, HEADS * WIDTH);
  tsr_leave(b);
  tsr_value k = conv1(b, "k", x, HEADS * WIDTH), v = conv1(b, "v", x, HEADS * VALUES);
  tsr_value local = depthwise(b, "v_local", v, 2, TSR_ACT_NONE);
  x = tsr_nn_attention(b, tsr_nn_tokens(b, q), tsr_nn_tokens(b, k), tsr_nn_tokens(b, v), attention);
  x = tsr_nn_activate(b, tsr_nn_add(b, tsr_nn_map(b, x, local), local), TSR_ACT_GELU);
  x = conv(b, "proj", x, out, 1, TSR_ACT_NONE, y);
  tsr_leave(b);
  return x;
}

/* x + s y, by channel, if the config has layer_scale. */
static tsr_value join(tsr_builder *b, const char *scale, tsr_value x, tsr_value y, const efficient_former_config *c) {
  if (c->scaled) y = tsr_nn_mul(b, y, tsr_weight_vector(b, scale, tsr_shape_of(1, tsr_dim(b, x, 3))));
  return tsr_nn_add(b, x, y);
}

static tsr_value block(tsr_builder *b, tsr_value x, const efficient_former_config *c, int s, int i) {
  tsr_enter(b, "blocks.%d", i);
  if (s >= 2 && i >= c->depth[s] - c->num_vit)
    x = join(b, "ls1.gamma", x, talking_heads(b, x, s == 2 ? 2 : 1, s, i), c);
  tsr_enter(b, "mlp");
  tsr_value y = conv(b, "fc1", x, c->hidden[s][i], 1, TSR_ACT_GELU, TSR_NO_VALUE);
  y = conv1(b, "fc2", depthwise(b, "mid", y, 1, TSR_ACT_GELU), c->dim[s]);
  tsr_leave(b);
  x = join(b, "ls2.gamma", x, y, c);
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
  return x;
}

static tsr_value build(tsr_builder *b) {
  efficient_former_config c;
  read_config(b, &c);
  b->floats = TSR_FLOATS_NORMS;
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]));
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = conv(b, "stem.conv1", x, c.dim[0] / 2, 3, TSR_ACT_GELU, TSR_NO_VALUE);
  x = conv(b, "stem.conv2", x, c.dim[0], 3, TSR_ACT_GELU, TSR_NO_VALUE);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0; s < c.stages; s++) {
    tsr_enter(b, "stages.%d", s);
    if (s) {
      tsr_enter(b, "downsample");
      tsr_value y = conv(b, "conv", x, c.dim[s], 3, TSR_ACT_NONE, TSR_NO_VALUE);
      x = s >= 3 ? attend_down(b, x, c.dim[s], s, y) : y;
      tsr_leave(b);
    }
    for (int i = 0; i < c.depth[s]; i++) x = block(b, x, &c, s, i);
    tsr_leave(b);
  }
  int batch = tsr_dim(b, x, 0), dim = tsr_dim(b, x, 3);
  x = tsr_nn_reshape(b, tsr_nn_map_mean(b, x), tsr_shape_of(4, batch, 1, 1, dim));
  x = tsr_nn_reshape(b, tsr_nn_batch_norm(b, "norm", x, 0), tsr_shape_of(2, batch, dim));
  tsr_value y = tsr_nn_classify(b, "head", x, c.num_classes);
  if (!c.distilled || !c.num_classes) return y;
  return tsr_nn_times(b, tsr_nn_add(b, y, tsr_nn_linear(b, "head_dist", x, c.num_classes, TSR_BIAS)), 0.5f);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":64,\"num_classes\":10,\"embed_dims\":[4,6,8,10],\"depths\":[1,1,1,1],\"num_vit\":1,"
     "\"mlp_dims\":[[8],[8],[8],[8]]}"},
    {"efficientformerv2_s0",
     "{\"embed_dims\":[32,48,96,176],\"depths\":[2,2,6,4],\"num_vit\":2,\"mlp_dims\":[[128,128],[192,192],"
     "[384,288,288,288,384,384],[704,528,528,704]]}"},
    {"efficientformerv2_s1",
     "{\"embed_dims\":[32,48,120,224],\"depths\":[3,3,9,6],\"num_vit\":2,\"mlp_dims\":[[128,128,128],[192,192,192],"
     "[480,480,360,360,360,360,480,480,480],[896,896,672,672,896,896]]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_efficient_former_v2 = {
    .name = "efficient_former_v2",
    .title = "EfficientFormerV2",
    .paper = "Li et al. 2022, arXiv 2212.08059",
    .reference = "timm 1.0.31, models.efficientformer_v2.EfficientFormerV2",
    .presets = presets,
    .build = build,
};
