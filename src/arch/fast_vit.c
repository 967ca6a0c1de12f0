/* FastViT: "FastViT: A Fast Hybrid Vision Transformer using Structural Reparameterization" (Vasu, Gabriel, Zhu, Tuzel,
 * Ranjan, 2023, arXiv 2303.14189), and the picture towers of MobileCLIP (arXiv 2311.17049, 2508.20691).
 * Reference: timm 1.0.31, models.fastvit, class FastVit.
 *
 *   M(x): MobileOne, BN(conv_k(x)) + BN(conv1(x)) + BN(x)     the last only where shape and place stay the same
 *   x = GELU(M1(GELU(Mdw3/2(GELU(M3/2(x))))))                 the stem
 *   each stage but the first: x = GELU(M1(SE(BN(conv-dw7/2(x)) + BN(conv-dw3/2(x)))))     twice as wide
 *     x = x + conv-dw7(x)                                     positions, in front of attention
 *     RepMixer:  x = x + s (Mdw3(x) - BN(x));        x = x + s MLP(x)
 *     attention: x = x + s Attend(BN(x));            x = x + s MLP(x)
 *   y = Linear(mean over pixels of GELU(SE(Mdw3(x))))         twice as wide
 *   MLP(x) = conv1(GELU(conv1(BN(conv-dw7(x)))))     SE(x) = x * sigmoid(W relu(W mean(x)))
 *
 * A file has the branches that were trained, or, with the config key inference_mode, their sums. Branches that are
 * depthwise convolutions become one kernel when a session begins: what sums them depends on weights alone (fold.h). The
 * others are 1x1 kernels with the norm of their input, and the first convolution with a 1x1 kernel beside it.
 *
 * Traps:
 * - A depthwise convolution that doubles the width makes channels 2c and 2c + 1 of channel c.
 * - The branches with the input itself (identity) are batch norms alone. RepMixer's `norm` is nothing else.
 * - The activation between the two convolutions of a downsampling is there only with lkc_use_act (mci).
 * - SE's hidden width is a quarter rounded to a multiple of 8 in a downsampling, a sixteenth at the end.
 * - Attention has heads of 32 channels, a norm that is a batch norm (mci3 and mci4: a layer norm), qkv without bias. */
#include "arch.h"

enum { MOST = 8, HEAD = 32 };

typedef struct fast_vit_config {
  int image[2], channels, num_classes, projection, stages, dim[MOST], depth[MOST], attention[MOST], position[MOST],
      squeeze[MOST], mixer, summed, stem_scale, down_act, layer_norm, scaled, cls_ratio;
  float mlp_ratio[MOST];
} fast_vit_config;

static void check(tsr_builder *b, const fast_vit_config *c) {
  for (int s = 0; s < c->stages && !tsr_failed(b); s++) {
    int dim = c->dim[s], from = c->dim[s ? s - 1 : 0], unit = c->attention[s] ? HEAD : 1;
    if (!dim || dim % from || dim / from > TSR_MAX_IN || dim % unit || (c->position[s] && c->position[s] % 2 == 0))
      tsr_fail(
          b, TSR_ERR_CONFIG,
          "stage %d has %d channels and a kernel for positions of %d; expected \"embed_dims\" to be multiples of %d "
          "and of the stage before, at most %d times as many, and \"pos_embs\" to be odd or 0",
          s, dim, c->position[s], unit, TSR_MAX_IN);
  }
  if (c->mixer % 2 == 0)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"repmixer_kernel_size\" is %d; expected an odd number", c->mixer);
}

static fast_vit_config read_config(tsr_builder *b) {
  static const int dims[MOST] = {64, 128, 256, 512}, depths[MOST] = {2, 2, 6, 2}, none[MOST] = {0};
  static const char *const norms[] = {"batch", "layer", NULL};
  fast_vit_config c;
  tsr_config_pair(b, "image_size", 256, 1, TSR_MAX_SIDE, c.image);
  c.channels = tsr_config_int(b, "in_chans", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.projection = tsr_config_bool(b, "projection", 0);
  c.stages = tsr_config_list(b, "layers", depths, 1, TSR_MAX_DEPTH, 1, MOST, c.depth);
  while (c.stages > 1 && !c.depth[c.stages - 1]) c.stages--; /* the default lists four stages of eight */
  tsr_config_list(b, "embed_dims", dims, 1, TSR_MAX_DIM, c.stages, MOST, c.dim);
  for (int s = 0; s < MOST; s++) c.mlp_ratio[s] = 4;
  tsr_setting_numbers(b, &b->config, "mlp_ratios", c.stages, c.mlp_ratio);
  tsr_config_list(b, "attention", none, 0, 1, c.stages, MOST, c.attention);
  tsr_config_list(b, "pos_embs", none, 0, 31, c.stages, MOST, c.position);
  tsr_config_list(b, "se_downsamples", none, 0, 1, c.stages, MOST, c.squeeze);
  c.mixer = tsr_config_int(b, "repmixer_kernel_size", 3, 1, 31);
  c.cls_ratio = tsr_config_int(b, "cls_ratio", 2, 1, TSR_MAX_IN);
  c.summed = tsr_config_bool(b, "inference_mode", 0);
  c.stem_scale = tsr_config_bool(b, "stem_use_scale_branch", 1);
  c.down_act = tsr_config_bool(b, "lkc_use_act", 0);
  c.scaled = tsr_config_bool(b, "layer_scale", 1);
  c.layer_norm = tsr_config_choice(b, "norm_layer", norms, 0);
  check(b, &c);
  return c;
}

/* A depthwise convolution as values that depend on weights alone: kernels [side,side,C] and an offset [C]. */
typedef struct branch {
  tsr_value kernels, offset;
} branch;

/* `kernels` with zeros around, so that they are `side` wide. */
static tsr_value widen(tsr_builder *b, tsr_value kernels, int side) {
  int border = (side - tsr_dim(b, kernels, 0)) / 2;
  for (int axis = 0; border > 0 && axis < 2; axis++) kernels = tsr_nn_pad(b, kernels, axis, border, border);
  return kernels;
}

/* x + y, where the kernels of x are `side` wide. */
static branch sum(tsr_builder *b, branch x, branch y, int side) {
  return (branch){tsr_nn_add(b, x.kernels, widen(b, y.kernels, side)), tsr_nn_add(b, x.offset, y.offset)};
}

static branch scaled(tsr_builder *b, branch x, tsr_value factor) {
  return (branch){tsr_nn_mul(b, x.kernels, factor), tsr_nn_mul(b, x.offset, factor)};
}

static branch norm_branch(tsr_builder *b, const char *name, int c) {
  tsr_affine a = tsr_nn_batch_affine(b, name, c, TSR_NO_VALUE, 0);
  return (branch){tsr_nn_reshape(b, a.scale, tsr_shape_of(3, 1, 1, c)), a.offset};
}

/* name.weight and name.bias. */
static branch plain_branch(tsr_builder *b, const char *name, int side, int c) {
  tsr_enter(b, "%s", name);
  tsr_value w = tsr_weight_depthwise(b, "weight", tsr_shape_of(4, c, 1, side, side));
  branch y = {tsr_nn_reshape(b, w, tsr_shape_of(3, side, side, c)), tsr_weight_vector(b, "bias", tsr_shape_of(1, c))};
  tsr_leave(b);
  return y;
}

/* name.conv and name.bn. */
static branch conv_branch(tsr_builder *b, const char *name, int side, int c) {
  tsr_enter(b, "%s", name);
  tsr_affine a = tsr_nn_batch_affine(b, "bn", c, TSR_NO_VALUE, 0);
  tsr_value w = tsr_weight_depthwise(b, "conv.weight", tsr_shape_of(4, c, 1, side, side));
  tsr_leave(b);
  return (branch){tsr_nn_mul(b, tsr_nn_reshape(b, w, tsr_shape_of(3, side, side, c)), a.scale), a.offset};
}

/* MobileOne's branches, all depthwise. */
static branch mobile_one(tsr_builder *b, int side, int c, int identity, int scale) {
  branch y = conv_branch(b, "conv_kxk.0", side, c);
  if (scale) y = sum(b, y, conv_branch(b, "conv_scale", 1, c), side);
  return identity ? sum(b, y, norm_branch(b, "identity", c), side) : y;
}

/* Columns [rows, columns] of each row of x in the order [columns, rows]. */
static tsr_value turn(tsr_builder *b, tsr_value x, int rows, int columns) {
  tsr_shape shape = tsr_shape_at(b, x);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  int n = (int)tsr_shape_count(&shape, NULL) / (rows * columns);
  x = tsr_nn_permute(b, tsr_nn_reshape(b, x, tsr_shape_of(3, n, rows, columns)), (int[]){0, 2, 1});
  return tsr_nn_reshape(b, x, shape);
}

/* The convolution of x. Kernels are as many as channels, or several times as many: then kernel i is for channel
 * i / times. */
static tsr_value convolve(tsr_builder *b, tsr_value x, branch k, int stride, int activation) {
  int c = tsr_dim(b, x, 3), times = c ? tsr_dim(b, k.offset, 0) / c : 0;
  tsr_value parts[TSR_MAX_IN];
  tsr_conv conv = tsr_nn_square(tsr_dim(b, k.kernels, 0), 0, stride, activation);
  if (times > 1) k = (branch){turn(b, k.kernels, c, times), turn(b, k.offset, c, times)};
  for (int i = 0; i < times && i < TSR_MAX_IN; i++)
    parts[i] = tsr_nn_depthwise_by(b, x, tsr_nn_slice(b, k.kernels, 2, i * c, (i + 1) * c),
                                   tsr_nn_slice(b, k.offset, 0, i * c, (i + 1) * c), conv);
  if (times == 1 || tsr_failed(b)) return times == 1 ? parts[0] : TSR_NO_VALUE;
  return turn(b, tsr_nn_concat(b, 3, times, parts), times, c);
}

/* GELU(MobileOne(x)) with a 1x1 kernel, to as many channels. */
static tsr_value mix_channels(tsr_builder *b, const char *name, tsr_value x, int summed) {
  int c = tsr_dim(b, x, 3);
  tsr_enter(b, "%s", name);
  if (summed) {
    x = tsr_nn_pointwise_act(b, "reparam_conv", x, c, TSR_BIAS, TSR_ACT_GELU);
  } else {
    tsr_affine same = tsr_nn_batch_affine(b, "identity", c, TSR_NO_VALUE, 0);
    tsr_affine a = tsr_nn_batch_affine(b, "conv_kxk.0.bn", c, TSR_NO_VALUE, 0);
    x = tsr_nn_pointwise_by(b, "conv_kxk.0.conv", x, c, tsr_nn_add(b, a.offset, same.offset), a.scale,
                            tsr_nn_mul(b, x, same.scale), TSR_ACT_NONE);
    x = tsr_nn_activate(b, x, TSR_ACT_GELU);
  }
  tsr_leave(b);
  return x;
}

/* Every second pixel of every second row: what a 1x1 kernel with stride 2 sees. */
static tsr_value every_second(tsr_builder *b, tsr_value x) {
  for (int axis = 1; axis < 3; axis++)
    if (tsr_dim(b, x, axis) % 2) x = tsr_nn_pad(b, x, axis, 0, 1);
  int batch = tsr_dim(b, x, 0), h = tsr_dim(b, x, 1) / 2, w = tsr_dim(b, x, 2) / 2, c = tsr_dim(b, x, 3);
  x = tsr_nn_slice(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h, 2, 2 * w * c)), 2, 0, 1);
  return tsr_nn_slice(b, tsr_nn_reshape(b, x, tsr_shape_of(4, batch, h, w, 2 * c)), 3, 0, c);
}

static tsr_value stem(tsr_builder *b, tsr_value x, const fast_vit_config *c) {
  tsr_conv first = tsr_nn_square(3, c->dim[0], 2, TSR_ACT_GELU);
  tsr_enter(b, "stem.0");
  if (c->summed) {
    first.bias = TSR_BIAS;
    x = tsr_nn_conv2d(b, "reparam_conv", x, first);
  } else if (c->stem_scale) {
    first.activation = TSR_ACT_NONE;
    tsr_value y = tsr_nn_conv2d_norm(b, "conv_kxk.0.conv", "conv_kxk.0.bn", x, first, TSR_NO_VALUE);
    x = tsr_nn_conv2d_norm(b, "conv_scale.conv", "conv_scale.bn", every_second(b, x),
                           tsr_nn_square(1, c->dim[0], 1, TSR_ACT_NONE), y);
    x = tsr_nn_activate(b, x, TSR_ACT_GELU);
  } else {
    x = tsr_nn_conv2d_norm(b, "conv_kxk.0.conv", "conv_kxk.0.bn", x, first, TSR_NO_VALUE);
  }
  tsr_leave(b);
  tsr_enter(b, "stem.1");
  branch k = c->summed ? plain_branch(b, "reparam_conv", 3, c->dim[0]) : mobile_one(b, 3, c->dim[0], 0, c->stem_scale);
  x = convolve(b, x, k, 2, TSR_ACT_GELU);
  tsr_leave(b);
  return mix_channels(b, "stem.2", x, c->summed);
}

/* Squeeze and excitation: x * sigmoid(fc2(relu(fc1(mean of x)))). */
static tsr_value squeeze(tsr_builder *b, tsr_value x, int hidden) {
  int c = tsr_dim(b, x, 3);
  tsr_enter(b, "se");
  tsr_value gate = tsr_nn_reshape(b, tsr_nn_map_mean(b, x), tsr_shape_of(4, tsr_dim(b, x, 0), 1, 1, c));
  gate = tsr_nn_pointwise_act(b, "fc1", gate, hidden ? hidden : 1, TSR_BIAS, TSR_ACT_RELU);
  gate = tsr_nn_pointwise_act(b, "fc2", gate, c, TSR_BIAS, TSR_ACT_SIGMOID);
  tsr_leave(b);
  return tsr_nn_mul(b, x, gate);
}

static tsr_value downsample(tsr_builder *b, tsr_value x, const fast_vit_config *c, int s) {
  int out = c->dim[s], hidden = (out + 16) / 32 * 8, has_se = c->squeeze[s];
  int activation = c->down_act ? TSR_ACT_GELU : TSR_ACT_NONE;
  tsr_enter(b, "downsample.proj.0");
  branch k = c->summed ? plain_branch(b, "reparam_conv", 7, out)
                       : sum(b, conv_branch(b, "large_conv", 7, out), conv_branch(b, "small_conv", 3, out), 7);
  x = convolve(b, x, k, 2, has_se ? TSR_ACT_NONE : activation);
  if (has_se) {
    x = squeeze(b, x, hidden < 8 ? 8 : hidden);
    if (activation) x = tsr_nn_activate(b, x, activation);
  }
  tsr_leave(b);
  return mix_channels(b, "downsample.proj.1", x, c->summed);
}

/* name.gamma [c,1,1] as [c]. */
static tsr_value layer_scale(tsr_builder *b, const char *name, int c) {
  return tsr_nn_reshape(b, tsr_weight_vector(b, name, tsr_shape_of(3, c, 1, 1)), tsr_shape_of(1, c));
}

/* The input itself added to what the kernels make. */
static branch with_input(tsr_builder *b, branch k) {
  int side = tsr_dim(b, k.kernels, 0);
  float *one;
  tsr_value centre = tsr_constant(b, tsr_shape_of(3, side, side, 1), &one);
  if (one) one[side * side / 2] = 1;
  return (branch){tsr_nn_add(b, k.kernels, centre), k.offset};
}

/* RepMixer as one convolution. */
static tsr_value mix_tokens(tsr_builder *b, tsr_value x, const fast_vit_config *c) {
  int dim = tsr_dim(b, x, 3);
  branch k;
  tsr_enter(b, "token_mixer");
  if (c->summed) {
    k = plain_branch(b, "reparam_conv", c->mixer, dim);
  } else {
    tsr_enter(b, "mixer");
    k = mobile_one(b, c->mixer, dim, 1, c->mixer > 1);
    tsr_leave(b);
    branch norm = norm_branch(b, "norm.identity", dim);
    norm = (branch){tsr_nn_times(b, norm.kernels, -1), tsr_nn_times(b, norm.offset, -1)};
    k = sum(b, k, norm, c->mixer);
    if (c->scaled) k = scaled(b, k, layer_scale(b, "layer_scale.gamma", dim));
    k = with_input(b, k);
  }
  tsr_leave(b);
  return convolve(b, x, k, 1, TSR_ACT_NONE);
}

static tsr_value attend(tsr_builder *b, tsr_value map, const fast_vit_config *c, int s, int i) {
  char tap[64];
  int dim = c->dim[s];
  tsr_value x = map;
  if (c->layer_norm) {
    x = tsr_nn_layer_norm(b, "norm", x);
  } else {
    x = tsr_nn_batch_norm(b, "norm", x, 0);
  }
  tsr_attention attention = tsr_nn_heads(dim / HEAD, HEAD, tsr_nn_map_meaning(b, map, "attention"), i);
  tsr_print(tap, sizeof tap, "stages.%d.blocks.%%d.attn", s);
  attention.tap = tap;
  tsr_enter(b, "token_mixer");
  x = tsr_nn_attention_qkv(b, tsr_nn_linear(b, "qkv", tsr_nn_tokens(b, x), 3 * dim, TSR_NO_BIAS), attention);
  x = tsr_nn_map(b, tsr_nn_linear(b, "proj", x, dim, TSR_BIAS), map);
  tsr_leave(b);
  if (c->scaled) x = tsr_nn_mul(b, x, layer_scale(b, "layer_scale_1.gamma", dim));
  return tsr_nn_add(b, map, x);
}

/* x + s MLP(x) */
static tsr_value add_mlp(tsr_builder *b, tsr_value x, const fast_vit_config *c, int s) {
  int dim = c->dim[s], hidden = (int)(dim * (double)c->mlp_ratio[s] + 1e-3); /* a float: 69 may be 68.9999 */
  const char *name = c->attention[s] ? "layer_scale_2.gamma" : "layer_scale.gamma";
  tsr_value factor = c->scaled ? layer_scale(b, name, dim) : TSR_NO_VALUE;
  tsr_enter(b, "mlp");
  tsr_value y = tsr_nn_depthwise_norm(b, "conv.conv", "conv.bn", x, tsr_nn_square(7, 0, 1, TSR_ACT_NONE));
  y = tsr_nn_pointwise_act(b, "fc1", y, hidden, TSR_BIAS, TSR_ACT_GELU);
  if (c->scaled) {
    tsr_value bias = tsr_nn_mul(b, tsr_weight_vector(b, "fc2.bias", tsr_shape_of(1, dim)), factor);
    x = tsr_nn_pointwise_by(b, "fc2", y, dim, bias, factor, x, TSR_ACT_NONE);
  } else {
    x = tsr_nn_pointwise_add(b, "fc2", y, dim, TSR_BIAS, x);
  }
  tsr_leave(b);
  return x;
}

/* format: with places for stage and block, as far as it needs them. */
static void tap(tsr_builder *b, tsr_value x, const char *format, int stage, int block) {
  tsr_tap_add(b, x, tsr_nn_map_meaning(b, x, "features"), format, stage, block);
}

static tsr_value stage(tsr_builder *b, tsr_value x, const fast_vit_config *c, int s) {
  tsr_enter(b, "stages.%d", s);
  if (s) {
    x = downsample(b, x, c, s);
    tap(b, x, "stages.%d.downsample", s, 0);
  }
  if (c->position[s]) {
    branch k = plain_branch(b, c->summed ? "pos_emb.reparam_conv" : "pos_emb.pos_enc", c->position[s], c->dim[s]);
    if (!c->summed) k = with_input(b, k);
    x = convolve(b, x, k, 1, TSR_ACT_NONE);
    tap(b, x, "stages.%d.pos_emb", s, 0);
  }
  for (int i = 0; i < c->depth[s]; i++) {
    tsr_enter(b, "blocks.%d", i);
    x = add_mlp(b, c->attention[s] ? attend(b, x, c, s, i) : mix_tokens(b, x, c), c, s);
    tsr_leave(b);
    tap(b, x, "stages.%d.blocks.%d", s, i);
  }
  tsr_leave(b);
  return x;
}

static tsr_value build(tsr_builder *b) {
  fast_vit_config c = read_config(b);
  b->floats = TSR_FLOATS_NORMS;
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image(b, c.channels, c.image[0], c.image[1]));
  if (tsr_failed(b)) return TSR_NO_VALUE;
  x = stem(b, x, &c);
  tap(b, x, "stem", 0, 0);
  for (int s = 0; s < c.stages; s++) x = stage(b, x, &c, s);
  int dim = c.dim[c.stages - 1], wide = dim * c.cls_ratio;
  tsr_enter(b, "final_conv");
  branch k = c.summed ? plain_branch(b, "reparam_conv", 3, wide) : mobile_one(b, 3, wide, wide == dim, 1);
  x = squeeze(b, convolve(b, x, k, 1, TSR_ACT_NONE), (wide + 8) / 16);
  x = tsr_nn_activate(b, x, TSR_ACT_GELU);
  tsr_leave(b);
  tap(b, x, "final_conv", 0, 0);
  x = tsr_nn_map_mean(b, x);
  tsr_meaning embedding = {.kind = "embedding"};
  if (!c.projection) tsr_tap_add(b, x, embedding, "embedding");
  if (c.num_classes) x = tsr_nn_linear(b, "head.fc", x, c.num_classes, TSR_BIAS);
  if (c.projection) tsr_tap_add(b, x, embedding, "embedding");
  if (c.projection || !c.num_classes) tsr_output_means(b, embedding);
  return x;
}

#define SIZE(layers, dims, more) "{\"layers\":" layers ",\"embed_dims\":" dims more "}"
#define WIDE "[64,128,256,512]"
#define THIN ",\"mlp_ratios\":[3]"
#define HYBRID ",\"attention\":[0,0,0,1],\"pos_embs\":[0,0,0,7]"
#define CLIP ",\"lkc_use_act\":true,\"projection\":true"
#define CLIP_1 THIN HYBRID ",\"se_downsamples\":[0,0,1,1]" CLIP ",\"num_classes\":512"
#define CLIP_2                                                                    \
  ",\"attention\":[0,0,0,1,1],\"pos_embs\":[0,0,0,7,7],\"norm_layer\":\"layer\"," \
  "\"stem_use_scale_branch\":false" CLIP ",\"num_classes\":768"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":32,\"num_classes\":10,\"layers\":[1,1],\"embed_dims\":[16,32],\"mlp_ratios\":[2],"
     "\"attention\":[0,1],\"pos_embs\":[0,7]}"},
    {"fastvit_t8", SIZE("[2,2,4,2]", "[48,96,192,384]", THIN)},
    {"fastvit_t12", SIZE("[2,2,6,2]", WIDE, THIN)},
    {"fastvit_s12", SIZE("[2,2,6,2]", WIDE, "")},
    {"fastvit_sa12", SIZE("[2,2,6,2]", WIDE, HYBRID)},
    {"fastvit_sa24", SIZE("[4,4,12,4]", WIDE, HYBRID)},
    {"fastvit_sa36", SIZE("[6,6,18,6]", WIDE, HYBRID)},
    {"fastvit_ma36", SIZE("[6,6,18,6]", "[76,152,304,608]", HYBRID)},
    {"fastvit_mci0", SIZE("[2,6,10,2]", WIDE, CLIP_1)},
    {"fastvit_mci1", SIZE("[4,12,20,4]", WIDE, CLIP_1)},
    {"fastvit_mci2", SIZE("[4,12,24,4]", "[80,160,320,640]", CLIP_1)},
    {"fastvit_mci3", SIZE("[2,12,24,4,2]", "[96,192,384,768,1536]", CLIP_2)},
    {"fastvit_mci4", SIZE("[2,12,24,4,4]", "[128,256,512,1024,2048]", CLIP_2)},
    {NULL, NULL},
};

const tsr_arch tsr_arch_fast_vit = {
    .name = "fast_vit",
    .title = "FastViT",
    .paper = "Vasu et al. 2023, arXiv 2303.14189",
    .reference = "timm 1.0.31, models.fastvit.FastVit",
    .presets = presets,
    .build = build,
};
