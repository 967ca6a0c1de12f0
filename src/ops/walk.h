/* The walk over an output in runs of its innermost dim, in order, with each run's place in one or two inputs. It is for
 * ops that only move numbers or combine them elementwise. Dims are merged where the inputs are contiguous, so that runs
 * are long. */
#ifndef TSR_OPS_WALK_H
#define TSR_OPS_WALK_H

#include "ops.h"

/* The output's dims, innermost first. a and b: the step in elements between neighbours of a dim in either input; 0
 * where the input repeats. */
typedef struct tsr_walk {
  int ndim;
  size_t size[TSR_MAX_DIMS], a[TSR_MAX_DIMS], b[TSR_MAX_DIMS];
} tsr_walk;

/* Adds the next outer dim. */
static inline void tsr_walk_add(tsr_walk *walk, size_t size, size_t a, size_t b) {
  int i = walk->ndim - 1;
  if (size == 1) return;
  if (i >= 0 && a == walk->a[i] * walk->size[i] && b == walk->b[i] * walk->size[i]) {
    walk->size[i] *= size;
    return;
  }
  i = walk->ndim++;
  walk->size[i] = size, walk->a[i] = a, walk->b[i] = b;
}

/* The places of run number `row` in the inputs. Dims below `from` belong to the run, the others count runs. */
static inline void tsr_walk_at(const tsr_walk *walk, int from, size_t row, size_t *a, size_t *b) {
  *a = *b = 0;
  for (int i = from; i < walk->ndim; i++) {
    size_t index = row % walk->size[i];
    row /= walk->size[i];
    *a += index * walk->a[i], *b += index * walk->b[i];
  }
}

#endif
