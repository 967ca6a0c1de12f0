/* LookupViT: "LookupViT: Compressing visual information to a limited number of tokens" (Koner et al., 2024, arXiv
 * 2407.12753), few tokens that exchange with many by cross attention.
 * Reference: vit-pytorch 1.26.11, module look_vit, class LookViT.
 *
 *   h = LN(Conv(patches)) + E_pos                      of small patches
 *   z = h as a map, shrunk (bilinear)                  a token for each large patch
 *   L times:
 *     z' = z + softmax(S) V(LN(h)) U,  S = Q(LN(z)) K(LN(h))^T / sqrt(D);  z' += MSA(LN(z'));  z' += MLP(LN(z'))
 *     h' = LN(h + softmax(S^T) V'(LN(z')) U');  h' += MLP(LN(h'))
 *   y = (mean LN(z) + mean LN(h)) W
 *
 * Traps:
 * - A norm's scale is gamma + 1; no norm has an offset.
 * - h continues from its norm's output, not around the norm.
 * - S is of z before the layer, V' of z behind it.
 * - The map is shrunk without averaging, so most pixels of a large patch may have no influence.
 * - pos_embedding is saved and not used. */
#include <string.h>

#include "arch.h"

enum { MAX_KERNEL = 255 };

typedef struct look_vit {
  int image, patch, small_patch, kernel, channels, num_classes, dim, depth, heads, dim_head, cross_heads,
      cross_dim_head, hidden, small_hidden;
  tsr_meaning large, small; /* tokens of both kinds of patches */
} look_vit;

static int hidden_of(tsr_builder *b, const char *key, int dim) {
  int hidden = (int)(dim * tsr_config_number(b, key, 4, 0, 64));
  if (hidden < 1)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"%s\" leaves no hidden channel of \"dim\", %d; give a larger factor", key,
             dim);
  return hidden;
}

static look_vit read(tsr_builder *b) {
  static const char *const training[] = {"dropout", NULL};
  look_vit c = {.image = tsr_config_int(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE)};
  c.patch = tsr_config_int(b, "patch_size", 16, 1, TSR_MAX_SIDE);
  c.small_patch = tsr_config_int(b, "highres_patch_size", 12, 1, TSR_MAX_SIDE);
  if (c.image % c.patch || c.image % c.small_patch || c.patch <= c.small_patch)
    tsr_fail(
        b, TSR_ERR_CONFIG,
        "config key \"image_size\" is %d, \"patch_size\" %d, \"highres_patch_size\" %d; the first must be a multiple "
        "of both others, and the last the smallest",
        c.image, c.patch, c.small_patch);
  c.kernel = tsr_config_int(b, "patch_conv_kernel_size", 7, 1, MAX_KERNEL);
  if (c.kernel % 2 == 0)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"patch_conv_kernel_size\" is %d; expected an odd number", c.kernel);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 8, TSR_MAX_DIM);
  if (c.dim % 4)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"dim\" is %d; the sin-cos table needs a multiple of 4, at least 8", c.dim);
  c.depth = tsr_config_int(b, "depth", 3, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "heads", 8, 1, TSR_MAX_HEADS);
  c.dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  c.cross_heads = tsr_config_int(b, "cross_attn_heads", 8, 1, TSR_MAX_HEADS);
  c.cross_dim_head = tsr_config_int(b, "cross_attn_dim_head", 64, 1, TSR_MAX_DIM);
  c.hidden = hidden_of(b, "mlp_factor", c.dim);
  c.small_hidden = hidden_of(b, "highres_mlp_factor", c.dim);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

static tsr_value norm(tsr_builder *b, const char *name, tsr_value x) {
  return tsr_nn_norm(b, name, x, (tsr_norm){TSR_NORM_GAMMA_1});
}

/* Small patches as tokens: [B,N,C] */
static tsr_value embed(tsr_builder *b, look_vit *c) {
  int side = c->image / c->small_patch;
  tsr_value image = tsr_input_image_of_size(b, c->channels, c->image, c->image);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value x = tsr_nn_patchify(b, image, c->small_patch, c->small_patch);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, tsr_dim(b, x, 0), side, side, tsr_dim(b, x, 2)));
  x = tsr_nn_conv2d(b, "to_patches.1", x,
                    (tsr_conv){.out = c->dim,
                               .kernel_h = c->kernel,
                               .kernel_w = c->kernel,
                               .stride_h = 1,
                               .stride_w = 1,
                               .pad_h = c->kernel / 2,
                               .pad_w = c->kernel / 2,
                               .bias = TSR_BIAS});
  c->small = tsr_nn_map_meaning(b, x, "tokens");
  x = tsr_nn_tokens(b, norm(b, "to_patches.3", x));
  tsr_tap_add(b, x, c->small, "patch_embed");
  return tsr_vit_add_sincos(b, x, c->small);
}

/* Bilinear, without averaging: a square map's tokens x [B,side^2,C] -> [B,to^2,C], to < side; rows, then columns. */
static tsr_value shrink(tsr_builder *b, tsr_value x, int side, int to) {
  int batch = tsr_dim(b, x, 0), dim = tsr_dim(b, x, 2);
  float *table;
  tsr_value shares = tsr_constant(b, tsr_shape_of(3, 1, to, side), &table);
  if (table) memset(table, 0, (size_t)to * side * sizeof *table);
  for (int i = 0; table && i < to; i++) {
    double at = (i + 0.5) * side / to - 0.5;
    int low = (int)at; /* at most side - 2, or the rest is 0 */
    table[i * side + low] = (float)(1 - (at - low));
    if (low + 1 < side) table[i * side + low + 1] = (float)(at - low);
  }
  x = tsr_nn_bmm(b, shares, tsr_nn_reshape(b, x, tsr_shape_of(3, batch, side, side * dim)), 0);
  x = tsr_nn_bmm(b, shares, tsr_nn_reshape(b, x, tsr_shape_of(3, batch * to, side, dim)), 0);
  return tsr_nn_reshape(b, x, tsr_shape_of(3, batch, to * to, dim));
}

static tsr_value mlp_add(tsr_builder *b, const char *name, tsr_value x, int hidden) {
  tsr_enter(b, "%s", name);
  tsr_value y = tsr_nn_linear_act(b, "1", norm(b, "0", x), hidden, TSR_BIAS, TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "4", y, tsr_dim(b, x, -1), TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

/* x + attention of queries q and keys k to values of `from`; weights are in the builder's scope. */
static tsr_value attend_add(tsr_builder *b, tsr_value q, tsr_value k, tsr_value from, tsr_attention a, const char *tap,
                            tsr_value x) {
  a.tap = tap;
  tsr_value v = tsr_nn_linear(b, "to_v", from, a.heads * a.head_dim, TSR_NO_BIAS);
  return tsr_nn_linear_add(b, "to_out.1", tsr_nn_attention(b, q, k, v, a), tsr_dim(b, x, -1), TSR_NO_BIAS, x);
}

static void layer(tsr_builder *b, const look_vit *c, int i, tsr_value *large, tsr_value *small) {
  int width = c->heads * c->dim_head, cross_width = c->cross_heads * c->cross_dim_head;
  tsr_value z = *large, h = *small;
  tsr_enter(b, "layers.%d", i);
  tsr_enter(b, "2");
  tsr_value from = norm(b, "norm_context", h);
  tsr_value q = tsr_nn_linear(b, "to_q", norm(b, "norm", z), cross_width, TSR_NO_BIAS);
  tsr_value k = tsr_nn_linear(b, "to_k", from, cross_width, TSR_NO_BIAS);
  z = attend_add(b, q, k, from, tsr_nn_heads(c->cross_heads, c->cross_dim_head, c->small, i), "blocks.%d.lookup.attn",
                 z);
  tsr_leave(b);
  tsr_enter(b, "0");
  tsr_value y = norm(b, "norm", z);
  z = attend_add(b, tsr_nn_linear(b, "to_q", y, width, TSR_NO_BIAS), tsr_nn_linear(b, "to_k", y, width, TSR_NO_BIAS), y,
                 tsr_nn_heads(c->heads, c->dim_head, c->large, i), "blocks.%d.attn", z);
  tsr_leave(b);
  z = mlp_add(b, "1", z, c->hidden);
  tsr_tap_add(b, z, c->large, "blocks.%d", i);
  tsr_enter(b, "3"); /* the same scores, transposed: keys are queries */
  h = attend_add(b, k, q, norm(b, "norm_context", z), tsr_nn_heads(c->cross_heads, c->cross_dim_head, c->large, i),
                 "blocks.%d.highres.attn", h);
  tsr_leave(b);
  h = mlp_add(b, "5", norm(b, "4", h), c->small_hidden);
  tsr_tap_add(b, h, c->small, "blocks.%d.highres", i);
  tsr_leave(b);
  *large = z, *small = h;
}

static tsr_value build(tsr_builder *b) {
  look_vit c = read(b);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value h = embed(b, &c);
  int side = c.image / c.patch;
  tsr_value z = shrink(b, h, c.image / c.small_patch, side);
  c.large = (tsr_meaning){"tokens", (short)side, (short)side, 0};
  for (int i = 0; i < c.depth; i++) layer(b, &c, i, &z, &h);
  z = norm(b, "norm", z), h = norm(b, "highres_norm", h);
  tsr_tap_add(b, z, c.large, "tokens");
  tsr_tap_add(b, h, c.small, "highres.tokens");
  z = tsr_nn_add(b, tsr_nn_mean(b, z, 1), tsr_nn_mean(b, h, 1));
  tsr_tap_add(b, z, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "to_logits", z, c.num_classes, TSR_NO_BIAS);
}

/* The widths of ViT-S and ViT-B, with 7 x 7 tokens that attend to 14 x 14. */
#define SIZE(dim, heads)                                                                              \
  "{\"image_size\":224,\"patch_size\":32,\"highres_patch_size\":16,\"num_classes\":1000,\"dim\":" dim \
  ",\"depth\":12,\"heads\":" heads ",\"cross_attn_heads\":" heads "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"highres_patch_size\":4,\"num_classes\":10,\"dim\":16,\"depth\":2,"
     "\"heads\":2,\"dim_head\":8,\"mlp_factor\":2,\"highres_mlp_factor\":1,\"cross_attn_heads\":2,"
     "\"cross_attn_dim_head\":8,\"patch_conv_kernel_size\":3}"},
    {"look_vit_s_7", SIZE("384", "6")},
    {"look_vit_b_7", SIZE("768", "12")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_look_vit = {
    .name = "look_vit",
    .title = "LookupViT",
    .paper = "Koner et al. 2024, arXiv 2407.12753",
    .reference = "vit-pytorch 1.26.11, look_vit.LookViT",
    .presets = presets,
    .build = build,
};
