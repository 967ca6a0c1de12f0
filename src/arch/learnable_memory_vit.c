/* ViT with learnable memory: "Fine-tuning Image Transformers using Learnable Memory", Sandler et al., 2022, arXiv 2203.15243.
 * Reference: vit-pytorch 1.26.11, module learnable_memory_vit, class ViT: the backbone that adapters with memories are trained for.
 *
 *   z0 = [x_class; x_p E] + E_pos;  z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z' (L times);  y = Linear(LN(z[class]))
 *
 * Traps: queries are projected apart from keys and values, so that memories can join the latter; `pool` is accepted, but the head reads
 * the class token always; the output projection is always there; no norm behind the last layer; pictures have the config's size. */
#include "../build.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  c.mean_pool = 0;
  tsr_meaning tokens;
  tsr_value x = tsr_vit_tokens(b, &c, &tokens); /* [B,1+N,C] */
  if (!tsr_failed(b) && (tokens.grid_h != c.image[0] / c.patch[0] || tokens.grid_w != c.image[1] / c.patch[1]))
    return tsr_fail(b, TSR_ERR_SHAPE, "a picture of %d x %d does not fit the position table; this model takes %d x %d",
                    tokens.grid_h * c.patch[0], tokens.grid_w * c.patch[1], c.image[0], c.image[1]);
  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  layers.split = 1;
  layers.to_out = "to_out.0";
  x = tsr_nn_transformer(b, x, &layers);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  return tsr_nn_norm_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes);
}

#define SIZE(patch, dim, heads, mlp)                                                                                    \
  "{\"image_size\":224,\"patch_size\":" patch ",\"num_classes\":1000,\"dim\":" dim ",\"depth\":12,\"heads\":" heads \
  ",\"mlp_dim\":" mlp "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32,\"dim_head\":8}"},
    {"learnable_memory_vit_b_32", SIZE("32", "768", "12", "3072")},
    {"learnable_memory_vit_b_16", SIZE("16", "768", "12", "3072")},
    {NULL, NULL}};

const tsr_arch tsr_arch_learnable_memory_vit = {
    .name = "learnable_memory_vit",
    .title = "Vision Transformer for learnable memory",
    .paper = "Sandler et al. 2022, arXiv 2203.15243",
    .reference = "vit-pytorch 1.26.11, learnable_memory_vit.ViT",
    .presets = presets,
    .build = build,
};
