/* ViT with learnable memory: "Fine-tuning Image Transformers using Learnable Memory" (Sandler et al., 2022, arXiv
 * 2203.15243), a ViT whose adapters add a class token and memories.
 * Reference: vit-pytorch 1.26.11, module learnable_memory_vit, classes ViT and Adapter.
 *
 *   the backbone:
 *     z0 = [x_class; x_p E] + E_pos
 *     z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'                                            L times
 *     y  = Linear(LN(z[class]))
 *   an adapter:
 *     u' = u + MSA(LN(u), [LN(u); LN(z); memories of the layer]);  u = u' + MLP(LN(u'))     L times
 *     y  = Linear(LN(u))
 *
 * Traps:
 * - Queries are projected apart from keys and values, because memories join the latter.
 * - Memories are not normed.
 * - `pool` is accepted, but the head always reads the class token.
 * - The output projection is always there.
 * - There is no norm behind the last layer.
 * - Images must have the config's size.
 * - Adapters are inputs, because z never depends on u or on memories. Any number of adapters shares one pass of the
 *   backbone; the reference runs the backbone for each. */
#include "arch.h"

enum { MAX_ADAPTERS = 4, ADAPTER_INPUTS = 6 };

/* An adapter: its inputs, named as in the reference's state_dict, and its class token between layers. */
typedef struct adapter {
  tsr_value in[ADAPTER_INPUTS]; /* token [C], memories [L,M,C], norm [C] and [C], head [classes,C] and [classes] */
  tsr_value u;                  /* [B,1,C] */
} adapter;

/* Reads the adapters given, numbered from 0; returns how many. */
static int read_adapters(tsr_builder *b, const tsr_vit *c, int batch, adapter *all) {
  static const char *const names[ADAPTER_INPUTS] = {"memory_cls_token", "memories_per_layer", "mlp_head.0.weight",
                                                    "mlp_head.0.bias",  "mlp_head.1.weight",  "mlp_head.1.bias"};
  int count = 0;
  for (int k = 0; k < MAX_ADAPTERS; k++) {
    adapter *a = &all[k];
    for (int i = 0; i < ADAPTER_INPUTS; i++) {
      int classes = tsr_dim(b, a->in[4], 0);
      tsr_shape shapes[] = {tsr_shape_of(1, c->dim),    tsr_shape_of(3, c->depth, 0, c->dim),
                            tsr_shape_of(1, c->dim),    tsr_shape_of(1, c->dim),
                            tsr_shape_of(2, 0, c->dim), tsr_shape_of(1, i == 5 ? classes : 0)};
      char *name = tsr_arena_alloc(b->arena, 48);
      if (!name) return tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for the names of adapters"), 0;
      tsr_print(name, 48, "adapters.%d.%s", k, names[i]);
      a->in[i] = tsr_input_optional(b, name, shapes[i]);
      if (i && (a->in[i] == TSR_NO_VALUE) != (a->in[0] == TSR_NO_VALUE) && !tsr_failed(b))
        return tsr_fail(b, TSR_ERR_ARGUMENT,
                        "input \"%s\" is %s, the adapter's other inputs are not; give all of them or none", name,
                        a->in[i] == TSR_NO_VALUE ? "missing" : "given"),
               0;
    }
    if (a->in[0] == TSR_NO_VALUE) continue;
    if (count < k)
      return tsr_fail(b, TSR_ERR_ARGUMENT,
                      "inputs of adapters.%d were given, those of adapters.%d were not; number adapters from 0", k,
                      count),
             0;
    a->u =
        tsr_nn_expand(b, tsr_nn_reshape(b, a->in[0], tsr_shape_of(3, 1, 1, c->dim)), tsr_shape_of(3, batch, 1, c->dim));
    count++;
  }
  return count;
}

/* The token of adapter `k` attends to itself, to the backbone's tokens (keys and values `kv`) and to its memories. */
static tsr_value attend(tsr_builder *b, const adapter *a, int k, tsr_value kv, const tsr_vit *c, tsr_meaning tokens,
                        int layer) {
  char tap[40];
  int width = c->heads * c->dim_head, count = tsr_dim(b, a->in[1], 1);
  tsr_print(tap, sizeof tap, "adapters.%d.blocks.%%d.attn", k);
  tsr_attention attention = tsr_nn_heads(c->heads, c->dim_head, tokens, layer);
  attention.tap = tap;
  attention.kind = "memory_attention";
  attention.meaning.prefix_tokens = 2;
  tsr_value u = tsr_nn_layer_norm(b, "norm", a->u);
  tsr_value memories = tsr_nn_slice(b, a->in[1], 0, layer, layer + 1); /* [1,M,C] */
  memories = tsr_nn_linear(b, "to_kv", memories, 2 * width, TSR_NO_BIAS);
  memories = tsr_nn_expand(b, memories, tsr_shape_of(3, tsr_dim(b, u, 0), count, 2 * width));
  tsr_value seen =
      tsr_nn_concat(b, 1, 3, (tsr_value[]){tsr_nn_linear(b, "to_kv", u, 2 * width, TSR_NO_BIAS), kv, memories});
  tsr_value y = tsr_nn_attention_kv(b, tsr_nn_linear(b, "to_q", u, width, TSR_NO_BIAS), seen, attention);
  return tsr_nn_linear_add(b, "to_out.0", y, c->dim, TSR_BIAS, a->u);
}

static tsr_value layer(tsr_builder *b, tsr_value x, adapter *adapters, int count, const tsr_vit *c, tsr_meaning tokens,
                       int i) {
  int width = c->heads * c->dim_head;
  tsr_enter(b, "layers.%d.0", i);
  tsr_value normed = tsr_nn_layer_norm(b, "norm", x);
  tsr_value q = tsr_nn_linear(b, "to_q", normed, width, TSR_NO_BIAS),
            kv = tsr_nn_linear(b, "to_kv", normed, 2 * width, TSR_NO_BIAS);
  x = tsr_nn_linear_add(b, "to_out.0", tsr_nn_attention_kv(b, q, kv, tsr_nn_heads(c->heads, c->dim_head, tokens, i)),
                        c->dim, TSR_BIAS, x);
  for (int k = 0; k < count; k++) adapters[k].u = attend(b, &adapters[k], k, kv, c, tokens, i);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.1", i);
  x = tsr_nn_feed_forward(b, x, c->mlp_dim, "4", x);
  for (int k = 0; k < count; k++) adapters[k].u = tsr_nn_feed_forward(b, adapters[k].u, c->mlp_dim, "4", adapters[k].u);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "blocks.%d", i);
  return x;
}

/* Logits [B,classes] of adapter `k`. */
static tsr_value head(tsr_builder *b, const adapter *a, int k) {
  int batch = tsr_dim(b, a->u, 0), dim = tsr_dim(b, a->u, 2), classes = tsr_dim(b, a->in[4], 0);
  tsr_value u = tsr_nn_token(b, a->u, 0);
  tsr_tap_add(b, u, (tsr_meaning){.kind = "embedding"}, "adapters.%d.embedding", k);
  u = tsr_nn_layer_norm_by(b, u, a->in[2], a->in[3]);
  u = tsr_nn_bmm(b, tsr_nn_reshape(b, u, tsr_shape_of(3, 1, batch, dim)),
                 tsr_nn_reshape(b, a->in[4], tsr_shape_of(3, 1, classes, dim)), 1);
  return tsr_nn_add(b, tsr_nn_reshape(b, u, tsr_shape_of(2, batch, classes)), a->in[5]);
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  c.mean_pool = 0;
  tsr_meaning tokens;
  tsr_value x = tsr_vit_tokens(b, &c, &tokens); /* [B,1+N,C] */
  if (!tsr_failed(b) && (tokens.grid_h != c.image[0] / c.patch[0] || tokens.grid_w != c.image[1] / c.patch[1]))
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d does not fit the position table; this model takes %d x %d",
                    tokens.grid_h * c.patch[0], tokens.grid_w * c.patch[1], c.image[0], c.image[1]);
  adapter adapters[MAX_ADAPTERS] = {0};
  int count = read_adapters(b, &c, tsr_dim(b, x, 0), adapters);
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) x = layer(b, x, adapters, count, &c, tokens, i);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  tsr_value logits = tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes), given[MAX_ADAPTERS];
  if (!count) return logits;
  tsr_tap_add(b, logits, (tsr_meaning){.kind = "logits"}, "logits");
  for (int k = 0; k < count; k++) given[k] = head(b, &adapters[k], k);
  return count == 1 ? given[0] : tsr_nn_concat(b, 1, count, given);
}

#define SIZE(patch, dim, heads, mlp)                                                                                \
  "{\"image_size\":224,\"patch_size\":" patch ",\"num_classes\":1000,\"dim\":" dim ",\"depth\":12,\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"learnable_memory_vit_b_32", SIZE("32", "768", "12", "3072")},
    {"learnable_memory_vit_b_16", SIZE("16", "768", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_learnable_memory_vit = {
    .name = "learnable_memory_vit",
    .title = "Vision Transformer with learnable memory",
    .paper = "Sandler et al. 2022, arXiv 2203.15243",
    .reference = "vit-pytorch 1.26.11, learnable_memory_vit.ViT and Adapter",
    .presets = presets,
    .build = build,
};
