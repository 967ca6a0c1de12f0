/* Twins-SVT: "Twins: Revisiting the Design of Spatial Attention in Vision Transformers" (Chu et al., 2021, arXiv
 * 2104.13840), attention in windows and to a reduced map, by turns.
 * Reference: vit-pytorch 1.26.11, module twins_svt, class TwinsSVT.
 *
 *   for each of four stages:
 *     x = LN(Linear(LN(patches of the map)))
 *     a layer;  x = x + DW(x);  depth_s layers                 DW: depthwise convolution, the positional encoding
 *   layer: x = x + MSA within windows;  x = x + MLP(x)         not in the last stage
 *          x = x + MSA(queries: pixels, keys: Conv_k of the map);  x = x + MLP(x)
 *   y = Linear(mean over pixels of x)
 *
 * Traps:
 * - Every stage has 8 heads of 64, whatever the width.
 * - A patch's numbers are channels first (c p1 p2).
 * - Each stage has one layer more than its depth says, in front of the positional encoding. */
#include "arch.h"

enum { STAGES = 4, HEADS = 8, HEAD_DIM = 64, WIDTH = HEADS * HEAD_DIM };

typedef struct twins_stage {
  int dim, patch, local, global_k, depth;
} twins_stage;

static void read_stages(tsr_builder *b, twins_stage *stages) {
  static const char *const keys[STAGES][5] = {
      {"s1_emb_dim", "s1_patch_size", "s1_local_patch_size", "s1_global_k", "s1_depth"},
      {"s2_emb_dim", "s2_patch_size", "s2_local_patch_size", "s2_global_k", "s2_depth"},
      {"s3_emb_dim", "s3_patch_size", "s3_local_patch_size", "s3_global_k", "s3_depth"},
      {"s4_emb_dim", "s4_patch_size", "s4_local_patch_size", "s4_global_k", "s4_depth"}};
  static const int defaults[STAGES][5] = {{64, 4, 7, 7, 1}, {128, 2, 7, 7, 1}, {256, 2, 7, 7, 5}, {512, 2, 7, 7, 4}};
  static const int most[5] = {TSR_MAX_DIM, 64, 64, 64, TSR_MAX_DEPTH};
  for (int s = 0; s < STAGES; s++) {
    int v[5];
    for (int i = 0; i < 5; i++) v[i] = tsr_setting_int(b, &b->config, keys[s][i], defaults[s][i], i != 4, most[i]);
    stages[s] = (twins_stage){v[0], v[1], v[2], v[3], v[4]};
  }
}

/* [B,H,W,C] -> [B,H/p,W/p,dim], each patch flattened channels first. */
static tsr_value patches(tsr_builder *b, tsr_value x, const twins_stage *c) {
  int p = c->patch, h = tsr_dim(b, x, 1) / p, w = tsr_dim(b, x, 2) / p, batch = tsr_dim(b, x, 0), in = tsr_dim(b, x, 3);
  x = tsr_nn_reshape(b, x, tsr_shape_of(6, batch, h, p, w, p, in));
  x = tsr_nn_permute(b, x, (int[]){0, 1, 3, 5, 2, 4});
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h, w, in * p * p));
  tsr_enter(b, "proj");
  x = tsr_nn_pointwise(b, "1", tsr_nn_channel_norm(b, "0", x), c->dim, TSR_BIAS);
  x = tsr_nn_channel_norm(b, "2", x);
  tsr_leave(b);
  return x;
}

static tsr_attention heads(tsr_meaning meaning, const char *tap) {
  return (tsr_attention){.heads = HEADS, .head_dim = HEAD_DIM, .scale = 0.125f, .meaning = meaning, .tap = tap};
}

static tsr_value local_attention(tsr_builder *b, tsr_value x, int side, const char *tap) {
  tsr_windows windows = {side, side, 0};
  tsr_value y = tsr_nn_windows(b, tsr_nn_channel_norm(b, "norm", x), windows);
  tsr_value q = tsr_nn_pointwise(b, "to_q", y, WIDTH, TSR_NO_BIAS),
            kv = tsr_nn_pointwise(b, "to_kv", y, 2 * WIDTH, TSR_NO_BIAS);
  y = tsr_nn_attention_kv(b, q, kv, heads(tsr_nn_window_meaning(b, x, windows, "attention"), tap));
  return tsr_nn_pointwise_add(b, "to_out.0", tsr_nn_unwindows(b, y, windows, x), tsr_dim(b, x, 3), TSR_BIAS, x);
}

static tsr_value global_attention(tsr_builder *b, tsr_value x, int k, const char *tap) {
  tsr_value y = tsr_nn_channel_norm(b, "norm", x), q = tsr_nn_pointwise(b, "to_q", y, WIDTH, TSR_NO_BIAS);
  tsr_value kv = tsr_nn_conv2d(
      b, "to_kv", y, (tsr_conv){.out = 2 * WIDTH, .kernel_h = k, .kernel_w = k, .stride_h = k, .stride_w = k});
  y = tsr_nn_attention_kv(b, tsr_nn_tokens(b, q), tsr_nn_tokens(b, kv),
                          heads(tsr_nn_map_meaning(b, kv, "attention"), tap));
  return tsr_nn_pointwise_add(b, "to_out.0", tsr_nn_map(b, y, x), tsr_dim(b, x, 3), TSR_BIAS, x);
}

static tsr_value feed_forward(tsr_builder *b, int layer, int place, tsr_value x) {
  tsr_enter(b, "layers.%d.%d.fn.net", layer, place);
  x = tsr_nn_map_feed_forward_add(b, x, 4 * tsr_dim(b, x, 3));
  tsr_leave(b);
  return x;
}

/* The layers of one of a stage's two transformers; `first` is the number of the stage's layers before them. */
static tsr_value layers(tsr_builder *b, tsr_value x, const twins_stage *c, int s, int first, int depth) {
  char tap[64];
  tsr_enter(b, first ? "3" : "1");
  for (int i = 0; i < depth; i++) {
    if (s + 1 < STAGES) {
      tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.local_attn", s, first + i);
      tsr_enter(b, "layers.%d.0.fn", i);
      x = local_attention(b, x, c->local, tap);
      tsr_leave(b);
      x = feed_forward(b, i, 1, x);
    }
    tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, first + i);
    tsr_enter(b, "layers.%d.2.fn", i);
    x = global_attention(b, x, c->global_k, tap);
    tsr_leave(b);
    x = feed_forward(b, i, 3, x);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, first + i);
  }
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  twins_stage stages[STAGES];
  int classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  int peg = tsr_config_int(b, "peg_kernel_size", 3, 1, 63), unit = 1, stride = 1;
  if (peg % 2 == 0) tsr_fail(b, TSR_ERR_CONFIG, "config key \"peg_kernel_size\" is %d; expected an odd number", peg);
  read_stages(b, stages);
  tsr_settings_ignore(b, &b->config, training);
  for (int s = 0; s < STAGES; s++) {
    stride *= stages[s].patch;
    unit = tsr_nn_common_multiple(unit, stride * (s + 1 < STAGES ? stages[s].local : 1));
  }
  tsr_value x = tsr_nn_input_map(b, 3, unit);
  for (int s = 0; s < STAGES; s++) {
    tsr_enter(b, "layers.%d", s);
    tsr_enter(b, "0");
    x = patches(b, x, &stages[s]);
    tsr_leave(b);
    x = layers(b, x, &stages[s], s, 0, 1);
    x = tsr_nn_peg(b, "2.proj.fn", x, peg);
    x = layers(b, x, &stages[s], s, 1, stages[s].depth);
    tsr_leave(b);
  }
  x = tsr_nn_map_mean(b, x);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "layers.6", x, classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"s1_emb_dim\":8,\"s1_local_patch_size\":4,\"s1_global_k\":4,"
     "\"s2_emb_dim\":12,\"s2_local_patch_size\":2,\"s2_global_k\":2,\"s3_emb_dim\":16,\"s3_local_patch_size\":2,"
     "\"s3_global_k\":2,\"s3_depth\":1,\"s4_emb_dim\":16,\"s4_global_k\":1,\"s4_depth\":1}"},
    {"twins_svt_document", "{\"num_classes\":1000,\"s3_depth\":5,\"s4_depth\":4}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_twins_svt = {
    .name = "twins_svt",
    .title = "Twins-SVT",
    .paper = "Chu et al. 2021, arXiv 2104.13840",
    .reference = "vit-pytorch 1.26.11, twins_svt.TwinsSVT",
    .presets = presets,
    .build = build,
};
