/* RegionViT: "RegionViT: Regional-to-Local Attention for Vision Transformers" (Chen, Panda and Fan, 2021, arXiv
 * 2106.02689), local tokens that attend within their region and to a token of it.
 * Reference: vit-pytorch 1.26.11, module regionvit, class RegionViT.
 *
 *   l = Conv8/4(x) or three 3x3 convolutions;  r = Linear(patches of 4 * window)      local and regional tokens
 *   for each of four stages:
 *     l, r = Conv3/2(l), Conv3/2(r)                  one convolution for both; not in the first
 *     l = l + DW(l)                                  with use_peg; not in the first
 *     depth_s times:
 *       r = r + MSA(r)
 *       [r; l of its region] = itself + MSA(itself + bias);  itself + MLP      the same weights for both attentions
 *   y = Linear(LN(mean over regions of r))
 *
 * Traps:
 * - The bias is of (dx (2w - 1) + dy), with the config's window w even where a region has another size. It is 0 in the
 *   row and the column of the region's own token.
 * - The norm of a region is inside MSA.
 * - `channels` reaches the regions' patches only; the local convolutions take 3. */
#include <math.h>

#include "arch.h"

enum { STAGES = 4, HEADS = 4, HEAD_DIM = 32, WIDTH = HEADS * HEAD_DIM };

typedef struct regionvit_config {
  int dim[STAGES], depth[STAGES], window, num_classes, three_convs, patch, use_peg;
} regionvit_config;

static regionvit_config read_config(tsr_builder *b) {
  static const char *const training[] = {"attn_dropout", "ff_dropout", NULL};
  static const int dims[STAGES] = {64, 128, 256, 512}, depths[STAGES] = {2, 2, 8, 2};
  regionvit_config c;
  tsr_config_list(b, "dim", dims, 1, TSR_MAX_DIM, STAGES, STAGES, c.dim);
  tsr_config_list(b, "depth", depths, 0, TSR_MAX_DEPTH, STAGES, STAGES, c.depth);
  c.window = tsr_config_int(b, "window_size", 7, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 1, TSR_MAX_CLASSES);
  c.three_convs = tsr_config_bool(b, "tokenize_local_3_conv", 0);
  c.patch = tsr_config_int(b, "local_patch_size", 4, 4, 4); /* the local convolutions' stride is always 4 */
  c.use_peg = tsr_config_bool(b, "use_peg", 0);
  tsr_config_int(b, "channels", 3, 3, 3);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

static tsr_conv kernel(int side, int out, int stride, int pad) {
  return (tsr_conv){.out = out,
                    .kernel_h = side,
                    .kernel_w = side,
                    .stride_h = stride,
                    .stride_w = stride,
                    .pad_h = pad,
                    .pad_w = pad,
                    .bias = TSR_BIAS};
}

static tsr_value local_tokens(tsr_builder *b, tsr_value x, const regionvit_config *c) {
  if (!c->three_convs) return tsr_nn_conv2d(b, "local_encoder", x, kernel(8, c->dim[0], 4, 3));
  tsr_enter(b, "local_encoder");
  x = tsr_nn_channel_norm(b, "1", tsr_nn_conv2d(b, "0", x, kernel(3, c->dim[0], 2, 1)));
  x = tsr_nn_conv2d(b, "3", tsr_nn_activate(b, x, TSR_ACT_GELU), kernel(3, c->dim[0], 2, 1));
  x = tsr_nn_activate(b, tsr_nn_channel_norm(b, "4", x), TSR_ACT_GELU);
  x = tsr_nn_conv2d(b, "6", x, kernel(3, c->dim[0], 1, 1));
  tsr_leave(b);
  return x;
}

/* Patches flattened channels first and a 1x1 convolution, which are a convolution whose matrix is stored flat. */
static tsr_value region_tokens(tsr_builder *b, tsr_value x, const regionvit_config *c) {
  int side = c->patch * c->window, taps = side * side;
  tsr_enter(b, "region_encoder.1");
  tsr_value w = tsr_weight_matrix(b, "weight", tsr_shape_of(4, c->dim[0], 3 * taps, 1, 1),
                                  (tsr_matrix_layout){1, c->dim[0], 3, taps});
  tsr_value bias = tsr_weight_vector(b, "bias", tsr_shape_of(1, c->dim[0]));
  tsr_attrs attrs = {.conv2d = {.kernel_h = side, .kernel_w = side, .stride_h = side, .stride_w = side, .has_bias = 1}};
  x = tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_conv2d, (tsr_value[]){x, w, bias}, 3, &attrs);
  tsr_leave(b);
  return x;
}

/* A region's sides in local tokens, and the config's window. */
typedef struct region {
  int h, w, window;
} region;

static int bias_index(const void *user, int i, int j) {
  const region *r = user;
  if (!i || !j) return -1;
  i--, j--;
  return i / r->w - j / r->w + r->window - 1 + (i % r->w - j % r->w + r->window - 1) * (2 * r->window - 1);
}

static tsr_value attention(tsr_builder *b, tsr_value x, tsr_value bias, tsr_meaning meaning, const char *tap) {
  tsr_value y = tsr_nn_linear(b, "to_qkv", tsr_nn_layer_norm(b, "norm", x), 3 * WIDTH, TSR_NO_BIAS);
  y = tsr_nn_attention_qkv(b, y,
                           (tsr_attention){.heads = HEADS,
                                           .head_dim = HEAD_DIM,
                                           .scale = 1 / sqrtf(HEAD_DIM),
                                           .bias = bias,
                                           .meaning = meaning,
                                           .tap = tap});
  return tsr_nn_linear_add(b, "to_out.0", y, tsr_dim(b, x, 2), TSR_BIAS, x);
}

/* The layers of stage s over maps *l and *r. */
static void layers(tsr_builder *b, tsr_value *l, tsr_value *r, const regionvit_config *c, int s) {
  char tap[64];
  int regions = tsr_dim(b, *r, 1) * tsr_dim(b, *r, 2), batch = tsr_dim(b, *r, 0), dim = c->dim[s];
  if (tsr_failed(b)) return;
  region size = {tsr_dim(b, *l, 1) / tsr_dim(b, *r, 1), tsr_dim(b, *l, 2) / tsr_dim(b, *r, 2), c->window};
  tsr_windows windows = {size.h, size.w, 0};
  tsr_meaning inside = tsr_nn_window_meaning(b, *l, windows, "tokens"), map = tsr_nn_map_meaning(b, *r, "tokens");
  inside.prefix_tokens = 1;
  int n = size.h * size.w + 1, span = 2 * c->window - 1;
  tsr_value table = tsr_weight_vector(b, "local_rel_pos_bias.weight", tsr_shape_of(2, span * span, HEADS));
  if (size.h > c->window || size.w > c->window || size.h < 1 || size.w < 1) {
    tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
             "a region has %d x %d local tokens; config key \"window_size\", %d, allows 1 to %d a side", size.h, size.w,
             c->window, c->window);
    return;
  }
  tsr_value bias = tsr_nn_bias_table(b, table, n, n, 1, bias_index, &size);
  tsr_value x = tsr_nn_windows(b, *l, windows), region = tsr_nn_tokens(b, *r);
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_enter(b, "layers.%d.0", i);
    tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.region_attn", s, i);
    region = attention(b, region, TSR_NO_VALUE, map, tap);
    x = tsr_nn_concat(b, 1, 2, (tsr_value[]){tsr_nn_reshape(b, region, tsr_shape_of(3, batch * regions, 1, dim)), x});
    tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, i);
    x = attention(b, x, bias, inside, tap);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.1", i);
    tsr_value y = tsr_nn_linear_act(b, "1", tsr_nn_layer_norm(b, "0", x), 4 * dim, TSR_BIAS, TSR_ACT_GELU);
    x = tsr_nn_linear_add(b, "4", y, dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_tap_add(b, x, inside, "stages.%d.blocks.%d", s, i);
    region = tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 0, 1), tsr_shape_of(3, batch, regions, dim));
    x = tsr_nn_slice(b, x, 1, 1, n);
  }
  *r = tsr_nn_map(b, region, *r);
  *l = tsr_nn_unwindows(b, x, windows, *l);
}

static tsr_value build(tsr_builder *b) {
  regionvit_config c = read_config(b);
  tsr_value x = tsr_nn_input_map(b, 3, c.patch * c.window);
  tsr_value l = local_tokens(b, x, &c), r = region_tokens(b, x, &c);
  tsr_tap_add(b, l, tsr_nn_map_meaning(b, l, "features"), "local_embed");
  tsr_tap_add(b, r, tsr_nn_map_meaning(b, r, "features"), "region_embed");
  for (int s = 0; s < STAGES; s++) {
    if (s) {
      tsr_enter(b, "layers.%d.0", s);
      l = tsr_nn_conv2d(b, "conv", l, kernel(3, c.dim[s], 2, 1));
      r = tsr_nn_conv2d(b, "conv", r, kernel(3, c.dim[s], 2, 1));
      tsr_leave(b);
    }
    tsr_enter(b, "layers.%d", s);
    if (s && c.use_peg) l = tsr_nn_peg(b, "1.proj", l, 3);
    tsr_enter(b, "2");
    layers(b, &l, &r, &c, s);
    tsr_leave(b);
    tsr_leave(b);
    tsr_tap_add(b, r, tsr_nn_map_meaning(b, r, "features"), "stages.%d.region", s);
    tsr_tap_add(b, l, tsr_nn_map_meaning(b, l, "features"), "stages.%d.local", s);
  }
  tsr_enter(b, "to_logits");
  x = tsr_nn_layer_norm(b, "1", tsr_nn_map_mean(b, r));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "2", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"num_classes\":10,\"dim\":[8,12,16,16],\"depth\":1,\"window_size\":4}"},
    {"regionvit_ti", "{\"dim\":[64,128,256,512],\"depth\":[2,2,8,2],\"window_size\":7}"},
    {"regionvit_s", "{\"dim\":[96,192,384,768],\"depth\":[2,2,8,2],\"window_size\":7,\"tokenize_local_3_conv\":true}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_regionvit = {
    .name = "regionvit",
    .title = "RegionViT",
    .paper = "Chen, Panda and Fan 2021, arXiv 2106.02689",
    .reference = "vit-pytorch 1.26.11, regionvit.RegionViT",
    .presets = presets,
    .build = build,
};
