/* CvT as published: "CvT: Introducing Convolutions to Vision Transformers" (Wu et al., 2021, arXiv 2103.15808), stages
 * whose q, k and v come from depthwise convolutions.
 * Reference: transformers 5.24.0, models.cvt, class CvtForImageClassification.
 *
 *   for each stage s:
 *     x = LN(Conv(x))                                          overlapping: kernel 7 or 3, stride 4 or 2
 *     the last stage: a class token joins the pixels
 *     depth_s times:
 *       q, k, v = W [cls; BN(DW(pixels))] + b, of LN(x)        a depthwise convolution each, for k and v with a stride
 *       x = x + W_o softmax(q k^T / sqrt(C)) v;  x = x + MLP(LN(x))
 *   y = Linear(LN(cls)), or Linear(mean over pixels of LN(x)) without a class token
 *
 * Traps:
 * - Scores are divided by the root of the stage's width, not of a head's.
 * - All norms have eps 1e-5; the config's layer_norm_eps is read by nobody.
 * - The class token passes no convolution.
 * - There is no position table, so images of any size run.
 * - A bare CvtModel has neither the last norm nor a head: config key "norm". */
#include <math.h>

#include "arch.h"

enum { MOST = 8 };

typedef struct hf_cvt_config {
  int channels, num_classes, stages, cls_token, norm;
  int dim[MOST], heads[MOST], depth[MOST], patch[MOST], stride[MOST], padding[MOST];
  int kernel[MOST], kv_stride[MOST], kv_padding[MOST], qkv_bias;
  float mlp_ratio[MOST];
} hf_cvt_config;

/* One number for each stage. */
static void per_stage(tsr_builder *b, const hf_cvt_config *c, const char *key, const int *usual, int lo, int hi,
                      int *out) {
  if (tsr_config_list(b, key, usual, lo, hi, 1, MOST, out) < c->stages)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"%s\" has too few numbers; expected one for each of the %d stages", key,
             c->stages);
}

static hf_cvt_config read_config(tsr_builder *b) {
  static const int depths[MOST] = {1, 2, 10}, dims[MOST] = {64, 192, 384, 1, 1, 1, 1, 1};
  static const int heads[MOST] = {1, 3, 6, 1, 1, 1, 1, 1}, patches[MOST] = {7, 3, 3, 3, 3, 3, 3, 3};
  static const int strides[MOST] = {4, 2, 2, 2, 2, 2, 2, 2}, paddings[MOST] = {2, 1, 1, 1, 1, 1, 1, 1};
  static const int threes[MOST] = {3, 3, 3, 3, 3, 3, 3, 3}, twos[MOST] = {2, 2, 2, 2, 2, 2, 2, 2};
  static const int ones[MOST] = {1, 1, 1, 1, 1, 1, 1, 1};
  hf_cvt_config c = {.mlp_ratio = {4, 4, 4, 4, 4, 4, 4, 4}};
  c.stages = tsr_config_list(b, "depth", depths, 0, TSR_MAX_DEPTH, 1, MOST, c.depth);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists three stages of eight */
  per_stage(b, &c, "embed_dim", dims, 1, TSR_MAX_DIM, c.dim);
  per_stage(b, &c, "num_heads", heads, 1, TSR_MAX_HEADS, c.heads);
  per_stage(b, &c, "patch_sizes", patches, 1, 63, c.patch);
  per_stage(b, &c, "patch_stride", strides, 1, 64, c.stride);
  per_stage(b, &c, "patch_padding", paddings, 0, 63, c.padding);
  per_stage(b, &c, "kernel_qkv", threes, 1, 63, c.kernel);
  per_stage(b, &c, "stride_kv", twos, 1, 64, c.kv_stride);
  per_stage(b, &c, "padding_kv", ones, 0, 63, c.kv_padding);
  tsr_setting_numbers(b, &b->config, "mlp_ratio", c.stages, c.mlp_ratio);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.cls_token = tsr_config_bool(b, "cls_token", 1);
  c.norm = tsr_config_bool(b, "norm", 1);
  c.channels = tsr_config_int(b, "num_channels", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  for (int s = 0; s < c.stages && !tsr_failed(b); s++) {
    if (c.dim[s] % c.heads[s])
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"num_heads\" gives stage %d %d heads; expected a divisor of %d", s,
               c.heads[s], c.dim[s]);
    if (c.kernel[s] % 2 == 0)
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"kernel_qkv\" gives stage %d the kernel %d; expected an odd one", s,
               c.kernel[s]);
  }
  return c;
}

/* Linear([cls; BN(DW(map))]) as tokens [B,N,C]. `part`: "query", "key" or "value". */
static tsr_value project(tsr_builder *b, const char *part, tsr_value map, tsr_value cls, int kernel, int stride,
                         int padding, int bias) {
  char name[32];
  tsr_conv conv = {.kernel_h = kernel,
                   .kernel_w = kernel,
                   .stride_h = stride,
                   .stride_w = stride,
                   .pad_h = padding,
                   .pad_w = padding};
  tsr_enter(b, "convolution_projection_%s.convolution_projection", part);
  tsr_value x = tsr_nn_tokens(b, tsr_nn_depthwise_norm(b, "convolution", "normalization", map, conv));
  tsr_leave(b);
  if (cls != TSR_NO_VALUE) x = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, x});
  tsr_print(name, sizeof name, "projection_%s", part);
  return tsr_nn_linear(b, name, x, tsr_dim(b, map, 3), bias);
}

/* x [B,N,C] + its attention; `map` gives the grid of its pixels. */
static tsr_value attend(tsr_builder *b, tsr_value x, tsr_value map, int prefix, const hf_cvt_config *c, int s, int i) {
  char tap[64];
  int dim = c->dim[s], n = tsr_dim(b, x, 1), kernel = c->kernel[s], kv[2];
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, i);
  tsr_value y = tsr_nn_layer_norm(b, "layernorm_before", x);
  tsr_value cls = prefix ? tsr_nn_slice(b, y, 1, 0, 1) : TSR_NO_VALUE;
  map = tsr_nn_map(b, tsr_nn_slice(b, y, 1, prefix, n), map);
  for (int d = 0; d < 2; d++) kv[d] = (tsr_dim(b, map, 1 + d) + 2 * c->kv_padding[s] - kernel) / c->kv_stride[s] + 1;
  tsr_enter(b, "attention");
  tsr_enter(b, "attention");
  tsr_value q = project(b, "query", map, cls, kernel, 1, kernel / 2, c->qkv_bias);
  tsr_value k = project(b, "key", map, cls, kernel, c->kv_stride[s], c->kv_padding[s], c->qkv_bias);
  tsr_value v = project(b, "value", map, cls, kernel, c->kv_stride[s], c->kv_padding[s], c->qkv_bias);
  tsr_leave(b);
  y = tsr_nn_attention(b, q, k, v,
                       (tsr_attention){.heads = c->heads[s],
                                       .head_dim = dim / c->heads[s],
                                       .scale = 1 / sqrtf((float)dim),
                                       .meaning = {"attention", (short)kv[0], (short)kv[1], (short)prefix},
                                       .tap = tap});
  x = tsr_nn_linear_add(b, "output.dense", y, dim, TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

/* A map in, a map out; the last stage gives its pixels as tokens, behind the class token if there is one. */
static tsr_value stage(tsr_builder *b, tsr_value map, const hf_cvt_config *c, int s) {
  int dim = c->dim[s], prefix = c->cls_token && s == c->stages - 1;
  tsr_enter(b, "stages.%d", s);
  tsr_enter(b, "embedding.convolution_embeddings");
  map = tsr_nn_conv2d(b, "projection", map,
                      (tsr_conv){.out = dim,
                                 .kernel_h = c->patch[s],
                                 .kernel_w = c->patch[s],
                                 .stride_h = c->stride[s],
                                 .stride_w = c->stride[s],
                                 .pad_h = c->padding[s],
                                 .pad_w = c->padding[s],
                                 .bias = TSR_BIAS});
  map = tsr_nn_layer_norm(b, "normalization", map);
  tsr_leave(b);
  tsr_tap_add(b, map, tsr_nn_map_meaning(b, map, "features"), "stages.%d.embed", s);
  tsr_meaning tokens = tsr_nn_map_meaning(b, map, "tokens");
  tsr_value x = tsr_nn_tokens(b, map);
  tokens.prefix_tokens = (short)prefix;
  if (prefix) x = tsr_nn_prepend(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, dim)), x);
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_enter(b, "layers.%d", i);
    x = attend(b, x, map, prefix, c, s, i);
    /* a ratio such as 2.7 is no float: what is missing must not cost a row */
    tsr_value y = tsr_nn_linear_act(b, "intermediate.dense", tsr_nn_layer_norm(b, "layernorm_after", x),
                                    (int)((float)dim * c->mlp_ratio[s] + 0.01f), TSR_BIAS, TSR_ACT_GELU);
    x = tsr_nn_linear_add(b, "output.dense", y, dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "stages.%d.blocks.%d", s, i);
  }
  tsr_leave(b);
  if (s < c->stages - 1) return tsr_nn_map(b, x, map);
  tsr_tap_add(b, x, tokens, "tokens");
  return x;
}

static tsr_value build(tsr_builder *b) {
  hf_cvt_config c = read_config(b);
  tsr_value x = tsr_nn_input_map(b, c.channels, 1);
  tsr_enter(b, "cvt.encoder");
  for (int s = 0; s < c.stages && !tsr_failed(b); s++) x = stage(b, x, &c, s);
  tsr_leave(b);
  if (c.cls_token) x = tsr_nn_slice(b, x, 1, 0, 1);
  if (c.norm) x = tsr_nn_layer_norm(b, "layernorm", x);
  x = c.cls_token ? tsr_nn_token(b, x, 0) : tsr_nn_mean(b, x, 1);
  return tsr_nn_classify(b, "classifier", x, c.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dim\":[8,12,16],\"num_heads\":[1,2,2],\"depth\":[1,1,1],"
     "\"mlp_ratio\":[2]}"},
    {"cvt_13", "{\"depth\":[1,2,10]}"},
    {"cvt_21", "{\"depth\":[1,4,16]}"},
    {"cvt_w24", "{\"depth\":[2,2,20],\"embed_dim\":[192,768,1024],\"num_heads\":[3,12,16],\"image_size\":384}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_hf_cvt = {
    .name = "hf_cvt",
    .title = "Convolutional vision Transformer, as published",
    .paper = "Wu et al. 2021, arXiv 2103.15808",
    .reference = "transformers 5.24.0, models.cvt.CvtForImageClassification",
    .presets = presets,
    .build = build,
};
