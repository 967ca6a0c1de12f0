/* The plain ops as functions of the graph builder: each adds one node and returns its value.
 * ops/ops.inc has the shapes and formulas of all. On an invalid value (TSR_NO_VALUE) they return an invalid value. */
#ifndef TSR_NN_OPS_H
#define TSR_NN_OPS_H

#include "graph/graph.h"

/* x + y and x * y, with NumPy broadcasting. */
tsr_value tsr_nn_add(tsr_builder *b, tsr_value x, tsr_value y);
tsr_value tsr_nn_mul(tsr_builder *b, tsr_value x, tsr_value y);
/* factor * x */
tsr_value tsr_nn_times(tsr_builder *b, tsr_value x, float factor);
/* x + number */
tsr_value tsr_nn_plus(tsr_builder *b, tsr_value x, float number);
/* function(x), TSR_EXP, TSR_SIN or TSR_COS */
tsr_value tsr_nn_elementary(tsr_builder *b, tsr_value x, int function);
/* activation(x), a TSR_ACT_... */
tsr_value tsr_nn_activate(tsr_builder *b, tsr_value x, int activation);
/* x [..,N,K] by y [..,K,M], or by the transpose of y [..,M,K]. */
tsr_value tsr_nn_bmm(tsr_builder *b, tsr_value x, tsr_value y, int transposed);
/* The windows of a map: [B,H,W,C] -> [B,H',W',C*kernel*kernel]. */
tsr_value tsr_nn_unfold(tsr_builder *b, tsr_value x, int kernel, int stride, int pad);
/* softmax(scale * x) over the last dim. */
tsr_value tsr_nn_softmax(tsr_builder *b, tsr_value x, float scale);
/* x / max(||x||, eps) over the last dim. */
tsr_value tsr_nn_l2_normalize(tsr_builder *b, tsr_value x, float eps);
/* The maximum over windows: [B,H,W,C] -> [B,H',W',C]. */
tsr_value tsr_nn_max_pool2d(tsr_builder *b, tsr_value x, int kernel, int stride, int pad);
/* The same with windows of `kernel` rows and one column. */
tsr_value tsr_nn_max_pool_rows(tsr_builder *b, tsr_value x, int kernel, int stride, int pad);
/* A map of another size: [B,H,W,C] -> [B,height,width,C]; x itself if that is its size. way: TSR_RESIZE_... */
tsr_value tsr_nn_resize(tsr_builder *b, tsr_value x, int height, int width, int way);
/* Joins `count` values along `axis`, at most TSR_MAX_IN of them. */
tsr_value tsr_nn_concat(tsr_builder *b, int axis, int count, const tsr_value *values);
/* x[.., begin:end, ..] along `axis`; x itself if that is all of it. */
tsr_value tsr_nn_slice(tsr_builder *b, tsr_value x, int axis, int begin, int end);
/* Rows of x [B,N,..] by indices [B or 1,K]: [B,K,..]; see ops.inc. */
tsr_value tsr_nn_gather(tsr_builder *b, tsr_value x, tsr_value indices);
/* Zeros before and after x along `axis`. */
tsr_value tsr_nn_pad(tsr_builder *b, tsr_value x, int axis, int before, int after);
/* The same numbers in another shape. */
tsr_value tsr_nn_reshape(tsr_builder *b, tsr_value x, tsr_shape shape);
/* Dim i of the result is dim order[i] of x. */
tsr_value tsr_nn_permute(tsr_builder *b, tsr_value x, const int *order);
/* Repeats x along its dims of length 1, up to `shape`. */
tsr_value tsr_nn_expand(tsr_builder *b, tsr_value x, tsr_shape shape);
/* The mean over `axis`, which is removed. */
tsr_value tsr_nn_mean(tsr_builder *b, tsr_value x, int axis);
/* sum_n weights[b,n] x[b,n,c]: [B,N] and [B,N,C] -> [B,C]. */
tsr_value tsr_nn_weighted_sum(tsr_builder *b, tsr_value weights, tsr_value x);
/* The patches of an image: [B,C,H,W] -> [B,N,P*P*C]. */
tsr_value tsr_nn_patchify(tsr_builder *b, tsr_value image, int patch_h, int patch_w);
/* [B,C,H,W] -> [B,H,W,C]: an image as a feature map. */
tsr_value tsr_nn_channels_last(tsr_builder *b, tsr_value image);
/* The cosine similarity with the right and the lower neighbour: [B,N,L,D] -> [B,N,L,2]. */
tsr_value tsr_nn_neighbour_similarity(tsr_builder *b, tsr_value x, int grid_w);

#endif
