/* MaxViT with register tokens: "Vision Transformers Need Registers" (Darcet, Oquab, Mairal, Bojanowski, 2023, arXiv
 * 2309.16588) in "MaxViT: Multi-Axis Vision Transformer" (Tu et al., 2022, arXiv 2204.01697).
 * Reference: vit-pytorch 1.26.11, module max_vit_with_registers, class MaxViT.
 *
 *   max_vit, whose blocks have registers r [R,C] of their own:
 *     x = MBConv(x)                                       + x where the shape stays
 *     in each window of w x w neighbours:   [r; x] += MSA([r; x]);  [r; x] += MLP([r; x])
 *     r = mean over windows of r
 *     on each grid of w x w pixels spread over the map:   [r; x] += MSA([r; x]);  x += MLP(x)     r is dropped
 *
 * Traps:
 * - Registers come before the pixels.
 * - The bias table has one row more, the last, for every pair with a register.
 * - The mean is over the registers behind the first MLP.
 * - The second MLP does not have the registers. */
#include "arch.h"

/* Attention over the registers [B * windows, R, C] and the map's windows: [B * windows, R + w w, C] */
static tsr_value attend(tsr_builder *b, tsr_value registers, tsr_value map, const tsr_max_vit *c, tsr_windows windows,
                        int block) {
  tsr_value x = tsr_nn_concat(b, 1, 2, (tsr_value[]){registers, tsr_nn_windows(b, map, windows)});
  tsr_enter(b, "layers.%d.%d.0", block, 1 + windows.spread);
  x = tsr_max_vit_attend(b, x, map, c, windows, block);
  tsr_leave(b);
  return x;
}

static tsr_value feed_forward(tsr_builder *b, tsr_value x, int part, int block) {
  tsr_enter(b, "layers.%d.%d.1", block, part);
  x = tsr_nn_bare_feed_forward(b, x, 4 * tsr_dim(b, x, 2), "4", x);
  tsr_leave(b);
  return x;
}

/* Registers [1 or B,1,R,C], repeated for each window of an image: [B * windows, R, C] */
static tsr_value repeat(tsr_builder *b, tsr_value registers, int batch, int windows) {
  int count = tsr_dim(b, registers, 2), dim = tsr_dim(b, registers, 3);
  registers = tsr_nn_expand(b, registers, tsr_shape_of(4, batch, windows, count, dim));
  return tsr_nn_reshape(b, registers, tsr_shape_of(3, batch * windows, count, dim));
}

static tsr_value axes(tsr_builder *b, tsr_value map, const tsr_max_vit *c, int block) {
  int batch = tsr_dim(b, map, 0), dim = tsr_dim(b, map, 3), w = c->window, count = c->registers, all = count + w * w;
  char name[32];
  if (tsr_failed(b)) return TSR_NO_VALUE;
  int windows = tsr_dim(b, map, 1) / w * (tsr_dim(b, map, 2) / w);
  tsr_windows near = {w, w, 0}, far = {w, w, 1};
  tsr_print(name, sizeof name, "register_tokens.%d", block);
  tsr_value registers =
      tsr_nn_reshape(b, tsr_weight_vector(b, name, tsr_shape_of(2, count, dim)), tsr_shape_of(4, 1, 1, count, dim));
  tsr_value x = feed_forward(b, attend(b, repeat(b, registers, batch, windows), map, c, near, block), 1, block);
  registers = tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 0, count), tsr_shape_of(4, batch, windows, count, dim));
  registers = tsr_nn_mean(b, registers, 1);
  tsr_tap_add(b, registers, (tsr_meaning){.kind = "tokens", .prefix_tokens = (short)count}, "blocks.%d.registers",
              block);
  registers = tsr_nn_reshape(b, registers, tsr_shape_of(4, batch, 1, count, dim));
  map = tsr_nn_unwindows(b, tsr_nn_slice(b, x, 1, count, all), near, map);
  x = attend(b, repeat(b, registers, batch, windows), map, c, far, block);
  return tsr_nn_unwindows(b, feed_forward(b, tsr_nn_slice(b, x, 1, count, all), 2, block), far, map);
}

static tsr_value build(tsr_builder *b) {
  tsr_max_vit c = tsr_max_vit_config(b);
  c.registers = tsr_config_int(b, "num_register_tokens", 4, 1, 1024);
  return tsr_max_vit_logits(b, &c, axes);
}

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"num_classes\":10,\"dim\":8,\"dim_head\":4,\"depth\":[1,1],\"window_size\":4}"},
    {"registers_t", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":64,\"depth\":[2,2,5,2]}"},
    {"registers_s", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":96,\"depth\":[2,2,5,2]}"},
    {"registers_b", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":96,\"depth\":[2,6,14,2]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_max_vit_with_registers = {
    .name = "max_vit_with_registers",
    .title = "MaxViT with register tokens",
    .paper = "Darcet et al. 2023, arXiv 2309.16588",
    .reference = "vit-pytorch 1.26.11, max_vit_with_registers.MaxViT",
    .presets = presets,
    .build = build,
};
