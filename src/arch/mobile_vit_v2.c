/* MobileViTv2: "Separable Self-attention for Mobile Vision Transformers" (Mehta and Rastegari, 2022, arXiv 2206.02680),
 * attention whose cost grows with the number of tokens, not with its square.
 * Reference: timm 1.0.31, models.mobilevit, mobilevitv2_050 to _200; transformers' MobileViTV2 is the same but for
 * uneven maps.
 *
 *   conv: a convolution, its batch norm, SiLU
 *   x = conv3(x), stride 2
 *   x = inverted residuals MV2 of x (Sandler et al. 2018, arXiv 1801.04381), one, then two, the first of these with
 *   stride 2
 *   three times: x = MV2(x), stride 2
 *     y = Conv1(depthwise conv3(x)), cut into patches; for the tokens at one place in all patches, depth times:
 *       q, k, v = Linear(GN(y)), q one number a token;  s = softmax(q) over the tokens: the context scores
 *       y = y + Linear(relu(v) * sum of s k);  y = y + MLP(GN(y)), with SiLU
 *     x = BN(Conv1(map of GN(y)))
 *   y = Linear(mean over pixels of x)
 *
 * Traps:
 * - GN has one group: mean and variance are those of all channels and all tokens of an image, of every place.
 * - The last convolution of a stage has no activation, and nothing is added to it.
 * - A map that is no whole number of patches: timm resizes it to the next larger one, corners aligned, and leaves it
 *   so; transformers cuts off the rows and columns that are left over, and has zeros there afterwards. */
#include "arch.h"

/* The group norm of tokens x [B places, patches, C] of `batch` images. */
static tsr_value group_norm(tsr_builder *b, const char *name, tsr_value x, int batch, float eps) {
  tsr_shape shape = tsr_shape_at(b, x), channels = tsr_shape_of(1, tsr_dim(b, x, 2));
  tsr_attrs attrs = {.layer_norm = {.eps = eps}};
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = tsr_nn_reshape(b, x, tsr_shape_of(2, batch, shape.dims[0] / batch * shape.dims[1] * shape.dims[2]));
  x = tsr_nn_reshape(b, tsr_node_add(b, TSR_OP_layer_norm, &x, 1, &attrs), shape);
  tsr_enter(b, "%s", name);
  x = tsr_nn_mul(b, x, tsr_weight_vector(b, "weight", channels));
  x = tsr_nn_add(b, x, tsr_weight_vector(b, "bias", channels));
  tsr_leave(b);
  return x;
}

/* Separable attention of normed tokens x [B places, patches, C], plus y. */
static tsr_value attend_add(tsr_builder *b, tsr_value x, tsr_value y, tsr_meaning patches, int s, int i) {
  int count = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), dim = tsr_dim(b, x, 2);
  x = tsr_nn_pointwise(b, "attn.qkv_proj", x, 1 + 2 * dim, TSR_BIAS);
  tsr_value scores = tsr_nn_reshape(b, tsr_nn_slice(b, x, 2, 0, 1), tsr_shape_of(2, count, n));
  scores = tsr_nn_softmax(b, scores, 1);
  patches.kind = "pool_attention";
  tsr_tap_add(b, tsr_nn_reshape(b, scores, tsr_shape_of(4, count, 1, 1, n)), patches,
              "stages.%d.blocks.%d.context_scores", s, i);
  tsr_value context = tsr_nn_weighted_sum(b, scores, tsr_nn_slice(b, x, 2, 1, 1 + dim));
  x = tsr_nn_activate(b, tsr_nn_slice(b, x, 2, 1 + dim, 1 + 2 * dim), TSR_ACT_RELU);
  x = tsr_nn_mul(b, x, tsr_nn_reshape(b, context, tsr_shape_of(3, count, 1, dim)));
  return tsr_nn_pointwise_add(b, "attn.out_proj", x, dim, TSR_BIAS, y);
}

static tsr_value layers(tsr_builder *b, tsr_value x, const tsr_mobile_vit *c, tsr_meaning patches, int batch, int s) {
  int dim = tsr_dim(b, x, 2), hidden = (int)(dim * c->mlp_ratio) / 16 * 16;
  for (int i = 0; i < c->depths[s - c->plain]; i++) {
    tsr_enter(b, "transformer.%d", i);
    x = attend_add(b, group_norm(b, "norm1", x, batch, c->eps), x, patches, s, i);
    tsr_value y = group_norm(b, "norm2", x, batch, c->eps);
    y = tsr_nn_pointwise_act(b, "mlp.fc1", y, hidden, TSR_BIAS, TSR_ACT_SILU);
    x = tsr_nn_pointwise_add(b, "mlp.fc2", y, dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_tap_add(b, x, patches, "stages.%d.blocks.%d", s, i);
  }
  return group_norm(b, "norm", x, batch, c->eps);
}

static tsr_value block(tsr_builder *b, tsr_value x, const tsr_mobile_vit *c, int s) {
  int p = c->patch, more = c->cut ? 0 : p - 1, width = c->widths[s + 1], batch = tsr_dim(b, x, 0);
  int height = tsr_dim(b, x, 1), wide = tsr_dim(b, x, 2);
  tsr_windows windows = {(height + more) / p, (wide + more) / p, 1};
  int h = windows.h * p, w = windows.w * p;
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (!h || !w)
    return tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
                    "a map of %d x %d has no patch of %d x %d; expected a larger image", height, wide, p, p);
  if (!c->cut) x = tsr_nn_resize(b, x, h, w, TSR_RESIZE_CORNERS);
  tsr_enter(b, "conv_kxk");
  tsr_value y = tsr_nn_depthwise_norm(b, "conv", "bn", x,
                                      (tsr_conv){.kernel_h = c->kernel,
                                                 .kernel_w = c->kernel,
                                                 .stride_h = 1,
                                                 .stride_w = 1,
                                                 .pad_h = c->kernel / 2,
                                                 .pad_w = c->kernel / 2,
                                                 .activation = TSR_ACT_SILU});
  tsr_leave(b);
  y = tsr_nn_pointwise(b, "conv_1x1", y, c->dims[s - c->plain], TSR_NO_BIAS);
  tsr_value map = y = tsr_nn_slice(b, tsr_nn_slice(b, y, 1, 0, h), 2, 0, w);
  y = layers(b, tsr_nn_windows(b, y, windows), c, tsr_nn_window_meaning(b, map, windows, "tokens"), batch, s);
  y = tsr_nn_unwindows(b, y, windows, map);
  if (h < height) y = tsr_nn_pad(b, y, 1, 0, height - h);
  if (w < wide) y = tsr_nn_pad(b, y, 2, 0, wide - w);
  return tsr_mobile_vit_conv(b, "conv_proj", y, width, 1, 1, TSR_ACT_NONE);
}

static tsr_value build(tsr_builder *b) {
  static const char *const uneven[] = {"resize", "cut", NULL};
  static const tsr_mobile_vit usual = {.residuals = {1, 2},
                                       .dims = {128, 192, 256},
                                       .depths = {2, 4, 3},
                                       .widths = {32, 64, 128, 256, 384, 512},
                                       .expansion = 2};
  tsr_mobile_vit c = tsr_mobile_vit_config(b, &usual);
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 2, 1.0 / TSR_MAX_DIM, 64);
  c.cut = tsr_config_choice(b, "uneven", uneven, 0);
  for (int i = 0; i < c.stages; i++)
    if (c.dims[i] * c.mlp_ratio < 16)
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"mlp_ratio\" times \"hidden_sizes\" %d is below 16", c.dims[i]);
  return tsr_mobile_vit_model(b, &c, block);
}

#define SIZE(widths, dims) "{\"neck_hidden_sizes\":" widths ",\"hidden_sizes\":" dims "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":24,\"num_classes\":10,\"residuals\":[1],\"neck_hidden_sizes\":[4,4,8],\"hidden_sizes\":[8],"
     "\"depths\":[2]}"},
    {"mobilevitv2_050", SIZE("[16,32,64,128,192,256]", "[64,96,128]")},
    {"mobilevitv2_075", SIZE("[24,48,96,192,288,384]", "[96,144,192]")},
    {"mobilevitv2_100", SIZE("[32,64,128,256,384,512]", "[128,192,256]")},
    {"mobilevitv2_125", SIZE("[40,80,160,320,480,640]", "[160,240,320]")},
    {"mobilevitv2_150", SIZE("[48,96,192,384,576,768]", "[192,288,384]")},
    {"mobilevitv2_175", SIZE("[56,112,224,448,672,896]", "[224,336,448]")},
    {"mobilevitv2_200", SIZE("[64,128,256,512,768,1024]", "[256,384,512]")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_mobile_vit_v2 = {
    .name = "mobile_vit_v2",
    .title = "MobileViTv2",
    .paper = "Mehta and Rastegari 2022, arXiv 2206.02680",
    .reference = "timm 1.0.31, models.mobilevit.MobileVitV2Block",
    .presets = presets,
    .build = build,
};
