/* What ViT and its variants share; see vit_parts.h. */
#include "build.h"

tsr_vit tsr_vit_config(tsr_builder *b, int least_classes) {
  static const char *const training[] = {"dropout", "emb_dropout", NULL};
  tsr_vit c = {.channels = 3};
  tsr_config_pair(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.patch);
  tsr_config_check_patches(b, c.image, c.patch);
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, least_classes, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "heads", TSR_REQUIRED, 1, TSR_MAX_HEADS);
  c.mlp_dim = tsr_config_int(b, "mlp_dim", TSR_REQUIRED, 1, TSR_MAX_DIM * 4);
  c.dim_head = tsr_config_int(b, "dim_head", 64, 1, TSR_MAX_DIM);
  tsr_settings_ignore(b, &b->config, training);
  return c;
}

void tsr_vit_config_more(tsr_builder *b, tsr_vit *c) {
  static const char *const pools[] = {"cls", "mean", NULL};
  c->mean_pool = tsr_config_choice(b, "pool", pools, 0);
  c->channels = tsr_config_int(b, "channels", 3, 1, 64);
}

tsr_meaning tsr_vit_grid(tsr_builder *b, tsr_value image, const tsr_vit *c) {
  return (tsr_meaning){"tokens", tsr_dim(b, image, 2) / c->patch[0], tsr_dim(b, image, 3) / c->patch[1], 0};
}

tsr_value tsr_vit_add_positions(tsr_builder *b, tsr_value x, tsr_shape table, const tsr_vit *c, tsr_meaning tokens) {
  int rows = table.dims[table.ndim - 2], used = tsr_dim(b, x, 1);
  tsr_value position = tsr_weight_vector(b, "pos_embedding", table);
  if (!tsr_failed(b) && used > rows)
    return tsr_fail(b, TSR_ERR_SHAPE, "a picture of %d x %d gives %d tokens; this model takes at most %d", tokens.grid_h * c->patch[0],
                    tokens.grid_w * c->patch[1], used, rows);
  position = tsr_nn_slice(b, tsr_nn_reshape(b, position, tsr_shape_of(2, rows, c->dim)), 0, 0, used);
  tokens.kind = "position";
  tsr_tap_add(b, position, tokens, "%spos_embedding", c->prefix ? c->prefix : "");
  return tsr_nn_add(b, x, position);
}

/* The config's number of patches. */
static int patches_of(const tsr_vit *c) { return c->image[0] / c->patch[0] * (c->image[1] / c->patch[1]); }

tsr_value tsr_vit_start(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning *tokens) {
  x = tsr_nn_prepend(b, tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c->dim)), x);
  tokens->prefix_tokens = 1;
  return tsr_vit_add_positions(b, x, tsr_shape_of(3, 1, patches_of(c) + 1, c->dim), c, *tokens);
}

/* The picture's patches through to_patch_embedding, with its tap: [B,N,C] */
static tsr_value embed(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  tsr_value image = tsr_input_image(b, c->channels, c->image[0], c->image[1]);
  *tokens = tsr_vit_grid(b, image, c);
  tsr_value x = tsr_nn_patch_embed(b, image, c->patch[0], c->patch[1], c->dim);
  tsr_tap_add(b, x, *tokens, "patch_embed");
  return x;
}

tsr_value tsr_vit_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  return tsr_vit_start(b, embed(b, c, tokens), c, tokens);
}

tsr_value tsr_vit_patches(tsr_builder *b, const tsr_vit *c, int spare, tsr_meaning *tokens) {
  tsr_value x = embed(b, c, tokens);
  return tsr_vit_add_positions(b, x, tsr_shape_of(3, 1, patches_of(c) + spare, c->dim), c, *tokens);
}

tsr_value tsr_vit_own_tokens(tsr_builder *b, const tsr_vit *c, tsr_meaning *tokens) {
  int prefix = !c->mean_pool;
  tsr_value x = embed(b, c, tokens);
  tsr_value cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(2, prefix, c->dim)); /* the reference keeps an empty one */
  if (prefix) x = tsr_nn_prepend(b, cls, x);
  tokens->prefix_tokens = prefix;
  return tsr_vit_add_positions(b, x, tsr_shape_of(2, patches_of(c) + prefix, c->dim), c, *tokens);
}

tsr_value tsr_vit_pool(tsr_builder *b, tsr_value x, const tsr_vit *c) {
  x = c->mean_pool ? tsr_nn_mean(b, x, 1) : tsr_nn_token(b, x, 0);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return x;
}

tsr_transformer tsr_vit_layers(const tsr_vit *c, tsr_meaning tokens) {
  return (tsr_transformer){.depth = c->depth, .heads = c->heads, .head_dim = c->dim_head, .mlp_dim = c->mlp_dim,
                           .to_out = tsr_nn_to_out(c->heads, c->dim_head, c->dim), .last = "4", .tokens = tokens};
}

tsr_value tsr_vit_layer_scale_add(tsr_builder *b, tsr_value y, tsr_shape scale, tsr_value x) {
  return tsr_nn_add(b, tsr_nn_mul(b, y, tsr_weight_vector(b, "scale", scale)), x);
}
