/* GLOM: "How to represent part-whole hierarchies in a neural network", Hinton, 2021, arXiv 2102.12627.
 * Reference: glom-pytorch 0.0.14, class Glom.
 *
 *   s_l(0)   = init_l                                  at every column: N columns (patches), L levels, width D
 *   bu_l     = BottomUp_l(s_{l-1}),  s_{-1} = Linear(patch)     an MLP of its own per level
 *   td_l     = TopDown_l(s_{l+1} + E_pos),  td_{L-1} = 0
 *   co_l     = softmax(s_l . normalize(s_l) / sqrt D) s_l       attention among the columns of one level
 *   s_l(t+1) = (s_l + bu_l + td_l + co_l) / 4                   / 3 at the top level, which has no td
 *
 * Traps
 *   - Only the keys are normalised.
 *   - A column's score with itself is set to -5e-4 after scaling, unless consensus_self; it is not removed.
 *   - Positions are given to the top-down nets only. top_down has L - 1 groups.
 *   - Images are square.
 *
 * Options of a run: iters (default 2 L), return_all (the output is then [iters+1,B,N,L,D]). Optional input "levels"
 * [B,N,L,D]: the state to start from, for video. The output is the state of all columns, not logits. The tap islands.t
 * shows the paper's islands, patches whose states agree: the cosine similarity with the right and the lower patch. */
#include <float.h>
#include <math.h>

#include "arch.h"

typedef struct glom_config {
  int dim, levels, image, patch, consensus_self, radius;
} glom_config;

enum { MLP_MULTIPLE = 4, CHANNELS = 3, MAX_ITERS = 256 };
static const float ATTEND_SELF_VALUE = -5e-4f;

static glom_config read_config(tsr_builder *b) {
  glom_config c;
  c.dim = tsr_config_int(b, "dim", 512, 1, TSR_MAX_DIM);
  c.levels = tsr_config_int(b, "levels", 6, 2, 64);
  c.image = tsr_config_int(b, "image_size", 224, 1, TSR_MAX_SIDE);
  c.patch = tsr_config_int(b, "patch_size", 14, 1, TSR_MAX_SIDE);
  c.consensus_self = tsr_config_bool(b, "consensus_self", 0);
  c.radius = tsr_config_int(b, "local_consensus_radius", 0, 0, TSR_MAX_SIDE);
  tsr_config_check_patches(b, (int[]){c.image, c.image}, (int[]){c.patch, c.patch});
  return c;
}

/* 0 within the radius, -max beyond: [1,N,N], added to the scores. TSR_NO_VALUE when there is no radius. */
static tsr_value locality(tsr_builder *b, int side, int radius) {
  float *mask;
  if (!radius) return TSR_NO_VALUE;
  tsr_value value = tsr_constant(b, tsr_shape_of(3, 1, side * side, side * side), &mask);
  if (!mask) return value;
  for (int i = 0; i < side * side; i++)
    for (int j = 0; j < side * side; j++) {
      int dy = i / side - j / side, dx = i % side - j % side;
      *mask++ = dy * dy + dx * dx > radius * radius ? -FLT_MAX : 0;
    }
  return value;
}

/* Conv1d, GELU, Conv1d with a group per level: [B,N,G,D] -> [B,N,G,D]. */
static tsr_value grouped_feed_forward(tsr_builder *b, const char *name, tsr_value x, int dim) {
  tsr_shape shape = tsr_shape_at(b, x);
  int groups = tsr_dim(b, x, 2);
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s.net", name);
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, shape.dims[0], shape.dims[1], groups * dim));
  x = tsr_nn_grouped_linear(b, "1", x, groups, dim * MLP_MULTIPLE, TSR_ACT_GELU);
  x = tsr_nn_grouped_linear(b, "3", x, groups, dim, TSR_ACT_NONE);
  x = tsr_nn_reshape(b, x, shape);
  tsr_leave(b);
  return x;
}

/* What every iteration shares. */
typedef struct glom_parts {
  glom_config c;
  tsr_value bottom;   /* s_{-1}, the image's tokens [B,N,1,D] */
  tsr_value position; /* [N,1,D] */
  tsr_value local;    /* mask or TSR_NO_VALUE */
  tsr_value divide;   /* [L,1]: 1/4, and 1/3 at the top */
  tsr_meaning meaning;
} glom_parts;

/* The taps state.t and islands.t. */
static void tap_state(tsr_builder *b, tsr_value state, const glom_parts *p, int t) {
  tsr_tap_add(b, state, p->meaning, "state.%d", t);
  tsr_meaning islands = p->meaning;
  islands.kind = "islands";
  tsr_shape shape = tsr_shape_at(b, state);
  shape.dims[3] = 2;
  if (tsr_tap_offer(b, shape, islands, "islands.%d", t))
    tsr_tap_give(b, tsr_nn_neighbour_similarity(b, state, islands.grid_w));
}

/* The states of all iterations: count times [B,N,L,D] -> [count,B,N,L,D]. */
static tsr_value stack_states(tsr_builder *b, const tsr_value *states, int count) {
  tsr_value all = TSR_NO_VALUE;
  for (int i = 0; i < count && !tsr_failed(b);) { /* a concat takes TSR_MAX_IN values */
    tsr_value part[TSR_MAX_IN];
    int n = 0;
    if (all != TSR_NO_VALUE) part[n++] = all;
    while (n < TSR_MAX_IN && i < count) {
      tsr_shape s = tsr_shape_at(b, states[i]);
      part[n++] = tsr_nn_reshape(b, states[i++], tsr_shape_of(5, 1, s.dims[0], s.dims[1], s.dims[2], s.dims[3]));
    }
    all = tsr_nn_concat(b, 0, n, part);
  }
  return all;
}

/* s_{-1}, E_pos, the locality mask and the divisors, from an image [B,3,H,W]. */
static glom_parts read_image(tsr_builder *b, const glom_config *c) {
  int side = c->image / c->patch;
  glom_parts p = {.c = *c, .meaning = {"levels", side, side, 0}};
  tsr_meaning embed = {"tokens", side, side, 0}, table = {"position", side, side, 0};
  tsr_value image = tsr_input_image(b, CHANNELS, c->image, c->image);
  tsr_value tokens = tsr_nn_patchify(b, image, c->patch, c->patch);
  tokens = tsr_nn_linear(b, "image_to_tokens.1", tokens, c->dim, TSR_BIAS); /* [B,N,D] */
  tsr_tap_add(b, tokens, embed, "patch_embed");
  int columns = tsr_dim(b, tokens, 1);
  if (!tsr_failed(b) && columns != side * side)
    tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d gives %d columns; this model takes %d x %d", tsr_dim(b, image, 2),
             tsr_dim(b, image, 3), columns, c->image, c->image);
  p.bottom = tsr_nn_reshape(b, tokens, tsr_shape_of(4, tsr_dim(b, tokens, 0), columns, 1, c->dim));
  tsr_value position = tsr_weight_vector(b, "pos_emb.weight", tsr_shape_of(2, columns, c->dim));
  tsr_tap_add(b, position, table, "pos_embedding");
  p.position = tsr_nn_reshape(b, position, tsr_shape_of(3, columns, 1, c->dim));
  p.local = locality(b, side, c->radius);
  float *divide;
  p.divide = tsr_constant(b, tsr_shape_of(2, c->levels, 1), &divide);
  for (int l = 0; divide && l < c->levels; l++) divide[l] = l + 1 < c->levels ? 1.0f / 4 : 1.0f / 3;
  return p;
}

/* softmax(s . normalize(s) / sqrt D) s, a head a level: [B,N,L,D] -> [B,N,L,D]. */
static tsr_value consensus(tsr_builder *b, tsr_value state, const glom_parts *p, int t) {
  tsr_shape shape = tsr_shape_at(b, state);
  if (state == TSR_NO_VALUE) return state;
  tsr_shape flat = tsr_shape_of(3, shape.dims[0], shape.dims[1], p->c.levels * p->c.dim);
  tsr_value q = tsr_nn_reshape(b, state, flat);
  tsr_value k = tsr_nn_reshape(b, tsr_nn_l2_normalize(b, state, 1e-12f), flat);
  tsr_value y = tsr_nn_attention(b, q, k, q,
                                 (tsr_attention){.heads = p->c.levels,
                                                 .head_dim = p->c.dim,
                                                 .scale = 1 / sqrtf((float)p->c.dim),
                                                 .self_mask = !p->c.consensus_self,
                                                 .self_value = ATTEND_SELF_VALUE,
                                                 .bias = p->local,
                                                 .meaning = p->meaning,
                                                 .tap = "iterations.%d.attn",
                                                 .index = t});
  return tsr_nn_reshape(b, y, shape);
}

/* s(0): the input "levels" if the caller gave one, else init_levels at every column: [B,N,L,D]. */
static tsr_value first_state(tsr_builder *b, int batch, int columns, const glom_config *c) {
  tsr_value init = tsr_weight_vector(b, "init_levels", tsr_shape_of(2, c->levels, c->dim));
  tsr_shape shape = tsr_shape_of(4, batch, columns, c->levels, c->dim);
  tsr_value given = tsr_input_optional(b, "levels", shape);
  if (given != TSR_NO_VALUE) return given;
  init = tsr_nn_reshape(b, init, tsr_shape_of(4, 1, 1, c->levels, c->dim));
  return tsr_nn_expand(b, init, shape);
}

/* s(t) -> s(t+1), with the taps of what it is the mean of: [B,N,L,D]. */
static tsr_value iterate(tsr_builder *b, tsr_value s, const glom_parts *p, int t) {
  int levels = p->c.levels;
  tsr_value below =
      tsr_nn_concat(b, 2, 2, (tsr_value[]){p->bottom, tsr_nn_slice(b, s, 2, 0, levels - 1)}); /* s_{l-1} */
  tsr_value above = tsr_nn_add(b, tsr_nn_slice(b, s, 2, 1, levels), p->position);             /* s_{l+1} + E_pos */
  tsr_value bu = grouped_feed_forward(b, "bottom_up", below, p->c.dim);
  tsr_value td = tsr_nn_pad(b, grouped_feed_forward(b, "top_down", above, p->c.dim), 2, 0, 1); /* td_{L-1} = 0 */
  tsr_value co = consensus(b, s, p, t);
  tsr_tap_add(b, bu, p->meaning, "iterations.%d.bottom_up", t);
  tsr_tap_add(b, td, p->meaning, "iterations.%d.top_down", t);
  tsr_tap_add(b, co, p->meaning, "iterations.%d.consensus", t);
  tsr_value sum = tsr_nn_add(b, tsr_nn_add(b, tsr_nn_add(b, s, bu), td), co);
  return tsr_nn_mul(b, sum, p->divide);
}

static tsr_value build(tsr_builder *b) {
  glom_config c = read_config(b);
  int iters = tsr_option_int(b, "iters", 2 * c.levels, 0, MAX_ITERS);
  int return_all = tsr_option_bool(b, "return_all", 0);
  glom_parts p = read_image(b, &c);
  int batch = tsr_dim(b, p.bottom, 0), columns = tsr_dim(b, p.bottom, 1);

  tsr_value s[MAX_ITERS + 1] = {first_state(b, batch, columns, &c)};
  tap_state(b, s[0], &p, 0);
  for (int t = 0; t < iters; t++) {
    s[t + 1] = iterate(b, s[t], &p, t);
    tap_state(b, s[t + 1], &p, t + 1);
  }

  tsr_value top = tsr_nn_slice(b, s[iters], 2, c.levels - 1, c.levels);
  tsr_meaning tokens = p.meaning;
  tokens.kind = "tokens";
  tsr_tap_add(b, tsr_nn_reshape(b, top, tsr_shape_of(3, batch, columns, c.dim)), tokens, "tokens");
  tsr_output_means(b, p.meaning);
  return return_all ? stack_states(b, s, iters + 1) : s[iters];
}

static const tsr_preset presets[] = {
    {"tiny", "{\"dim\":16,\"levels\":3,\"image_size\":16,\"patch_size\":4}"},
    {"glom_document", "{\"dim\":512,\"levels\":5,\"image_size\":224,\"patch_size\":14}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_glom = {
    .name = "glom",
    .title = "GLOM",
    .paper = "Hinton 2021, arXiv 2102.12627",
    .reference = "glom-pytorch 0.0.14, Glom",
    .presets = presets,
    .build = build,
};
