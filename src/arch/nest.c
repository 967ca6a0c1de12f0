/* NesT: "Nested Hierarchical Transformer: Towards Accurate, Data-Efficient and Interpretable Visual Understanding"
 * (Zhang et al., 2021, arXiv 2105.12723), transformers in blocks that merge level by level.
 * Reference: vit-pytorch 1.26.11, module nest, class NesT.
 *
 *   x = LN(Linear(LN(patches)))
 *   for each hierarchy l, the first with 4^(levels - 1) blocks, the last with one:
 *     cut the map into 2^l x 2^l blocks;  x = x + position (one number a token, the same in all blocks and channels)
 *     depth_l times: x = x + MSA(LN(x)), x = x + MLP(LN(x)), each block by itself
 *     put the map together;  x = MaxPool(LN(Conv3(x)))       not after the last
 *   y = Linear(mean over pixels of LN(x))
 *
 * Traps:
 * - Blocks keep their number of tokens: pooling halves the map's sides, and the number of blocks is quartered.
 * - Width and heads double with each hierarchy.
 * - pos_emb has no channels.
 * - dim_head is accepted and not read: heads are dim / heads wide. */
#include <math.h>

#include "arch.h"

enum { MOST = 8 };

typedef struct nest_config {
  int image, patch, dim, heads, hierarchies, depth[MOST], mlp_mult, channels, num_classes, seq;
} nest_config;

static nest_config read_config(tsr_builder *b) {
  static const char *const unread[] = {"dropout", "dim_head", NULL};
  nest_config c;
  c.image = tsr_config_int(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  c.patch = tsr_config_int(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  tsr_config_check_patches(b, (int[]){c.image, c.image}, (int[]){c.patch, c.patch});
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, 4096);
  c.heads = tsr_config_int(b, "heads", TSR_REQUIRED, 1, c.dim);
  c.hierarchies = tsr_config_int(b, "num_hierarchies", TSR_REQUIRED, 1, MOST);
  tsr_config_list(b, "block_repeats", NULL, 0, TSR_MAX_DEPTH, c.hierarchies, c.hierarchies, c.depth);
  c.mlp_mult = tsr_config_int(b, "mlp_mult", 4, 1, 16);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, unread);
  int side = c.image / c.patch, blocks = 1 << (c.hierarchies - 1);
  c.seq = side / blocks * (side / blocks);
  if (side % blocks)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"image_size\", %d, gives a map of %d x %d; \"num_hierarchies\", %d, cuts it into %d x %d "
             "blocks, which must divide its sides",
             c.image, side, side, c.hierarchies, blocks, blocks);
  return c;
}

static tsr_value block(tsr_builder *b, tsr_value x, int heads, int mlp_mult, tsr_meaning map, int level, int layer) {
  char tap[64];
  int dim = tsr_dim(b, x, -1), head_dim = dim / heads, inner = heads * head_dim;
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", level, layer);
  tsr_enter(b, "layers.%d.0", layer);
  tsr_value y = tsr_nn_channel_norm(b, "norm", x);
  y = tsr_nn_pointwise(b, "to_qkv", y, 3 * inner, TSR_NO_BIAS);
  y = tsr_nn_attention_qkv(
      b, y,
      (tsr_attention){
          .heads = heads, .head_dim = head_dim, .scale = 1 / sqrtf((float)head_dim), .meaning = map, .tap = tap});
  x = tsr_nn_pointwise_add(b, "to_out.0", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.1.net", layer);
  x = tsr_nn_map_feed_forward_add(b, x, dim * mlp_mult);
  tsr_leave(b);
  return x;
}

/* Hierarchy `level`; a map in, a map of the same size out. */
static tsr_value hierarchy(tsr_builder *b, tsr_value map, const nest_config *c, int level) {
  int blocks = 1 << (c->hierarchies - 1 - level), h = tsr_dim(b, map, 1) / blocks, w = tsr_dim(b, map, 2) / blocks;
  tsr_windows cut = {h, w, 0};
  tsr_meaning inside = tsr_nn_window_meaning(b, map, cut, "tokens");
  tsr_enter(b, "layers.%d.0", level);
  tsr_value position = tsr_weight_vector(b, "pos_emb", tsr_shape_of(1, c->seq));
  tsr_value x = tsr_nn_add(b, tsr_nn_windows(b, map, cut), tsr_nn_reshape(b, position, tsr_shape_of(3, 1, c->seq, 1)));
  for (int i = 0; i < c->depth[level]; i++) {
    x = block(b, x, c->heads << level, c->mlp_mult, inside, level, i);
    tsr_tap_add(b, x, inside, "stages.%d.blocks.%d", level, i);
  }
  tsr_leave(b);
  x = tsr_nn_unwindows(b, x, cut, map);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d", level);
  return x;
}

static tsr_value aggregate(tsr_builder *b, tsr_value x, int level, int out) {
  tsr_conv conv = tsr_nn_square(3, out, 1, TSR_ACT_NONE);
  conv.bias = TSR_BIAS;
  tsr_enter(b, "layers.%d.1", level);
  x = tsr_nn_conv2d(b, "0", x, conv);
  x = tsr_nn_max_pool2d(b, tsr_nn_channel_norm(b, "1", x), 3, 2, 1);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  nest_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image, c.image);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_enter(b, "to_patch_embedding");
  tsr_value x = tsr_nn_patchify(b, image, c.patch, c.patch);
  x = tsr_nn_pointwise(b, "2", tsr_nn_channel_norm(b, "1", x), c.dim, TSR_BIAS);
  x = tsr_nn_channel_norm(b, "3", x);
  tsr_leave(b);
  tsr_tap_add(b, x, (tsr_meaning){"tokens", c.image / c.patch, c.image / c.patch, 0}, "patch_embed");
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, tsr_dim(b, image, 0), c.image / c.patch, c.image / c.patch, c.dim));
  for (int l = 0; l < c.hierarchies; l++) {
    x = hierarchy(b, x, &c, l);
    if (l + 1 < c.hierarchies) x = aggregate(b, x, l, c.dim << (l + 1));
  }
  tsr_enter(b, "mlp_head");
  x = tsr_nn_map_mean(b, tsr_nn_channel_norm(b, "0", x));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

#define SIZE(dim, heads, repeats)                                                              \
  "{\"image_size\":224,\"patch_size\":4,\"num_classes\":1000,\"dim\":" dim ",\"heads\":" heads \
  ",\"num_hierarchies\":3,\"block_repeats\":" repeats "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":4,\"num_classes\":10,\"dim\":16,\"heads\":1,\"num_hierarchies\":2,"
     "\"block_repeats\":1}"},
    {"nest_t", SIZE("96", "3", "[2,2,8]")},
    {"nest_s", SIZE("96", "3", "[2,2,20]")},
    {"nest_b", SIZE("128", "4", "[2,2,20]")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_nest = {
    .name = "nest",
    .title = "Nested Hierarchical Transformer",
    .paper = "Zhang et al. 2021, arXiv 2105.12723",
    .reference = "vit-pytorch 1.26.11, nest.NesT",
    .presets = presets,
    .build = build,
};
