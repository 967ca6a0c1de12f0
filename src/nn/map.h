/* Layers over feature maps [B,H,W,C] that several papers share. The references have channels first; ours are last, so a 1x1 convolution
 * is a linear layer and a norm over channels a layer norm. Conventions as in layers.h; weights keep the reference's shapes. */
#ifndef TSR_NN_MAP_H
#define TSR_NN_MAP_H

#include "layers.h"

/* vit-pytorch's LayerNorm over dim 1, eps 1e-5: name.g, name.b [1,C,1,1]. */
tsr_value tsr_nn_channel_norm(tsr_builder *b, const char *name, tsr_value x);

/* torch.nn.Conv2d(C, out, 1): name.weight [out,C,1,1], name.bias; and with an activation, or a residual added. */
tsr_value tsr_nn_pointwise(tsr_builder *b, const char *name, tsr_value x, int out, int bias);
tsr_value tsr_nn_pointwise_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation);
tsr_value tsr_nn_pointwise_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual);

/* A convolution and the BatchNorm2d (of conv.norm_eps) after it as one: the norm becomes a scale and an offset of what the product gives, of
 * the depthwise kernel's weights. conv.activation follows the norm. Weights `name` as for conv2d, and norm.weight, bias,
 * running_mean, running_var. `residual` (1x1 with stride 1 only) or TSR_NO_VALUE. */
tsr_value tsr_nn_conv2d_norm(tsr_builder *b, const char *name, const char *norm, tsr_value x, tsr_conv conv,
                             tsr_value residual);
tsr_value tsr_nn_depthwise_norm(tsr_builder *b, const char *name, const char *norm, tsr_value x, tsr_conv conv);

/* Channel norm, 1x1 convolution, GELU, 1x1 convolution, named 0, 1 and 4, plus x. */
tsr_value tsr_nn_map_feed_forward_add(tsr_builder *b, tsr_value x, int hidden);

/* x + depthwise convolution of x, with bias and a border of half the kernel: a positional encoding generator. */
tsr_value tsr_nn_peg(tsr_builder *b, const char *name, tsr_value x, int kernel);

/* A map cut into windows of h x w tokens: neighbours, or with `spread` tokens as far apart as the windows are many. */
typedef struct tsr_windows {
  int h, w, spread;
} tsr_windows;
/* [B,H,W,C] -> [B * windows, h w, C]; windows in the order of rows. Fails when H and W are no multiples of h and w. */
tsr_value tsr_nn_windows(tsr_builder *b, tsr_value x, tsr_windows windows);
/* The way back: to [B,H,W,*] of `like`'s B, H and W. */
tsr_value tsr_nn_unwindows(tsr_builder *b, tsr_value x, tsr_windows windows, tsr_value like);

/* What a tap of `map`'s windows means: a window's grid, and how the windows lie. A map of one window has none. */
tsr_meaning tsr_nn_window_meaning(const tsr_builder *b, tsr_value map, tsr_windows windows, const char *kind);

/* [B,H,W,C] <-> [B,H W,C]; `like` gives H and W. */
tsr_value tsr_nn_tokens(tsr_builder *b, tsr_value x);
tsr_value tsr_nn_map(tsr_builder *b, tsr_value tokens, tsr_value like);
/* The mean over pixels: [B,H,W,C] -> [B,C]. */
tsr_value tsr_nn_map_mean(tsr_builder *b, tsr_value x);

/* A bias of attention from a table [positions, heads]: [heads,n,m] with scale * table[index(user, i, j)], 0 where index is negative. */
typedef int tsr_bias_index(const void *user, int i, int j);
tsr_value tsr_nn_bias_table(tsr_builder *b, tsr_value table, int n, int m, float scale, tsr_bias_index *index,
                            const void *user);

/* What a map's taps mean: "features" with its grid, or tokens of another kind. */
tsr_meaning tsr_nn_map_meaning(const tsr_builder *b, tsr_value map, const char *kind);

/* The picture of a model that takes any whose sides are multiples of `unit`, as a map [B,H,W,C]. The config key image_size, which references
 * of such models lack, says what the model's description shows: 224, or the next multiple, unless it is given. */
tsr_value tsr_nn_input_map(tsr_builder *b, int channels, int unit);
int tsr_nn_common_multiple(int a, int c);

#endif
