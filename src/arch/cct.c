/* CCT: "Escaping the Big Data Paradigm with Compact Transformers", Hassani et al., 2021, arXiv 2104.05704.
 * Reference: vit-pytorch 1.26.11, module cct, class CCT and functions cct_2 ... cct_16.
 *
 *   x = MaxPool(ReLU(Conv(x)))                  n_conv_layers times: overlapping tokens instead of patches
 *   z = tokens(x) + E_pos                       learnable, sine, or none
 *   z = z + MSA(LN(z));  z = LN(z);  z = z + MLP(z)          L times
 *   z = LN(z);  y = Linear(softmax(g(z))^T z)   sequence pooling: g is a Linear to one number a token
 *
 * Traps: norm1 is applied to the residual stream itself, so the MLP's shortcut carries normalised values; all hidden convolution
 * layers have 64 planes whatever the width; convolutions have no bias, qkv has none either; the sine table is stored in the
 * checkpoint, so it is read like a learnable one. seq_pool false (a class token instead) is an option of the reference's
 * TransformerClassifier that its CCT class does not pass on; it is accepted here. With positional_embedding 'none' other picture
 * sizes run too, where the reference stops with an AttributeError on smaller ones. */
#include <math.h>
#include <string.h>

#include "../build.h"

typedef struct cct_config {
  int image[2], dim, channels, conv_layers, kernel, stride, padding, pool_kernel, pool_stride, pool_padding;
  int layers, heads, mlp_dim, num_classes, has_position, seq_pool;
} cct_config;

enum { HIDDEN_PLANES = 64 };

static cct_config read_config(tsr_builder *b) {
  static const char *const positions[] = {"sine", "learnable", "none", NULL};
  static const char *const training[] = {"dropout_rate", "attention_dropout", "stochastic_depth_rate", NULL};
  cct_config c;
  /* The functions cct_2 ... cct_16 have other defaults than the class. */
  int is_preset = b->config.preset != NULL;
  tsr_config_pair(b, "img_size", 224, 1, TSR_MAX_SIDE, c.image);
  c.dim = tsr_config_int(b, "embedding_dim", 768, 1, TSR_MAX_DIM);
  c.channels = tsr_config_int(b, "n_input_channels", 3, 1, 64);
  c.conv_layers = tsr_config_int(b, "n_conv_layers", 1, 1, 16);
  c.kernel = tsr_config_int(b, "kernel_size", is_preset ? 3 : 7, 1, 63);
  int half = c.kernel / 2;
  c.stride = tsr_config_int(b, "stride", is_preset ? (half > 2 ? half - 1 : 1) : 2, 1, 64);
  c.padding = tsr_config_int(b, "padding", is_preset ? (half > 1 ? half : 1) : 3, 0, 64);
  c.pool_kernel = tsr_config_int(b, "pooling_kernel_size", 3, 1, 63);
  c.pool_stride = tsr_config_int(b, "pooling_stride", 2, 1, 64);
  c.pool_padding = tsr_config_int(b, "pooling_padding", 1, 0, 31);
  c.layers = tsr_config_int(b, "num_layers", 12, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "num_heads", 12, 1, TSR_MAX_HEADS);
  c.mlp_dim = (int)(c.dim * tsr_config_number(b, "mlp_ratio", 4, 0.01, 64));
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 1, TSR_MAX_CLASSES);
  c.has_position = tsr_config_choice(b, "positional_embedding", positions, 0) != 2;
  c.seq_pool = tsr_config_bool(b, "seq_pool", 1);
  tsr_settings_ignore(b, &b->config, training);
  if (c.dim % c.heads) tsr_fail(b, TSR_ERR_CONFIG, "embedding_dim %d is not a multiple of num_heads %d", c.dim, c.heads);
  return c;
}

/* [B,C,H,W] -> [B,H',W',dim] */
static tsr_value tokenizer(tsr_builder *b, tsr_value image, const cct_config *c) {
  tsr_value x = tsr_nn_channels_last(b, image);
  tsr_enter(b, "tokenizer");
  for (int i = 0; i < c->conv_layers; i++) {
    tsr_enter(b, "conv_layers.%d", i);
    x = tsr_nn_conv2d(b, "0", x, (tsr_conv){.out = i + 1 < c->conv_layers ? HIDDEN_PLANES : c->dim, .kernel_h = c->kernel,
                                            .kernel_w = c->kernel, .stride_h = c->stride, .stride_w = c->stride,
                                            .pad_h = c->padding, .pad_w = c->padding, .activation = TSR_ACT_RELU});
    x = tsr_nn_max_pool2d(b, x, c->pool_kernel, c->pool_stride, c->pool_padding);
    tsr_leave(b);
    tsr_tap_add(b, x, (tsr_meaning){"features", tsr_dim(b, x, 1), tsr_dim(b, x, 2), 0}, "conv.%d", i);
  }
  tsr_leave(b);
  return x;
}

static tsr_value block(tsr_builder *b, tsr_value x, const cct_config *c, tsr_meaning tokens, int layer) {
  int head_dim = c->dim / c->heads;
  tsr_enter(b, "blocks.%d", layer);
  tsr_value y = tsr_nn_layer_norm(b, "pre_norm", x);
  tsr_enter(b, "self_attn");
  y = tsr_nn_linear(b, "qkv", y, 3 * c->dim, TSR_NO_BIAS);
  y = tsr_nn_attention_qkv(b, y, (tsr_attention){.heads = c->heads, .head_dim = head_dim, .scale = 1 / sqrtf((float)head_dim),
                                                 .bias = TSR_NO_VALUE, .meaning = tokens, .tap = "blocks.%d.attn",
                                                 .index = layer});
  x = tsr_nn_linear_add(b, "proj", y, c->dim, TSR_BIAS, x);
  tsr_leave(b);
  x = tsr_nn_layer_norm(b, "norm1", x);
  y = tsr_nn_linear_act(b, "linear1", x, c->mlp_dim, TSR_BIAS, TSR_ACT_GELU);
  x = tsr_nn_linear_add(b, "linear2", y, c->dim, TSR_BIAS, x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "blocks.%d", layer);
  return x;
}

/* softmax(g(z))^T z, or the class token: [B,N,C] -> [B,C] */
static tsr_value pool(tsr_builder *b, tsr_value x, const cct_config *c, tsr_meaning tokens) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1);
  if (!c->seq_pool) return tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 0, 1), tsr_shape_of(2, batch, c->dim));
  tsr_value weights = tsr_nn_linear(b, "attention_pool", x, 1, TSR_BIAS); /* [B,N,1] */
  weights = tsr_nn_softmax(b, tsr_nn_reshape(b, weights, tsr_shape_of(2, batch, n)), 1);
  tokens.kind = "pool_weights";
  tsr_tap_add(b, weights, tokens, "pool.weights");
  return tsr_nn_weighted_sum(b, weights, x);
}

static tsr_value build(tsr_builder *b) {
  cct_config c = read_config(b);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  if (!tsr_failed(b) && (tsr_dim(b, image, 2) != c.image[0] || tsr_dim(b, image, 3) != c.image[1]) && c.has_position)
    return tsr_fail(b, TSR_ERR_SHAPE, "a picture of %d x %d does not fit the position table; this model takes %d x %d",
                    tsr_dim(b, image, 2), tsr_dim(b, image, 3), c.image[0], c.image[1]);
  tsr_value x = tokenizer(b, image, &c);
  int batch = tsr_dim(b, x, 0), h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2);
  tsr_meaning tokens = {"tokens", h, w, 0};
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, batch, h * w, c.dim)); /* [B,N,C] */
  tsr_tap_add(b, x, tokens, "patch_embed");

  tsr_enter(b, "classifier");
  if (!c.seq_pool) {
    tsr_value cls = tsr_weight_vector(b, "class_emb", tsr_shape_of(3, 1, 1, c.dim));
    cls = tsr_nn_expand(b, cls, tsr_shape_of(3, batch, 1, c.dim));
    x = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, x});
    tokens.prefix_tokens = 1;
  }
  if (c.has_position) {
    tsr_value position = tsr_weight_vector(b, "positional_emb", tsr_shape_of(3, 1, tsr_dim(b, x, 1), c.dim));
    tsr_meaning table = tokens;
    table.kind = "position";
    tsr_tap_add(b, tsr_nn_reshape(b, position, tsr_shape_of(2, tsr_dim(b, x, 1), c.dim)), table, "pos_embedding");
    x = tsr_nn_add(b, x, position);
  }
  for (int i = 0; i < c.layers; i++) x = block(b, x, &c, tokens, i);
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_tap_add(b, x, tokens, "tokens");
  x = pool(b, x, &c, tokens);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "fc", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

#define SIZE(layers, heads, ratio, dim)                                                                   \
  "{\"num_layers\":" layers ",\"num_heads\":" heads ",\"mlp_ratio\":" ratio ",\"embedding_dim\":" dim "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"img_size\":16,\"n_conv_layers\":2,\"num_layers\":2,\"num_heads\":2,\"mlp_ratio\":1,\"embedding_dim\":32,"
             "\"num_classes\":10,\"positional_embedding\":\"learnable\"}"},
    {"cct_2", SIZE("2", "2", "1", "128")},
    {"cct_4", SIZE("4", "2", "1", "128")},
    {"cct_6", SIZE("6", "4", "2", "256")},
    {"cct_7", SIZE("7", "4", "2", "256")},
    {"cct_8", SIZE("8", "4", "2", "256")},
    {"cct_14", SIZE("14", "6", "3", "384")},
    {"cct_16", SIZE("16", "6", "3", "384")},
    {NULL, NULL}};

const tsr_arch tsr_arch_cct = {
    .name = "cct",
    .title = "Compact Convolutional Transformer",
    .paper = "Hassani et al. 2021, arXiv 2104.05704",
    .reference = "vit-pytorch 1.26.11, cct.CCT",
    .presets = presets,
    .build = build,
};
