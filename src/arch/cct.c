/* CCT: "Escaping the Big Data Paradigm with Compact Transformers", Hassani et al., 2021, arXiv 2104.05704.
 * Reference: vit-pytorch 1.26.11, module cct, class CCT and functions cct_2 ... cct_16.
 *
 *   x  = MaxPool(ReLU(Conv(x)))                       n_conv_layers times: overlapping tokens instead of patches
 *   z  = tokens(x) + E_pos                            learnable, sine, or none
 *   z  = z + MSA(LN(z));  z = LN(z);  z = z + MLP(z)  L times
 *   z  = LN(z)
 *   y  = Linear(softmax(g(z))^T z)                    sequence pooling: g is a Linear to one number a token
 *
 * Traps
 *   - The second norm of a layer is applied to the residual stream itself, so the MLP's shortcut carries normalised
 *     values.
 *   - All hidden convolution layers have 64 planes, whatever the width. Convolutions and qkv have no bias.
 *   - The checkpoint holds the sine table, so it is read like a learnable one.
 *   - seq_pool false has a class token instead. It is an option of the reference's TransformerClassifier that its class
 *     CCT does not pass on; it is accepted here.
 *   - With positional_embedding 'none' images of other sizes run too. The reference stops with an AttributeError on
 *     smaller ones.
 *
 * Shapes: B batch, N tokens. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_cct c = tsr_cct_config(b);
  tsr_value image = c.position == TSR_CCT_NONE ? tsr_input_image(b, c.channels, c.image[0], c.image[1])
                                               : tsr_input_image_of_size(b, c.channels, c.image[0], c.image[1]);

  /* x = MaxPool(ReLU(Conv(x)));  z = tokens(x) + E_pos: parts/cct.c has the functions tsr_cct_... */
  tsr_meaning tokens;
  tsr_value z = tsr_cct_tokens(b, image, &c, &tokens); /* [B,N,dim] */
  tsr_enter(b, "classifier");
  tokens.prefix_tokens = !c.seq_pool;
  if (!c.seq_pool) z = tsr_nn_prepend(b, tsr_weight_vector(b, "class_emb", tsr_shape_of(3, 1, 1, c.dim)), z);
  z = tsr_cct_add_positions(b, z, &c, tokens);

  /* z = z + MSA(LN(z));  z = LN(z);  z = z + MLP(z): tsr_cct_layer (parts/cct.c) */
  for (int i = 0; i < c.layers; i++) z = tsr_cct_layer(b, z, &c, tokens, i);

  /* z = LN(z);  y = Linear(softmax(g(z))^T z): tsr_cct_pool (parts/cct.c) has the pooling */
  z = tsr_nn_layer_norm(b, "norm", z);
  tsr_tap_add(b, z, tokens, "tokens");
  tsr_value y = tsr_cct_pool(b, z, &c, tokens); /* [B,dim] */
  tsr_tap_add(b, y, (tsr_meaning){.kind = "embedding"}, "embedding");
  y = tsr_nn_linear(b, "fc", y, c.num_classes, TSR_BIAS);
  tsr_leave(b);
  return y;
}

#define SIZE(layers, heads, ratio, dim) \
  "{\"num_layers\":" layers ",\"num_heads\":" heads ",\"mlp_ratio\":" ratio ",\"embedding_dim\":" dim "}"

static const tsr_preset presets[] = {
    {"tiny",
     "{\"img_size\":16,\"n_conv_layers\":2,\"num_layers\":2,\"num_heads\":2,\"mlp_ratio\":1,\"embedding_dim\":32,"
     "\"num_classes\":10,\"positional_embedding\":\"learnable\"}"},
    {"cct_2", SIZE("2", "2", "1", "128")},
    {"cct_4", SIZE("4", "2", "1", "128")},
    {"cct_6", SIZE("6", "4", "2", "256")},
    {"cct_7", SIZE("7", "4", "2", "256")},
    {"cct_8", SIZE("8", "4", "2", "256")},
    {"cct_14", SIZE("14", "6", "3", "384")},
    {"cct_16", SIZE("16", "6", "3", "384")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_cct = {
    .name = "cct",
    .title = "Compact Convolutional Transformer",
    .paper = "Hassani et al. 2021, arXiv 2104.05704",
    .reference = "vit-pytorch 1.26.11, cct.CCT",
    .presets = presets,
    .build = build,
};
