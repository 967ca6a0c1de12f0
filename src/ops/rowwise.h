/* What ops over the last dim share: tasks are blocks of rows. */
#ifndef TSR_ROWWISE_H
#define TSR_ROWWISE_H

#include "ops.h"

enum { TSR_ROWWISE_ROWS = 64 };

static inline tsr_op_work tsr_rowwise_work(const tsr_shape *shape) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_rows(shape), TSR_ROWWISE_ROWS)};
}

/* Rows of the task; *offset is where its first element is. */
static inline int tsr_rowwise_range(const tsr_shape *shape, int task, size_t *offset) {
  size_t begin, end;
  tsr_task_range(tsr_rows(shape), TSR_ROWWISE_ROWS, task, &begin, &end);
  *offset = begin * (size_t)tsr_shape_last(shape);
  return (int)(end - begin);
}

#endif
