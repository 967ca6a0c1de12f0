/* Students and teachers; see teacher.h. */
#include "teacher.h"
#include "graph/settings.h"
#include "nn/loss.h"

static const char *const scopes[2] = {"net", "teacher_encoder.net"};
const char *const tsr_teacher_prefixes[4] = {"student.one.", "student.two.", "teacher.one.", "teacher.two."};

static void read_crops(tsr_builder *b, tsr_teacher *t, int side) {
  static const char *const names[4] = {NULL, "local_image_two", "global_image_one", "global_image_two"};
  tsr_value image = t->crops[0] = tsr_input_image(b, 3, side, side);
  int given = 0;
  for (int i = 1; i < 4; i++) {
    t->crops[i] = tsr_input_optional(b, names[i], tsr_shape_of(4, tsr_dim(b, image, 0), 3, 0, 0));
    given += t->crops[i] != TSR_NO_VALUE;
  }
  t->learns = given == 3 || b->declaring;
  for (int i = 1; i < 4 && b->declaring; i++) t->crops[i] = image;
  if (given % 3 && !tsr_failed(b))
    tsr_fail(b, TSR_ERR_ARGUMENT, "%d of the inputs \"%s\", \"%s\" and \"%s\" were given; it takes all or none", given,
             names[1], names[2], names[3]);
  if (t->update && !t->learns)
    tsr_fail(b, TSR_ERR_ARGUMENT, "option \"update\" goes with the crops of a loss, the input \"%s\" among them",
             names[1]);
}

tsr_teacher tsr_teacher_open(tsr_builder *b) {
  static const char *const training[] = {"local_upper_crop_scale", "global_lower_crop_scale", NULL};
  tsr_teacher t;
  int side = tsr_config_int(b, "image_size", TSR_REQUIRED, 1, TSR_MAX_SIDE);
  t.hidden = tsr_config_int(b, "projection_hidden_size", 256, 1, TSR_MAX_DIM);
  t.layers = tsr_config_int(b, "projection_layers", 4, 2, 64);
  t.classes = tsr_config_int(b, "num_classes_K", 65336, 1, TSR_MAX_CLASSES);
  double student = tsr_config_number(b, "student_temp", 0.9, 1e-4, 1e4),
         teacher = tsr_config_number(b, "teacher_temp", 0.04, 1e-4, 1e4);
  t.student_scale = (float)(1 / tsr_option_number(b, "student_temp", student, 1e-4, 1e4));
  t.teacher_scale = (float)(1 / tsr_option_number(b, "teacher_temp", teacher, 1e-4, 1e4));
  t.keep = tsr_config_number(b, "moving_average_decay", 0.9, 0, 1);
  t.keep_centers = tsr_config_number(b, "center_moving_average_decay", 0.9, 0, 1);
  tsr_settings_ignore(b, &b->config, training);
  t.update = tsr_option_bool(b, "update", 0);
  read_crops(b, &t, side);
  if (t.update) {
    tsr_weights_follow(b, scopes[1], scopes[0], t.keep);
    tsr_weights_follow(b, "teacher_encoder", "student_encoder", t.keep);
  }
  return t;
}

tsr_value tsr_teacher_see(tsr_builder *b, const tsr_teacher *t, int crop, const char *const *archs, const char *watch) {
  tsr_value watched;
  tsr_net net = {.key = "net",
                 .what = "net key",
                 .archs = archs,
                 .scope = scopes[crop > 1],
                 .prefix = tsr_teacher_prefixes[crop],
                 .optional = crop > 0,
                 .watch = watch,
                 .image = t->crops[crop]};
  tsr_net_build(b, &net, &watched);
  return watched;
}

tsr_value tsr_teacher_project(tsr_builder *b, const tsr_teacher *t, int crop, const char *name, tsr_value x) {
  static const int turned[] = {0, 2, 1};
  int region = tsr_shape_at(b, x).ndim == 3;
  char layer[16] = "";
  tsr_enter(b, "%s_encoder.%s.net", crop < 2 ? "student" : "teacher", name);
  for (int i = 0; i < t->layers - 1; i++) {
    tsr_print(layer, sizeof layer, "%d", 2 * i);
    x = tsr_nn_linear_act(b, layer, x, t->hidden, TSR_BIAS, TSR_ACT_GELU);
  }
  if (region) x = tsr_nn_permute(b, x, turned);
  x = tsr_nn_l2_normalize(b, x, 1e-6f);
  if (region) x = tsr_nn_permute(b, x, turned);
  tsr_print(layer, sizeof layer, "%d", 2 * t->layers - 1);
  x = tsr_nn_linear(b, layer, x, t->classes, TSR_BIAS);
  tsr_leave(b);
  return x;
}

/* The mean over all rows: [..,K] -> [1,K] */
static tsr_value mean_rows(tsr_builder *b, tsr_value x) {
  tsr_shape shape = tsr_shape_at(b, x);
  int k = tsr_dim(b, x, -1), rows = k ? (int)(tsr_shape_count(&shape, NULL) / (size_t)k) : 0;
  return tsr_nn_mean(b, tsr_nn_reshape(b, x, tsr_shape_of(3, 1, rows, k)), 1);
}

tsr_value tsr_teacher_centers(tsr_builder *b, const tsr_teacher *t, const char *name, const char *last, tsr_value one,
                              tsr_value two) {
  tsr_shape shape = tsr_shape_of(2, 1, t->classes);
  if (t->update) tsr_weights_follow(b, name, last, t->keep_centers);
  tsr_value centers = tsr_weight_buffer(b, name, shape), store = tsr_weight_buffer(b, last, shape);
  if (!t->learns) return TSR_NO_VALUE;
  tsr_value mean = tsr_nn_times(b, tsr_nn_add(b, mean_rows(b, one), mean_rows(b, two)), 0.5f);
  tsr_vector_store(b, store, mean);
  tsr_tap_add(b, mean, (tsr_meaning){.kind = "centers"}, "%s", last);
  tsr_tap_add(b, centers, (tsr_meaning){.kind = "centers"}, "%s", name);
  return tsr_nn_times(b, centers, -1);
}

tsr_value tsr_teacher_shares(tsr_builder *b, const tsr_teacher *t, tsr_value logits, tsr_value centers) {
  return tsr_nn_softmax(b, tsr_nn_add(b, logits, centers), t->teacher_scale);
}
