/* DINO: "Emerging Properties in Self-Supervised Vision Transformers" (Caron et al., 2021, arXiv 2104.14294), a student
 * that learns from a teacher, which is its moving average.
 * Reference: vit-pytorch 1.26.11, module dino, class Dino.
 *
 *   s_i = P(f(local crop i)),  t_i = P'(f'(global crop i)),  i = 1, 2     f', P' follow f, P
 *   p_i = softmax((t_i - c) / teacher_temp);  loss = (H(p_1, s_2) + H(p_2, s_1)) / 2
 *   H(p, s) = -p log softmax(s / student_temp)
 *   afterwards, as update_moving_average:
 *     f', P' <- m f', P' + (1 - m) f, P;  c <- m_c c + (1 - m_c) mean of t_1 and t_2
 *
 * Traps:
 * - The caller makes the crops.
 * - The projector has a GELU after every layer but the last; inputs of the last layer have norm 1.
 * - The student's first crop given alone returns its embedding.
 * - The state_dict holds the student's network twice (`net` and `student_encoder.net`, one memory). Only the first is
 *   read, which is what safetensors' save_model keeps.
 * - The network's own head is in the file and learns nothing. */
#include "arch.h"

static tsr_value build(tsr_builder *b) {
  static const char *const nets[] = {"vit", "simple_vit", "deepvit", "parallel_vit", "vit_for_small_dataset", NULL};
  static const char *const layers[] = {"to_latent", NULL};
  tsr_teacher t = tsr_teacher_open(b);
  tsr_config_choice(b, "hidden_layer", layers, 0);
  tsr_value logits[4], embedding = TSR_NO_VALUE;
  for (int i = 0; i < 4; i++) {
    if (t.crops[i] == TSR_NO_VALUE) break;
    tsr_value x = tsr_teacher_see(b, &t, i, nets, "*embedding");
    logits[i] = tsr_teacher_project(b, &t, i, "projector", x);
    tsr_tap_add(b, logits[i], (tsr_meaning){.kind = "logits"}, "%sprojection", tsr_teacher_prefixes[i]);
    if (!i) embedding = x;
  }
  if (!t.learns) {
    tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
    return embedding;
  }
  tsr_value centers = tsr_teacher_centers(b, &t, "teacher_centers", "last_teacher_centers", logits[2], logits[3]),
            loss[2];
  for (int i = 0; i < 2; i++)
    loss[i] =
        tsr_nn_cross_entropy(b, logits[1 - i], tsr_teacher_shares(b, &t, logits[2 + i], centers), t.student_scale, 0);
  tsr_output_means(b, (tsr_meaning){.kind = "loss"});
  return tsr_nn_times(b, tsr_nn_add(b, loss[0], loss[1]), 0.5f);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"net\":{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":16,\"depth\":1,\"heads\":2,"
     "\"mlp_dim\":32,\"dim_head\":8},\"image_size\":16,\"projection_hidden_size\":12,\"num_classes_K\":20}"},
    {"dino_s_16",
     "{\"net\":{\"image_size\":224,\"patch_size\":16,\"num_classes\":1000,\"dim\":384,\"depth\":12,\"heads\":6,"
     "\"mlp_dim\":1536},\"image_size\":224}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_dino = {
    .name = "dino",
    .title = "DINO",
    .paper = "Caron et al. 2021, arXiv 2104.14294",
    .reference = "vit-pytorch 1.26.11, dino.Dino",
    .presets = presets,
    .build = build,
};
