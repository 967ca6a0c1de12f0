/* Runs a graph: plans its memory once, then walks the nodes, each split over the pool's threads by output tile, so that
 * any number of threads gives the same bits. */
#ifndef TSR_EXEC_H
#define TSR_EXEC_H

#include "graph.h"
#include "threads.h"

typedef struct tsr_exec tsr_exec;

/* Plans and allocates for `graph`, which must outlive the executor. Wanted taps and the output stay readable after the run.
 * NULL and TSR_ERR_OUT_OF_MEMORY (says how much was needed). */
tsr_exec *tsr_exec_create(tsr_heap *heap, tsr_error *err, const tsr_graph *graph, const tsr_kernels *kernels, int threads);
/* Other kernels from now on; they must take the packed weights and scratch of those it was created with. */
void tsr_exec_use(tsr_exec *exec, const tsr_kernels *kernels);
/* Inputs' data are taken from the graph's values as they stand now. Cannot fail. */
void tsr_exec_run(tsr_exec *exec, tsr_pool *pool);
/* The numbers of a value after a run (any value before its memory is reused: the output, wanted taps, inputs, vectors). */
const float *tsr_exec_data(const tsr_exec *exec, tsr_value value);
/* Bytes of activations and scratch. */
size_t tsr_exec_bytes(const tsr_exec *exec);
void tsr_exec_destroy(tsr_exec *exec);

/* What a node's op is handed. Without an executor, `exec` NULL, numbers are there of inputs, vectors and constants alone; a statement of work
 * needs none. */
tsr_op_args tsr_exec_args(const tsr_graph *graph, const tsr_exec *exec, const tsr_kernels *kernels, const tsr_node *node);

/* Multiply-adds of one run. Needs no executor. */
double tsr_graph_operations(const tsr_graph *graph, const tsr_kernels *kernels);

#endif
