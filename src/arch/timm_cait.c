/* CaiT as published: "Going deeper with Image Transformers" (Touvron et al., 2021, arXiv 2103.17239), where the class
 * token joins after the patches' layers.
 * Reference: timm 1.0.31, models.cait, class Cait; the published weights fit it.
 *
 *   z = Conv(x) + E_pos                                            no class token yet
 *   z = z + diag(g) TSA(LN(z));  z = z + diag(g') MLP(LN(z))       depth times, patches only
 *   c = c + diag(g) CA(LN([c; z]));  c = c + diag(g') MLP(LN(c))   depth_token_only times, of the class token c
 *   y = Linear(c of LN([c; z]))
 *   TSA: scores of the heads mixed by W_l, softmax, probabilities mixed by W_w and b_w: talking heads
 *   CA: a query of c alone, keys and values of all
 *
 * Traps:
 * - Class attention norms the patches too, and mixes no heads.
 * - The bias of W_l moves all scores of a row alike, so the softmax does not see it.
 * - eps is 1e-6. */
#include <math.h>

#include "arch.h"

typedef struct cait_config {
  int image[2], patch[2], channels, num_classes, dim, depth, heads, class_depth, hidden, class_hidden, qkv_bias, mean;
} cait_config;

static const tsr_norm norm = {TSR_NORM_LAYER, 1e-6f};

static int read_hidden(tsr_builder *b, const char *key, int dim) {
  return (int)(dim * tsr_config_number(b, key, 4, 1.0 / TSR_MAX_DIM, 64) + 1e-6); /* the ratio may be a quotient */
}

static cait_config read_config(tsr_builder *b) {
  static const char *const pools[] = {"token", "avg", NULL};
  static const char *const training[] = {
      "init_values", "drop_rate", "pos_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate", NULL};
  cait_config c;
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", 16, 1, TSR_MAX_SIDE, c.patch);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "embed_dim", 768, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", 12, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "num_heads", 12, 1, TSR_MAX_HEADS);
  c.class_depth = tsr_config_int(b, "depth_token_only", 2, 0, TSR_MAX_DEPTH);
  c.hidden = read_hidden(b, "mlp_ratio", c.dim);
  c.class_hidden = read_hidden(b, "mlp_ratio_token_only", c.dim);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.mean = tsr_config_choice(b, "global_pool", pools, 0);
  tsr_settings_ignore(b, &b->config, training);
  if (c.dim % c.heads)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"num_heads\" is %d; expected a divisor of embed_dim, %d", c.heads, c.dim);
  return c;
}

/* W x over heads: [B,H,N,M] -> [B,H,N,M]; plus the bias where it counts. */
static tsr_value mix_heads(tsr_builder *b, const char *name, tsr_value x, int adds_bias) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE) return x;
  int h = s.dims[1];
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_nn_reshape(b, tsr_weight_vector(b, "weight", tsr_shape_of(2, h, h)), tsr_shape_of(3, 1, h, h));
  tsr_value bias = tsr_nn_reshape(b, tsr_weight_vector(b, "bias", tsr_shape_of(1, h)), tsr_shape_of(2, h, 1));
  tsr_leave(b);
  x = tsr_nn_bmm(b, w, tsr_nn_reshape(b, x, tsr_shape_of(3, s.dims[0], h, s.dims[2] * s.dims[3])), 0);
  return tsr_nn_reshape(b, adds_bias ? tsr_nn_add(b, x, bias) : x, s);
}

/* The attended values [B,N,C] of normed x, before the projection. */
static tsr_value talking_heads(tsr_builder *b, tsr_value x, const cait_config *c, tsr_meaning tokens, int i) {
  x = tsr_nn_linear(b, "qkv", x, 3 * c->dim, c->qkv_bias);
  tsr_value q = tsr_nn_split_heads(b, x, 3, 0, c->heads), k = tsr_nn_split_heads(b, x, 3, 1, c->heads);
  tsr_value a = mix_heads(b, "proj_l", tsr_nn_bmm(b, q, k, 1), 0);
  a = tsr_nn_softmax(b, a, 1 / sqrtf((float)(c->dim / c->heads))); /* [B,H,N,N] */
  tokens.kind = "attention";
  tsr_tap_add(b, a, tokens, "blocks.%d.attn", i);
  a = mix_heads(b, "proj_w", a, 1);
  tokens.kind = "mixed_attention";
  tsr_tap_add(b, a, tokens, "blocks.%d.mixed", i);
  return tsr_nn_merge_heads(b, tsr_nn_bmm(b, a, tsr_nn_split_heads(b, x, 3, 2, c->heads), 0));
}

/* The same for the class token alone: [B,1,C] of normed [c; z]. */
static tsr_value class_attention(tsr_builder *b, tsr_value x, const cait_config *c, tsr_meaning tokens, int i) {
  tsr_attention attention = tsr_nn_heads(c->heads, c->dim / c->heads, tokens, i);
  attention.tap = "cls.%d.attn";
  tsr_value q = tsr_nn_linear(b, "q", tsr_nn_slice(b, x, 1, 0, 1), c->dim, c->qkv_bias);
  tsr_value k = tsr_nn_linear(b, "k", x, c->dim, c->qkv_bias), v = tsr_nn_linear(b, "v", x, c->dim, c->qkv_bias);
  return tsr_nn_attention(b, q, k, v, attention);
}

/* A layer of the patches x, or of the class token x with `patches`. */
static tsr_value block(tsr_builder *b, tsr_value x, tsr_value patches, const cait_config *c, tsr_meaning tokens,
                       int i) {
  int of_class = patches != TSR_NO_VALUE;
  tsr_enter(b, of_class ? "blocks_token_only.%d" : "blocks.%d", i);
  tsr_value y = of_class ? tsr_nn_concat(b, 1, 2, (tsr_value[]){x, patches}) : x;
  y = tsr_nn_norm(b, "norm1", y, norm);
  tsr_enter(b, "attn");
  y = of_class ? class_attention(b, y, c, tokens, i) : talking_heads(b, y, c, tokens, i);
  tsr_leave(b);
  x = tsr_nn_linear_scale_add(b, "attn.proj", "gamma_1", y, x);
  y = tsr_nn_linear_act(b, "mlp.fc1", tsr_nn_norm(b, "norm2", x, norm), of_class ? c->class_hidden : c->hidden,
                        TSR_BIAS, TSR_ACT_GELU);
  x = tsr_nn_linear_scale_add(b, "mlp.fc2", "gamma_2", y, x);
  tsr_leave(b);
  if (of_class) tokens = (tsr_meaning){.kind = "tokens", .prefix_tokens = 1};
  tsr_tap_add(b, x, tokens, of_class ? "cls.%d" : "blocks.%d", i);
  return x;
}

/* Conv(x) + E_pos, and *tokens: [B,C,H,W] -> [B,N,C] */
static tsr_value embed(tsr_builder *b, tsr_value image, const cait_config *c, tsr_meaning *tokens) {
  tsr_conv conv = {.out = c->dim,
                   .kernel_h = c->patch[0],
                   .kernel_w = c->patch[1],
                   .stride_h = c->patch[0],
                   .stride_w = c->patch[1],
                   .bias = TSR_BIAS};
  tsr_value x = tsr_nn_conv2d(b, "patch_embed.proj", tsr_nn_channels_last(b, image), conv);
  *tokens = tsr_nn_map_meaning(b, x, "tokens");
  x = tsr_nn_tokens(b, x);
  tsr_tap_add(b, x, *tokens, "patch_embed");
  int n = tsr_dim(b, x, 1);
  tsr_value position = tsr_weight_vector(b, "pos_embed", tsr_shape_of(3, 1, n, c->dim));
  tsr_meaning rows = *tokens;
  rows.kind = "position";
  tsr_tap_add(b, tsr_nn_reshape(b, position, tsr_shape_of(2, n, c->dim)), rows, "pos_embedding");
  return tsr_nn_add(b, x, position);
}

static tsr_value build(tsr_builder *b) {
  cait_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_meaning tokens;
  tsr_value x = embed(b, image, &c, &tokens);
  for (int i = 0; i < c.depth; i++) x = block(b, x, TSR_NO_VALUE, &c, tokens, i);
  tsr_value cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c.dim));
  cls = tsr_nn_expand(b, cls, tsr_shape_of(3, tsr_dim(b, x, 0), 1, c.dim));
  tokens.prefix_tokens = 1;
  for (int i = 0; i < c.class_depth; i++) cls = block(b, cls, x, &c, tokens, i);
  cls = tsr_nn_norm(b, "norm", cls, norm), x = tsr_nn_norm(b, "norm", x, norm);
  tsr_tap_add(b, tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, x}), tokens, "tokens");
  x = c.mean ? tsr_nn_mean(b, x, 1) : tsr_nn_token(b, cls, 0);
  return tsr_nn_classify(b, "head", x, c.num_classes);
}

#define SIZE(image, dim, depth, heads) \
  "{\"image_size\":" image ",\"embed_dim\":" dim ",\"depth\":" depth ",\"num_heads\":" heads "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"embed_dim\":16,\"depth\":2,\"num_heads\":2,"
     "\"depth_token_only\":1}"},
    {"cait_xxs24_224", SIZE("224", "192", "24", "4")},
    {"cait_xxs36_224", SIZE("224", "192", "36", "4")},
    {"cait_xs24_384", SIZE("384", "288", "24", "6")},
    {"cait_s24_224", SIZE("224", "384", "24", "8")},
    {"cait_s36_384", SIZE("384", "384", "36", "8")},
    {"cait_m36_384", SIZE("384", "768", "36", "16")},
    {"cait_m48_448", SIZE("448", "768", "48", "16")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_timm_cait = {
    .name = "timm_cait",
    .title = "Class-Attention in Image Transformers, as published",
    .paper = "Touvron et al. 2021, arXiv 2103.17239",
    .reference = "timm 1.0.31, models.cait.Cait",
    .presets = presets,
    .build = build,
};
