/* CrossViT as published: "CrossViT: Cross-Attention Multi-Scale Vision Transformer for Image Classification" (Chen,
 * Fan, Panda, 2021, arXiv 2103.14899), two ViTs whose class tokens attend to each other's patches.
 * Reference: timm 1.0.31, models.crossvit, class CrossVit.
 *
 *   s, l = [class; Conv(image)] + E_pos of small and of large patches; l sees the image resized
 *   for each block:
 *     s, l: layers of attention and MLP, pre-norm, depths[0] and depths[1] of them
 *     s_cls = back(CA([to(s_cls); l_patches]));  l_cls = back(CA([to(l_cls); s_patches]))
 *     CA(x) = x_cls + Attend(LN(x)), queries of x_cls alone; to, back = Linear(GELU(LN(x))) between the two widths
 *   y = (Linear(LN(s)_cls) + Linear(LN(l)_cls)) / 2
 *
 * Traps:
 * - Both class tokens exchange at once: neither sees what the other became.
 * - CA norms the other scale's patches too.
 * - Images are resized without antialiasing, with a = -0.75 (PyTorch's bicubic), or cut where crop_scale is set.
 * - With further CAs (depths[2] above 1) the second has the class token alone to look at.
 * - eps of all norms is 1e-6. */
#include <string.h>

#include "arch.h"

enum { MOST = 16 };

static const char *const scales[2] = {"sm", "lg"}; /* in names of taps: small and large patches */

typedef struct timm_cross_vit_config {
  int image[2], sizes[2][2], channels, num_classes, blocks, depth[3][MOST];
  int dim[2], patch[2], heads[2], multi_conv, crop, qkv_bias, mean_pool;
  float mlp_ratio[2];
} timm_cross_vit_config;

static timm_cross_vit_config read_config(tsr_builder *b) {
  static const char *const pools[] = {"token", "avg", NULL};
  timm_cross_vit_config c = {.mlp_ratio = {2, 2}, .depth = {{1, 1, 1}, {3, 3, 3}, {1, 1, 1}}};
  int counts[3];
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  for (int d = 0; d < 2; d++) memcpy(c.sizes[d], c.image, sizeof c.image);
  tsr_config_rows(b, "branch_sizes", 1, TSR_MAX_SIDE, 2, 2, c.sizes[0], counts);
  tsr_config_list(b, "patch_size", (int[]){8, 16}, 1, TSR_MAX_SIDE, 2, 2, c.patch);
  tsr_config_list(b, "embed_dim", (int[]){192, 384}, 1, TSR_MAX_DIM, 2, 2, c.dim);
  tsr_config_list(b, "num_heads", (int[]){6, 12}, 1, TSR_MAX_HEADS, 2, 2, c.heads);
  counts[0] = counts[1] = counts[2] = 3;
  tsr_config_rows(b, "depths", 0, TSR_MAX_DEPTH, 3, MOST, c.depth[0], counts);
  tsr_setting_numbers(b, &b->config, "mlp_ratio", 2, c.mlp_ratio);
  c.multi_conv = tsr_config_bool(b, "multi_conv", 0);
  c.crop = tsr_config_bool(b, "crop_scale", 0);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.mean_pool = tsr_config_choice(b, "global_pool", pools, 0);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.blocks = counts[0];
  for (int d = 0; d < 2; d++) {
    tsr_config_check_patches(b, c.sizes[d], (int[]){c.patch[d], c.patch[d]});
    if (counts[1 + d] != c.blocks || c.dim[d] % c.heads[d] || (c.multi_conv && c.patch[d] != 12 && c.patch[d] != 16))
      tsr_fail(b, TSR_ERR_CONFIG,
               "config keys do not fit: \"depths\" has three lists of one length, \"embed_dim\" are multiples of "
               "\"num_heads\", and \"multi_conv\" takes patches of 12 or 16");
  }
  return c;
}

/* What a branch sees of the image [B,H,W,C]. */
static tsr_value scaled(tsr_builder *b, tsr_value image, const timm_cross_vit_config *c, int d) {
  int spare[2] = {tsr_dim(b, image, 1) - c->sizes[d][0], tsr_dim(b, image, 2) - c->sizes[d][1]};
  if (!c->crop || spare[0] < 0 || spare[1] < 0)
    return tsr_nn_resize(b, image, c->sizes[d][0], c->sizes[d][1], TSR_RESIZE_BICUBIC);
  for (int i = 0; i < 2; i++) {
    int from =
        spare[i] / 2 + (spare[i] & spare[i] / 2 & 1); /* half of it, rounded to an even number where it is a tie */
    image = tsr_nn_slice(b, image, 1 + i, from, from + c->sizes[d][i]);
  }
  return image;
}

static tsr_value norm(tsr_builder *b, const char *name, tsr_value x) {
  return tsr_nn_norm(b, name, x, (tsr_norm){.eps = 1e-6f});
}

/* Patches, class token and positions: [B,1+N,C]. */
static tsr_value embed(tsr_builder *b, tsr_value image, const timm_cross_vit_config *c, int d, tsr_meaning *tokens) {
  char name[32];
  int dim = c->dim[d], p = c->patch[d], s = p == 12 ? 3 : 2;
  const tsr_conv convs[3] = {{dim / 4, 7, 7, 4, 4, 3, 3, TSR_BIAS, TSR_ACT_RELU},
                             {dim / 2, 3, 3, s, s, s == 2, s == 2, TSR_BIAS, TSR_ACT_RELU},
                             {dim, 3, 3, p == 12 ? 1 : 2, p == 12 ? 1 : 2, 1, 1, TSR_BIAS, TSR_ACT_NONE}};
  tsr_value x = scaled(b, tsr_nn_channels_last(b, image), c, d);
  tsr_enter(b, "patch_embed.%d", d);
  if (c->multi_conv) {
    x = tsr_nn_conv2d(b, "proj.0", x, convs[0]);
    x = tsr_nn_conv2d(b, "proj.2", x, convs[1]);
    x = tsr_nn_conv2d(b, "proj.4", x, convs[2]);
  } else {
    x = tsr_nn_conv2d(b, "proj", x, (tsr_conv){dim, p, p, p, p, .bias = TSR_BIAS});
  }
  tsr_leave(b);
  *tokens = tsr_nn_map_meaning(b, x, "tokens");
  x = tsr_nn_tokens(b, x);
  tsr_tap_add(b, x, *tokens, "%s.patch_embed", scales[d]);
  tokens->prefix_tokens = 1;
  tsr_print(name, sizeof name, "cls_token_%d", d);
  x = tsr_nn_prepend(b, tsr_weight_vector(b, name, tsr_shape_of(3, 1, 1, dim)), x);
  tsr_print(name, sizeof name, "pos_embed_%d", d);
  tsr_value positions = tsr_weight_vector(b, name, tsr_shape_of(3, 1, tsr_dim(b, x, 1), dim));
  tsr_meaning table = *tokens;
  table.kind = "position";
  tsr_tap_add(b, tsr_nn_reshape(b, positions, tsr_shape_of(2, tsr_dim(b, x, 1), dim)), table, "%s.pos_embedding",
              scales[d]);
  return tsr_nn_add(b, x, positions);
}

/* A layer of one branch, of block k. */
static tsr_value layer(tsr_builder *b, tsr_value x, const timm_cross_vit_config *c, int d, int k, int i,
                       tsr_meaning tokens) {
  char tap[48];
  int dim = c->dim[d];
  tsr_attention attention = tsr_nn_heads(c->heads[d], dim / c->heads[d], tokens, i);
  tsr_print(tap, sizeof tap, "%s.%d.blocks.%%d.attn", scales[d], k);
  attention.tap = tap;
  tsr_enter(b, "%d", i);
  tsr_value y = tsr_nn_linear(b, "attn.qkv", norm(b, "norm1", x), 3 * dim, c->qkv_bias);
  x = tsr_nn_linear_add(b, "attn.proj", tsr_nn_attention_qkv(b, y, attention), dim, TSR_BIAS, x);
  /* a ratio such as 2.7 is no float: what is missing must not cost a row */
  y = tsr_nn_linear_act(b, "mlp.fc1", norm(b, "norm2", x), (int)((float)dim * c->mlp_ratio[d] + 0.01f), TSR_BIAS,
                        TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "mlp.fc2", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "%s.%d.blocks.%d", scales[d], k, i);
  return x;
}

/* Linear(GELU(LN(x))) below `name`.d */
static tsr_value convert(tsr_builder *b, const char *name, int d, tsr_value x, int out) {
  tsr_enter(b, "%s.%d", name, d);
  x = tsr_nn_linear(b, "2", tsr_nn_activate(b, norm(b, "0", x), TSR_ACT_GELU), out, TSR_BIAS);
  tsr_leave(b);
  return x;
}

/* The class token of branch d after its look at the patches of the other branch, x[!d]: [B,1,C]. */
static tsr_value fuse(tsr_builder *b, const tsr_value x[2], const timm_cross_vit_config *c, int d, int k,
                      tsr_meaning other) {
  char tap[48];
  int o = !d, dim = c->dim[o], count = c->depth[2][k], n = tsr_dim(b, x[o], 1);
  tsr_value y = convert(b, "projs", d, tsr_nn_slice(b, x[d], 1, 0, 1), dim);
  y = tsr_nn_concat(b, 1, 2, (tsr_value[]){y, tsr_nn_slice(b, x[o], 1, 1, n)});
  tsr_print(tap, sizeof tap, "%s.%d.cross.%%d.attn", scales[d], k);
  for (int j = 0; j < (count ? count : 1); j++) {
    tsr_attention attention = tsr_nn_heads(c->heads[o], dim / c->heads[o], other, j);
    attention.tap = tap;
    if (j) attention.meaning = (tsr_meaning){.prefix_tokens = 1};
    if (count) tsr_enter(b, "fusion.%d.%d", d, j);
    else tsr_enter(b, "fusion.%d", d);
    tsr_value z = norm(b, "norm1", y);
    tsr_value q = tsr_nn_linear(b, "attn.wq", tsr_nn_slice(b, z, 1, 0, 1), dim, c->qkv_bias);
    tsr_value key = tsr_nn_linear(b, "attn.wk", z, dim, c->qkv_bias);
    tsr_value value = tsr_nn_linear(b, "attn.wv", z, dim, c->qkv_bias);
    y = tsr_nn_linear_add(b, "attn.proj", tsr_nn_attention(b, q, key, value, attention), dim, TSR_BIAS,
                          tsr_nn_slice(b, y, 1, 0, 1));
    tsr_leave(b);
  }
  return convert(b, "revert_projs", d, y, c->dim[d]);
}

static tsr_value head(tsr_builder *b, const tsr_value x[2], const timm_cross_vit_config *c) {
  tsr_value pooled[2], logits[2];
  char name[16];
  for (int d = 0; d < 2; d++) {
    tsr_print(name, sizeof name, "norm.%d", d);
    tsr_value y = norm(b, name, x[d]);
    pooled[d] = c->mean_pool ? tsr_nn_mean(b, tsr_nn_slice(b, y, 1, 1, tsr_dim(b, y, 1)), 1) : tsr_nn_token(b, y, 0);
    tsr_tap_add(b, pooled[d], (tsr_meaning){.kind = "embedding"}, "%s.embedding", scales[d]);
    tsr_print(name, sizeof name, "head.%d", d);
    if (c->num_classes) logits[d] = tsr_nn_linear(b, name, pooled[d], c->num_classes, TSR_BIAS);
  }
  tsr_value both = tsr_nn_concat(b, 1, 2, pooled);
  tsr_tap_add(b, both, (tsr_meaning){.kind = "embedding"}, "embedding");
  if (c->num_classes) return tsr_nn_times(b, tsr_nn_add(b, logits[0], logits[1]), 0.5f);
  tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
  return both;
}

static tsr_value build(tsr_builder *b) {
  timm_cross_vit_config c = read_config(b);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]), x[2];
  tsr_meaning tokens[2];
  if (tsr_failed(b)) return TSR_NO_VALUE;
  for (int d = 0; d < 2; d++) x[d] = embed(b, image, &c, d, &tokens[d]);
  for (int k = 0; k < c.blocks; k++) {
    tsr_value cls[2];
    tsr_enter(b, "blocks.%d", k);
    for (int d = 0; d < 2; d++) {
      tsr_enter(b, "blocks.%d", d);
      for (int i = 0; i < c.depth[d][k]; i++) x[d] = layer(b, x[d], &c, d, k, i, tokens[d]);
      tsr_leave(b);
    }
    for (int d = 0; d < 2; d++) cls[d] = fuse(b, x, &c, d, k, tokens[!d]);
    for (int d = 0; d < 2; d++) {
      x[d] = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls[d], tsr_nn_slice(b, x[d], 1, 1, tsr_dim(b, x[d], 1))});
      tsr_tap_add(b, x[d], tokens[d], "%s.%d", scales[d], k);
    }
    tsr_leave(b);
  }
  return head(b, x, &c);
}

#define SIZE(dims, heads, depth, mlp, more)                                                               \
  "{\"image_size\":240,\"branch_sizes\":[[240,240],[224,224]],\"patch_size\":[12,16],\"embed_dim\":" dims \
  ",\"num_heads\":" heads ",\"depths\":[[1,1,1],[" depth "," depth "," depth "],[0,0,0]],\"mlp_ratio\":" mlp more "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":24,\"num_classes\":10,\"branch_sizes\":[[24,24],[20,20]],\"patch_size\":[8,10],"
     "\"embed_dim\":[8,12],\"num_heads\":[2,3],\"depths\":[[1],[2],[0]]}"},
    {"crossvit_tiny_240", SIZE("[96,192]", "[3,3]", "4", "[4,4]", "")},
    {"crossvit_9_240", SIZE("[128,256]", "[4,4]", "3", "[3,3]", "")},
    {"crossvit_9_dagger_240", SIZE("[128,256]", "[4,4]", "3", "[3,3]", ",\"multi_conv\":true")},
    {"crossvit_18_dagger_240", SIZE("[224,448]", "[7,7]", "6", "[3,3]", ",\"multi_conv\":true")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_cross_vit = {
    .name = "timm_cross_vit",
    .title = "CrossViT, as published",
    .paper = "Chen, Fan, Panda 2021, arXiv 2103.14899",
    .reference = "timm 1.0.31, models.crossvit.CrossVit",
    .presets = presets,
    .build = build,
};
