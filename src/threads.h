/* A pool that runs numbered tasks on several threads. Which thread runs which task never changes a result: tasks write
 * disjoint outputs. Without TSR_THREADS (a build without threads) everything runs on the caller. */
#ifndef TSR_THREADS_H
#define TSR_THREADS_H

#include "arena.h"

enum { TSR_MAX_THREADS = 16 };

typedef struct tsr_pool tsr_pool;
typedef void tsr_task_fn(void *user, int task, int thread);

/* `threads` in all, the caller's included; fewer when the system gives fewer. NULL: out of memory. */
tsr_pool *tsr_pool_create(tsr_heap *heap, int threads);
int tsr_pool_threads(const tsr_pool *pool);
/* Calls run(user, task, thread) once for each task in [0, tasks), thread in [0, threads); returns when all are done. */
void tsr_pool_run(tsr_pool *pool, int tasks, tsr_task_fn *run, void *user);
void tsr_pool_destroy(tsr_pool *pool);

#endif
