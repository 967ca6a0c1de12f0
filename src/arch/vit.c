/* ViT: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", Dosovitskiy et al., 2020, arXiv 2010.11929.
 * Reference: vit-pytorch 1.26.11, module vit, class ViT.
 *
 *   z0 = [x_class; x_p^1 E; ...; x_p^N E] + E_pos          patches through LayerNorm, Linear, LayerNorm
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'             L times, pre-norm
 *   y  = Linear(LN(z)[class]), or of the mean over tokens with pool 'mean'
 *
 * Traps: qkv without bias; with heads 1 and dim_head = dim there is no output projection; the head has no norm of its
 * own (the transformer ends with one); pool 'mean' has no class token at all; with fewer patches than the config's the FIRST
 * rows of the position table are used, without interpolation; num_classes 0 gives all tokens. */
#include <math.h>

#include "../build.h"

typedef struct vit_config {
  int image[2], patch[2], num_classes, dim, depth, heads, mlp_dim, mean_pool, channels, dim_head;
} vit_config;

static vit_config read_config(tsr_builder *b) {
  static const char *const pools[] = {"cls", "mean", NULL};
  static const char *const training[] = {"dropout", "emb_dropout", NULL};
  vit_config c;
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.patch);
  tsr_config_check_patches(b, c.image, c.patch);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 0, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "heads", TSR_REQUIRED, 1, TSR_MAX_HEADS);
  c.mlp_dim = tsr_config_int(b, "mlp_dim", TSR_REQUIRED, 1, TSR_MAX_DIM * 4);
  c.mean_pool = tsr_config_choice(b, "pool", pools, 0);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  c.dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

/* x + MSA(LN(x)), weights norm, to_qkv, to_out.0. */
static tsr_value attention(tsr_builder *b, tsr_value x, const vit_config *c, tsr_meaning tokens, int layer) {
  int width = c->heads * c->dim_head, project = !(c->heads == 1 && c->dim_head == c->dim);
  tsr_value y = tsr_nn_layer_norm(b, "norm", x);
  y = tsr_nn_linear(b, "to_qkv", y, 3 * width, TSR_NO_BIAS);
  y = tsr_nn_attention_qkv(b, y, (tsr_attention){.heads = c->heads, .head_dim = c->dim_head,
                                                 .scale = 1 / sqrtf((float)c->dim_head), .bias = TSR_NO_VALUE,
                                                 .meaning = tokens, .tap = "blocks.%d.attn", .index = layer});
  return project ? tsr_nn_linear_add(b, "to_out.0", y, c->dim, TSR_BIAS, x) : tsr_nn_add(b, y, x);
}

static tsr_value transformer(tsr_builder *b, tsr_value x, const vit_config *c, tsr_meaning tokens) {
  tsr_enter(b, "transformer");
  for (int i = 0; i < c->depth; i++) {
    tsr_enter(b, "layers.%d.0", i);
    x = attention(b, x, c, tokens, i);
    tsr_leave(b);
    tsr_enter(b, "layers.%d.1", i);
    x = tsr_nn_feed_forward_add(b, x, c->mlp_dim, "4");
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  vit_config c = read_config(b);
  int prefix = !c.mean_pool;
  int patches = c.image[0] / c.patch[0] * (c.image[1] / c.patch[1]);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  int batch = tsr_dim(b, image, 0);
  tsr_meaning grid = {"tokens", tsr_dim(b, image, 2) / c.patch[0], tsr_dim(b, image, 3) / c.patch[1], 0};

  tsr_value x = tsr_nn_patch_embed(b, image, c.patch[0], c.patch[1], c.dim); /* [B,N,C] */
  tsr_tap_add(b, x, grid, "patch_embed");
  grid.prefix_tokens = prefix;
  if (prefix) {
    tsr_value cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(2, 1, c.dim));
    cls = tsr_nn_reshape(b, cls, tsr_shape_of(3, 1, 1, c.dim));
    cls = tsr_nn_expand(b, cls, tsr_shape_of(3, batch, 1, c.dim));
    x = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, x}); /* [B,1+N,C] */
  } else {
    tsr_weight_vector(b, "cls_token", tsr_shape_of(2, 0, c.dim)); /* the reference keeps an empty one */
  }
  tsr_value position = tsr_weight_vector(b, "pos_embedding", tsr_shape_of(2, patches + prefix, c.dim));
  int tokens = tsr_dim(b, x, 1);
  if (tokens > patches + prefix)
    return tsr_fail(b, TSR_ERR_SHAPE, "a picture of %d x %d gives %d tokens; this model takes at most %d", tsr_dim(b, image, 2),
                    tsr_dim(b, image, 3), tokens, patches + prefix);
  position = tsr_nn_slice(b, position, 0, 0, tokens);
  tsr_meaning table = grid;
  table.kind = "position";
  tsr_tap_add(b, position, table, "pos_embedding");
  x = tsr_nn_add(b, x, position);

  x = transformer(b, x, &c, grid);
  tsr_tap_add(b, x, grid, "tokens");
  if (!c.num_classes) {
    tsr_output_means(b, grid);
    return x;
  }
  x = c.mean_pool ? tsr_nn_mean(b, x, 1) : tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, 0, 1), tsr_shape_of(2, batch, c.dim));
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "mlp_head", x, c.num_classes, TSR_BIAS);
}

/* Named sizes with dim_head 64, so that heads * 64 = dim. */
#define SIZE(dim, depth, heads, mlp)                                                                                     \
  "{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":" dim ",\"depth\":" depth ",\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"dim\":32,\"depth\":2,\"heads\":2,\"mlp_dim\":64,\"dim_head\":16}"},
    {"vit_ti_16", SIZE("192", "12", "3", "768")},
    {"vit_s_16", SIZE("384", "12", "6", "1536")},
    {"vit_b_16", SIZE("768", "12", "12", "3072")},
    {"vit_l_16", SIZE("1024", "24", "16", "4096")},
    {NULL, NULL}};

const tsr_arch tsr_arch_vit = {
    .name = "vit",
    .title = "Vision Transformer",
    .paper = "Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "vit-pytorch 1.26.11, vit.ViT",
    .presets = presets,
    .build = build,
};
