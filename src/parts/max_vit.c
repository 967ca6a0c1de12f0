/* What MaxViT with and without registers share; see max_vit.h. */
#include "max_vit.h"
#include "graph/settings.h"

tsr_max_vit tsr_max_vit_config(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  tsr_max_vit c = {0};
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, 4096);
  c.stages = tsr_config_list(b, "depth", NULL, 1, TSR_MAX_DEPTH, 1, TSR_MAX_VIT_STAGES, c.depth);
  c.dim_head = tsr_config_int(b, "dim_head", 32, 1, TSR_MAX_DIM);
  c.stem = tsr_config_int(b, "dim_conv_stem", c.dim, 1, TSR_MAX_DIM);
  c.window = tsr_config_int(b, "window_size", 7, 1, 64);
  c.expansion = tsr_config_number(b, "mbconv_expansion_rate", 4, 0.01, 16);
  c.shrinkage = tsr_config_number(b, "mbconv_shrinkage_rate", 0.25, 0.001, 16);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  if (c.dim % c.dim_head)
    tsr_fail(b, TSR_ERR_CONFIG, "\"dim\" %d is not a multiple of \"dim_head\" %d", c.dim, c.dim_head);
  return c;
}

static tsr_conv kernel(int side, int out, int stride, int activation) {
  return (tsr_conv){.out = out,
                    .kernel_h = side,
                    .kernel_w = side,
                    .stride_h = stride,
                    .stride_w = stride,
                    .pad_h = side / 2,
                    .pad_w = side / 2,
                    .bias = TSR_BIAS,
                    .activation = activation};
}

static tsr_value squeeze_excitation(tsr_builder *b, tsr_value x, int hidden) {
  int c = tsr_dim(b, x, 3);
  tsr_enter(b, "gate");
  tsr_value y = tsr_nn_linear_act(b, "1", tsr_nn_map_mean(b, x), hidden, TSR_NO_BIAS, TSR_ACT_SILU);
  y = tsr_nn_linear_act(b, "3", y, c, TSR_NO_BIAS, TSR_ACT_SIGMOID);
  tsr_leave(b);
  return tsr_nn_mul(b, x, tsr_nn_reshape(b, y, tsr_shape_of(4, tsr_dim(b, x, 0), 1, 1, c)));
}

static tsr_value mbconv(tsr_builder *b, tsr_value x, const tsr_max_vit *c, int out, int stride) {
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

/* Distances in a window have a row each, and one more row is for whatever a register has part in. */
static int bias_index(const void *user, int i, int j) {
  const tsr_max_vit *c = user;
  int w = c->window, side = 2 * w - 1;
  i -= c->registers, j -= c->registers;
  return i < 0 || j < 0 ? side * side : (i / w - j / w + w - 1) * side + i % w - j % w + w - 1;
}

tsr_value tsr_max_vit_attend(tsr_builder *b, tsr_value x, tsr_value map, const tsr_max_vit *c, tsr_windows windows,
                             int block) {
  char tap[64];
  int heads = tsr_dim(b, map, 3) / c->dim_head, w = c->window, n = c->registers + w * w, side = 2 * w - 1;
  tsr_print(tap, sizeof tap, "blocks.%d.%s_attn", block, windows.spread ? "grid" : "block");
  tsr_value table =
      tsr_weight_vector(b, "rel_pos_bias.weight", tsr_shape_of(2, side * side + (c->registers > 0), heads));
  tsr_attention attention =
      tsr_nn_heads(heads, c->dim_head, tsr_nn_window_meaning(b, map, windows, "attention"), block);
  attention.tap = tap;
  attention.meaning.prefix_tokens = (short)c->registers;
  attention.bias = tsr_nn_bias_table(b, table, n, n, 1, bias_index, c);
  return tsr_nn_mha(b, x, &(tsr_mha){.attention = attention, .to_out = "to_out.0", .out_unbiased = 1}, x);
}

tsr_value tsr_max_vit_logits(tsr_builder *b, const tsr_max_vit *c, tsr_max_vit_axes *axes) {
  tsr_value x = tsr_nn_input_map(b, c->channels, (2 << c->stages) * c->window);
  tsr_enter(b, "conv_stem");
  x = tsr_nn_conv2d(b, "0", x, kernel(3, c->stem, 2, TSR_ACT_NONE));
  x = tsr_nn_conv2d(b, "1", x, kernel(3, c->stem, 1, TSR_ACT_NONE));
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0, block = 0; s < c->stages; s++)
    for (int i = 0; i < c->depth[s]; i++, block++) {
      tsr_enter(b, "layers.%d", block);
      x = mbconv(b, x, c, c->dim << s, i ? 1 : 2);
      tsr_leave(b);
      x = axes(b, x, c, block);
      tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "blocks.%d", block);
    }
  tsr_enter(b, "mlp_head");
  x = tsr_nn_layer_norm(b, "1", tsr_nn_map_mean(b, x));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c->num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}
