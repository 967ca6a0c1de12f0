/* ViT with the Encoder of x-transformers: "GLU Variants Improve Transformer" (Shazeer, 2020, arXiv 2002.05202) and
 * "RealFormer: Transformer Likes Residual Attention" (He et al., 2020, arXiv 2012.11747).
 * Reference: vit-pytorch 1.26.11, module efficient, class ViT, with x-transformers 2.31.10, class Encoder.
 *
 *   z = [x_class; x_p E] + E_pos
 *   S_l = Q K^T + S_{l-1};  z = z + Linear(softmax(S_l / sqrt(D)) V)      of LN(z); without residual_attn S_l = Q K^T
 *   z = z + Linear(u * GELU(g)),  [u; g] = Linear(LN(z))                  without ff_glu Linear(GELU(Linear(LN(z))))
 *   y = Linear(LN(LN(z)[class]))                              the encoder ends with a norm, the head begins with one
 *
 * Traps:
 * - Norms have a scale and no offset; the file holds the scale minus 1.
 * - Linear layers of attention have no bias.
 * - GELU applies to the second half of the gated product, not to the first.
 * - `layers` counts attention and MLP as layers of their own: attention even, MLP odd.
 * - Scores grow from layer to layer, so later softmaxes are sharp under random weights. */
#include "arch.h"

typedef struct encoder_config {
  int residual, glu, inner;
} encoder_config;

/* LayerNorm without offset; the file has its scale minus 1. */
static tsr_value norm(tsr_builder *b, const char *name, tsr_value x) {
  return tsr_nn_norm(b, name, x, (tsr_norm){TSR_NORM_GAMMA_1});
}

/* Attention with the scores of earlier layers added: q, k, v [B,N,H*D] -> [B,N,H*D]; *scores [B,H,N,N], unscaled. */
static tsr_value attend(tsr_builder *b, const tsr_value qkv[3], const tsr_attention *a, tsr_value *scores) {
  tsr_value part[3];
  for (int i = 0; i < 3; i++) part[i] = tsr_nn_split_heads(b, qkv[i], 1, 0, a->heads);
  tsr_value s = tsr_nn_bmm(b, part[0], part[1], 1);
  *scores = *scores == TSR_NO_VALUE ? s : tsr_nn_add(b, s, *scores);
  tsr_value p = tsr_nn_softmax(b, *scores, a->scale);
  tsr_meaning meaning = a->meaning;
  meaning.kind = "attention";
  tsr_tap_add(b, p, meaning, "blocks.%d.attn", a->index);
  return tsr_nn_merge_heads(b, tsr_nn_bmm(b, p, part[2], 0));
}

static tsr_value attention(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning tokens, int layer, int residual,
                           tsr_value *scores) {
  static const char *const names[] = {"to_q", "to_k", "to_v"};
  tsr_attention a = tsr_nn_heads(c->heads, c->dim_head, tokens, layer);
  tsr_value y = norm(b, "0.0", x), qkv[3];
  tsr_enter(b, "1");
  for (int i = 0; i < 3; i++) qkv[i] = tsr_nn_linear(b, names[i], y, c->heads * c->dim_head, TSR_NO_BIAS);
  y = residual ? attend(b, qkv, &a, scores) : tsr_nn_attention(b, qkv[0], qkv[1], qkv[2], a);
  x = tsr_nn_linear_add(b, "to_out", y, c->dim, TSR_NO_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value feed_forward(tsr_builder *b, tsr_value x, const encoder_config *e) {
  tsr_value y = norm(b, "0.0", x);
  tsr_enter(b, "1.ff");
  if (e->glu) {
    y = tsr_nn_linear(b, "0.proj", y, 2 * e->inner, TSR_BIAS);
    tsr_value gate = tsr_nn_activate(b, tsr_nn_slice(b, y, 2, e->inner, 2 * e->inner), TSR_ACT_GELU);
    y = tsr_nn_mul(b, tsr_nn_slice(b, y, 2, 0, e->inner), gate);
  } else {
    y = tsr_nn_linear_act(b, "0.0", y, e->inner, TSR_BIAS, TSR_ACT_GELU);
  }
  x = tsr_nn_linear_add(b, "2", y, tsr_dim(b, x, -1), TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"attn_dropout", "ff_dropout", "layer_dropout", NULL};
  tsr_vit c = tsr_vit_config_efficient(b, "attn_dim_head");
  encoder_config e = {.residual = tsr_config_bool(b, "residual_attn", 0), .glu = tsr_config_bool(b, "ff_glu", 0)};
  e.inner = (int)(c.dim * tsr_config_number(b, "ff_mult", 4, 0.01, 64));
  tsr_settings_ignore(b, &b->config, training);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_tokens(b, &c, &tokens), scores = TSR_NO_VALUE; /* [B,1+N,C] */
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) {
    tsr_enter(b, "layers.%d", 2 * i);
    x = attention(b, x, &c, tokens, i, e.residual, &scores);
    tsr_leave(b);
    tsr_enter(b, "layers.%d", 2 * i + 1);
    x = feed_forward(b, x, &e);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  x = norm(b, "final_norm", x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"attn_dim_head\":8,"
     "\"ff_glu\":true,\"residual_attn\":true}"},
    {"realformer_glu",
     "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":512,\"depth\":12,\"ff_glu\":true,"
     "\"residual_attn\":true}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_efficient_x = {
    .name = "efficient_x",
    .title = "Vision Transformer with x-transformers' encoder",
    .paper = "Shazeer 2020, arXiv 2002.05202; He et al. 2020, arXiv 2012.11747",
    .reference = "vit-pytorch 1.26.11, efficient.ViT; x-transformers 2.31.10, Encoder",
    .presets = presets,
    .build = build,
};
