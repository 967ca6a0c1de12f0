/* SimMIM: "SimMIM: A Simple Framework for Masked Image Modeling" (Xie et al., 2021, arXiv 2111.09886), a ViT that
 * predicts the pixels of masked patches.
 * Reference: vit-pytorch 1.26.11, module simmim, class SimMIM, around vit.ViT.
 *
 *   z0 = x_p E + E_pos, with m in place of x_p E where a patch is masked
 *   y = Linear(Transformer(z0)) of the masked patches
 *   loss = mean |y - x_p| / K                                 K patches are masked
 *
 * Traps:
 * - The loss is divided by K although it is a mean already.
 * - There is no class token, but its row is in the position table: [1,1+N,C], as ViT had it until the table lost its
 *   first dim. The reference does not run on a table without that dim.
 * - The pixels to predict are the input's.
 * - The encoder's head is not read. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_masking_vit(b, "encoder", "encoder key");
  double ratio = tsr_masking_ratio(b, 0.5);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  tsr_value patches = tsr_nn_patchify(b, image, c.patch[0], c.patch[1]); /* [B,N,P P C] */
  tsr_meaning grid = tsr_vit_grid(b, image, &c);
  tsr_masking m = tsr_masking_read(b, tsr_dim(b, image, 0), grid, ratio, 0);
  tsr_value token = tsr_weight_vector(b, "mask_token", tsr_shape_of(1, c.dim));

  tsr_enter(b, "encoder");
  tsr_enter(b, "to_patch_embedding");
  tsr_value x = tsr_nn_embed_patches(b, patches, c.dim);
  tsr_leave(b);
  tsr_tap_add(b, x, grid, "patch_embed");
  x = tsr_masking_fill(b, &m, token, tsr_nn_gather(b, x, m.seen)); /* [B,N,C] */
  x = tsr_vit_add_patch_positions(b, x, &c, 1, grid);
  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, grid);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  tsr_leave(b);
  tsr_tap_add(b, x, grid, "tokens");
  return tsr_masking_image(b, &m, tsr_nn_gather(b, x, m.hidden), patches, &c, grid,
                           (tsr_pixel_loss){.scale = 1 / (float)(m.count + !m.count)});
}

/* The paper's masking ratio and ViT-B. */
static const tsr_preset presets[] = {
    {"tiny",
     "{\"encoder\":{\"image_size\":16,\"patch_size\":4,\"num_classes\":3,\"dim\":16,\"depth\":2,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8}}"},
    {"simmim_vit_b_16",
     "{\"encoder\":{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":768,\"depth\":12,\"heads\":12,"
     "\"mlp_dim\":3072},\"masking_ratio\":0.6}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_simmim = {
    .name = "simmim",
    .title = "SimMIM",
    .paper = "Xie et al. 2021, arXiv 2111.09886",
    .reference = "vit-pytorch 1.26.11, simmim.SimMIM",
    .presets = presets,
    .build = build,
};
