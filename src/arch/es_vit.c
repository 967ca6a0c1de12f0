/* EsViT: "Efficient Self-supervised Vision Transformers for Representation Learning" (Li et al., 2021, arXiv
 * 2106.09785), DINO with a second loss, of regions, over CvT.
 * Reference: vit-pytorch 1.26.11, module es_vit, class EsViTTrainer.
 *
 *   z = f(crop) [B,N,C], the last stage's map          f, P_v, P_r of the student, or f', P_v', P_r' of the teacher
 *   v = P_v(mean z), r = P_r(z)
 *   view loss:   as dino's, of v
 *   region loss: the same for each region i of the student, against the teacher's region j = argmax_j z_i z'_j
 *   loss = (view + region) / 2, each a mean of crop 1 against 2 and 2 against 1
 *
 * Traps:
 * - All traps of dino apply.
 * - The region projector's L2 norm runs along REGIONS, not channels: the reference norms dim 1 of [B,N,C].
 * - 1e-20 is added to probabilities before their logarithm.
 * - The batch norms' running statistics are not part of the moving average.
 * - Regions are matched by latents before projection. */
#include "arch.h"

/* One encoder's outputs for one crop. */
typedef struct crop {
  tsr_value latent, view, region; /* [B,N,C], [B,K], [B,N,K] */
} crop;

static crop encode(tsr_builder *b, const tsr_teacher *t, int i) {
  static const char *const nets[] = {"cvt", NULL};
  crop c;
  tsr_value map = tsr_teacher_see(b, t, i, nets, "*stages.2.*");
  c.latent = tsr_nn_tokens(b, map);
  c.view = tsr_teacher_project(b, t, i, "view_projector", tsr_nn_mean(b, c.latent, 1));
  c.region = tsr_teacher_project(b, t, i, "region_projector", c.latent);
  tsr_tap_add(b, c.view, (tsr_meaning){.kind = "logits"}, "%sview", tsr_teacher_prefixes[i]);
  tsr_meaning meaning = tsr_nn_map_meaning(b, map, "tokens");
  tsr_tap_add(b, c.latent, meaning, "%stokens", tsr_teacher_prefixes[i]);
  tsr_tap_add(b, c.region, meaning, "%sregions", tsr_teacher_prefixes[i]);
  return c;
}

static tsr_value mean_of(tsr_builder *b, const tsr_value loss[2], const char *tap) {
  tsr_value mean = tsr_nn_times(b, tsr_nn_add(b, loss[0], loss[1]), 0.5f);
  if (tap) tsr_tap_add(b, mean, (tsr_meaning){.kind = "loss"}, "%s", tap);
  return mean;
}

static tsr_value build(tsr_builder *b) {
  static const char *const layers[] = {"layers", NULL};
  tsr_teacher t = tsr_teacher_open(b);
  tsr_config_choice(b, "hidden_layer", layers, 0);
  const float eps = 1e-20f;
  crop c[4];
  for (int i = 0; i < 4; i++)
    if (t.crops[i] != TSR_NO_VALUE) c[i] = encode(b, &t, i);
  tsr_output_means(b, (tsr_meaning){.kind = "embedding"});
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (!t.learns) return tsr_nn_mean(b, c[0].latent, 1);
  tsr_value centers =
                tsr_teacher_centers(b, &t, "teacher_view_centers", "last_teacher_view_centers", c[2].view, c[3].view),
            loss[2], both[2];
  for (int i = 0; i < 2; i++)
    loss[i] =
        tsr_nn_cross_entropy(b, c[1 - i].view, tsr_teacher_shares(b, &t, c[2 + i].view, centers), t.student_scale, eps);
  both[0] = mean_of(b, loss, "loss.view");
  centers =
      tsr_teacher_centers(b, &t, "teacher_region_centers", "last_teacher_region_centers", c[2].region, c[3].region);
  for (int i = 0; i < 2; i++) {
    const crop *s = &c[1 - i], *teacher = &c[2 + i];
    tsr_value nearest = tsr_nn_argmax(b, tsr_nn_bmm(b, s->latent, teacher->latent, 1)); /* [B,N] */
    tsr_value shares = tsr_teacher_shares(b, &t, tsr_nn_gather(b, teacher->region, nearest), centers);
    loss[i] = tsr_nn_cross_entropy(b, s->region, shares, t.student_scale, eps);
  }
  both[1] = mean_of(b, loss, "loss.region");
  tsr_output_means(b, (tsr_meaning){.kind = "loss"});
  return mean_of(b, both, NULL);
}

static const tsr_preset presets[] = {
    {"tiny",
     "{\"net\":{\"num_classes\":10,\"s1_emb_dim\":8,\"s1_depth\":1,\"s2_emb_dim\":12,\"s2_heads\":1,\"s2_depth\":1,"
     "\"s3_emb_dim\":16,\"s3_heads\":1,\"s3_depth\":1},\"image_size\":32,\"projection_hidden_size\":12,"
     "\"num_classes_K\":20}"},
    {"es_vit_cvt_13",
     "{\"net\":{\"num_classes\":1000,\"s1_depth\":1,\"s2_depth\":2,\"s3_depth\":10},\"image_size\":224}"},
    {NULL, NULL},
};

const tsr_arch tsr_arch_es_vit = {
    .name = "es_vit",
    .title = "EsViT",
    .paper = "Li et al. 2021, arXiv 2106.09785",
    .reference = "vit-pytorch 1.26.11, es_vit.EsViTTrainer",
    .presets = presets,
    .build = build,
};
