/* Layers that three or more papers have in common, with their weights named as PyTorch modules name them. Every
 * function adds nodes to the builder's graph and returns a value. On an invalid value (TSR_NO_VALUE) it returns an
 * invalid value. Weights are named below the current scope; `name` "" is the scope itself. Shapes: B batch, N tokens,
 * C channels, H heads, D head width, P patch. */
#ifndef TSR_NN_LAYERS_H
#define TSR_NN_LAYERS_H

#include "graph/graph.h"
#include "ops.h"

enum { TSR_NO_BIAS = 0, TSR_BIAS = 1 };

/* torch.nn.Linear(C, out): x [..,C] -> [..,out]; weights name.weight [out,C], name.bias [out]. */
tsr_value tsr_nn_linear(tsr_builder *b, const char *name, tsr_value x, int out, int bias);
/* The head of a model: x [B,C] is tapped as "embedding"; returns the logits [B,num_classes] of the linear layer `name`,
 * or, if num_classes is 0, x itself, which is then what the model gives. */
tsr_value tsr_nn_classify(tsr_builder *b, const char *name, tsr_value x, int num_classes);
/* activation(linear(x)), and linear(x) + residual, each as one node. */
tsr_value tsr_nn_linear_act(tsr_builder *b, const char *name, tsr_value x, int out, int bias, int activation);
tsr_value tsr_nn_linear_add(tsr_builder *b, const char *name, tsr_value x, int out, int bias, tsr_value residual);

/* gamma * linear(x) + residual as one node, with a bias: LayerScale. `gamma` is the name of a weight [out]. */
tsr_value tsr_nn_linear_scale_add(tsr_builder *b, const char *name, const char *gamma, tsr_value x, tsr_value residual);

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

/* LayerNorm with eps 1e-5 whose scale and offset [C] are given as values. */
tsr_value tsr_nn_layer_norm_by(tsr_builder *b, tsr_value x, tsr_value gamma, tsr_value beta);

/* torch.nn.Conv2d: x [B,H,W,C] -> [B,H',W',out]; weights name.weight [out,C,kernel_h,kernel_w], name.bias [out]. With
 * kernel_f it is torch.nn.Conv3d: x [B,F,H,W,C] -> [B,F',H',W',out]; name.weight [out,C,kernel_f,kernel_h,kernel_w]. */
typedef struct tsr_conv {
  int out, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, bias, activation;
  int kernel_f, stride_f, pad_f;
  float norm_eps; /* eps of the BatchNorm that follows (map.h); 0: 1e-5 */
} tsr_conv;
tsr_value tsr_nn_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv);
/* A square kernel of `side` pixels with padding side / 2 and no bias, the usual one in front of a BatchNorm. */
tsr_conv tsr_nn_square(int side, int out, int stride, int activation);

/* torch.nn.Conv2d with groups = C = out: x [B,H,W,C] -> [B,H',W',C]; weights name.weight [C,1,kernel_h,kernel_w],
 * name.bias [C]. conv.out is not read. */
tsr_value tsr_nn_depthwise_conv2d(tsr_builder *b, const char *name, tsr_value x, tsr_conv conv);

/* Multi-head attention softmax(scale q k^T + bias) v: [B,N,H*D]. The probabilities [B,H,N,M] are offered as a tap. */
typedef struct tsr_attention {
  int heads, head_dim;
  int value_dim; /* width of a head of v and of the result; 0: head_dim */
  float scale;   /* factor of the scores */
  int self_mask; /* the score of a token with itself is replaced by self_value, after scaling */
  float self_value;
  tsr_value bias;      /* [1 or H, N, M] added after scaling, or TSR_NO_VALUE */
  tsr_meaning meaning; /* grid and prefix of the tokens */
  const char *tap;     /* name of the tap, a format with one %d for `index`; NULL: no tap */
  int index;
  const char *kind; /* of the tap; NULL: "attention" */
  int store;        /* the probabilities are output 1 of the node even if the tap is not wanted */
  int limited;      /* image b has keys[b] keys, `keys` being [B] */
  tsr_value keys;
  int has_scale; /* `scales` [1] replaces scale */
  tsr_value scales;
} tsr_attention;
/* qkv [B,N,3*H*D]: its columns are q, k and v. */
tsr_value tsr_nn_attention_qkv(tsr_builder *b, tsr_value qkv, tsr_attention attention);
/* q [B,N,H*D], k [B,M,H*D] and v [B,M,H*value_dim] as three values. */
tsr_value tsr_nn_attention(tsr_builder *b, tsr_value q, tsr_value k, tsr_value v, tsr_attention attention);
/* q is read from the first H*D columns of `q`; k and v from the columns of qkv behind its own first H*D. */
tsr_value tsr_nn_attention_of(tsr_builder *b, tsr_value q, tsr_value qkv, tsr_attention attention);
/* q and k are columns of `qk`, v of `v`: from offsets[0], [1] and [2] on. */
tsr_value tsr_nn_attention_at(tsr_builder *b, tsr_value qk, tsr_value v, const int offsets[3], tsr_attention attention);
/* q [B,N,H*D], and kv [B,M,2*H*D]: its columns are k and v. */
tsr_value tsr_nn_attention_kv(tsr_builder *b, tsr_value q, tsr_value kv, tsr_attention attention);

/* The usual attention: `heads` of `head_dim`, scale 1 / sqrt(head_dim), tap "blocks.<layer>.attn". */
tsr_attention tsr_nn_heads(int heads, int head_dim, tsr_meaning tokens, int layer);

/* Norm, Linear, activation, Linear, named as vit-pytorch's FeedForward names them (net.0, net.1, net.`last`), plus
 * `residual` unless that is TSR_NO_VALUE: x [..,C] -> [..,C]. */
typedef struct tsr_mlp {
  int hidden;
  const char *last; /* name of the second Linear, its index in the Sequential: "4" behind a Dropout, else "3" */
  tsr_norm norm;
  int activation; /* TSR_ACT_...; 0: GELU */
  int unbiased;   /* neither Linear has a bias */
  int bare;       /* the weights are 0, 1 and `last`, without "net." in front */
} tsr_mlp;
tsr_value tsr_nn_mlp(tsr_builder *b, tsr_value x, const tsr_mlp *mlp, tsr_value residual);
/* tsr_nn_mlp of LayerNorm and GELU; and the same bare. */
tsr_value tsr_nn_feed_forward(tsr_builder *b, tsr_value x, int hidden, const char *last, tsr_value residual);
tsr_value tsr_nn_bare_feed_forward(tsr_builder *b, tsr_value x, int hidden, const char *last, tsr_value residual);

/* RMSNorm of queries or keys without its factor sqrt(D): each head of x [B,N,H*D] becomes x / norm(x) * the weight
 * `gamma` [H,1,D]. */
tsr_value tsr_nn_norm_heads(tsr_builder *b, const char *gamma, tsr_value x, int heads, int head_dim);

/* A function in place of tsr_nn_attention_qkv: x [B,N,C] are the normed tokens, qkv [B,N,3*H*D] their projection. */
typedef tsr_value tsr_attend(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention attention, void *user);
/* A tsr_attend with RMSNorm of q and k: x / norm(x) * sqrt(D) * gamma, with q_norm.gamma and k_norm.gamma. Both sqrt(D)
 * are folded into the attention's scale. */
tsr_value tsr_nn_attend_normed(tsr_builder *b, tsr_value x, tsr_value qkv, tsr_attention attention, void *user);

/* Pre-norm multi-head attention with vit-pytorch's names: to_out(softmax(q k^T) v), plus `residual` unless that is
 * TSR_NO_VALUE, where q, k, v = to_qkv(norm(x)). With `split`: q = to_q(norm(x)) and k, v = to_kv([norm(x);
 * context]). */
typedef struct tsr_mha {
  tsr_attention attention;
  const char *to_out; /* name of the output projection, mostly "to_out.0"; NULL: there is none */
  int out_unbiased;   /* the output projection has no bias */
  int qkv_bias;       /* to_qkv, or to_q and to_kv, have a bias */
  tsr_norm norm;
  int split;
  tsr_value context;  /* [B,M,C] or TSR_NO_VALUE; only with `split` */
  tsr_attend *attend; /* NULL: tsr_nn_attention_qkv; not with `split` */
  void *user;         /* for `attend` */
} tsr_mha;
tsr_value tsr_nn_mha(tsr_builder *b, tsr_value x, const tsr_mha *mha, tsr_value residual);
/* NULL if there is one head as wide as the tokens, because vit-pytorch then has no output projection; else
 * "to_out.0". */
const char *tsr_nn_to_out(int heads, int head_dim, int dim);

/* The layers of vit-pytorch's Transformer: x += mha(x) below layers.i.<first>, then x += mlp(x) below layers.i.<first
 * + 1>. Taps "<prefix>blocks.i.attn" and "<prefix>blocks.i". */
typedef struct tsr_transformer {
  int depth, heads, head_dim, mlp_dim;
  tsr_norm norm;      /* of both halves of a layer */
  const char *to_out; /* as in tsr_mha, and so are the next three */
  int out_unbiased, qkv_bias, split;
  const char *last; /* as in tsr_mlp, and so are the next three */
  int activation, mlp_unbiased, bare;
  int first; /* index of the attention in layers.i; the architecture adds what comes before it */
  tsr_meaning tokens;
  const char *prefix; /* NULL: none */
  tsr_attend *attend; /* as in tsr_mha */
  void *user;
} tsr_transformer;
tsr_value tsr_nn_transformer_layer(tsr_builder *b, tsr_value x, const tsr_transformer *t, int layer);
/* All layers; without the norm that follows the last one. */
tsr_value tsr_nn_transformer(tsr_builder *b, tsr_value x, const tsr_transformer *t);

/* vit-pytorch's to_patch_embedding: image [B,C,H,W] -> patches [B,N,P*P*C] -> LayerNorm, Linear, LayerNorm (1, 2, 3) ->
 * [B,N,dim]. */
tsr_value tsr_nn_patch_embed(tsr_builder *b, tsr_value image, int patch_h, int patch_w, int dim);

/* torch.nn.Conv2d(C, dim, P, P) as timm's and transformers' patch embedding: image [B,C,H,W], whole patches ->
 * [B,N,dim]; weights name.weight [dim,C,patch_h,patch_w], name.bias. */
tsr_value tsr_nn_conv_patches(tsr_builder *b, const char *name, tsr_value image, const int patch[2], int dim, int bias);
/* The same for video [B,C,F,H,W]: patches of patch_f frames, [B,N,patch_f*P*P*C] in einops' order (pf p1 p2 c), frame
 * by frame. */
tsr_value tsr_nn_video_patch_embed(tsr_builder *b, tsr_value video, int patch_f, int patch_h, int patch_w, int dim);
/* The three layers 1, 2 and 3 below the current scope: patches [B,N,P*P*C] -> [B,N,dim]. */
tsr_value tsr_nn_embed_patches(tsr_builder *b, tsr_value patches, int dim);

/* LayerNorm name.0 and Linear name.1, the head of most of vit-pytorch's models: x [..,C] -> [..,out]. */
tsr_value tsr_nn_norm_linear(tsr_builder *b, const char *name, tsr_value x, int out);

/* Part `index` of the columns of x [B,N,parts*H*D], head by head: [B,H,N,D]. */
tsr_value tsr_nn_split_heads(tsr_builder *b, tsr_value x, int parts, int index, int heads);
/* [B,H,N,D] -> [B,N,H*D] */
tsr_value tsr_nn_merge_heads(tsr_builder *b, tsr_value x);

/* Puts `token`, which has C numbers, in front of the tokens of each image: x [B,N,C] -> [B,1+N,C]. */
tsr_value tsr_nn_prepend(tsr_builder *b, tsr_value token, tsr_value x);
/* Token `index` of each image: [B,N,C] -> [B,C]. */
tsr_value tsr_nn_token(tsr_builder *b, tsr_value x, int index);

#endif
