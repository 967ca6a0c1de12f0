/* The op interface, expanded from ops.inc. An op is a shape rule, a statement of work, and a function that runs one task.
 * Ops know tensors and kernels; they know nothing of graphs, plans, threads or models. */
#ifndef TSR_OPS_H
#define TSR_OPS_H

#include "base/format.h"
#include "base/tensor.h"
#include "kernels/kernels.h"
#include "weights/weight.h"

enum { TSR_MAX_IN = 6, TSR_MAX_OUT = 2, TSR_WHY = 160 };

/* Activations that linear, conv2d and activate can apply. */
enum { TSR_ACT_NONE, TSR_ACT_GELU, TSR_ACT_RELU, TSR_ACT_SILU, TSR_ACT_SIGMOID, TSR_ACT_HARD_SWISH };
/* Functions that elementary can apply. */
enum { TSR_EXP, TSR_SIN, TSR_COS };

typedef union tsr_attrs {
#define TSR_OP(name, least, most, outs, ...) struct { __VA_ARGS__ } name;
#include "ops.inc"
#undef TSR_OP
} tsr_attrs;

/* A tensor as an op sees it: contiguous f32, or a packed matrix. */
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
  void *shared; /* the node's memory for what its first tasks prepare; 64-byte aligned */
} tsr_op_args;

/* tasks: independent parts of the work, whose number must not depend on the thread count; the first `before` of them are done before any
 * other starts, and may leave something in the `shared` bytes for them; scratch: bytes each thread needs; operations: multiply-adds. */
typedef struct tsr_op_work {
  int tasks, before;
  size_t scratch, shared;
  double operations;
} tsr_op_work;

/* Sets out[].shape (and n_out) from in[].shape and attrs; 1, or 0 with the reason in why[TSR_WHY]. */
typedef int tsr_op_shape_fn(tsr_op_args *args, char *why);
typedef tsr_op_work tsr_op_work_fn(const tsr_op_args *args);
typedef void tsr_op_run_fn(const tsr_op_args *args, int task, void *scratch);

#define TSR_OP(name, least, most, outs, ...) \
  tsr_op_shape_fn tsr_op_##name##_shape;     \
  tsr_op_work_fn tsr_op_##name##_work;       \
  tsr_op_run_fn tsr_op_##name##_run;
#include "ops.inc"
#undef TSR_OP

typedef struct tsr_op_row {
  const char *name;
  int least, most, outs;
  tsr_op_shape_fn *shape;
  tsr_op_work_fn *work;
  tsr_op_run_fn *run;
} tsr_op_row;

/* TSR_OP_linear and the others: constants of their own, not a table, so that a link leaves out the ops which no architecture in it names. */
typedef const tsr_op_row *tsr_op;
#define TSR_OP(name, least, most, outs, ...) extern const tsr_op_row TSR_OP_##name[1];
#include "ops.inc"
#undef TSR_OP

/* What a task of an op that does little with each number takes: 32 KB, some microseconds, against the tenth of one
 * that handing out a task costs. */
enum { TSR_TASK_FLOATS = 8192 };
/* Columns of a task that sums rows: enough to read memory in long runs, few enough to share. */
enum { TSR_SUM_COLUMNS = 128 };

/* Tasks of `chunk` each over `count` units, and the part of the range that is task's: [*begin, *end). */
static inline int tsr_tasks(size_t count, size_t chunk) { return (int)((count + chunk - 1) / chunk); }
static inline void tsr_task_range(size_t count, size_t chunk, int task, size_t *begin, size_t *end) {
  *begin = (size_t)task * chunk;
  *end = *begin + chunk < count ? *begin + chunk : count;
}

/* Rows and width of a tensor taken as a matrix over its last dim. */
static inline size_t tsr_rows(const tsr_shape *shape) {
  size_t last = (size_t)tsr_shape_last(shape);
  return last ? tsr_shape_count(shape, NULL) / last : 0;
}

/* Product of dims [begin, end). */
static inline size_t tsr_dims_product(const tsr_shape *shape, int begin, int end) {
  size_t product = 1;
  for (int i = begin; i < end; i++) product *= (size_t)shape->dims[i];
  return product;
}

void tsr_activate(const tsr_kernels *kernels, int activation, float *y, const float *x, int n);

#endif
