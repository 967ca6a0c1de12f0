/* What CCT and its form for video share; see cct.h. */
#include "cct.h"
#include "graph/settings.h"
#include "nn/map.h"

#include <math.h>

enum { HIDDEN_PLANES = 64 };

tsr_cct tsr_cct_config(tsr_builder *b) {
  static const char *const positions[] = {"sine", "learnable", "none", NULL};
  static const char *const training[] = {"dropout_rate", "attention_dropout", "stochastic_depth_rate", NULL};
  tsr_cct c = {0};
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
  c.position = tsr_config_choice(b, "positional_embedding", positions, TSR_CCT_SINE);
  c.seq_pool = tsr_config_bool(b, "seq_pool", 1);
  tsr_settings_ignore(b, &b->config, training);
  if (c.dim % c.heads) tsr_fail(b, TSR_ERR_CONFIG, "embedding_dim %d is not a multiple of num_heads %d", c.dim, c.heads);
  return c;
}

/* [B,H,W,C] or [B,F,H,W,C]; the largest of each window, which for video is that of its frames' largest. */
static tsr_value max_pool(tsr_builder *b, tsr_value x, const tsr_cct *c) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE || !c->frames) return tsr_nn_max_pool2d(b, x, c->pool_kernel, c->pool_stride, c->pool_padding);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, s.dims[0] * s.dims[1], s.dims[2], s.dims[3], s.dims[4]));
  x = tsr_nn_max_pool2d(b, x, c->pool_kernel, c->pool_stride, c->pool_padding);
  int h = tsr_dim(b, x, 1), w = tsr_dim(b, x, 2);
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, s.dims[0], s.dims[1], h * w, s.dims[4]));
  x = tsr_nn_max_pool_rows(b, x, c->frame_pool_kernel, c->frame_pool_stride, c->frame_pool_padding);
  return tsr_nn_reshape(b, x, tsr_shape_of(5, s.dims[0], tsr_dim(b, x, 1), h, w, s.dims[4]));
}

/* The map's grid. */
static tsr_meaning grid_of(tsr_builder *b, tsr_value x, const char *kind) {
  return (tsr_meaning){kind, tsr_dim(b, x, -3), tsr_dim(b, x, -2), .grid_f = tsr_shape_at(b, x).ndim > 4 ? tsr_dim(b, x, 1) : 0};
}

/* [B,C,H,W] -> [B,H',W',dim], and with frames in front of rows. */
static tsr_value tokenizer(tsr_builder *b, tsr_value x, const tsr_cct *c) {
  x = c->frames ? tsr_nn_permute(b, x, (int[]){0, 2, 3, 4, 1}) : tsr_nn_channels_last(b, x);
  tsr_enter(b, "tokenizer");
  for (int i = 0; i < c->conv_layers; i++) {
    tsr_enter(b, "conv_layers.%d", i);
    x = tsr_nn_conv2d(b, "0", x, (tsr_conv){.out = i + 1 < c->conv_layers ? HIDDEN_PLANES : c->dim, .kernel_h = c->kernel,
                                            .kernel_w = c->kernel, .stride_h = c->stride, .stride_w = c->stride,
                                            .pad_h = c->padding, .pad_w = c->padding, .activation = TSR_ACT_RELU,
                                            .kernel_f = c->frame_kernel, .stride_f = c->frame_stride, .pad_f = c->frame_padding});
    x = max_pool(b, x, c);
    tsr_leave(b);
    tsr_tap_add(b, x, grid_of(b, x, "features"), "conv.%d", i);
  }
  tsr_leave(b);
  return x;
}

static tsr_value block(tsr_builder *b, tsr_value x, const tsr_cct *c, tsr_meaning tokens, int layer) {
  int head_dim = c->dim / c->heads;
  tsr_enter(b, "blocks.%d", layer);
  tsr_value y = tsr_nn_layer_norm(b, "pre_norm", x);
  tsr_enter(b, "self_attn");
  y = tsr_nn_linear(b, "qkv", y, 3 * c->dim, TSR_NO_BIAS);
  y = tsr_nn_attention_qkv(b, y, (tsr_attention){.heads = c->heads, .head_dim = head_dim, .scale = 1 / sqrtf((float)head_dim),
                                                 .meaning = tokens, .tap = "blocks.%d.attn", .index = layer});
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
static tsr_value pool(tsr_builder *b, tsr_value x, const tsr_cct *c, tsr_meaning tokens) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1);
  if (!c->seq_pool) return tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 0, 1), tsr_shape_of(2, batch, c->dim));
  tsr_value weights = tsr_nn_linear(b, "attention_pool", x, 1, TSR_BIAS); /* [B,N,1] */
  weights = tsr_nn_softmax(b, tsr_nn_reshape(b, weights, tsr_shape_of(2, batch, n)), 1);
  tokens.kind = "pool_weights";
  tsr_tap_add(b, weights, tokens, "pool.weights");
  return tsr_nn_weighted_sum(b, weights, x);
}

/* The reference keeps the sine table of video as a buffer, that of pictures as a parameter. */
static tsr_value add_position(tsr_builder *b, tsr_value x, const tsr_cct *c, tsr_meaning tokens) {
  tsr_shape shape = tsr_shape_of(3, 1, tsr_dim(b, x, 1), c->dim);
  tsr_value position = c->frames && c->position == TSR_CCT_SINE ? tsr_weight_buffer(b, "positional_emb", shape)
                                                                : tsr_weight_vector(b, "positional_emb", shape);
  tokens.kind = "position";
  tsr_tap_add(b, tsr_nn_reshape(b, position, tsr_shape_of(2, tsr_dim(b, x, 1), c->dim)), tokens, "pos_embedding");
  return tsr_nn_add(b, x, position);
}

tsr_value tsr_cct_logits(tsr_builder *b, tsr_value input, const tsr_cct *c) {
  tsr_value x = tokenizer(b, input, c);
  tsr_meaning tokens = grid_of(b, x, "tokens");
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, tsr_dim(b, x, 0), (c->frames ? tokens.grid_f : 1) * tokens.grid_h * tokens.grid_w, c->dim)); /* [B,N,C] */
  tsr_tap_add(b, x, tokens, "patch_embed");
  tsr_enter(b, "classifier");
  if (!c->seq_pool) {
    x = tsr_nn_prepend(b, tsr_weight_vector(b, "class_emb", tsr_shape_of(3, 1, 1, c->dim)), x);
    tokens.prefix_tokens = 1;
  }
  if (c->position != TSR_CCT_NONE) x = add_position(b, x, c, tokens);
  for (int i = 0; i < c->layers; i++) x = block(b, x, c, tokens, i);
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_tap_add(b, x, tokens, "tokens");
  x = pool(b, x, c, tokens);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "fc", x, c->num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}
