/* What the published MobileViT and MobileViTv2 share; see mobile_vit.h. */
#include "mobile_vit.h"

#include <math.h>

#include "graph/settings.h"

/* A list of one number for each stage; returns how many. A default ends at its first 0. */
static int stages(tsr_builder *b, const char *key, const int *usual, int hi, int most, int *out) {
  int n = tsr_config_list(b, key, usual, 1, hi, 1, most, out);
  while (n > 1 && !out[n - 1]) n--;
  return n;
}

tsr_mobile_vit tsr_mobile_vit_config(tsr_builder *b, const tsr_mobile_vit *usual) {
  tsr_mobile_vit c = {0};
  tsr_config_pair(b, "image_size", 256, 1, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.plain = stages(b, "residuals", usual->residuals, 64, TSR_MOBILE_VIT_STAGES, c.residuals);
  c.stages = stages(b, "hidden_sizes", usual->dims, TSR_MAX_DIM, TSR_MOBILE_VIT_STAGES, c.dims);
  int layers = stages(b, "depths", usual->depths, TSR_MAX_DEPTH, TSR_MOBILE_VIT_STAGES, c.depths);
  int widths = stages(b, "neck_hidden_sizes", usual->widths, TSR_MAX_DIM, TSR_MOBILE_VIT_WIDTHS, c.widths);
  int least = 1 + c.plain + c.stages;
  c.last = widths > least;
  c.expansion = tsr_config_number(b, "expand_ratio", usual->expansion, 0.125, 16);
  c.kernel = tsr_config_int(b, "conv_kernel_size", 3, 1, 15);
  c.patch = tsr_config_int(b, "patch_size", 2, 1, 64);
  c.eps = (float)tsr_config_number(b, "layer_norm_eps", 1e-5, 1e-12, 1);
  if (layers < c.stages)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"depths\" has %d numbers; expected one for each of \"hidden_sizes\", %d",
             layers, c.stages);
  if (widths - c.last != least)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"neck_hidden_sizes\" has %d numbers; expected %d, of the stem and of %d stages, or one more "
             "for a last convolution",
             widths, least, least - 1);
  if (c.kernel % 2 == 0)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"conv_kernel_size\" is %d; expected an odd number", c.kernel);
  return c;
}

tsr_value tsr_mobile_vit_conv(tsr_builder *b, const char *name, tsr_value x, int out, int side, int stride,
                              int activation) {
  tsr_enter(b, "%s", name);
  x = tsr_nn_conv2d_norm(b, "conv", "bn", x, tsr_nn_square(side, out, stride, activation), TSR_NO_VALUE);
  tsr_leave(b);
  return x;
}

static tsr_value inverted_residual(tsr_builder *b, tsr_value x, int out, int stride, double expansion) {
  int in = tsr_dim(b, x, 3), wanted = (int)rint(in * expansion), hidden = (wanted + 4) / 8 * 8;
  if (hidden < 8) hidden = 8;
  if (hidden < 0.9 * wanted) hidden += 8; /* rounded to a multiple of 8, but not down by more than a tenth */
  tsr_value y = tsr_mobile_vit_conv(b, "conv1_1x1", x, hidden, 1, 1, TSR_ACT_SILU);
  tsr_enter(b, "conv2_kxk");
  y = tsr_nn_depthwise_norm(b, "conv", "bn", y, tsr_nn_square(3, hidden, stride, TSR_ACT_SILU));
  tsr_leave(b);
  tsr_enter(b, "conv3_1x1");
  y = tsr_nn_conv2d_norm(b, "conv", "bn", y, tsr_nn_square(1, out, 1, TSR_ACT_NONE),
                         stride == 1 && in == out ? x : TSR_NO_VALUE);
  tsr_leave(b);
  return y;
}

tsr_value tsr_mobile_vit_model(tsr_builder *b, const tsr_mobile_vit *c, tsr_mobile_vit_block *block) {
  b->floats = TSR_FLOATS_ALL; /* few of its products have no batch norm near */
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image(b, c->channels, c->image[0], c->image[1]));
  x = tsr_mobile_vit_conv(b, "stem", x, c->widths[0], 3, 2, TSR_ACT_SILU);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0; s < c->plain + c->stages && !tsr_failed(b); s++) {
    int count = s < c->plain ? c->residuals[s] : 1;
    for (int i = 0; i < count; i++) {
      tsr_enter(b, "stages.%d.%d", s, i);
      x = inverted_residual(b, x, c->widths[s + 1], s && !i ? 2 : 1, c->expansion);
      tsr_leave(b);
    }
    if (s >= c->plain) {
      tsr_enter(b, "stages.%d.1", s);
      x = block(b, x, c, s);
      tsr_leave(b);
    }
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d", s);
  }
  if (c->last) {
    x = tsr_mobile_vit_conv(b, "final_conv", x, c->widths[1 + c->plain + c->stages], 1, 1, TSR_ACT_SILU);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "final_conv");
  }
  x = tsr_nn_map_mean(b, x);
  return tsr_nn_classify(b, "head.fc", x, c->num_classes);
}
