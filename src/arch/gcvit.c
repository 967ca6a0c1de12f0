/* GC ViT: "Global Context Vision Transformers" (Hatamizadeh, Yin, Heinrich, Kautz, Molchanov, 2022, arXiv 2206.09959),
 * attention in windows with queries of the window or of the whole image.
 * Reference: timm 1.0.31, models.gcvit, class GlobalContextVit.
 *
 *   x = Down(Conv3/2(x))                                            the stem
 *   each stage but the first: x = Down(x), twice as wide
 *     g = Pool(MB(.. Pool(MB(x)) ..))                               the global query: pooled to the size of a window
 *     x = x + s Attend(LN(x));  x = x + s MLP(LN(x))                in windows; every second block has g in place of q
 *   y = Linear(mean over pixels of LN(x))
 *   Down(x) = LN(Conv3/2(MB(LN(x))))    MB(x) = x + Conv1(SE(GELU(DW3(x))))    SE(x) = x * sigmoid(W GELU(W mean(x)))
 *
 * Traps:
 * - Convolutions have no bias but the stem's first.
 * - SE's width is a quarter, rounded to a multiple of 8.
 * - The residual of Down's MB is the norm's output.
 * - A stage as small as its window has one MB and no pooling.
 * - All windows of an image share one global query. Images of another size than the config's are refused, because their
 *   global query would not fit the windows.
 * - Layer scale s is there only where the config has it. */
#include "arch.h"

enum { MOST = 8 };

typedef struct gcvit_config {
  int image[2], channels, num_classes, dim, stages, depth[MOST], heads[MOST], window[MOST][2], qkv_bias, scaled;
  double mlp_ratio;
} gcvit_config;

/* Windows as given, or the image's sides divided by a ratio. */
static void read_windows(tsr_builder *b, gcvit_config *c) {
  static const int usual[MOST] = {32, 32, 16, 32, 32, 32, 32, 32};
  int sizes[MOST], ratios[MOST];
  int given = tsr_config_list(b, "window_size", (int[MOST]){0}, 0, TSR_MAX_SIDE, 1, MOST, sizes);
  int count = tsr_config_list(b, "window_ratio", usual, 1, TSR_MAX_SIDE, 1, MOST, ratios);
  const char *key = sizes[0] ? "window_size" : "window_ratio";
  if ((sizes[0] ? given : count) < c->stages)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"%s\" has too few numbers; expected one for each of the %d stages", key,
             c->stages);
  for (int s = 0; s < c->stages; s++)
    for (int i = 0; i < 2; i++) {
      int side = c->image[i] / 4 >> s;
      c->window[s][i] = sizes[0] ? sizes[s] : c->image[i] / ratios[s];
      if (tsr_failed(b)) return;
      if (!c->window[s][i] || !side || side % c->window[s][i])
        tsr_fail(b, TSR_ERR_CONFIG,
                 "config key \"%s\" gives stage %d windows of %d; expected a divisor of its map's side, %d", key, s,
                 c->window[s][i], side);
    }
}

static gcvit_config read_config(tsr_builder *b) {
  static const int depths[MOST] = {3, 4, 19, 5}, heads[MOST] = {2, 4, 8, 16};
  static const char *const training[] = {"drop_rate",      "proj_drop_rate", "attn_drop_rate",
                                         "drop_path_rate", "weight_init",    NULL};
  static const char *const pools[] = {"avg", NULL};
  gcvit_config c;
  tsr_config_pair(b, "img_size", 224, 4, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "embed_dim", 64, 1, 4096);
  c.stages = tsr_config_list(b, "depths", depths, 1, TSR_MAX_DEPTH, 1, MOST, c.depth);
  int listed = tsr_config_list(b, "num_heads", heads, 1, TSR_MAX_HEADS, 1, MOST, c.heads);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists four stages of eight */
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 3, 1.0 / TSR_MAX_DIM, 64);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.scaled = tsr_config_number(b, "layer_scale", -1, 0, 1e6) >= 0;
  tsr_config_choice(b, "global_pool", pools, 0);
  tsr_settings_ignore(b, &b->config, training);
  for (int s = 0; s < c.stages; s++)
    if (s >= listed || !c.heads[s] || (c.dim << s) % c.heads[s])
      tsr_fail(b, TSR_ERR_CONFIG,
               "config key \"num_heads\" must give stage %d a number of heads that divides its width, %d", s,
               c.dim << s);
  read_windows(b, &c);
  return c;
}

static tsr_conv kernel(int out, int stride, int bias, int activation) {
  tsr_conv conv = tsr_nn_square(3, out, stride, activation);
  conv.bias = bias;
  return conv;
}

static tsr_value mbconv(tsr_builder *b, const char *name, tsr_value x) {
  int c = tsr_dim(b, x, 3), quarter = (c / 4 + 4) / 8 * 8; /* a quarter of c, rounded to a multiple of 8 */
  tsr_enter(b, "%s", name);
  tsr_value y = tsr_nn_depthwise_conv2d(b, "conv_dw", x, kernel(0, 1, TSR_NO_BIAS, TSR_ACT_GELU));
  tsr_value gate = tsr_nn_reshape(b, tsr_nn_map_mean(b, y), tsr_shape_of(4, tsr_dim(b, y, 0), 1, 1, c));
  gate = tsr_nn_pointwise_act(b, "se.fc1", gate, quarter < 8 ? 8 : quarter, TSR_NO_BIAS, TSR_ACT_GELU);
  gate = tsr_nn_pointwise_act(b, "se.fc2", gate, c, TSR_NO_BIAS, TSR_ACT_SIGMOID);
  y = tsr_nn_pointwise_add(b, "conv_pw", tsr_nn_mul(b, y, gate), c, TSR_NO_BIAS, x);
  tsr_leave(b);
  return y;
}

static tsr_value down(tsr_builder *b, const char *name, tsr_value x, int out) {
  tsr_enter(b, "%s", name);
  x = mbconv(b, "conv_block", tsr_nn_layer_norm(b, "norm1", x));
  x = tsr_nn_layer_norm(b, "norm2", tsr_nn_conv2d(b, "reduction", x, kernel(out, 2, TSR_NO_BIAS, TSR_ACT_NONE)));
  tsr_leave(b);
  return x;
}

/* The global query [B,h,w,C]: x pooled to the size of a window. */
static tsr_value global_query(tsr_builder *b, tsr_value x, const int window[2]) {
  int h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2), side = h < w ? h : w,
      least = window[0] < window[1] ? window[0] : window[1];
  for (int i = 1; i == 1 || side >= 2 * least; i++, side /= 2) {
    char name[32];
    tsr_print(name, sizeof name, "global_block.blocks.conv%d", i);
    x = mbconv(b, name, x);
    if (tsr_failed(b) || side < 2 * least) break;
    x = tsr_nn_max_pool2d(b, x, 3, 2, 1);
  }
  if (!tsr_failed(b) && tsr_dim(b, x, 1) * tsr_dim(b, x, 2) != window[0] * window[1])
    return tsr_fail(b, TSR_ERR_CONFIG,
                    "the global query is %d x %d and windows are %d x %d; expected equally many pixels, by another "
                    "config key \"img_size\" or other windows",
                    tsr_dim(b, x, 1), tsr_dim(b, x, 2), window[0], window[1]);
  return x;
}

static int bias_index(const void *user, int i, int j) {
  const int *w = user; /* rows and columns of a window */
  return (i / w[1] - j / w[1] + w[0] - 1) * (2 * w[1] - 1) + i % w[1] - j % w[1] + w[1] - 1;
}

/* Attention in windows; `query` [B,N,C] or TSR_NO_VALUE. */
static tsr_value attend(tsr_builder *b, tsr_value map, tsr_value query, const gcvit_config *c, int s, int layer) {
  char tap[64];
  const int *w = c->window[s];
  int dim = c->dim << s, heads = c->heads[s], n = w[0] * w[1],
      count = tsr_dim(b, map, 1) / w[0] * (tsr_dim(b, map, 2) / w[1]);
  int local = query == TSR_NO_VALUE;
  tsr_windows windows = {w[0], w[1], 0};
  tsr_attention attention =
      tsr_nn_heads(heads, dim / heads, tsr_nn_window_meaning(b, map, windows, "attention"), layer);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%%d.%s_attn", s, local ? "local" : "global");
  attention.tap = tap;
  tsr_enter(b, "attn");
  tsr_value table = tsr_weight_vector(b, "rel_pos.relative_position_bias_table",
                                      tsr_shape_of(2, (2 * w[0] - 1) * (2 * w[1] - 1), heads));
  attention.bias = tsr_nn_bias_table(b, table, n, n, 1, bias_index, w);
  tsr_value x = tsr_nn_linear(b, "qkv", tsr_nn_windows(b, map, windows), (local ? 3 : 2) * dim, c->qkv_bias);
  if (local) {
    x = tsr_nn_attention_qkv(b, x, attention);
  } else {
    int batch = tsr_dim(b, map, 0);
    query = tsr_nn_expand(b, tsr_nn_reshape(b, query, tsr_shape_of(4, batch, 1, n, dim)),
                          tsr_shape_of(4, batch, count, n, dim));
    x = tsr_nn_attention_kv(b, tsr_nn_reshape(b, query, tsr_shape_of(3, batch * count, n, dim)), x, attention);
  }
  x = tsr_nn_unwindows(b, tsr_nn_linear(b, "proj", x, dim, TSR_BIAS), windows, map);
  tsr_leave(b);
  return x;
}

/* x + y, with y scaled by channel if the config has layer_scale. */
static tsr_value join(tsr_builder *b, const char *scale, tsr_value x, tsr_value y, const gcvit_config *c) {
  if (c->scaled) y = tsr_nn_mul(b, y, tsr_weight_vector(b, scale, tsr_shape_of(1, tsr_dim(b, x, 3))));
  return tsr_nn_add(b, x, y);
}

static tsr_value block(tsr_builder *b, tsr_value x, tsr_value query, const gcvit_config *c, int s, int i) {
  int dim = c->dim << s;
  tsr_enter(b, "blocks.%d", i);
  x = join(b, "ls1.gamma", x, attend(b, tsr_nn_layer_norm(b, "norm1", x), i % 2 ? query : TSR_NO_VALUE, c, s, i), c);
  tsr_value y = tsr_nn_linear_act(b, "mlp.fc1", tsr_nn_layer_norm(b, "norm2", x), (int)(dim * c->mlp_ratio), TSR_BIAS,
                                  TSR_ACT_GELU);
  x = join(b, "ls2.gamma", x, tsr_nn_linear(b, "mlp.fc2", y, dim, TSR_BIAS), c);
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
  return x;
}

static tsr_value build(tsr_builder *b) {
  gcvit_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]), x = tsr_nn_channels_last(b, image);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = down(b, "stem.down", tsr_nn_conv2d(b, "stem.conv1", x, kernel(c.dim, 2, TSR_BIAS, TSR_ACT_NONE)), c.dim);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stem");
  for (int s = 0; s < c.stages; s++) {
    tsr_enter(b, "stages.%d", s);
    if (s) x = down(b, "downsample", x, c.dim << s);
    tsr_value query = global_query(b, x, c.window[s]);
    tsr_tap_add(b, query, tsr_nn_map_meaning(b, query, "features"), "stages.%d.global_query", s);
    for (int i = 0; i < c.depth[s]; i++) x = block(b, x, query, &c, s, i);
    if (s == c.stages - 1) x = tsr_nn_layer_norm(b, "norm", x);
    tsr_leave(b);
  }
  x = tsr_nn_map_mean(b, x);
  return tsr_nn_classify(b, "head.fc", x, c.num_classes);
}

#define WIDE(dim, heads) \
  "{\"embed_dim\":" dim ",\"num_heads\":" heads ",\"depths\":[3,4,19,5],\"mlp_ratio\":2,\"layer_scale\":1e-5}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"img_size\":32,\"num_classes\":10,\"embed_dim\":8,\"depths\":[2,2],\"num_heads\":[1,2],\"window_ratio\":8}"},
    {"gcvit_xxtiny", "{\"depths\":[2,2,6,2]}"},
    {"gcvit_xtiny", "{\"depths\":[3,4,6,5]}"},
    {"gcvit_tiny", "{\"depths\":[3,4,19,5]}"},
    {"gcvit_small", WIDE("96", "[3,6,12,24]")},
    {"gcvit_base", WIDE("128", "[4,8,16,32]")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_gcvit = {
    .name = "gcvit",
    .title = "Global Context Vision Transformer",
    .paper = "Hatamizadeh et al. 2022, arXiv 2206.09959",
    .reference = "timm 1.0.31, models.gcvit.GlobalContextVit",
    .presets = presets,
    .build = build,
};
