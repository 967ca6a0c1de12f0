/* The interface of ops, expanded from ops.inc. An op has three functions: its shape rule, its amount of work, and the
 * run of one task. Ops know tensors and kernels; they know nothing of graphs, plans, threads or models. */
#ifndef TSR_OPS_H
#define TSR_OPS_H

#include "base/format.h"
#include "base/tensor.h"
#include "kernels/kernels.h"
#include "weights/weight.h"

enum { TSR_MAX_IN = 6, TSR_MAX_OUT = 2, TSR_WHY = 160 };

/* What passes over a graph may ask of an op, a column of ops.inc. Rows are those of axis 1 of values [B,N,C]: tokens.
 * "By rows" is what makes leaving tokens out possible: row n of the output depends on row n of the first input. */
enum {
  TSR_VIEW = 1,        /* the output is the first input's memory under another shape; there is no work */
  TSR_BY_ROWS = 2,     /* row n of output 0 needs no row of input 0 but n; other inputs are needed whole */
  TSR_BY_ROWS_TOO = 4, /* and none but n of a second input, which the shape rule names in args->second */
  TSR_CUTS = 8,        /* attrs.slice: the output is a range of input 0 along one axis; by rows unless that is axis 1 */
  TSR_REPEATS = 16,    /* the output holds each number of the input several times */
  TSR_14_BITS = 32     /* attrs.linear: rows at the beginning and at the end may keep 14 bits in an 8-bit product */
};

/* Activations that linear, conv2d and activate can apply. */
enum {
  TSR_ACT_NONE,
  TSR_ACT_GELU,
  TSR_ACT_RELU,
  TSR_ACT_SILU,
  TSR_ACT_SIGMOID,
  TSR_ACT_HARD_SWISH,
  TSR_ACT_QUICK_GELU, /* x sigmoid(1.702 x) */
  TSR_ACT_GELU_TANH,  /* GELU by tanh: x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
  TSR_ACT_TANH
};
/* How resize interpolates (ops.inc). */
enum { TSR_RESIZE_BILINEAR, TSR_RESIZE_CORNERS, TSR_RESIZE_BICUBIC, TSR_RESIZE_ANTIALIAS };
/* Functions that elementary can apply. */
enum { TSR_EXP, TSR_SIN, TSR_COS };

typedef union tsr_attrs {
#define TSR_OP(name, least, most, outs, traits, ...) \
  struct {                                           \
    __VA_ARGS__                                      \
  } name;
#include "ops.inc"
#undef TSR_OP
} tsr_attrs;

/* A tensor as an op gets it: contiguous f32, or a packed matrix. */
typedef struct tsr_arg {
  tsr_shape shape;
  float *data;
  const tsr_weight *weight;
} tsr_arg;

typedef struct tsr_op_args {
  const tsr_attrs *attrs;
  const tsr_kernels *kernels;
  int n_in, n_out;
  tsr_arg in[TSR_MAX_IN], out[TSR_MAX_OUT];
  /* Set by the shape rule of an op by rows. */
  int second;   /* the input that TSR_BY_ROWS_TOO speaks of; 0: there is none */
  int whole;    /* the result depends on n itself, so that no row can be left out */
  void *shared; /* memory of the node, which its first tasks prepare for the others; 16-byte aligned */
} tsr_op_args;

/* An op's amount of work. */
typedef struct tsr_op_work {
  int tasks;         /* independent parts of the work; their number must not depend on the number of threads */
  int before;        /* the first tasks, which are done before any other starts, and prepare `shared` for the others */
  size_t scratch;    /* bytes that each thread needs */
  size_t shared;     /* bytes that all tasks of the node share */
  double operations; /* multiply-adds */
} tsr_op_work;

/* Sets out[].shape (and n_out) from in[].shape and attrs. Returns 1, or 0 with the reason in why[TSR_WHY]. */
typedef int tsr_op_shape_fn(tsr_op_args *args, char *why);
/* The work for these shapes and attrs; it must not read data. */
typedef tsr_op_work tsr_op_work_fn(const tsr_op_args *args);
/* Runs task `task`, in [0, tasks). scratch: the thread's memory, 16-byte aligned. */
typedef void tsr_op_run_fn(const tsr_op_args *args, int task, void *scratch);

#define TSR_OP(name, least, most, outs, traits, ...) \
  tsr_op_shape_fn tsr_op_##name##_shape;             \
  tsr_op_work_fn tsr_op_##name##_work;               \
  tsr_op_run_fn tsr_op_##name##_run;
#include "ops.inc"
#undef TSR_OP

typedef struct tsr_op_row {
  const char *name;
  int least, most, outs; /* inputs and outputs, checked when a node is added */
  int traits;
  tsr_op_shape_fn *shape;
  tsr_op_work_fn *work;
  tsr_op_run_fn *run;
} tsr_op_row;

/* TSR_OP_linear and the others. Each is a constant of its own instead of a row of a table, so that the linker leaves
 * out ops that no architecture names. */
typedef const tsr_op_row *tsr_op;
#define TSR_OP(name, least, most, outs, traits, ...) extern const tsr_op_row TSR_OP_##name[1];
#include "ops.inc"
#undef TSR_OP

/* The numbers of a task of an op that does little with each number: 32 KB, which take a few microseconds, whereas
 * starting a task costs a tenth of a microsecond. */
enum { TSR_TASK_FLOATS = 8192 };
/* The columns of a task that sums rows: enough to read memory in long runs, few enough to have tasks for all
 * threads. */
enum { TSR_SUM_COLUMNS = 128 };

/* The number of tasks of `chunk` units each for `count` units. */
static inline int tsr_tasks(size_t count, size_t chunk) { return (int)((count + chunk - 1) / chunk); }
/* The units of task `task`: [*begin, *end). */
static inline void tsr_task_range(size_t count, size_t chunk, int task, size_t *begin, size_t *end) {
  *begin = (size_t)task * chunk;
  *end = *begin + chunk < count ? *begin + chunk : count;
}

/* The number of rows of a tensor taken as a matrix over its last dim. */
static inline size_t tsr_rows(const tsr_shape *shape) {
  size_t last = (size_t)tsr_shape_last(shape);
  return last ? tsr_shape_count(shape, NULL) / last : 0;
}

/* The product of dims [begin, end). */
static inline size_t tsr_dims_product(const tsr_shape *shape, int begin, int end) {
  size_t product = 1;
  for (int i = begin; i < end; i++) product *= (size_t)shape->dims[i];
  return product;
}

/* y = activation(x) for n numbers; activation: TSR_ACT_*; y may be x. */
void tsr_activate(const tsr_kernels *kernels, int activation, float *y, const float *x, int n);

#endif
