/* SimpleViT: "Better plain ViT baselines for ImageNet-1k", Beyer, Zhai, Kolesnikov, 2022, arXiv 2205.01580.
 * Reference: vit-pytorch 1.26.11, module simple_vit, class SimpleViT.
 *
 *   z0 = [x_p^1 E; ...; x_p^N E] + sincos2d(h, w)     no class token; patches through LayerNorm, Linear, LayerNorm
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'        L times
 *   y  = Linear(mean over tokens of LN(z))
 *
 * Traps: to_out has no bias and is always there; the table's columns are (x sin, x cos, y sin, y cos), a quarter of dim each, with
 * omega_i = 10000^(-i / (dim/4 - 1)); it belongs to the config's grid, so other picture sizes are refused, as the
 * reference refuses them. feed-forward's second Linear is net.3 (no dropout between), unlike ViT's net.4. */
#include "../build.h"

typedef struct simple_vit_config {
  int image[2], patch[2], num_classes, dim, depth, heads, mlp_dim, channels, dim_head;
} simple_vit_config;

static simple_vit_config read_config(tsr_builder *b) {
  simple_vit_config c;
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.patch);
  tsr_config_check_patches(b, c.image, c.patch);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 8, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "heads", TSR_REQUIRED, 1, TSR_MAX_HEADS);
  c.mlp_dim = tsr_config_int(b, "mlp_dim", TSR_REQUIRED, 1, TSR_MAX_DIM * 4);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  c.dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  if (c.dim % 4) tsr_fail(b, TSR_ERR_CONFIG, "config key \"dim\" is %d; the sin-cos table needs a multiple of 4", c.dim);
  return c;
}

static tsr_value build(tsr_builder *b) {
  simple_vit_config c = read_config(b);
  int h = c.image[0] / c.patch[0], w = c.image[1] / c.patch[1];
  tsr_meaning grid = {"tokens", h, w, 0};
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_value x = tsr_nn_patch_embed(b, image, c.patch[0], c.patch[1], c.dim); /* [B,N,C] */
  tsr_tap_add(b, x, grid, "patch_embed");
  if (!tsr_failed(b) && tsr_dim(b, x, 1) != h * w)
    return tsr_fail(b, TSR_ERR_SHAPE, "a picture of %d x %d does not fit; this model takes %d x %d", tsr_dim(b, image, 2),
                    tsr_dim(b, image, 3), c.image[0], c.image[1]);
  x = tsr_vit_add_sincos(b, x, grid);

  tsr_enter(b, "transformer");
  x = tsr_nn_transformer(b, x, &(tsr_transformer){.depth = c.depth, .heads = c.heads, .head_dim = c.dim_head, .mlp_dim = c.mlp_dim,
                                                  .to_out = "to_out", .out_unbiased = 1, .last = "3", .tokens = grid});
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  tsr_tap_add(b, x, grid, "tokens");
  x = tsr_nn_mean(b, x, 1);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "linear_head", x, c.num_classes, TSR_BIAS);
}

#define SIZE(dim, depth, heads, mlp)                                                                                     \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,\"dim_head\":16}"},
    {"simple_vit_ti_16", SIZE("192", "12", "3", "768")},
    {"simple_vit_s_16", SIZE("384", "12", "6", "1536")},
    {"simple_vit_b_16", SIZE("768", "12", "12", "3072")},
    {NULL, NULL}};

const tsr_arch tsr_arch_simple_vit = {
    .name = "simple_vit",
    .title = "SimpleViT",
    .paper = "Beyer, Zhai, Kolesnikov 2022, arXiv 2205.01580",
    .reference = "vit-pytorch 1.26.11, simple_vit.SimpleViT",
    .presets = presets,
    .build = build,
};
