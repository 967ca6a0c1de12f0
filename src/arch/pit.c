/* PiT: "Rethinking Spatial Dimensions of Vision Transformers" (Heo et al., 2021, arXiv 2103.16302), a ViT that pools
 * its tokens between stages.
 * Reference: vit-pytorch 1.26.11, module pit, class PiT.
 *
 *   z = [cls; Linear(overlapping patches)] + E_pos       patches P, half a patch apart
 *   for each stage: depth_s pre-norm layers;  then, but for the last,
 *     cls = Linear(cls);  map = Conv1(DW(map))           DW: depthwise 3x3 with stride 2, two kernels a channel
 *   y = Linear(LN(cls))
 *
 * Traps:
 * - The width doubles with each stage; heads and mlp_dim are as given and do not grow by themselves.
 * - Patches come from Unfold, so the matrix has channels outside of pixels.
 * - There is no norm between the layers and the pooling. */
#include "arch.h"

enum { MOST = 8 };

typedef struct pit_config {
  int image, patch, num_classes, dim, stages, depth[MOST], heads[MOST], mlp_dim, dim_head, channels;
} pit_config;

static pit_config read_config(tsr_builder *b) {
  static const char *const training[] = {"dropout", "emb_dropout", NULL};
  pit_config c;
  c.image = tsr_config_int(b, "image_size", TSR_REQUIRED, 2, TSR_MAX_SIDE);
  c.patch = tsr_config_int(b, "patch_size", TSR_REQUIRED, 2, TSR_MAX_SIDE);
  tsr_config_check_patches(b, (int[]){c.image, c.image}, (int[]){c.patch, c.patch});
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, 4096);
  c.stages = tsr_config_list(b, "depth", NULL, 0, TSR_MAX_DEPTH, 1, MOST, c.depth);
  tsr_config_list(b, "heads", NULL, 1, TSR_MAX_HEADS, c.stages, c.stages, c.heads);
  c.mlp_dim = tsr_config_int(b, "mlp_dim", TSR_REQUIRED, 1, TSR_MAX_DIM * 4);
  c.dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

/* Unfold and Linear, which are a convolution whose matrix is stored flat. */
static tsr_value patches(tsr_builder *b, tsr_value map, const pit_config *c) {
  int taps = c->patch * c->patch;
  tsr_enter(b, "to_patch_embedding.2");
  tsr_value w = tsr_weight_matrix(b, "weight", tsr_shape_of(2, c->dim, c->channels * taps),
                                  (tsr_matrix_layout){1, c->dim, c->channels, taps});
  tsr_value bias = tsr_weight_vector(b, "bias", tsr_shape_of(1, c->dim));
  tsr_attrs attrs = {.conv2d = {.kernel_h = c->patch,
                                .kernel_w = c->patch,
                                .stride_h = c->patch / 2,
                                .stride_w = c->patch / 2,
                                .has_bias = 1}};
  map = tsr_failed(b) ? TSR_NO_VALUE : tsr_node_add(b, TSR_OP_conv2d, (tsr_value[]){map, w, bias}, 3, &attrs);
  tsr_leave(b);
  return map;
}

/* Tokens [B,1+side^2,C] -> [B,1+side'^2,2C]; *side becomes side'. */
static tsr_value pool(tsr_builder *b, tsr_value x, int *side) {
  int batch = tsr_dim(b, x, 0), dim = tsr_dim(b, x, 2), n = *side * *side;
  tsr_value cls = tsr_nn_linear(b, "cls_ff", tsr_nn_slice(b, x, 1, 0, 1), 2 * dim, TSR_BIAS);
  tsr_value map = tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 1, 1 + n), tsr_shape_of(4, batch, n, dim, 1));
  map = tsr_nn_expand(b, map, tsr_shape_of(4, batch, n, dim, 2)); /* each channel twice, for its two kernels */
  map = tsr_nn_reshape(b, map, tsr_shape_of(4, batch, *side, *side, 2 * dim));
  tsr_enter(b, "downsample.net");
  map = tsr_nn_depthwise_conv2d(
      b, "0", map,
      (tsr_conv){.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1, .bias = TSR_BIAS});
  map = tsr_nn_pointwise(b, "1", map, 2 * dim, TSR_BIAS);
  tsr_leave(b);
  *side = tsr_dim(b, map, 1);
  return tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, tsr_nn_tokens(b, map)});
}

static tsr_value stage(tsr_builder *b, tsr_value x, const pit_config *c, int s, int side) {
  char prefix[32];
  tsr_print(prefix, sizeof prefix, "stages.%d.", s);
  int dim = tsr_dim(b, x, 2);
  tsr_enter(b, "layers.%d", 2 * s);
  x = tsr_nn_transformer(b, x,
                         &(tsr_transformer){.depth = c->depth[s],
                                            .heads = c->heads[s],
                                            .head_dim = c->dim_head,
                                            .mlp_dim = c->mlp_dim,
                                            .to_out = tsr_nn_to_out(c->heads[s], c->dim_head, dim),
                                            .last = "4",
                                            .tokens = {"tokens", side, side, 1},
                                            .prefix = prefix});
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  pit_config c = read_config(b);
  tsr_value image = tsr_input_image_of_size(b, c.channels, c.image, c.image);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_value x = patches(b, tsr_nn_channels_last(b, image), &c);
  int side = tsr_dim(b, x, 1);
  x = tsr_nn_tokens(b, x);
  tsr_tap_add(b, x, (tsr_meaning){"tokens", side, side, 0}, "patch_embed");
  x = tsr_nn_prepend(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c.dim)), x);
  tsr_value position = tsr_weight_vector(b, "pos_embedding", tsr_shape_of(3, 1, side * side + 1, c.dim));
  tsr_tap_add(b, tsr_nn_reshape(b, position, tsr_shape_of(2, side * side + 1, c.dim)),
              (tsr_meaning){"position", side, side, 1}, "pos_embedding");
  x = tsr_nn_add(b, x, position);
  for (int s = 0; s < c.stages; s++) {
    x = stage(b, x, &c, s, side);
    if (s + 1 == c.stages) break;
    tsr_enter(b, "layers.%d", 2 * s + 1);
    x = pool(b, x, &side);
    tsr_leave(b);
  }
  tsr_enter(b, "mlp_head");
  x = tsr_nn_layer_norm(b, "0", tsr_nn_token(b, x, 0));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  x = tsr_nn_linear(b, "1", x, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

#define SIZE(patch, dim, depth, heads, head, mlp)                                                      \
  "{\"image_size\":224,\"patch_size\":" patch ",\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth \
  ",\"heads\":" heads ",\"dim_head\":" head ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":[1,1],\"heads\":2,\"mlp_dim\":32,"
     "\"dim_head\":8}"},
    {"pit_document", SIZE("14", "256", "[3,3,3]", "16", "64", "2048")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_pit = {
    .name = "pit",
    .title = "Pooling-based Vision Transformer",
    .paper = "Heo et al. 2021, arXiv 2103.16302",
    .reference = "vit-pytorch 1.26.11, pit.PiT",
    .presets = presets,
    .build = build,
};
