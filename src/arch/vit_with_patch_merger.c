/* ViT with patch merger: "Learning to Merge Tokens in Vision Transformers" (Renggli et al., 2022, arXiv 2202.12015),
 * which merges all tokens into a few between two layers.
 * Reference: vit-pytorch 1.26.11, module vit_with_patch_merger, classes ViT and PatchMerger.
 *
 *   z = x_p E + E_pos                                       no class token
 *   z = MSA(LN(z)) + z;  z = MLP(LN(z)) + z                 patch_merge_layer times
 *   z = softmax(W LN(z)^T / sqrt(C)) LN(z)                  N tokens become as many as W has rows
 *   the other layers;  y = Linear(mean over tokens of LN(z))
 *
 * Traps:
 * - The position table has a row more than there are patches; that row is never used.
 * - After merging there is no grid.
 * - The merger's weights are in the file even where patch_merge_layer is 0 or beyond the last layer; nothing is merged
 *   then.
 * - With the key class "PatchMerger" the model is the merger alone, from tokens to tokens. */
#include <math.h>

#include "arch.h"

/* Reads the merger's weights, and merges x [B,N,C] -> [B,T,C] if `merges`. */
static tsr_value merge(tsr_builder *b, tsr_value x, int count, int merges, tsr_meaning tokens) {
  int dim = tsr_dim(b, x, 2);
  tsr_value normed = tsr_nn_layer_norm(b, "norm", x),
            queries = tsr_weight_vector(b, "queries", tsr_shape_of(2, count, dim));
  if (!merges) return x;
  queries = tsr_nn_reshape(b, queries, tsr_shape_of(3, 1, count, dim));
  tsr_value a = tsr_nn_softmax(b, tsr_nn_bmm(b, queries, normed, 1), 1 / sqrtf((float)dim)); /* [B,T,N] */
  tokens.kind = "merge_weights";
  tsr_tap_add(b, a, tokens, "merge.weights");
  return tsr_nn_bmm(b, a, normed, 0); /* [B,T,C] */
}

static tsr_value merger_alone(tsr_builder *b) {
  int dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM),
      count = tsr_config_int(b, "num_tokens_out", TSR_REQUIRED, 1, TSR_MAX_DIM);
  tsr_output_means(b, (tsr_meaning){.kind = "tokens"});
  return merge(b, tsr_input_tokens(b, 256, dim), count, 1, (tsr_meaning){.kind = "tokens"});
}

static tsr_value build(tsr_builder *b) {
  static const char *const classes[] = {"ViT", "PatchMerger", NULL};
  if (tsr_config_choice(b, "class", classes, 0)) return merger_alone(b);
  tsr_vit c = tsr_vit_config(b, 1);
  c.mean_pool = 1;
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  int last = tsr_config_int(b, "patch_merge_layer", c.depth / 2, 0, TSR_MAX_DEPTH);
  int count = tsr_config_int(b, "patch_merge_num_tokens", 8, 1, TSR_MAX_DIM);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_patches(b, &c, 1, &tokens); /* [B,N,C] */

  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  for (int i = 0; i < c.depth; i++) {
    x = tsr_nn_transformer_layer(b, x, &layers, i);
    if (i + 1 != last) continue;
    tsr_enter(b, "patch_merger");
    x = merge(b, x, count, 1, tokens);
    tsr_leave(b);
    layers.tokens = tokens = (tsr_meaning){.kind = "tokens"};
  }
  if (last < 1 || last > c.depth) {
    tsr_enter(b, "patch_merger");
    merge(b, x, count, 0, tokens);
    tsr_leave(b);
  }
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_linear(b, "mlp_head.1", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,"
     "\"dim_head\":8,\"patch_merge_num_tokens\":3}"},
    {"patch_merger", "{\"class\":\"PatchMerger\",\"dim\":1024,\"num_tokens_out\":8}"},
    {"patch_merger_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"patch_merger_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"patch_merger_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_vit_with_patch_merger = {
    .name = "vit_with_patch_merger",
    .title = "Vision Transformer with patch merger",
    .paper = "Renggli et al. 2022, arXiv 2202.12015",
    .reference = "vit-pytorch 1.26.11, vit_with_patch_merger.ViT and PatchMerger",
    .presets = presets,
    .build = build,
};
