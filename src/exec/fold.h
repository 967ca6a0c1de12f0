/* What depends on weights and constants alone is computed once, when a session begins: such nodes are run here, and
 * their outputs become constants. So an architecture writes exp(t), gamma + 1 or a norm's scale as ops, which gradients
 * can pass, and a run does not pay for them. */
#ifndef TSR_EXEC_FOLD_H
#define TSR_EXEC_FOLD_H

#include "graph/graph.h"

/* Changes the builder's finished graph. An expand stays in it, because what it repeats would take memory for as long as
 * the session lives. So does what reads a packed matrix; and everything in a graph whose run changes weights. Errors:
 * TSR_ERR_OUT_OF_MEMORY. */
void tsr_graph_fold(tsr_builder *b, const tsr_kernels *kernels);

#endif
