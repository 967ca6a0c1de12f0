/* ViT with a Nystromformer: "Nystromformer: A Nystrom-Based Algorithm for Approximating Self-Attention" (Xiong et al.,
 * 2021, arXiv 2102.03902), attention through landmarks, linear in N.
 * Reference: vit-pytorch 1.26.11, module efficient, class ViT, with nystrom-attention 0.0.14, class Nystromformer.
 *
 *   z = [x_class; x_p E] + E_pos
 *   Q~, K~: means over m runs of N/m tokens: the landmarks;  s = 1 / sqrt(D)
 *   F = softmax(s Q K~^T), A = softmax(s Q~ K~^T), B = softmax(s Q~ K^T)
 *   Z = A^T / (max_i sum_j A_ij max_j sum_i A_ij)
 *   Z = Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4          6 times: towards A's inverse
 *   z = z + Linear(F Z B V + DW(V))                          of LN(z); DW: 33 tokens, one kernel a head
 *   z = z + Linear(GELU(Linear(LN(z))))
 *   y = Linear(LN(z[class]))
 *
 * Traps:
 * - Tokens are padded to a multiple of m with zeros IN FRONT, which take part as keys and in landmarks.
 * - The largest sums that Z starts from are over all heads and all images of a batch. So an image's result depends on
 *   the rest of its batch by what six steps leave of the difference.
 * - There is no norm behind the last layer.
 * - F Z B V is computed from the right, because the products are small there. */
#include "arch.h"

typedef struct nystrom {
  int landmarks, iterations, residual, kernel;
  tsr_value eyes[3], quarter; /* -7 I, 15 I, -13 I [1,1,m,m]; -1/4 */
} nystrom;

static tsr_value eye(tsr_builder *b, int n, float factor) {
  float *data;
  tsr_value value = tsr_constant(b, tsr_shape_of(4, 1, 1, n, n), &data);
  for (int i = 0; data && i < n * n; i++) data[i] = i % (n + 1) ? 0 : factor;
  return value;
}

static nystrom read_nystrom(tsr_builder *b) {
  static const char *const training[] = {"attn_dropout", "ff_dropout", NULL};
  nystrom y;
  y.landmarks = tsr_config_int(b, "num_landmarks", 256, 1, 4096);
  y.iterations = tsr_config_int(b, "pinv_iterations", 6, 0, 64);
  y.residual = tsr_config_bool(b, "attn_values_residual", 1);
  y.kernel = tsr_config_int(b, "attn_values_residual_conv_kernel", 33, 1, 1023);
  tsr_settings_ignore(b, &b->config, training);
  if (y.kernel % 2 == 0)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"attn_values_residual_conv_kernel\" is %d; expected an odd number",
             y.kernel);
  static const float factors[] = {-7, 15, -13};
  for (int i = 0; i < 3; i++) y.eyes[i] = eye(b, y.landmarks, factors[i]);
  y.quarter = eye(b, 1, -0.25f);
  return y;
}

/* Approximates the inverses of a [B,H,m,m]. */
static tsr_value invert(tsr_builder *b, tsr_value a, const nystrom *y) {
  tsr_value z = a == TSR_NO_VALUE ? a : tsr_node_add(b, TSR_OP_pinv_start, &a, 1, &(tsr_attrs){0});
  for (int i = 0; i < y->iterations; i++) {
    tsr_value az = tsr_nn_bmm(b, a, z, 0), t = az;
    for (int j = 0; j < 3; j++) t = tsr_nn_add(b, j ? tsr_nn_bmm(b, az, t, 0) : az, y->eyes[j]); /* signs alternate */
    z = tsr_nn_mul(b, tsr_nn_bmm(b, z, t, 0), y->quarter);
  }
  return z;
}

/* Convolves each head's values along tokens with the head's kernel: v [B,N,H*D] */
static tsr_value convolve(tsr_builder *b, tsr_value v, const tsr_vit *c, int kernel) {
  int width = c->heads * c->dim_head;
  tsr_shape tokens = tsr_shape_at(b, v);
  float *ones;
  tsr_enter(b, "res_conv");
  tsr_value w = tsr_weight_depthwise(b, "weight", tsr_shape_of(4, c->heads, 1, kernel, 1)); /* kept as [kernel,H] */
  tsr_leave(b);
  tsr_value channels = tsr_constant(b, tsr_shape_of(1, c->dim_head), &ones);
  for (int i = 0; ones && i < c->dim_head; i++) ones[i] = 1;
  w = tsr_nn_mul(b, tsr_nn_reshape(b, w, tsr_shape_of(2, kernel * c->heads, 1)),
                 channels); /* one kernel for all channels of a head */
  tsr_value in[2] = {tsr_nn_reshape(b, v, tsr_shape_of(4, tokens.dims[0], tokens.dims[1], 1, width)),
                     tsr_nn_reshape(b, w, tsr_shape_of(4, width, 1, kernel, 1))};
  tsr_attrs attrs = {.depthwise_conv2d = {.stride_h = 1, .stride_w = 1, .pad_h = kernel / 2}};
  return tsr_nn_reshape(b, tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_depthwise_conv2d, in, 2, &attrs),
                        tokens);
}

/* F Z B of the last n tokens [B,H,n,n], computed only if it is captured. */
static void tap_attention(tsr_builder *b, tsr_value qkv, tsr_value marks, tsr_value z, tsr_attention a, int n) {
  tsr_value part[4];
  a.meaning.kind = "attention";
  if (!tsr_tap_offer(b, tsr_shape_of(4, tsr_dim(b, qkv, 0), a.heads, n, n), a.meaning, "blocks.%d.attn", a.index))
    return;
  int all = tsr_dim(b, qkv, 1);
  for (int i = 0; i < 4; i++)
    part[i] = tsr_nn_split_heads(b, i % 3 ? marks : qkv, 3, i % 2, a.heads); /* Q, K~, Q~, K */
  tsr_value f = tsr_nn_softmax(b, tsr_nn_bmm(b, tsr_nn_slice(b, part[0], 2, all - n, all), part[1], 1), a.scale);
  tsr_value keys = tsr_nn_softmax(b, tsr_nn_bmm(b, part[2], part[3], 1), a.scale);
  tsr_tap_give(b, tsr_nn_bmm(b, tsr_nn_bmm(b, f, z, 0), tsr_nn_slice(b, keys, 3, all - n, all), 0));
}

static tsr_value attention(tsr_builder *b, tsr_value x, const tsr_vit *c, const nystrom *y, tsr_meaning tokens,
                           int layer) {
  int n = tsr_dim(b, x, 1), m = y->landmarks, all = (n + m - 1) / m * m, width = c->heads * c->dim_head,
      batch = tsr_dim(b, x, 0);
  tsr_attention a = tsr_nn_heads(c->heads, c->dim_head, tokens, layer);
  tsr_value t = tsr_nn_layer_norm(b, "norm", x);
  tsr_enter(b, "fn");
  tsr_value qkv = tsr_nn_linear(b, "to_qkv", all > n ? tsr_nn_pad(b, t, 1, all - n, 0) : t, 3 * width, TSR_NO_BIAS);
  tsr_value marks =
      tsr_nn_mean(b, tsr_nn_reshape(b, qkv, tsr_shape_of(4, batch, m, all / m, 3 * width)), 2); /* [B,m,3HD] */
  tsr_value mark_keys = tsr_nn_split_heads(b, marks, 3, 1, c->heads);
  tsr_value z = invert(
      b, tsr_nn_softmax(b, tsr_nn_bmm(b, tsr_nn_split_heads(b, marks, 3, 0, c->heads), mark_keys, 1), a.scale), y);
  a.kind = "landmark_attention";
  tsr_tap_add(b, z, (tsr_meaning){.kind = a.kind}, "blocks.%d.landmarks.inverse", layer);
  tap_attention(b, qkv, marks, z, a, n);
  a.meaning.prefix_tokens += all - n;
  a.tap = "blocks.%d.landmarks.keys";
  tsr_value seen = tsr_nn_attention_kv(b, marks, tsr_nn_slice(b, qkv, 2, width, 3 * width), a); /* B V [B,m,HD] */
  seen = tsr_nn_merge_heads(b, tsr_nn_bmm(b, z, tsr_nn_split_heads(b, seen, 1, 0, c->heads), 0));
  a.tap = "blocks.%d.landmarks.queries";
  t = tsr_nn_attention(b, qkv, tsr_nn_merge_heads(b, mark_keys), seen, a); /* F Z B V [B,N,HD] */
  if (y->residual) t = tsr_nn_add(b, t, convolve(b, tsr_nn_slice(b, qkv, 2, 2 * width, 3 * width), c, y->kernel));
  x = tsr_nn_linear_add(b, "to_out.0", tsr_nn_slice(b, t, 1, all - n, all), c->dim, TSR_BIAS, x);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_efficient(b, "dim_head");
  tsr_meaning tokens;
  tsr_value x = tsr_vit_tokens(b, &c, &tokens); /* [B,1+N,C] */
  nystrom y = read_nystrom(b);
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) {
    tsr_enter(b, "layers.%d.0", i);
    x = attention(b, x, &c, &y, tokens, i);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.1", i);
    tsr_value t = tsr_nn_linear_act(b, "fn.net.0", tsr_nn_layer_norm(b, "norm", x), 4 * c.dim, TSR_BIAS, TSR_ACT_GELU);
    x = tsr_nn_linear_add(b, "fn.net.3", t, c.dim, TSR_BIAS, x);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":4,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"dim_head\":8,"
     "\"num_landmarks\":4}"},
    {"nystrom_2048", "{\"image_size\":2048,\"patch_size\":32,\"num_classes\":1000,\"dim\":512,\"depth\":12}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_efficient = {
    .name = "efficient",
    .title = "Vision Transformer with Nystrom attention",
    .paper = "Xiong et al. 2021, arXiv 2102.03902",
    .reference = "vit-pytorch 1.26.11, efficient.ViT; nystrom-attention 0.0.14, Nystromformer",
    .presets = presets,
    .build = build,
};
