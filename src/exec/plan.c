/* The memory planner; see plan.h. */
#include "plan.h"

#include <stdint.h>

/* Larger first, equal sizes in the order given. The order is total, so that plans are repeatable. */
static int comes_before(const tsr_plan_item *items, int a, int b) {
  return items[a].bytes != items[b].bytes ? items[a].bytes > items[b].bytes : a < b;
}

/* Restores the heap items[0 .. count).order below `at`. Its root is the item that comes last in order. */
static void sift_down(tsr_plan_item *items, int at, int count) {
  int moved = items[at].order;
  for (int child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && comes_before(items, items[child].order, items[child + 1].order)) child++;
    if (!comes_before(items, moved, items[child].order)) break;
    items[at].order = items[child].order;
  }
  items[at].order = moved;
}

/* Writes the items' indices by decreasing size into items[i].order, with a heap sort. */
static void sort_by_size(tsr_plan_item *items, int count) {
  for (int i = 0; i < count; i++) items[i].order = i;
  for (int i = count / 2 - 1; i >= 0; i--) sift_down(items, i, count);
  for (int end = count - 1; end > 0; end--) {
    int last = items[0].order;
    items[0].order = items[end].order;
    items[end].order = last;
    sift_down(items, 0, end);
  }
}

static int overlap_in_time(const tsr_plan_item *a, const tsr_plan_item *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* Places the next item in order at the lowest aligned offset where it fits among those placed before. Then inserts its
 * index into items[0 .. placed].order, which is sorted by offset. Returns 0 when the offset does not fit a size_t. */
static int place(tsr_plan_item *items, int placed) {
  int index = items[placed].order, at = placed;
  tsr_plan_item *item = &items[index];
  item->offset = 0;
  for (int i = 0; i < placed; i++) {
    const tsr_plan_item *other = &items[items[i].order];
    if (!overlap_in_time(item, other)) continue;
    if (other->offset >= item->offset + item->bytes) break;
    size_t end = other->offset + other->bytes;
    if (end <= item->offset) continue;
    if (end > SIZE_MAX - TSR_PLAN_ALIGN) return 0;
    item->offset = (end + TSR_PLAN_ALIGN - 1) & ~(size_t)(TSR_PLAN_ALIGN - 1);
    if (item->offset > SIZE_MAX - item->bytes) return 0;
  }
  for (; at > 0 && items[items[at - 1].order].offset > item->offset; at--) items[at].order = items[at - 1].order;
  items[at].order = index;
  return 1;
}

size_t tsr_plan_memory(tsr_plan_item *items, int count) {
  size_t total = 0;
  sort_by_size(items, count);
  for (int i = 0; i < count; i++) {
    tsr_plan_item *item = &items[items[i].order];
    if (!item->bytes) item->offset = 0; /* items without bytes come last */
    else if (!place(items, i)) return SIZE_MAX;
    if (item->offset + item->bytes > total) total = item->offset + item->bytes;
  }
  return total;
}
