/* Windows that slide over a map: the part of each that lies inside the map, along one axis. */
#ifndef TSR_OPS_WINDOW_H
#define TSR_OPS_WINDOW_H

#include "ops.h"

/* `count` outputs from `at` on whose windows have the same part inside: [first, last) of the kernel. That part of the
 * first window begins at `from` of the input. Windows that are whole are taken together, others one by one. */
typedef struct tsr_span {
  int count, first, last, from;
} tsr_span;

static inline tsr_span tsr_window_span(int size, int kernel, int stride, int pad, int at, int most) {
  int x = at * stride - pad, room = size - kernel - x;
  if (x >= 0 && room >= 0) {
    int whole = room / stride + 1;
    return (tsr_span){whole < most ? whole : most, 0, kernel, x};
  }
  int first = x < 0 ? -x : 0, last = room < 0 ? size - x : kernel;
  return (tsr_span){1, first, last > first ? last : first, x + first};
}

/* The number of outputs along an axis; 0 when the kernel does not fit. */
static inline int tsr_window_count(int size, int kernel, int stride, int pad) {
  return size + 2 * pad < kernel ? 0 : (size + 2 * pad - kernel) / stride + 1;
}

#endif
