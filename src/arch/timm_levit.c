/* LeViT as published: "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference" (Graham et al., 2021,
 * arXiv 2104.01136), attention with batch norms and a bias of distances, in shrinking stages.
 * Reference: timm 1.0.31, models.levit, classes Levit and LevitDistilled; the published weights fit these.
 *
 *   x = BN(Conv3/2(s(BN(Conv3/2(s(BN(Conv3/2(s(BN(Conv3/2(x)))))))))))     s: hard-swish
 *   each stage but the first: x = A'(x);  x = x + MLP(x)          queries of every other row and column
 *   depth_s times:            x = x + A(x);  x = x + MLP(x)
 *   A(x) = BN(W_o s(softmax(q k^T / sqrt(K) + bias[|dy|, |dx|]) v)),  q, k, v = BN(W x) head by head
 *   MLP(x) = BN(W s(BN(W x)))
 *   y = (Linear(BN(m)) + Linear'(BN'(m))) / 2,  m the mean over tokens of x
 *
 * Traps:
 * - No Linear before the head has a bias, because a BatchNorm follows.
 * - The columns of qkv are q, k and v of head 0, then those of head 1.
 * - A' has heads, and values four times as wide as keys, of its own; its width follows from the stage before.
 * - timm's levit_conv_* keep the same matrices as 1x1 convolutions. */
#include <math.h>

#include "arch.h"

enum { MOST = 8 };

typedef struct levit_config {
  int image[2], channels, num_classes, stages, dim[MOST], depth[MOST], heads[MOST], key[MOST];
  int down[MOST * 4]; /* of the way from stage s: key, heads, attention ratio, MLP ratio */
  int stride, activation, attn_activation, use_conv, distilled;
  float attn_ratio[MOST], mlp_ratio[MOST];
} levit_config;

/* int(ratio * dim), also where the ratio is a quotient by dim that was rounded to f32. */
static int part_of(tsr_builder *b, const char *key, float ratio, int dim) {
  if (!(ratio > 0 && ratio <= 64)) tsr_fail(b, TSR_ERR_CONFIG, "config key \"%s\" is not from 0 to 64", key);
  return tsr_failed(b) ? 1 : (int)((double)ratio * dim * (1 + 5e-7));
}

static int read_activation(tsr_builder *b, const char *key, int fallback) {
  static const char *const names[] = {"hard_swish", "silu", "gelu", "relu", NULL};
  return tsr_config_choice(b, key, names, fallback);
}

static void read_stages(tsr_builder *b, levit_config *c) {
  c->stages = tsr_config_list(b, "embed_dim", NULL, 8, 4096, 1, MOST, c->dim);
  int n = c->stages, counts[MOST];
  tsr_config_list(b, "depths", NULL, 0, TSR_MAX_DEPTH, n, n, c->depth);
  tsr_config_list(b, "num_heads", NULL, 1, TSR_MAX_HEADS, n, n, c->heads);
  tsr_config_list(b, "key_dim", NULL, 1, 1024, n, n, c->key);
  for (int s = 0; s < n; s++) {
    int *down = c->down + 4 * s;
    c->attn_ratio[s] = c->mlp_ratio[s] = 2;
    down[0] = c->key[0], down[1] = c->dim[s] / c->key[0], down[2] = 4, down[3] = 2;
  }
  tsr_setting_numbers(b, &b->config, "attn_ratio", n, c->attn_ratio);
  tsr_setting_numbers(b, &b->config, "mlp_ratio", n, c->mlp_ratio);
  tsr_config_rows(b, "down_ops", 1, 1024, n - 1, 4, c->down, counts);
  for (int s = 0; s < n - 1; s++)
    if (!c->down[4 * s + 1])
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"embed_dim\" gives stage %d a width below \"key_dim\", %d", s,
               c->key[0]);
}

static levit_config read_config(tsr_builder *b) {
  static const int activations[] = {TSR_ACT_HARD_SWISH, TSR_ACT_SILU, TSR_ACT_GELU, TSR_ACT_RELU};
  static const char *const pools[] = {"avg", NULL};
  static const char *const training[] = {"drop_rate", "drop_path_rate", NULL};
  levit_config c;
  tsr_config_pair(b, "image_size", 224, 8, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  read_stages(b, &c);
  c.stride = 16 >> tsr_config_choice(b, "stem_type", (const char *const[]){"s16", "s8", NULL}, 0);
  int activation = read_activation(b, "act_layer", 0);
  c.activation = activations[activation];
  c.attn_activation = activations[read_activation(b, "attn_act_layer", activation)];
  c.use_conv = tsr_config_bool(b, "use_conv", 0);
  c.distilled = tsr_config_bool(b, "distilled", 1);
  tsr_config_choice(b, "global_pool", pools, 0);
  tsr_settings_ignore(b, &b->config, training);
  tsr_config_check_patches(b, c.image, (int[]){c.stride, c.stride});
  return c;
}

/* Attention of a stage, or (down) of the way to it, and the MLP behind it. */
typedef struct levit_layer {
  int key, heads, value, hidden, dim_out, down;
} levit_layer;

/* The map that a layer sees, and that it makes. */
typedef struct grids {
  int h, w, stride, out_h, out_w;
} grids;

static int bias_index(const void *user, int i, int j) {
  const grids *g = user;
  int dy = i / g->out_w * g->stride - j / g->w, dx = i % g->out_w * g->stride - j % g->w;
  return (dy < 0 ? -dy : dy) * g->w + (dx < 0 ? -dx : dx);
}

static tsr_value project(tsr_builder *b, const levit_config *c, const char *name, tsr_value x, int out, int activation,
                         tsr_value residual) {
  int kernel = c->use_conv;
  tsr_conv conv = {.out = out,
                   .kernel_h = kernel,
                   .kernel_w = kernel,
                   .stride_h = kernel,
                   .stride_w = kernel,
                   .activation = activation};
  tsr_enter(b, "%s", name);
  x = tsr_nn_conv2d_norm(b, "linear", "bn", x, conv, residual);
  tsr_leave(b);
  return x;
}

/* Columns begin ... end of each head: [B,N,H*width] -> [B,N,H*(end-begin)] */
static tsr_value of_heads(tsr_builder *b, tsr_value x, int heads, int width, int begin, int end) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1);
  x = tsr_nn_slice(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch, n, heads, width)), 3, begin, end);
  return tsr_nn_reshape(b, x, tsr_shape_of(3, batch, n, heads * (end - begin)));
}

/* The tokens of every other row and column. */
static tsr_value subsample(tsr_builder *b, tsr_value x, const grids *g) {
  float *at;
  tsr_value rows = tsr_constant(b, tsr_shape_of(2, 1, g->out_h * g->out_w), &at);
  for (int i = 0; at && i < g->out_h * g->out_w; i++) *at++ = (float)(i / g->out_w * 2 * g->w + i % g->out_w * 2);
  return tsr_nn_gather(b, x, rows);
}

static tsr_value attend(tsr_builder *b, tsr_value x, const levit_config *c, const levit_layer *l, const grids *g,
                        const char *tap) {
  int key = l->key, heads = l->heads, width = 2 * key + l->value, none = TSR_ACT_NONE;
  tsr_value q, kv, y = x;
  tsr_enter(b, l->down ? "attn_downsample" : "attn");
  if (l->down) {
    width -= key;
    q = project(b, c, "q.ln", subsample(b, x, g), key * heads, none, TSR_NO_VALUE);
    kv = project(b, c, "kv", x, width * heads, none, TSR_NO_VALUE);
  } else {
    kv = project(b, c, "qkv", x, width * heads, none, TSR_NO_VALUE);
    q = of_heads(b, kv, heads, width, 0, key);
  }
  tsr_value k = of_heads(b, kv, heads, width, width - l->value - key, width - l->value);
  tsr_value v = of_heads(b, kv, heads, width, width - l->value, width);
  tsr_value table = tsr_weight_vector(b, "attention_biases", tsr_shape_of(2, heads, g->h * g->w));
  tsr_value bias =
      tsr_nn_bias_table(b, tsr_nn_permute(b, table, (int[]){1, 0}), g->out_h * g->out_w, g->h * g->w, 1, bias_index, g);
  tsr_meaning keys = {"attention", (short)g->h, (short)g->w};
  y = tsr_nn_attention(b, q, k, v,
                       (tsr_attention){.heads = heads,
                                       .head_dim = key,
                                       .value_dim = l->value,
                                       .scale = 1 / sqrtf((float)key),
                                       .bias = bias,
                                       .meaning = keys,
                                       .tap = tap});
  keys.kind = "position_bias";
  tsr_tap_add(b, bias, keys, "%s_bias", tap);
  y = project(b, c, "proj.ln", tsr_nn_activate(b, y, c->attn_activation), l->dim_out, none, l->down ? TSR_NO_VALUE : x);
  tsr_leave(b);
  return y;
}

/* The layer below `name`, which is also what its taps are called. */
static tsr_value layer(tsr_builder *b, tsr_value x, const levit_config *c, const levit_layer *l, const grids *g,
                       const char *name) {
  char tap[64];
  tsr_print(tap, sizeof tap, "%s.attn", name);
  tsr_enter(b, "%s", name);
  x = attend(b, x, c, l, g, tap);
  tsr_value y = project(b, c, "mlp.ln1", x, l->hidden, c->activation, TSR_NO_VALUE);
  x = project(b, c, "mlp.ln2", y, l->dim_out, TSR_ACT_NONE, x);
  tsr_leave(b);
  tsr_tap_add(b, x, (tsr_meaning){"tokens", (short)g->out_h, (short)g->out_w}, "%s", name);
  return x;
}

/* *g becomes the grid of the stage's tokens. */
static tsr_value stage(tsr_builder *b, tsr_value x, const levit_config *c, int s, grids *g) {
  char name[48];
  if (s) {
    const int *down = c->down + 4 * (s - 1);
    levit_layer way = {down[0], down[1], down[2] * down[0], down[3] * c->dim[s], c->dim[s], 1};
    g->stride = 2, g->out_h = (g->h + 1) / 2, g->out_w = (g->w + 1) / 2;
    tsr_print(name, sizeof name, "stages.%d.downsample", s);
    x = layer(b, x, c, &way, g, name);
    *g = (grids){g->out_h, g->out_w, 1, g->out_h, g->out_w};
  }
  levit_layer l = {c->key[s],
                   c->heads[s],
                   part_of(b, "attn_ratio", c->attn_ratio[s], c->key[s]),
                   part_of(b, "mlp_ratio", c->mlp_ratio[s], c->dim[s]),
                   c->dim[s],
                   0};
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_print(name, sizeof name, "stages.%d.blocks.%d", s, i);
    x = layer(b, x, c, &l, g, name);
  }
  return x;
}

static tsr_value stem(tsr_builder *b, tsr_value x, const levit_config *c) {
  int convs = c->stride == 16 ? 4 : 3;
  for (int i = 0; i < convs; i++) {
    int last = i == convs - 1;
    tsr_enter(b, "stem.conv%d", i + 1);
    tsr_conv conv = tsr_nn_square(3, c->dim[0] >> (convs - 1 - i), 2, last ? TSR_ACT_NONE : c->activation);
    x = tsr_nn_conv2d_norm(b, "linear", "bn", x, conv, TSR_NO_VALUE);
    tsr_leave(b);
  }
  return x;
}

/* Linear(BN(x)) + residual */
static tsr_value head(tsr_builder *b, const char *name, tsr_value x, int classes, tsr_value residual) {
  tsr_enter(b, "%s", name);
  x = tsr_nn_linear_add(b, "linear", tsr_nn_batch_norm(b, "bn", x, 0), classes, TSR_BIAS, residual);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  levit_config c = read_config(b);
  b->floats = TSR_FLOATS_NORMS;
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value x = stem(b, tsr_nn_channels_last(b, image), &c);
  grids g = {tsr_dim(b, x, 1), tsr_dim(b, x, 2), 1, tsr_dim(b, x, 1), tsr_dim(b, x, 2)};
  x = tsr_nn_tokens(b, x);
  tsr_tap_add(b, x, (tsr_meaning){"tokens", (short)g.h, (short)g.w}, "patch_embed");
  for (int s = 0; s < c.stages; s++) x = stage(b, x, &c, s, &g);
  tsr_tap_add(b, x, (tsr_meaning){"tokens", (short)g.h, (short)g.w}, "tokens");
  x = tsr_nn_mean(b, x, 1);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  if (!c.num_classes) {
    tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
    return x;
  }
  tsr_value y = head(b, "head", x, c.num_classes, TSR_NO_VALUE);
  return c.distilled ? tsr_nn_times(b, head(b, "head_dist", x, c.num_classes, y), 0.5f) : y;
}

#define SIZE(dim, depth, heads, key) \
  "{\"embed_dim\":" dim ",\"depths\":" depth ",\"num_heads\":" heads ",\"key_dim\":" key "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dim\":[16,24],\"depths\":[1,1],\"num_heads\":[1,2],\"key_dim\":8}"},
    {"levit_128s", SIZE("[128,256,384]", "[2,3,4]", "[4,6,8]", "16")},
    {"levit_128", SIZE("[128,256,384]", "[4,4,4]", "[4,8,12]", "16")},
    {"levit_192", SIZE("[192,288,384]", "[4,4,4]", "[3,5,6]", "32")},
    {"levit_256", SIZE("[256,384,512]", "[4,4,4]", "[4,6,8]", "32")},
    {"levit_384", SIZE("[384,512,768]", "[4,4,4]", "[6,9,12]", "32")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_levit = {
    .name = "timm_levit",
    .title = "LeViT, as published",
    .paper = "Graham et al. 2021, arXiv 2104.01136",
    .reference = "timm 1.0.31, models.levit.LevitDistilled",
    .presets = presets,
    .build = build,
};
