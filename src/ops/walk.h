/* How ops that move numbers about go over their output: as runs of the innermost dim, in order, each with a place in one or
 * two inputs. Dims are merged where the inputs go on in a straight line, so that runs are long. */
#ifndef TSR_OPS_WALK_H
#define TSR_OPS_WALK_H

#include "ops.h"

/* Output dims, innermost first; a and b: elements between neighbours in either input, 0 where it repeats. */
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

/* Places of run `row` in the inputs; `from` is the first dim that counts as outside of a run. */
static inline void tsr_walk_at(const tsr_walk *walk, int from, size_t row, size_t *a, size_t *b) {
  *a = *b = 0;
  for (int i = from; i < walk->ndim; i++) {
    size_t index = row % walk->size[i];
    row /= walk->size[i];
    *a += index * walk->a[i], *b += index * walk->b[i];
  }
}

#endif
