/* A pool that runs numbered tasks on several threads. Which thread runs which task never changes a result: tasks write
 * disjoint outputs. Without TSR_THREADS (a build without threads) everything runs on the caller. Threads that have nothing to
 * do wait busily for a moment, then sleep. */
#ifndef TSR_BASE_THREADS_H
#define TSR_BASE_THREADS_H

#include "arena.h"

enum { TSR_MAX_THREADS = 16 };

typedef struct tsr_pool tsr_pool;
typedef void tsr_task_fn(void *user, int task, int thread);

/* `threads` in all, the caller's included; fewer when the system gives fewer, and in WebAssembly only the caller's: the others
 * are admitted. NULL: out of memory. */
tsr_pool *tsr_pool_create(tsr_heap *heap, int threads);
int tsr_pool_threads(const tsr_pool *pool);
/* Calls run(user, task, thread) once for each task in [0, tasks), thread in [0, threads); returns when all are done. */
void tsr_pool_run(tsr_pool *pool, int tasks, tsr_task_fn *run, void *user);
/* In WebAssembly the threads must have been ended before. */
void tsr_pool_destroy(tsr_pool *pool);

#if defined(TSR_THREADS) && defined(__wasm__)
/* Room for one thread more, which the host starts; its number is the pool's count of threads before. Returns the upper end of its
 * stack. NULL: the pool is full, or out of memory. Not during a run. */
void *tsr_pool_admit(tsr_pool *pool);
/* Whether no job came before, and none within so many milliseconds. */
int tsr_pool_is_idle(tsr_pool *pool, int ms);
/* The life of an admitted thread, on its own stack, until the pool is stopped. */
void tsr_pool_serve(tsr_pool *pool, int thread);
/* Admitted threads return. A run under way traps, as does every later one: to be called by a thread that trapped, or at the end. */
void tsr_pool_stop(tsr_pool *pool);
#endif

#endif
