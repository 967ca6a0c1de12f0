/* Shared layers; see layers.h. */
#include "layers.h"

#include <math.h>
#include <string.h>

/* x w^T with optional bias and residual; `w` as declared. */
static tsr_value linear(tsr_builder *b, tsr_value x, tsr_value w, tsr_value bias, tsr_value residual, int activation) {
  tsr_value in[4] = {x, w};
  int n = 2;
  tsr_attrs attrs = {.linear = {.activation = activation}};
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (bias != TSR_NO_VALUE) in[n++] = bias, attrs.linear.has_bias = 1;
  if (residual != TSR_NO_VALUE) in[n++] = residual, attrs.linear.has_residual = 1;
  return tsr_node_add(b, TSR_OP_linear, in, n, &attrs);
}

/* torch's matrix [out,in]. */
static tsr_value named_linear(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual,
                              int activation) {
  int in = tsr_dim(b, x, -1);
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_matrix(b, "weight", tsr_shape_of(2, out, in), (tsr_matrix_layout){1, out, in, 1});
  tsr_value offset = bias ? tsr_weight_vector(b, "bias", tsr_shape_of(1, out)) : TSR_NO_VALUE;
  x = linear(b, x, w, offset, residual, activation);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_linear(tsr_builder *b, const char *name, tsr_value x, int out, int bias) {
  return named_linear(b, name, x, out, bias, TSR_NO_VALUE, TSR_ACT_NONE);
}

tsr_value tsr_nn_linear_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation) {
  return named_linear(b, name, x, out, bias, TSR_NO_VALUE, activation);
}

tsr_value tsr_nn_classify(tsr_builder *b, const char *name, tsr_value x, int num_classes) {
  tsr_meaning embedding = {.kind = "embedding"};
  tsr_tap_add(b, x, embedding, "embedding");
  if (num_classes) return tsr_nn_linear(b, name, x, num_classes, TSR_BIAS);
  tsr_output_means(b, embedding);
  return x;
}

tsr_value tsr_nn_linear_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual) {
  return named_linear(b, name, x, out, bias, residual, TSR_ACT_NONE);
}

tsr_value tsr_nn_linear_scale_add(tsr_builder *b, const char *name, const char *gamma, tsr_value x,
                                  tsr_value residual) {
  int in = tsr_dim(b, x, -1), out = tsr_dim(b, residual, -1);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value scale = tsr_weight_vector(b, gamma, tsr_shape_of(1, out));
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_matrix(b, "weight", tsr_shape_of(2, out, in), (tsr_matrix_layout){1, out, in, 1});
  tsr_value bias = tsr_nn_mul(b, tsr_weight_vector(b, "bias", tsr_shape_of(1, out)), scale);
  tsr_attrs attrs = {.linear = {.has_bias = 1, .has_scale = 1, .has_residual = 1}};
  x = tsr_failed(b) ? TSR_NO_VALUE
                    : tsr_node_add(b, TSR_OP_linear, (tsr_value[]){x, w, bias, scale, residual}, 5, &attrs);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_grouped_linear(tsr_builder *b, const char *name, tsr_value x, int groups, int out, int activation) {
  int in = tsr_dim(b, x, -1) / groups;
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s", name);
  tsr_value w =
      tsr_weight_matrix(b, "weight", tsr_shape_of(3, groups * out, in, 1), (tsr_matrix_layout){groups, out, in, 1});
  tsr_value bias = tsr_weight_vector(b, "bias", tsr_shape_of(1, groups * out));
  x = linear(b, x, w, bias, TSR_NO_VALUE, activation);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_norm(tsr_builder *b, const char *name, tsr_value x, tsr_norm norm) {
  tsr_shape c = tsr_shape_of(1, tsr_dim(b, x, -1));
  int torch = norm.kind == TSR_NORM_LAYER || norm.kind == TSR_NORM_NO_OFFSET, n = 2;
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s", name);
  tsr_value in[3] = {x, tsr_weight_vector(b, torch ? "weight" : "gamma", c)};
  if (norm.kind == TSR_NORM_GAMMA_1) in[1] = tsr_nn_plus(b, in[1], 1);
  if (norm.kind == TSR_NORM_LAYER) in[n++] = tsr_weight_vector(b, "bias", c);
  if (norm.kind == TSR_NORM_FIXED_OFFSET) in[n++] = tsr_weight_buffer(b, "beta", c);
  tsr_attrs attrs = {.layer_norm = {.eps = norm.eps ? norm.eps : 1e-5f, .has_gamma = 1, .has_beta = n == 3}};
  x = tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_layer_norm, in, n, &attrs);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_layer_norm(tsr_builder *b, const char *name, tsr_value x) {
  return tsr_nn_norm(b, name, x, (tsr_norm){TSR_NORM_LAYER});
}

tsr_value tsr_nn_layer_norm_by(tsr_builder *b, tsr_value x, tsr_value gamma, tsr_value beta) {
  tsr_attrs attrs = {.layer_norm = {.eps = 1e-5f, .has_gamma = 1, .has_beta = 1}};
  return tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_layer_norm, (tsr_value[]){x, gamma, beta}, 3, &attrs);
}

tsr_conv tsr_nn_square(int side, int out, int stride, int activation) {
  int pad = side / 2;
  return (tsr_conv){out, side, side, stride, stride, pad, pad, TSR_NO_BIAS, activation};
}

tsr_value tsr_nn_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv) {
  int in = tsr_dim(b, x, -1), frames = conv.kernel_f ? conv.kernel_f : 1;
  tsr_shape shape = conv.kernel_f ? tsr_shape_of(5, conv.out, in, frames, conv.kernel_h, conv.kernel_w)
                                  : tsr_shape_of(4, conv.out, in, conv.kernel_h, conv.kernel_w);
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_matrix(b, "weight", shape,
                                  (tsr_matrix_layout){1, conv.out, in, frames * conv.kernel_h * conv.kernel_w});
  tsr_value inputs[3] = {x, w, conv.bias ? tsr_weight_vector(b, "bias", tsr_shape_of(1, conv.out)) : TSR_NO_VALUE};
  tsr_attrs attrs = {.conv2d = {.kernel_h = conv.kernel_h,
                                .kernel_w = conv.kernel_w,
                                .stride_h = conv.stride_h,
                                .stride_w = conv.stride_w,
                                .pad_h = conv.pad_h,
                                .pad_w = conv.pad_w,
                                .activation = conv.activation,
                                .has_bias = conv.bias,
                                .stride_f = conv.stride_f,
                                .pad_f = conv.pad_f}};
  x = tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_conv2d, inputs, conv.bias ? 3 : 2, &attrs);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_depthwise_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv) {
  int c = tsr_dim(b, x, -1);
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s", name);
  tsr_value inputs[3] = {x, tsr_weight_depthwise(b, "weight", tsr_shape_of(4, c, 1, conv.kernel_h, conv.kernel_w)),
                         conv.bias ? tsr_weight_vector(b, "bias", tsr_shape_of(1, c)) : TSR_NO_VALUE};
  tsr_attrs attrs = {.depthwise_conv2d = {.stride_h = conv.stride_h,
                                          .stride_w = conv.stride_w,
                                          .pad_h = conv.pad_h,
                                          .pad_w = conv.pad_w,
                                          .activation = conv.activation}};
  x = tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_depthwise_conv2d, inputs, conv.bias ? 3 : 2, &attrs);
  tsr_leave(b);
  return x;
}

static tsr_value attend(tsr_builder *b, tsr_value q, tsr_value k, tsr_value v, const int offsets[3], tsr_attention a) {
  if (q == TSR_NO_VALUE || k == TSR_NO_VALUE || v == TSR_NO_VALUE) return TSR_NO_VALUE;
  a.meaning.kind = a.kind ? a.kind : "attention";
  tsr_shape stored = tsr_shape_of(4, tsr_dim(b, q, 0), a.heads, tsr_dim(b, q, 1), tsr_dim(b, k, 1));
  char name[TSR_PATH_BYTES];
  const char *at = a.tap ? strstr(a.tap, "%d") : NULL;
  if (at) tsr_print(name, sizeof name, "%.*s%d%s", (int)(at - a.tap), a.tap, a.index, at + 2);
  else if (a.tap) tsr_print(name, sizeof name, "%s", a.tap);
  int wanted = a.tap && tsr_tap_offer(b, stored, a.meaning, "%s", name), n = 3;
  tsr_attrs attrs = {.attention = {.heads = a.heads,
                                   .head_dim = a.head_dim,
                                   .value_dim = a.value_dim ? a.value_dim : a.head_dim,
                                   .q_offset = offsets[0],
                                   .k_offset = offsets[1],
                                   .v_offset = offsets[2],
                                   .scale = a.scale,
                                   .self_mask = a.self_mask,
                                   .self_value = a.self_value,
                                   .store = wanted || a.store,
                                   .limited = a.limited,
                                   .has_scale = a.has_scale,
                                   .q8 = !b->floats && tsr_weights_any_q8(b->weights)}};
  tsr_value in[TSR_MAX_IN] = {q, k, v};
  if (a.bias != TSR_NO_VALUE) in[n++] = a.bias;
  if (a.limited) in[n++] = a.keys;
  if (a.has_scale) in[n++] = a.scales;
  tsr_value y = tsr_node_add(b, TSR_OP_attention, in, n, &attrs);
  if (wanted) tsr_tap_give(b, tsr_node_output(b, y, 1));
  return y;
}

tsr_value tsr_nn_attention_of(tsr_builder *b, tsr_value q, tsr_value qkv, tsr_attention a) {
  int width = a.heads * a.head_dim;
  return attend(b, q, qkv, qkv, (int[]){0, width, 2 * width}, a);
}

tsr_value tsr_nn_attention_at(tsr_builder *b, tsr_value qk, tsr_value v, const int offsets[3], tsr_attention a) {
  return attend(b, qk, qk, v, offsets, a);
}

tsr_value tsr_nn_attention_qkv(tsr_builder *b, tsr_value qkv, tsr_attention a) {
  return tsr_nn_attention_of(b, qkv, qkv, a);
}

tsr_value tsr_nn_attention_kv(tsr_builder *b, tsr_value q, tsr_value kv, tsr_attention a) {
  return attend(b, q, kv, kv, (int[]){0, 0, a.heads * a.head_dim}, a);
}

tsr_value tsr_nn_attention(tsr_builder *b, tsr_value q, tsr_value k, tsr_value v, tsr_attention a) {
  return attend(b, q, k, v, (int[]){0, 0, 0}, a);
}

tsr_attention tsr_nn_heads(int heads, int head_dim, tsr_meaning tokens, int layer) {
  return (tsr_attention){.heads = heads,
                         .head_dim = head_dim,
                         .scale = 1 / sqrtf((float)head_dim),
                         .meaning = tokens,
                         .tap = "blocks.%d.attn",
                         .index = layer};
}

tsr_value tsr_nn_mlp(tsr_builder *b, tsr_value x, const tsr_mlp *mlp, tsr_value residual) {
  int activation = mlp->activation ? mlp->activation : TSR_ACT_GELU, dim = tsr_dim(b, x, -1);
  if (!mlp->bare) tsr_enter(b, "net");
  x = tsr_nn_norm(b, "0", x, mlp->norm);
  x = tsr_nn_linear_act(b, "1", x, mlp->hidden, !mlp->unbiased, activation);
  x = tsr_nn_linear_add(b, mlp->last, x, dim, !mlp->unbiased, residual);
  if (!mlp->bare) tsr_leave(b);
  return x;
}

tsr_value tsr_nn_bare_feed_forward(tsr_builder *b, tsr_value x, int hidden, const char *last, tsr_value residual) {
  return tsr_nn_mlp(b, x, &(tsr_mlp){.hidden = hidden, .last = last, .bare = 1}, residual);
}

tsr_value tsr_nn_feed_forward(tsr_builder *b, tsr_value x, int hidden, const char *last, tsr_value residual) {
  return tsr_nn_mlp(b, x, &(tsr_mlp){.hidden = hidden, .last = last}, residual);
}

tsr_value tsr_nn_norm_heads(tsr_builder *b, const char *gamma, tsr_value x, int heads, int head_dim) {
  tsr_shape shape = tsr_shape_at(b, x);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, shape.dims[0], shape.dims[1], heads, head_dim));
  tsr_value scale = tsr_weight_vector(b, gamma, tsr_shape_of(3, heads, 1, head_dim));
  x = tsr_nn_mul(b, tsr_nn_l2_normalize(b, x, 1e-12f), tsr_nn_reshape(b, scale, tsr_shape_of(2, heads, head_dim)));
  return tsr_nn_reshape(b, x, shape);
}

tsr_value tsr_nn_attend_normed(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention a, void *user) {
  int width = a.heads * a.head_dim;
  (void)x, (void)user;
  a.scale = (float)a.head_dim; /* the roots */
  tsr_value q = tsr_nn_norm_heads(b, "q_norm.gamma", tsr_nn_slice(b, qkv, 2, 0, width), a.heads, a.head_dim);
  tsr_value k = tsr_nn_norm_heads(b, "k_norm.gamma", tsr_nn_slice(b, qkv, 2, width, 2 * width), a.heads, a.head_dim);
  return attend(b, q, k, qkv, (int[]){0, 0, 2 * width}, a);
}

const char *tsr_nn_to_out(int heads, int head_dim, int dim) {
  return heads == 1 && head_dim == dim ? NULL : "to_out.0";
}

tsr_value tsr_nn_mha(tsr_builder *b, tsr_value x, const tsr_mha *mha, tsr_value residual) {
  int dim = tsr_dim(b, x, -1), width = mha->attention.heads * mha->attention.head_dim;
  tsr_value y = tsr_nn_norm(b, "norm", x, mha->norm);
  if (mha->split) {
    tsr_value q = tsr_nn_linear(b, "to_q", y, width, mha->qkv_bias);
    if (mha->context != TSR_NO_VALUE) y = tsr_nn_concat(b, 1, 2, (tsr_value[]){y, mha->context});
    y = tsr_nn_linear(b, "to_kv", y, 2 * width, mha->qkv_bias);
    y = tsr_nn_attention_kv(b, q, y, mha->attention);
  } else {
    tsr_value qkv = tsr_nn_linear(b, "to_qkv", y, 3 * width, mha->qkv_bias);
    y = mha->attend ? mha->attend(b, y, qkv, mha->attention, mha->user) : tsr_nn_attention_qkv(b, qkv, mha->attention);
  }
  if (mha->to_out) return tsr_nn_linear_add(b, mha->to_out, y, dim, !mha->out_unbiased, residual);
  return residual == TSR_NO_VALUE ? y : tsr_nn_add(b, y, residual);
}

tsr_value tsr_nn_transformer_layer(tsr_builder *b, tsr_value x, const tsr_transformer *t, int layer) {
  char tap[TSR_PATH_BYTES];
  const char *prefix = t->prefix ? t->prefix : "";
  tsr_print(tap, sizeof tap, "%sblocks.%%d.attn", prefix);
  tsr_mha mha = {.attention = tsr_nn_heads(t->heads, t->head_dim, t->tokens, layer),
                 .to_out = t->to_out,
                 .out_unbiased = t->out_unbiased,
                 .qkv_bias = t->qkv_bias,
                 .norm = t->norm,
                 .split = t->split,
                 .attend = t->attend,
                 .user = t->user};
  tsr_mlp mlp = {.hidden = t->mlp_dim,
                 .last = t->last,
                 .norm = t->norm,
                 .activation = t->activation,
                 .unbiased = t->mlp_unbiased,
                 .bare = t->bare};
  mha.attention.tap = tap;
  tsr_enter(b, "layers.%d.%d", layer, t->first);
  x = tsr_nn_mha(b, x, &mha, x);
  tsr_leave(b);
  tsr_enter(b, "layers.%d.%d", layer, t->first + 1);
  x = tsr_nn_mlp(b, x, &mlp, x);
  tsr_leave(b);
  tsr_tap_add(b, x, t->tokens, "%sblocks.%d", prefix, layer);
  return x;
}

tsr_value tsr_nn_transformer(tsr_builder *b, tsr_value x, const tsr_transformer *t) {
  for (int i = 0; i < t->depth; i++) x = tsr_nn_transformer_layer(b, x, t, i);
  return x;
}

tsr_value tsr_nn_embed_patches(tsr_builder *b, tsr_value patches, int dim) {
  tsr_value x = tsr_nn_layer_norm(b, "1", patches);
  return tsr_nn_layer_norm(b, "3", tsr_nn_linear(b, "2", x, dim, TSR_BIAS));
}

static tsr_value embed_patches(tsr_builder *b, tsr_value x, int dim) {
  tsr_enter(b, "to_patch_embedding");
  x = tsr_nn_embed_patches(b, x, dim);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_patch_embed(tsr_builder *b, tsr_value image, int patch_h, int patch_w, int dim) {
  return embed_patches(b, tsr_nn_patchify(b, image, patch_h, patch_w), dim);
}

tsr_value tsr_nn_conv_patches(tsr_builder *b, const char *name, tsr_value image, const int patch[2], int dim,
                              int bias) {
  int channels = tsr_dim(b, image, 1);
  tsr_value x = tsr_nn_patchify(b, image, patch[0], patch[1]); /* [B,N,P P C], as the matrix is packed */
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_matrix(b, "weight", tsr_shape_of(4, dim, channels, patch[0], patch[1]),
                                  (tsr_matrix_layout){1, dim, channels, patch[0] * patch[1]});
  tsr_value offset = bias ? tsr_weight_vector(b, "bias", tsr_shape_of(1, dim)) : TSR_NO_VALUE;
  x = linear(b, x, w, offset, TSR_NO_VALUE, TSR_ACT_NONE);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_video_patch_embed(tsr_builder *b, tsr_value video, int patch_f, int patch_h, int patch_w, int dim) {
  tsr_shape s = tsr_shape_at(b, video); /* [B,C,F,H,W] */
  int batch = s.dims[0], frames = s.dims[2] / patch_f;
  if (video == TSR_NO_VALUE) return video;
  if (s.dims[2] % patch_f)
    return tsr_fail(b, TSR_ERR_SHAPE, "%d frames are not a whole number of patches of %d", s.dims[2], patch_f);
  tsr_value x = tsr_nn_permute(b, video, (int[]){0, 2, 1, 3, 4}); /* [B,F,C,H,W] */
  x = tsr_nn_patchify(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch * s.dims[2], s.dims[1], s.dims[3], s.dims[4])),
                      patch_h, patch_w);
  int n = tsr_dim(b, x, 1), width = tsr_dim(b, x, 2);
  x = tsr_nn_reshape(b, x, tsr_shape_of(5, batch, frames, patch_f, n, width));
  x = tsr_nn_permute(b, x, (int[]){0, 1, 3, 2, 4});
  return embed_patches(b, tsr_nn_reshape(b, x, tsr_shape_of(3, batch, frames * n, patch_f * width)), dim);
}

tsr_value tsr_nn_norm_linear(tsr_builder *b, const char *name, tsr_value x, int out) {
  tsr_enter(b, "%s", name);
  x = tsr_nn_linear(b, "1", tsr_nn_layer_norm(b, "0", x), out, TSR_BIAS);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_split_heads(tsr_builder *b, tsr_value x, int parts, int index, int heads) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE) return x;
  x = tsr_nn_reshape(b, x, tsr_shape_of(5, s.dims[0], s.dims[1], parts, heads, s.dims[2] / (parts * heads)));
  x = tsr_nn_slice(b, x, 2, index, index + 1);
  x = tsr_nn_permute(b, x, (int[]){2, 0, 3, 1, 4});
  return tsr_nn_reshape(b, x, tsr_shape_of(4, s.dims[0], heads, s.dims[1], s.dims[2] / (parts * heads)));
}

tsr_value tsr_nn_merge_heads(tsr_builder *b, tsr_value x) {
  tsr_shape s = tsr_shape_at(b, x);
  x = tsr_nn_permute(b, x, (int[]){0, 2, 1, 3});
  return tsr_nn_reshape(b, x, tsr_shape_of(3, s.dims[0], s.dims[2], s.dims[1] * s.dims[3]));
}

tsr_value tsr_nn_prepend(tsr_builder *b, tsr_value token, tsr_value x) {
  int dim = tsr_dim(b, x, 2);
  token = tsr_nn_reshape(b, token, tsr_shape_of(3, 1, 1, dim));
  token = tsr_nn_expand(b, token, tsr_shape_of(3, tsr_dim(b, x, 0), 1, dim));
  return tsr_nn_concat(b, 1, 2, (tsr_value[]){token, x});
}

tsr_value tsr_nn_token(tsr_builder *b, tsr_value x, int index) {
  return tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, index, index + 1),
                        tsr_shape_of(2, tsr_dim(b, x, 0), tsr_dim(b, x, 2)));
}
