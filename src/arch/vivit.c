/* ViViT: "ViViT: A Video Vision Transformer" (Arnab et al., 2021, arXiv 2103.15691), its second and third model (the
 * first is vit_3d).
 * Reference: vit-pytorch 1.26.11, module vivit, class ViViT (the source document calls it ViT).
 *
 *   x = E(patches) + E_pos [F,N]        patches as in vit_3d; then a class token in front of each frame's
 *   factorized_encoder:
 *     x = LN(Transformer(x)), frame by frame
 *     z = [x_class; x[:, class]];  z = LN(Transformer(z)) over frames
 *   factorized_self_attention:
 *     L times: x = MSA(LN(x)) + x within a frame;  x = MSA(LN(x)) + x over the frames of one place;  x = MLP(LN(x)) + x
 *     x = LN(x)
 *   y = Linear(class token of the first frame, or of the frames' own; or the mean with pool 'mean')
 *
 * Traps:
 * - Positions are added before class tokens join, so class tokens have none.
 * - With pool 'mean' there are no class tokens.
 * - In factorized_self_attention the class tokens of the frames attend to each other; the first frame's is the result.
 * - Smaller and shorter videos use the FIRST frames of the table and, of the flattened grid, its first tokens.
 * - use_flash_attn changes nothing but rounding. */
#include <stdio.h>

#include "arch.h"

typedef struct vivit_config {
  tsr_vit vit;
  int spatial_depth, temporal_depth, self_attention;
} vivit_config;

static vivit_config read_config(tsr_builder *b) {
  static const char *const variants[] = {"factorized_encoder", "factorized_self_attention", NULL};
  vivit_config c = {.vit = tsr_vit_config_video(b)};
  tsr_vit_config_more(b, &c.vit);
  c.spatial_depth = tsr_config_int(b, "spatial_depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.temporal_depth = tsr_config_int(b, "temporal_depth", TSR_REQUIRED, 0, TSR_MAX_DEPTH);
  c.self_attention = tsr_config_choice(b, "variant", variants, 0);
  tsr_config_bool(b, "use_flash_attn", 1);
  if (c.self_attention && c.spatial_depth != c.temporal_depth)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config keys \"spatial_depth\", %d, and \"temporal_depth\", %d, must be equal with \"variant\" "
             "\"factorized_self_attention\"",
             c.spatial_depth, c.temporal_depth);
  return c;
}

/* x [B,F N,C] + the table, cut into frames: [B F,N,C] */
static tsr_value add_positions(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning tokens) {
  int f = tokens.grid_f, n = tokens.grid_h * tokens.grid_w, frames = c->frames / c->frame_patch;
  int places = c->image[0] / c->patch[0] * (c->image[1] / c->patch[1]), batch = tsr_dim(b, x, 0);
  tsr_value table = tsr_weight_vector(b, "pos_embedding", tsr_shape_of(4, 1, frames, places, c->dim));
  if (!tsr_failed(b) && (f > frames || n > places))
    return tsr_fail(b, TSR_ERR_SHAPE,
                    "%d frames of %d tokens do not fit; this model takes at most %d of %d, as of %d frames of %d x %d",
                    f * c->frame_patch, n, c->frames, places, c->frames, c->image[0], c->image[1]);
  table = tsr_nn_slice(b, tsr_nn_slice(b, table, 1, 0, f), 2, 0, n);
  table = tsr_nn_reshape(b, table, tsr_shape_of(2, f * n, c->dim));
  tokens.kind = "position";
  tsr_tap_add(b, table, tokens, "pos_embedding");
  return tsr_nn_reshape(b, tsr_nn_add(b, x, table), tsr_shape_of(3, batch * f, n, c->dim));
}

/* Prepends a class token unless pool is 'mean': [B,N,C] -> [B,1+N,C] */
static tsr_value start(tsr_builder *b, tsr_value x, const tsr_vit *c, const char *name) {
  return c->mean_pool ? x : tsr_nn_prepend(b, tsr_weight_vector(b, name, tsr_shape_of(3, 1, 1, c->dim)), x);
}

/* The mean or the class token: [B,N,C] -> [B,C] */
static tsr_value end(tsr_builder *b, tsr_value x, const tsr_vit *c) {
  return c->mean_pool ? tsr_nn_mean(b, x, 1) : tsr_nn_token(b, x, 0);
}

static tsr_value transformer(tsr_builder *b, tsr_value x, const tsr_vit *c, int depth, tsr_meaning tokens,
                             const char *name) {
  char prefix[16];
  tsr_print(prefix, sizeof prefix, "%s.", name);
  tsr_transformer layers = tsr_vit_layers(c, tokens);
  layers.depth = depth;
  layers.prefix = prefix;
  tsr_enter(b, "%s_transformer", name);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  return x;
}

/* Attention within frames [B F,N,C], then among one token of each frame. */
static tsr_value factorized_encoder(tsr_builder *b, tsr_value x, const vivit_config *c, tsr_meaning frame,
                                    tsr_meaning time, int batch) {
  x = end(b, transformer(b, x, &c->vit, c->spatial_depth, frame, "spatial"), &c->vit);
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, batch, time.grid_f, c->vit.dim));
  x = transformer(b, start(b, x, &c->vit, "temporal_cls_token"), &c->vit, c->temporal_depth, time, "temporal");
  tsr_tap_add(b, x, time, "tokens");
  return end(b, x, &c->vit);
}

/* [A,M,N,C] -> [A N,M,C], as values [A M,N,C] -> [A N,M,C] */
static tsr_value turn(tsr_builder *b, tsr_value x, int a) {
  tsr_shape s = tsr_shape_at(b, x);
  if (x == TSR_NO_VALUE) return x;
  int m = s.dims[0] / a;
  x = tsr_nn_permute(b, tsr_nn_reshape(b, x, tsr_shape_of(4, a, m, s.dims[1], s.dims[2])), (int[]){0, 2, 1, 3});
  return tsr_nn_reshape(b, x, tsr_shape_of(3, a * s.dims[1], m, s.dims[2]));
}

static tsr_value attend(tsr_builder *b, tsr_value x, const tsr_vit *c, tsr_meaning tokens, int layer, int part) {
  tsr_mha mha = {.attention = tsr_nn_heads(c->heads, c->dim_head, tokens, layer),
                 .to_out = tsr_nn_to_out(c->heads, c->dim_head, c->dim)};
  mha.attention.tap = part ? "blocks.%d.temporal_attn" : "blocks.%d.spatial_attn";
  tsr_enter(b, "layers.%d.%d", layer, part);
  x = tsr_nn_mha(b, x, &mha, x);
  tsr_leave(b);
  return x;
}

static tsr_value factorized_self_attention(tsr_builder *b, tsr_value x, const vivit_config *c, tsr_meaning frame,
                                           tsr_meaning time, int batch) {
  int prefix = frame.prefix_tokens, n = frame.grid_h * frame.grid_w, f = time.grid_f;
  /* with class tokens there is a place more than the grid's, so places have no layout */
  time.prefix_tokens = 0;
  if (!prefix && n > 1) time.windows_f = 1, time.windows_h = frame.grid_h, time.windows_w = frame.grid_w;
  tsr_enter(b, "factorized_transformer");
  for (int i = 0; i < c->spatial_depth; i++) {
    x = turn(b, attend(b, x, &c->vit, frame, i, 0), batch);
    x = attend(b, x, &c->vit, time, i, 1);
    tsr_enter(b, "layers.%d.2", i);
    x = turn(b, tsr_nn_feed_forward(b, x, c->vit.mlp_dim, "4", x), batch);
    tsr_leave(b);
    tsr_tap_add(b, x, frame, "blocks.%d", i);
  }
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  tsr_meaning tokens = {"tokens", frame.grid_h, frame.grid_w, .grid_f = f};
  tsr_shape all = tsr_shape_of(3, batch, f * n, c->vit.dim);
  if (tsr_tap_offer(b, all, tokens, "tokens"))
    tsr_tap_give(b, tsr_nn_reshape(b, tsr_nn_slice(b, x, 1, prefix, prefix + n), all));
  return end(b, tsr_nn_reshape(b, x, tsr_shape_of(3, batch, f * (prefix + n), c->vit.dim)), &c->vit);
}

static tsr_value build(tsr_builder *b) {
  vivit_config c = read_config(b);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_embed(b, &c.vit, &tokens);
  int batch = tsr_dim(b, x, 0), prefix = !c.vit.mean_pool;
  /* tokens of one frame (batch: frames), and of one place in all frames */
  tsr_meaning frame = {"tokens", tokens.grid_h, tokens.grid_w, prefix, .grid_f = 1},
              time = {"tokens", 1, 1, prefix, .grid_f = tokens.grid_f};
  if (tokens.grid_f > 1) frame.windows_f = tokens.grid_f, frame.windows_h = frame.windows_w = 1;
  x = start(b, add_positions(b, x, &c.vit, tokens), &c.vit, "spatial_cls_token"); /* [B F,1+N,C] */
  x = (c.self_attention ? factorized_self_attention : factorized_encoder)(b, x, &c, frame, time, batch);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "embedding"}, "embedding");
  return tsr_nn_linear(b, "mlp_head", x, c.vit.num_classes, TSR_BIAS);
}

#define SIZE(dim, depth, heads, mlp)                                                                                  \
  "{\"image_size\":224,\"image_patch_size\":16,\"frames\":32,\"frame_patch_size\":2,\"num_classes\":400,\"dim\":" dim \
  ",\"spatial_depth\":" depth ",\"temporal_depth\":4,\"heads\":" heads ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"image_patch_size\":8,\"frames\":4,\"frame_patch_size\":2,\"num_classes\":10,\"dim\":16,"
     "\"spatial_depth\":2,\"temporal_depth\":1,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8}"},
    {"vivit_b_16x2_fe", SIZE("768", "12", "12", "3072")},
    {"vivit_l_16x2_fe", SIZE("1024", "24", "16", "4096")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_vivit = {
    .name = "vivit",
    .title = "Video Vision Transformer",
    .paper = "Arnab et al. 2021, arXiv 2103.15691",
    .reference = "vit-pytorch 1.26.11, vivit.ViViT",
    .presets = presets,
    .build = build,
};
