/* DeiT's student: "Training data-efficient image transformers & distillation through attention" (Touvron et al., 2020,
 * arXiv 2012.12877), a ViT that takes a distillation token.
 * Reference: vit-pytorch 1.26.11, module distill, class DistillableViT.
 *
 *   z0 = [x_class; x_p E] + E_pos, and behind it the distillation token, if one is given: it has no position
 *   ViT's layers;  y = Linear(LN(z)[class]); the teacher's logits are learned from LN(z)[last]
 *
 * Traps:
 * - Weights and config are ViT's, so a file runs as arch "vit" too.
 * - The distillation token is an input here, not a weight, because it belongs to the wrapper that trains.
 * - With pool 'mean' the distillation token is not in the mean. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  tsr_vit c = tsr_vit_config(b, 1);
  tsr_vit_config_more(b, &c);
  tsr_meaning tokens;
  tsr_value x = tsr_vit_own_tokens(b, &c, &tokens);
  int n = tsr_dim(b, x, 1), batch = tsr_dim(b, x, 0);
  tsr_value distill = tsr_input_optional(b, "distill_token", tsr_shape_of(2, 0, c.dim));
  int distills = distill != TSR_NO_VALUE, count = tsr_dim(b, distill, 0);
  if (distills) {
    distill = tsr_nn_reshape(b, distill, tsr_shape_of(3, 1, count, c.dim));
    distill = tsr_nn_expand(b, distill, tsr_shape_of(3, batch, count, c.dim));
    x = tsr_nn_concat(b, 1, 2, (tsr_value[]){x, distill}); /* [B,1+N+1,C] */
    n += count - 1;                                        /* of several tokens the last counts, as in the reference */
    tokens.suffix_tokens = (short)count;
  }

  tsr_enter(b, "transformer");
  tsr_transformer layers = tsr_vit_layers(&c, tokens);
  x = tsr_nn_layer_norm(b, "norm", tsr_nn_transformer(b, x, &layers));
  tsr_leave(b);
  tsr_tap_add(b, x, tokens, "tokens");
  if (distills) {
    tsr_tap_add(b, tsr_nn_token(b, x, n), (tsr_meaning){.kind = "embedding"}, "distill_token");
    x = tsr_nn_slice(b, x, 1, 0, n);
  }
  return tsr_nn_linear(b, "mlp_head", tsr_vit_pool(b, x, &c), c.num_classes, TSR_BIAS);
}

static const tsr_preset presets[] = {
    {"tiny", TSR_VIT_TINY},
    {"deit_ti_16", TSR_VIT_SIZE("192", "12", "3", "768")},
    {"deit_s_16", TSR_VIT_SIZE("384", "12", "6", "1536")},
    {"deit_b_16", TSR_VIT_SIZE("768", "12", "12", "3072")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_distillable_vit = {
    .name = "distillable_vit",
    .title = "Distillable Vision Transformer",
    .paper = "Touvron et al. 2020, arXiv 2012.12877",
    .reference = "vit-pytorch 1.26.11, distill.DistillableViT",
    .presets = presets,
    .build = build,
};
