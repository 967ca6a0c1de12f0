/* Layers over feature maps [B,H,W,C] that several papers have in common. The references have channels first. Here
 * they are last, so that a 1x1 convolution is a linear layer and a norm over channels a layer norm. Weights keep the
 * reference's shapes. Conventions as in layers.h. */
#ifndef TSR_NN_MAP_H
#define TSR_NN_MAP_H

#include "layers.h"

/* vit-pytorch's LayerNorm over dim 1, eps 1e-5: name.g, name.b [1,C,1,1]. */
tsr_value tsr_nn_channel_norm(tsr_builder *b, const char *name, tsr_value x);

/* torch.nn.Conv2d(C, out, 1): name.weight [out,C,1,1], name.bias [out]; also with an activation, or plus a residual. */
tsr_value tsr_nn_pointwise(tsr_builder *b, const char *name, tsr_value x, int out, int bias);
tsr_value tsr_nn_pointwise_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation);
tsr_value tsr_nn_pointwise_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual);
/* activation(scale * product with name.weight + bias) + residual as one node, where each is a value or TSR_NO_VALUE; a
 * scale needs a bias. */
tsr_value tsr_nn_pointwise_by(tsr_builder *b, const char *name, tsr_value x, int out, tsr_value bias, tsr_value scale,
                              tsr_value residual, int activation);

/* BatchNorm2d of c channels with its running statistics as y = scale * x + offset: name.weight, name.bias,
 * name.running_mean, name.running_var. x lacks `bias` (TSR_NO_VALUE: none); eps 0: 1e-5. */
typedef struct tsr_affine {
  tsr_value scale, offset;
} tsr_affine;
tsr_affine tsr_nn_batch_affine(tsr_builder *b, const char *name, int c, tsr_value bias, float eps);

/* A convolution with the BatchNorm2d that follows it, as one node: the norm (eps conv.norm_eps) becomes a scale and
 * an offset of the product, or of the depthwise kernel's weights. conv.activation follows the norm. Weights: `name`
 * as for conv2d, and norm.weight, norm.bias, norm.running_mean, norm.running_var [C]. residual: TSR_NO_VALUE, or for
 * 1x1 kernels with stride 1 a value that is added. With kernel_h 0 it is torch.nn.Linear with BatchNorm1d over the last
 * dim: name.weight [out,C]. */
tsr_value tsr_nn_conv2d_norm(tsr_builder *b, const char *name, const char *norm, tsr_value x, tsr_conv conv,
                             tsr_value residual);
tsr_value tsr_nn_depthwise_norm(tsr_builder *b, const char *name, const char *norm, tsr_value x, tsr_conv conv);
/* A depthwise convolution whose kernels [kernel_h,kernel_w,C] and bias [C] are given as values, such as sums of
 * weights. */
tsr_value tsr_nn_depthwise_by(tsr_builder *b, tsr_value x, tsr_value kernels, tsr_value bias, tsr_conv conv);

/* A BatchNorm that no product stands in front of, to take it up: over the last dim of x, weights as above; eps 0:
 * 1e-5. */
tsr_value tsr_nn_batch_norm(tsr_builder *b, const char *name, tsr_value x, float eps);

/* x + MLP(x): channel norm 0, 1x1 convolution 1, GELU, 1x1 convolution 4. */
tsr_value tsr_nn_map_feed_forward_add(tsr_builder *b, tsr_value x, int hidden);

/* Positional encoding generator: x + a depthwise convolution of x, with bias and padding kernel / 2. */
tsr_value tsr_nn_peg(tsr_builder *b, const char *name, tsr_value x, int kernel);

/* How a map is cut into windows of h x w tokens: of neighbours, or with `spread` of tokens H / h rows and W / w columns
 * apart. */
typedef struct tsr_windows {
  int h, w, spread;
} tsr_windows;
/* [B,H,W,C] -> [B * windows, h * w, C], windows row by row. Fails unless H and W are multiples of h and w. */
tsr_value tsr_nn_windows(tsr_builder *b, tsr_value x, tsr_windows windows);
/* The inverse: [B * windows, h * w, *] -> [B,H,W,*] with B, H and W of `like`. */
tsr_value tsr_nn_unwindows(tsr_builder *b, tsr_value x, tsr_windows windows, tsr_value like);

/* The meaning of a tap over the windows of `map`: a window's grid, and how the windows lie. */
tsr_meaning tsr_nn_window_meaning(const tsr_builder *b, tsr_value map, tsr_windows windows, const char *kind);

/* [B,H,W,C] <-> [B,H W,C]; `like` gives H and W. */
tsr_value tsr_nn_tokens(tsr_builder *b, tsr_value x);
tsr_value tsr_nn_map(tsr_builder *b, tsr_value tokens, tsr_value like);
/* The mean over pixels: [B,H,W,C] -> [B,C]. */
tsr_value tsr_nn_map_mean(tsr_builder *b, tsr_value x);

/* Relative position bias: [heads,n,m] with scale * table[index(user, i, j)], 0 where the index is negative. table:
 * [positions, heads]. */
typedef int tsr_bias_index(const void *user, int i, int j);
tsr_value tsr_nn_bias_table(tsr_builder *b, tsr_value table, int n, int m, float scale, tsr_bias_index *index,
                            const void *user);

/* The meaning of a tap of `map`: its grid, and `kind`, such as "features". */
tsr_meaning tsr_nn_map_meaning(const tsr_builder *b, tsr_value map, const char *kind);

/* The input image as a map [B,H,W,C], for models that take any image whose sides are multiples of `unit`. The config
 * key image_size (not in the references) sets the default input size: 224, or the next multiple, if it is missing. */
tsr_value tsr_nn_input_map(tsr_builder *b, int channels, int unit);
/* The least common multiple, at most 2^20. */
int tsr_nn_common_multiple(int a, int c);

#endif
