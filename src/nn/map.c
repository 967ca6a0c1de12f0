/* Layers over feature maps; see map.h. */
#include "map.h"

#include "graph/settings.h"

static tsr_shape channels_shape(int c) { return tsr_shape_of(4, 1, c, 1, 1); }

tsr_value tsr_nn_channel_norm(tsr_builder *b, const char *name, tsr_value x) {
  int c = tsr_dim(b, x, -1);
  if (x == TSR_NO_VALUE) return x;
  tsr_enter(b, "%s", name);
  tsr_value inputs[3] = {x, tsr_weight_vector(b, "g", channels_shape(c)), tsr_weight_vector(b, "b", channels_shape(c))};
  tsr_attrs attrs = {.layer_norm = {.eps = 1e-5f, .has_gamma = 1, .has_beta = 1}};
  x = tsr_node_add(b, TSR_OP_layer_norm, inputs, 3, &attrs);
  tsr_leave(b);
  return x;
}

/* The product with name.weight of `shape`, [out,C] or [out,C,1,1]; bias, scale and residual are values or
 * TSR_NO_VALUE. */
static tsr_value product(tsr_builder *b, const char *name, tsr_value x, tsr_shape shape, tsr_value bias,
                         tsr_value scale, tsr_value residual, int activation) {
  int n = 2;
  tsr_enter(b, "%s", name);
  tsr_matrix_layout layout = {1, shape.dims[0], shape.dims[1], 1, scale != TSR_NO_VALUE && b->floats};
  tsr_value in[5] = {x, tsr_weight_matrix(b, "weight", shape, layout)};
  tsr_attrs attrs = {.linear = {.activation = activation}};
  if (bias != TSR_NO_VALUE) in[n++] = bias, attrs.linear.has_bias = 1;
  if (scale != TSR_NO_VALUE) in[n++] = scale, attrs.linear.has_scale = 1;
  if (residual != TSR_NO_VALUE) in[n++] = residual, attrs.linear.has_residual = 1;
  x = tsr_node_add(b, TSR_OP_linear, in, n, &attrs);
  tsr_leave(b);
  return x;
}

static tsr_value bias_of(tsr_builder *b, const char *name, int out, int bias) {
  if (!bias) return TSR_NO_VALUE;
  tsr_enter(b, "%s", name);
  tsr_value value = tsr_weight_vector(b, "bias", tsr_shape_of(1, out));
  tsr_leave(b);
  return value;
}

tsr_value tsr_nn_pointwise_by(tsr_builder *b, const char *name, tsr_value x, int out, tsr_value bias, tsr_value scale,
                              tsr_value residual, int activation) {
  if (tsr_failed(b)) return TSR_NO_VALUE;
  return product(b, name, x, tsr_shape_of(4, out, tsr_dim(b, x, -1), 1, 1), bias, scale, residual, activation);
}

static tsr_value pointwise(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual,
                           int activation) {
  if (tsr_failed(b)) return TSR_NO_VALUE;
  return tsr_nn_pointwise_by(b, name, x, out, bias_of(b, name, out, bias), TSR_NO_VALUE, residual, activation);
}

tsr_value tsr_nn_pointwise(tsr_builder *b, const char *name, tsr_value x, int out, int bias) {
  return pointwise(b, name, x, out, bias, TSR_NO_VALUE, TSR_ACT_NONE);
}

tsr_value tsr_nn_pointwise_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation) {
  return pointwise(b, name, x, out, bias, TSR_NO_VALUE, activation);
}

tsr_value tsr_nn_pointwise_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual) {
  return pointwise(b, name, x, out, bias, residual, TSR_ACT_NONE);
}

tsr_affine tsr_nn_batch_affine(tsr_builder *b, const char *name, int c, tsr_value bias, float eps) {
  static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
  tsr_attrs attrs = {.batch_norm = {.eps = eps ? (double)eps : 1e-5}};
  tsr_value in[5];
  if (tsr_failed(b)) return (tsr_affine){TSR_NO_VALUE, TSR_NO_VALUE};
  tsr_enter(b, "%s", name);
  for (int i = 0; i < 4; i++) in[i] = (i < 2 ? tsr_weight_vector : tsr_weight_buffer)(b, names[i], tsr_shape_of(1, c));
  in[4] = bias;
  tsr_value scale = tsr_node_add(b, TSR_OP_batch_norm, in, bias == TSR_NO_VALUE ? 4 : 5, &attrs);
  tsr_leave(b);
  return (tsr_affine){scale, tsr_node_output(b, scale, 1)};
}

tsr_value tsr_nn_conv2d_norm(tsr_builder *b, const char *name, const char *norm, tsr_value x, tsr_conv conv,
                             tsr_value residual) {
  int c = tsr_dim(b, x, -1), taps = conv.kernel_h * conv.kernel_w;
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_affine a = tsr_nn_batch_affine(b, norm, conv.out, bias_of(b, name, conv.out, conv.bias), conv.norm_eps);
  tsr_shape shape = tsr_shape_of(4, conv.out, c, conv.kernel_h, conv.kernel_w);
  if (!taps) shape.ndim = 2;
  if (taps * conv.stride_h * conv.stride_w < 2)
    return product(b, name, x, shape, a.offset, a.scale, residual, conv.activation);
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_matrix(b, "weight", shape, (tsr_matrix_layout){1, conv.out, c, taps, b->floats});
  tsr_attrs attrs = {.conv2d = {.kernel_h = conv.kernel_h,
                                .kernel_w = conv.kernel_w,
                                .stride_h = conv.stride_h,
                                .stride_w = conv.stride_w,
                                .pad_h = conv.pad_h,
                                .pad_w = conv.pad_w,
                                .activation = conv.activation,
                                .has_bias = 1,
                                .has_scale = 1}};
  x = tsr_node_add(b, TSR_OP_conv2d, (tsr_value[]){x, w, a.offset, a.scale}, 4, &attrs);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_depthwise_by(tsr_builder *b, tsr_value x, tsr_value kernels, tsr_value bias, tsr_conv conv) {
  int c = tsr_dim(b, x, -1);
  tsr_value w = tsr_nn_reshape(b, kernels, tsr_shape_of(4, c, 1, conv.kernel_h, conv.kernel_w));
  tsr_attrs attrs = {.depthwise_conv2d = {.stride_h = conv.stride_h,
                                          .stride_w = conv.stride_w,
                                          .pad_h = conv.pad_h,
                                          .pad_w = conv.pad_w,
                                          .activation = conv.activation}};
  return tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_depthwise_conv2d, (tsr_value[]){x, w, bias}, 3, &attrs);
}

tsr_value tsr_nn_depthwise_norm(tsr_builder *b, const char *name, const char *norm, tsr_value x, tsr_conv conv) {
  int c = tsr_dim(b, x, -1);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_affine a = tsr_nn_batch_affine(b, norm, c, bias_of(b, name, c, conv.bias), conv.norm_eps);
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_depthwise(b, "weight", tsr_shape_of(4, c, 1, conv.kernel_h, conv.kernel_w));
  w = tsr_nn_reshape(b, w, tsr_shape_of(3, conv.kernel_h, conv.kernel_w, c)); /* as it is kept */
  x = tsr_nn_depthwise_by(b, x, tsr_nn_mul(b, w, a.scale), a.offset, conv);
  tsr_leave(b);
  return x;
}

tsr_value tsr_nn_batch_norm(tsr_builder *b, const char *name, tsr_value x, float eps) {
  int c = tsr_dim(b, x, -1);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_affine a = tsr_nn_batch_affine(b, name, c, TSR_NO_VALUE, eps);
  if (tsr_shape_at(b, x).ndim != 4) return tsr_nn_add(b, tsr_nn_mul(b, x, a.scale), a.offset);
  tsr_value w = tsr_nn_reshape(b, a.scale, tsr_shape_of(4, c, 1, 1, 1)); /* a depthwise convolution is one pass */
  tsr_attrs attrs = {.depthwise_conv2d = {.stride_h = 1, .stride_w = 1}};
  return tsr_failed(b) ? TSR_NO_VALUE
                       : tsr_node_add(b, TSR_OP_depthwise_conv2d, (tsr_value[]){x, w, a.offset}, 3, &attrs);
}

tsr_value tsr_nn_map_feed_forward_add(tsr_builder *b, tsr_value x, int hidden) {
  tsr_value y = tsr_nn_channel_norm(b, "0", x);
  y = tsr_nn_pointwise_act(b, "1", y, hidden, TSR_BIAS, TSR_ACT_GELU);
  return tsr_nn_pointwise_add(b, "4", y, tsr_dim(b, x, -1), TSR_BIAS, x);
}

tsr_value tsr_nn_peg(tsr_builder *b, const char *name, tsr_value x, int kernel) {
  tsr_conv conv = {.kernel_h = kernel,
                   .kernel_w = kernel,
                   .stride_h = 1,
                   .stride_w = 1,
                   .pad_h = kernel / 2,
                   .pad_w = kernel / 2,
                   .bias = TSR_BIAS};
  return tsr_nn_add(b, tsr_nn_depthwise_conv2d(b, name, x, conv), x);
}

/* Dims of the map taken apart: rows of windows and rows inside, or the other way about. */
static tsr_shape cut(int batch, int rows, int columns, tsr_windows w, int c) {
  if (w.spread) return tsr_shape_of(6, batch, w.h, rows, w.w, columns, c);
  return tsr_shape_of(6, batch, rows, w.h, columns, w.w, c);
}

tsr_value tsr_nn_windows(tsr_builder *b, tsr_value x, tsr_windows w) {
  int batch = tsr_dim(b, x, 0), height = tsr_dim(b, x, 1), width = tsr_dim(b, x, 2), c = tsr_dim(b, x, 3);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (height % w.h || width % w.w)
    return tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
                    "a map of %d x %d cannot be cut into windows of %d x %d", height, width, w.h, w.w);
  int rows = height / w.h, columns = width / w.w;
  x = tsr_nn_reshape(b, x, cut(batch, rows, columns, w, c));
  x = tsr_nn_permute(b, x, w.spread ? (int[]){0, 2, 4, 1, 3, 5} : (int[]){0, 1, 3, 2, 4, 5});
  return tsr_nn_reshape(b, x, tsr_shape_of(3, batch * rows * columns, w.h * w.w, c));
}

tsr_value tsr_nn_unwindows(tsr_builder *b, tsr_value x, tsr_windows w, tsr_value like) {
  int batch = tsr_dim(b, like, 0), height = tsr_dim(b, like, 1), width = tsr_dim(b, like, 2), c = tsr_dim(b, x, -1);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = tsr_nn_reshape(b, x, tsr_shape_of(6, batch, height / w.h, width / w.w, w.h, w.w, c));
  x = tsr_nn_permute(b, x, w.spread ? (int[]){0, 3, 1, 4, 2, 5} : (int[]){0, 1, 3, 2, 4, 5});
  return tsr_nn_reshape(b, x, tsr_shape_of(4, batch, height, width, c));
}

tsr_meaning tsr_nn_window_meaning(const tsr_builder *b, tsr_value map, tsr_windows w, const char *kind) {
  int rows = w.h > 0 ? tsr_dim(b, map, 1) / w.h : 0, columns = w.w > 0 ? tsr_dim(b, map, 2) / w.w : 0;
  tsr_meaning meaning = {kind, w.h, w.w, 0, rows, columns, w.spread};
  if (rows * columns < 2) meaning.windows_h = 0;
  return meaning;
}

tsr_value tsr_nn_tokens(tsr_builder *b, tsr_value x) {
  return tsr_nn_reshape(b, x, tsr_shape_of(3, tsr_dim(b, x, 0), tsr_dim(b, x, 1) * tsr_dim(b, x, 2), tsr_dim(b, x, 3)));
}

tsr_value tsr_nn_map(tsr_builder *b, tsr_value tokens, tsr_value like) {
  return tsr_nn_reshape(
      b, tokens,
      tsr_shape_of(4, tsr_dim(b, like, 0), tsr_dim(b, like, 1), tsr_dim(b, like, 2), tsr_dim(b, tokens, -1)));
}

tsr_value tsr_nn_map_mean(tsr_builder *b, tsr_value x) { return tsr_nn_mean(b, tsr_nn_tokens(b, x), 1); }

tsr_value tsr_nn_bias_table(tsr_builder *b, tsr_value table, int n, int m, float scale, tsr_bias_index *index,
                            const void *user) {
  int heads = tsr_dim(b, table, 1);
  float *at;
  tsr_value rows = tsr_constant(b, tsr_shape_of(3, 1, n, m), &at);
  for (int i = 0; at && i < n; i++)
    for (int j = 0; j < m; j++) *at++ = (float)index(user, i, j);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (scale != 1) table = tsr_nn_times(b, table, scale);
  table = tsr_nn_permute(b, table, (int[]){1, 0}); /* [heads,positions] */
  table = tsr_nn_gather(b, table, tsr_nn_reshape(b, rows, tsr_shape_of(2, 1, n * m)));
  return tsr_nn_reshape(b, table, tsr_shape_of(3, heads, n, m));
}

tsr_meaning tsr_nn_map_meaning(const tsr_builder *b, tsr_value map, const char *kind) {
  return (tsr_meaning){kind, tsr_dim(b, map, 1), tsr_dim(b, map, 2), 0};
}

int tsr_nn_common_multiple(int a, int c) {
  int x = a, y = c;
  while (y) {
    int rest = x % y;
    x = y, y = rest;
  }
  double multiple = (double)a / x * c;
  return multiple > 1 << 20 ? 1 << 20 : (int)multiple; /* beyond any image */
}

tsr_value tsr_nn_input_map(tsr_builder *b, int channels, int unit) {
  int sides[2], usual = (224 + unit - 1) / unit * unit;
  tsr_setting_pair(b, &b->config, "image_size", usual, 1, 8192, sides);
  tsr_value image = tsr_input_image(b, channels, sides[0], sides[1]);
  int h = tsr_dim(b, image, 2), w = tsr_dim(b, image, 3);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (h % unit || w % unit)
    return tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE,
                    "%s %d x %d; this model takes sides that are multiples of %d",
                    b->declaring ? "config key \"image_size\" is" : "the image is", h, w, unit);
  return tsr_nn_channels_last(b, image);
}
