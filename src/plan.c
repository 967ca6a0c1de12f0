/* Memory planning; see plan.h. */
#include "plan.h"

#include <stdint.h>

/* Item indices by falling size, in items[i].order: an insertion sort, stable, so that plans are repeatable. */
static void sort_by_size(tsr_plan_item *items, int count) {
  for (int i = 0; i < count; i++) {
    int at = i;
    while (at > 0 && items[items[at - 1].order].bytes < items[i].bytes) {
      items[at].order = items[at - 1].order;
      at--;
    }
    items[at].order = i;
  }
}

static int overlap_in_time(const tsr_plan_item *a, const tsr_plan_item *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* The lowest aligned offset where `item` fits among the items placed before it (order[0..placed)). */
static size_t lowest_gap(const tsr_plan_item *items, int placed, const tsr_plan_item *item) {
  size_t offset = 0;
  for (int again = 1; again;) {
    again = 0;
    for (int i = 0; i < placed; i++) {
      const tsr_plan_item *other = &items[items[i].order];
      if (!other->bytes || !overlap_in_time(item, other)) continue;
      if (offset < other->offset + other->bytes && other->offset < offset + item->bytes) {
        size_t end = other->offset + other->bytes;
        if (end > SIZE_MAX - TSR_PLAN_ALIGN) return SIZE_MAX;
        offset = (end + TSR_PLAN_ALIGN - 1) & ~(size_t)(TSR_PLAN_ALIGN - 1);
        if (offset > SIZE_MAX - item->bytes) return SIZE_MAX;
        again = 1;
      }
    }
  }
  return offset;
}

size_t tsr_plan_memory(tsr_plan_item *items, int count) {
  size_t total = 0;
  sort_by_size(items, count);
  for (int i = 0; i < count; i++) {
    tsr_plan_item *item = &items[items[i].order];
    item->offset = 0;
    if (!item->bytes) continue;
    item->offset = lowest_gap(items, i, item);
    if (item->offset == SIZE_MAX) return SIZE_MAX;
    if (item->offset + item->bytes > total) total = item->offset + item->bytes;
  }
  return total;
}
