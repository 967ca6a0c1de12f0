/* The thread pool; see threads.h.
 *
 * A job is a count of tasks to take: whoever counts `left` down from n takes task tasks - n, and subtracts what it has done from
 * `pending` at the end. The caller waits for tasks, not for threads: one that wakes late finds nothing left and disturbs
 * nobody. Fields of the job change only while pending is 0, and a task that was taken keeps pending above 0. */
#include "threads.h"

#ifdef TSR_THREADS

#include <stdatomic.h>

#ifndef __wasm__
#include <pthread.h>
#endif

/* How often a thread looks for a change before it sleeps. Layers follow each other within microseconds, but the last task that another thread is
 * at may take forty, and to be woken takes as long again: looking for some 10 us only, small models waited a fifth of their time. Who
 * looks for long where a thread is kept from running takes its core away from it, however: so each wait that ends in time lets the next
 * one look longer, up to some 200 us, and one that does not starts over. Natively a look ends with an instruction that pauses. */
#ifdef __wasm__
enum { LEAST_LOOKS = 20000, MOST_LOOKS = 500000 };
#else
enum { LEAST_LOOKS = 500, MOST_LOOKS = 5000 };
#endif
enum { STACK_BYTES = 256 * 1024 };

/* A number that threads wait on. Each stands in a cache line of its own: waiting threads read it all the time. */
typedef struct gate {
  _Alignas(64) atomic_int value;
  atomic_int asleep;   /* threads that must be woken when the value changes */
  atomic_int patience; /* looks above the least ones that the next wait is worth */
} gate;

#ifndef __wasm__
typedef struct worker {
  tsr_pool *pool;
  int thread;
  pthread_t id;
} worker;
#endif

struct tsr_pool {
  tsr_heap *heap;
  int threads;
  int tasks; /* the job */
  tsr_task_fn *run;
  void *user;
  gate round;   /* counts the jobs */
  gate pending; /* tasks that are not done */
  _Alignas(64) atomic_int left; /* tasks that nobody has taken; below 0 once threads have looked in vain */
  atomic_int quit;              /* the threads end, or one of them trapped */
#ifdef __wasm__
  void *stacks[TSR_MAX_THREADS];
#else
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  worker workers[TSR_MAX_THREADS];
#endif
};

#ifdef __wasm__

static void sleep_while(tsr_pool *pool, gate *g, int value) {
  (void)pool;
  __builtin_wasm_memory_atomic_wait32((int *)&g->value, value, -1);
}

static void wake_all(tsr_pool *pool, gate *g) {
  (void)pool;
  __builtin_wasm_memory_atomic_notify((int *)&g->value, TSR_MAX_THREADS);
}

static void relax(void) {}

#else

static void sleep_while(tsr_pool *pool, gate *g, int value) {
  pthread_mutex_lock(&pool->mutex);
  while (atomic_load(&g->value) == value) pthread_cond_wait(&pool->changed, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
}

static void wake_all(tsr_pool *pool, gate *g) {
  (void)g;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->mutex);
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

#endif

/* Returns soon after the gate's value is another. */
static void wait_while(tsr_pool *pool, gate *g, int value) {
  int looks = LEAST_LOOKS + atomic_load(&g->patience);
  for (int i = 0; i < looks; i++, relax())
    if (atomic_load(&g->value) != value) {
      if (looks < MOST_LOOKS) atomic_store(&g->patience, looks + looks / 4 - LEAST_LOOKS);
      return;
    }
  atomic_store(&g->patience, 0);
  atomic_fetch_add(&g->asleep, 1); /* before the value is looked at again: who changes it after that sees a sleeper */
  sleep_while(pool, g, value);
  atomic_fetch_sub(&g->asleep, 1);
}

static void wake(tsr_pool *pool, gate *g) {
  if (atomic_load(&g->asleep)) wake_all(pool, g);
}

static void take_tasks(tsr_pool *pool, int thread) {
  int done = 0;
  for (int n; (n = atomic_fetch_sub(&pool->left, 1)) > 0; done++) pool->run(pool->user, pool->tasks - n, thread);
  if (done && atomic_fetch_sub(&pool->pending.value, done) == done) wake(pool, &pool->pending);
}

static void work(tsr_pool *pool, int thread) {
  for (;;) {
    int seen = atomic_load(&pool->round.value); /* before `quit`: what is set after that changes the round too */
    if (atomic_load(&pool->quit)) return;
    take_tasks(pool, thread);
    wait_while(pool, &pool->round, seen);
  }
}

void tsr_pool_run(tsr_pool *pool, int tasks, tsr_task_fn *run, void *user) {
  if (pool->threads == 1 || tasks <= 1) {
    for (int task = 0; task < tasks; task++) run(user, task, 0);
    return;
  }
  pool->run = run;
  pool->user = user;
  pool->tasks = tasks;
  atomic_store(&pool->pending.value, tasks);
  atomic_store(&pool->left, tasks);
  atomic_fetch_add(&pool->round.value, 1);
  wake(pool, &pool->round);
  take_tasks(pool, 0);
  for (int n; (n = atomic_load(&pool->pending.value)) > 0;) wait_while(pool, &pool->pending, n);
#ifdef __wasm__
  if (atomic_load(&pool->quit)) __builtin_trap(); /* as the thread did: results are missing */
#endif
}

#ifdef __wasm__

tsr_pool *tsr_pool_create(tsr_heap *heap, int threads) {
  (void)threads; /* they come with tsr_pool_admit */
  tsr_pool *pool = tsr_heap_calloc(heap, 1, sizeof *pool);
  if (!pool) return NULL;
  pool->heap = heap;
  pool->threads = 1;
  return pool;
}

void *tsr_pool_admit(tsr_pool *pool) {
  if (pool->threads == TSR_MAX_THREADS) return NULL;
  char *stack = tsr_heap_alloc(pool->heap, STACK_BYTES);
  if (!stack) return NULL;
  pool->stacks[pool->threads++] = stack;
  return stack + STACK_BYTES;
}

int tsr_pool_is_idle(tsr_pool *pool, int ms) {
  atomic_fetch_add(&pool->round.asleep, 1);
  __builtin_wasm_memory_atomic_wait32((int *)&pool->round.value, 0, ms * 1000000LL);
  atomic_fetch_sub(&pool->round.asleep, 1);
  return !atomic_load(&pool->round.value);
}

void tsr_pool_serve(tsr_pool *pool, int thread) { work(pool, thread); }

void tsr_pool_stop(tsr_pool *pool) {
  atomic_store(&pool->quit, 1);
  atomic_fetch_add(&pool->round.value, 1);
  wake_all(pool, &pool->round);
  atomic_store(&pool->pending.value, 0);
  wake_all(pool, &pool->pending);
}

void tsr_pool_destroy(tsr_pool *pool) {
  if (!pool) return;
  while (pool->threads > 1) tsr_heap_free(pool->heap, pool->stacks[--pool->threads]);
  tsr_heap_free(pool->heap, pool);
}

#else

static void *start(void *argument) {
  worker *self = argument;
  work(self->pool, self->thread);
  return NULL;
}

tsr_pool *tsr_pool_create(tsr_heap *heap, int threads) {
  tsr_pool *pool = tsr_heap_calloc(heap, 1, sizeof *pool);
  if (!pool) return NULL;
  pool->heap = heap;
  pool->threads = 1;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->changed, NULL);
  if (threads > TSR_MAX_THREADS) threads = TSR_MAX_THREADS;
  while (pool->threads < threads) {
    worker *next = &pool->workers[pool->threads];
    *next = (worker){.pool = pool, .thread = pool->threads};
    if (pthread_create(&next->id, NULL, start, next)) break;
    pool->threads++;
  }
  return pool;
}

void tsr_pool_destroy(tsr_pool *pool) {
  if (!pool) return;
  atomic_store(&pool->quit, 1);
  atomic_fetch_add(&pool->round.value, 1);
  wake_all(pool, &pool->round);
  for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i].id, NULL);
  pthread_cond_destroy(&pool->changed);
  pthread_mutex_destroy(&pool->mutex);
  tsr_heap_free(pool->heap, pool);
}

#endif

int tsr_pool_threads(const tsr_pool *pool) { return pool->threads; }

#else

struct tsr_pool {
  tsr_heap *heap;
};

tsr_pool *tsr_pool_create(tsr_heap *heap, int threads) {
  (void)threads;
  tsr_pool *pool = tsr_heap_calloc(heap, 1, sizeof *pool);
  if (pool) pool->heap = heap;
  return pool;
}

void tsr_pool_run(tsr_pool *pool, int tasks, tsr_task_fn *run, void *user) {
  (void)pool;
  for (int task = 0; task < tasks; task++) run(user, task, 0);
}

void tsr_pool_destroy(tsr_pool *pool) {
  if (pool) tsr_heap_free(pool->heap, pool);
}

int tsr_pool_threads(const tsr_pool *pool) {
  (void)pool;
  return 1;
}

#endif
