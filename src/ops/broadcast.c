/* Broadcasting; see broadcast.h. Tasks are equal parts of the output, taken as one row of numbers. */
#include "broadcast.h"

#include "walk.h"

enum { REPEAT = 64 }; /* copies of a number that repeats, because the kernels take only vectors */

static int dim_from_right(const tsr_shape *shape, int i) {
  return i < shape->ndim ? shape->dims[shape->ndim - 1 - i] : 1;
}

int tsr_broadcast_shape(tsr_op_args *args, char *why) {
  const tsr_shape *a = &args->in[0].shape, *b = &args->in[1].shape;
  tsr_shape *y = &args->out[0].shape;
  y->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
  for (int i = 0; i < y->ndim; i++) {
    int da = dim_from_right(a, i), db = dim_from_right(b, i);
    if (da != db && da != 1 && db != 1) {
      char text[2][TSR_SHAPE_TEXT];
      tsr_print(why, TSR_WHY, "%s and %s cannot be broadcast together", tsr_shape_print(a, text[0]),
                tsr_shape_print(b, text[1]));
      return 0;
    }
    y->dims[y->ndim - 1 - i] = da == 1 ? db : da;
  }
  args->second = 1;
  return 1;
}

tsr_op_work tsr_broadcast_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->out[0].shape, NULL), TSR_TASK_FLOATS)};
}

static tsr_walk walk_of(const tsr_shape *y, const tsr_shape *a, const tsr_shape *b) {
  tsr_walk walk = {0};
  size_t step_a = 1, step_b = 1;
  for (int i = 0; i < y->ndim; i++) {
    int size = dim_from_right(y, i), in_a = dim_from_right(a, i), in_b = dim_from_right(b, i);
    tsr_walk_add(&walk, (size_t)size, in_a == size ? step_a : 0, in_b == size ? step_b : 0);
    step_a *= (size_t)in_a, step_b *= (size_t)in_b;
  }
  if (!walk.ndim) walk = (tsr_walk){1, {1}, {1}, {1}};
  return walk;
}

static void apply(tsr_kf_add *kernel, float *y, const float *a, int repeat_a, const float *b, int repeat_b, int n) {
  float many_a[REPEAT], many_b[REPEAT];
  if (!repeat_a && !repeat_b) {
    kernel(y, a, b, n);
    return;
  }
  for (int i = 0; i < REPEAT; i++) many_a[i] = *a, many_b[i] = *b;
  for (int i = 0; i < n; i += REPEAT)
    kernel(y + i, repeat_a ? many_a : a + i, repeat_b ? many_b : b + i, n - i < REPEAT ? n - i : REPEAT);
}

void tsr_broadcast_run(const tsr_op_args *args, int task, tsr_kf_add *kernel) {
  const tsr_arg *y = &args->out[0], *a = &args->in[0], *b = &args->in[args->n_in - 1];
  tsr_walk walk = walk_of(&y->shape, &a->shape, &b->shape);
  size_t n = walk.size[0], begin, end, count, from_a, from_b;
  tsr_task_range(tsr_shape_count(&y->shape, NULL), TSR_TASK_FLOATS, task, &begin, &end);
  for (size_t at = begin; at < end; at += count) {
    size_t column = at % n;
    count = n - column < end - at ? n - column : end - at;
    tsr_walk_at(&walk, 1, at / n, &from_a, &from_b);
    apply(kernel, y->data + at, a->data + from_a + column * walk.a[0], !walk.a[0],
          b->data + from_b + column * walk.b[0], !walk.b[0], (int)count);
  }
}
