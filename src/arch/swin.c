/* Swin: "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows" (Liu, Lin, Cao, Hu, Wei, Zhang, Lin,
 * Guo, 2021, arXiv 2103.14030), attention in windows that are shifted by half a window in every second block.
 * Reference: timm 1.0.31, models.swin_transformer, class SwinTransformer.
 *
 *   z = LN(Conv_P(x)) (+ E_pos)
 *   each stage but the first: z = Linear(LN([z00; z10; z01; z11])), four pixels in one, twice as wide
 *     z = z + (S)W-MSA(LN(z));  z = z + MLP(LN(z))
 *   y = Linear(mean over pixels of LN(z))
 *   (S)W-MSA: softmax(q k^T / sqrt(D) + B) v in windows of M x M; every second block rolls the map by M / 2 first
 *
 * Traps:
 * - Where a window would reach across the edges of the map, pairs that are no neighbours get -100.
 * - Zeros that fill up the last windows are keys like others: they are not masked.
 * - The four pixels of a merging go down first, then right.
 * - A side that is no longer than its window is not shifted. transformers has windows by other rules (parts/swin.c) and
 *   pads before it rolls, timm after: the results differ where windows do not divide the map.
 * - layer_norm_eps is not that of the norms behind the convolution and in mergings. */
#include "arch.h"

static tsr_swin_parts parts(tsr_builder *b, tsr_value x, const tsr_swin *c, int s, const int w[2]) {
  tsr_shape table = tsr_shape_of(2, (2 * w[0] - 1) * (2 * w[1] - 1), c->heads[s]);
  return (tsr_swin_parts){.qkv = tsr_nn_linear(b, "qkv", x, 3 * (c->dim << s), c->qkv_bias),
                          .table = tsr_weight_vector(b, "relative_position_bias_table", table)};
}

static tsr_value attend(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention attention, void *user) {
  (void)x, (void)user;
  return tsr_nn_attention_qkv(b, qkv, attention);
}

static tsr_value build(tsr_builder *b) {
  tsr_swin c = tsr_swin_config(b);
  c.absolute = tsr_config_bool(b, "use_absolute_embeddings", 0);
  c.masked = -100;
  c.parts = parts;
  c.attend = attend;
  return tsr_swin_model(b, &c);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dim\":8,\"depths\":[2,2],\"num_heads\":[1,2],\"window_size\":4}"},
    {"swin_tiny_patch4_window7_224", "{\"depths\":[2,2,6,2]}"},
    {"swin_small_patch4_window7_224", "{\"depths\":[2,2,18,2]}"},
    {"swin_base_patch4_window7_224", "{\"embed_dim\":128,\"depths\":[2,2,18,2],\"num_heads\":[4,8,16,32]}"},
    {"swin_s3_tiny_224", "{\"depths\":[2,2,6,2],\"window_size\":[7,7,14,7]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_swin = {
    .name = "swin",
    .title = "Swin Transformer",
    .paper = "Liu et al. 2021, arXiv 2103.14030",
    .reference = "timm 1.0.31, models.swin_transformer.SwinTransformer",
    .presets = presets,
    .build = build,
};
