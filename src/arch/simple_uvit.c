/* SimpleUViT: "All are Worth Words: A ViT Backbone for Diffusion Models" (Bao et al., 2022, arXiv 2209.12152), a
 * SimpleViT with skip connections, as a classifier.
 * Reference: vit-pytorch 1.26.11, module simple_uvit, class SimpleUViT.
 *
 *   z0 = [x_p^1 E + sincos2d; ...; x_p^N E + sincos2d; r_1; ...; r_R]     registers: learned, without position
 *   z  = Linear([s; z])        before layers of the second half; s: the input of the layer as far from the middle
 *   z' = MSA(LN(z)) + z;  z = MLP(LN(z')) + z'        L times
 *   y  = Linear(mean over the patches' tokens of LN(z))
 *
 * Traps:
 * - Skip connections carry a layer's input, not its output.
 * - The middle one of an odd number of layers has no skip connection.
 * - Of a layer's three parts the first has weights in the second half only.
 * - The feed-forward is a Sequential: 0, 1 and 3. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config_simple(b, 1);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_add_registers(b, tsr_vit_start_simple(b, &c, &tokens), &tokens),
            seen[TSR_MAX_DEPTH]; /* [B,N+R,C] */
  tsr_transformer layers = tsr_vit_layers_simple(&c, tokens);
  layers.bare = 1, layers.first = 1;
  tsr_enter(b, "transformer");
  for (int i = 0; i < c.depth; i++) {
    int from = c.depth - 1 - i; /* the layer as far from the middle */
    seen[i] = x;
    if (from < i) {
      tsr_enter(b, "layers.%d", i);
      x = tsr_nn_linear(b, "0", tsr_nn_concat(b, 2, 2, (tsr_value[]){seen[from], x}), c.dim, TSR_BIAS);
      tsr_leave(b);
    }
    x = tsr_nn_transformer_layer(b, x, &layers, i);
  }
  x = tsr_nn_layer_norm(b, "norm", x);
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  x = tsr_nn_slice(b, x, 1, 0, tsr_dim(b, x, 1) - tokens.suffix_tokens);
  return tsr_nn_linear(b, "linear_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":3,\"heads\":2,\"mlp_dim\":32,"
     "\"dim_head\":8}"},
    {"simple_uvit_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"simple_uvit_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simple_uvit = {
    .name = "simple_uvit",
    .title = "SimpleViT with skip connections, as a U",
    .paper = "Bao et al. 2022, arXiv 2209.12152",
    .reference = "vit-pytorch 1.26.11, simple_uvit.SimpleUViT",
    .presets = presets,
    .build = build,
};
