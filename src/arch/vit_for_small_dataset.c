/* ViT for small data sets: "Vision Transformer for Small-Size Datasets" (Lee, Lee, Song, 2021, arXiv 2112.13492),
 * shifted patches and attention without self.
 * Reference: vit-pytorch 1.26.11, module vit_for_small_dataset, classes ViT and SPT.
 *
 *   x_p = patches of [x; x moved right, left, down, up by a pixel]  shifted patch tokenization, five times the channels
 *   z0 = [x_class; Linear(LN(x_p))] + E_pos
 *   A  = softmax(e^t Q K^T, without a token's own key)              locality self-attention, t learned by each layer
 *   z' = Linear(A V) + z;  z = MLP(LN(z')) + z'                         L times, pre-norm
 *   y  = Linear(LN(z[class])), or of the mean over tokens
 *
 * Traps:
 * - The file holds the temperature's logarithm.
 * - Pixels are moved by one, not by half a patch as in the paper.
 * - Patches are square.
 * - The output projection is always there.
 * - There is no norm behind the last layer.
 * - With the key class "SPT" the model is the tokenization alone, from an image to tokens. */
#include <float.h>

#include "arch.h"

/* x moved by one along `axis`, towards higher indices if `up`, filled up with 0. */
static tsr_value moved(tsr_builder *b, tsr_value x, int axis, int up) {
  int n = tsr_dim(b, x, axis);
  return tsr_nn_pad(b, tsr_nn_slice(b, x, axis, up ? 0 : 1, up ? n - 1 : n), axis, up, !up);
}

/* [B,C,H,W] -> patches [B,N,P P 5 C] -> [B,N,C], with their taps */
static tsr_value shifted_patches(tsr_builder *b, tsr_value x, int patch, int dim, tsr_meaning tokens) {
  tsr_value all[5] = {x, moved(b, x, 3, 1), moved(b, x, 3, 0), moved(b, x, 2, 1), moved(b, x, 2, 0)};
  x = tsr_nn_patchify(b, tsr_nn_concat(b, 1, 5, all), patch, patch);
  tsr_tap_add(b, x, tokens, "shifted_patches");
  tsr_enter(b, "to_patch_tokens");
  x = tsr_nn_linear(b, "2", tsr_nn_layer_norm(b, "1", x), dim, TSR_BIAS);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "patch_embed");
  return x;
}

static tsr_value tokenization_alone(tsr_builder *b) {
  tsr_vit c = {.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM),
               .channels = tsr_config_int(b, "channels", 3, 1, 64)};
  c.patch[0] = c.patch[1] = tsr_config_int(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  tsr_config_pair(b, "image_size", (224 + c.patch[0] - 1) / c.patch[0] * c.patch[0], 1, TSR_MAX_SIDE, c.image);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_meaning tokens = tsr_vit_grid(b, image, &c);
  tsr_output_means(b, tokens);
  return shifted_patches(b, image, c.patch[0], c.dim, tokens);
}

static tsr_value attention(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning tokens, int layer) {
  tsr_mha mha = {.attention = tsr_nn_heads(c->heads, c->dim_head, tokens, layer), .to_out = "to_out.0"};
  tsr_value temperature = tsr_weight_vector(b, "temperature", tsr_shape_of(0));
  mha.attention.self_mask = 1;
  mha.attention.self_value = -FLT_MAX;
  mha.attention.has_scale = 1;
  mha.attention.scales = tsr_nn_elementary(b, temperature, TSR_EXP);
  tsr_tap_add(b, tsr_nn_reshape(b, temperature, tsr_shape_of(1, 1)), (tsr_meaning){.kind = "temperature"},
              "blocks.%d.temperature", layer);
  return tsr_nn_mha(b, x, &mha, x);
}

static tsr_value build(tsr_builder *b) {
  static const char *const classes[] = {"ViT", "SPT", NULL};
  if (tsr_config_choice(b, "class", classes, 0)) return tokenization_alone(b);
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  if (c.patch[0] != c.patch[1])
    return tsr_fail(b, TSR_ERR_CONFIG, "config key \"patch_size\" is [%d,%d]; expected square patches", c.patch[0],
                    c.patch[1]);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_meaning tokens = tsr_vit_grid(b, image, &c);
  tsr_enter(b, "to_patch_embedding");
  tsr_value x = shifted_patches(b, image, c.patch[0], c.dim, tokens); /* [B,N,C] */
  tsr_leave(b);
  x = tsr_vit_start(b, x, &c, &tokens);
  for (int i = 0; i < c.depth; i++) {
    tsr_enter(b, "transformer.layers.%d.0", i);
    x = attention(b, x, &c, tokens, i);
    tsr_leave(b);
    tsr_enter(b, "transformer.layers.%d.1", i);
    x = tsr_nn_feed_forward(b, x, c.mlp_dim, "4", x);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

/* The paper's ViT for images of 32 and of 64 pixels. */
#define SIZE(image, patch, classes)                                             \
  "{\"image_size\":" image ",\"patch_size\":" patch ",\"num_classes\":" classes \
  ",\"dim\":192,\"depth\":9,\"heads\":12,\"dim_head\":16,\"mlp_dim\":384}"

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"spt", "{\"class\":\"SPT\",\"dim\":1024,\"patch_size\":16,\"image_size\":256}"},
    {"sl_vit_32", SIZE("32", "4", "100")},
    {"sl_vit_64", SIZE("64", "8", "200")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_vit_for_small_dataset = {
    .name = "vit_for_small_dataset",
    .title = "ViT for small data sets",
    .paper = "Lee, Lee, Song 2021, arXiv 2112.13492",
    .reference = "vit-pytorch 1.26.11, vit_for_small_dataset.ViT and SPT",
    .presets = presets,
    .build = build,
};
