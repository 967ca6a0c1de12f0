/* What Swin and Swin V2 share; see swin.h. */
#include "swin.h"

#include "graph/settings.h"

enum { MOST_WINDOW = 128 }; /* the square of its area is an int */

/* A list of pairs, or of one number for each stage, or one number for all. */
static void read_windows(tsr_builder *b, tsr_swin *c) {
  static const int usual[TSR_SWIN_STAGES] = {7, 7, 7, 7, 7, 7, 7, 7};
  int sides[TSR_SWIN_STAGES], count;
  const tsr_json *given = tsr_json_get(b->config.given, "window_size");
  if (given && given->kind == TSR_JSON_ARRAY && given->child && given->child->kind == TSR_JSON_ARRAY) {
    count = tsr_config_pairs(b, "window_size", NULL, 0, 1, MOST_WINDOW, TSR_SWIN_STAGES, c->window);
  } else {
    count = tsr_config_list(b, "window_size", usual, 1, MOST_WINDOW, 1, TSR_SWIN_STAGES, sides);
    for (int s = 0; s < count; s++) c->window[s][0] = c->window[s][1] = sides[s];
  }
  if (count < c->stages)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"window_size\" has %d of the %d stages", count, c->stages);
}

tsr_swin tsr_swin_config(tsr_builder *b) {
  static const char *const training[] = {"drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate", NULL};
  static const char *const rules[] = {"timm", "transformers", NULL};
  static const int depths[TSR_SWIN_STAGES] = {2, 2, 6, 2}, heads[TSR_SWIN_STAGES] = {3, 6, 12, 24};
  tsr_swin c = {0};
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", 4, 1, TSR_MAX_SIDE, c.patch);
  tsr_config_check_patches(b, c.image, c.patch);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "embed_dim", 96, 1, 4096);
  c.stages = tsr_config_list(b, "depths", depths, 1, TSR_MAX_DEPTH, 1, TSR_SWIN_STAGES, c.depth);
  int listed = tsr_config_list(b, "num_heads", heads, 1, TSR_MAX_HEADS, 1, TSR_SWIN_STAGES, c.heads);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists four stages of eight */
  c.mlp_ratio = tsr_config_number(b, "mlp_ratio", 4, 1.0 / TSR_MAX_DIM, 64);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.norm.eps = (float)tsr_config_number(b, "layer_norm_eps", 1e-5, 0, 1);
  c.transformers = tsr_config_choice(b, "rules", rules, 0);
  tsr_settings_ignore(b, &b->config, training);
  read_windows(b, &c);
  for (int s = 0; s < c.stages; s++)
    if (s >= listed || !c.heads[s] || (c.dim << s) % c.heads[s])
      tsr_fail(b, TSR_ERR_CONFIG,
               "config key \"num_heads\" must give stage %d a number of heads that divides its width, %d", s,
               c.dim << s);
  return c;
}

/* How a stage's map is cut. Where windows are shifted, those that hold what lay at two ends of the map have a mask.
 * They come last in the list: kinds 0 (no mask), 1 (the last column), 2 (the last row) and 3 (both). */
typedef struct layout {
  int window[2], shift[2], map[2], count[2]; /* count: rows and columns of windows */
  int kinds[2][2];                           /* of rows, and of columns: how many without and with a mask */
  tsr_value cut, join, order;                /* for tsr_nn_gather: pixels of the map as the windows take them, and back;
                                                 windows of the list row by row. `cut` is TSR_NO_VALUE where one window
                                                 is the map */
  tsr_value masks[4];                        /* [1,N,N], or TSR_NO_VALUE */
} layout;

static int windows_of_kind(const layout *l, int kind) { return l->kinds[0][kind / 2] * l->kinds[1][kind % 2]; }

/* By timm, what fits the config's image holds for all images. By transformers it does in Swin V2 (post_norm), where the
 * height decides for both sides; in Swin the map decides, and windows never shrink. */
static void choose_windows(tsr_builder *b, const tsr_swin *c, int s, int shifted, layout *l) {
  int least = l->map[0] < l->map[1] ? l->map[0] : l->map[1];
  for (int i = 0; i < 2; i++) {
    int axis = c->transformers ? 0 : i, grid = c->image[axis] / c->patch[axis], w = c->window[s][axis];
    int side = !c->transformers ? (grid + (1 << s) - 1) >> s : c->post_norm ? grid >> s : least;
    if (side < 1 || (c->transformers && !c->post_norm && side < w))
      tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
               "stage %d has a map of %d x %d, less than a window of %d x %d; give a larger image", s, l->map[0],
               l->map[1], w, w);
    l->window[i] = side < w ? side : w;
    l->shift[i] = shifted && side > w ? w / 2 : 0;
  }
}

/* The pixel of the map, along one axis, that is at place i of the padded map when this has been shifted; -1: none. */
static int source(const tsr_swin *c, const layout *l, int axis, int i) {
  int side = l->map[axis], padded = l->count[axis] * l->window[axis];
  if (!c->transformers) return i < side ? (i + l->shift[axis]) % side : -1;
  i = (i + l->shift[axis]) % padded;
  return i < side ? i : -1;
}

/* Window (r, c) in the list. */
static int place_of(const layout *l, int r, int c) {
  int low = l->kinds[0][1] && r == l->count[0] - 1, right = l->kinds[1][1] && c == l->count[1] - 1, first = 0;
  for (int kind = 0; kind < 2 * low + right; kind++) first += windows_of_kind(l, kind);
  return first + (low ? 0 : r) * l->kinds[1][right] + (right ? 0 : c);
}

static void number_pixels(const tsr_swin *c, const layout *l, float *cut, float *join, float *order) {
  int h = l->window[0], w = l->window[1], area = h * w;
  for (int i = 0; i < l->count[0] * l->count[1] * area; i++) {
    int window = i / area, r = window / l->count[1], column = window % l->count[1], place = place_of(l, r, column);
    int y = source(c, l, 0, r * h + i % area / w), x = source(c, l, 1, column * w + i % w);
    int at = place * area + i % area, pixel = y < 0 || x < 0 ? -1 : y * l->map[1] + x;
    cut[at] = (float)pixel;
    if (pixel >= 0) join[pixel] = (float)at;
    order[window] = (float)place;
  }
}

static tsr_value mask_of(tsr_builder *b, const layout *l, int kind, float masked) {
  int w = l->window[1], area = l->window[0] * w, low = l->window[0] - l->shift[0], right = w - l->shift[1];
  float *at;
  tsr_value mask = tsr_constant(b, tsr_shape_of(3, 1, area, area), &at);
  for (int i = 0; at && i < area; i++)
    for (int j = 0; j < area; j++) {
      int apart = (kind / 2 && (i / w < low) != (j / w < low)) || (kind % 2 && (i % w < right) != (j % w < right));
      *at++ = apart ? masked : 0;
    }
  return mask;
}

static layout lay(tsr_builder *b, tsr_value map, const tsr_swin *c, int s, int shifted) {
  layout l = {.map = {tsr_dim(b, map, 1), tsr_dim(b, map, 2)}};
  float *cut, *join, *order;
  if (tsr_failed(b)) return l;
  choose_windows(b, c, s, shifted, &l);
  if (tsr_failed(b)) return l;
  for (int i = 0; i < 2; i++) {
    l.count[i] = (l.map[i] + l.window[i] - 1) / l.window[i];
    l.kinds[i][1] = l.shift[i] > 0;
    l.kinds[i][0] = l.count[i] - l.kinds[i][1];
  }
  int windows = l.count[0] * l.count[1], area = l.window[0] * l.window[1];
  l.cut = tsr_constant(b, tsr_shape_of(2, 1, windows * area), &cut);
  l.join = tsr_constant(b, tsr_shape_of(2, 1, l.map[0] * l.map[1]), &join);
  l.order = tsr_constant(b, tsr_shape_of(2, 1, windows), &order);
  if (cut && join && order) number_pixels(c, &l, cut, join, order);
  for (int kind = 1; kind < 4; kind++)
    if (windows_of_kind(&l, kind)) l.masks[kind] = mask_of(b, &l, kind, c->masked);
  if (windows == 1 && area == l.map[0] * l.map[1]) l.cut = TSR_NO_VALUE;
  return l;
}

static int bias_index(const void *user, int i, int j) {
  const int *w = user; /* rows and columns of a window */
  return (i / w[1] - j / w[1] + w[0] - 1) * (2 * w[1] - 1) + i % w[1] - j % w[1] + w[1] - 1;
}

/* The attention of a block, before its projection: the normed map -> [B,H,W,C]. Windows of each kind are attended by
 * themselves, because they have a mask of their own. */
static tsr_value attend(tsr_builder *b, tsr_value map, const tsr_swin *c, const layout *l, int s, int i) {
  char tap[64];
  int heads = c->heads[s], dim = c->dim << s, area = l->window[0] * l->window[1], n = 0, from = 0;
  int batch = tsr_dim(b, map, 0), windows = l->count[0] * l->count[1], plain = windows_of_kind(l, 0) == windows;
  tsr_meaning meaning = {"attention"}; /* shifted windows reach across the edges of the map: no grid */
  if (plain) meaning = tsr_nn_map_meaning(b, map, "attention");
  if (plain && l->cut) meaning = (tsr_meaning){"attention", l->window[0], l->window[1], 0, l->count[0], l->count[1]};
  tsr_value x = tsr_nn_tokens(b, map), outs[4] = {TSR_NO_VALUE}, stored[4];
  if (l->cut) x = tsr_nn_gather(b, x, l->cut);
  tsr_swin_parts parts = c->parts(b, x, c, s, l->window);
  tsr_attention attention = tsr_nn_heads(heads, dim / heads, meaning, i);
  tsr_value bias = tsr_nn_bias_table(b, parts.table, area, area, 1, bias_index, l->window);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%d.attn", s, i);
  tsr_tap_add(b, bias, (tsr_meaning){"position_bias", l->window[0], l->window[1]}, "%s_bias", tap);
  tsr_shape all = tsr_shape_of(4, batch * windows, heads, area, area);
  attention.store = tsr_tap_offer(b, all, meaning, "%s", tap);
  attention.tap = NULL;
  for (int kind = 0; kind < 4; kind++) {
    int count = windows_of_kind(l, kind);
    if (!count) continue;
    x = tsr_nn_slice(b, parts.qkv, 1, from * area, (from + count) * area);
    from += count;
    attention.bias = kind ? tsr_nn_add(b, bias, l->masks[kind]) : bias;
    x = c->attend(b, x, tsr_nn_reshape(b, x, tsr_shape_of(3, batch * count, area, 3 * dim)), attention, &parts);
    if (attention.store)
      stored[n] = tsr_nn_reshape(b, tsr_node_output(b, x, 1), tsr_shape_of(5, batch, count, heads, area, area));
    outs[n++] = tsr_nn_reshape(b, x, tsr_shape_of(3, batch, count * area, dim));
  }
  if (attention.store) {
    x = tsr_nn_gather(b, tsr_nn_concat(b, 1, n, stored), l->order);
    tsr_tap_give(b, tsr_nn_reshape(b, x, all));
  }
  x = n > 1 ? tsr_nn_concat(b, 1, n, outs) : outs[0];
  if (l->cut) x = tsr_nn_gather(b, x, l->join);
  return tsr_nn_map(b, x, map);
}

static tsr_value block(tsr_builder *b, tsr_value x, const tsr_swin *c, const layout *l, int s, int i) {
  int dim = c->dim << s, hidden = (int)(dim * c->mlp_ratio);
  tsr_value before = c->post_norm ? TSR_NO_VALUE : x;
  tsr_enter(b, "blocks.%d", i);
  tsr_value y = c->post_norm ? x : tsr_nn_norm(b, "norm1", x, c->norm);
  tsr_enter(b, "attn");
  y = tsr_nn_linear_add(b, "proj", attend(b, y, c, l, s, i), dim, TSR_BIAS, before);
  tsr_leave(b);
  x = c->post_norm ? tsr_nn_add(b, x, tsr_nn_norm(b, "norm1", y, c->norm)) : y;
  before = c->post_norm ? TSR_NO_VALUE : x;
  y = c->post_norm ? x : tsr_nn_norm(b, "norm2", x, c->norm);
  y = tsr_nn_linear_act(b, "mlp.fc1", y, hidden, TSR_BIAS, TSR_ACT_GELU);
  y = tsr_nn_linear_add(b, "mlp.fc2", y, dim, TSR_BIAS, before);
  x = c->post_norm ? tsr_nn_add(b, x, tsr_nn_norm(b, "norm2", y, c->norm)) : y;
  tsr_leave(b);
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), "stages.%d.blocks.%d", s, i);
  return x;
}

/* Zeros below and to the right, up to sides that are multiples. */
static tsr_value pad(tsr_builder *b, tsr_value x, int down, int right) {
  int more[2] = {(down - tsr_dim(b, x, 1) % down) % down, (right - tsr_dim(b, x, 2) % right) % right};
  for (int i = 0; i < 2; i++)
    if (more[i]) x = tsr_nn_pad(b, x, 1 + i, 0, more[i]);
  return x;
}

/* Four pixels become one: [B,H,W,C] -> [B,H/2,W/2,2C]. */
static tsr_value merge(tsr_builder *b, tsr_value x, const tsr_swin *c) {
  x = pad(b, x, 2, 2);
  int batch = tsr_dim(b, x, 0), h = tsr_dim(b, x, 1) / 2, w = tsr_dim(b, x, 2) / 2, dim = tsr_dim(b, x, 3);
  x = tsr_nn_permute(b, tsr_nn_reshape(b, x, tsr_shape_of(6, batch, h, 2, w, 2, dim)), (int[]){0, 1, 3, 4, 2, 5});
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h, w, 4 * dim));
  tsr_enter(b, "downsample");
  if (!c->post_norm) x = tsr_nn_layer_norm(b, "norm", x);
  x = tsr_nn_linear(b, "reduction", x, 2 * dim, TSR_NO_BIAS);
  if (c->post_norm) x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  return x;
}

/* The map of patches [B,H,W,C]. */
static tsr_value embed(tsr_builder *b, tsr_value image, const tsr_swin *c) {
  const int *p = c->patch, grid[2] = {c->image[0] / p[0], c->image[1] / p[1]};
  tsr_value x = pad(b, tsr_nn_channels_last(b, image), p[0], p[1]);
  tsr_enter(b, "patch_embed");
  x = tsr_nn_conv2d(
      b, "proj", x,
      (tsr_conv){
          .out = c->dim, .kernel_h = p[0], .kernel_w = p[1], .stride_h = p[0], .stride_w = p[1], .bias = TSR_BIAS});
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  tsr_tap_add(b, tsr_nn_tokens(b, x), tsr_nn_map_meaning(b, x, "tokens"), "patch_embed");
  if (!c->absolute || tsr_failed(b)) return x;
  tsr_value places = tsr_weight_vector(b, "position_embeddings", tsr_shape_of(3, 1, grid[0] * grid[1], c->dim));
  tsr_tap_add(b, tsr_nn_reshape(b, places, tsr_shape_of(2, grid[0] * grid[1], c->dim)),
              (tsr_meaning){"position", grid[0], grid[1]}, "pos_embedding");
  if (tsr_dim(b, x, 1) != grid[0] || tsr_dim(b, x, 2) != grid[1])
    return tsr_fail(b, TSR_ERR_SHAPE, "the image is %d x %d; with position embeddings this model takes %d x %d alone",
                    tsr_dim(b, image, 2), tsr_dim(b, image, 3), c->image[0], c->image[1]);
  return tsr_nn_add(b, x, tsr_nn_reshape(b, places, tsr_shape_of(4, 1, grid[0], grid[1], c->dim)));
}

tsr_value tsr_swin_model(tsr_builder *b, const tsr_swin *c) {
  tsr_value x = embed(b, tsr_input_image(b, c->channels, c->image[0], c->image[1]), c);
  for (int s = 0; s < c->stages && !tsr_failed(b); s++) {
    tsr_enter(b, "layers.%d", s);
    if (s) x = merge(b, x, c);
    layout plain = lay(b, x, c, s, 0), shifted = c->depth[s] > 1 ? lay(b, x, c, s, 1) : plain;
    for (int i = 0; i < c->depth[s]; i++) x = block(b, x, c, i % 2 ? &shifted : &plain, s, i);
    tsr_leave(b);
  }
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = tsr_nn_norm(b, "norm", x, c->norm);
  tsr_tap_add(b, tsr_nn_tokens(b, x), tsr_nn_map_meaning(b, x, "tokens"), "tokens");
  x = tsr_nn_map_mean(b, x);
  return tsr_nn_classify(b, "head.fc", x, c->num_classes);
}
