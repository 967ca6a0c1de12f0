/* LeViT: "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference" (Graham et al., 2021, arXiv
 * 2104.01136), attention with batch norms and a bias of distances, in shrinking stages.
 * Reference: vit-pytorch 1.26.11, module levit, class LeViT.
 *
 *   x = four 3x3 convolutions with stride 2                      a sixteenth of the side
 *   for each stage: depth_s times  x = x + A(x);  x = x + MLP(x)
 *     then, but for the last:      x = A'(x);     x = x + MLP(x)  twice the heads, queries of every other row, column
 *   A(x) = BN(W_o GELU(softmax(q k^T / sqrt(K) + bias[|dy|, |dx|] sqrt(K)) v)),  q, k, v = BN(W x)
 *   y = Linear(mean over pixels of x)
 *
 * Traps:
 * - The bias is divided by the scale of the scores.
 * - There is no activation between the convolutions.
 * - Keys (32) and values (64) have widths of their own.
 * - MLP has no norm and a hard-swish inside; after A' its factor is always 2, not mlp_mult.
 * - A list shorter than `stages` repeats its last number. */
#include <math.h>

#include "arch.h"

enum { MOST = 8 };

typedef struct levit_config {
  int image, num_classes, stages, dim[MOST], depth[MOST], heads[MOST], mlp_mult, dim_key, dim_value, distill_classes;
} levit_config;

static void read_list(tsr_builder *b, const char *key, int hi, int stages, int *out) {
  int given = tsr_setting_list(b, &b->config, key, NULL, 1, hi, 1, stages, out);
  for (int i = given; i < stages; i++) out[i] = out[i - 1];
}

static levit_config read_config(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  levit_config c;
  c.image = tsr_config_int(b, "image_size", TSR_REQUIRED, 16, TSR_MAX_SIDE);
  if (c.image % 16) tsr_fail(b, TSR_ERR_CONFIG, "config key \"image_size\" is %d; expected a multiple of 16", c.image);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.stages = tsr_config_int(b, "stages", 3, 1, MOST);
  read_list(b, "dim", TSR_MAX_DIM, c.stages, c.dim);
  read_list(b, "depth", TSR_MAX_DEPTH, c.stages, c.depth);
  read_list(b, "heads", TSR_MAX_HEADS / 2, c.stages, c.heads);
  c.mlp_mult = tsr_config_int(b, "mlp_mult", TSR_REQUIRED, 1, 16);
  c.dim_key = tsr_config_int(b, "dim_key", 32, 1, 1024);
  c.dim_value = tsr_config_int(b, "dim_value", 64, 1, 1024);
  c.distill_classes = tsr_config_int(b, "num_distill_classes", 0, 1, TSR_MAX_CLASSES);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

/* A layer of one stage, or of the way to the next: its shape and its tap. */
typedef struct levit_layer {
  int heads, dim_out, stride, mlp_mult;
  const char *tap;
} levit_layer;

/* The sides of the keys' and the queries' maps, and the stride between them. */
typedef struct sides {
  int k, q, stride;
} sides;

static int bias_index(const void *user, int i, int j) {
  const sides *s = user;
  int dy = i / s->q * s->stride - j / s->k, dx = i % s->q * s->stride - j % s->k;
  return (dy < 0 ? -dy : dy) * s->k + (dx < 0 ? -dx : dx);
}

static tsr_value project(tsr_builder *b, const char *name, tsr_value x, int out, int stride) {
  tsr_enter(b, "%s", name);
  x = tsr_nn_conv2d_norm(b, "0", "1", x, tsr_nn_square(1, out, stride, TSR_ACT_NONE), TSR_NO_VALUE);
  tsr_leave(b);
  return x;
}

static tsr_value attention(tsr_builder *b, tsr_value x, const levit_config *c, const levit_layer *l) {
  tsr_value q = project(b, "to_q", x, c->dim_key * l->heads, l->stride);
  tsr_value k = project(b, "to_k", x, c->dim_key * l->heads, 1), v = project(b, "to_v", x, c->dim_value * l->heads, 1);
  sides s = {tsr_dim(b, k, 1), tsr_dim(b, q, 1), l->stride};
  float root = sqrtf((float)c->dim_key);
  tsr_value table = tsr_weight_vector(b, "pos_bias.weight", tsr_shape_of(2, s.k * s.k, l->heads));
  tsr_value bias = tsr_nn_bias_table(b, table, s.q * s.q, s.k * s.k, root, bias_index, &s);
  tsr_tap_add(b, bias, tsr_nn_map_meaning(b, k, "position_bias"), "%s_bias", l->tap);
  tsr_value y = tsr_nn_attention(b, tsr_nn_tokens(b, q), tsr_nn_tokens(b, k), tsr_nn_tokens(b, v),
                                 (tsr_attention){.heads = l->heads,
                                                 .head_dim = c->dim_key,
                                                 .value_dim = c->dim_value,
                                                 .scale = 1 / root,
                                                 .bias = bias,
                                                 .meaning = tsr_nn_map_meaning(b, k, "attention"),
                                                 .tap = l->tap});
  y = tsr_nn_map(b, tsr_nn_activate(b, y, TSR_ACT_GELU), q);
  return tsr_nn_conv2d_norm(
      b, "to_out.1", "to_out.2", y,
      (tsr_conv){.out = l->dim_out, .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1, .bias = TSR_BIAS},
      l->stride == 1 ? x : TSR_NO_VALUE);
}

static tsr_value layer(tsr_builder *b, tsr_value x, const levit_config *c, const levit_layer *l, int index) {
  tsr_enter(b, "layers.%d.0", index);
  x = attention(b, x, c, l);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.1.net", index);
  tsr_value y = tsr_nn_pointwise_act(b, "0", x, l->dim_out * l->mlp_mult, TSR_BIAS, TSR_ACT_HARD_SWISH);
  x = tsr_nn_pointwise_add(b, "3", y, l->dim_out, TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value stage(tsr_builder *b, tsr_value x, const levit_config *c, int s) {
  char tap[64];
  levit_layer l = {c->heads[s], c->dim[s], 1, c->mlp_mult, tap};
  tsr_enter(b, "backbone.%d", 2 * s);
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, i);
    x = layer(b, x, c, &l, i);
    tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
  }
  tsr_leave(b);
  if (s + 1 == c->stages) return x;
  l = (levit_layer){2 * c->heads[s], c->dim[s + 1], 2, 2, tap};
  tsr_print(tap, sizeof tap, "stages.%d.downsample.attn", s);
  tsr_enter(b, "backbone.%d", 2 * s + 1);
  x = layer(b, x, c, &l, 0);
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.downsample", s);
  return x;
}

static tsr_value build(tsr_builder *b) {
  levit_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, 3, c.image, c.image);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value x = tsr_nn_channels_last(b, image);
  tsr_enter(b, "conv_embedding");
  for (int i = 0; i < 4; i++) {
    static const char *const names[] = {"0", "1", "2", "3"};
    tsr_conv conv = tsr_nn_square(3, i < 3 ? 32 << i : c.dim[0], 2, TSR_ACT_NONE);
    conv.bias = TSR_BIAS;
    x = tsr_nn_conv2d(b, names[i], x, conv);
  }
  tsr_leave(b);
  tsr_tap_add(b, tsr_nn_tokens(b, x), tsr_nn_map_meaning(b, x, "tokens"), "patch_embed");
  for (int s = 0; s < c.stages; s++) x = stage(b, x, &c, s);
  x = tsr_nn_map_mean(b, x);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  if (c.distill_classes) {
    tsr_value distilled = tsr_nn_linear(b, "distill_head", x, c.distill_classes, TSR_BIAS);
    tsr_tap_add(b, distilled, (tsr_meaning){.kind = "logits"}, "distill_logits");
  }
  return tsr_nn_linear(b, "mlp_head", x, c.num_classes, TSR_BIAS);
}

/* The paper's LeViT-128S ... 384, as far as the class allows: it has one key width for all stages. */
#define SIZE(dim, depth, heads, key)                                                              \
  "{\"image_size\":224,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_mult\":2,\"dim_key\":" key ",\"dim_value\":"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"stages\":2,\"dim\":[16,24],\"depth\":1,\"heads\":[1,2],\"mlp_mult\":2,"
     "\"dim_key\":8,\"dim_value\":12}"},
    {"levit_128s", SIZE("[128,256,384]", "[2,3,4]", "[4,6,8]", "16") "32}"},
    {"levit_128", SIZE("[128,256,384]", "4", "[4,8,12]", "16") "32}"},
    {"levit_192", SIZE("[192,288,384]", "4", "[3,5,6]", "32") "64}"},
    {"levit_256", SIZE("[256,384,512]", "4", "[4,6,8]", "32") "64}"},
    {"levit_384", SIZE("[384,512,768]", "4", "[6,9,12]", "32") "64}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_levit = {
    .name = "levit",
    .title = "LeViT",
    .paper = "Graham et al. 2021, arXiv 2104.01136",
    .reference = "vit-pytorch 1.26.11, levit.LeViT",
    .presets = presets,
    .build = build,
};
