/* Swin V2: "Swin Transformer V2: Scaling Up Capacity and Resolution" (Liu, Hu, Lin, Yao, Xie, Wei, Ning, Cao, Zhang,
 * Dong, Wei, Guo, 2021, arXiv 2111.09883): Swin with norms behind the layers, cosine attention, and position biases
 * that a small network computes.
 * Reference: timm 1.0.31, models.swin_transformer_v2, class SwinTransformerV2.
 *
 *   as Swin (arch/swin.c), but
 *     z = z + LN((S)W-MSA(z));  z = z + LN(MLP(z));  z = LN(Linear([z00; z10; z01; z11]))
 *   (S)W-MSA: softmax(min(e^t, 100) cos(q, k) + B) v, one t for each head
 *   B = 16 sigmoid(Linear(ReLU(Linear(dy, dx)))) of the distance on a logarithmic scale:
 *     sign(d) log2(1 + |8 d / (M - 1)|) / 3
 *
 * Traps:
 * - Keys have no bias.
 * - M is the side of the windows of pretraining, where the config tells it.
 * - The scale is limited before e^t is taken: t <= ln 100.
 * - Zeros that fill up the last windows are not normed: with their biases they are keys like others.
 * - transformers adds the mask twice, and takes height and shift of the windows for the width too. */
#include <math.h>

#include "arch.h"

enum { HIDDEN = 512 }; /* of the network that computes the biases */

typedef struct swin_v2 {
  tsr_swin swin; /* first, so that a pointer to it is one to this */
  int pretrained[TSR_SWIN_STAGES];
} swin_v2;

/* qkv of x; of the biases, that of the keys is zero. */
static tsr_value project(tsr_builder *b, tsr_value x, int bias) {
  int dim = tsr_dim(b, x, -1), n = 2;
  tsr_attrs attrs = {.linear = {.has_bias = bias}};
  tsr_enter(b, "qkv");
  tsr_value in[3] = {
      x, tsr_weight_matrix(b, "weight", tsr_shape_of(2, 3 * dim, dim), (tsr_matrix_layout){1, 3 * dim, dim, 1})};
  tsr_leave(b);
  if (bias) {
    tsr_value q = tsr_weight_vector(b, "q_bias", tsr_shape_of(1, dim));
    tsr_value v = tsr_weight_vector(b, "v_bias", tsr_shape_of(1, dim));
    in[n++] = tsr_nn_concat(b, 0, 2, (tsr_value[]){tsr_nn_pad(b, q, 0, 0, dim), v});
  }
  return tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_linear, in, n, &attrs);
}

static float on_a_logarithmic_scale(int distance, int side) {
  double d = 8.0 * distance / (side > 2 ? side - 1 : 1);
  return (float)((d < 0 ? -1 : 1) * tsr_log(1 + fabs(d)) / tsr_log(8));
}

/* The biases of all distances [positions,heads]. They stay in f32, whatever the dtype: the weights are vectors here. */
static tsr_value table(tsr_builder *b, const int w[2], int pretrained, int heads) {
  int rows = 2 * w[0] - 1, columns = 2 * w[1] - 1;
  float *at;
  tsr_value x = tsr_constant(b, tsr_shape_of(2, rows * columns, 2), &at);
  for (int i = 0; at && i < rows * columns; i++) {
    *at++ = on_a_logarithmic_scale(i / columns - w[0] + 1, pretrained ? pretrained : w[0]);
    *at++ = on_a_logarithmic_scale(i % columns - w[1] + 1, pretrained ? pretrained : w[1]);
  }
  tsr_enter(b, "cpb_mlp");
  x = tsr_nn_bmm(b, x, tsr_weight_vector(b, "0.weight", tsr_shape_of(2, HIDDEN, 2)), 1);
  x = tsr_nn_add(b, x, tsr_weight_vector(b, "0.bias", tsr_shape_of(1, HIDDEN)));
  x = tsr_nn_activate(b, x, TSR_ACT_RELU);
  x = tsr_nn_bmm(b, x, tsr_weight_vector(b, "2.weight", tsr_shape_of(2, heads, HIDDEN)), 1);
  tsr_leave(b);
  return tsr_nn_times(b, tsr_nn_activate(b, x, TSR_ACT_SIGMOID), 16);
}

/* min(e^t, 100), [heads,1]: min(t, m) is m - ReLU(m - t). */
static tsr_value scales(tsr_builder *b, int heads) {
  float most = 4.60517018598809f;
  tsr_value t =
      tsr_nn_reshape(b, tsr_weight_vector(b, "logit_scale", tsr_shape_of(3, heads, 1, 1)), tsr_shape_of(2, heads, 1));
  tsr_value below = tsr_nn_activate(b, tsr_nn_plus(b, tsr_nn_times(b, t, -1), most), TSR_ACT_RELU);
  return tsr_nn_elementary(b, tsr_nn_plus(b, tsr_nn_times(b, below, -1), most), TSR_EXP);
}

static tsr_swin_parts parts(tsr_builder *b, tsr_value x, const tsr_swin *c, int s, const int w[2]) {
  return (tsr_swin_parts){.qkv = project(b, x, c->qkv_bias),
                          .table = table(b, w, ((const swin_v2 *)c)->pretrained[s], c->heads[s]),
                          .scales = scales(b, c->heads[s])};
}

/* Part `index` of qkv [B,N,3C], each head divided by its length and multiplied by its scale, if there are any. */
static tsr_value directions(tsr_builder *b, tsr_value qkv, int index, const tsr_attention *a, tsr_value scale) {
  int width = a->heads * a->head_dim;
  tsr_value x = tsr_nn_slice(b, qkv, 2, index * width, (index + 1) * width);
  tsr_shape shape = tsr_shape_at(b, x);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, shape.dims[0], shape.dims[1], a->heads, a->head_dim));
  x = tsr_nn_l2_normalize(b, x, 1e-12f);
  return tsr_nn_reshape(b, scale == TSR_NO_VALUE ? x : tsr_nn_mul(b, x, scale), shape);
}

static tsr_value attend(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention a, void *user) {
  const tsr_swin_parts *of = user;
  int width = a.heads * a.head_dim;
  (void)x;
  a.scale = 1;
  tsr_value q = directions(b, qkv, 0, &a, of->scales), k = directions(b, qkv, 1, &a, TSR_NO_VALUE);
  return tsr_nn_attention(b, q, k, tsr_nn_slice(b, qkv, 2, 2 * width, 3 * width), a);
}

static tsr_value build(tsr_builder *b) {
  static const int none[TSR_SWIN_STAGES];
  swin_v2 c = {.swin = tsr_swin_config(b)};
  int count = tsr_config_list(b, "pretrained_window_sizes", none, 0, TSR_MAX_SIDE, 1, TSR_SWIN_STAGES, c.pretrained);
  if (count < c.swin.stages)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"pretrained_window_sizes\" has %d of the %d stages", count, c.swin.stages);
  c.swin.masked = c.swin.transformers ? -200 : -100;
  c.swin.post_norm = 1;
  c.swin.parts = parts;
  c.swin.attend = attend;
  return tsr_swin_model(b, &c.swin);
}

#define SIZE(size, window, depths) "{\"image_size\":" size ",\"window_size\":" window ",\"depths\":[2,2," depths ",2]"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"embed_dim\":8,\"depths\":[2,2],\"num_heads\":[1,2],\"window_size\":4}"},
    {"swinv2_tiny_window8_256", SIZE("256", "8", "6") "}"},
    {"swinv2_tiny_window16_256", SIZE("256", "16", "6") "}"},
    {"swinv2_small_window8_256", SIZE("256", "8", "18") "}"},
    {"swinv2_base_window12to24_192to384",
     SIZE("384", "24", "18") ",\"embed_dim\":128,\"num_heads\":[4,8,16,32],\"pretrained_window_sizes\":[12,12,12,6]}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_swin_v2 = {
    .name = "swin_v2",
    .title = "Swin Transformer V2",
    .paper = "Liu et al. 2021, arXiv 2111.09883",
    .reference = "timm 1.0.31, models.swin_transformer_v2.SwinTransformerV2",
    .presets = presets,
    .build = build,
};
