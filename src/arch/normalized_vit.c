/* nViT: "nGPT: Normalized Transformer with Representation Learning on the Hypersphere" (Loshchilov et al., 2024, arXiv
 * 2410.01131), for images.
 * Reference: vit-pytorch 1.26.11, module normalized_vit, class nViT.
 *
 *   |x| = x over its length
 *   [W] = W with rows of length 1, or with columns of length 1 where its output is added to tokens
 *   z0 = |x_p [E] + [E_pos]|
 *   z' = |z + a sqrt(C) (|MSA(z)| - z)|;  z = |z' + a' sqrt(C) (|MLP(z')| - z')|   L times; a [C]
 *   MSA: q = g_q |[W_q] z|, k = g_k |[W_k] z| of each head, softmax(q k^T) [W_v] z, [W_o]
 *   MLP(z) = [W_o] (SiLU(sqrt(C) g (.) [W_g] z) (.) h (.) [W_h] z)
 *   y  = sqrt(C) s (.) [W] mean over tokens of z
 *
 * Traps:
 * - A patch's numbers are in the order (c p1 p2).
 * - The hidden width is 2 / 3 of mlp_dim.
 * - No norm subtracts a mean, and nothing has a bias.
 * - Files keep matrices as they were trained. So lengths are computed here, and 8-bit quantization finds no matrix to
 *   pack. */
#include <math.h>

#include "arch.h"

/* x [B,N,in] times the normed matrix [out,in]: rows have length 1, or columns if the output is added to tokens. */
static tsr_value norm_linear(tsr_builder *b, const char *name, tsr_value x, int out, int columns) {
  int in = tsr_dim(b, x, 2);
  tsr_enter(b, "%s.linear.parametrizations.weight", name);
  tsr_value w =
      tsr_nn_reshape(b, tsr_weight_vector(b, "original", tsr_shape_of(2, out, in)), tsr_shape_of(3, 1, out, in));
  tsr_leave(b);
  if (columns) w = tsr_nn_permute(b, w, (int[]){0, 2, 1});
  return tsr_nn_bmm(b, x, tsr_nn_l2_normalize(b, w, 1e-12f), !columns);
}

static tsr_value scaled(tsr_builder *b, tsr_value x, const char *name) {
  return tsr_nn_mul(b, x, tsr_weight_vector(b, name, tsr_shape_of(1, tsr_dim(b, x, -1))));
}

/* |x + a sqrt(C) (|y| - x)| for x of length 1 */
static tsr_value go(tsr_builder *b, tsr_value x, tsr_value y, int layer, int part) {
  char name[48];
  tsr_print(name, sizeof name, "residual_lerp_scales.%d.%d", layer, part);
  y = tsr_nn_add(b, tsr_nn_l2_normalize(b, y, 1e-12f), tsr_nn_times(b, x, -1));
  y = tsr_nn_times(b, scaled(b, y, name), sqrtf((float)tsr_dim(b, x, 2)));
  return tsr_nn_l2_normalize(b, tsr_nn_add(b, x, y), 1e-12f);
}

static tsr_value layer(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning grid, int i) {
  int width = c->heads * c->dim_head, hidden = c->mlp_dim * 2 / 3;
  tsr_attention heads = tsr_nn_heads(c->heads, c->dim_head, grid, i);
  heads.scale = 1;
  tsr_enter(b, "layers.%d.0", i);
  tsr_value q = tsr_nn_norm_heads(b, "q_scale", norm_linear(b, "to_q", x, width, 0), c->heads, c->dim_head);
  tsr_value k = tsr_nn_norm_heads(b, "k_scale", norm_linear(b, "to_k", x, width, 0), c->heads, c->dim_head);
  tsr_value y = tsr_nn_attention(b, q, k, norm_linear(b, "to_v", x, width, 0), heads);
  y = norm_linear(b, "to_out", y, c->dim, 1);
  tsr_leave(b);
  x = go(b, x, y, i, 0);
  tsr_enter(b, "layers.%d.1", i);
  y = tsr_nn_times(b, scaled(b, norm_linear(b, "to_gate", x, hidden, 0), "gate_scale"), sqrtf((float)c->dim));
  y = tsr_nn_mul(b, tsr_nn_activate(b, y, TSR_ACT_SILU),
                 scaled(b, norm_linear(b, "to_hidden", x, hidden, 0), "hidden_scale"));
  y = norm_linear(b, "to_out", y, c->dim, 1);
  tsr_leave(b);
  x = go(b, x, y, i, 1);
  tsr_tap_add(b, x, grid, "blocks.%d", i);
  return x;
}

/* Patches with positions: [B,N,C] */
static tsr_value embed(tsr_builder *b, const tsr_vit *c, tsr_meaning *grid) {
  tsr_value image = tsr_input_image(b, c->channels, c->image[0], c->image[1]);
  *grid = tsr_vit_grid(b, image, c);
  int p = c->patch[0], h = grid->grid_h, w = grid->grid_w, most = c->image[0] / p * (c->image[1] / p),
      batch = tsr_dim(b, image, 0);
  tsr_value x = tsr_nn_permute(b, tsr_nn_reshape(b, image, tsr_shape_of(6, batch, c->channels, h, p, w, p)),
                               (int[]){0, 2, 4, 1, 3, 5});
  x = norm_linear(b, "to_patch_embedding.1", tsr_nn_reshape(b, x, tsr_shape_of(3, batch, h * w, c->channels * p * p)),
                  c->dim, 1);
  tsr_tap_add(b, x, *grid, "patch_embed");
  if (!tsr_failed(b) && h * w > most)
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d gives %d tokens; this model takes at most %d", h * p, w * p,
                    h * w, most);
  tsr_value places =
      tsr_weight_vector(b, "abs_pos_emb.linear.parametrizations.weight.original", tsr_shape_of(2, most, c->dim));
  places = tsr_nn_l2_normalize(b, tsr_nn_slice(b, places, 0, 0, h * w), 1e-12f);
  tsr_meaning position = *grid;
  position.kind = "position";
  tsr_tap_add(b, places, position, "pos_embedding");
  return tsr_nn_l2_normalize(b, tsr_nn_add(b, x, places), 1e-12f);
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"residual_lerp_scale_init", NULL};
  tsr_vit c = tsr_vit_config(b, 1);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  c.mean_pool = 1;
  tsr_settings_ignore(b, &b->config, training);
  if (c.patch[0] != c.patch[1])
    return tsr_fail(b, TSR_ERR_CONFIG, "config key \"patch_size\" is [%d,%d]; expected square patches", c.patch[0],
                    c.patch[1]);
  if (c.mlp_dim < 2)
    return tsr_fail(b, TSR_ERR_CONFIG,
                    "config key \"mlp_dim\" is %d; expected 2 or more, because the hidden layer has two thirds of it",
                    c.mlp_dim);
  tsr_meaning grid;
  tsr_value x = embed(b, &c, &grid);
  for (int i = 0; i < c.depth; i++) x = layer(b, x, &c, grid, i);
  tsr_tap_add(b, x, grid, "tokens");
  x = tsr_vit_pool(b, x, &c);
  int batch = tsr_dim(b, x, 0);
  x = norm_linear(b, "to_pred", tsr_nn_reshape(b, x, tsr_shape_of(3, 1, batch, c.dim)), c.num_classes, 0);
  return tsr_nn_times(b, scaled(b, tsr_nn_reshape(b, x, tsr_shape_of(2, batch, c.num_classes)), "logit_scale"),
                      sqrtf((float)c.dim));
}

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"nvit_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"nvit_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_normalized_vit = {
    .name = "normalized_vit",
    .title = "Normalized Vision Transformer",
    .paper = "Loshchilov et al. 2024, arXiv 2410.01131",
    .reference = "vit-pytorch 1.26.11, normalized_vit.nViT",
    .presets = presets,
    .build = build,
};
