/* SimpleViT for video: "Better plain ViT baselines for ImageNet-1k" (Beyer, Zhai, Kolesnikov, 2022, arXiv 2205.01580),
 * over patches in space and time.
 * Reference: vit-pytorch 1.26.11, module simple_vit_3d, class SimpleViT.
 *
 *   z0 = [x_p^1 E; ...; x_p^N E] + sincos3d(f, h, w)  no class token; patches as in vit_3d
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'        L times
 *   y  = Linear(mean over tokens of LN(z))
 *
 * Traps:
 * - The table's columns are (x sin, x cos, y sin, y cos, z sin, z cos), floor(dim / 6) each, z the frame, and zeros
 *   behind them; omega_i = 10000^(-i / (floor(dim / 6) - 1)).
 * - The table is computed for the video at hand. So any number of whole patches runs, unlike simple_vit.
 * - to_out has no bias and is always there.
 * - The feed-forward's second Linear is net.3. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_video(b);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  if (c.dim < 12) tsr_fail(b, TSR_ERR_CONFIG, "config key \"dim\" is %d; the sin-cos table needs at least 12", c.dim);
  tsr_meaning grid;
  tsr_value x = tsr_vit_add_sincos(b, tsr_vit_embed(b, &c, &grid), grid); /* [B,N,C] */
  tsr_transformer layers = tsr_vit_layers_simple(&c, grid);
  x = tsr_vit_transform_simple(b, x, &layers);
  c.mean_pool = 1;
  return tsr_nn_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

#define SIZE(dim, depth, heads, mlp)                                                                                  \
  "{\"image_size\":224,\"image_patch_size\":16,\"frames\":32,\"frame_patch_size\":2,\"num_classes\":400,\"dim\":" dim \
  ",\"depth\":" depth ",\"heads\":" heads ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"image_patch_size\":8,\"frames\":4,\"frame_patch_size\":2,\"num_classes\":10,\"dim\":16,"
     "\"depth\":2,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8}"},
    {"simple_vit_s_16x2", SIZE("384", "12", "6", "1536")},
    {"simple_vit_b_16x2", SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_vit_3d = {
    .name = "simple_vit_3d",
    .title = "SimpleViT for video",
    .paper = "Beyer, Zhai, Kolesnikov 2022, arXiv 2205.01580",
    .reference = "vit-pytorch 1.26.11, simple_vit_3d.SimpleViT",
    .presets = presets,
    .build = build,
};
