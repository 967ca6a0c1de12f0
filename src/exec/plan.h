/* The memory planner, which turns the lifetimes of buffers into offsets in one block. It is arithmetic only: it
 * allocates nothing and knows no graph. The method is greedy by size: the largest buffer first, each in the lowest gap
 * among those alive at the same time (Pisarchyk and Lee 2020, arXiv 2001.03288, section 4.1). */
#ifndef TSR_EXEC_PLAN_H
#define TSR_EXEC_PLAN_H

#include <stddef.h>

enum { TSR_PLAN_ALIGN = 64 };

/* One buffer, alive from step `first` to step `last`, both included. `order` is scratch of the planner. */
typedef struct tsr_plan_item {
  size_t bytes;
  int first, last;
  size_t offset; /* result, a multiple of TSR_PLAN_ALIGN */
  int order;
} tsr_plan_item;

/* Sets every item's offset so that no two items alive at the same step overlap. Returns the bytes needed in all, or
 * SIZE_MAX when they do not fit a size_t. O(n^2) in the number of items that have bytes, with a small constant. */
size_t tsr_plan_memory(tsr_plan_item *items, int count);

#endif
