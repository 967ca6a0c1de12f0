/* ATS-ViT: "Adaptive Token Sampling For Efficient Vision Transformers" (Fayyaz et al., 2021, arXiv 2111.15667), a ViT
 * whose layers keep a sample of their tokens.
 * Reference: vit-pytorch 1.26.11, module ats_vit, class ViT.
 *
 *   z0 = [x_class; x_p E] + E_pos
 *   s_j = sum over heads of A[class, j] |v_j|, scaled to a sum of 1     in layers with more tokens than K + 1
 *   S  = {0} and the different ones among K draws j ~ s                 a draw is argmax_j log s_j + Gumbel noise
 *   z' = (softmax(q k^T) v)[S] W + z[S];  z = MLP(LN(z')) + z'          L times; q, k, v of LN(z)
 *   y  = Linear(LN(z[class]))
 *
 * Traps:
 * - The number of tokens kept differs between images. Shapes hold the most that can be kept, with counts beside them.
 *   Tokens behind the count are neither queries nor keys.
 * - A layer samples if any image of the batch has more than K + 1 tokens, as in the reference. So an image's result can
 *   depend on the other images of its batch.
 * - There is no norm behind the last layer.
 * - Noise is drawn from the option `seed`, the same for each image, or given as inputs "noise.i" [B,K,patches], uniform
 *   in 0 ... 1 as the reference draws it.
 * - Noise belongs to patches here, to places among the tokens left in the reference, because one token more or less
 *   (which 8-bit weights can decide) then changes no other token's noise. */
#include "arch.h"

/* The tokens between two layers. */
typedef struct stream {
  tsr_value x;     /* [B,N,C] */
  tsr_value ids;   /* [B,N,1]: 0 for the class token, 1 + the patch's number */
  tsr_value count; /* [B], tokens of each image; TSR_NO_VALUE while none was dropped, as is `there` */
  tsr_value there; /* [B,N,1]: 1 for tokens before the count, else 0 */
  int tokens;      /* 1 + patches, before the first layer */
} stream;

static tsr_value filled(tsr_builder *b, tsr_shape shape, float from, float step, int period) {
  float *data;
  tsr_value value = tsr_constant(b, shape, &data);
  for (size_t i = 0; data && i < tsr_shape_count(&shape, NULL); i++)
    data[i] = from + step * (float)(i % (size_t)period);
  return value;
}

/* [1,K,N] */
static tsr_value uniform(tsr_builder *b, int seed, int layer, int k, int n) {
  float *data;
  tsr_value value = tsr_constant(b, tsr_shape_of(3, 1, k, n), &data);
  uint64_t state = ((uint64_t)seed << 32) + (uint64_t)layer;
  for (int i = 0; data && i < k * n; i++)
    data[i] = (float)(tsr_random(&state) >> 40) * 0x1p-24f; /* below 1, because a float holds 24 bits */
  return value;
}

/* Probabilities [B,H,R,N] over this layer's tokens -> [B,H,R,1+patches] over the image's tokens. Rows of tokens behind
 * the count become 0. */
static tsr_value unfold(tsr_builder *b, tsr_value probs, const stream *before, tsr_value there) {
  int batch = tsr_dim(b, probs, 0), n = tsr_dim(b, probs, 3);
  if (before->count != TSR_NO_VALUE) {
    float *data;
    tsr_value eye = tsr_constant(b, tsr_shape_of(3, 1, before->tokens, before->tokens), &data); /* zeros */
    for (int i = 0; data && i < before->tokens; i++) data[(size_t)i * (before->tokens + 1)] = 1;
    eye = tsr_nn_expand(b, eye, tsr_shape_of(3, batch, before->tokens, before->tokens));
    eye = tsr_nn_gather(b, eye, tsr_nn_reshape(b, before->ids, tsr_shape_of(2, batch, n)));
    probs = tsr_nn_bmm(b, probs, tsr_nn_reshape(b, eye, tsr_shape_of(4, batch, 1, n, before->tokens)), 0);
  }
  if (there == TSR_NO_VALUE) return probs;
  return tsr_nn_mul(b, probs, tsr_nn_reshape(b, there, tsr_shape_of(4, batch, 1, tsr_dim(b, there, 1), 1)));
}

/* Keeps the tokens sampled by the class token's attention; *q becomes their queries. */
static void sample(tsr_builder *b, stream *s, tsr_value *q, tsr_attention attention, int keep, int seed) {
  int batch = tsr_dim(b, s->x, 0), n = tsr_dim(b, s->x, 1);
  char *name = tsr_arena_alloc(b->arena, 16);
  if (!name) tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for names");
  if (tsr_failed(b)) return;
  tsr_print(name, 16, "noise.%d", attention.index);
  attention.store = 1;
  tsr_value probs = tsr_node_output(b, tsr_nn_attention_of(b, tsr_nn_slice(b, *q, 1, 0, 1), *q, attention), 1);
  tsr_value noise = tsr_input_optional(b, name, tsr_shape_of(3, 0, keep, s->tokens - 1));
  if (noise == TSR_NO_VALUE) noise = uniform(b, seed, attention.index, keep, s->tokens - 1);
  if (s->count == TSR_NO_VALUE) s->count = filled(b, tsr_shape_of(1, batch), (float)n, 0, 1);
  tsr_value ids = tsr_node_add(b, TSR_OP_sample_tokens, (tsr_value[]){probs, *q, noise, s->count, s->ids}, 5,
                               &(tsr_attrs){.sample_tokens = {.v_offset = 2 * attention.heads * attention.head_dim}});
  s->count = tsr_node_output(b, ids, 1);
  s->there = tsr_nn_gather(b, filled(b, tsr_shape_of(3, batch, n, 1), 1, 0, 1), ids);
  s->ids = tsr_nn_gather(b, s->ids, ids);
  s->x = tsr_nn_gather(b, s->x, ids);
  *q = tsr_nn_gather(b, *q, ids);
}

/* Ids of the patches left, counted as in the reference, then -1: [B,N-1]. */
static void tap_ids(tsr_builder *b, const stream *s, const char *name, int layer) {
  int batch = tsr_dim(b, s->ids, 0), n = tsr_dim(b, s->ids, 1);
  if (!tsr_tap_offer(b, tsr_shape_of(2, batch, n - 1), (tsr_meaning){.kind = "token_ids"}, name, layer)) return;
  tsr_value ids = tsr_nn_reshape(b, tsr_nn_slice(b, s->ids, 1, 1, n), tsr_shape_of(2, batch, n - 1));
  tsr_tap_give(b, tsr_nn_add(b, ids, filled(b, tsr_shape_of(1, 1), -1, 0, 1)));
}

static void tap_tokens(tsr_builder *b, const stream *s, tsr_meaning meaning, const char *name, int layer) {
  if (s->count != TSR_NO_VALUE) meaning.grid_h = meaning.grid_w = 0;
  if (!tsr_tap_offer(b, tsr_shape_at(b, s->x), meaning, name, layer)) return;
  tsr_tap_give(b, s->count == TSR_NO_VALUE ? s->x : tsr_nn_mul(b, s->x, s->there));
}

static void layer(tsr_builder *b, stream *s, const tsr_vit *c, tsr_meaning tokens, int i, int keep, int seed) {
  const stream before = *s;
  tsr_attention a = tsr_nn_heads(c->heads, c->dim_head, tokens, i);
  a.tap = NULL;
  a.limited = s->count != TSR_NO_VALUE;
  a.keys = s->count;
  tsr_enter(b, "layers.%d.0", i);
  tsr_value qkv =
                tsr_nn_linear(b, "to_qkv", tsr_nn_layer_norm(b, "norm", s->x), 3 * c->heads * c->dim_head, TSR_NO_BIAS),
            q = qkv;
  if (tsr_dim(b, s->x, 1) - 1 > keep) sample(b, s, &q, a, keep, seed);
  tokens.kind = "attention";
  a.store = tsr_tap_offer(b, tsr_shape_of(4, tsr_dim(b, q, 0), c->heads, tsr_dim(b, q, 1), s->tokens), tokens,
                          "blocks.%d.attn", i);
  tsr_value y = tsr_nn_attention_of(b, q, qkv, a);
  if (a.store) tsr_tap_give(b, unfold(b, tsr_node_output(b, y, 1), &before, s->there));
  s->x = tsr_nn_linear_add(b, "to_out.0", y, c->dim, TSR_BIAS, s->x);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.1", i);
  s->x = tsr_nn_feed_forward(b, s->x, c->mlp_dim, "4", s->x);
  tsr_leave(b);
  tokens.kind = "tokens";
  tap_tokens(b, s, tokens, "blocks.%d", i);
  tap_ids(b, s, "blocks.%d.sampled_token_ids", i);
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  int keep[TSR_MAX_DEPTH], seed = tsr_option_int(b, "seed", 0, 0, INT32_MAX);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_config_list(b, "max_tokens_per_depth", NULL, 1, TSR_MAX_SIDE * TSR_MAX_SIDE, c.depth, c.depth, keep);
  for (int i = 1; i < c.depth; i++)
    if (keep[i] > keep[i - 1])
      tsr_fail(b, TSR_ERR_CONFIG, "config key \"max_tokens_per_depth\" rises to %d; expected numbers that never rise",
               keep[i]);
  tsr_meaning tokens;
  stream s = {.x = tsr_vit_tokens(b, &c, &tokens), .count = TSR_NO_VALUE, .there = TSR_NO_VALUE}; /* [B,1+N,C] */
  s.tokens = tsr_dim(b, s.x, 1);
  s.ids = filled(b, tsr_shape_of(3, tsr_dim(b, s.x, 0), s.tokens, 1), 0, 1, s.tokens);
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth && !tsr_failed(b); i++) layer(b, &s, &c, tokens, i, keep[i], seed);
  tsr_leave(b);
  tap_tokens(b, &s, tokens, "tokens", 0);
  tap_ids(b, &s, "sampled_token_ids", 0);
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, s.x, &c), c.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":3,\"heads\":2,\"mlp_dim\":64,"
     "\"dim_head\":16,\"max_tokens_per_depth\":[16,8,8]}"},
    {"ats_vit_example",
     "{\"image_size\":256,\"patch_size\":16,\"num_classes\":1000,\"dim\":1024,\"depth\":6,\"heads\":16,"
     "\"mlp_dim\":2048,\"max_tokens_per_depth\":[256,128,64,32,16,8]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_ats_vit = {
    .name = "ats_vit",
    .title = "ATS-ViT, adaptive token sampling",
    .paper = "Fayyaz et al. 2021, arXiv 2111.15667",
    .reference = "vit-pytorch 1.26.11, ats_vit.ViT",
    .presets = presets,
    .build = build,
};
