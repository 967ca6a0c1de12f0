/* T2T-ViT: "Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet" (Yuan et al., 2021, arXiv
 * 2101.11986), a ViT whose tokens are unfolded repeatedly from overlapping windows.
 * Reference: vit-pytorch 1.26.11, module t2t, class T2TViT.
 *
 *   t = unfold(x, k, s)                        overlapping windows of the map: [N, C k k]
 *   t = LN(layer(t)), laid out as a map again  one pre-norm layer with one head as wide as t; not after the last unfold
 *   z = [x_class; Linear(t)] + E_pos;  ViT's layers;  y = Linear(LN(z)[class]), or of the mean over tokens
 *
 * Traps:
 * - Unfold's columns are ordered (channel, row, column); its border is half the stride.
 * - The width grows by k k each time: 147, 1323, 11907 with the paper's windows.
 * - The layer with one head has no output projection.
 * - The head has no norm of its own. */
#include "arch.h"

enum { MAX_UNFOLDS = 8, MAX_WIDTH = 1 << 17 };

typedef struct t2t_config {
  tsr_vit vit;                                 /* image: the grid of the last unfold; patch: 1 */
  int image, unfolds, windows[MAX_UNFOLDS][2]; /* kernel and stride of each */
} t2t_config;

static t2t_config read_config(tsr_builder *b) {
  static const char *const training[] = {"dropout", "emb_dropout", NULL};
  static const int windows[3][2] = {{7, 4}, {3, 2}, {3, 2}};
  t2t_config c = {.vit = {.patch = {1, 1}}};
  c.image = tsr_config_int(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  c.vit.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.vit.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  c.vit.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.vit.heads = tsr_config_int(b, "heads", TSR_REQUIRED, 1, TSR_MAX_HEADS);
  c.vit.mlp_dim = tsr_config_int(b, "mlp_dim", TSR_REQUIRED, 1, TSR_MAX_DIM * 4);
  c.vit.dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  tsr_vit_config_more(b, &c.vit);
  c.unfolds = tsr_config_pairs(b, "t2t_layers", windows, 3, 1, 63, MAX_UNFOLDS, c.windows);
  tsr_settings_ignore(b, &b->config, training);
  int side = c.image, width = c.vit.channels;
  for (int i = 0; i < c.unfolds; i++) {
    int kernel = c.windows[i][0], stride = c.windows[i][1];
    side = side + stride / 2 * 2 < kernel ? 0 : (side + stride / 2 * 2 - kernel) / stride + 1;
    width = width > MAX_WIDTH ? width : width * kernel * kernel;
  }
  if (width > MAX_WIDTH || side < 1)
    tsr_fail(b, TSR_ERR_CONFIG,
             width > MAX_WIDTH ? "config key \"t2t_layers\" makes tokens wider than the limit, %d"
                               : "config key \"t2t_layers\" leaves no tokens of \"image_size\", %d",
             width > MAX_WIDTH ? MAX_WIDTH : c.image);
  c.vit.image[0] = c.vit.image[1] = side;
  return c;
}

/* [B,C,H,W] -> [B,N,C'] and the grid of the N tokens */
static tsr_value unfolds(tsr_builder *b, tsr_value image, const t2t_config *c, tsr_meaning *tokens) {
  tsr_value x = tsr_nn_channels_last(b, image);
  for (int i = 0; i < c->unfolds; i++) {
    x = tsr_nn_unfold(b, x, c->windows[i][0], c->windows[i][1], c->windows[i][1] / 2);
    tsr_shape s = tsr_shape_at(b, x);
    if (x == TSR_NO_VALUE) return x;
    *tokens = (tsr_meaning){"tokens", s.dims[1], s.dims[2], 0};
    x = tsr_nn_reshape(b, x, tsr_shape_of(3, s.dims[0], s.dims[1] * s.dims[2], s.dims[3]));
    tsr_tap_add(b, x, *tokens, "unfold.%d", i);
    if (i + 1 == c->unfolds) break;
    char prefix[24];
    tsr_print(prefix, sizeof prefix, "unfold.%d.", i);
    tsr_transformer one = {.depth = 1,
                           .heads = 1,
                           .head_dim = s.dims[3],
                           .mlp_dim = s.dims[3],
                           .last = "4",
                           .tokens = *tokens,
                           .prefix = prefix};
    tsr_enter(b, "%d", 4 * i + 3);
    x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &one));
    tsr_leave(b);
    x = tsr_nn_reshape(b, x, s);
  }
  return x;
}

static tsr_value build(tsr_builder *b) {
  t2t_config c = read_config(b);
  tsr_value image = tsr_input_image(b, c.vit.channels, c.image, c.image);
  if (!tsr_failed(b) && (tsr_dim(b, image, 2) > c.image || tsr_dim(b, image, 3) > c.image))
    return tsr_fail(b, TSR_ERR_SHAPE,
                    "an image of %d x %d has more tokens than the position table; this model takes at most %d x %d",
                    tsr_dim(b, image, 2), tsr_dim(b, image, 3), c.image, c.image);
  tsr_meaning tokens = {0};
  tsr_enter(b, "to_patch_embedding");
  char last[16];
  tsr_print(last, sizeof last, "%d", 4 * c.unfolds);
  tsr_value x = tsr_nn_linear(b, last, unfolds(b, image, &c, &tokens), c.vit.dim, TSR_BIAS);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "patch_embed");
  x = tsr_vit_start(b, x, &c.vit, &tokens);

  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c.vit, tokens);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_linear(b, "mlp_head", tsr_vit_pool(b, x, &c.vit), c.vit.num_classes, TSR_BIAS);
}

#define SIZE(dim, depth, heads, mlp)                                                                                  \
  "{\"image_size\":224,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads ",\"mlp_dim\":" mlp \
  "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"num_classes\":10,\"dim\":16,\"depth\":1,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8,"
     "\"t2t_layers\":[[3,2],[3,2]]}"},
    {"t2t_vit_7", SIZE("256", "7", "4", "512")},
    {"t2t_vit_14", SIZE("384", "14", "6", "1152")},
    {"t2t_vit_19", SIZE("448", "19", "7", "1344")},
    {"t2t_vit_24", SIZE("512", "24", "8", "1536")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_t2t = {
    .name = "t2t",
    .title = "Tokens-to-Token ViT",
    .paper = "Yuan et al. 2021, arXiv 2101.11986",
    .reference = "vit-pytorch 1.26.11, t2t.T2TViT",
    .presets = presets,
    .build = build,
};
