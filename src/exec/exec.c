/* The executor; see exec.h. */
#include "exec.h"

#include <string.h>

#include "plan.h"

struct tsr_exec {
  tsr_heap *heap;
  const tsr_graph *graph;
  const tsr_kernels *kernels;
  size_t *offset; /* of each value in `memory`, if it is a root that a node makes; else SIZE_MAX */
  char *memory;   /* activations, then the memory that a node's tasks share, then each thread's scratch */
  size_t activations, shared, scratch, bytes;
};

tsr_op_args tsr_exec_args(const tsr_graph *g, const tsr_exec *exec, const tsr_kernels *kernels, const tsr_node *node) {
  tsr_op_args args = {.attrs = &node->attrs, .kernels = kernels, .n_in = node->n_in, .n_out = node->n_out};
  for (int i = 0; i < node->n_in + node->n_out; i++) {
    int is_in = i < node->n_in;
    tsr_value value = is_in ? node->in[i] : node->out[i - node->n_in];
    tsr_arg *arg = is_in ? &args.in[i] : &args.out[i - node->n_in];
    const tsr_value_info *info = &g->values[value];
    *arg = (tsr_arg){.shape = info->shape,
                     .weight = info->weight,
                     .data = (float *)(exec ? tsr_exec_data(exec, value) : g->values[info->root].data)};
  }
  if (exec) args.shared = exec->memory + exec->activations;
  return args;
}

const float *tsr_exec_data(const tsr_exec *exec, tsr_value value) {
  const tsr_value_info *info = &exec->graph->values[value], *root = &exec->graph->values[info->root];
  if (root->data) return root->data;
  if (exec->offset[info->root] == SIZE_MAX) return NULL;
  return (const float *)(exec->memory + exec->offset[info->root]);
}

/* The lifetime of each root that a node makes: from that node to the last reader. Outputs live to the end. */
static void lifetimes(const tsr_graph *g, tsr_plan_item *items) {
  for (int v = 0; v < g->value_count; v++) {
    const tsr_value_info *info = &g->values[v];
    if (info->node < 0 || info->root != v) continue;
    size_t bytes = tsr_shape_count(&info->shape, NULL) * sizeof(float);
    items[v] = (tsr_plan_item){.bytes = bytes, .first = info->node, .last = info->node};
  }
  for (int n = 0; n < g->node_count; n++)
    for (int i = 0; i < g->nodes[n].n_in; i++) items[g->values[g->nodes[n].in[i]].root].last = n;
  for (int t = 0; t < g->tap_count; t++)
    if (g->taps[t].value != TSR_NO_VALUE) items[g->values[g->taps[t].value].root].last = g->node_count;
  for (int i = 0; i < g->store_count; i++) items[g->values[g->stores[i].from].root].last = g->node_count;
  items[g->values[g->output].root].last = g->node_count;
}

static size_t plan(tsr_exec *exec) {
  const tsr_graph *g = exec->graph;
  tsr_plan_item *items = tsr_heap_calloc(exec->heap, (size_t)g->value_count, sizeof *items);
  if (!items) return SIZE_MAX;
  lifetimes(g, items);
  size_t total = tsr_plan_memory(items, g->value_count);
  for (int v = 0; v < g->value_count; v++) {
    int planned = g->values[v].node >= 0 && g->values[v].root == v;
    exec->offset[v] = planned ? items[v].offset : SIZE_MAX;
  }
  tsr_heap_free(exec->heap, items);
  return total;
}

static size_t aligned(size_t bytes, int *overflow) {
  return tsr_size_add(bytes, TSR_PLAN_ALIGN - 1, overflow) & ~(size_t)(TSR_PLAN_ALIGN - 1);
}

tsr_exec *tsr_exec_create(tsr_heap *heap, tsr_error *err, const tsr_graph *graph, const tsr_kernels *kernels,
                          int threads) {
  tsr_exec *exec = tsr_heap_calloc(heap, 1, sizeof *exec);
  int overflow = 0;
  if (exec) {
    *exec = (tsr_exec){.heap = heap, .graph = graph, .kernels = kernels};
    exec->offset = tsr_heap_alloc(heap, (size_t)graph->value_count * sizeof *exec->offset);
  }
  if (!exec || !exec->offset) {
    tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for the executor");
    tsr_exec_destroy(exec);
    return NULL;
  }
  size_t activations = plan(exec);
  for (int n = 0; n < graph->node_count; n++) {
    tsr_op_args args = tsr_exec_args(graph, NULL, kernels, &graph->nodes[n]);
    tsr_op_work work = graph->nodes[n].op->work(&args);
    if (work.scratch > exec->scratch) exec->scratch = work.scratch;
    if (work.shared > exec->shared) exec->shared = work.shared;
  }
  exec->activations = aligned(activations, &overflow);
  exec->shared = aligned(exec->shared, &overflow);
  exec->scratch = aligned(exec->scratch, &overflow);
  exec->bytes = tsr_size_add(exec->activations, exec->shared, &overflow);
  exec->bytes = tsr_size_add(exec->bytes, tsr_size_mul(exec->scratch, (size_t)threads, &overflow), &overflow);
  if (!overflow) exec->memory = tsr_heap_alloc(heap, exec->bytes);
  if (!exec->memory) {
    tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                  "no memory for activations (%.1f MB); a smaller batch, image or capture needs less",
                  overflow ? 4096.0 : (double)exec->bytes / 1e6);
    tsr_exec_destroy(exec);
    return NULL;
  }
  return exec;
}

typedef struct step {
  const tsr_exec *exec;
  tsr_op op;
  tsr_op_args args;
  int first; /* number of the first task of this round of tasks */
} step;

static void run_task(void *user, int task, int thread) {
  const step *s = user;
  const tsr_exec *e = s->exec;
  s->op->run(&s->args, s->first + task, e->memory + e->activations + e->shared + (size_t)thread * e->scratch);
}

void tsr_exec_run(tsr_exec *exec, tsr_pool *pool) {
  const tsr_graph *g = exec->graph;
  for (int n = 0; n < g->node_count; n++) {
    step s = {exec, g->nodes[n].op, tsr_exec_args(g, exec, exec->kernels, &g->nodes[n]), 0};
    tsr_op_work work = s.op->work(&s.args);
    if (work.before) tsr_pool_run(pool, work.before, run_task, &s);
    s.first = work.before;
    tsr_pool_run(pool, work.tasks - work.before, run_task, &s);
  }
}

void tsr_exec_use(tsr_exec *exec, const tsr_kernels *kernels) { exec->kernels = kernels; }

size_t tsr_exec_bytes(const tsr_exec *exec) { return exec->bytes; }

void tsr_exec_destroy(tsr_exec *exec) {
  if (!exec) return;
  tsr_heap_free(exec->heap, exec->offset);
  tsr_heap_free(exec->heap, exec->memory);
  tsr_heap_free(exec->heap, exec);
}

double tsr_graph_operations(const tsr_graph *graph, const tsr_kernels *kernels) {
  double operations = 0;
  for (int n = 0; n < graph->node_count; n++) {
    tsr_op_args args = tsr_exec_args(graph, NULL, kernels, &graph->nodes[n]);
    operations += graph->nodes[n].op->work(&args).operations;
  }
  return operations;
}
