/* TinyViT: "TinyViT: Fast Pretraining Distillation for Small Vision Transformers" (Wu, Zhang, Peng, Liu, Xiao, Fu,
 * Yuan, 2022, arXiv 2207.10666), a stage of inverted residuals and three of attention in windows.
 * Reference: timm 1.0.31, models.tiny_vit, class TinyVit.
 *
 *   conv: a convolution without bias and its batch norm
 *   x = conv3/2(GELU(conv3/2(x)))                                     the stem
 *   first stage: x = GELU(x + conv1(GELU(conv-dw3(GELU(conv1(x))))))
 *   other stages: x = conv1(GELU(conv-dw3/2(GELU(conv1(x)))))         patch merging
 *     x = x + Attend(LN(x)) in windows;  x = conv-dw3(x);  x = x + MLP(LN(x))
 *   y = Linear(LN(mean over pixels of x))
 *   Attend = softmax(q k^T / sqrt(D) + bias[|dy|, |dx|]) v
 *
 * Traps:
 * - Columns of qkv are q, k and v of the first head, then of the second.
 * - A map that is no multiple of its windows gets zeros to the right and below, in front of the norm. Other tokens do
 *   attend to them.
 * - The activation of an inverted residual follows the sum.
 * - The convolution between attention and MLP has no residual.
 * - num_heads and window_sizes have a number for the first stage too, which has no attention. */
#include "arch.h"

/* Biases of windows of so many rows are made anew in each run, because those of all blocks together would take hundreds
 * of MB (300 in tiny_vit_21m_512): what `expand` makes is not folded. */
enum { MOST = 8, LARGE = 24 };

typedef struct tiny_vit_config {
  int image[2], channels, num_classes, stages, dim[MOST], depth[MOST], heads[MOST], window[MOST], local;
  double mlp_ratio, expansion;
} tiny_vit_config;

static tiny_vit_config read_config(tsr_builder *b) {
  static const int dims[MOST] = {96, 192, 384, 768}, depths[MOST] = {2, 2, 6, 2}, heads[MOST] = {3, 6, 12, 24},
                   windows[MOST] = {7, 7, 14, 7};
  tiny_vit_config c;
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.stages = tsr_config_list(b, "depths", depths, 1, TSR_MAX_DEPTH, 1, MOST, c.depth);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists four stages of eight */
  tsr_config_list(b, "embed_dims", dims, 2, TSR_MAX_DIM, c.stages, MOST, c.dim);
  tsr_config_list(b, "num_heads", heads, 1, TSR_MAX_HEADS, c.stages, MOST, c.heads);
  tsr_config_list(b, "window_sizes", windows, 1, 64, c.stages, MOST, c.window);
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 4, 1.0 / TSR_MAX_DIM, 64);
  c.expansion = tsr_config_number(b, "mbconv_expand_ratio", 4, 1.0 / TSR_MAX_DIM, 64);
  c.local = tsr_config_int(b, "local_conv_size", 3, 1, 31);
  if (c.local % 2 == 0)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"local_conv_size\" is %d; expected an odd number", c.local);
  for (int s = 1; s < c.stages; s++)
    if (!c.heads[s] || !c.window[s] || !c.dim[s] || c.dim[s] % c.heads[s])
      tsr_fail(b, TSR_ERR_CONFIG,
               "stage %d has %d heads, a width of %d and windows of %d; expected \"num_heads\" to divide "
               "\"embed_dims\", and a number for each of the %d \"depths\"",
               s, c.heads[s], c.dim[s], c.window[s], c.stages);
  return c;
}

/* name.conv and name.bn, depthwise if out is 0. residual: of a 1x1 kernel, or TSR_NO_VALUE. */
static tsr_value conv(tsr_builder *b, const char *name, tsr_value x, int side, int stride, int out, int activation,
                      tsr_value residual) {
  tsr_conv conv = tsr_nn_square(side, out, stride, activation);
  tsr_enter(b, "%s", name);
  x = out ? tsr_nn_conv2d_norm(b, "conv", "bn", x, conv, residual) : tsr_nn_depthwise_norm(b, "conv", "bn", x, conv);
  tsr_leave(b);
  return x;
}

/* Three convolutions: to `hidden` channels, depthwise, to `out`. */
static tsr_value convs(tsr_builder *b, tsr_value x, int hidden, int stride, int out, tsr_value residual) {
  x = conv(b, "conv1", x, 1, 1, hidden, TSR_ACT_GELU, TSR_NO_VALUE);
  x = conv(b, "conv2", x, 3, stride, 0, TSR_ACT_GELU, TSR_NO_VALUE);
  return conv(b, "conv3", x, 1, 1, out, TSR_ACT_NONE, residual);
}

static int distance(int i, int j) { return i < j ? j - i : i - j; }

/* The biases [heads,w w,w w] of windows of w x w tokens. First the rows [|dy|,x,:], then from them [y,x,y',:], so that
 * rows are copied instead of numbers. */
static tsr_value window_biases(tsr_builder *b, int heads, int w) {
  tsr_value x = tsr_weight_vector(b, "attention_biases", tsr_shape_of(2, heads, w * w));
  float *column, *row;
  tsr_value columns = tsr_constant(b, tsr_shape_of(2, 1, w * w * w), &column);
  tsr_value rows = tsr_constant(b, tsr_shape_of(2, 1, w * w * w), &row);
  for (int i = 0; column && row && i < w * w * w; i++) {
    int first = i / (w * w), second = i / w % w, third = i % w;
    column[i] = (float)(first * w + distance(second, third));
    row[i] = (float)(distance(first, third) * w + second);
  }
  x = tsr_nn_reshape(b, tsr_nn_gather(b, x, columns), tsr_shape_of(3, heads, w * w, w));
  if (w >= LARGE) x = tsr_nn_expand(b, x, tsr_shape_at(b, x));
  return tsr_nn_reshape(b, tsr_nn_gather(b, x, rows), tsr_shape_of(3, heads, w * w, w * w));
}

/* x padded with zeros to multiples of the window. */
static tsr_value fill_windows(tsr_builder *b, tsr_value x, int window) {
  for (int axis = 1; axis < 3; axis++) {
    int rest = tsr_dim(b, x, axis) % window;
    if (rest) x = tsr_nn_pad(b, x, axis, 0, window - rest);
  }
  return x;
}

static tsr_value attend(tsr_builder *b, tsr_value map, const tiny_vit_config *c, int s, int i) {
  char tap[64];
  int side = c->window[s], heads = c->heads[s], dim = c->dim[s], d = dim / heads, n = side * side;
  tsr_windows windows = {side, side, 0};
  tsr_value filled = fill_windows(b, map, side), x = tsr_nn_windows(b, filled, windows);
  tsr_attention attention = tsr_nn_heads(heads, d, tsr_nn_window_meaning(b, filled, windows, "attention"), i);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%%d.attn", s);
  attention.tap = tap;
  tsr_enter(b, "attn");
  attention.bias = window_biases(b, heads, side);
  x = tsr_nn_linear(b, "qkv", tsr_nn_layer_norm(b, "norm", x), 3 * dim, TSR_BIAS);
  tsr_shape shape = tsr_shape_at(b, x);
  x = tsr_nn_reshape(b, x, tsr_shape_of(5, shape.dims[0], n, heads, 3, d));
  x = tsr_nn_reshape(b, tsr_nn_permute(b, x, (int[]){0, 1, 3, 2, 4}), shape);
  x = tsr_nn_linear(b, "proj", tsr_nn_attention_qkv(b, x, attention), dim, TSR_BIAS);
  tsr_leave(b);
  x = tsr_nn_unwindows(b, x, windows, filled);
  return tsr_nn_slice(b, tsr_nn_slice(b, x, 1, 0, tsr_dim(b, map, 1)), 2, 0, tsr_dim(b, map, 2));
}

static tsr_value block(tsr_builder *b, tsr_value x, const tiny_vit_config *c, int s, int i) {
  int dim = c->dim[s];
  x = tsr_nn_add(b, x, attend(b, x, c, s, i));
  x = conv(b, "local_conv", x, c->local, 1, 0, TSR_ACT_NONE, TSR_NO_VALUE);
  tsr_enter(b, "mlp");
  tsr_value y =
      tsr_nn_linear_act(b, "fc1", tsr_nn_layer_norm(b, "norm", x), (int)(dim * c->mlp_ratio), TSR_BIAS, TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "fc2", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value stage(tsr_builder *b, tsr_value x, const tiny_vit_config *c, int s) {
  int dim = c->dim[s];
  tsr_enter(b, "stages.%d", s);
  if (s) {
    tsr_enter(b, "downsample");
    x = convs(b, x, dim, 2, dim, TSR_NO_VALUE);
    tsr_leave(b);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.downsample", s);
  }
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_enter(b, "blocks.%d", i);
    if (s) x = block(b, x, c, s, i);
    else x = tsr_nn_activate(b, convs(b, x, (int)(dim * c->expansion), 1, dim, x), TSR_ACT_GELU);
    tsr_leave(b);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
  }
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  tiny_vit_config c = read_config(b);
  b->floats = TSR_FLOATS_ALL;
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image(b, c.channels, c.image[0], c.image[1]));
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_enter(b, "patch_embed");
  x = conv(b, "conv1", x, 3, 2, c.dim[0] / 2, TSR_ACT_GELU, TSR_NO_VALUE);
  x = conv(b, "conv2", x, 3, 2, c.dim[0], TSR_ACT_NONE, TSR_NO_VALUE);
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0; s < c.stages; s++) x = stage(b, x, &c, s);
  x = tsr_nn_layer_norm(b, "head.norm", tsr_nn_map_mean(b, x));
  return tsr_nn_classify(b, "head.fc", x, c.num_classes);
}

#define SIZE(image, dims, heads, windows) \
  "{\"image_size\":" image ",\"embed_dims\":" dims ",\"num_heads\":" heads ",\"window_sizes\":" windows "}"
#define LARGEST(image, windows) SIZE(image, "[96,192,384,576]", "[3,6,12,18]", windows)

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dims\":[8,16],\"depths\":[1,1],\"num_heads\":[1,2],"
     "\"window_sizes\":4}"},
    {"tiny_vit_5m_224", SIZE("224", "[64,128,160,320]", "[2,4,5,10]", "[7,7,14,7]")},
    {"tiny_vit_11m_224", SIZE("224", "[64,128,256,448]", "[2,4,8,14]", "[7,7,14,7]")},
    {"tiny_vit_21m_224", LARGEST("224", "[7,7,14,7]")},
    {"tiny_vit_21m_384", LARGEST("384", "[12,12,24,12]")},
    {"tiny_vit_21m_512", LARGEST("512", "[16,16,32,16]")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_tiny_vit = {
    .name = "tiny_vit",
    .title = "TinyViT",
    .paper = "Wu et al. 2022, arXiv 2207.10666",
    .reference = "timm 1.0.31, models.tiny_vit.TinyVit",
    .presets = presets,
    .build = build,
};
