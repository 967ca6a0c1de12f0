/* Constant folding; see fold.h. */
#include "fold.h"

#include "exec.h"

static int folds(const tsr_graph *g, const tsr_node *node) {
  for (int i = 0; i < node->n_in; i++) {
    const tsr_value_info *root = &g->values[g->values[node->in[i]].root];
    if (!root->data || root->input) return 0;
  }
  return !(node->op->traits & TSR_REPEATS);
}

static void run_node(tsr_builder *b, const tsr_kernels *kernels, const tsr_node *node) {
  tsr_graph *g = &b->graph;
  for (int i = 0; i < node->n_out; i++) {
    tsr_value v = node->out[i];
    g->values[v].node = -1;
    if (g->values[v].root == v) tsr_constant_data(b, v); /* else a view, which has nothing to run */
  }
  tsr_op_args args = tsr_exec_args(g, NULL, kernels, node);
  tsr_op_work work = node->op->work(&args);
  void *scratch = tsr_arena_alloc(b->arena, work.scratch);
  args.shared = tsr_arena_alloc(b->arena, work.shared);
  if (!scratch || !args.shared) tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for the graph");
  for (int task = 0; task < work.tasks && !tsr_failed(b); task++) node->op->run(&args, task, scratch);
}

void tsr_graph_fold(tsr_builder *b, const tsr_kernels *kernels) {
  tsr_graph *g = &b->graph;
  int kept = 0;
  if (tsr_graph_changes_weights(g)) return;
  for (int n = 0; n < g->node_count && !tsr_failed(b); n++) {
    tsr_node *node = &g->nodes[n];
    if (folds(g, node)) {
      run_node(b, kernels, node);
      continue;
    }
    for (int i = 0; i < node->n_out; i++) g->values[node->out[i]].node = kept;
    g->nodes[kept++] = *node;
  }
  g->node_count = kept;
}
