/* MobileViT as published: "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer" (Mehta and
 * Rastegari, 2021, arXiv 2110.02178), with the layers of Apple's weights; vit-pytorch's, which differs, is mobile_vit.
 * Reference: timm 1.0.31, models.mobilevit, mobilevit_xxs, _xs and _s; transformers' MobileViT is the same.
 *
 *   conv: a convolution, its batch norm, SiLU
 *   x = conv3(x), stride 2
 *   x = inverted residuals MV2 of x (Sandler et al. 2018, arXiv 1801.04381), one, then three, the first of these with
 *   stride 2
 *   three times: x = MV2(x), stride 2
 *     y = Conv1(conv3(x)), cut into patches; tokens at one place in all patches attend to each other:
 *     depth pre-norm layers, MLP with SiLU; LN
 *     x = conv3([x; conv1(map of y)])
 *   y = Linear(mean over pixels of conv1(x))
 *
 * Traps:
 * - The 1x1 convolution in front of the tokens has no batch norm, no bias and no activation.
 * - An MV2 adds its input if it keeps the width and has stride 1. Its last convolution has no activation.
 * - A map that is no whole number of patches is resized to the next larger one before attention, and back after it. */
#include "arch.h"

/* Attention among the tokens at one place of all patches, for each place: [B places, patches, C]. */
static tsr_value layers(tsr_builder *b, tsr_value x, const tsr_mobile_vit *c, tsr_meaning patches, int s) {
  char tap[64];
  int dim = tsr_dim(b, x, 2);
  tsr_norm norm = {.eps = c->eps};
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%%d.attn", s);
  for (int i = 0; i < c->depths[s - c->plain]; i++) {
    tsr_attention attention = tsr_nn_heads(c->heads, dim / c->heads, patches, i);
    attention.tap = tap;
    tsr_enter(b, "transformer.%d", i);
    tsr_value y = tsr_nn_linear(b, "attn.qkv", tsr_nn_norm(b, "norm1", x, norm), 3 * dim, c->qkv_bias);
    x = tsr_nn_linear_add(b, "attn.proj", tsr_nn_attention_qkv(b, y, attention), dim, TSR_BIAS, x);
    y = tsr_nn_norm(b, "norm2", x, norm);
    y = tsr_nn_linear_act(b, "mlp.fc1", y, (int)(dim * c->mlp_ratio), TSR_BIAS, TSR_ACT_SILU);
    x = tsr_nn_linear_add(b, "mlp.fc2", y, dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_tap_add(b, x, patches, "stages.%d.blocks.%d", s, i);
  }
  return tsr_nn_norm(b, "norm", x, norm);
}

static tsr_value block(tsr_builder *b, tsr_value x, const tsr_mobile_vit *c, int s) {
  int p = c->patch, width = c->widths[s + 1], h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2);
  tsr_windows windows = {(h + p - 1) / p, (w + p - 1) / p, 1};
  tsr_value y = tsr_mobile_vit_conv(b, "conv_kxk", x, width, c->kernel, 1, TSR_ACT_SILU);
  y = tsr_nn_pointwise(b, "conv_1x1", y, c->dims[s - c->plain], TSR_NO_BIAS);
  y = tsr_nn_resize(b, y, windows.h * p, windows.w * p, TSR_RESIZE_BILINEAR);
  tsr_value map = y;
  y = layers(b, tsr_nn_windows(b, y, windows), c, tsr_nn_window_meaning(b, map, windows, "tokens"), s);
  y = tsr_nn_resize(b, tsr_nn_unwindows(b, y, windows, map), h, w, TSR_RESIZE_BILINEAR);
  y = tsr_mobile_vit_conv(b, "conv_proj", y, width, 1, 1, TSR_ACT_SILU);
  return tsr_mobile_vit_conv(b, "conv_fusion", tsr_nn_concat(b, 3, 2, (tsr_value[]){x, y}), width, c->kernel, 1,
                             TSR_ACT_SILU);
}

static tsr_value build(tsr_builder *b) {
  static const tsr_mobile_vit small = {.residuals = {1, 3},
                                       .dims = {144, 192, 240},
                                       .depths = {2, 4, 3},
                                       .widths = {16, 32, 64, 96, 128, 160, 640},
                                       .expansion = 4};
  tsr_mobile_vit c = tsr_mobile_vit_config(b, &small);
  c.heads = tsr_config_int(b, "num_heads", 4, 1, TSR_MAX_HEADS);
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 2, 1.0 / TSR_MAX_DIM, 64);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  for (int i = 0; i < c.stages; i++)
    if (c.dims[i] % c.heads)
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"num_heads\" is %d; expected a divisor of \"hidden_sizes\", %d", c.heads,
               c.dims[i]);
  return tsr_mobile_vit_model(b, &c, block);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":24,\"num_classes\":10,\"residuals\":[1],\"neck_hidden_sizes\":[4,4,8,12],\"hidden_sizes\":[8],"
     "\"depths\":[2],\"num_heads\":2,\"expand_ratio\":2}"},
    {"mobilevit_xxs", "{\"neck_hidden_sizes\":[16,16,24,48,64,80,320],\"hidden_sizes\":[64,80,96],\"expand_ratio\":2}"},
    {"mobilevit_xs", "{\"neck_hidden_sizes\":[16,32,48,64,80,96,384],\"hidden_sizes\":[96,120,144]}"},
    {"mobilevit_s", "{}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_mobile_vit = {
    .name = "timm_mobile_vit",
    .title = "MobileViT, published",
    .paper = "Mehta and Rastegari 2021, arXiv 2110.02178",
    .reference = "timm 1.0.31, models.mobilevit.MobileVitBlock",
    .presets = presets,
    .build = build,
};
