/* What DINO and EsViT share: a student, and a teacher whose weights are a moving average of the student's. Both
 * have a network inside (inner_net.h). Conventions as in nn/layers.h. */
#ifndef TSR_PARTS_TEACHER_H
#define TSR_PARTS_TEACHER_H

#include "inner_net.h"

/* What both read: config, the run's options and its crops. */
typedef struct tsr_teacher {
  int hidden, classes, layers;
  float student_scale, teacher_scale; /* one over the temperatures */
  double keep, keep_centers;
  int update;         /* the run option `update`: 1 updates teacher and centers */
  tsr_value crops[4]; /* student's one and two, teacher's one and two; the last three are all given or all missing */
  int learns;         /* 1: all four are given */
} tsr_teacher;
/* Reads them. With `update` a run first averages the teacher's weights with the student's (tsr_weights_follow). */
tsr_teacher tsr_teacher_open(tsr_builder *b);

extern const char *const tsr_teacher_prefixes[4]; /* of the taps of the networks that see the crops */

/* Builds the network for crop 0 ... 3 from the config's key "net"; `archs` and `watch` as tsr_net has them. Returns the
 * value of the last tap whose name matches `watch`. */
tsr_value tsr_teacher_see(tsr_builder *b, const tsr_teacher *t, int crop, const char *const *archs, const char *watch);

/* Projector `name` for crop 0 ... 3: Linear and GELU, layers - 1 times, L2 normalisation, Linear: x [..,C] ->
 * [..,classes]. The normalisation runs over the channels; of an x [B,N,C] over the tokens, as in the reference. */
tsr_value tsr_teacher_project(tsr_builder *b, const tsr_teacher *t, int crop, const char *name, tsr_value x);
/* Returns minus the centers, the buffer `name` [1,classes]. With `update` a run first averages `name` with the buffer
 * `last`. After the run the mean of the logits `one` and `two` is stored in `last`. Taps of these names. TSR_NO_VALUE
 * unless t->learns. */
tsr_value tsr_teacher_centers(tsr_builder *b, const tsr_teacher *t, const char *name, const char *last, tsr_value one,
                              tsr_value two);
/* The teacher's probabilities: softmax((logits - centers) / temperature). `centers` as tsr_teacher_centers returns
 * them. */
tsr_value tsr_teacher_shares(tsr_builder *b, const tsr_teacher *t, tsr_value logits, tsr_value centers);

#endif
