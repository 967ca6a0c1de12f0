/* CrossViT: "CrossViT: Cross-Attention Multi-Scale Vision Transformer for Image Classification" (Chen, Fan, Panda,
 * 2021, arXiv 2103.14899), two ViTs whose class tokens attend to each other's patches.
 * Reference: vit-pytorch 1.26.11, module cross_vit, class CrossViT.
 *
 *   s, l = [class; patches] + E_pos of small and of large patches, each with a width of its own
 *   s = LN(layers(s));  l = LN(layers(l))                       pre-norm, sm_enc_depth and lg_enc_depth of them
 *   s_cls += out(CA(in(s_cls), l_patches));  l_cls += out(CA(in(l_cls), s_patches))     cross_attn_depth times
 *   the three lines above depth times;  y = Linear(LN(s_cls)) + Linear(LN(l_cls))
 *   CA: queries of the class token, keys and values of it and the other scale's patches; in and out change the width
 *
 * Traps:
 * - CA norms the class token, not the other scale's patches.
 * - in and out have no weights where both widths are equal.
 * - `small` means small patches and a small width.
 * - Images and patches are square. */
#include "arch.h"

typedef struct scale {
  const char *name; /* "sm" or "lg" */
  int dim, patch, depth, heads, mlp_dim, dim_head;
  tsr_meaning tokens;
  tsr_value x; /* [B,1+N,dim] */
} scale;

typedef struct cross_vit_config {
  int image, num_classes, channels, depth, cross_depth, cross_heads, cross_dim_head;
} cross_vit_config;

static int scale_key(tsr_builder *b, const scale *s, const char *key, int64_t fallback, int64_t hi) {
  char *name = tsr_arena_alloc(b->arena, 64);
  if (!name) return tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for a key"), 1;
  tsr_print(name, 64, "%s_%s", s->name, key);
  return tsr_setting_int(b, &b->config, name, fallback, 1, hi);
}

static void read_scale(tsr_builder *b, const cross_vit_config *c, int patch, int depth, scale *s) {
  s->dim = scale_key(b, s, "dim", TSR_REQUIRED, TSR_MAX_DIM);
  s->patch = scale_key(b, s, "patch_size", patch, TSR_MAX_SIDE);
  s->depth = scale_key(b, s, "enc_depth", depth, TSR_MAX_DEPTH);
  s->heads = scale_key(b, s, "enc_heads", 8, TSR_MAX_HEADS);
  s->mlp_dim = scale_key(b, s, "enc_mlp_dim", 2048, TSR_MAX_DIM * 4);
  s->dim_head = scale_key(b, s, "enc_dim_head", 64, TSR_MAX_DIM);
  if (!tsr_failed(b) && c->image % s->patch)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"image_size\" is %d; expected a multiple of \"%s_patch_size\", %d",
             c->image, s->name, s->patch);
}

static void embed(tsr_builder *b, tsr_value image, const cross_vit_config *c, scale *s) {
  char prefix[8];
  tsr_print(prefix, sizeof prefix, "%s.", s->name);
  tsr_vit vit = {.image = {c->image, c->image}, .patch = {s->patch, s->patch}, .dim = s->dim, .prefix = prefix};
  if (tsr_failed(b)) return;
  s->tokens = tsr_vit_grid(b, image, &vit);
  tsr_enter(b, "%s_image_embedder", s->name);
  s->x = tsr_nn_patch_embed(b, image, s->patch, s->patch, s->dim);
  tsr_tap_add(b, s->x, s->tokens, "%s.patch_embed", s->name);
  s->x = tsr_vit_start(b, s->x, &vit, &s->tokens);
  tsr_leave(b);
}

static void encode(tsr_builder *b, scale *s, int layer, int index) {
  char prefix[32];
  tsr_print(prefix, sizeof prefix, "%s.%d.", s->name, layer);
  tsr_transformer t = {.depth = s->depth,
                       .heads = s->heads,
                       .head_dim = s->dim_head,
                       .mlp_dim = s->mlp_dim,
                       .to_out = "to_out.0",
                       .split = 1,
                       .last = "4",
                       .tokens = s->tokens,
                       .prefix = prefix};
  tsr_enter(b, "layers.%d.%d", layer, index);
  s->x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, s->x, &t));
  tsr_leave(b);
}

/* The class token of one scale + its attention to the other scale's patches. */
static tsr_value cross(tsr_builder *b, const cross_vit_config *c, tsr_value cls, tsr_value patches, const scale *other,
                       const char *tap, int i) {
  int dim = tsr_dim(b, cls, 2), width = tsr_dim(b, patches, 2);
  tsr_mha mha = {.attention = tsr_nn_heads(c->cross_heads, c->cross_dim_head, other->tokens, i),
                 .to_out = "to_out.0",
                 .split = 1,
                 .context = patches};
  mha.attention.tap = tap;
  tsr_value x = dim == width ? cls : tsr_nn_linear(b, "project_in", cls, width, TSR_BIAS);
  tsr_enter(b, "fn");
  x = tsr_nn_mha(b, x, &mha, dim == width ? cls : TSR_NO_VALUE);
  tsr_leave(b);
  return dim == width ? x : tsr_nn_linear_add(b, "project_out", x, dim, TSR_BIAS, cls);
}

static void exchange(tsr_builder *b, const cross_vit_config *c, scale *sm, scale *lg, int layer) {
  tsr_value cls[2], patches[2];
  scale *both[2] = {sm, lg};
  char taps[2][32];
  for (int i = 0; i < 2; i++) {
    cls[i] = tsr_nn_slice(b, both[i]->x, 1, 0, 1);
    patches[i] = tsr_nn_slice(b, both[i]->x, 1, 1, tsr_dim(b, both[i]->x, 1));
    tsr_print(taps[i], sizeof taps[i], "%s.%d.cross.%%d.attn", both[i]->name, layer);
  }
  for (int j = 0; j < c->cross_depth; j++)
    for (int i = 0; i < 2; i++) {
      tsr_enter(b, "layers.%d.2.layers.%d.%d", layer, j, i);
      cls[i] = cross(b, c, cls[i], patches[!i], both[!i], taps[i], j);
      tsr_leave(b);
    }
  for (int i = 0; i < 2; i++) {
    both[i]->x = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls[i], patches[i]});
    tsr_tap_add(b, both[i]->x, both[i]->tokens, "%s.%d", both[i]->name, layer);
  }
}

/* Leaves the class token, [B,dim], in s->x. */
static tsr_value head(tsr_builder *b, scale *s, int classes) {
  char name[16];
  tsr_print(name, sizeof name, "%s_mlp_head", s->name);
  s->x = tsr_nn_token(b, s->x, 0);
  tsr_tap_add(b, s->x, (tsr_meaning){.kind = "embedding"}, "%s.embedding", s->name);
  return tsr_nn_norm_linear(b, name, s->x, classes);
}

static tsr_value build(tsr_builder *b) {
  static const char *const training[] = {"dropout", "emb_dropout", NULL};
  cross_vit_config c = {.image = tsr_config_int(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE)};
  scale sm = {.name = "sm"}, lg = {.name = "lg"};
  c.num_classes = tsr_config_int(b, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  read_scale(b, &c, 12, 1, &sm);
  read_scale(b, &c, 16, 4, &lg);
  c.cross_depth = tsr_config_int(b, "cross_attn_depth", 2, 0, TSR_MAX_DEPTH);
  c.cross_heads = tsr_config_int(b, "cross_attn_heads", 8, 1, TSR_MAX_HEADS);
  c.cross_dim_head = tsr_config_int(b, "cross_attn_dim_head", 64, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", 3, 0, TSR_MAX_DEPTH);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  tsr_settings_ignore(b, &b->config, training);
  tsr_value image = tsr_input_image(b, c.channels, c.image, c.image);
  embed(b, image, &c, &sm);
  embed(b, image, &c, &lg);
  tsr_enter(b, "multi_scale_encoder");
  for (int i = 0; i < c.depth; i++) {
    encode(b, &sm, i, 0);
    encode(b, &lg, i, 1);
    exchange(b, &c, &sm, &lg, i);
  }
  tsr_leave(b);
  tsr_value y = head(b, &sm, c.num_classes);
  y = tsr_nn_add(b, y, head(b, &lg, c.num_classes));
  tsr_tap_add(b, tsr_nn_concat(b, 1, 2, (tsr_value[]){sm.x, lg.x}), (tsr_meaning){.kind = "embedding"}, "embedding");
  return y;
}

/* The paper's sizes, with heads of 64. */
#define SIZE(sm, lg, sm_mlp, lg_mlp, heads)                                                                          \
  "{\"image_size\":240,\"num_classes\":1000,\"sm_dim\":" sm ",\"lg_dim\":" lg ",\"sm_enc_mlp_dim\":" sm_mlp          \
  ",\"lg_enc_mlp_dim\":" lg_mlp ",\"sm_enc_heads\":" heads ",\"lg_enc_heads\":" heads ",\"cross_attn_heads\":" heads \
  ",\"cross_attn_depth\":1}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":24,\"num_classes\":10,\"sm_dim\":16,\"lg_dim\":24,\"sm_patch_size\":8,\"lg_patch_size\":12,"
     "\"sm_enc_heads\":2,\"lg_enc_heads\":2,\"sm_enc_mlp_dim\":32,\"lg_enc_mlp_dim\":32,\"lg_enc_depth\":1,"
     "\"cross_attn_heads\":2,\"depth\":1}"},
    {"cross_vit_ti", SIZE("96", "192", "384", "768", "3")},
    {"cross_vit_s", SIZE("192", "384", "768", "1536", "6")},
    {"cross_vit_b", SIZE("384", "768", "1536", "3072", "12")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_cross_vit = {
    .name = "cross_vit",
    .title = "Cross-Attention Multi-Scale Vision Transformer",
    .paper = "Chen, Fan, Panda 2021, arXiv 2103.14899",
    .reference = "vit-pytorch 1.26.11, cross_vit.CrossViT",
    .presets = presets,
    .build = build,
};
