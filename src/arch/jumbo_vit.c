/* Jumbo ViT: "Simpler Fast Vision Transformers with a Jumbo CLS Token" (Fuller et al., 2025, arXiv 2502.15021), a ViT
 * with a wide class token that has an MLP of its own.
 * Reference: vit-pytorch 1.26.11, module jumbo_vit, class JumboViT.
 *
 *   z0 = [j_1; ..; j_k; x_p E + sincos2d]                   the jumbo class token, k dim wide, is cut into k tokens
 *   z' = MSA(LN(z)) + z                                     L times
 *   x  = MLP(LN(x')) + x'                                   of patches
 *   j  = MLP_j(LN([j'_1 .. j'_k])) + [j'_1 .. j'_k]         of the whole jumbo token, the same weights in all layers
 *   y  = Linear(LN(mean over the j))
 *
 * Traps:
 * - The reference passes mlp_dim and the hidden width of jumbo_ff_mult where a factor is expected. So the MLP is dim *
 *   mlp_dim wide, the jumbo one (k dim) * (k dim jumbo_ff_mult).
 * - The projection of attention has no bias.
 * - There is no norm behind the last layer.
 * - Images must have the config's size. */
#include "arch.h"

typedef struct jumbo_config {
  tsr_vit vit;
  int count, k, hidden; /* jumbo tokens, tokens that each is cut into, hidden width of their MLP */
} jumbo_config;

static jumbo_config read_config(tsr_builder *b) {
  jumbo_config c = {.vit = tsr_vit_config_simple(b, 1)};
  c.count = tsr_config_int(b, "num_jumbo_cls", 1, 1, 1024);
  c.k = tsr_config_int(b, "jumbo_cls_k", 6, 1, 1024);
  double wide = (double)c.vit.dim * c.k,
         hidden = wide * (int)(wide * tsr_config_number(b, "jumbo_ff_mult", 2, 0.001, 64));
  if (!c.vit.depth) tsr_fail(b, TSR_ERR_CONFIG, "config key \"depth\" is 0; expected 1 or more");
  if (hidden < 1 || hidden > 1 << 28)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"jumbo_ff_mult\" makes a hidden layer of %.9g numbers; expected 1 to 268435456", hidden);
  else c.hidden = (int)hidden;
  return c;
}

static tsr_value jumbo_feed_forward(tsr_builder *b, tsr_value j, const jumbo_config *c) {
  tsr_shape cut = tsr_shape_at(b, j), whole = tsr_shape_of(3, tsr_dim(b, j, 0), c->count, c->k * c->vit.dim);
  j = tsr_nn_reshape(b, j, whole);
  tsr_enter(b, "jumbo_ff.1");
  j = tsr_nn_bare_feed_forward(b, j, c->hidden, "3", j);
  tsr_leave(b);
  return tsr_nn_reshape(b, j, cut);
}

static tsr_value build(tsr_builder *b) {
  jumbo_config c = read_config(b);
  int dim = c.vit.dim, prefix = c.count * c.k;
  tsr_meaning grid, tokens;
  tsr_value x = tsr_vit_start_simple(b, &c.vit, &grid); /* [B,N,C] */
  tokens = grid;
  tokens.prefix_tokens = prefix;
  tsr_value j = tsr_nn_reshape(b, tsr_weight_vector(b, "jumbo_cls_token", tsr_shape_of(2, c.count, c.k * dim)),
                               tsr_shape_of(3, 1, prefix, dim));
  j = tsr_nn_expand(b, j, tsr_shape_of(3, tsr_dim(b, x, 0), prefix, dim));
  for (int i = 0; i < c.vit.depth; i++) {
    tsr_mha mha = {
        .attention = tsr_nn_heads(c.vit.heads, c.vit.dim_head, tokens, i), .to_out = "to_out", .out_unbiased = 1};
    x = tsr_nn_concat(b, 1, 2, (tsr_value[]){j, x});
    tsr_enter(b, "layers.%d.0", i);
    x = tsr_nn_mha(b, x, &mha, x);
    tsr_leave(b);
    j = jumbo_feed_forward(b, tsr_nn_slice(b, x, 1, 0, prefix), &c);
    tsr_tap_add(b, j, (tsr_meaning){.kind = "tokens"}, "blocks.%d.jumbo", i);
    tsr_enter(b, "layers.%d.1", i);
    x = tsr_nn_slice(b, x, 1, prefix, tsr_dim(b, x, 1));
    x = tsr_nn_bare_feed_forward(b, x, dim * c.vit.mlp_dim, "3", x);
    tsr_leave(b);
    tsr_tap_add(b, x, grid, "blocks.%d", i);
  }
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_mean(b, j, 1));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "linear_head", x, c.vit.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":8,\"depth\":2,\"heads\":2,\"mlp_dim\":2,"
     "\"dim_head\":4,\"jumbo_cls_k\":2,\"jumbo_ff_mult\":1}"},
    {"jumbo_vit_64",
     "{\"image_size\":64,\"patch_size\":8,\"num_classes\":1000,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,"
     "\"jumbo_cls_k\":3,\"jumbo_ff_mult\":2}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_jumbo_vit = {
    .name = "jumbo_vit",
    .title = "Vision Transformer with a jumbo class token",
    .paper = "Fuller et al. 2025, arXiv 2502.15021",
    .reference = "vit-pytorch 1.26.11, jumbo_vit.JumboViT",
    .presets = presets,
    .build = build,
};
