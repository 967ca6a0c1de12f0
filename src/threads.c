/* The thread pool; see threads.h. */
#include "threads.h"

#ifdef TSR_THREADS

#include <pthread.h>
#include <stdatomic.h>

struct tsr_pool {
  tsr_heap *heap;
  int threads;
  pthread_mutex_t mutex;
  pthread_cond_t start, done;
  unsigned round;    /* counts the jobs handed out; guarded by mutex */
  int working, quit; /* guarded by mutex */
  atomic_int next;   /* next task to take */
  int tasks;
  tsr_task_fn *run;
  void *user;
  struct worker {
    tsr_pool *pool;
    int thread;
    pthread_t id;
  } workers[TSR_MAX_THREADS];
};

static void take_tasks(tsr_pool *pool, int thread) {
  for (int task; (task = atomic_fetch_add(&pool->next, 1)) < pool->tasks;) pool->run(pool->user, task, thread);
}

static void *work(void *argument) {
  struct worker *self = argument;
  tsr_pool *pool = self->pool;
  unsigned seen = 0;
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    while (pool->round == seen && !pool->quit) pthread_cond_wait(&pool->start, &pool->mutex);
    if (pool->quit) break;
    seen = pool->round;
    pthread_mutex_unlock(&pool->mutex);
    take_tasks(pool, self->thread);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->working == 0) pthread_cond_signal(&pool->done);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

tsr_pool *tsr_pool_create(tsr_heap *heap, int threads) {
  tsr_pool *pool = tsr_heap_calloc(heap, 1, sizeof *pool);
  if (!pool) return NULL;
  pool->heap = heap;
  pool->threads = 1;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->start, NULL);
  pthread_cond_init(&pool->done, NULL);
  if (threads > TSR_MAX_THREADS) threads = TSR_MAX_THREADS;
  while (pool->threads < threads) {
    struct worker *worker = &pool->workers[pool->threads];
    *worker = (struct worker){.pool = pool, .thread = pool->threads};
    if (pthread_create(&worker->id, NULL, work, worker)) break;
    pool->threads++;
  }
  return pool;
}

void tsr_pool_run(tsr_pool *pool, int tasks, tsr_task_fn *run, void *user) {
  if (pool->threads == 1 || tasks <= 1) {
    for (int task = 0; task < tasks; task++) run(user, task, 0);
    return;
  }
  pthread_mutex_lock(&pool->mutex);
  pool->run = run;
  pool->user = user;
  pool->tasks = tasks;
  atomic_store(&pool->next, 0);
  pool->working = pool->threads - 1;
  pool->round++;
  pthread_cond_broadcast(&pool->start);
  pthread_mutex_unlock(&pool->mutex);
  take_tasks(pool, 0);
  pthread_mutex_lock(&pool->mutex);
  while (pool->working) pthread_cond_wait(&pool->done, &pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
}

void tsr_pool_destroy(tsr_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  pool->quit = 1;
  pthread_cond_broadcast(&pool->start);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i].id, NULL);
  pthread_cond_destroy(&pool->start);
  pthread_cond_destroy(&pool->done);
  pthread_mutex_destroy(&pool->mutex);
  tsr_heap_free(pool->heap, pool);
}

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

#endif

int tsr_pool_threads(const tsr_pool *pool) {
#ifdef TSR_THREADS
  return pool->threads;
#else
  (void)pool;
  return 1;
#endif
}
