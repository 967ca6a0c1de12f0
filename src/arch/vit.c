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
#include "../build.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 0);
  tsr_vit_config_more(b, &c);
  int prefix = !c.mean_pool, patches = c.image[0] / c.patch[0] * (c.image[1] / c.patch[1]);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_meaning tokens = tsr_vit_grid(b, image, &c);
  tsr_value x = tsr_nn_patch_embed(b, image, c.patch[0], c.patch[1], c.dim); /* [B,N,C] */
  tsr_tap_add(b, x, tokens, "patch_embed");
  tsr_value cls = tsr_weight_vector(b, "cls_token", tsr_shape_of(2, prefix, c.dim)); /* the reference keeps an empty one with pool 'mean' */
  if (prefix) x = tsr_nn_prepend(b, cls, x); /* [B,1+N,C] */
  tokens.prefix_tokens = prefix;
  x = tsr_vit_add_positions(b, x, tsr_shape_of(2, patches + prefix, c.dim), &c, tokens);

  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  if (!c.num_classes) {
    tsr_output_means(b, tokens);
    return x;
  }
  return tsr_nn_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
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
