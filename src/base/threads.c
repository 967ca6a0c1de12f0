/* The thread pool; see threads.h.
 *
 * A job has two atomic counters: `left`, tasks left to take, and `pending`, tasks left to finish. The thread that
 * counts `left` down from n takes task tasks - n. Before it waits again, it subtracts the number of tasks it has done
 * from `pending`. The caller waits for tasks, not for threads, so a thread that wakes late finds no task left and does
 * no harm. The fields of the job change only while pending is 0, and a task that was taken keeps pending above 0. */
#include "threads.h"

#ifdef TSR_THREADS

#include <stdatomic.h>

#ifndef __wasm__
#include <pthread.h>
#endif

/* How many times a thread reads the value (spins) before it sleeps. Layers follow each other within microseconds, but
 * the last task of another thread may take 40 us, and waking a thread takes as long again: with spins of about 10 us
 * only, small models waited for a fifth of their time. A thread that spins for long may, however, take the core away
 * from a thread that has work. Therefore each wait that ends while spinning lets the next one spin longer, up to about
 * 200 us, and a wait that ends in sleep starts over. Natively each spin ends with a pause instruction. */
#ifdef __wasm__
enum { LEAST_SPINS = 20000, MOST_SPINS = 500000 };
#else
enum { LEAST_SPINS = 500, MOST_SPINS = 5000 };
#endif
enum { STACK_BYTES = 256 * 1024 };

/* A number that threads wait on. Each has a cache line of its own, because waiting threads read it all the time. */
typedef struct gate {
  _Alignas(64) atomic_int value;
  atomic_int asleep;   /* threads that must be woken when the value changes */
  atomic_int patience; /* spins of the next wait, above LEAST_SPINS */
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
  gate round;                   /* counts the jobs */
  gate pending;                 /* tasks left to finish */
  _Alignas(64) atomic_int left; /* tasks left to take; below 0 once threads tried to take one and found none */
  atomic_int quit;              /* 1: the threads must end, or one of them trapped */
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

/* Returns soon after the gate's value is no longer `value`. */
static void wait_while(tsr_pool *pool, gate *g, int value) {
  int spins = LEAST_SPINS + atomic_load(&g->patience);
  for (int i = 0; i < spins; i++, relax())
    if (atomic_load(&g->value) != value) {
      if (spins < MOST_SPINS) atomic_store(&g->patience, spins + spins / 4 - LEAST_SPINS);
      return;
    }
  atomic_store(&g->patience, 0);
  /* Before sleep_while reads the value again, because a thread that changes it afterwards must see a sleeper. */
  atomic_fetch_add(&g->asleep, 1);
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
    int seen = atomic_load(&pool->round.value); /* read before `quit`, because setting quit changes the round as well */
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
  if (atomic_load(&pool->quit)) __builtin_trap(); /* a thread trapped, so results are missing */
#endif
}

#ifdef __wasm__

tsr_pool *tsr_pool_create(tsr_heap *heap, int threads) {
  (void)threads; /* tsr_pool_admit adds them */
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
