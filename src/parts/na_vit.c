/* NaViT; see na_vit.h. */
#include "na_vit.h"

#include <math.h>

#include "graph/settings.h"

typedef struct grid {
  int h, w, from; /* of its patches, and where its tokens begin */
} grid;

typedef struct navit {
  const tsr_vit *c;
  int nested, qk_norm;
  int batch, count; /* a tensor of images of one size is a batch with one entry here */
  grid grids[TSR_MAX_IMAGES];
  tsr_value images[TSR_MAX_IMAGES];
} navit;

/* The values along an axis, in groups that concat takes. */
static tsr_value join(tsr_builder *b, int axis, int count, tsr_value *values) {
  while (count > 1) {
    int made = 0;
    for (int i = 0; i < count; i += TSR_MAX_IN) {
      int n = count - i < TSR_MAX_IN ? count - i : TSR_MAX_IN;
      values[made++] = n == 1 ? values[i] : tsr_nn_concat(b, axis, n, values + i);
    }
    count = made;
  }
  return values[0];
}

static tsr_value refuse(tsr_builder *b, const tsr_vit *c, int h, int w) {
  return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d does not fit; sides are multiples of %d, up to %d x %d", h, w,
                  c->patch[0], c->image[0], c->image[1]);
}

static void read_images(tsr_builder *b, navit *m) {
  static const int none[1][2];
  const tsr_vit *c = m->c;
  int sizes[TSR_MAX_IMAGES][2], total = 0, p = c->patch[0];
  int listed = tsr_setting_pairs(b, &b->options, "sizes", none, 0, 1, TSR_MAX_SIDE, TSR_MAX_IMAGES, sizes);
  b->graph.list_patch = p;
  for (int i = 0; i < listed; i++) {
    int64_t n = (int64_t)c->channels * sizes[i][0] * sizes[i][1];
    if (n > INT32_MAX - total)
      return (void)tsr_fail(b, TSR_ERR_SHAPE, "%d images have more numbers than one input holds", listed);
    total += (int)n;
  }
  tsr_value all = listed ? tsr_input_optional(b, "image", tsr_shape_of(1, total))
                         : tsr_input_image(b, c->channels, c->image[0], c->image[1]);
  m->batch = listed ? 1 : tsr_dim(b, all, 0);
  m->count = listed ? listed : 1;
  if (all == TSR_NO_VALUE && !tsr_failed(b))
    tsr_fail(b, TSR_ERR_ARGUMENT, "no input \"image\" was given; expected [%d]", total);
  for (int i = 0, at = 0, from = 0; i < m->count && !tsr_failed(b); i++) {
    int h = listed ? sizes[i][0] : tsr_dim(b, all, 2), w = listed ? sizes[i][1] : tsr_dim(b, all, 3),
        n = c->channels * h * w;
    if (h % p || w % p || h > c->image[0] || w > c->image[1]) refuse(b, c, h, w);
    m->images[i] = listed ? tsr_nn_slice(b, all, 0, at, at + n) : all;
    m->grids[i] = (grid){h / p, w / p, from};
    at += n, from += h / p * (w / p);
  }
}

static tsr_meaning meaning_of(const navit *m, int i, const char *kind) {
  return (tsr_meaning){.kind = kind, .grid_h = m->grids[i].h, .grid_w = m->grids[i].w, .image = (short)i};
}

static int tokens_of(const navit *m, int i) { return m->grids[i].h * m->grids[i].w; }

/* One image's tokens. */
static tsr_value part(tsr_builder *b, const navit *m, tsr_value x, int i) {
  return m->count == 1 ? x : tsr_nn_slice(b, x, 1, m->grids[i].from, m->grids[i].from + tokens_of(m, i));
}

static void tap_tokens(tsr_builder *b, const navit *m, tsr_value x, const char *name, int layer) {
  for (int i = 0; i < m->count; i++)
    if (tsr_tap_offer(b, tsr_shape_of(3, m->batch, tokens_of(m, i), tsr_dim(b, x, 2)), meaning_of(m, i, "tokens"), name,
                      layer))
      tsr_tap_give(b, part(b, m, x, i));
}

/* Norms of the packed form have an offset that no gradient reaches; those of the nested form have none, but for the
 * first of the patches. */
static tsr_value norm(tsr_builder *b, const navit *m, const char *name, tsr_value x) {
  return tsr_nn_norm(b, name, x, (tsr_norm){m->nested ? TSR_NORM_NO_OFFSET : TSR_NORM_FIXED_OFFSET});
}

/* Queries or keys, each head's of them normed: [B,N,H*D] */
static tsr_value norm_heads(tsr_builder *b, const navit *m, const char *name, tsr_value x) {
  tsr_shape shape = tsr_shape_at(b, x);
  int heads = m->c->heads, d = m->c->dim_head;
  if (!m->nested) return tsr_nn_norm_heads(b, name, x, heads, d);
  x = norm(b, m, name, tsr_nn_reshape(b, x, tsr_shape_of(4, shape.dims[0], shape.dims[1], heads, d)));
  return tsr_nn_reshape(b, x, shape);
}

/* q of x, and k and v of seen: [B,N,H*D] each. */
static void project(tsr_builder *b, const navit *m, tsr_value x, tsr_value seen, int qk_norm, tsr_value qkv[3]) {
  int width = m->c->heads * m->c->dim_head;
  qkv[0] = tsr_nn_linear(b, m->nested ? "to_queries" : "to_q", x, width, TSR_NO_BIAS);
  if (m->nested) {
    qkv[1] = tsr_nn_linear(b, "to_keys", seen, width, TSR_NO_BIAS);
    qkv[2] = tsr_nn_linear(b, "to_values", seen, width, TSR_NO_BIAS);
  } else {
    tsr_value kv = tsr_nn_linear(b, "to_kv", seen, 2 * width, TSR_NO_BIAS);
    qkv[1] = tsr_nn_slice(b, kv, 2, 0, width);
    qkv[2] = tsr_nn_slice(b, kv, 2, width, 2 * width);
  }
  if (!qk_norm) return;
  qkv[0] = norm_heads(b, m, m->nested ? "query_norm" : "q_norm.gamma", qkv[0]);
  qkv[1] = norm_heads(b, m, m->nested ? "key_norm" : "k_norm.gamma", qkv[1]);
}

/* Heads of image `i`; the packed form's norms carry the scores' scale, the root of D in each of q and k. */
static tsr_attention heads_of(const navit *m, int i, int layer) {
  tsr_attention a = tsr_nn_heads(m->c->heads, m->c->dim_head, meaning_of(m, i, "attention"), layer);
  if (!m->nested) a.scale = (float)m->c->dim_head;
  return a;
}

static tsr_value out(tsr_builder *b, const navit *m, tsr_value y, tsr_value residual) {
  return tsr_nn_linear_add(b, m->nested ? "to_out" : "to_out.0", y, m->c->dim, TSR_NO_BIAS, residual);
}

static tsr_value layer(tsr_builder *b, const navit *m, tsr_value x, int i) {
  tsr_value qkv[3], y[TSR_MAX_IMAGES];
  tsr_enter(b, "layers.%d.0", i);
  tsr_value normed = norm(b, m, "norm", x);
  project(b, m, normed, normed, m->qk_norm, qkv);
  for (int j = 0; j < m->count; j++)
    y[j] = tsr_nn_attention(b, part(b, m, qkv[0], j), part(b, m, qkv[1], j), part(b, m, qkv[2], j), heads_of(m, j, i));
  x = out(b, m, join(b, 1, m->count, y), x);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.1", i);
  tsr_value hidden = tsr_nn_linear_act(b, "1", norm(b, m, "0", x), m->c->mlp_dim, TSR_BIAS, TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "4", hidden, m->c->dim, TSR_BIAS, x);
  tsr_leave(b);
  tap_tokens(b, m, x, "blocks.%d", i);
  return x;
}

/* [B,count,C]: one learned query attends to the tokens of each image. */
static tsr_value pool(tsr_builder *b, const navit *m, tsr_value x) {
  int dim = m->c->dim, width = m->c->heads * m->c->dim_head;
  tsr_value query = tsr_nn_reshape(b, tsr_weight_vector(b, "attn_pool_queries", tsr_shape_of(1, dim)),
                                   tsr_shape_of(3, 1, 1, dim)),
            qkv[3], y[TSR_MAX_IMAGES];
  tsr_enter(b, "attn_pool");
  project(b, m, norm(b, m, "norm", query), x, 1, qkv);
  qkv[0] = tsr_nn_expand(b, qkv[0], tsr_shape_of(3, m->batch, 1, width));
  for (int i = 0; i < m->count; i++) {
    tsr_attention a = heads_of(m, i, 0);
    int n = tokens_of(m, i);
    a.tap = NULL;
    a.store = 1;
    y[i] = tsr_nn_attention(b, qkv[0], part(b, m, qkv[1], i), part(b, m, qkv[2], i), a);
    tsr_value probs = tsr_node_output(b, y[i], 1);
    tsr_tap_add(b, probs, meaning_of(m, i, "pool_attention"), "pool.attn");
    if (tsr_tap_offer(b, tsr_shape_of(2, m->batch, n), meaning_of(m, i, "pool_weights"), "pool.weights"))
      tsr_tap_give(b, tsr_nn_reshape(b, tsr_nn_mean(b, probs, 1), tsr_shape_of(2, m->batch, n)));
  }
  x = join(b, 1, m->count, y);
  x = out(b, m, x, m->nested ? TSR_NO_VALUE : tsr_nn_expand(b, query, tsr_shape_of(3, m->batch, m->count, dim)));
  tsr_leave(b);
  return x;
}

/* Patches of one image in the reference's order, (c p1 p2): [B,N,C*P*P] */
static tsr_value patches_of(tsr_builder *b, const navit *m, int i) {
  int c = m->c->channels, p = m->c->patch[0], h = m->grids[i].h, w = m->grids[i].w;
  tsr_value x = tsr_nn_reshape(b, m->images[i], tsr_shape_of(6, m->batch, c, h, p, w, p));
  x = tsr_nn_permute(b, x, (int[]){0, 2, 4, 1, 3, 5});
  return tsr_nn_reshape(b, x, tsr_shape_of(3, m->batch, h * w, c * p * p));
}

static tsr_value embed(tsr_builder *b, const navit *m) {
  const tsr_vit *c = m->c;
  tsr_value parts[TSR_MAX_IMAGES], x;
  for (int i = 0; i < m->count; i++) parts[i] = patches_of(b, m, i);
  x = join(b, 1, m->count, parts);
  tsr_enter(b, "to_patch_embedding");
  x = m->nested ? tsr_nn_layer_norm(b, "0", x) : norm(b, m, "0", x);
  x = tsr_nn_linear(b, "1", x, c->dim, TSR_BIAS);
  x = m->nested ? tsr_nn_layer_norm(b, "2", x) : norm(b, m, "2", x);
  tsr_leave(b);
  tap_tokens(b, m, x, "patch_embed", 0);
  int rows = c->image[0] / c->patch[0], columns = c->image[1] / c->patch[0];
  tsr_value tall = tsr_weight_vector(b, "pos_embed_height", tsr_shape_of(2, rows, c->dim));
  tsr_value wide = tsr_weight_vector(b, "pos_embed_width", tsr_shape_of(2, columns, c->dim));
  for (int i = 0; i < m->count; i++) {
    int h = m->grids[i].h, w = m->grids[i].w;
    tsr_value y = tsr_nn_reshape(b, tsr_nn_slice(b, tall, 0, 0, h), tsr_shape_of(3, h, 1, c->dim));
    y = tsr_nn_add(b, y, tsr_nn_reshape(b, tsr_nn_slice(b, wide, 0, 0, w), tsr_shape_of(3, 1, w, c->dim)));
    parts[i] = tsr_nn_reshape(b, y, tsr_shape_of(2, h * w, c->dim));
    tsr_tap_add(b, parts[i], meaning_of(m, i, "position"), "pos_embedding");
  }
  return tsr_nn_add(b, x, join(b, 0, m->count, parts));
}

/* How the reference would pack the images into sequences. */
typedef struct packing {
  int by_length, most, group_count, listed, sizes[TSR_MAX_IMAGES];
  int groups, longest; /* what comes out */
} packing;

/* Goes through the images in order; with `map` [groups,longest] writes each place's image. */
static void pack(tsr_builder *b, const navit *m, packing *p, float *map) {
  int length = 0, filled = 0, total = m->count == 1 ? m->batch : m->count, group = 0;
  for (int i = 0; i < total; i++) {
    const grid *grid = &m->grids[m->count == 1 ? 0 : i];
    int n = grid->h * grid->w, side = m->c->patch[0];
    if (p->by_length && n > p->most)
      tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d gives %d tokens; the option group_max_seq_len is %d",
               grid->h * side, grid->w * side, n, p->most);
    if (p->by_length ? length + n > p->most : p->listed && group < TSR_MAX_IMAGES && filled == p->sizes[group])
      group++, length = filled = 0;
    for (int j = 0; map && j < n; j++) map[(size_t)group * p->longest + length + j] = (float)i;
    length += n, filled++;
    if (length > p->longest) p->longest = length;
  }
  p->groups = group + 1;
}

static void tap_packing(tsr_builder *b, const navit *m) {
  static const int none[TSR_MAX_IMAGES];
  packing p = {.by_length = tsr_option_bool(b, "group_images", 0),
               .most = tsr_option_int(b, "group_max_seq_len", 2048, 1, INT32_MAX)};
  p.group_count = tsr_setting_list(b, &b->options, "groups", none, 1, TSR_MAX_IMAGES, 1, TSR_MAX_IMAGES, p.sizes);
  p.listed = p.sizes[0] > 0;
  int sum = 0, total = m->count == 1 ? m->batch : m->count;
  for (int i = 0; i < p.group_count; i++) sum += p.sizes[i];
  const tsr_json *given = tsr_json_get(b->options.given, "groups");
  if (p.listed && (p.by_length || (given->kind == TSR_JSON_ARRAY && sum != total)))
    tsr_fail(b, TSR_ERR_ARGUMENT, "option \"groups\" has %d images of %d%s", sum, total,
             p.by_length ? ", and \"group_images\" makes groups of its own" : "");
  pack(b, m, &p, NULL);
  tsr_shape shape = tsr_shape_of(2, p.groups, p.longest);
  if (!tsr_tap_offer(b, shape, (tsr_meaning){.kind = "packing"}, "packing")) return;
  float *map;
  tsr_value value = tsr_constant(b, shape, &map);
  for (size_t i = 0; map && i < tsr_shape_count(&shape, NULL); i++) map[i] = -1;
  if (map) pack(b, m, &p, map);
  tsr_tap_give(b, value);
}

tsr_value tsr_na_vit(tsr_builder *b, const tsr_vit *c, tsr_navit_form form) {
  navit m = {.c = c, .nested = form.nested, .qk_norm = form.qk_norm};
  if (c->patch[0] != c->patch[1])
    return tsr_fail(b, TSR_ERR_CONFIG, "config key \"patch_size\" is [%d,%d]; patches are square here", c->patch[0],
                    c->patch[1]);
  read_images(b, &m);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (!form.nested) tap_packing(b, &m);
  tsr_value x = embed(b, &m); /* [B,N,C] */
  tsr_enter(b, "transformer");
  for (int i = 0; i < c->depth; i++) x = layer(b, &m, x, i);
  x = norm(b, &m, "norm", x);
  tsr_leave(b);
  tap_tokens(b, &m, x, "tokens", 0);
  x = tsr_nn_reshape(b, pool(b, &m, x), tsr_shape_of(2, m.batch * m.count, c->dim));
  for (int i = 0; i < m.count; i++)
    if (tsr_tap_offer(b, tsr_shape_of(2, m.batch, c->dim), (tsr_meaning){.kind = "embedding", .image = i}, "embedding"))
      tsr_tap_give(b, m.count == 1 ? x : tsr_nn_slice(b, x, 0, i, i + 1));
  tsr_enter(b, "mlp_head");
  x = tsr_nn_linear(b, "1", norm(b, &m, "0", x), c->num_classes, TSR_NO_BIAS);
  tsr_leave(b);
  return x;
}
