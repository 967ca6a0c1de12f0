/* XCiT as published: "XCiT: Cross-Covariance Image Transformers" (El-Nouby et al., 2021, arXiv 2106.09681), attention
 * among channels instead of tokens.
 * Reference: timm 1.0.31, models.xcit, class Xcit; the published weights fit it.
 *
 *   z = BN(Conv3/2(GELU(BN(Conv3/2(GELU(..)))))) + Conv1(sines and cosines of the place)     4 convolutions, or 3
 *   A = softmax(t Q^ K^^T), [D,D] a head; Q^, K^ [D,N]: a channel's numbers over all tokens, of length 1
 *   z = z + g1 XCA(LN(z)),  XCA = Linear(A V)              attention among channels: linear in N
 *   z = z + g3 LPI(LN(z)),  LPI = DW3(BN(GELU(DW3(.))))
 *   z = z + g2 MLP(LN(z))                                  depth times
 *   n = LN1([c; z]);  c = c + g1 CA(n);  z = z + g1 n      CA: a query of c alone, keys and values of all
 *   c = LN2(c);  c = c + g2 MLP(c);  z = 2 LN2(z)          cls_attn_layers times
 *   y = Linear(LN(c))
 *
 * Traps:
 * - In class layers patches change too: their own norm is added, and the residual doubles them.
 * - Without tokens_norm, LN2 is of c alone, and z = 2 z. The published nano models are so.
 * - The residual of the second half of a class layer is the norm's output.
 * - The BatchNorm of LPI cannot be folded into the convolution behind it, whose zeros outside the map are no
 *   BatchNorm's.
 * - eps is 1e-6, and g3 comes before g2. */
#include "arch.h"

typedef struct xcit_config {
  int channels, patch, num_classes, dim, depth, heads, class_depth, hidden, qkv_bias, position, tokens_norm, mean;
} xcit_config;

enum { BAND = 32 }; /* sines and cosines of an axis */

static const tsr_norm norm = {TSR_NORM_LAYER, 1e-6f};

static xcit_config read_config(tsr_builder *b) {
  static const char *const pools[] = {"token", "avg", NULL};
  static const char *const training[] = {
      "eta", "drop_rate", "pos_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate", NULL};
  xcit_config c;
  c.patch = tsr_config_int(b, "patch_size", 16, 8, 16);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "embed_dim", 768, 8, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", 12, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "num_heads", 12, 1, TSR_MAX_HEADS);
  double ratio = tsr_config_number(b, "mlp_ratio", 4, 1.0 / TSR_MAX_DIM, 64);
  c.hidden = (int)(c.dim * ratio + 1e-6); /* the ratio may be a quotient */
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.class_depth = tsr_config_int(b, "cls_attn_layers", 2, 0, TSR_MAX_DEPTH);
  c.position = tsr_config_bool(b, "use_pos_embed", 1);
  c.tokens_norm = tsr_config_bool(b, "tokens_norm", 0);
  c.mean = tsr_config_choice(b, "global_pool", pools, 0);
  tsr_settings_ignore(b, &b->config, training);
  if (c.patch % 8) tsr_fail(b, TSR_ERR_CONFIG, "config key \"patch_size\" is %d; expected 8 or 16", c.patch);
  if (c.dim % c.heads)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"num_heads\" is %d; expected a divisor of embed_dim, %d", c.heads, c.dim);
  return c;
}

static tsr_value stem(tsr_builder *b, tsr_value x, const xcit_config *c) {
  int convs = c->patch == 16 ? 4 : 3;
  for (int i = 0; i < convs; i++) {
    int last = i == convs - 1;
    tsr_enter(b, "patch_embed.proj.%d", 2 * i);
    tsr_conv conv = tsr_nn_square(3, c->dim >> (convs - 1 - i), 2, last ? TSR_ACT_NONE : TSR_ACT_GELU);
    x = tsr_nn_conv2d_norm(b, "0", "1", x, conv, TSR_NO_VALUE);
    tsr_leave(b);
  }
  return x;
}

/* The places' sines and cosines, mapped to C numbers: [N,C] */
static tsr_value positions(tsr_builder *b, const xcit_config *c, tsr_meaning tokens) {
  int n = tokens.grid_h * tokens.grid_w;
  float *at;
  tsr_value waves = tsr_constant(b, tsr_shape_of(2, n, 2 * BAND), &at);
  for (int i = 0; at && i < n; i++) {
    double y = (i / tokens.grid_w + 1) / (tokens.grid_h + 1e-6), x = (i % tokens.grid_w + 1) / (tokens.grid_w + 1e-6);
    for (int k = 0; k < 2 * BAND; k++) {
      double angle = 6.283185307179586 * (k < BAND ? y : x);
      angle *= tsr_exp(-9.210340371976184 / BAND * (k % BAND / 2 * 2)); /* 10000^... */
      *at++ = (float)(k % 2 ? tsr_cos(angle) : tsr_sin(angle));
    }
  }
  tsr_value table = tsr_nn_pointwise(b, "pos_embed.token_projection", waves, c->dim, TSR_BIAS);
  tokens.kind = "position";
  tsr_tap_add(b, table, tokens, "pos_embedding");
  return table;
}

/* softmax(t Q^ K^^T) V over channels: x [B,N,C] normed -> [B,N,C], before the projection */
static tsr_value cross_covariance(tsr_builder *b, tsr_value x, const xcit_config *c, tsr_meaning tokens, int layer) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), dim = c->dim;
  tsr_shape heads = tsr_shape_of(4, batch, c->heads, dim / c->heads, n);
  tsr_value temperature = tsr_weight_vector(b, "temperature", tsr_shape_of(3, c->heads, 1, 1));
  x = tsr_nn_permute(b, tsr_nn_linear(b, "qkv", x, 3 * dim, c->qkv_bias), (int[]){0, 2, 1}); /* [B,3C,N] */
  tsr_value qk = tsr_nn_l2_normalize(b, tsr_nn_slice(b, x, 1, 0, 2 * dim), 1e-12f);
  tsr_value q = tsr_nn_reshape(b, tsr_nn_slice(b, qk, 1, 0, dim), heads);
  tsr_value k = tsr_nn_reshape(b, tsr_nn_slice(b, qk, 1, dim, 2 * dim), heads);
  tsr_value v = tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 2 * dim, 3 * dim), heads);
  tsr_value a = tsr_nn_softmax(b, tsr_nn_mul(b, tsr_nn_bmm(b, q, k, 1), temperature), 1); /* [B,H,D,D] */
  tokens.kind = "channel_attention";
  tsr_tap_add(b, a, tokens, "blocks.%d.xca", layer);
  x = tsr_nn_reshape(b, tsr_nn_bmm(b, a, v, 0), tsr_shape_of(3, batch, dim, n));
  return tsr_nn_permute(b, x, (int[]){0, 2, 1});
}

/* Two depthwise convolutions on the grid: [B,N,C] -> [B,N,C] */
static tsr_value local_patches(tsr_builder *b, tsr_value x, tsr_meaning tokens) {
  tsr_conv conv = tsr_nn_square(3, 0, 1, TSR_ACT_GELU);
  conv.bias = TSR_BIAS;
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, tsr_dim(b, x, 0), tokens.grid_h, tokens.grid_w, tsr_dim(b, x, 2)));
  x = tsr_nn_batch_norm(b, "bn", tsr_nn_depthwise_conv2d(b, "conv1", x, conv), 0);
  conv.activation = TSR_ACT_NONE;
  return tsr_nn_tokens(b, tsr_nn_depthwise_conv2d(b, "conv2", x, conv));
}

/* x scaled by the weight `gamma`, + y */
static tsr_value scale_add(tsr_builder *b, const char *gamma, tsr_value x, tsr_value y) {
  return tsr_nn_add(b, tsr_nn_mul(b, x, tsr_weight_vector(b, gamma, tsr_shape_of(1, tsr_dim(b, x, -1)))), y);
}

/* g2 MLP(x) + residual */
static tsr_value mlp_add(tsr_builder *b, tsr_value x, const xcit_config *c, tsr_value residual) {
  x = tsr_nn_linear_act(b, "mlp.fc1", x, c->hidden, TSR_BIAS, TSR_ACT_GELU);
  return tsr_nn_linear_scale_add(b, "mlp.fc2", "gamma2", x, residual);
}

static tsr_value block(tsr_builder *b, tsr_value x, const xcit_config *c, tsr_meaning tokens, int i) {
  tsr_enter(b, "blocks.%d", i);
  tsr_value y = tsr_nn_norm(b, "norm1", x, norm);
  tsr_enter(b, "attn");
  y = cross_covariance(b, y, c, tokens, i);
  tsr_leave(b);
  x = tsr_nn_linear_scale_add(b, "attn.proj", "gamma1", y, x);
  y = tsr_nn_norm(b, "norm3", x, norm);
  tsr_enter(b, "local_mp");
  y = local_patches(b, y, tokens);
  tsr_leave(b);
  x = scale_add(b, "gamma3", y, x);
  x = mlp_add(b, tsr_nn_norm(b, "norm2", x, norm), c, x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "blocks.%d", i);
  return x;
}

/* A layer of the class token [B,1,C], which it returns, and of the patches. */
static tsr_value class_block(tsr_builder *b, tsr_value cls, tsr_value *patches, const xcit_config *c,
                             tsr_meaning tokens, int i) {
  tsr_attention attention = tsr_nn_heads(c->heads, c->dim / c->heads, tokens, i);
  attention.tap = "cls.%d.attn";
  tsr_enter(b, "cls_attn_blocks.%d", i);
  tsr_value query = tsr_nn_norm(b, "norm1", cls, norm), rest = tsr_nn_norm(b, "norm1", *patches, norm);
  tsr_value all = tsr_nn_concat(b, 1, 2, (tsr_value[]){query, rest});
  tsr_enter(b, "attn");
  tsr_value q = tsr_nn_linear(b, "q", query, c->dim, c->qkv_bias);
  tsr_value k = tsr_nn_linear(b, "k", all, c->dim, c->qkv_bias), v = tsr_nn_linear(b, "v", all, c->dim, c->qkv_bias);
  tsr_value y = tsr_nn_attention(b, q, k, v, attention);
  tsr_leave(b);
  cls = tsr_nn_norm(b, "norm2", tsr_nn_linear_scale_add(b, "attn.proj", "gamma1", y, cls), norm);
  rest = scale_add(b, "gamma1", rest, *patches);
  *patches = tsr_nn_times(b, c->tokens_norm ? tsr_nn_norm(b, "norm2", rest, norm) : rest, 2);
  cls = mlp_add(b, cls, c, cls);
  tsr_leave(b);
  tsr_tap_add(b, cls, (tsr_meaning){.kind = "tokens", .prefix_tokens = 1}, "cls.%d", i);
  return cls;
}

static tsr_value build(tsr_builder *b) {
  xcit_config c = read_config(b);
  b->floats = TSR_FLOATS_NORMS;
  tsr_value x = stem(b, tsr_nn_input_map(b, c.channels, 1), &c);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_meaning tokens = tsr_nn_map_meaning(b, x, "tokens");
  x = tsr_nn_tokens(b, x);
  tsr_tap_add(b, x, tokens, "patch_embed");
  if (c.position) x = tsr_nn_add(b, x, positions(b, &c, tokens));
  for (int i = 0; i < c.depth; i++) x = block(b, x, &c, tokens, i);
  tsr_value cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c.dim));
  cls = tsr_nn_expand(b, cls, tsr_shape_of(3, tsr_dim(b, x, 0), 1, c.dim));
  tokens.prefix_tokens = 1;
  for (int i = 0; i < c.class_depth; i++) cls = class_block(b, cls, &x, &c, tokens, i);
  cls = tsr_nn_norm(b, "norm", cls, norm), x = tsr_nn_norm(b, "norm", x, norm);
  tsr_tap_add(b, tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, x}), tokens, "tokens");
  x = c.mean ? tsr_nn_mean(b, x, 1) : tsr_nn_token(b, cls, 0);
  return tsr_nn_classify(b, "head", x, c.num_classes);
}

#define SIZE(patch, dim, depth, heads, normed)                                               \
  "{\"patch_size\":" patch ",\"embed_dim\":" dim ",\"depth\":" depth ",\"num_heads\":" heads \
  ",\"tokens_norm\":" normed "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":24,\"patch_size\":8,\"num_classes\":10,\"embed_dim\":16,\"depth\":2,\"num_heads\":2,"
     "\"cls_attn_layers\":1}"},
    {"xcit_nano_12_p16_224", SIZE("16", "128", "12", "4", "false")},
    {"xcit_tiny_12_p16_224", SIZE("16", "192", "12", "4", "true")},
    {"xcit_tiny_24_p16_224", SIZE("16", "192", "24", "4", "true")},
    {"xcit_small_12_p16_224", SIZE("16", "384", "12", "8", "true")},
    {"xcit_small_24_p16_224", SIZE("16", "384", "24", "8", "true")},
    {"xcit_medium_24_p16_224", SIZE("16", "512", "24", "8", "true")},
    {"xcit_large_24_p16_224", SIZE("16", "768", "24", "16", "true")},
    {"xcit_nano_12_p8_224", SIZE("8", "128", "12", "4", "false")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_xcit = {
    .name = "timm_xcit",
    .title = "Cross-Covariance Image Transformer, as published",
    .paper = "El-Nouby et al. 2021, arXiv 2106.09681",
    .reference = "timm 1.0.31, models.xcit.Xcit",
    .presets = presets,
    .build = build,
};
