/* ViT of a tutorial, as its text builds it step by step, for one-channel images and one output number, after "An Image
 * is Worth 16x16 Words" (Dosovitskiy et al., 2020, arXiv 2010.11929).
 * Reference: scripts/parity/references/tutorial_vit.py, written after the tutorial's description.
 *
 *   z0 = [0; x_p^1 E; ...; x_p^N E] + table                 0: the class token; table: sines and cosines by turns
 *   u  = LN(z);  q, k, v = u W
 *   z' = z + Linear(softmax(q k^T / sqrt(D)) v) + v         values skip attention and its projection
 *   z  = z' + Linear(GELU(Linear(LN(z'))))                  L times
 *   y  = Linear(LN(z)[0])
 *
 * Traps:
 * - A patch's numbers are in nn.Unfold's order (c, row, column).
 * - The zero token is no weight.
 * - Column j of the table has frequency 10000^(-2 floor(j / 2) / C), sine where j is even.
 * - qk_scale 0 means the default, as in the tutorial.
 * - The table is computed for as many tokens as there are, so images of any whole number of patches run. */
#include <math.h>

#include "arch.h"

typedef struct tutorial_config {
  int image[3], patch, dim, depth, heads, hidden, qkv_bias, classes; /* image: channels, rows, columns */
  float scale;
} tutorial_config;

static tutorial_config read_config(tsr_builder *b) {
  static const int size[3] = {1, 60, 100};
  tutorial_config c;
  tsr_config_list(b, "img_size", size, 1, TSR_MAX_SIDE, 3, 3, c.image);
  c.patch = tsr_config_int(b, "patch_size", 20, 1, TSR_MAX_SIDE);
  c.dim = tsr_config_int(b, "token_len", 768, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", 1, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "num_heads", 4, 1, TSR_MAX_HEADS);
  c.hidden = (int)(c.dim * tsr_config_number(b, "hidden_chan_mul", 1.5, 1.0 / TSR_MAX_DIM, 64));
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 0);
  c.scale = (float)tsr_config_number(b, "qk_scale", 0, -1e6, 1e6);
  c.classes = tsr_config_int(b, "num_classes", 1, 1, TSR_MAX_CLASSES);
  if (c.image[0] > 64 || c.image[1] % c.patch || c.image[2] % c.patch)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"img_size\" is [%d,%d,%d]; expected at most 64 channels and sides that are multiples "
             "of \"patch_size\", %d",
             c.image[0], c.image[1], c.image[2], c.patch);
  if (c.dim % c.heads || !c.hidden)
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"token_len\" is %d; expected a multiple of \"num_heads\", %d, and "
             "a \"hidden_chan_mul\" that leaves a hidden channel",
             c.dim, c.heads);
  return c;
}

/* [N,C] */
static tsr_value sinusoid_table(tsr_builder *b, int count, int dim) {
  float *table;
  tsr_value value = tsr_constant(b, tsr_shape_of(2, count, dim), &table);
  for (int j = 0; table && j < dim; j++) {
    float power = (float)tsr_exp(9.210340371976184 * ((float)(j & ~1) / (float)dim)); /* 10000^... */
    for (int i = 0; i < count; i++)
      table[i * dim + j] = (float)(j & 1 ? tsr_cos((float)i / power) : tsr_sin((float)i / power));
  }
  return value;
}

static tsr_value encoder(tsr_builder *b, tsr_value x, const tutorial_config *c, tsr_meaning tokens, int layer) {
  tsr_attention attention = tsr_nn_heads(c->heads, c->dim / c->heads, tokens, layer);
  if (c->scale != 0) attention.scale = c->scale;
  tsr_value qkv = tsr_nn_linear(b, "attn.qkv", tsr_nn_layer_norm(b, "norm1", x), 3 * c->dim, c->qkv_bias);
  tsr_value skipped = tsr_nn_add(b, x, tsr_nn_slice(b, qkv, 2, 2 * c->dim, 3 * c->dim));
  x = tsr_nn_linear_add(b, "attn.proj", tsr_nn_attention_qkv(b, qkv, attention), c->dim, TSR_BIAS, skipped);
  tsr_value y =
      tsr_nn_linear_act(b, "neuralnet.fc1", tsr_nn_layer_norm(b, "norm2", x), c->hidden, TSR_BIAS, TSR_ACT_GELU);
  return tsr_nn_linear_add(b, "neuralnet.fc2", y, c->dim, TSR_BIAS, x);
}

static tsr_value build(tsr_builder *b) {
  tutorial_config c = read_config(b);
  int numbers = c.image[0] * c.patch * c.patch;
  tsr_value image = tsr_input_image(b, c.image[0], c.image[1], c.image[2]),
            x = tsr_nn_patchify(b, image, c.patch, c.patch);
  tsr_meaning tokens = {"tokens", tsr_dim(b, image, 2) / c.patch, tsr_dim(b, image, 3) / c.patch, 0};
  tsr_shape apart = tsr_shape_of(4, tsr_dim(b, x, 0), tsr_dim(b, x, 1), c.patch * c.patch, c.image[0]);
  if (c.image[0] > 1) x = tsr_nn_permute(b, tsr_nn_reshape(b, x, apart), (int[]){0, 1, 3, 2});
  x = tsr_nn_reshape(b, x, tsr_shape_of(3, apart.dims[0], apart.dims[1], numbers));
  tsr_tap_add(b, x, tokens, "patches");
  x = tsr_nn_linear(b, "patch_tokens.project", x, c.dim, TSR_BIAS); /* [B,N,C] */
  tsr_tap_add(b, x, tokens, "patch_embed");
  x = tsr_nn_pad(b, x, 1, 1, 0);
  tokens.prefix_tokens = 1;
  tsr_value table = sinusoid_table(b, tsr_dim(b, x, 1), c.dim);
  tsr_meaning position = tokens;
  position.kind = "position";
  tsr_tap_add(b, table, position, "pos_embedding");
  x = tsr_nn_add(b, x, table);
  for (int i = 0; i < c.depth; i++) {
    tsr_enter(b, "blocks.%d", i);
    x = encoder(b, x, &c, tokens, i);
    tsr_leave(b);
    tsr_tap_add(b, x, tokens, "blocks.%d", i);
  }
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_tap_add(b, x, tokens, "tokens");
  x = tsr_vit_pool(b, x, &(tsr_vit){0});
  return tsr_nn_linear(b, "head", x, c.classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny", "{\"img_size\":[1,12,20],\"patch_size\":4,\"token_len\":16,\"num_heads\":2}"},
    {"tutorial", "{}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_tutorial_vit = {
    .name = "tutorial_vit",
    .title = "A tutorial's Vision Transformer",
    .paper = "after Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "scripts/parity/references/tutorial_vit.py",
    .presets = presets,
    .build = build,
};
