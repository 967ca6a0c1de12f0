/* The tasks of ops over the last dim, which are blocks of rows. */
#ifndef TSR_OPS_ROWWISE_H
#define TSR_OPS_ROWWISE_H

#include "ops.h"

/* Rows of a task. */
static inline size_t tsr_rowwise_chunk(const tsr_shape *shape) {
  size_t rows = TSR_TASK_FLOATS / (size_t)tsr_shape_last(shape);
  return rows < 1 ? 1 : rows;
}

/* The work of such an op, without scratch and operations. */
static inline tsr_op_work tsr_rowwise_work(const tsr_shape *shape) {
  size_t rows = tsr_rows(shape);
  return (tsr_op_work){.tasks = rows ? tsr_tasks(rows, tsr_rowwise_chunk(shape)) : 0};
}

/* Returns the number of rows of task `task`; *offset gets the index of its first element. */
static inline int tsr_rowwise_range(const tsr_shape *shape, int task, size_t *offset) {
  size_t begin, end;
  tsr_task_range(tsr_rows(shape), tsr_rowwise_chunk(shape), task, &begin, &end);
  *offset = begin * (size_t)tsr_shape_last(shape);
  return (int)(end - begin);
}

#endif
