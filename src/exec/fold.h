/* Constant folding: runs the nodes that depend on weights and constants alone once, when a session begins. Their
 * outputs become constants. So an architecture can write exp(t), gamma + 1 or a norm's scale as ops, through which
 * gradients can flow, and a run does not spend time on them. */
#ifndef TSR_EXEC_FOLD_H
#define TSR_EXEC_FOLD_H

#include "graph/graph.h"

/* Folds constants in the builder's finished graph. Three kinds of nodes stay: expand, because its output would take
 * memory as long as the session lives; nodes that read a packed matrix; and all nodes of a graph whose run changes
 * weights. TSR_ERR_OUT_OF_MEMORY. */
void tsr_graph_fold(tsr_builder *b, const tsr_kernels *kernels);

#endif
