/* The thread pool: every task exactly once, whatever the numbers, many rounds in a row.
 * Alone: make native-tests && build/native/test_threads */
#include "base/threads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"

enum { TASKS = 257 };

typedef struct tally {
  int runs[TASKS];
  int bad_thread, threads;
} tally;

static void count_task(void *user, int task, int thread) {
  tally *t = user;
  t->runs[task]++; /* one writer per task: no race if the pool is right, and the thread sanitiser would say so */
  if (thread < 0 || thread >= t->threads) t->bad_thread = 1;
}

/* Two tasks. The caller holds on to its own until another thread has taken the other one, which takes longer than
 * anybody waits busily: before it that thread slept, during it the caller does, and both must be woken. */
typedef struct handover {
  atomic_int taken, done;
  int alone;
} handover;

static void pass_time(double ms) {
  struct timespec first, now;
  timespec_get(&first, TIME_UTC);
  do timespec_get(&now, TIME_UTC);
  while ((double)(now.tv_sec - first.tv_sec) * 1e3 + (double)(now.tv_nsec - first.tv_nsec) * 1e-6 < ms);
}

static void hand_over(void *user, int task, int thread) {
  (void)task;
  handover *h = user;
  if (thread) {
    atomic_fetch_add(&h->taken, 1);
    pass_time(5);
  } else {
    for (int ms = 0; !atomic_load(&h->taken) && ms < 5000; ms++) pass_time(1);
    h->alone = !atomic_load(&h->taken);
  }
  atomic_fetch_add(&h->done, 1);
}

static void check_sleep(void) {
  tsr_heap heap = {0};
  tsr_pool *pool = tsr_pool_create(&heap, 2);
  for (int round = 0; tsr_pool_threads(pool) == 2 && round < 10; round++) {
    handover h = {0};
    pass_time(5);
    tsr_pool_run(pool, 2, hand_over, &h);
    CHECK_INT(h.alone, 0);
    CHECK_INT(atomic_load(&h.done), 2);
    if (h.alone) break;
  }
  tsr_pool_destroy(pool);
  CHECK_INT(heap.in_use, 0);
}

int main(void) {
  for (int threads = 1; threads <= 5; threads++) {
    tsr_heap heap = {0};
    tsr_pool *pool = tsr_pool_create(&heap, threads);
    CHECK(pool != NULL);
    for (int round = 0; round < 300; round++) {
      tally t = {.threads = tsr_pool_threads(pool)};
      int tasks = round % TASKS, wrong = 0;
      tsr_pool_run(pool, tasks, count_task, &t);
      for (int i = 0; i < TASKS; i++) wrong += t.runs[i] != (i < tasks);
      CHECK_INT(wrong, 0);
      CHECK_INT(t.bad_thread, 0);
    }
    tsr_pool_destroy(pool);
    CHECK_INT(heap.in_use, 0);
  }
  check_sleep();
  tsr_heap broke = {.fail_after = 1};
  CHECK(tsr_pool_create(&broke, 2) == NULL);
  return check_done("threads");
}
