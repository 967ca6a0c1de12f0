/* Networks inside wrappers that train them: any architecture as a part of another, and what Dino and EsViT share,
 * where a student learns from a teacher that follows it. Conventions as in nn/layers.h. */
#ifndef TSR_PARTS_TEACHER_H
#define TSR_PARTS_TEACHER_H

#include "inner_net.h"

/* What both read: config, the run's options and its crops. */
typedef struct tsr_teacher {
  int hidden, classes, layers;
  float student_scale, teacher_scale; /* one over the temperatures */
  double keep, keep_centers;
  int update;         /* the option: centers follow, too */
  tsr_value crops[4]; /* student's one and two, teacher's one and two; the last three may be missing, all of them */
  int learns;         /* none is missing */
} tsr_teacher;
/* When the option `update` is set, the teacher's weights follow the student's now, before anything reads them. */
tsr_teacher tsr_teacher_open(tsr_builder *b);

extern const char *const tsr_teacher_prefixes[4]; /* of the taps of the networks that see the crops */

/* The network for crop 0 ... 3, from the config's key "net"; `archs` and `watch` as tsr_net has them. Returns the
 * last value of a tap that fits. */
tsr_value tsr_teacher_see(tsr_builder *b, const tsr_teacher *t, int crop, const char *const *archs, const char *watch);

/* Projector `name` for crop 0 ... 3: Linear and GELU, layers - 1 times, numbers of length 1, Linear: x [..,C] ->
 * [..,classes]. Three dims: length along the second, as the reference has it. */
tsr_value tsr_teacher_project(tsr_builder *b, const tsr_teacher *t, int crop, const char *name, tsr_value x);
/* -centers, the buffer `name` [1,classes], once `last` has followed into it if the option is set. And `last` is what
 * the two logits' mean will be, stored after the run. Taps of these names. */
tsr_value tsr_teacher_centers(tsr_builder *b, const tsr_teacher *t, const char *name, const char *last, tsr_value one,
                              tsr_value two);
/* What the teacher answers: softmax of logits less centers, over its temperature. */
tsr_value tsr_teacher_shares(tsr_builder *b, const tsr_teacher *t, tsr_value logits, tsr_value centers);

#endif
