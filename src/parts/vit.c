/* What ViT and its variants share; see vit.h. */
#include <string.h>

#include "vit.h"
#include "graph/settings.h"
#include "base/elementary.h"

/* What images and video have in common. */
static void tsr_vit_config_common(tsr_builder *b, tsr_vit *c, int least_classes) {
  static const char *const training[] = {"dropout", "emb_dropout", NULL};
  c->num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, least_classes, TSR_MAX_CLASSES);
  c->dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  c->heads = tsr_config_int(b, "heads", TSR_REQUIRED, 1, TSR_MAX_HEADS);
  c->mlp_dim = tsr_config_int(b, "mlp_dim", TSR_REQUIRED, 1, TSR_MAX_DIM * 4);
  c->dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  tsr_settings_ignore(b, &b->config, training);
}

tsr_vit tsr_vit_config(tsr_builder *b, int least_classes) {
  tsr_vit c = {.channels = 3};
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.patch);
  tsr_config_check_patches(b, c.image, c.patch);
  tsr_vit_config_common(b, &c, least_classes);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  return c;
}

tsr_vit tsr_vit_config_video(tsr_builder *b) {
  tsr_vit c = {.channels = 3};
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "image_patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.patch);
  c.frames = tsr_config_int(b, "frames", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  c.frame_patch = tsr_config_int(b, "frame_patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  if (c.frames % c.frame_patch || c.image[0] % c.patch[0] || c.image[1] % c.patch[1])
    tsr_fail(b, TSR_ERR_CONFIG,
             "\"frames\" %d and \"image_size\" %d x %d must be whole numbers of \"frame_patch_size\" %d and "
             "\"image_patch_size\" %d x %d",
             c.frames, c.image[0], c.image[1], c.frame_patch, c.patch[0], c.patch[1]);
  tsr_vit_config_common(b, &c, 1);
  return c;
}

void tsr_vit_config_more(tsr_builder *b, tsr_vit *c) {
  static const char *const pools[] = {"cls", "mean", NULL};
  c->mean_pool = tsr_config_choice(b, "pool", pools, 0);
  c->channels = tsr_config_int(b, "channels", 3, 1, 64);
}

tsr_vit tsr_vit_config_efficient(tsr_builder *b, const char *dim_head) {
  tsr_vit c = {0};
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  c.patch[0] = c.patch[1] = tsr_config_int(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  tsr_config_check_patches(b, c.image, c.patch);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "heads", 8, 1, TSR_MAX_HEADS);
  c.dim_head = tsr_config_int(b, dim_head, 64, 1, TSR_MAX_DIM);
  tsr_vit_config_more(b, &c);
  return c;
}

tsr_meaning tsr_vit_grid(tsr_builder *b, tsr_value image, const tsr_vit *c) {
  return (tsr_meaning){"tokens", tsr_dim(b, image, -2) / c->patch[0], tsr_dim(b, image, -1) / c->patch[1],
                       .grid_f = c->frames ? tsr_dim(b, image, 2) / c->frame_patch : 0};
}

/* From row `first` of the table on. */
static tsr_value add_positions(tsr_builder *b, tsr_value x, tsr_shape table, int first, const tsr_vit *c,
                               tsr_meaning tokens) {
  int all = table.dims[table.ndim - 2], rows = all - first, used = tsr_dim(b, x, 1);
  tsr_value position = tsr_weight_vector(b, "pos_embedding", table);
  if (!tsr_failed(b) && used > rows && c->frames)
    return tsr_fail(b, TSR_ERR_SHAPE,
                    "%d frames of %d x %d give %d tokens; this model takes at most %d, as of %d frames of %d x %d",
                    tokens.grid_f * c->frame_patch, tokens.grid_h * c->patch[0], tokens.grid_w * c->patch[1], used,
                    rows, c->frames, c->image[0], c->image[1]);
  if (!tsr_failed(b) && used > rows)
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d gives %d tokens; this model takes at most %d",
                    tokens.grid_h * c->patch[0], tokens.grid_w * c->patch[1], used, rows);
  position = tsr_nn_slice(b, tsr_nn_reshape(b, position, tsr_shape_of(2, all, c->dim)), 0, first, first + used);
  tokens.kind = "position";
  tsr_tap_add(b, position, tokens, "%spos_embedding", c->prefix ? c->prefix : "");
  return tsr_nn_add(b, x, position);
}

tsr_value tsr_vit_add_sincos(tsr_builder *b, tsr_value x, tsr_meaning tokens) {
  int length[3] = {tokens.grid_w, tokens.grid_h, tokens.grid_f}, axes = tokens.grid_f ? 3 : 2;
  int n = tsr_dim(b, x, 1), dim = tsr_dim(b, x, 2), band = dim / (2 * axes);
  float *table;
  tsr_value position = tsr_constant(b, tsr_shape_of(2, n, dim), &table);
  if (table) memset(table, 0, (size_t)n * dim * sizeof *table);
  for (int axis = 0, step = 1; table && axis < axes; step *= length[axis++])
    for (int i = 0; i < band; i++) {
      float omega = 1.0f / (float)tsr_exp(9.210340371976184 * ((float)i / (float)(band - 1))); /* 10000^... */
      for (int k = 0; k < length[axis]; k++) {
        float sine = (float)tsr_sin((float)k * omega), cosine = (float)tsr_cos((float)k * omega);
        for (int t = k * step; t < n; t++) {
          float *at = table + t * dim + 2 * axis * band + i;
          at[0] = sine, at[band] = cosine;
          if (t % step == step - 1) t += (length[axis] - 1) * step; /* to the next stretch at k */
        }
      }
    }
  tokens.kind = "position";
  tsr_tap_add(b, position, tokens, "pos_embedding");
  return tsr_nn_add(b, x, position);
}

tsr_value tsr_vit_add_positions(tsr_builder *b, tsr_value x, tsr_shape table, const tsr_vit *c, tsr_meaning tokens) {
  return add_positions(b, x, table, 0, c, tokens);
}

int tsr_vit_patch_count(const tsr_vit *c) {
  return (c->frames ? c->frames / c->frame_patch : 1) * (c->image[0] / c->patch[0]) * (c->image[1] / c->patch[1]);
}

tsr_value tsr_vit_add_patch_positions(tsr_builder *b, tsr_value x, const tsr_vit *c, int class_row,
                                      tsr_meaning tokens) {
  int rows = tsr_vit_patch_count(c);
  tsr_shape table = class_row ? tsr_shape_of(3, 1, rows + 1, c->dim) : tsr_shape_of(2, rows, c->dim);
  return add_positions(b, x, table, class_row, c, tokens);
}

tsr_value tsr_vit_start(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning *tokens) {
  x = tsr_nn_prepend(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c->dim)), x);
  tokens->prefix_tokens = 1;
  return tsr_vit_add_positions(b, x, tsr_shape_of(3, 1, tsr_vit_patch_count(c) + 1, c->dim), c, *tokens);
}

tsr_value tsr_vit_embed(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  tsr_value image = c->frames ? tsr_input_video(b, c->channels, c->frames, c->image[0], c->image[1])
                              : tsr_input_image(b, c->channels, c->image[0], c->image[1]);
  *tokens = tsr_vit_grid(b, image, c);
  tsr_value x = c->frames ? tsr_nn_video_patch_embed(b, image, c->frame_patch, c->patch[0], c->patch[1], c->dim)
                          : tsr_nn_patch_embed(b, image, c->patch[0], c->patch[1], c->dim);
  tsr_tap_add(b, x, *tokens, "patch_embed");
  return x;
}

tsr_value tsr_vit_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  return tsr_vit_start(b, tsr_vit_embed(b, c, tokens), c, tokens);
}

tsr_value tsr_vit_patches(tsr_builder *b, const tsr_vit *c, int spare, tsr_meaning *tokens) {
  tsr_value x = tsr_vit_embed(b, c, tokens);
  return tsr_vit_add_positions(b, x, tsr_shape_of(3, 1, tsr_vit_patch_count(c) + spare, c->dim), c, *tokens);
}

tsr_value tsr_vit_own_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  int prefix = !c->mean_pool;
  tsr_value x = tsr_vit_embed(b, c, tokens);
  tsr_value cls =
      tsr_weight_vector(b, "cls_token", tsr_shape_of(2, prefix, c->dim)); /* the reference keeps an empty one */
  if (prefix) x = tsr_nn_prepend(b, cls, x);
  tokens->prefix_tokens = prefix;
  return tsr_vit_add_positions(b, x, tsr_shape_of(2, tsr_vit_patch_count(c) + prefix, c->dim), c, *tokens);
}

tsr_value tsr_vit_pool(tsr_builder *b, tsr_value x, const tsr_vit *c) {
  if (c->mean_pool) tsr_head_reads(b, TSR_READS_ALL);
  x = c->mean_pool ? tsr_nn_mean(b, x, 1) : tsr_nn_token(b, x, 0);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return x;
}

tsr_transformer tsr_vit_layers(const tsr_vit *c, tsr_meaning tokens) {
  return (tsr_transformer){.depth = c->depth,
                           .heads = c->heads,
                           .head_dim = c->dim_head,
                           .mlp_dim = c->mlp_dim,
                           .to_out = tsr_nn_to_out(c->heads, c->dim_head, c->dim),
                           .last = "4",
                           .tokens = tokens};
}

tsr_vit tsr_vit_config_simple(tsr_builder *b, int least_classes) {
  tsr_vit c = tsr_vit_config(b, least_classes);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  c.mean_pool = 1;
  if (c.dim % 4 || c.dim < 8)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"dim\" is %d; the sin-cos table needs a multiple of 4 from 8", c.dim);
  return c;
}

tsr_value tsr_vit_start_simple(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  tsr_value x = tsr_vit_embed(b, c, tokens);
  if (!tsr_failed(b) && (tokens->grid_h != c->image[0] / c->patch[0] || tokens->grid_w != c->image[1] / c->patch[1]))
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d does not fit; this model takes %d x %d",
                    tokens->grid_h * c->patch[0], tokens->grid_w * c->patch[1], c->image[0], c->image[1]);
  return tsr_vit_add_sincos(b, x, *tokens);
}

tsr_value tsr_vit_add_registers(tsr_builder *b, tsr_value x, tsr_meaning *tokens) {
  int count = tsr_config_int(b, "num_register_tokens", 4, 0, 1024), dim = tsr_dim(b, x, 2);
  tsr_value registers = tsr_weight_vector(b, "register_tokens", tsr_shape_of(2, count, dim));
  registers = tsr_nn_expand(b, tsr_nn_reshape(b, registers, tsr_shape_of(3, 1, count, dim)),
                            tsr_shape_of(3, tsr_dim(b, x, 0), count, dim));
  tokens->suffix_tokens = (short)count;
  return count ? tsr_nn_concat(b, 1, 2, (tsr_value[]){x, registers}) : x;
}

tsr_transformer tsr_vit_layers_simple(const tsr_vit *c, tsr_meaning tokens) {
  tsr_transformer layers = tsr_vit_layers(c, tokens);
  layers.to_out = "to_out", layers.out_unbiased = 1, layers.last = "3";
  return layers;
}

tsr_value tsr_vit_transform_simple(tsr_builder *b, tsr_value x, const tsr_transformer *layers) {
  tsr_enter(b, "transformer");
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, layers));
  tsr_leave(b);
  tsr_tap_add(b, x, layers->tokens, "tokens");
  return x;
}

tsr_value tsr_vit_layer_scale_add(tsr_builder *b, tsr_value y, tsr_shape scale, tsr_value x) {
  return tsr_nn_add(b, tsr_nn_mul(b, y, tsr_weight_vector(b, "scale", scale)), x);
}
