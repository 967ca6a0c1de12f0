/* Masked patch prediction: "An Image is Worth 16x16 Words" (Dosovitskiy et al., 2020, arXiv 2010.11929, B.1.2), a ViT
 * that predicts the mean colour of masked patches.
 * Reference: vit-pytorch 1.26.11, module mpp, class MPP, around vit.ViT.
 *
 *   x'_p = m, another patch, or x_p itself, for masked patches; x_p for the others
 *   y = Linear(Transformer([x_class; x' E] + E_pos)) of patches: logits of 2^(bits C) mean colours
 *   loss = mean over the masked of -log softmax(y)[sum_c 2^(bits c) bin(mean colour c of x_p)]
 *
 * Traps:
 * - The mask token m is pixels, before the patches' norm.
 * - A bin includes its upper end and not its lower.
 * - Colours are clipped at max_pixel_val only above, after mean and std are undone.
 * - The share of random patches is random_patch_prob / (1 - replace_prob). A patch drawn for both gets the mask token.
 * - Tables have the leading dim that ViT's had when the reference was written; the reference does not run on others. */
#include "arch.h"

typedef struct mpp_config {
  tsr_vit c;
  int bits;
  double hidden, replaced, random, top;
  float mean[64], std[64];
  int has_mean;
} mpp_config;

static void read_config(tsr_builder *b, mpp_config *m) {
  m->c = tsr_masking_vit(b, "transformer", "transformer key");
  tsr_config_int(b, "patch_size", TSR_REQUIRED, m->c.patch[0], m->c.patch[1]);
  tsr_config_int(b, "dim", TSR_REQUIRED, m->c.dim, m->c.dim);
  int channels = tsr_config_int(b, "channels", 3, 1, 64);
  m->bits = tsr_config_int(b, "output_channel_bits", 3, 1, 8);
  m->top = tsr_config_number(b, "max_pixel_val", 1, 1e-6, 1e6);
  m->hidden = tsr_config_number(b, "mask_prob", 0.15, 1e-6, 1 - 1e-6);
  m->replaced = tsr_config_number(b, "replace_prob", 0.5, 0, 1);
  m->random = tsr_config_number(b, "random_patch_prob", 0.5, 0, 1);
  int has_mean = tsr_setting_numbers(b, &b->config, "mean", channels, m->mean);
  m->has_mean = tsr_setting_numbers(b, &b->config, "std", channels, m->std) && has_mean;
  if (channels != m->c.channels || m->bits * channels > 18)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"channels\" is %d; expected the transformer's, %d, and at most 18 bits for all "
             "channels (\"output_channel_bits\")",
             channels, m->c.channels);
}

/* The patch that replaces each patch, N for the mask token [B,N]: input "source", or drawn for masked patches. */
static tsr_value read_source(tsr_builder *b, const mpp_config *c, tsr_masking *m, int batch, int n) {
  float *out;
  const float *given = tsr_input_numbers(b, "source", tsr_shape_of(2, batch, n));
  tsr_value source = tsr_constant(b, tsr_shape_of(2, batch, n), &out);
  double random = c->replaced < 1 ? c->random / (1 - c->replaced) : 0;
  for (int i = 0; out && i < batch * n; i++) {
    double draws[3];
    for (int k = 0; k < 3; k++) draws[k] = tsr_random_unit(&m->random);
    out[i] = (float)(i % n);
    if (m->map[i] != 1) continue;
    if (draws[0] < random) out[i] = (float)(int)(draws[1] * n);
    if (draws[2] < c->replaced) out[i] = (float)n;
    if (given) out[i] = given[i];
    if (!(out[i] >= 0 && out[i] <= n && out[i] == (float)(int)out[i]))
      return tsr_fail(b, TSR_ERR_ARGUMENT,
                      "input \"source\" is %g at [%d,%d]; expected a patch from 0 to %d, or %d for the mask token",
                      (double)out[i], i / n, i % n, n - 1, n);
  }
  return source;
}

/* A constant: first, first + step, first + 2 step, ... */
static tsr_value steps(tsr_builder *b, tsr_shape shape, double first, double step) {
  float *out;
  tsr_value value = tsr_constant(b, shape, &out);
  for (size_t i = 0; out && i < tsr_shape_count(&shape, NULL); i++) out[i] = (float)(first + step * (double)i);
  return value;
}

static tsr_value numbers(tsr_builder *b, int count, const float *from) {
  float *out;
  tsr_value value = tsr_constant(b, tsr_shape_of(1, count), &out);
  for (int i = 0; out && i < count; i++) out[i] = from[i];
  return value;
}

/* Pixels of R patches [..,P P C] -> the class of each patch's mean colour [R]. A very steep sigmoid is the step
 * function, shifted so that 0 is below the step. */
static tsr_value colours(tsr_builder *b, tsr_value x, int rows, const mpp_config *m) {
  int channels = m->c.channels, bins = 1 << m->bits, area = m->c.patch[0] * m->c.patch[1];
  float *weights;
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, rows, area, channels));
  if (m->has_mean) x = tsr_nn_add(b, tsr_nn_mul(b, x, numbers(b, channels, m->std)), numbers(b, channels, m->mean));
  tsr_value above = tsr_nn_activate(b, tsr_nn_add(b, x, steps(b, tsr_shape_of(1, 1), -m->top, 0)), TSR_ACT_RELU);
  x = tsr_nn_mean(b, tsr_nn_add(b, x, tsr_nn_times(b, above, -1)), 1);
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, rows, channels, 1));
  x = tsr_nn_add(b, x, steps(b, tsr_shape_of(1, bins - 1), -m->top / bins, -m->top / bins));
  x = tsr_nn_add(b, tsr_nn_times(b, x, 1e30f), steps(b, tsr_shape_of(1, 1), -40, 0));
  x = tsr_nn_reshape(b, tsr_nn_activate(b, x, TSR_ACT_SIGMOID), tsr_shape_of(3, 1, rows, channels * (bins - 1)));
  tsr_value factors = tsr_constant(b, tsr_shape_of(3, 1, channels * (bins - 1), 1), &weights);
  for (int i = 0; weights && i < channels * (bins - 1); i++) weights[i] = (float)(1 << m->bits * (i / (bins - 1)));
  x = tsr_nn_reshape(b, tsr_nn_bmm(b, x, factors, 0), tsr_shape_of(1, rows));
  return tsr_nn_add(b, tsr_nn_add(b, x, steps(b, tsr_shape_of(1, 1), 1, 0)),
                    steps(b, tsr_shape_of(1, 1), -1, 0)); /* + 1 - 1 rounds tiny remainders to 0 */
}

static tsr_value build(tsr_builder *b) {
  mpp_config c = {0};
  read_config(b, &c);
  if (tsr_failed(b)) return TSR_NO_VALUE; /* sizes below are powers of numbers that were read */
  tsr_value image = tsr_input_image(b, c.c.channels, c.c.image[0], c.c.image[1]);
  tsr_value patches = tsr_nn_patchify(b, image, c.c.patch[0], c.c.patch[1]); /* [B,N,P P C] */
  tsr_meaning tokens = tsr_vit_grid(b, image, &c.c);
  int batch = tsr_dim(b, image, 0), n = tokens.grid_h * tokens.grid_w, width = tsr_dim(b, patches, 2);
  tsr_masking m = tsr_masking_read(b, batch, tokens, c.hidden, 1);
  tsr_value source = read_source(b, &c, &m, batch, n);
  tsr_value token = tsr_weight_vector(b, "mask_token", tsr_shape_of(3, 1, 1, width));
  token = tsr_nn_expand(b, token, tsr_shape_of(3, batch, 1, width));
  tsr_value x = tsr_nn_gather(b, tsr_nn_concat(b, 1, 2, (tsr_value[]){patches, token}), source);
  tsr_enter(b, "patch_to_emb.0");
  x = tsr_nn_embed_patches(b, x, c.c.dim);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "patch_embed");
  tsr_enter(b, "transformer");
  x = tsr_vit_start(b, x, &c.c, &tokens); /* [B,1+N,C] */
  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c.c, tokens);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  x = tsr_nn_slice(b, x, 1, 1, tsr_dim(b, x, 1));
  x = tsr_nn_linear(b, "to_bits", x, 1 << c.bits * c.c.channels, TSR_BIAS);
  if (tsr_tap_offer(b, tsr_shape_of(1, 1), (tsr_meaning){.kind = "loss"}, "loss")) {
    tsr_value logits = tsr_nn_gather(b, x, m.hidden),
              shown = colours(b, tsr_nn_gather(b, patches, m.hidden), batch * m.count, &c);
    logits = tsr_nn_reshape(b, logits, tsr_shape_of(2, batch * m.count, tsr_dim(b, x, 2)));
    tsr_tap_give(b, tsr_nn_cross_entropy(b, logits, shown, 1, 0));
  }
  tokens.kind = "colour_logits", tokens.prefix_tokens = 0;
  tsr_output_means(b, tokens);
  return x;
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"transformer\":{\"image_size\":16,\"patch_size\":4,\"num_classes\":3,\"dim\":16,\"depth\":2,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8},\"patch_size\":4,\"dim\":16,\"output_channel_bits\":1}"},
    {"mpp_vit_b_16",
     "{\"transformer\":{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":768,\"depth\":12,"
     "\"heads\":12,\"mlp_dim\":3072},\"patch_size\":16,\"dim\":768,\"mask_prob\":0.5,\"replace_prob\":0.8,"
     "\"random_patch_prob\":0.1}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_mpp = {
    .name = "mpp",
    .title = "Masked patch prediction",
    .paper = "Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "vit-pytorch 1.26.11, mpp.MPP",
    .presets = presets,
    .build = build,
};
