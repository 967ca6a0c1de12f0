/* MaxViT: "MaxViT: Multi-Axis Vision Transformer" (Tu et al., 2022, arXiv 2204.01697), MBConv, attention in windows and
 * attention on grids in every block.
 * Reference: vit-pytorch 1.26.11, module max_vit, class MaxViT.
 *
 *   x = Conv3(Conv3/2(x))
 *   depth_s blocks in each stage, the first with stride 2:
 *     x = MBConv(x)                                       + x where the shape stays
 *     in windows of w x w neighbours, then on grids of w x w pixels spread over the map:
 *       x = x + MSA(x);  x = x + MLP(x)
 *   MBConv(x) = BN(Conv1(SE(GELU(BN(DW(GELU(BN(Conv1(x)))))))))    SE(x) = x * sigmoid(W SiLU(W mean(x)))
 *   y = Linear(LN(mean over pixels of x))
 *
 * Traps:
 * - The hidden width is expansion times the block's OUTPUT width.
 * - SE shrinks the hidden width.
 * - The projection of attention has no bias.
 * - Each attention has its own bias table of (dy (2w - 1) + dx).
 * - Blocks are numbered through all stages.
 * - There is no norm or activation between the stem's convolutions. */
#include "arch.h"

/* Attention and MLP, in windows or on grids; weights are in `first`.fn and `first + 1`.fn. */
static tsr_value axis(tsr_builder *b, tsr_value map, const tsr_max_vit *c, int block, int spread) {
  int first = spread ? 6 : 2;
  tsr_windows windows = {c->window, c->window, spread};
  tsr_value x = tsr_nn_windows(b, map, windows);
  tsr_enter(b, "layers.%d.%d.fn", block, first);
  x = tsr_max_vit_attend(b, x, map, c, windows, block);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.%d.fn", block, first + 1);
  x = tsr_nn_feed_forward(b, x, 4 * tsr_dim(b, map, 3), "4", x);
  tsr_leave(b);
  return tsr_nn_unwindows(b, x, windows, map);
}

static tsr_value axes(tsr_builder *b, tsr_value map, const tsr_max_vit *c, int block) {
  return axis(b, axis(b, map, c, block, 0), c, block, 1);
}

static tsr_value build(tsr_builder *b) {
  tsr_max_vit c = tsr_max_vit_config(b);
  return tsr_max_vit_logits(b, &c, axes);
}

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"num_classes\":10,\"dim\":8,\"dim_head\":4,\"depth\":[1,1],\"window_size\":4}"},
    {"max_vit_t", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":64,\"depth\":[2,2,5,2]}"},
    {"max_vit_s", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":96,\"depth\":[2,2,5,2]}"},
    {"max_vit_b", "{\"num_classes\":1000,\"dim_conv_stem\":64,\"dim\":96,\"depth\":[2,6,14,2]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_max_vit = {
    .name = "max_vit",
    .title = "MaxViT",
    .paper = "Tu et al. 2022, arXiv 2204.01697",
    .reference = "vit-pytorch 1.26.11, max_vit.MaxViT",
    .presets = presets,
    .build = build,
};
