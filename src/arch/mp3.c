/* MP3: "Position Prediction as an Effective Pretraining Strategy" (Zhai et al., 2022, arXiv 2207.07611), a ViT without
 * positions that predicts where each patch was.
 * Reference: vit-pytorch 1.26.11, module mp3, classes MP3 and ViT.
 *
 *   z0 = x_p E, without positions
 *   z' = MSA(LN(z), LN(z0 of the visible patches)) + z;  z = MLP(LN(z')) + z'      L times
 *   y = Linear(LN(z)): logits of N places for every patch;  loss = mean -log softmax(y)[where it is]
 *   the ViT alone: z0 = x_p E + sincos2d, all attend to all, y = Linear(LN(mean z))
 *
 * Traps:
 * - All patches are queries. Only visible patches are keys and values: in every layer z0, under that layer's norm.
 * - There is no norm behind the last layer.
 * - There is no class token.
 * - The ViT's own head is saved with MP3 and not read. */
#include "arch.h"

/* `seen` [B,M,C]: tokens that all layers attend to; TSR_NO_VALUE for all tokens of the layer. */
static tsr_value transformer(tsr_builder *b, tsr_value x, tsr_value seen, const tsr_vit *c, tsr_meaning tokens) {
  int width = c->heads * c->dim_head;
  for (int i = 0; i < c->depth; i++) {
    tsr_attention heads =
        tsr_nn_heads(c->heads, c->dim_head, seen == TSR_NO_VALUE ? tokens : (tsr_meaning){.kind = "tokens"}, i);
    tsr_enter(b, "transformer.layers.%d.0", i);
    tsr_value normed = tsr_nn_layer_norm(b, "norm", x),
              keys = seen == TSR_NO_VALUE ? normed : tsr_nn_layer_norm(b, "norm", seen);
    tsr_value y = tsr_nn_attention_kv(b, tsr_nn_linear(b, "to_q", normed, width, TSR_NO_BIAS),
                                      tsr_nn_linear(b, "to_kv", keys, 2 * width, TSR_NO_BIAS), heads);
    x = tsr_nn_linear_add(b, "to_out.0", y, c->dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_enter(b, "transformer.layers.%d.1", i);
    x = tsr_nn_feed_forward(b, x, c->mlp_dim, "4", x);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  tsr_tap_add(b, x, tokens, "tokens");
  return x;
}

static tsr_value build_vit(tsr_builder *b) {
  tsr_meaning tokens;
  tsr_vit c = tsr_vit_config_simple(b, 1);
  tsr_value x = tsr_vit_embed(b, &c, &tokens);
  x = transformer(b, tsr_vit_add_sincos(b, x, tokens), TSR_NO_VALUE, &c, tokens);
  return tsr_nn_norm_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

static tsr_value build(tsr_builder *b) {
  static const char *const nets[] = {"mp3", NULL};
  if (!tsr_setting_is_given(&b->config, "vit")) return build_vit(b);
  tsr_settings outer = tsr_config_open(b, "vit", "vit key", nets, NULL);
  tsr_vit c = tsr_vit_config(b, 1);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_config_close(b, outer);
  double ratio = tsr_masking_ratio(b, 0.75);
  tsr_meaning tokens;
  tsr_enter(b, "vit");
  tsr_value x = tsr_vit_embed(b, &c, &tokens);
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), places = c.image[0] / c.patch[0] * (c.image[1] / c.patch[1]);
  tsr_masking m = tsr_masking_read(b, batch, tokens, ratio, 0);
  if (!tsr_failed(b) && n > places)
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d gives %d patches; this model takes at most %d",
                    tokens.grid_h * c.patch[0], tokens.grid_w * c.patch[1], n, places);
  x = transformer(b, x, tsr_nn_gather(b, x, m.seen), &c, tokens);
  tsr_leave(b);
  x = tsr_nn_norm_linear(b, "mlp_head", x, places); /* [B,N,places] */
  if (tsr_tap_offer(b, tsr_shape_of(1, 1), (tsr_meaning){.kind = "loss"}, "loss")) {
    float *labels;
    tsr_value value = tsr_constant(b, tsr_shape_of(2, batch, n), &labels);
    for (int i = 0; labels && i < batch * n; i++) labels[i] = (float)(i % n);
    tsr_tap_give(b, tsr_nn_cross_entropy(b, x, value, 1, 0));
  }
  tokens.kind = "position_logits";
  tsr_output_means(b, tokens);
  return x;
}

#define SIZE(patch, dim, depth, heads, mlp)                                                                     \
  "{\"vit\":{\"image_size\":224,\"patch_size\":" patch ",\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth \
  ",\"heads\":" heads ",\"mlp_dim\":" mlp "}}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"vit\":{\"image_size\":16,\"patch_size\":4,\"num_classes\":3,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,"
     "\"dim_head\":8}}"},
    {"mp3_vit_s_16", SIZE("16", "384", "12", "6", "1536")},
    {"mp3_vit_b_16", SIZE("16", "768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_mp3 = {
    .name = "mp3",
    .title = "Masked patch position prediction",
    .paper = "Zhai et al. 2022, arXiv 2207.07611",
    .reference = "vit-pytorch 1.26.11, mp3.MP3 and mp3.ViT",
    .presets = presets,
    .build = build,
};
