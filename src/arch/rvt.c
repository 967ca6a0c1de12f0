/* RvT: a ViT with rotary embeddings along both axes, after "RoFormer" (Su et al., 2021, arXiv 2104.09864), and queries
 * by depthwise convolution, as in "CvT".
 * Reference: vit-pytorch 1.26.11, module rvt, class RvT.
 *
 *   z0 = [x_class; x_p E]                                        patches through a Linear alone, no position table
 *   q  = Conv1(DW5(LN(z))), of the class token Linear(LN(z));  k, v = LN(z) W
 *   q, k rotated by angles of their row and column;  z' = MSA(q, k, v) + z
 *   [a; g] = LN(z') U;  z = (GELU(g) a) W + z'                   L times
 *   y  = Linear(LN(z[class]))
 *
 * Traps:
 * - The class token is not rotated.
 * - Numbers 2i and 2i + 1 are a pair.
 * - A quarter of the head's width are angles of the row (the slower index first), a quarter angles of the column. Each
 *   is from -1 to 1 over the grid, times `scales` (a tensor of the file) and pi.
 * - Images, patches and grids are square.
 * - The gates are the second half.
 * - Where dim is heads * dim_head, the class token's query is the norm's output.
 * - If dim_head is no multiple of 4, only the multiple of 4 below it is rotated. */
#include "arch.h"

typedef struct rvt_config {
  tsr_vit vit;
  int rotary, convolves, gated;
} rvt_config;

static rvt_config read_config(tsr_builder *b) {
  rvt_config c = {.vit = tsr_vit_config(b, 1)};
  c.vit.channels = tsr_config_int(b, "channels", 3, 1, 64);
  c.rotary = tsr_config_bool(b, "use_rotary", 1);
  c.convolves = tsr_config_bool(b, "use_ds_conv", 1);
  c.gated = tsr_config_bool(b, "use_glu", 1);
  if (c.vit.image[0] != c.vit.image[1] || c.vit.patch[0] != c.vit.patch[1])
    tsr_fail(
        b, TSR_ERR_CONFIG,
        "config keys \"image_size\" and \"patch_size\" are [%d,%d] and [%d,%d]; expected square images and patches",
        c.vit.image[0], c.vit.image[1], c.vit.patch[0], c.vit.patch[1]);
  if (c.vit.dim_head < 4 || c.vit.dim_head % 2)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"dim_head\" is %d; expected an even number, at least 4", c.vit.dim_head);
  return c;
}

/* Factors [1,1+n n,1,D] of the rotation: each number is multiplied by its cosine, the other one of its pair by its sine
 * (negative for the first of a pair). */
static void rotations(tsr_builder *b, tsr_value scales, int n, int width, tsr_value *cosines, tsr_value *sines) {
  float *place, *index, *sign, step = n > 1 ? 2.0f / (float)(n - 1) : 0;
  int quarter = width / 4;
  tsr_value places = tsr_constant(b, tsr_shape_of(4, 1, 1 + n * n, 1, width), &place); /* the class token has angle 0 */
  tsr_value indices = tsr_constant(b, tsr_shape_of(2, 1, width), &index),
            signs = tsr_constant(b, tsr_shape_of(1, width), &sign);
  for (int t = 1; place && t <= n * n; t++)
    for (int j = 0; j < 4 * quarter; j++) {
      int at = j / 2 < quarter ? (t - 1) / n : (t - 1) % n;
      place[t * width + j] = at < n / 2 || n == 1 ? -1 + step * (float)at : 1 - step * (float)(n - 1 - at);
    }
  for (int j = 0; index && sign && j < width; j++) index[j] = (float)(j / 2 % quarter), sign[j] = j % 2 ? 1 : -1;
  scales = tsr_nn_gather(b, tsr_nn_reshape(b, scales, tsr_shape_of(2, 1, quarter)), indices); /* [1,D] */
  tsr_value angles = tsr_nn_times(b, tsr_nn_mul(b, places, scales), 3.14159265f);
  *cosines = tsr_nn_elementary(b, angles, TSR_COS);
  *sines = tsr_nn_mul(b, tsr_nn_elementary(b, angles, TSR_SIN), signs);
}

/* x [B,N,H*D], rotated. */
static tsr_value rotate(tsr_builder *b, tsr_value x, int heads, tsr_value cosines, tsr_value sines) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE) return x;
  tsr_shape by_head = tsr_shape_of(4, s.dims[0], s.dims[1], heads, s.dims[2] / heads);
  tsr_value pairs = tsr_nn_reshape(b, x, tsr_shape_of(4, s.dims[0], s.dims[1], s.dims[2] / 2, 2));
  tsr_value other =
      tsr_nn_concat(b, 3, 2, (tsr_value[]){tsr_nn_slice(b, pairs, 3, 1, 2), tsr_nn_slice(b, pairs, 3, 0, 1)});
  x = tsr_nn_mul(b, tsr_nn_reshape(b, x, by_head), cosines);
  return tsr_nn_reshape(b, tsr_nn_add(b, x, tsr_nn_mul(b, tsr_nn_reshape(b, other, by_head), sines)), s);
}

static tsr_value queries(tsr_builder *b, tsr_value x, const rvt_config *c, int n) {
  int dim = c->vit.dim, width = c->vit.heads * c->vit.dim_head, batch = tsr_dim(b, x, 0);
  if (!c->convolves) return tsr_nn_linear(b, "to_q", x, width, TSR_NO_BIAS);
  tsr_conv conv = {.kernel_h = 5, .kernel_w = 5, .stride_h = 1, .stride_w = 1, .pad_h = 2, .pad_w = 2};
  tsr_enter(b, "to_q");
  tsr_value cls = tsr_nn_slice(b, x, 1, 0, 1),
            y = tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 1, 1 + n * n), tsr_shape_of(4, batch, n, n, dim));
  y = tsr_nn_pointwise(b, "conv.net.1", tsr_nn_depthwise_conv2d(b, "conv.net.0", y, conv), width, TSR_NO_BIAS);
  if (dim != width) cls = tsr_nn_linear(b, "cls_proj", cls, width, TSR_BIAS);
  tsr_leave(b);
  return tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, tsr_nn_tokens(b, y)});
}

static tsr_value feed_forward(tsr_builder *b, tsr_value x, const rvt_config *c) {
  int hidden = c->vit.mlp_dim;
  if (!c->gated) return tsr_nn_feed_forward(b, x, hidden, "4", x);
  tsr_enter(b, "net");
  tsr_value y = tsr_nn_linear(b, "1", tsr_nn_layer_norm(b, "0", x), 2 * hidden, TSR_BIAS);
  tsr_value gates = tsr_nn_activate(b, tsr_nn_slice(b, y, 2, hidden, 2 * hidden), TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "4", tsr_nn_mul(b, gates, tsr_nn_slice(b, y, 2, 0, hidden)), c->vit.dim, TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  rvt_config c = read_config(b);
  int dim = c.vit.dim, heads = c.vit.heads, width = heads * c.vit.dim_head;
  tsr_value image = tsr_input_image(b, c.vit.channels, c.vit.image[0], c.vit.image[1]);
  tsr_meaning tokens = tsr_vit_grid(b, image, &c.vit);
  int n = tokens.grid_h;
  if (!tsr_failed(b) && tokens.grid_w != n)
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d does not fit; this model takes square images",
                    tsr_dim(b, image, 2), tsr_dim(b, image, 3));
  tsr_value x = tsr_nn_linear(b, "to_patch_embedding.1", tsr_nn_patchify(b, image, c.vit.patch[0], c.vit.patch[1]), dim,
                              TSR_BIAS),
            cosines, sines;
  tsr_tap_add(b, x, tokens, "patch_embed");
  x = tsr_nn_prepend(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, dim)), x);
  tokens.prefix_tokens = 1;
  tsr_enter(b, "transformer");
  rotations(b, tsr_weight_buffer(b, "pos_emb.scales", tsr_shape_of(1, c.vit.dim_head / 4)), n, c.vit.dim_head, &cosines,
            &sines);
  for (int i = 0; i < c.vit.depth; i++) {
    tsr_enter(b, "layers.%d.0", i);
    tsr_value y = tsr_nn_layer_norm(b, "norm", x), q = queries(b, y, &c, n),
              kv = tsr_nn_linear(b, "to_kv", y, 2 * width, TSR_NO_BIAS);
    tsr_value k = tsr_nn_slice(b, kv, 2, 0, width);
    if (c.rotary) q = rotate(b, q, heads, cosines, sines), k = rotate(b, k, heads, cosines, sines);
    y = tsr_nn_attention(b, q, k, tsr_nn_slice(b, kv, 2, width, 2 * width),
                         tsr_nn_heads(heads, c.vit.dim_head, tokens, i));
    x = tsr_nn_linear_add(b, "to_out.0", y, dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.1", i);
    x = feed_forward(b, x, &c);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c.vit), c.vit.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":24,"
     "\"dim_head\":8}"},
    {"rvt_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"rvt_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"rvt_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_rvt = {
    .name = "rvt",
    .title = "Rotary Vision Transformer",
    .paper = "after Su et al. 2021, arXiv 2104.09864",
    .reference = "vit-pytorch 1.26.11, rvt.RvT",
    .presets = presets,
    .build = build,
};
