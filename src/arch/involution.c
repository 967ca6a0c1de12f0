/* Involution: "Involution: Inverting the Inherence of Convolution for Visual Recognition" (Li et al., 2021, arXiv
 * 2103.06255), a convolution whose kernels are computed for each place.
 * Reference: scripts/parity/references/involution.py on Keras 3.15.1: the layer, and the two networks of Keras's
 * example that compare it with convolution.
 *
 *   W = Conv1(ReLU(BN(Conv1(mean of s x s pixels of x))))            a kernel [K K, G] for each place
 *   y[p, c] = sum over k of W[p, k, c mod G] x[s p + k - before, c]  the layer
 *   inn:  three times involution and ReLU, halved by a maximum after the first two; Linear(ReLU(Linear(all of it)))
 *   cnn:  the same with 3 x 3 convolutions, 32, 64 and 64 wide
 *
 * Traps:
 * - Channels of one group are not neighbours: channel c belongs to group c mod G.
 * - Kernels lie in W as (k, g).
 * - The norm's eps is 1e-3.
 * - Padding is TensorFlow's "same", whose right and lower border may be wider.
 * - The hidden width is `channel` / reduction_ratio, whatever the channels of x.
 * - Maps are flattened with the channels last.
 * - Keras keeps matrices as [in, out] and filters as [row, column, in, out]; files have PyTorch's order. */
#include "arch.h"

enum { INN, CNN, LAYER };

typedef struct involution_config {
  int network, image[2], channels, channel, groups, kernel, stride, reduction, num_classes;
} involution_config;

static involution_config read_config(tsr_builder *b) {
  static const char *const networks[] = {"inn", "cnn", "layer", NULL};
  involution_config c = {.stride = 1};
  c.network = tsr_config_choice(b, "network", networks, INN);
  int layer = c.network == LAYER;
  tsr_config_pair(b, "image_size", layer ? 256 : 32, 1, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "channels", 3, 1, 4096);
  if (!layer) c.num_classes = tsr_config_int(b, "num_classes", 10, 1, TSR_MAX_CLASSES);
  if (c.network == CNN) return c;
  c.channel = tsr_config_int(b, "channel", c.channels, 1, TSR_MAX_DIM);
  c.groups = tsr_config_int(b, "group_number", 1, 1, 4096);
  c.kernel = tsr_config_int(b, "kernel_size", layer ? 5 : 3, 1, 31);
  c.stride = tsr_config_int(b, "stride", 1, 1, 64);
  c.reduction = tsr_config_int(b, "reduction_ratio", layer ? 1 : 2, 1, TSR_MAX_DIM);
  if (c.channels % c.groups)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"group_number\" is %d; expected a divisor of \"channels\", %d", c.groups,
             c.channels);
  if (c.channel < c.reduction)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"reduction_ratio\" is %d; expected at most \"channel\", %d", c.reduction,
             c.channel);
  return c;
}

/* Zeros around an axis as in TensorFlow's padding "same", for windows of `kernel` at every `stride`th place. */
static tsr_value pad_same(tsr_builder *b, tsr_value x, int axis, int kernel, int stride) {
  int n = tsr_dim(b, x, axis), all = (n / stride - 1) * stride + kernel - n;
  return all > 0 ? tsr_nn_pad(b, x, axis, all / 2, all - all / 2) : x;
}

/* Kernels [B,h,w,K K G] of a map; names of their taps begin with `tap`. */
static tsr_value make_kernels(tsr_builder *b, tsr_value x, const involution_config *c, const char *tap) {
  int batch = tsr_dim(b, x, 0), h = tsr_dim(b, x, 1) / c->stride, w = tsr_dim(b, x, 2) / c->stride,
      taps = c->kernel * c->kernel;
  if (c->stride > 1) {
    x = tsr_nn_reshape(b, x, tsr_shape_of(6, batch, h, c->stride, w, c->stride, c->channels));
    x = tsr_nn_mean(b, tsr_nn_mean(b, x, 4), 2);
  }
  tsr_conv squeeze = {.out = c->channel / c->reduction,
                      .kernel_h = 1,
                      .kernel_w = 1,
                      .stride_h = 1,
                      .stride_w = 1,
                      .bias = TSR_BIAS,
                      .activation = TSR_ACT_RELU,
                      .norm_eps = 1e-3f};
  x = tsr_nn_conv2d_norm(b, "kernel_gen.0", "kernel_gen.1", x, squeeze, TSR_NO_VALUE);
  x = tsr_nn_pointwise(b, "kernel_gen.3", x, taps * c->groups, TSR_BIAS);
  tsr_meaning meaning = tsr_nn_map_meaning(b, x, "kernels");
  tsr_tap_add(b, tsr_nn_reshape(b, x, tsr_shape_of(6, batch, h, w, taps, 1, c->groups)), meaning, "%skernels", tap);
  meaning.kind = "heat_map";
  if (tsr_tap_offer(b, tsr_shape_of(3, batch, h, w), meaning, "%sheat", tap)) {
    tsr_tap_give(b, tsr_nn_times(b, tsr_nn_mean(b, x, 3), (float)(taps * c->groups))); /* the sum, from the mean */
  }
  return x;
}

/* [B,H,W,C] -> [B,H/s,W/s,C] */
static tsr_value involve(tsr_builder *b, tsr_value x, const involution_config *c, const char *tap) {
  int batch = tsr_dim(b, x, 0), h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2), groups = c->groups,
      width = c->channels / groups, taps = c->kernel * c->kernel;
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (h % c->stride || w % c->stride)
    return tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
                    "a map of %d x %d does not fit; its sides must be multiples of config key \"stride\", %d", h, w,
                    c->stride);
  tsr_value kernels = make_kernels(b, x, c, tap);
  h /= c->stride, w /= c->stride;
  x = pad_same(b, pad_same(b, x, 1, c->kernel, c->stride), 2, c->kernel, c->stride);
  x = tsr_nn_reshape(b, tsr_nn_unfold(b, x, c->kernel, c->stride, 0),
                     tsr_shape_of(5, batch, h * w, width, groups, taps));
  kernels = tsr_nn_reshape(b, kernels, tsr_shape_of(4, batch, h * w, taps, groups));
  if (groups > 1)
    x = tsr_nn_permute(b, x, (int[]){0, 1, 3, 2, 4}), kernels = tsr_nn_permute(b, kernels, (int[]){0, 1, 3, 2});
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h * w * groups, width, taps));
  kernels = tsr_nn_reshape(b, kernels, tsr_shape_of(4, batch, h * w * groups, 1, taps));
  x = tsr_nn_bmm(b, x, kernels, 1); /* [B,h w G,C/G,1] */
  if (groups > 1)
    x = tsr_nn_permute(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h * w, groups, width)), (int[]){0, 1, 3, 2});
  return tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h, w, c->channels));
}

/* One of the three parts of a network, without the pooling. */
static tsr_value part(tsr_builder *b, tsr_value x, const involution_config *c, int i) {
  char tap[16] = "inv_1.";
  tap[4] = (char)('1' + i);
  if (c->network == CNN) {
    tsr_conv conv = tsr_nn_square(3, i ? 64 : 32, 1, TSR_ACT_RELU);
    conv.bias = TSR_BIAS;
    tsr_enter(b, "conv_%d", i + 1);
    x = tsr_nn_conv2d(b, "", x, conv);
  } else {
    tsr_enter(b, "inv_%d", i + 1);
    x = tsr_nn_activate(b, involve(b, x, c, tap), TSR_ACT_RELU);
  }
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  involution_config c = read_config(b);
  tsr_value image =
      (c.network == LAYER ? tsr_input_image : tsr_input_image_of_size)(b, c.channels, c.image[0], c.image[1]);
  tsr_value x = tsr_nn_channels_last(b, image);
  if (c.network == LAYER) {
    x = involve(b, x, &c, "");
    tsr_output_means(b, tsr_nn_map_meaning(b, x, "features"));
    return x;
  }
  for (int i = 0; i < 3; i++) {
    x = part(b, x, &c, i);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "blocks.%d", i);
    if (i < 2) x = tsr_nn_max_pool2d(b, x, 2, 2, 0);
  }
  x = tsr_nn_reshape(b, x, tsr_shape_of(2, tsr_dim(b, x, 0), tsr_dim(b, x, 1) * tsr_dim(b, x, 2) * tsr_dim(b, x, 3)));
  x = tsr_nn_linear_act(b, "dense_1", x, 64, TSR_BIAS, TSR_ACT_RELU);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "dense_2", x, c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":8}"},
    {"inn", "{}"},
    {"cnn", "{\"network\":\"cnn\"}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_involution = {
    .name = "involution",
    .title = "Involution",
    .paper = "Li et al. 2021, arXiv 2103.06255",
    .reference = "Keras 3.15.1, scripts/parity/references/involution.py",
    .presets = presets,
    .build = build,
};
