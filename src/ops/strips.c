/* Copying of strips; see strips.h. */
#include "strips.h"

#include <string.h>

void tsr_strips_run(const tsr_op_args *args, int task, const tsr_strip *strips, int count) {
  float *y = args->out[0].data;
  size_t begin, end, round = 0;
  for (int i = 0; i < count; i++) round += strips[i].length;
  tsr_task_range(tsr_shape_count(&args->out[0].shape, NULL), TSR_TASK_FLOATS, task, &begin, &end);
  size_t at = begin, index = begin / round, skip = begin % round; /* skip: elements that tasks before write */
  for (; at < end; index++)
    for (int i = 0; i < count && at < end; i++) {
      if (skip >= strips[i].length) {
        skip -= strips[i].length;
        continue;
      }
      size_t n = strips[i].length - skip < end - at ? strips[i].length - skip : end - at;
      if (strips[i].from) memcpy(y + at, strips[i].from + index * strips[i].step + skip, n * sizeof *y);
      else memset(y + at, 0, n * sizeof *y);
      at += n, skip = 0;
    }
}
