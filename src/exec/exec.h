/* The executor of a graph, which plans the memory once, then runs node after node on a pool of threads. Each node is
 * split into tasks by output tile, so that any number of threads gives the same bits. */
#ifndef TSR_EXEC_H
#define TSR_EXEC_H

#include "graph/graph.h"
#include "base/threads.h"

typedef struct tsr_exec tsr_exec;

/* A new executor: plans and allocates memory for runs of `graph` on `threads` threads. `graph` must outlive it.
 * On failure returns NULL and records TSR_ERR_OUT_OF_MEMORY; the message says how much was needed. */
tsr_exec *tsr_exec_create(tsr_heap *heap, tsr_error *err, const tsr_graph *graph, const tsr_kernels *kernels,
                          int threads);
/* The arguments of a node's op. Without an executor (`exec` NULL) only inputs, vectors and constants have data, because
 * no other value has memory. That is enough for an op's work function, which reads no data. */
tsr_op_args tsr_exec_args(const tsr_graph *graph, const tsr_exec *exec, const tsr_kernels *kernels,
                          const tsr_node *node);
/* Runs use `kernels` from now on. These must use the same packed-weight and scratch formats as those before. */
void tsr_exec_use(tsr_exec *exec, const tsr_kernels *kernels);
/* Runs the graph on the inputs' data that its values point to now. Cannot fail. */
void tsr_exec_run(tsr_exec *exec, tsr_pool *pool);
/* The numbers of a value after a run, f32, owned by the executor or by the input. They are valid for the output, wanted
 * taps, inputs and vectors until the next run; the memory of other values is reused during a run. NULL: not in
 * memory. */
const float *tsr_exec_data(const tsr_exec *exec, tsr_value value);
/* Bytes of activations and scratch. */
size_t tsr_exec_bytes(const tsr_exec *exec);
/* Frees the executor. NULL is allowed. */
void tsr_exec_destroy(tsr_exec *exec);

/* The multiply-adds of one run of `graph`. Needs no executor. */
double tsr_graph_operations(const tsr_graph *graph, const tsr_kernels *kernels);

#endif
