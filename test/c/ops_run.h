/* What the checks of ops share: an op is run by its row of ops.inc alone, without graph, plan or threads.
 *
 *   static void check_softmax(tsr_op op) {
 *     tsr_op_args args = {.attrs = &attrs, .n_in = 1, .in = {tensor(tsr_shape_of(2, 3, 5))}};
 *     if (run(op, &args, tsr_shape_of(2, 3, 5))) expect(op, &args, want, 1e-6);
 *     done(&args);
 *   } */
#ifndef OPS_RUN_H
#define OPS_RUN_H

#include "ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { ROUNDS = 150 };

/* How often an op's numbers were compared, and how often its shape rule was asked for its answer alone. */
static int compared, judged;

static uint64_t seed = 11;

static int pick(int below) { return (int)(check_random(&seed) % (unsigned)below); }

static float *numbers(size_t n) {
  float *x = malloc(n * sizeof *x + !n); /* to the byte, for the address sanitizer */
  for (size_t i = 0; i < n; i++) x[i] = check_uniform(&seed);
  return x;
}

static size_t count_of(const tsr_shape *shape) { return tsr_shape_count(shape, NULL); }
static tsr_arg tensor(tsr_shape shape) { return (tsr_arg){.shape = shape, .data = numbers(count_of(&shape))}; }

/* A shape of 1 to TSR_MAX_DIMS dims and `most` elements; sizes of 1 and, rarely, 0 are among them. */
static tsr_shape random_shape(int most) {
  tsr_shape s = {.ndim = 1 + pick(TSR_MAX_DIMS)};
  int left = most;
  for (int i = 0; i < s.ndim; i++) {
    int size = pick(40) ? 1 + pick(pick(3) ? 9 : 200) : 0;
    s.dims[i] = size > left ? 1 : size;
    if (s.dims[i]) left /= s.dims[i];
  }
  return s;
}

/* The index of element `at`, and the element at an index; dims of 1 repeat, as in broadcasting. */
static void index_of(const tsr_shape *shape, size_t at, int index[TSR_MAX_DIMS]) {
  for (int i = shape->ndim - 1; i >= 0; i--) {
    index[i] = (int)(at % (size_t)shape->dims[i]);
    at /= (size_t)shape->dims[i];
  }
}
static float *element(const tsr_arg *x, const int *index) {
  size_t at = 0;
  for (int i = 0; i < x->shape.ndim; i++)
    at = at * (size_t)x->shape.dims[i] + (size_t)(x->shape.dims[i] == 1 ? 0 : index[i]);
  return x->data + at;
}

static void done(tsr_op_args *args) {
  for (int i = 0; i < args->n_in; i++) free(args->in[i].data);
  for (int i = 0; i < args->n_out; i++) free(args->out[i].data);
}

/* Tasks run from the last to the first, those that prepare before the others. */
static void execute(tsr_op op, tsr_op_args *args) {
  tsr_op_work work = op->work(args);
  void *scratch = malloc(work.scratch + 1);
  args->shared = malloc(work.shared + 1);
  for (int task = work.before - 1; task >= 0; task--) op->run(args, task, scratch);
  for (int task = work.tasks - 1; task >= work.before; task--) op->run(args, task, scratch);
  free(scratch), free(args->shared);
}

/* How often the traits of an op were tried. */
static int views, rows_left, repeats;

/* A copy of x [B,N,..] with other numbers in row `row` of each image. */
static float *other_row(const tsr_arg *x, int row) {
  size_t n = count_of(&x->shape), images = (size_t)x->shape.dims[0], length = (size_t)x->shape.dims[1],
         width = n / images / length;
  float *copy = malloc(n * sizeof *copy);
  memcpy(copy, x->data, n * sizeof *copy);
  for (size_t i = 0; i < images; i++)
    for (size_t j = 0; j < width; j++) copy[(i * length + (size_t)row) * width + j] = check_uniform(&seed);
  return copy;
}

/* TSR_BY_ROWS: with other numbers in one row of input 0, and of the second input by rows, each other row of output 0
 * keeps its bits. Strassen's product, forced upon small sizes by kernels of a test, adds rows up and takes them off
 * again, so that it is not asked. */
static void check_by_rows(tsr_op op, tsr_op_args *args) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->out[0].shape;
  int second = op->traits & TSR_BY_ROWS_TOO ? args->second : 0;
  if (args->kernels != tsr_kernels_select(NULL)) return;
  if (x->ndim < 3 || y->ndim != x->ndim || x->dims[1] < 2 || y->dims[1] != x->dims[1] || !count_of(x) || !count_of(y))
    return;
  if ((op->traits & TSR_CUTS) && args->attrs->slice.axis == 1) return;
  if (second && (args->in[second].shape.ndim != x->ndim || args->in[second].shape.dims[1] != x->dims[1])) return;
  tsr_op_args again = *args;
  int row = pick(x->dims[1]);
  again.in[0].data = other_row(&args->in[0], row);
  if (second) again.in[second].data = other_row(&args->in[second], row);
  for (int i = 0; i < args->n_out; i++) again.out[i].data = numbers(count_of(&args->out[i].shape));
  execute(op, &again);
  size_t n = count_of(y), length = (size_t)y->dims[1], width = n / (size_t)y->dims[0] / length, differ = 0;
  for (size_t i = 0; i < n; i++)
    differ += i / width % length != (size_t)row && memcmp(args->out[0].data + i, again.out[0].data + i, sizeof(float));
  rows_left++;
  if (!CHECK(!differ)) printf("%s: %d numbers of other rows change with row %d\n", op->name, (int)differ, row);
  free(again.in[0].data);
  if (second) free(again.in[second].data);
  for (int i = 0; i < args->n_out; i++) free(again.out[i].data);
}

/* What the row says of the op holds for this run. */
static void check_traits(tsr_op op, tsr_op_args *args) {
  size_t from = count_of(&args->in[0].shape), to = count_of(&args->out[0].shape);
  if (op->traits & TSR_BY_ROWS) check_by_rows(op, args);
  if (op->traits & TSR_VIEW) views += CHECK(from == to && !op->work(args).tasks);
  if (op->traits & TSR_REPEATS) repeats += CHECK(to >= from || !to) && to > from;
}

/* Runs the op into new memory. 0, which is a failed check, when the shape rule refuses or says another shape than
 * `shape`. Inputs must stay as they are, and the op's traits must hold. */
static int run_with(const tsr_kernels *kernels, tsr_op op, tsr_op_args *args, tsr_shape shape) {
  char why[TSR_WHY] = "", text[2][TSR_SHAPE_TEXT];
  float *before[TSR_MAX_IN];
  args->kernels = kernels;
  args->n_out = 1;
  for (int i = 0; i < TSR_MAX_OUT; i++) args->out[i].data = NULL;
  if (!CHECK(op->shape(args, why))) return printf("%s: %s\n", op->name, why), 0;
  if (!CHECK(tsr_shape_equal(&args->out[0].shape, &shape))) {
    printf("%s: output %s, expected %s\n", op->name, tsr_shape_print(&args->out[0].shape, text[0]),
           tsr_shape_print(&shape, text[1]));
    return 0;
  }
  CHECK(args->n_in >= op->least && args->n_in <= op->most && args->n_out <= op->outs);
  for (int i = 0; i < args->n_out; i++) args->out[i].data = numbers(count_of(&args->out[i].shape));
  for (int i = 0; i < args->n_in; i++) {
    size_t bytes = args->in[i].data ? count_of(&args->in[i].shape) * sizeof(float) : 0;
    before[i] = malloc(bytes + 1);
    if (bytes) memcpy(before[i], args->in[i].data, bytes);
  }
  execute(op, args);
  for (int i = 0; i < args->n_in; i++) {
    size_t bytes = args->in[i].data ? count_of(&args->in[i].shape) * sizeof(float) : 0;
    if (!CHECK(!bytes || !memcmp(before[i], args->in[i].data, bytes))) printf("%s wrote to input %d\n", op->name, i);
    free(before[i]);
  }
  check_traits(op, args);
  return 1;
}

static int run(tsr_op op, tsr_op_args *args, tsr_shape shape) {
  return run_with(tsr_kernels_select(NULL), op, args, shape);
}

/* Each number of the output is within `tolerance` of `want`; with `each`, within that many times each[i]. */
static void expect_each(tsr_op op, const tsr_op_args *args, const float *want, double tolerance, const float *each) {
  size_t n = count_of(&args->out[0].shape), wrong = 0, first = 0;
  compared++;
  for (size_t i = n; i-- > 0;) {
    double most = tolerance * (each ? (double)each[i] : 1);
    if (fabs((double)args->out[0].data[i] - want[i]) <= most) continue;
    if (isnan(args->out[0].data[i]) && isnan(want[i])) continue;
    wrong++, first = i;
  }
  char text[2][TSR_SHAPE_TEXT];
  if (!CHECK(wrong == 0))
    printf("%s: %d of %d wrong; number %d is %.9g, expected %.9g; %s to %s\n", op->name, (int)wrong, (int)n, (int)first,
           args->out[0].data[first], want[first], tsr_shape_print(&args->in[0].shape, text[0]),
           tsr_shape_print(&args->out[0].shape, text[1]));
}

static void expect(tsr_op op, const tsr_op_args *args, const float *want, double tolerance) {
  expect_each(op, args, want, tolerance, NULL);
}

/* The shape rule refuses inputs of these shapes, and its reason has `part` in it. */
static void refuses_args(tsr_op op, tsr_op_args args, const char *part) {
  char why[TSR_WHY] = "";
  judged++;
  if (!CHECK(!op->shape(&args, why))) printf("%s: not refused: \"%s\"\n", op->name, part);
  else CHECK_HAS(why, part);
}
static void refuses(tsr_op op, const tsr_attrs *attrs, int n, const tsr_shape *in, const char *part) {
  tsr_op_args args = {.attrs = attrs, .n_in = n};
  for (int i = 0; i < n; i++) args.in[i].shape = in[i];
  refuses_args(op, args, part);
}
#define SHAPES(...) \
  (tsr_shape[]) { __VA_ARGS__ }

/* The shape rule of an op of one input takes any shape, and leaves `dropped` of its last dims away. */
static void takes_any_shape(tsr_op op, const tsr_attrs *attrs, int dropped) {
  tsr_shape shapes[] = {tsr_shape_of(1, 0), tsr_shape_of(1, 7), tsr_shape_of(3, 2, 0, 5),
                        tsr_shape_of(6, 1, 2, 3, 1, 5, 3)};
  judged++;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    char why[TSR_WHY] = "";
    tsr_op_args args = {.attrs = attrs, .n_in = 1, .in = {{.shape = shapes[i]}}};
    shapes[i].ndim -= dropped;
    CHECK(op->shape(&args, why) && tsr_shape_equal(&args.out[0].shape, &shapes[i]));
  }
}

/* An activation in double. */
static double activated(int activation, double x) {
  switch (activation) {
    case TSR_ACT_GELU: return x / 2 * (1 + erf(x / sqrt(2)));
    case TSR_ACT_RELU: return x > 0 ? x : 0;
    case TSR_ACT_SILU: return x / (1 + exp(-x));
    case TSR_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case TSR_ACT_HARD_SWISH: return x * fmin(fmax(x + 3, 0), 6) / 6;
    case TSR_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case TSR_ACT_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
    case TSR_ACT_TANH: return tanh(x);
    default: return x;
  }
}
enum { ACTIVATIONS = TSR_ACT_TANH + 1 };

#endif
