/* PiT as published: "Rethinking Spatial Dimensions of Vision Transformers" (Heo et al., 2021, arXiv 2103.16302), a ViT
 * that pools its tokens between stages.
 * Reference: timm 1.0.31, models.pit, class PoolingVisionTransformer; the published weights fit it.
 *
 *   map = Conv(x) + E_pos                                   overlapping patches; the class token c has no position
 *   each stage but the first: map = DW3/2(map);  c = Linear(c)      a channel has several kernels
 *   depth_s times:            [c; map] = pre-norm layer([c; map])
 *   y = Linear(LN(c));  with two tokens (distilled) y = (Linear(LN(c_1)) + Linear'(LN(c_2))) / 2
 *
 * Traps:
 * - Positions have channels first, [1,C,H,W].
 * - The last norm is of the class tokens alone.
 * - eps is 1e-6. */
#include "arch.h"

enum { MOST = 8 };

typedef struct pit_config {
  int image[2], patch[2], stride, channels, num_classes, stages, dim[MOST], depth[MOST], heads[MOST], tokens;
  double mlp_ratio;
} pit_config;

static const tsr_norm norm = {TSR_NORM_LAYER, 1e-6f};

static pit_config read_config(tsr_builder *b) {
  static const char *const pools[] = {"token", NULL};
  static const char *const training[] = {"drop_rate",      "pos_drop_rate",  "proj_drop_rate",
                                         "attn_drop_rate", "drop_path_rate", NULL};
  pit_config c;
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", 16, 1, TSR_MAX_SIDE, c.patch);
  c.stride = tsr_config_int(b, "stride", 8, 1, TSR_MAX_SIDE);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.stages = tsr_config_list(b, "embed_dim", NULL, 1, TSR_MAX_DIM, 1, MOST, c.dim);
  tsr_config_list(b, "depths", NULL, 0, TSR_MAX_DEPTH, c.stages, c.stages, c.depth);
  tsr_config_list(b, "num_heads", NULL, 1, TSR_MAX_HEADS, c.stages, c.stages, c.heads);
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 4, 1.0 / TSR_MAX_DIM, 64);
  c.tokens = 1 + tsr_config_bool(b, "distilled", 0);
  tsr_config_choice(b, "global_pool", pools, 0);
  tsr_settings_ignore(b, &b->config, training);
  for (int s = 0; s < c.stages; s++)
    if (c.dim[s] % c.heads[s] || (s && c.dim[s] % c.dim[s - 1]))
      tsr_fail(
          b, TSR_ERR_CONFIG,
          "config key \"embed_dim\" gives stage %d a width of %d; expected a multiple of its heads, %d, and of the "
          "stage before",
          s, c.dim[s], c.heads[s]);
  return c;
}

/* Conv(x) + E_pos: [B,C,H,W] -> [B,h,w,C] */
static tsr_value embed(tsr_builder *b, tsr_value image, const pit_config *c) {
  tsr_conv conv = {.out = c->dim[0],
                   .kernel_h = c->patch[0],
                   .kernel_w = c->patch[1],
                   .stride_h = c->stride,
                   .stride_w = c->stride,
                   .bias = TSR_BIAS};
  tsr_value x = tsr_nn_conv2d(b, "patch_embed.conv", tsr_nn_channels_last(b, image), conv);
  tsr_tap_add(b, tsr_nn_tokens(b, x), tsr_nn_map_meaning(b, x, "tokens"), "patch_embed");
  int h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2);
  tsr_value position = tsr_weight_vector(b, "pos_embed", tsr_shape_of(4, 1, c->dim[0], h, w));
  position = tsr_nn_permute(b, position, (int[]){0, 2, 3, 1});
  tsr_tap_add(b, tsr_nn_reshape(b, position, tsr_shape_of(2, h * w, c->dim[0])), tsr_nn_map_meaning(b, x, "position"),
              "pos_embedding");
  return tsr_nn_add(b, x, position);
}

/* A depthwise convolution with out / C kernels for each channel: [B,h,w,C] -> [B,h',w',out] */
static tsr_value pool(tsr_builder *b, tsr_value x, int out) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE) return x;
  int n = s.dims[1] * s.dims[2], dim = s.dims[3];
  x = tsr_nn_expand(b, tsr_nn_reshape(b, x, tsr_shape_of(4, s.dims[0], n, dim, 1)),
                    tsr_shape_of(4, s.dims[0], n, dim, out / dim));
  return tsr_nn_depthwise_conv2d(
      b, "conv", tsr_nn_reshape(b, x, tsr_shape_of(4, s.dims[0], s.dims[1], s.dims[2], out)),
      (tsr_conv){.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1, .bias = TSR_BIAS});
}

static tsr_value block(tsr_builder *b, tsr_value x, const pit_config *c, tsr_meaning tokens, int s, int i) {
  char tap[32];
  int dim = c->dim[s];
  tsr_attention attention = tsr_nn_heads(c->heads[s], dim / c->heads[s], tokens, i);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%%d.attn", s);
  attention.tap = tap;
  tsr_enter(b, "blocks.%d", i);
  tsr_value y = tsr_nn_linear(b, "attn.qkv", tsr_nn_norm(b, "norm1", x, norm), 3 * dim, TSR_BIAS);
  x = tsr_nn_linear_add(b, "attn.proj", tsr_nn_attention_qkv(b, y, attention), dim, TSR_BIAS, x);
  int hidden = (int)(dim * c->mlp_ratio + 1e-6); /* the ratio may be a quotient */
  y = tsr_nn_linear_act(b, "mlp.fc1", tsr_nn_norm(b, "norm2", x, norm), hidden, TSR_BIAS, TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "mlp.fc2", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "stages.%d.blocks.%d", s, i);
  return x;
}

/* The class tokens [B,T,C] and *map, both changed. */
static tsr_value stage(tsr_builder *b, tsr_value cls, tsr_value *map, const pit_config *c, int s) {
  tsr_enter(b, "transformers.%d", s);
  if (s) {
    tsr_enter(b, "pool");
    *map = pool(b, *map, c->dim[s]);
    cls = tsr_nn_linear(b, "fc", cls, c->dim[s], TSR_BIAS);
    tsr_leave(b);
  }
  tsr_meaning tokens = tsr_nn_map_meaning(b, *map, "tokens");
  tokens.prefix_tokens = (short)c->tokens;
  tsr_value x = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, tsr_nn_tokens(b, *map)});
  for (int i = 0; i < c->depth[s]; i++) x = block(b, x, c, tokens, s, i);
  tsr_leave(b);
  *map = tsr_nn_map(b, tsr_nn_slice(b, x, 1, c->tokens, tsr_dim(b, x, 1)), *map);
  return tsr_nn_slice(b, x, 1, 0, c->tokens);
}

static tsr_value build(tsr_builder *b) {
  pit_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value map = embed(b, image, &c), cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, c.tokens, c.dim[0]));
  cls = tsr_nn_expand(b, cls, tsr_shape_of(3, tsr_dim(b, map, 0), c.tokens, c.dim[0]));
  for (int s = 0; s < c.stages; s++) cls = stage(b, cls, &map, &c, s);
  cls = tsr_nn_norm(b, "norm", cls, norm);
  tsr_value x = tsr_nn_mean(b, cls, 1);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  if (!c.num_classes) {
    tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
    return x;
  }
  x = tsr_nn_linear(b, "head", tsr_nn_token(b, cls, 0), c.num_classes, TSR_BIAS);
  if (c.tokens == 1) return x;
  x = tsr_nn_linear_add(b, "head_dist", tsr_nn_token(b, cls, 1), c.num_classes, TSR_BIAS, x);
  return tsr_nn_times(b, x, 0.5f);
}

#define SIZE(patch, stride, dim, depths, heads) \
  "{\"patch_size\":" patch ",\"stride\":" stride ",\"embed_dim\":" dim ",\"depths\":" depths ",\"num_heads\":" heads "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":24,\"patch_size\":8,\"stride\":4,\"num_classes\":10,\"embed_dim\":[8,16],\"depths\":[1,1],"
     "\"num_heads\":[1,2]}"},
    {"pit_ti_224", SIZE("16", "8", "[64,128,256]", "[2,6,4]", "[2,4,8]")},
    {"pit_xs_224", SIZE("16", "8", "[96,192,384]", "[2,6,4]", "[2,4,8]")},
    {"pit_s_224", SIZE("16", "8", "[144,288,576]", "[2,6,4]", "[3,6,12]")},
    {"pit_b_224", SIZE("14", "7", "[256,512,1024]", "[3,6,4]", "[4,8,16]")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_pit = {
    .name = "timm_pit",
    .title = "Pooling-based Vision Transformer, as published",
    .paper = "Heo et al. 2021, arXiv 2103.16302",
    .reference = "timm 1.0.31, models.pit.PoolingVisionTransformer",
    .presets = presets,
    .build = build,
};
