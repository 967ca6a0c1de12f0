/* Hiera: "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles" (Ryali et al., 2023, arXiv
 * 2306.00989), a plain transformer that halves its map by pooling queries. Positions of windows: "Window Attention is
 * Bugged" (Bolya et al., 2023, arXiv 2311.05613).
 * Reference: timm 1.0.31, models.hiera, class Hiera; transformers' HieraForImageClassification is the same network.
 *
 *   x = Conv7/4(image) + E_pos
 *   each block: x = S(x) + s Attend(LN(x));  x = x + s MLP(LN(x))
 *     the first of a later stage is twice as wide: S(x) = max of 2 x 2 pixels of Linear(LN(x)), and so are its queries
 *   y = Linear(LN(mean over pixels of x))
 *   Attend: in the first stages within mask units, windows of 2^(stages - 1) tokens a side that shrink with the map
 *
 * Traps:
 * - The first block of a stage still attends as the stage before it.
 * - Tokens lie window by window here until a block attends to the whole map, and row by row from there on. The
 *   reference has another order, which changes no number.
 * - Without expand_proj S(x) is [max of 2 x 2 pixels; their mean] of x itself, not of its norm.
 * - E_pos of abs_win_pos_embed is a small table, enlarged with antialiasing's bicubic (a = -0.5), plus one window's
 *   table in each window. */
#include "arch.h"

enum { MOST = 8 };

typedef struct hiera_config {
  int image[2], channels, num_classes, stages, depth[MOST], dim[MOST], heads[MOST], q_pool, mask_unit_attn;
  int kernel[2], stride[2], padding[2], expand_proj, scaled, abs_win, table[2];
  double mlp_ratio;
  tsr_norm norm;
} hiera_config;

/* Tokens [B * windows, h * w, C] of a map that is cut into rows x columns windows of h x w. */
typedef struct hiera_map {
  tsr_value x;
  int h, w, rows, columns;
} hiera_map;

static hiera_config read_config(tsr_builder *b) {
  static const int depths[MOST] = {2, 3, 16, 3}, dims[MOST] = {96, 192, 384, 768, 1, 1, 1, 1};
  static const int heads[MOST] = {1, 2, 4, 8, 1, 1, 1, 1};
  hiera_config c;
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.stages = tsr_config_list(b, "depths", depths, 0, TSR_MAX_DEPTH, 1, MOST, c.depth);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists four stages of eight */
  int widths = tsr_config_list(b, "embed_dims", dims, 1, TSR_MAX_DIM, 1, MOST, c.dim);
  int listed = tsr_config_list(b, "num_heads", heads, 1, TSR_MAX_HEADS, 1, MOST, c.heads);
  for (int s = 0; s < c.stages; s++)
    if (s >= widths || s >= listed || c.dim[s] % c.heads[s] || !c.depth[s])
      tsr_fail(b, TSR_ERR_CONFIG,
               "config keys \"depths\", \"embed_dims\" and \"num_heads\" must give each of the %d stages blocks, and a "
               "width that its heads divide",
               c.stages);
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 4, 1.0 / TSR_MAX_DIM, 64);
  c.q_pool = tsr_config_int(b, "q_pool", c.stages - 1, 0, c.stages - 1);
  c.mask_unit_attn = tsr_config_int(b, "mask_unit_attn", 2, 0, MOST);
  tsr_config_pair(b, "patch_kernel", 7, 1, 63, c.kernel);
  tsr_config_pair(b, "patch_stride", 4, 1, 63, c.stride);
  tsr_config_pair(b, "patch_padding", 3, 0, 63, c.padding);
  c.expand_proj = tsr_config_bool(b, "use_expand_proj", 1);
  c.scaled = tsr_config_bool(b, "layer_scale", 0);
  c.abs_win = tsr_config_bool(b, "abs_win_pos_embed", 0);
  tsr_config_pair(b, "global_pos_size", 14, 1, TSR_MAX_SIDE, c.table);
  c.norm = (tsr_norm){.eps = (float)tsr_config_number(b, "norm_eps", 1e-6, 1e-15, 1)};
  return c;
}

/* E_pos, in any shape of the map's size. */
static tsr_value positions(tsr_builder *b, const hiera_config *c, int h, int w, int unit) {
  int dim = c->dim[0];
  if (!c->abs_win) return tsr_weight_vector(b, "pos_embed", tsr_shape_of(3, 1, h * w, dim));
  tsr_value x = tsr_weight_vector(b, "pos_embed", tsr_shape_of(4, 1, dim, c->table[0], c->table[1]));
  tsr_value window = tsr_weight_vector(b, "pos_embed_win", tsr_shape_of(4, 1, dim, unit, unit));
  x = tsr_nn_resize(b, tsr_nn_channels_last(b, x), h, w, TSR_RESIZE_ANTIALIAS); /* [1,h,w,C] */
  window = tsr_nn_reshape(b, tsr_nn_channels_last(b, window), tsr_shape_of(5, 1, unit, 1, unit, dim));
  return tsr_nn_add(b, tsr_nn_reshape(b, x, tsr_shape_of(5, h / unit, unit, w / unit, unit, dim)), window);
}

/* The image's tokens with positions, cut into mask units. */
static hiera_map embed(tsr_builder *b, tsr_value image, const hiera_config *c) {
  int unit = 1 << (c->stages - 1), dim = c->dim[0];
  tsr_conv conv = {dim, c->kernel[0], c->kernel[1], c->stride[0], c->stride[1], c->padding[0], c->padding[1], TSR_BIAS};
  tsr_value x = tsr_nn_conv2d(b, "patch_embed.proj", tsr_nn_channels_last(b, image), conv);
  int h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2);
  tsr_meaning meaning = tsr_nn_map_meaning(b, x, "features");
  tsr_tap_add(b, x, meaning, "patch_embed");
  tsr_value table = tsr_nn_reshape(b, positions(b, c, h, w, unit), tsr_shape_of(2, h * w, dim));
  meaning.kind = "position";
  tsr_tap_add(b, table, meaning, "pos_embedding");
  x = tsr_nn_add(b, x, tsr_nn_reshape(b, table, tsr_shape_of(4, 1, h, w, dim)));
  return (hiera_map){tsr_nn_windows(b, x, (tsr_windows){unit, unit, 0}), unit, unit, h / unit, w / unit};
}

/* The map in one piece. */
static void join_windows(tsr_builder *b, hiera_map *m) {
  int batch = tsr_dim(b, m->x, 0), c = tsr_dim(b, m->x, 2), h = m->h * m->rows, w = m->w * m->columns;
  if (m->rows * m->columns == 1 || tsr_failed(b)) return;
  m->x = tsr_nn_reshape(b, m->x, tsr_shape_of(6, batch / (m->rows * m->columns), m->rows, m->columns, m->h, m->w, c));
  m->x = tsr_nn_permute(b, m->x, (int[]){0, 1, 3, 2, 4, 5});
  m->x = tsr_nn_reshape(b, m->x, tsr_shape_of(3, batch / (m->rows * m->columns), h * w, c));
  *m = (hiera_map){m->x, h, w, 1, 1};
}

/* x [B,h w,C] -> [B,h w / 4,C]: the largest of 2 x 2 pixels, or their mean. */
static tsr_value pool(tsr_builder *b, tsr_value x, const hiera_map *m, int mean) {
  int batch = tsr_dim(b, x, 0), c = tsr_dim(b, x, 2), h = m->h / 2, w = m->w / 2;
  if (!mean)
    return tsr_nn_tokens(b, tsr_nn_max_pool2d(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch, m->h, m->w, c)), 2, 2, 0));
  x = tsr_nn_mean(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch * h, 2, m->w, c)), 1);
  x = tsr_nn_mean(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch * h, w, 2, c)), 2);
  return tsr_nn_reshape(b, x, tsr_shape_of(3, batch, h * w, c));
}

/* Linear(y) below `name` + x, with a scale by channel if the config has layer_scale. */
static tsr_value join(tsr_builder *b, const char *name, const char *scale, tsr_value x, tsr_value y,
                      const hiera_config *c) {
  int dim = tsr_dim(b, x, 2);
  if (!c->scaled) return tsr_nn_linear_add(b, name, y, dim, TSR_BIAS, x);
  y = tsr_nn_linear(b, name, y, dim, TSR_BIAS);
  return tsr_nn_add(b, x, tsr_nn_mul(b, y, tsr_weight_vector(b, scale, tsr_shape_of(1, dim))));
}

/* Block i of all, in stage s; `first` of its stage. */
static void block(tsr_builder *b, hiera_map *m, const hiera_config *c, int s, int i, int first) {
  int dim = c->dim[s], pools = first && s && s <= c->q_pool;
  if (s - (first && s) >= c->mask_unit_attn) join_windows(b, m);
  tsr_meaning meaning = {"attention", (short)m->h, (short)m->w};
  if (m->rows * m->columns > 1) meaning.windows_h = (short)m->rows, meaning.windows_w = (short)m->columns;
  tsr_attention attention = tsr_nn_heads(c->heads[s], dim / c->heads[s], meaning, i);
  tsr_enter(b, "blocks.%d", i);
  tsr_value x = m->x, y = tsr_nn_norm(b, "norm1", x, c->norm);
  if (tsr_dim(b, x, 2) != dim && c->expand_proj) {
    x = tsr_nn_linear(b, "proj", y, dim, TSR_BIAS);
    if (pools) x = pool(b, x, m, 0);
  } else if (tsr_dim(b, x, 2) != dim) {
    tsr_value both[2] = {x, x};
    for (int mean = 0; pools && mean < 2; mean++) both[mean] = pool(b, x, m, mean);
    x = tsr_nn_concat(b, 2, 2, both);
  }
  tsr_value qkv = tsr_nn_linear(b, "attn.qkv", y, 3 * dim, TSR_BIAS);
  y = tsr_nn_attention_of(b, pools ? pool(b, tsr_nn_slice(b, qkv, 2, 0, dim), m, 0) : qkv, qkv, attention);
  x = join(b, "attn.proj", "ls1.gamma", x, y, c);
  y = tsr_nn_linear_act(b, "mlp.fc1", tsr_nn_norm(b, "norm2", x, c->norm), (int)(dim * c->mlp_ratio), TSR_BIAS,
                        TSR_ACT_GELU);
  m->x = join(b, "mlp.fc2", "ls2.gamma", x, y, c);
  tsr_leave(b);
  if (pools) m->h /= 2, m->w /= 2;
  meaning.kind = "tokens", meaning.grid_h = (short)m->h, meaning.grid_w = (short)m->w;
  tsr_tap_add(b, m->x, meaning, "blocks.%d", i);
}

static tsr_value build(tsr_builder *b) {
  hiera_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  hiera_map m = embed(b, image, &c);
  for (int s = 0, i = 0; s < c.stages && !tsr_failed(b); s++)
    for (int j = 0; j < c.depth[s]; j++) block(b, &m, &c, s, i++, !j);
  join_windows(b, &m);
  tsr_tap_add(b, m.x, (tsr_meaning){"tokens", (short)m.h, (short)m.w}, "tokens");
  tsr_value x = tsr_nn_norm(b, "head.norm", tsr_nn_mean(b, m.x, 1), c.norm);
  return tsr_nn_classify(b, "head.fc", x, c.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dims\":[8,16],\"depths\":[1,2],\"num_heads\":[1,2],"
     "\"mask_unit_attn\":1}"},
    {"hiera_tiny_224", "{\"depths\":[1,2,7,2]}"},
    {"hiera_small_224", "{\"depths\":[1,2,11,2]}"},
    {"hiera_base_224", "{\"depths\":[2,3,16,3]}"},
    {"hiera_small_abswin_256",
     "{\"depths\":[1,2,11,2],\"image_size\":256,\"abs_win_pos_embed\":true,\"global_pos_size\":16,\"layer_scale\":true,"
     "\"use_expand_proj\":false}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_hiera = {
    .name = "hiera",
    .title = "Hiera",
    .paper = "Ryali et al. 2023, arXiv 2306.00989",
    .reference = "timm 1.0.31, models.hiera.Hiera",
    .presets = presets,
    .build = build,
};
