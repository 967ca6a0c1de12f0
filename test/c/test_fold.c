/* What depends on weights alone: folded, a graph has fewer nodes and every output and tap the bits it had; and where
 * weights change between two runs of one session, the second run goes by the new ones. Expected numbers are worked
 * out here, as the reference does. Alone: make native-tests && build/native/test_fold */
#include "exec/fold.h"

#include <stdlib.h>

#include "exec/exec.h"
#include "nn/map.h"
#include "check.h"

enum { C = 3, H = 4, W = 5, KERNEL = 3, POSITIONS = 9, HEADS = 2, N = 3, M = 7, PIXELS = H * W };

static int row_of(const void *user, int i, int j) { return (void)user, (i * M + j) % (POSITIONS + 1) - 1; }

/* x [1,H,W,C] through a convolution with its norm, times e^t, plus a token that all pixels share; the bias table is a
 * tap. */
static void build(tsr_builder *b) {
  tsr_conv conv = {
      .kernel_h = KERNEL, .kernel_w = KERNEL, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1, .bias = TSR_BIAS};
  tsr_value x = tsr_nn_channels_last(b, tsr_input_image(b, C, H, W));
  x = tsr_nn_depthwise_norm(b, "conv", "norm", x, conv);
  x = tsr_nn_mul(b, x, tsr_nn_elementary(b, tsr_weight_vector(b, "t", tsr_shape_of(1, C)), TSR_EXP));
  tsr_value token = tsr_nn_plus(b, tsr_weight_vector(b, "token", tsr_shape_of(1, C)), 1);
  token = tsr_nn_expand(b, tsr_nn_reshape(b, token, tsr_shape_of(4, 1, 1, 1, C)), tsr_shape_of(4, 1, H, W, C));
  b->graph.output = tsr_nn_add(b, x, token);
  tsr_value table = tsr_weight_vector(b, "table", tsr_shape_of(2, POSITIONS, HEADS));
  tsr_tap_add(b, tsr_nn_bias_table(b, table, N, M, 0.5f, row_of, NULL), (tsr_meaning){.kind = "features"}, "bias");
}

/* One builder's world. */
typedef struct bench {
  tsr_heap heap;
  tsr_error err;
  tsr_arena arena;
  tsr_weights weights;
  tsr_builder b;
  tsr_input input;
  float pixels[C * PIXELS];
} bench;

static const char *const everything[] = {"*"};

static tsr_builder builder(bench *t) {
  return (tsr_builder){.arena = &t->arena,
                       .err = &t->err,
                       .arch = "fold",
                       .weights = &t->weights,
                       .inputs = &t->input,
                       .input_count = 1,
                       .patterns = everything,
                       .pattern_count = 1};
}

static float *weight(bench *t, const char *name) {
  const tsr_weight *w = t->weights.first;
  while (w && strcmp(w->name, name)) w = w->next;
  return w ? w->values : NULL;
}

static void draw(bench *t, uint64_t seed) {
  for (tsr_weight *w = t->weights.first; w; w = w->next)
    for (size_t i = 0; i < tsr_shape_count(&w->shape, NULL); i++)
      w->values[i] = check_uniform(&seed) + (strstr(w->name, "var") ? 2 : 0);
}

static void open_bench(bench *t) {
  uint64_t seed = 5;
  *t = (bench){0};
  t->arena.heap = t->weights.heap = &t->heap;
  t->weights.arena = &t->arena, t->weights.kernels = tsr_kernels_select(NULL);
  t->input = (tsr_input){.name = "image", .shape = tsr_shape_of(4, 1, C, H, W), .data = t->pixels};
  for (int i = 0; i < C * PIXELS; i++) t->pixels[i] = check_uniform(&seed);
  t->b = builder(t);
  t->b.declaring = 1;
  build(&t->b);
  for (tsr_weight *w = t->weights.first; w; w = w->next)
    w->values = tsr_arena_alloc(&t->arena, tsr_shape_count(&w->shape, NULL) * sizeof(float));
  t->weights.sealed = 1;
  draw(t, 7);
  t->b = builder(t);
  build(&t->b);
  CHECK_TEXT(t->err.message, "");
}

static void close_bench(bench *t) {
  tsr_arena_free(&t->arena);
  CHECK_INT(t->heap.in_use, 0);
}

/* The output as PyTorch defines it: Conv2d with its bias, BatchNorm2d, times e^t, plus token + 1. */
static double expected(bench *t, int y, int x, int c) {
  double sum = weight(t, "conv.bias")[c];
  for (int i = 0; i < KERNEL; i++)
    for (int j = 0; j < KERNEL; j++) {
      int iy = y + i - 1, ix = x + j - 1;
      if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
      sum += (double)weight(t, "conv.weight")[(i * KERNEL + j) * C + c] *
             t->pixels[c * PIXELS + iy * W + ix]; /* kept with the channels last */
    }
  sum = (sum - weight(t, "norm.running_mean")[c]) / sqrt(weight(t, "norm.running_var")[c] + 1e-5) *
        weight(t, "norm.weight")[c];
  return (sum + weight(t, "norm.bias")[c]) * exp(weight(t, "t")[c]) + weight(t, "token")[c] + 1;
}

static void check_numbers(bench *t, const tsr_exec *exec) {
  const tsr_graph *g = &t->b.graph;
  const float *out = tsr_exec_data(exec, g->output), *bias = tsr_exec_data(exec, g->taps[0].value);
  for (int i = 0; i < PIXELS * C; i++) CHECK_NEAR(out[i], expected(t, i / C / W, i / C % W, i % C), 1e-5);
  for (int h = 0; h < HEADS; h++)
    for (int i = 0; i < N * M; i++) {
      int row = i % (POSITIONS + 1) - 1;
      CHECK_NEAR(bias[h * N * M + i], row < 0 ? 0 : 0.5 * weight(t, "table")[row * HEADS + h], 0);
    }
}

/* Plans and runs; the output's and the tap's numbers go to `to`. */
static void run_once(bench *t, float to[PIXELS * C + HEADS * N * M]) {
  tsr_pool *pool = tsr_pool_create(&t->heap, 1);
  tsr_exec *exec = tsr_exec_create(&t->heap, &t->err, &t->b.graph, tsr_kernels_select(NULL), 1);
  tsr_exec_run(exec, pool);
  check_numbers(t, exec);
  memcpy(to, tsr_exec_data(exec, t->b.graph.output), PIXELS * C * sizeof *to);
  memcpy(to + PIXELS * C, tsr_exec_data(exec, t->b.graph.taps[0].value), HEADS * N * M * sizeof *to);
  tsr_exec_destroy(exec);
  tsr_pool_destroy(pool);
}

static void folded(void) {
  static const char *const left[] = {"permute", "depthwise_conv2d", "mul", "expand", "add"};
  static float plain[PIXELS * C + HEADS * N * M], after[PIXELS * C + HEADS * N * M];
  bench t;
  open_bench(&t);
  run_once(&t, plain);
  tsr_graph_fold(&t.b, tsr_kernels_select(NULL));
  CHECK_INT(t.err.code, TSR_OK);
  CHECK_INT(t.b.graph.node_count, 5);
  for (int n = 0; n < t.b.graph.node_count && n < 5; n++) {
    const tsr_node *node = &t.b.graph.nodes[n];
    CHECK_TEXT(node->op->name, left[n]);
    CHECK_INT(t.b.graph.values[node->out[0]].node, n);
  }
  run_once(&t, after);
  CHECK(!memcmp(plain, after, sizeof plain));
  close_bench(&t);
}

/* A store after the run: nothing is folded, and one executor's second run has the weights as they are then. */
static void weights_change(void) {
  bench t;
  open_bench(&t);
  int nodes = t.b.graph.node_count;
  tsr_value gamma = tsr_weight_vector(&t.b, "norm.weight", tsr_shape_of(1, C));
  tsr_vector_store(&t.b, gamma, gamma);
  tsr_graph_fold(&t.b, tsr_kernels_select(NULL));
  CHECK_INT(t.b.graph.node_count, nodes);
  tsr_pool *pool = tsr_pool_create(&t.heap, 1);
  tsr_exec *exec = tsr_exec_create(&t.heap, &t.err, &t.b.graph, tsr_kernels_select(NULL), 1);
  for (uint64_t seed = 7; seed < 10; seed++) {
    draw(&t, seed);
    tsr_exec_run(exec, pool);
    check_numbers(&t, exec);
  }
  tsr_exec_destroy(exec);
  tsr_pool_destroy(pool);
  close_bench(&t);
}

static void out_of_memory(void) {
  tsr_status status = TSR_ERR_OUT_OF_MEMORY;
  for (long fail = 1; status && fail < 100; fail++) {
    bench t;
    open_bench(&t);
    tsr_arena_alloc(&t.arena, 1 << 20); /* what comes next does not fit the block that is open */
    t.heap.fail_after = fail;
    tsr_graph_fold(&t.b, tsr_kernels_select(NULL));
    t.heap.fail_after = 0;
    status = t.err.code;
    CHECK(fail > 1 || status == TSR_ERR_OUT_OF_MEMORY);
    close_bench(&t);
  }
  CHECK_INT(status, TSR_OK);
}

int main(void) {
  folded();
  weights_change();
  out_of_memory();
  return check_done("fold");
}
