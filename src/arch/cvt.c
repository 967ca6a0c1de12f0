/* CvT: "CvT: Introducing Convolutions to Vision Transformers" (Wu et al., 2021, arXiv 2103.15808), three stages whose
 * q, k and v come from depthwise convolutions.
 * Reference: vit-pytorch 1.26.11, module cvt, class CvT.
 *
 *   for each of three stages s:
 *     x = LN(Conv(x))                                        overlapping: kernel 7 or 3, stride 4 or 2
 *     depth_s times:
 *       q = W_q BN(DW(LN(x)));  k, v = W_kv BN(DW(LN(x)))    DW: depthwise convolution; for k and v with a stride
 *       x = x + W_o softmax(q k^T / sqrt(64)) v;  x = x + MLP(LN(x))
 *   y = Linear(mean over pixels of x)
 *
 * Traps:
 * - Heads are 64 wide, whatever the stage's width.
 * - Norms are over channels; their weights are named g and b.
 * - There are fewer keys and values than queries.
 * - There is no position table, so images of any size run.
 * - The reference's defaults have 6 heads in stage 3; its README has 4. */
#include <math.h>

#include "arch.h"

enum { STAGES = 3, HEAD_DIM = 64 };

typedef struct cvt_stage {
  int dim, kernel, stride, proj_kernel, kv_stride, heads, depth, mlp_mult;
} cvt_stage;

static cvt_stage read_stage(tsr_builder *b, int s) {
  static const char *const keys[STAGES][8] = {{"s1_emb_dim", "s1_emb_kernel", "s1_emb_stride", "s1_proj_kernel",
                                               "s1_kv_proj_stride", "s1_heads", "s1_depth", "s1_mlp_mult"},
                                              {"s2_emb_dim", "s2_emb_kernel", "s2_emb_stride", "s2_proj_kernel",
                                               "s2_kv_proj_stride", "s2_heads", "s2_depth", "s2_mlp_mult"},
                                              {"s3_emb_dim", "s3_emb_kernel", "s3_emb_stride", "s3_proj_kernel",
                                               "s3_kv_proj_stride", "s3_heads", "s3_depth", "s3_mlp_mult"}};
  static const int defaults[STAGES][8] = {
      {64, 7, 4, 3, 2, 1, 1, 4}, {192, 3, 2, 3, 2, 3, 2, 4}, {384, 3, 2, 3, 2, 6, 10, 4}};
  static const int most[8] = {TSR_MAX_DIM, 63, 64, 63, 64, TSR_MAX_HEADS, TSR_MAX_DEPTH, 16};
  int v[8];
  for (int i = 0; i < 8; i++) v[i] = tsr_setting_int(b, &b->config, keys[s][i], defaults[s][i], i != 6, most[i]);
  return (cvt_stage){v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
}

/* BN(DW(x)) and the 1x1 convolution after it, as tokens. */
static tsr_value project(tsr_builder *b, const char *name, tsr_value x, int kernel, int stride, int out) {
  tsr_enter(b, "%s.net", name);
  x = tsr_nn_depthwise_norm(b, "0", "1", x,
                            (tsr_conv){.kernel_h = kernel,
                                       .kernel_w = kernel,
                                       .stride_h = stride,
                                       .stride_w = stride,
                                       .pad_h = kernel / 2,
                                       .pad_w = kernel / 2});
  x = tsr_nn_pointwise(b, "2", x, out, TSR_NO_BIAS);
  tsr_leave(b);
  return x;
}

static tsr_value attention(tsr_builder *b, tsr_value x, const cvt_stage *c, int stage, int layer) {
  char tap[64];
  int width = c->heads * HEAD_DIM;
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", stage, layer);
  tsr_value y = tsr_nn_channel_norm(b, "norm", x);
  tsr_value q = project(b, "to_q", y, c->proj_kernel, 1, width);
  tsr_value kv = project(b, "to_kv", y, c->proj_kernel, c->kv_stride, 2 * width);
  y = tsr_nn_attention_kv(b, tsr_nn_tokens(b, q), tsr_nn_tokens(b, kv),
                          (tsr_attention){.heads = c->heads,
                                          .head_dim = HEAD_DIM,
                                          .scale = 0.125f,
                                          .meaning = tsr_nn_map_meaning(b, kv, "attention"),
                                          .tap = tap});
  return tsr_nn_pointwise_add(b, "to_out.0", tsr_nn_map(b, y, q), c->dim, TSR_BIAS, x);
}

static tsr_value stage(tsr_builder *b, tsr_value x, int s) {
  cvt_stage c = read_stage(b, s);
  tsr_enter(b, "layers.%d", s);
  x = tsr_nn_conv2d(b, "0", x,
                    (tsr_conv){.out = c.dim,
                               .kernel_h = c.kernel,
                               .kernel_w = c.kernel,
                               .stride_h = c.stride,
                               .stride_w = c.stride,
                               .pad_h = c.kernel / 2,
                               .pad_w = c.kernel / 2,
                               .bias = TSR_BIAS});
  x = tsr_nn_channel_norm(b, "1", x);
  tsr_meaning map = tsr_nn_map_meaning(b, x, "features");
  tsr_tap_add(b, x, map, "stages.%d.embed", s);
  for (int i = 0; i < c.depth; i++) {
    tsr_enter(b, "2.layers.%d.0", i);
    x = attention(b, x, &c, s, i);
    tsr_leave(b);
    tsr_enter(b, "2.layers.%d.1.net", i);
    x = tsr_nn_map_feed_forward_add(b, x, c.dim * c.mlp_mult);
    tsr_leave(b);
    tsr_tap_add(b, x, map, "stages.%d.blocks.%d", s, i);
  }
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  int classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  int channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  tsr_value x = tsr_nn_input_map(b, channels, 1);
  for (int s = 0; s < STAGES; s++) x = stage(b, x, s);
  x = tsr_nn_map_mean(b, x);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "to_logits.2", x, classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"s1_emb_dim\":16,\"s1_depth\":1,\"s2_emb_dim\":24,\"s2_heads\":1,"
     "\"s2_depth\":1,\"s3_emb_dim\":32,\"s3_heads\":1,\"s3_depth\":1}"},
    {"cvt_13", "{\"num_classes\":1000,\"s1_depth\":1,\"s2_depth\":2,\"s3_depth\":10}"},
    {"cvt_21", "{\"num_classes\":1000,\"s1_depth\":1,\"s2_depth\":4,\"s3_depth\":16}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_cvt = {
    .name = "cvt",
    .title = "Convolutional vision Transformer",
    .paper = "Wu et al. 2021, arXiv 2103.15808",
    .reference = "vit-pytorch 1.26.11, cvt.CvT",
    .presets = presets,
    .build = build,
};
