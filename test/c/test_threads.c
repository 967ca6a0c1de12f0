/* The thread pool: every task exactly once, whatever the numbers, many rounds in a row.
 * Alone: make native-tests && build/native/test_threads */
#include "../../src/threads.h"

#include <stdlib.h>

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
  tsr_heap broke = {.fail_after = 1};
  CHECK(tsr_pool_create(&broke, 2) == NULL);
  return check_done("threads");
}
