/* Distillation: "Training data-efficient image transformers & distillation through attention" (Touvron et al., 2020,
 * arXiv 2012.12877), a student with a token that learns a teacher's logits.
 * Reference: vit-pytorch 1.26.11, module distill, class DistillWrapper, with a DistillableViT.
 *
 *   s, d = student(x, distillation_token);  e = Linear(d)             s: logits; e: logits of the distillation token
 *   soft: L = T^2 KL(softmax(t / T) || softmax(e / T))                t: the teacher's logits
 *   hard: L = CE(e, argmax t)
 *   loss = (1 - alpha) CE(s, labels) + alpha L
 *
 * Traps:
 * - The teacher's logits are an input, whatever computes them. The teacher's weights, where the state_dict has them,
 *   are not read.
 * - KL is a mean over the batch, not over classes.
 * - The student always has its distillation token here, so the logits s depend on it. */
#include "arch.h"

/* "labels": class numbers [B], or probabilities [B,K]. */
static tsr_value read_labels(tsr_builder *b, int batch, int classes) {
  int shares = tsr_input_ndim(b, "labels") == 2;
  return tsr_input_optional(b, "labels", shares ? tsr_shape_of(2, batch, classes) : tsr_shape_of(1, batch));
}

static tsr_value build(tsr_builder *b) {
  static const char *const nets[] = {"distillable_vit", NULL};
  int image[2];
  /* Inputs need these keys of the student's config before the student reads it. */
  tsr_settings student = tsr_config_inner(b, "student", "student key");
  tsr_setting_choice(b, &student, "arch", nets, 0);
  int channels = tsr_setting_int(b, &student, "channels", 3, 1, 64);
  int dim = tsr_setting_int(b, &student, "dim", TSR_REQUIRED, 1, TSR_MAX_DIM);
  tsr_setting_pair(b, &student, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE, image);
  int classes = tsr_setting_int(b, &student, "num_classes", TSR_REQUIRED, 1, TSR_MAX_CLASSES);
  int hard = tsr_config_bool(b, "hard", 0), has_norm = tsr_config_bool(b, "mlp_layernorm", 0);
  float temperature =
      (float)tsr_option_number(b, "temperature", tsr_config_number(b, "temperature", 1, 1e-4, 1e4), 1e-4, 1e4);
  float alpha = (float)tsr_option_number(b, "alpha", tsr_config_number(b, "alpha", 0.5, 0, 1), 0, 1);
  tsr_net net = {.key = "student",
                 .what = "student key",
                 .archs = nets,
                 .scope = "student",
                 .prefix = "",
                 .watch = "distill_token",
                 .input = "distill_token",
                 .image = tsr_input_image(b, channels, image[0], image[1])};
  tsr_value labels = read_labels(b, tsr_dim(b, net.image, 0), classes);
  tsr_value teacher = tsr_input_optional(b, "teacher_logits", tsr_shape_of(2, tsr_dim(b, net.image, 0), classes)),
            answer;
  if ((labels == TSR_NO_VALUE) != (teacher == TSR_NO_VALUE) && !tsr_failed(b))
    return tsr_fail(b, TSR_ERR_ARGUMENT,
                    "only one of the inputs \"labels\" and \"teacher_logits\" was given; give both or none");
  net.given = tsr_weight_vector(b, "distillation_token", tsr_shape_of(2, 1, dim));
  tsr_value logits = tsr_net_build(b, &net, &answer);
  tsr_enter(b, "distill_mlp");
  if (has_norm) answer = tsr_nn_layer_norm(b, "0", answer);
  answer = tsr_nn_linear(b, "1", answer, classes, TSR_BIAS);
  tsr_leave(b);
  tsr_tap_add(b, answer, (tsr_meaning){.kind = "logits"}, "distill_logits");
  if (labels == TSR_NO_VALUE) return logits;
  tsr_tap_add(b, logits, (tsr_meaning){.kind = "logits"}, "logits");
  tsr_value loss = tsr_nn_cross_entropy(b, logits, labels, 1, 0);
  teacher = hard
                ? tsr_nn_cross_entropy(b, answer, tsr_nn_argmax(b, teacher), 1, 0)
                : tsr_nn_times(b, tsr_nn_kl_divergence(b, answer, teacher, 1 / temperature), temperature * temperature);
  tsr_tap_add(b, loss, (tsr_meaning){.kind = "loss"}, "loss.labels");
  tsr_tap_add(b, teacher, (tsr_meaning){.kind = "loss"}, "loss.teacher");
  tsr_output_means(b, (tsr_meaning){.kind = "loss"});
  return tsr_nn_add(b, tsr_nn_times(b, loss, 1 - alpha), tsr_nn_times(b, teacher, alpha));
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"student\":{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":1,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8}}"},
    {"deit_s_16",
     "{\"student\":{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":384,\"depth\":12,\"heads\":6,"
     "\"mlp_dim\":1536},\"hard\":true}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_distill = {
    .name = "distill",
    .title = "Distillation into a Vision Transformer",
    .paper = "Touvron et al. 2020, arXiv 2012.12877",
    .reference = "vit-pytorch 1.26.11, distill.DistillWrapper",
    .presets = presets,
    .build = build,
};
