/* CCT for video: "Escaping the Big Data Paradigm with Compact Transformers" (Hassani et al., 2021, arXiv 2104.05704),
 * with 3-D convolutions.
 * Reference: vit-pytorch 1.26.11, module cct_3d, class CCT and functions cct_2 ... cct_16.
 *
 *   x = MaxPool3(ReLU(Conv3(x)))                n_conv_layers times: overlapping tokens in space and time
 *   the rest as in cct, over the tokens of all frames
 *
 * Traps:
 * - All traps of cct apply, seq_pool included.
 * - The default windows keep all frames: kernel 3, stride 1, padding 1, then pooling of 1.
 * - The sine table is a buffer of the file.
 * - With positional_embedding 'none' other sizes run too. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_cct c = tsr_cct_config(b);
  c.frames = tsr_config_int(b, "num_frames", 8, 1, TSR_MAX_SIDE);
  c.frame_kernel = tsr_config_int(b, "frame_kernel_size", 3, 1, 63);
  c.frame_stride = tsr_config_int(b, "frame_stride", 1, 1, 64);
  c.frame_padding = tsr_config_int(b, "frame_padding", c.frame_kernel / 2, 0, 64);
  c.frame_pool_kernel = tsr_config_int(b, "frame_pooling_kernel_size", 1, 1, 63);
  c.frame_pool_stride = tsr_config_int(b, "frame_pooling_stride", 1, 1, 64);
  c.frame_pool_padding = tsr_config_int(b, "frame_pooling_padding", c.frame_pool_kernel / 2, 0, 31);
  tsr_value video = tsr_input_video(b, c.channels, c.frames, c.image[0], c.image[1]);
  int f = tsr_dim(b, video, 2), h = tsr_dim(b, video, 3), w = tsr_dim(b, video, 4);
  if (!tsr_failed(b) && (f != c.frames || h != c.image[0] || w != c.image[1]) && c.position != TSR_CCT_NONE)
    return tsr_fail(
        b, TSR_ERR_SHAPE,
        "a video of %d frames of %d x %d does not fit the position table; this model takes %d frames of %d x %d", f, h,
        w, c.frames, c.image[0], c.image[1]);
  tsr_meaning tokens;
  tsr_value z = tsr_cct_tokens(b, video, &c, &tokens); /* [B,N,dim] */
  tsr_enter(b, "classifier");
  tokens.prefix_tokens = !c.seq_pool;
  if (!c.seq_pool) z = tsr_nn_prepend(b, tsr_weight_vector(b, "class_emb", tsr_shape_of(3, 1, 1, c.dim)), z);
  z = tsr_cct_add_positions(b, z, &c, tokens);
  for (int i = 0; i < c.layers; i++) z = tsr_cct_layer(b, z, &c, tokens, i);
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
     "{\"img_size\":16,\"num_frames\":4,\"n_conv_layers\":2,\"num_layers\":2,\"num_heads\":2,\"mlp_ratio\":1,"
     "\"embedding_dim\":32,\"num_classes\":10,\"positional_embedding\":\"learnable\"}"},
    {"cct_2", SIZE("2", "2", "1", "128")},
    {"cct_4", SIZE("4", "2", "1", "128")},
    {"cct_6", SIZE("6", "4", "2", "256")},
    {"cct_7", SIZE("7", "4", "2", "256")},
    {"cct_8", SIZE("8", "4", "2", "256")},
    {"cct_14", SIZE("14", "6", "3", "384")},
    {"cct_16", SIZE("16", "6", "3", "384")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_cct_3d = {
    .name = "cct_3d",
    .title = "Compact Convolutional Transformer for video",
    .paper = "Hassani et al. 2021, arXiv 2104.05704",
    .reference = "vit-pytorch 1.26.11, cct_3d.CCT",
    .presets = presets,
    .build = build,
};
