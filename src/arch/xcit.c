/* XCiT: "XCiT: Cross-Covariance Image Transformers" (El-Nouby et al., 2021, arXiv 2106.09681), attention among channels
 * instead of tokens.
 * Reference: vit-pytorch 1.26.11, module xcit, class XCiT.
 *
 *   z = x_p E + E_pos                                           no class token yet
 *   A = softmax(e^t Q^ K^^T), [D,D] a head; Q^, K^ [D,N]: a channel's numbers over all tokens, of length 1
 *   z = z + diag(l) XCA(LN(z)),  XCA = Linear(A V)              attention among channels: linear in N
 *   z = z + diag(l) LPI(LN(z)),  LPI = depthwise conv, BatchNorm, GELU, depthwise conv
 *   z = z + diag(l) MLP(LN(z))                                  depth times
 *   c = c + diag(l) MSA(LN(c), [LN(c); LN(z)]);  c = c + diag(l) MLP(LN(c))    cls_depth times
 *   y = Linear(LN(c))
 *
 * Traps:
 * - The file holds the temperature's logarithm, one a head.
 * - The final norm is between the patches' layers and the class token's.
 * - Patches go through one Linear, not through the paper's convolutions.
 * - Images always have three channels. */
#include "arch.h"

/* softmax(e^t Q^ K^^T) V over channels, to_out: x [B,N,C] normed -> [B,N,C] */
static tsr_value cross_covariance(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning tokens, int layer) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), width = c->heads * c->dim_head;
  tsr_shape heads = tsr_shape_of(4, batch, c->heads, c->dim_head, n);
  tsr_value temperature =
      tsr_nn_elementary(b, tsr_weight_vector(b, "temperature", tsr_shape_of(3, c->heads, 1, 1)), TSR_EXP);
  tsr_value qkv =
      tsr_nn_permute(b, tsr_nn_linear(b, "to_qkv", x, 3 * width, TSR_NO_BIAS), (int[]){0, 2, 1}); /* [B,3HD,N] */
  tsr_value qk = tsr_nn_l2_normalize(b, tsr_nn_slice(b, qkv, 1, 0, 2 * width), 1e-12f);
  tsr_value q = tsr_nn_reshape(b, tsr_nn_slice(b, qk, 1, 0, width), heads);
  tsr_value k = tsr_nn_reshape(b, tsr_nn_slice(b, qk, 1, width, 2 * width), heads);
  tsr_value v = tsr_nn_reshape(b, tsr_nn_slice(b, qkv, 1, 2 * width, 3 * width), heads);
  tsr_value a = tsr_nn_softmax(b, tsr_nn_mul(b, tsr_nn_bmm(b, q, k, 1), temperature), 1); /* [B,H,D,D] */
  tokens.kind = "channel_attention";
  tsr_tap_add(b, a, tokens, "blocks.%d.xca", layer);
  x = tsr_nn_reshape(b, tsr_nn_bmm(b, a, v, 0), tsr_shape_of(3, batch, width, n));
  return tsr_nn_linear(b, "to_out.0", tsr_nn_permute(b, x, (int[]){0, 2, 1}), c->dim, TSR_BIAS);
}

/* Two depthwise convolutions on the grid: x [B,N,C] -> [B,N,C] */
static tsr_value local_patches(tsr_builder *b, tsr_value x, int kernel, tsr_meaning tokens) {
  tsr_shape shape = tsr_shape_at(b, x);
  tsr_conv conv = {.kernel_h = kernel,
                   .kernel_w = kernel,
                   .stride_h = 1,
                   .stride_w = 1,
                   .pad_h = kernel / 2,
                   .pad_w = kernel / 2,
                   .bias = 1};
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "net");
  x = tsr_nn_layer_norm(b, "0", x);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, shape.dims[0], tokens.grid_h, tokens.grid_w, shape.dims[2]));
  conv.activation = TSR_ACT_GELU;
  x = tsr_nn_depthwise_norm(b, "2", "3", x, conv);
  conv.activation = TSR_ACT_NONE;
  x = tsr_nn_reshape(b, tsr_nn_depthwise_conv2d(b, "5", x, conv), shape);
  tsr_leave(b);
  return x;
}

/* Arguments of every layer. */
typedef struct xcit_layers {
  const tsr_vit *c;
  tsr_meaning tokens;
  int kernel;
} xcit_layers;

static tsr_value patch_layer(tsr_builder *b, tsr_value x, const xcit_layers *l, int i) {
  for (int part = 0; part < 3; part++) {
    tsr_enter(b, "layers.%d.%d", i, part);
    tsr_enter(b, "fn");
    tsr_value y = part == 0   ? cross_covariance(b, tsr_nn_layer_norm(b, "norm", x), l->c, l->tokens, i)
                  : part == 1 ? local_patches(b, x, l->kernel, l->tokens)
                              : tsr_nn_feed_forward(b, x, l->c->mlp_dim, "4", TSR_NO_VALUE);
    tsr_leave(b);
    x = tsr_vit_layer_scale_add(b, y, tsr_shape_of(1, l->c->dim), x);
    tsr_leave(b);
  }
  tsr_tap_add(b, x, l->tokens, "blocks.%d", i);
  return x;
}

static tsr_value class_layer(tsr_builder *b, tsr_value cls, tsr_value patches, const xcit_layers *l, int i) {
  tsr_mha mha = {.attention = tsr_nn_heads(l->c->heads, l->c->dim_head, l->tokens, i),
                 .to_out = "to_out.0",
                 .split = 1,
                 .context = patches};
  mha.attention.tap = "cls.%d.attn";
  mha.attention.meaning.prefix_tokens = 1;
  for (int part = 0; part < 2; part++) {
    tsr_enter(b, "layers.%d.%d", i, part);
    tsr_enter(b, "fn");
    tsr_value y =
        part ? tsr_nn_feed_forward(b, cls, l->c->mlp_dim, "4", TSR_NO_VALUE) : tsr_nn_mha(b, cls, &mha, TSR_NO_VALUE);
    tsr_leave(b);
    cls = tsr_vit_layer_scale_add(b, y, tsr_shape_of(1, l->c->dim), cls);
    tsr_leave(b);
  }
  tsr_tap_add(b, cls, (tsr_meaning){.kind = "tokens", .prefix_tokens = 1}, "cls.%d", i);
  return cls;
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"layer_dropout", NULL};
  tsr_vit c = tsr_vit_config(b, 1);
  int cls_depth = tsr_config_int(b, "cls_depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  xcit_layers l = {.c = &c, .kernel = tsr_config_int(b, "local_patch_kernel_size", 3, 1, 63)};
  tsr_settings_ignore(b, &b->config, training);
  if (l.kernel % 2 == 0)
    return tsr_fail(b, TSR_ERR_CONFIG, "config key \"local_patch_kernel_size\" is %d; expected an odd number",
                    l.kernel);
  tsr_value x = tsr_vit_patches(b, &c, 0, &l.tokens); /* [B,N,C] */

  tsr_enter(b, "xcit_transformer");
  for (int i = 0; i < c.depth; i++) x = patch_layer(b, x, &l, i);
  tsr_leave(b);
  x = tsr_nn_layer_norm(b, "final_norm", x);
  tsr_tap_add(b, x, l.tokens, "tokens");
  tsr_value cls =
      tsr_nn_reshape(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(1, c.dim)), tsr_shape_of(3, 1, 1, c.dim));
  cls = tsr_nn_expand(b, cls, tsr_shape_of(3, tsr_dim(b, x, 0), 1, c.dim));
  tsr_enter(b, "cls_transformer");
  for (int i = 0; i < cls_depth; i++) cls = class_layer(b, cls, x, &l, i);
  tsr_leave(b);
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, cls, &c), c.num_classes);
}

/* The paper's sizes, with an MLP four times as wide as the tokens. */
#define SIZE(dim, depth, heads, head, mlp)                                                      \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth \
  ",\"cls_depth\":2,\"heads\":" heads ",\"dim_head\":" head ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"cls_depth\":1,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8}"},
    {"xcit_n12", SIZE("128", "12", "4", "32", "512")},
    {"xcit_t12", SIZE("192", "12", "4", "48", "768")},
    {"xcit_s12", SIZE("384", "12", "8", "48", "1536")},
    {"xcit_s24", SIZE("384", "24", "8", "48", "1536")},
    {"xcit_m24", SIZE("512", "24", "8", "64", "2048")},
    {"xcit_l24", SIZE("768", "24", "16", "48", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_xcit = {
    .name = "xcit",
    .title = "Cross-Covariance Image Transformer",
    .paper = "El-Nouby et al. 2021, arXiv 2106.09681",
    .reference = "vit-pytorch 1.26.11, xcit.XCiT",
    .presets = presets,
    .build = build,
};
