/* MobileViT: "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer" (Mehta and Rastegari,
 * 2021, arXiv 2110.02178), inverted residuals with transformers over patches between.
 * Reference: vit-pytorch 1.26.11, module mobile_vit, class MobileViT.
 *
 *   conv: a convolution, its batch norm, SiLU
 *   x = conv3(x), stride 2
 *   x = four inverted residuals MV2 of x (Sandler et al. 2018, arXiv 1801.04381), the second with stride 2
 *   three times: x = MV2(x), stride 2
 *     y = conv1(conv3(x)), cut into patches; tokens at one place in all patches attend to each other:
 *     depth pre-norm layers, MLP with SiLU
 *     x = conv3([conv1(map of y); x])
 *   y = Linear(mean over pixels of conv1(x))
 *
 * Traps:
 * - Attention has 4 heads of 8, whatever the width.
 * - The MLP's factor is 2 in the first stage, 4 in the others.
 * - An MV2 adds its input if it keeps the width and has stride 1.
 * - The last projection of MV2 has no activation.
 * - The head has no bias. */
#include <math.h>

#include "arch.h"

enum { STAGES = 3, CHANNELS = 11, HEADS = 4, HEAD_DIM = 8 };

typedef struct mobile_vit_config {
  int image[2], dims[STAGES], channels[CHANNELS], num_classes, expansion, patch[2], depths[STAGES];
} mobile_vit_config;

static mobile_vit_config read_config(tsr_builder *b) {
  static const int depths[STAGES] = {2, 4, 3};
  static const int pairs[][2] = {{2, 3}, {4, 5}, {6, 7}, {8, 9}};
  mobile_vit_config c;
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  tsr_config_list(b, "dims", NULL, 1, TSR_MAX_DIM, STAGES, STAGES, c.dims);
  tsr_config_list(b, "channels", NULL, 1, TSR_MAX_DIM, CHANNELS, CHANNELS, c.channels);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.expansion = tsr_config_int(b, "expansion", 4, 1, 16);
  tsr_config_int(b, "kernel_size", 3, 3, 3); /* only 3 fits the reference's padding of 1 */
  tsr_config_pair(b, "patch_size", 2, 1, 64, c.patch);
  tsr_config_list(b, "depths", depths, 0, TSR_MAX_DEPTH, STAGES, STAGES, c.depths);
  for (int i = 0; i < 4; i++)
    if (c.channels[pairs[i][0]] != c.channels[pairs[i][1]])
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"channels\": numbers %d and %d are %d and %d; they must be equal",
               pairs[i][0], pairs[i][1], c.channels[pairs[i][0]], c.channels[pairs[i][1]]);
  return c;
}

/* name.0 and name.1 with SiLU. */
static tsr_value conv(tsr_builder *b, const char *name, tsr_value x, int side, int out, int stride) {
  tsr_enter(b, "%s", name);
  x = tsr_nn_conv2d_norm(b, "0", "1", x, tsr_nn_square(side, out, stride, TSR_ACT_SILU), TSR_NO_VALUE);
  tsr_leave(b);
  return x;
}

static tsr_value inverted_residual(tsr_builder *b, tsr_value x, int out, int stride, int expansion) {
  int in = tsr_dim(b, x, 3), hidden = in * expansion, wide = expansion > 1;
  tsr_value y = x;
  tsr_enter(b, "conv");
  if (wide) y = tsr_nn_conv2d_norm(b, "0", "1", y, tsr_nn_square(1, hidden, 1, TSR_ACT_SILU), TSR_NO_VALUE);
  y = tsr_nn_depthwise_norm(b, wide ? "3" : "0", wide ? "4" : "1", y, tsr_nn_square(3, hidden, stride, TSR_ACT_SILU));
  y = tsr_nn_conv2d_norm(b, wide ? "6" : "3", wide ? "7" : "4", y, tsr_nn_square(1, out, 1, TSR_ACT_NONE),
                         stride == 1 && in == out ? x : TSR_NO_VALUE);
  tsr_leave(b);
  return y;
}

/* Attention among the tokens at one place of all patches, for each place: [B places, patches, C]. */
static tsr_value layers(tsr_builder *b, tsr_value x, int depth, int hidden, tsr_meaning patches, int s) {
  char tap[64];
  int dim = tsr_dim(b, x, 2);
  for (int i = 0; i < depth; i++) {
    tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, i);
    tsr_mha mha = {.attention = tsr_nn_heads(HEADS, HEAD_DIM, patches, i), .to_out = "to_out.0"};
    mha.attention.tap = tap;
    tsr_enter(b, "layers.%d.0", i);
    x = tsr_nn_mha(b, x, &mha, x);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.1.net", i);
    tsr_value y = tsr_nn_linear_act(b, "1", tsr_nn_layer_norm(b, "0", x), hidden, TSR_BIAS, TSR_ACT_SILU);
    x = tsr_nn_linear_add(b, "4", y, dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_tap_add(b, x, patches, "stages.%d.blocks.%d", s, i);
  }
  return x;
}

static tsr_value mobile_block(tsr_builder *b, tsr_value x, const mobile_vit_config *c, int s) {
  int channels = c->channels[5 + 2 * s], h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (h % c->patch[0] || w % c->patch[1])
    return tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
                    "a map of %d x %d is no whole number of patches of %d x %d; "
                    "the image's sides must be multiples of %d and %d",
                    h, w, c->patch[0], c->patch[1], 32 * c->patch[0], 32 * c->patch[1]);
  tsr_windows windows = {h / c->patch[0], w / c->patch[1], 1};
  tsr_value y = conv(b, "conv2", conv(b, "conv1", x, 3, channels, 1), 1, c->dims[s], 1), map = y;
  tsr_enter(b, "transformer");
  y = layers(b, tsr_nn_windows(b, y, windows), c->depths[s], c->dims[s] * (s ? 4 : 2),
             tsr_nn_window_meaning(b, map, windows, "tokens"), s);
  tsr_leave(b);
  y = conv(b, "conv3", tsr_nn_unwindows(b, y, windows, map), 1, channels, 1);
  return conv(b, "conv4", tsr_nn_concat(b, 3, 2, (tsr_value[]){y, x}), 3, channels, 1);
}

static tsr_value build(tsr_builder *b) {
  mobile_vit_config c = read_config(b);
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image(b, 3, c.image[0], c.image[1]));
  x = conv(b, "conv1", x, 3, c.channels[0], 2);
  for (int i = 0; i < 4; i++) {
    tsr_enter(b, "stem.%d", i);
    x = inverted_residual(b, x, c.channels[i < 3 ? i + 1 : 3], i == 1 ? 2 : 1, c.expansion);
    tsr_leave(b);
  }
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0; s < STAGES; s++) {
    tsr_enter(b, "trunk.%d.0", s);
    x = inverted_residual(b, x, c.channels[4 + 2 * s], 2, c.expansion);
    tsr_leave(b);
    tsr_enter(b, "trunk.%d.1", s);
    x = mobile_block(b, x, &c, s);
    tsr_leave(b);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d", s);
  }
  tsr_enter(b, "to_logits");
  x = tsr_nn_map_mean(b, conv(b, "0", x, 1, c.channels[CHANNELS - 1], 1));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c.num_classes, TSR_NO_BIAS);
  tsr_leave(b);
  return x;
}

#define SIZE(dims, channels, expansion) \
  "{\"image_size\":256,\"num_classes\":1000,\"dims\":" dims ",\"channels\":" channels ",\"expansion\":" expansion "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":64,\"num_classes\":10,\"dims\":[16,16,24],\"channels\":[8,8,12,12,12,12,16,16,16,16,24],"
     "\"depths\":[1,1,1],\"expansion\":2}"},
    {"mobile_vit_xxs", SIZE("[64,80,96]", "[16,16,24,24,48,48,64,64,80,80,320]", "2")},
    {"mobile_vit_xs", SIZE("[96,120,144]", "[16,32,48,48,64,64,80,80,96,96,384]", "4")},
    {"mobile_vit_s", SIZE("[144,192,240]", "[16,32,64,64,96,96,128,128,160,160,640]", "4")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_mobile_vit = {
    .name = "mobile_vit",
    .title = "MobileViT",
    .paper = "Mehta and Rastegari 2021, arXiv 2110.02178",
    .reference = "vit-pytorch 1.26.11, mobile_vit.MobileViT",
    .presets = presets,
    .build = build,
};
