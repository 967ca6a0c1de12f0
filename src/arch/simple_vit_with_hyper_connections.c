/* SimpleViT with hyper-connections: "Hyper-Connections" (Zhu et al., 2024, arXiv 2409.19606), several residual streams
 * with learned weights between them.
 * Reference: vit-pytorch 1.26.11, module simple_vit_with_hyper_connections, class SimpleViT.
 *
 *   H = [z; ...; z]                                     E copies of each token, its streams: [E,C]
 *   n = LN(H)                                           with a scale, without an offset
 *   A = s_a tanh(n W_a) + A_0   [E,1+E]                 b = s_b tanh(n w_b) + b_0   [E]
 *   [x; R] = A^T H                                      the block's input x [C], the streams that go on R [E,C]
 *   H = b F(x)^T + R                                    F is MSA(LN(x)), then MLP(LN(x)): twice a layer, L times
 *   y = Linear(mean over the patches' tokens of LN(sum over the streams of H))
 *
 * Traps:
 * - Neither block has a shortcut of its own.
 * - A layer's parts are 0 and 2 (connections), 1 and 3 (blocks).
 * - Registers follow the patches and have streams too.
 * - Attention and feed-forward are simple_vit's. */
#include "arch.h"

/* Results of width_connection: the block's input, the streams that go on, the weights of the block's output. */
typedef struct streams {
  tsr_value input, rest, beta; /* [B,N,C], [B,N,E,C], [B,N,E,1] */
} streams;

static tsr_value norm(tsr_builder *b, const char *name, tsr_value x) {
  return tsr_nn_norm(b, name, x, (tsr_norm){TSR_NORM_NO_OFFSET});
}

/* s tanh(x W) + fixed, where tanh(a) = 2 sigmoid(2 a) - 1: x [B,N,E,C], W [C,out], fixed [E,out] -> [B,N,E,out]. */
static tsr_value dynamic(tsr_builder *b, const char *name, tsr_value x, int out, tsr_value fixed) {
  int c = tsr_dim(b, x, 3);
  char fn[32], scale[32];
  tsr_print(fn, sizeof fn, "dynamic_%s_fn", name);
  tsr_print(scale, sizeof scale, "dynamic_%s_scale", name);
  tsr_value w = tsr_weight_vector(b, fn, out == 1 ? tsr_shape_of(1, c) : tsr_shape_of(2, c, out));
  tsr_value s = tsr_nn_reshape(b, tsr_weight_vector(b, scale, tsr_shape_of(0)), tsr_shape_of(1, 1));
  tsr_value y = tsr_nn_bmm(b, x, tsr_nn_reshape(b, w, tsr_shape_of(4, 1, 1, c, out)), 0);
  y = tsr_nn_activate(b, tsr_nn_times(b, y, 2), TSR_ACT_SIGMOID);
  y = tsr_nn_mul(b, tsr_nn_times(b, y, 2), s);
  return tsr_nn_add(b, y, tsr_nn_add(b, fixed, tsr_nn_times(b, s, -1)));
}

static streams width_connection(tsr_builder *b, tsr_value h) {
  int batch = tsr_dim(b, h, 0), n = tsr_dim(b, h, 1), e = tsr_dim(b, h, 2), c = tsr_dim(b, h, 3);
  tsr_value beta = tsr_weight_vector(b, "static_beta", tsr_shape_of(1, e));
  tsr_value alpha = tsr_weight_vector(b, "static_alpha", tsr_shape_of(2, e, 1 + e));
  tsr_value normed = norm(b, "norm", h);
  alpha = dynamic(b, "alpha", normed, 1 + e, alpha); /* [B,N,E,1+E] */
  streams s = {.beta = dynamic(b, "beta", normed, 1, tsr_nn_reshape(b, beta, tsr_shape_of(2, e, 1)))};
  tsr_value mixed = tsr_nn_bmm(b, tsr_nn_permute(b, alpha, (int[]){0, 1, 3, 2}), h, 0); /* [B,N,1+E,C] */
  s.input = tsr_nn_reshape(b, tsr_nn_slice(b, mixed, 2, 0, 1), tsr_shape_of(3, batch, n, c));
  s.rest = tsr_nn_slice(b, mixed, 2, 1, 1 + e);
  return s;
}

static tsr_value depth_connection(tsr_builder *b, tsr_value y, streams s) {
  tsr_shape token = tsr_shape_of(4, tsr_dim(b, y, 0), tsr_dim(b, y, 1), 1, tsr_dim(b, y, 2));
  return tsr_nn_add(b, tsr_nn_mul(b, tsr_nn_reshape(b, y, token), s.beta), s.rest);
}

/* [B,N,E,C] -> [B,N,C] */
static tsr_value sum(tsr_builder *b, tsr_value h) {
  return tsr_nn_times(b, tsr_nn_mean(b, h, 2), (float)tsr_dim(b, h, 2));
}

static tsr_value layer(tsr_builder *b, tsr_value h, const tsr_transformer *t, int i) {
  tsr_mha mha = {.attention = tsr_nn_heads(t->heads, t->head_dim, t->tokens, i),
                 .to_out = t->to_out,
                 .out_unbiased = t->out_unbiased,
                 .context = TSR_NO_VALUE};
  tsr_meaning meaning = t->tokens;
  meaning.kind = "streams";
  tsr_tap_add(b, h, meaning, "blocks.%d.streams", i);
  for (int part = 0; part < 2; part++) {
    tsr_enter(b, "layers.%d.%d", i, 2 * part);
    streams s = width_connection(b, h);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.%d", i, 2 * part + 1);
    tsr_value y = part ? tsr_nn_feed_forward(b, s.input, t->mlp_dim, t->last, TSR_NO_VALUE)
                       : tsr_nn_mha(b, s.input, &mha, TSR_NO_VALUE);
    tsr_leave(b);
    h = depth_connection(b, y, s);
  }
  tsr_shape tokens = tsr_shape_of(3, tsr_dim(b, h, 0), tsr_dim(b, h, 1), tsr_dim(b, h, 3));
  if (tsr_tap_offer(b, tokens, t->tokens, "blocks.%d", i)) tsr_tap_give(b, sum(b, h));
  return h;
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_simple(b, 1);
  int e = tsr_config_int(b, "num_residual_streams", TSR_REQUIRED, 1, 64);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_add_registers(b, tsr_vit_start_simple(b, &c, &tokens), &tokens); /* [B,N+R,C] */
  tsr_transformer layers = tsr_vit_layers_simple(&c, tokens);
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1);

  tsr_value h = tsr_nn_reshape(b, x, tsr_shape_of(4, batch, n, 1, c.dim));
  h = tsr_nn_expand(b, h, tsr_shape_of(4, batch, n, e, c.dim)); /* [B,N+R,E,C] */
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) h = layer(b, h, &layers, i);
  x = tsr_nn_layer_norm(b, "norm", sum(b, h)); /* [B,N+R,C] */
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  x = tsr_nn_slice(b, x, 1, 0, n - tokens.suffix_tokens);
  return tsr_nn_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

#define SIZE(dim, heads, mlp)                                                                                \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":12,\"heads\":" heads \
  ",\"mlp_dim\":" mlp ",\"num_residual_streams\":4}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,"
     "\"dim_head\":8,\"num_residual_streams\":3}"},
    {"hyper_connections_s_16", SIZE("384", "6", "1536")},
    {"hyper_connections_b_16", SIZE("768", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_vit_with_hyper_connections = {
    .name = "simple_vit_with_hyper_connections",
    .title = "SimpleViT with hyper-connections",
    .paper = "Zhu et al. 2024, arXiv 2409.19606",
    .reference = "vit-pytorch 1.26.11, simple_vit_with_hyper_connections.SimpleViT",
    .presets = presets,
    .build = build,
};
