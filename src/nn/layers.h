/* What three or more papers do identically: layers that name their weights as PyTorch modules do, and plain graph ops.
 * Every function takes and returns values of the builder's graph, fails sticky, and allocates in the builder's arena.
 * Weights are named below the current scope; `name` "" means the scope itself. Shapes: B batch, N tokens, C channels,
 * H heads, D head width, P patch. */
#ifndef TSR_NN_LAYERS_H
#define TSR_NN_LAYERS_H

#include "graph/graph.h"
#include "ops.h"

enum { TSR_NO_BIAS = 0, TSR_BIAS = 1 };

/* torch.nn.Linear(C, out): x [..,C] -> [..,out]; weights name.weight [out,C], name.bias [out]. */
tsr_value tsr_nn_linear(tsr_builder *b, const char *name, tsr_value x, int out, int bias);
/* activation(linear(x)), and linear(x) + residual, in one pass over the product. */
tsr_value tsr_nn_linear_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation);
tsr_value tsr_nn_linear_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual);

/* torch.nn.Conv1d(groups * in, groups * out, 1, groups) over the last dim: x [..,groups*in] -> [..,groups*out];
 * weights name.weight [groups*out, in, 1], name.bias. */
tsr_value tsr_nn_grouped_linear(tsr_builder *b, const char *name, tsr_value x, int groups, int out, int activation);

/* The norms over the last dim C that the references use: y = (x - mean) / sqrt(variance + eps) * scale + offset. */
enum {
  TSR_NORM_LAYER,        /* torch.nn.LayerNorm: scale name.weight [C], offset name.bias [C] */
  TSR_NORM_NO_OFFSET,    /* torch.nn.LayerNorm without bias: scale name.weight */
  TSR_NORM_GAMMA_1,      /* scale name.gamma + 1, no offset */
  TSR_NORM_FIXED_OFFSET, /* scale name.gamma, offset the buffer name.beta, which is no parameter */
};
typedef struct tsr_norm {
  int kind;  /* zeroed: torch.nn.LayerNorm */
  float eps; /* 0: 1e-5 */
} tsr_norm;
tsr_value tsr_nn_norm(tsr_builder *b, const char *name, tsr_value x, tsr_norm norm);
/* tsr_nn_norm of torch.nn.LayerNorm(C), eps 1e-5. */
tsr_value tsr_nn_layer_norm(tsr_builder *b, const char *name, tsr_value x);

/* The same by a scale and an offset [C] that are values already. */
tsr_value tsr_nn_layer_norm_by(tsr_builder *b, tsr_value x, tsr_value gamma, tsr_value beta);

/* torch.nn.Conv2d: x [B,H,W,C] -> [B,H',W',out]; weights name.weight [out,C,kernel_h,kernel_w], name.bias. With kernel_f torch.nn.Conv3d:
 * x [B,F,H,W,C] -> [B,F',H',W',out]; name.weight [out,C,kernel_f,kernel_h,kernel_w]. */
typedef struct tsr_conv {
  int out, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, bias, activation;
  int kernel_f, stride_f, pad_f;
  float norm_eps; /* of a norm behind it (map.h); 0: 1e-5 */
} tsr_conv;
tsr_value tsr_nn_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv);

/* torch.nn.Conv2d with groups = C = out: x [B,H,W,C] -> [B,H',W',C]; weights name.weight [C,1,kernel_h,kernel_w], name.bias. `out` of conv is
 * not read. */
tsr_value tsr_nn_depthwise_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv);

/* Softmax attention over heads. qkv: one value [B,N,3*H*D] whose columns are q, k, v; or q, k and v apart, each [B,N,H*D].
 * Gives [B,N,H*D]; the probabilities become the tap `tap` (a format with one %d for `index`) of kind "attention". */
typedef struct tsr_attention {
  int heads, head_dim;
  int value_dim; /* of each head of v, and so of the result; 0: head_dim */
  float scale;   /* of the scores */
  int self_mask; /* replace each token's score with itself by self_value (after scaling) */
  float self_value;
  tsr_value bias;      /* [1 or H, N, M] added after scaling, or TSR_NO_VALUE */
  tsr_meaning meaning; /* grid and prefix of the tokens */
  const char *tap;     /* NULL: none */
  int index;
  const char *kind; /* of the tap; NULL: "attention" */
  int store;        /* the probabilities are output 1 of the node, whether the tap is wanted or not */
  int limited;      /* pictures have as many keys as `keys` [B] says */
  tsr_value keys;
  int has_scale; /* `scales` [1] takes scale's place */
  tsr_value scales;
} tsr_attention;
tsr_value tsr_nn_attention_qkv(tsr_builder *b, tsr_value qkv, tsr_attention attention);
tsr_value tsr_nn_attention(tsr_builder *b, tsr_value q, tsr_value k, tsr_value v, tsr_attention attention);
/* As the first, but only the first columns of `q` ask. */
tsr_value tsr_nn_attention_of(tsr_builder *b, tsr_value q, tsr_value qkv, tsr_attention attention);
/* q [B,N,H*D] apart, and k and v as columns of one value [B,M,2*H*D]. */
tsr_value tsr_nn_attention_kv(tsr_builder *b, tsr_value q, tsr_value kv, tsr_attention attention);

/* `heads` of `head_dim` over tokens, scaled by 1 / sqrt(head_dim), with the tap "blocks.<layer>.attn": what most layers want. */
tsr_attention tsr_nn_heads(int heads, int head_dim, tsr_meaning tokens, int layer);

/* Norm, Linear, activation, Linear, named as vit-pytorch's FeedForward names them (net.0, net.1, net.`last`), plus
 * `residual` unless that is TSR_NO_VALUE: x [..,C] -> [..,C]. */
typedef struct tsr_mlp {
  int hidden;
  const char *last; /* name of the second Linear: "4" or "3" in most references */
  tsr_norm norm;
  int activation; /* TSR_ACT_...; 0: GELU */
  int unbiased;   /* neither Linear has a bias */
  int bare;       /* the module is the Sequential itself: 0, 1, `last` without "net" */
} tsr_mlp;
tsr_value tsr_nn_mlp(tsr_builder *b, tsr_value x, const tsr_mlp *mlp, tsr_value residual);
/* tsr_nn_mlp of LayerNorm and GELU; and the same bare. */
tsr_value tsr_nn_feed_forward(tsr_builder *b, tsr_value x, int hidden, const char *last, tsr_value residual);
tsr_value tsr_nn_bare_feed_forward(tsr_builder *b, tsr_value x, int hidden, const char *last, tsr_value residual);

/* Queries or keys, each head's of length 1 times the weight `gamma` [H,1,D]: x [B,N,H*D] -> [B,N,H*D]. */
tsr_value tsr_nn_norm_heads(tsr_builder *b, const char *gamma, tsr_value x, int heads, int head_dim);

/* Instead of tsr_nn_attention_qkv: qkv [B,N,3*H*D] of the normed tokens `x` [B,N,C]. */
typedef tsr_value tsr_attend(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention attention, void *user);
/* A tsr_attend: queries and keys are normed by q_norm.gamma and k_norm.gamma, and carry the root of D each. */
tsr_value tsr_nn_attend_normed(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention attention, void *user);

/* Attention behind a norm as vit-pytorch names it: y = to_out(softmax(q k^T) v), plus `residual` unless that is TSR_NO_VALUE, where
 * q, k, v = to_qkv(norm(x)); or, when `split`, q = to_q(norm(x)) and k, v = to_kv([norm(x); context]). */
typedef struct tsr_mha {
  tsr_attention attention;
  const char *to_out; /* name of the output projection ("to_out.0", mostly); NULL: there is none */
  int out_unbiased;   /* whether that has no bias */
  int qkv_bias;       /* whether to_qkv, or to_q and to_kv, have one */
  tsr_norm norm;
  int split;
  tsr_value context;  /* [B,M,C], or TSR_NO_VALUE; read when `split` is set */
  tsr_attend *attend; /* NULL: as they do; not with `split` */
  void *user;         /* for `attend` */
} tsr_mha;
tsr_value tsr_nn_mha(tsr_builder *b, tsr_value x, const tsr_mha *mha, tsr_value residual);
/* vit-pytorch leaves the projection out where one head is as wide as the tokens: NULL then, else "to_out.0". */
const char *tsr_nn_to_out(int heads, int head_dim, int dim);

/* Pre-norm layers of vit-pytorch's Transformer: x += mha(x) below layers.i.0, then x += feed_forward(x) below layers.i.1, both counted from `first`.
 * Taps are "<prefix>blocks.i.attn" and "<prefix>blocks.i". */
typedef struct tsr_transformer {
  int depth, heads, head_dim, mlp_dim;
  tsr_norm norm;      /* of both halves of a layer */
  const char *to_out; /* as in tsr_mha, and so are the next three */
  int out_unbiased, qkv_bias, split;
  const char *last; /* as in tsr_mlp, and so are the next three */
  int activation, mlp_unbiased, bare;
  int first; /* what a layer has before these two is the architecture's own */
  tsr_meaning tokens;
  const char *prefix; /* NULL: none */
  tsr_attend *attend; /* as in tsr_mha */
  void *user;
} tsr_transformer;
tsr_value tsr_nn_transformer_layer(tsr_builder *b, tsr_value x, const tsr_transformer *t, int layer);
/* All of them, and nothing behind the last. */
tsr_value tsr_nn_transformer(tsr_builder *b, tsr_value x, const tsr_transformer *t);

/* vit-pytorch's to_patch_embedding: patches [B,N,P*P*C] -> LayerNorm, Linear, LayerNorm (1, 2, 3) -> [B,N,dim]. */
tsr_value tsr_nn_patch_embed(tsr_builder *b, tsr_value image, int patch_h, int patch_w, int dim);

/* The same for video [B,C,F,H,W]: patches of patch_f frames, [B,N,patch_f*P*P*C] in einops' order (pf p1 p2 c), a frame's behind those of the
 * frame before. */
tsr_value tsr_nn_video_patch_embed(tsr_builder *b, tsr_value video, int patch_f, int patch_h, int patch_w, int dim);
/* The same from patches [B,N,P*P*C], below the current scope. */
tsr_value tsr_nn_embed_patches(tsr_builder *b, tsr_value patches, int dim);

/* LayerNorm and Linear, name.0 and name.1: the head of most of vit-pytorch's models. */
tsr_value tsr_nn_norm_linear(tsr_builder *b, const char *name, tsr_value x, int out);

/* A layer's columns, apart and head by head: x [B,N,parts*H*D] -> [B,H,N,D], the part `index`. */
tsr_value tsr_nn_split_heads(tsr_builder *b, tsr_value x, int parts, int index, int heads);
/* [B,H,N,D] -> [B,N,H*D] */
tsr_value tsr_nn_merge_heads(tsr_builder *b, tsr_value x);

/* `token` [..,C], of C numbers in all, put before each picture's tokens: x [B,N,C] -> [B,1+N,C]. */
tsr_value tsr_nn_prepend(tsr_builder *b, tsr_value token, tsr_value x);
/* Token `index` of each picture: [B,N,C] -> [B,C]. */
tsr_value tsr_nn_token(tsr_builder *b, tsr_value x, int index);

#endif
