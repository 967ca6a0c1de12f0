/* Builds nodes of plain ops; see ops.h. */
#include "ops.h"

#include <string.h>

static tsr_value unary(tsr_builder *b, tsr_op op, tsr_value x, tsr_attrs attrs) {
  return x == TSR_NO_VALUE ? x : tsr_node_add(b, op, &x, 1, &attrs);
}

static tsr_value binary(tsr_builder *b, tsr_op op, tsr_value x, tsr_value y) {
  if (x == TSR_NO_VALUE || y == TSR_NO_VALUE) return TSR_NO_VALUE;
  return tsr_node_add(b, op, (tsr_value[]){x, y}, 2, &(tsr_attrs){0});
}

tsr_value tsr_nn_add(tsr_builder *b, tsr_value x, tsr_value y) { return binary(b, TSR_OP_add, x, y); }
tsr_value tsr_nn_mul(tsr_builder *b, tsr_value x, tsr_value y) { return binary(b, TSR_OP_mul, x, y); }

static tsr_value constant_of(tsr_builder *b, float number) {
  float *data;
  tsr_value value = tsr_constant(b, tsr_shape_of(1, 1), &data);
  if (data) *data = number;
  return value;
}

tsr_value tsr_nn_times(tsr_builder *b, tsr_value x, float factor) { return tsr_nn_mul(b, x, constant_of(b, factor)); }
tsr_value tsr_nn_plus(tsr_builder *b, tsr_value x, float number) { return tsr_nn_add(b, x, constant_of(b, number)); }

tsr_value tsr_nn_elementary(tsr_builder *b, tsr_value x, int function) {
  return unary(b, TSR_OP_elementary, x, (tsr_attrs){.elementary = {.function = function}});
}

tsr_value tsr_nn_activate(tsr_builder *b, tsr_value x, int activation) {
  return unary(b, TSR_OP_activate, x, (tsr_attrs){.activate = {.activation = activation}});
}

tsr_value tsr_nn_bmm(tsr_builder *b, tsr_value x, tsr_value y, int transposed) {
  if (x == TSR_NO_VALUE || y == TSR_NO_VALUE) return TSR_NO_VALUE;
  return tsr_node_add(b, TSR_OP_bmm, (tsr_value[]){x, y}, 2, &(tsr_attrs){.bmm = {.transposed = transposed}});
}

tsr_value tsr_nn_unfold(tsr_builder *b, tsr_value x, int kernel, int stride, int pad) {
  return unary(b, TSR_OP_unfold, x, (tsr_attrs){.unfold = {.kernel = kernel, .stride = stride, .pad = pad}});
}

tsr_value tsr_nn_softmax(tsr_builder *b, tsr_value x, float scale) {
  return unary(b, TSR_OP_softmax, x, (tsr_attrs){.softmax = {.scale = scale}});
}

tsr_value tsr_nn_l2_normalize(tsr_builder *b, tsr_value x, float eps) {
  return unary(b, TSR_OP_l2_normalize, x, (tsr_attrs){.l2_normalize = {.eps = eps}});
}

tsr_value tsr_nn_max_pool2d(tsr_builder *b, tsr_value x, int kernel, int stride, int pad) {
  return unary(b, TSR_OP_max_pool2d, x, (tsr_attrs){.max_pool2d = {.kernel = kernel, .stride = stride, .pad = pad}});
}

tsr_value tsr_nn_resize(tsr_builder *b, tsr_value x, int height, int width, int way) {
  if (tsr_dim(b, x, 1) == height && tsr_dim(b, x, 2) == width) return x;
  return unary(b, TSR_OP_resize, x, (tsr_attrs){.resize = {height, width, way}});
}

tsr_value tsr_nn_max_pool_rows(tsr_builder *b, tsr_value x, int kernel, int stride, int pad) {
  if (kernel * stride == 1 && !pad) return x;
  return unary(b, TSR_OP_max_pool2d, x,
               (tsr_attrs){.max_pool2d = {.kernel = kernel, .stride = stride, .pad = pad, .rows_only = 1}});
}

tsr_value tsr_nn_concat(tsr_builder *b, int axis, int count, const tsr_value *values) {
  for (int i = 0; i < count; i++)
    if (values[i] == TSR_NO_VALUE) return TSR_NO_VALUE;
  return tsr_node_add(b, TSR_OP_concat, values, count, &(tsr_attrs){.concat = {.axis = axis}});
}

tsr_value tsr_nn_slice(tsr_builder *b, tsr_value x, int axis, int begin, int end) {
  if (begin == 0 && end == tsr_dim(b, x, axis)) return x;
  return unary(b, TSR_OP_slice, x, (tsr_attrs){.slice = {.axis = axis, .begin = begin, .end = end}});
}

tsr_value tsr_nn_gather(tsr_builder *b, tsr_value x, tsr_value indices) { return binary(b, TSR_OP_gather, x, indices); }

tsr_value tsr_nn_pad(tsr_builder *b, tsr_value x, int axis, int before, int after) {
  return unary(b, TSR_OP_pad, x, (tsr_attrs){.pad = {.axis = axis, .before = before, .after = after}});
}

tsr_value tsr_nn_reshape(tsr_builder *b, tsr_value x, tsr_shape shape) {
  return unary(b, TSR_OP_reshape, x, (tsr_attrs){.reshape = {.shape = shape}});
}

tsr_value tsr_nn_permute(tsr_builder *b, tsr_value x, const int *order) {
  tsr_attrs attrs = {0};
  memcpy(attrs.permute.order, order, (size_t)tsr_shape_at(b, x).ndim * sizeof *order);
  return unary(b, TSR_OP_permute, x, attrs);
}

tsr_value tsr_nn_expand(tsr_builder *b, tsr_value x, tsr_shape shape) {
  return unary(b, TSR_OP_expand, x, (tsr_attrs){.expand = {.shape = shape}});
}

tsr_value tsr_nn_mean(tsr_builder *b, tsr_value x, int axis) {
  return unary(b, TSR_OP_mean, x, (tsr_attrs){.mean = {.axis = axis}});
}

tsr_value tsr_nn_weighted_sum(tsr_builder *b, tsr_value weights, tsr_value x) {
  return binary(b, TSR_OP_weighted_sum, weights, x);
}

tsr_value tsr_nn_patchify(tsr_builder *b, tsr_value image, int patch_h, int patch_w) {
  return unary(b, TSR_OP_patchify, image, (tsr_attrs){.patchify = {.patch_h = patch_h, .patch_w = patch_w}});
}

tsr_value tsr_nn_channels_last(tsr_builder *b, tsr_value image) {
  return tsr_nn_permute(b, image, (int[]){0, 2, 3, 1});
}

tsr_value tsr_nn_neighbour_similarity(tsr_builder *b, tsr_value x, int grid_w) {
  return unary(b, TSR_OP_neighbour_similarity, x, (tsr_attrs){.neighbour_similarity = {.grid_w = grid_w}});
}
