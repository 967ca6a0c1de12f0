/* What three or more papers do identically: layers that name their weights as PyTorch modules do, and plain graph ops.
 * Every function takes and returns values of the builder's graph, fails sticky, and allocates in the builder's arena.
 * Weights are named below the current scope; `name` "" means the scope itself. Shapes: B batch, N tokens, C channels,
 * H heads, D head width, P patch. */
#ifndef TSR_NN_H
#define TSR_NN_H

#include "graph.h"

enum { TSR_NO_BIAS = 0, TSR_BIAS = 1 };

/* torch.nn.Linear(C, out): x [..,C] -> [..,out]; weights name.weight [out,C], name.bias [out]. */
tsr_value tsr_nn_linear(tsr_builder *b, const char *name, tsr_value x, int out, int bias);
/* activation(linear(x)), and linear(x) + residual, in one pass over the product. */
tsr_value tsr_nn_linear_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation);
tsr_value tsr_nn_linear_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual);

/* torch.nn.Conv1d(groups * in, groups * out, 1, groups) over the last dim: x [..,groups*in] -> [..,groups*out];
 * weights name.weight [groups*out, in, 1], name.bias. */
tsr_value tsr_nn_grouped_linear(tsr_builder *b, const char *name, tsr_value x, int groups, int out, int activation);

/* torch.nn.LayerNorm(C), eps 1e-5: name.weight, name.bias [C]. */
tsr_value tsr_nn_layer_norm(tsr_builder *b, const char *name, tsr_value x);

/* torch.nn.Conv2d: x [B,H,W,C] -> [B,H',W',out]; weights name.weight [out,C,kernel_h,kernel_w], name.bias. */
typedef struct tsr_conv {
  int out, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, bias, activation;
} tsr_conv;
tsr_value tsr_nn_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv);

/* torch.nn.Conv2d with groups = C = out: x [B,H,W,C] -> [B,H',W',C]; weights name.weight [C,1,kernel_h,kernel_w], name.bias. `out` of conv is
 * not read. */
tsr_value tsr_nn_depthwise_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv);

/* Softmax attention over heads. qkv: one value [B,N,3*H*D] whose columns are q, k, v; or q, k and v apart, each [B,N,H*D].
 * Gives [B,N,H*D]; the probabilities become the tap `tap` (a format with one %d for `index`) of kind "attention". */
typedef struct tsr_attention {
  int heads, head_dim;
  float scale;          /* of the scores */
  int self_mask;        /* replace each token's score with itself by self_value (after scaling) */
  float self_value;
  tsr_value bias;       /* [1 or H, N, M] added after scaling, or TSR_NO_VALUE */
  tsr_meaning meaning;  /* grid and prefix of the tokens */
  const char *tap;
  int index;
} tsr_attention;
tsr_value tsr_nn_attention_qkv(tsr_builder *b, tsr_value qkv, tsr_attention attention);
tsr_value tsr_nn_attention(tsr_builder *b, tsr_value q, tsr_value k, tsr_value v, tsr_attention attention);

/* LayerNorm, Linear, GELU, Linear as vit-pytorch's FeedForward names them (net.0, net.1, net.`last`), plus x. */
tsr_value tsr_nn_feed_forward_add(tsr_builder *b, tsr_value x, int hidden, const char *last);

/* vit-pytorch's to_patch_embedding: patches [B,N,P*P*C] -> LayerNorm, Linear, LayerNorm (1, 2, 3) -> [B,N,dim]. */
tsr_value tsr_nn_patch_embed(tsr_builder *b, tsr_value image, int patch_h, int patch_w, int dim);

/* Plain ops. */
tsr_value tsr_nn_add(tsr_builder *b, tsr_value x, tsr_value y);
tsr_value tsr_nn_mul(tsr_builder *b, tsr_value x, tsr_value y);
tsr_value tsr_nn_softmax(tsr_builder *b, tsr_value x);
tsr_value tsr_nn_l2_normalize(tsr_builder *b, tsr_value x, float eps);
tsr_value tsr_nn_max_pool2d(tsr_builder *b, tsr_value x, int kernel, int stride, int pad);
tsr_value tsr_nn_concat(tsr_builder *b, int axis, int count, const tsr_value *values);
/* x[.., begin:end, ..]; x itself when that is all of it. */
tsr_value tsr_nn_slice(tsr_builder *b, tsr_value x, int axis, int begin, int end);
tsr_value tsr_nn_pad(tsr_builder *b, tsr_value x, int axis, int before, int after);
tsr_value tsr_nn_reshape(tsr_builder *b, tsr_value x, tsr_shape shape);
tsr_value tsr_nn_permute(tsr_builder *b, tsr_value x, const int *order);
tsr_value tsr_nn_expand(tsr_builder *b, tsr_value x, tsr_shape shape);
tsr_value tsr_nn_mean(tsr_builder *b, tsr_value x, int axis);
tsr_value tsr_nn_weighted_sum(tsr_builder *b, tsr_value weights, tsr_value x);
tsr_value tsr_nn_patchify(tsr_builder *b, tsr_value image, int patch_h, int patch_w);
/* [B,C,H,W] -> [B,H,W,C]: from a picture to a feature map. */
tsr_value tsr_nn_channels_last(tsr_builder *b, tsr_value image);
tsr_value tsr_nn_neighbour_similarity(tsr_builder *b, tsr_value x, int grid_w);

#endif
