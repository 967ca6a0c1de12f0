/* CaiT: "Going deeper with Image Transformers" (Touvron et al., 2021, arXiv 2103.17239), where the class token joins
 * after the patches' layers.
 * Reference: vit-pytorch 1.26.11, module cait, class CaiT.
 *
 *   z = x_p E + E_pos                                                      no class token yet
 *   z = z + diag(l) TSA(LN(z));  z = z + diag(l') MLP(LN(z))               depth times, patches only
 *   c = c + diag(l) TSA(LN(c), [LN(c); z]);  c = c + diag(l') MLP(LN(c))   cls_depth times, of the class token c
 *   y = Linear(LN(c))
 *   TSA: scores of the heads mixed by W_pre, softmax, probabilities mixed by W_post: talking heads
 *
 * Traps:
 * - The class token attends to patches that are not normed.
 * - W [from,to] multiply from the right.
 * - The scale may follow W_pre, because both are linear.
 * - Images always have three channels. */
#include <math.h>

#include "arch.h"

/* W^T x over heads: [B,H,N,M] -> [B,H,N,M] */
static tsr_value mix_heads(tsr_builder *b, const char *name, tsr_value x) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE) return x;
  int h = s.dims[1];
  tsr_value w = tsr_nn_permute(b, tsr_weight_vector(b, name, tsr_shape_of(2, h, h)), (int[]){1, 0});
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, s.dims[0], h, s.dims[2] * s.dims[3]));
  return tsr_nn_reshape(b, tsr_nn_bmm(b, tsr_nn_reshape(b, w, tsr_shape_of(3, 1, h, h)), x, 0), s);
}

/* TSA(LN(x), [LN(x); context]); `context` may be TSR_NO_VALUE. */
static tsr_value talking_heads(tsr_builder *b, tsr_value x, tsr_value context, const tsr_vit *c, tsr_meaning tokens,
                               const char *tap, int layer) {
  int width = c->heads * c->dim_head;
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_value q = tsr_nn_split_heads(b, tsr_nn_linear(b, "to_q", x, width, TSR_NO_BIAS), 1, 0, c->heads);
  if (context != TSR_NO_VALUE) x = tsr_nn_concat(b, 1, 2, (tsr_value[]){x, context});
  x = tsr_nn_linear(b, "to_kv", x, 2 * width, TSR_NO_BIAS);
  tsr_value k = tsr_nn_split_heads(b, x, 2, 0, c->heads), v = tsr_nn_split_heads(b, x, 2, 1, c->heads);
  tsr_value a = mix_heads(b, "mix_heads_pre_attn", tsr_nn_bmm(b, q, k, 1));
  a = tsr_nn_softmax(b, a, 1 / sqrtf((float)c->dim_head)); /* [B,H,N,M] */
  tokens.kind = "attention";
  tsr_tap_add(b, a, tokens, "%s.%d.attn", tap, layer);
  a = mix_heads(b, "mix_heads_post_attn", a);
  tokens.kind = "mixed_attention";
  tsr_tap_add(b, a, tokens, "%s.%d.mixed", tap, layer);
  return tsr_nn_linear(b, "to_out.0", tsr_nn_merge_heads(b, tsr_nn_bmm(b, a, v, 0)), c->dim, TSR_BIAS);
}

static tsr_value layers(tsr_builder *b, tsr_value x, tsr_value context, int depth, const tsr_vit *c, tsr_meaning tokens,
                        const char *tap) {
  tsr_shape scale = tsr_shape_of(3, 1, 1, c->dim);
  for (int i = 0; i < depth; i++) {
    tsr_enter(b, "layers.%d.0", i);
    tsr_enter(b, "fn");
    tsr_value y = talking_heads(b, x, context, c, tokens, tap, i);
    tsr_leave(b);
    x = tsr_vit_layer_scale_add(b, y, scale, x);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.1", i);
    tsr_enter(b, "fn");
    y = tsr_nn_feed_forward(b, x, c->mlp_dim, "4", TSR_NO_VALUE);
    tsr_leave(b);
    x = tsr_vit_layer_scale_add(b, y, scale, x);
    tsr_leave(b);
    tsr_tap_add(b, x, context == TSR_NO_VALUE ? tokens : (tsr_meaning){.kind = "tokens", .prefix_tokens = 1}, "%s.%d",
                tap, i);
  }
  return x;
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"layer_dropout", NULL};
  tsr_vit c = tsr_vit_config(b, 1);
  int cls_depth = tsr_config_int(b, "cls_depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  tsr_settings_ignore(b, &b->config, training);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_patches(b, &c, 0, &tokens); /* [B,N,C] */

  tsr_enter(b, "patch_transformer");
  x = layers(b, x, TSR_NO_VALUE, c.depth, &c, tokens, "blocks");
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  tsr_value cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c.dim));
  cls = tsr_nn_expand(b, cls, tsr_shape_of(3, tsr_dim(b, x, 0), 1, c.dim));
  tokens.prefix_tokens = 1;
  tsr_enter(b, "cls_transformer");
  cls = layers(b, cls, x, cls_depth, &c, tokens, "cls");
  tsr_leave(b);
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, cls, &c), c.num_classes);
}

/* The paper's sizes, with heads of 48. */
#define SIZE(dim, depth, heads, mlp)                                                            \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth \
  ",\"cls_depth\":2,\"heads\":" heads ",\"dim_head\":48,\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"cls_depth\":1,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8}"},
    {"cait_xxs24", SIZE("192", "24", "4", "768")},
    {"cait_xs24", SIZE("288", "24", "6", "1152")},
    {"cait_s24", SIZE("384", "24", "8", "1536")},
    {"cait_s36", SIZE("384", "36", "8", "1536")},
    {"cait_m36", SIZE("768", "36", "16", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_cait = {
    .name = "cait",
    .title = "Class-Attention in Image Transformers",
    .paper = "Touvron et al. 2021, arXiv 2103.17239",
    .reference = "vit-pytorch 1.26.11, cait.CaiT",
    .presets = presets,
    .build = build,
};
