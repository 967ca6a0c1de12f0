/* A pool that runs numbered tasks on several threads. The tasks of a job write disjoint outputs, so which
 * thread runs which task never changes a result. In a build without TSR_THREADS everything runs on the caller's thread.
 * Threads without a task spin for a moment, then sleep. */
#ifndef TSR_BASE_THREADS_H
#define TSR_BASE_THREADS_H

#include "arena.h"

enum { TSR_MAX_THREADS = 16 };

typedef struct tsr_pool tsr_pool;
typedef void tsr_task_fn(void *user, int task, int thread);

/* A new pool of `threads` threads, the caller's included. It has fewer when the system gives fewer. In WebAssembly it
 * has only the caller's; the host adds others with tsr_pool_admit. NULL: out of memory. */
tsr_pool *tsr_pool_create(tsr_heap *heap, int threads);
/* The pool's threads, the caller's included. */
int tsr_pool_threads(const tsr_pool *pool);
/* Calls run(user, task, thread) once for each task in [0, tasks), with thread in [0, threads); returns when all tasks
 * are done. */
void tsr_pool_run(tsr_pool *pool, int tasks, tsr_task_fn *run, void *user);
/* Ends the threads and frees the pool. In WebAssembly the threads must have ended before. NULL is allowed. */
void tsr_pool_destroy(tsr_pool *pool);

#if defined(TSR_THREADS) && defined(__wasm__)
/* Makes room for one more thread, which the host starts. Its number is the pool's count of threads before the call.
 * Returns the upper end of the thread's stack, which the pool owns. NULL: the pool is full, or out of memory. Not to be
 * called during a run. */
void *tsr_pool_admit(tsr_pool *pool);
/* 1 if the pool has had no job yet and gets none within `ms` milliseconds, else 0. */
int tsr_pool_is_idle(tsr_pool *pool, int ms);
/* The main loop of an admitted thread, on its own stack; returns when the pool is stopped. */
void tsr_pool_serve(tsr_pool *pool, int thread);
/* Makes admitted threads return. A run in progress traps, as does every later one. Called by a thread that trapped, or
 * at the end. */
void tsr_pool_stop(tsr_pool *pool);
#endif

#endif
