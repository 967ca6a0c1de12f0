/* The builder's promises to architectures, by architectures of its own: what is not named names no value, the main
 * input may come late, wrappers may nest, settings know their error code, and weights that follow others do so in runs
 * that succeed. The registry here takes the place of src/model/registry.c.
 * Alone: make build/native/test_graph && build/native/test_graph */
#include "arch/arch.h"
#include "model_file.h"

/* ---- architectures ---- */

/* A weight comes before the image. */
static tsr_value build_late_input(tsr_builder *b) {
  tsr_value token = tsr_weight_vector(b, "token", tsr_shape_of(1, 8));
  tsr_value x = tsr_nn_patch_embed(b, tsr_input_image(b, 3, 8, 12), 4, 4, 8);
  return tsr_nn_linear(b, "head", tsr_nn_mean(b, tsr_nn_prepend(b, token, x), 1), 5, TSR_BIAS);
}

/* Half of the image's second row, and taps around. */
static tsr_value build_core(tsr_builder *b) {
  tsr_value x = tsr_nn_times(b, tsr_nn_slice(b, tsr_input_image(b, 3, 8, 8), 2, 1, 2), 0.5f);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "features"}, "features");
  return x;
}

/* The core twice, and between them what is the wrapper's own. */
static tsr_value build_middle(tsr_builder *b) {
  static const char *const archs[] = {"core", NULL};
  tsr_net net = {
      .key = "net", .what = "core key", .archs = archs, .scope = "core", .prefix = "one.", .watch = "*features"};
  tsr_value seen, image = net.image = tsr_input_image(b, 3, 8, 8);
  tsr_value one = tsr_net_build(b, &net, &seen);
  CHECK(seen == one && one != TSR_NO_VALUE);
  tsr_tap_add(b, one, (tsr_meaning){.kind = "features"}, "between");
  CHECK_INT(tsr_input_image(b, 3, 8, 8), image);
  CHECK_INT(tsr_config_int(b, "depth", 1, 0, 9), 7); /* its own config again */
  net.prefix = "two.", net.optional = 1;
  tsr_value two = tsr_net_build(b, &net, &seen);
  CHECK(seen == two && two != one);
  return tsr_nn_add(b, one, two);
}

static tsr_value build_outer(tsr_builder *b) {
  static const char *const archs[] = {"middle", NULL};
  tsr_net net = {.key = "net",
                 .what = "middle key",
                 .archs = archs,
                 .scope = "middle",
                 .prefix = "mid.",
                 .watch = "*.two.features"};
  tsr_value seen, image = tsr_input_image(b, 3, 8, 8);
  net.image = tsr_nn_times(b, image, 2);
  tsr_value y = tsr_net_build(b, &net, &seen);
  CHECK(seen != TSR_NO_VALUE && seen != y);
  CHECK_INT(tsr_input_image(b, 3, 8, 8) == net.image, 0); /* what it handed in was for the network inside */
  tsr_tap_add(b, y, (tsr_meaning){.kind = "features"}, "end");
  return y;
}

/* A teacher of one layer that follows its student, and what was found last. */
static tsr_value build_follower(tsr_builder *b) {
  tsr_value x = tsr_nn_reshape(b, tsr_input_image(b, 1, 2, 4), tsr_shape_of(3, 1, 2, 4)), y[2];
  if (tsr_option_bool(b, "update", 0)) tsr_weights_follow(b, "teacher", "student", 0.75);
  for (int i = 0; i < 2; i++) {
    tsr_enter(b, i ? "teacher" : "student");
    y[i] = tsr_nn_linear(b, "fc", x, 4, TSR_BIAS);
    tsr_leave(b);
  }
  tsr_vector_store(b, tsr_weight_buffer(b, "last", tsr_shape_of(2, 1, 4)), tsr_nn_mean(b, y[1], 1));
  return tsr_nn_attention(b, y[0], y[1], x, tsr_nn_heads(1, 4, (tsr_meaning){.kind = "tokens"}, 0));
}

#define ARCH(id) \
  static const tsr_arch id = {.name = #id, .title = "", .paper = "", .reference = "", .build = build_##id}
ARCH(late_input);
ARCH(core);
ARCH(middle);
ARCH(outer);
ARCH(follower);

const tsr_arch *const tsr_archs[] = {&late_input, &core, &middle, &outer, &follower};
const int tsr_arch_count = sizeof tsr_archs / sizeof *tsr_archs;
const char *const tsr_arch_names[] = {"late_input", "core", "middle", "outer", "follower"};
const int tsr_arch_name_count = sizeof tsr_arch_names / sizeof *tsr_arch_names;

const tsr_arch *tsr_arch_find(const char *name) {
  for (int i = 0; i < tsr_arch_count; i++)
    if (!strcmp(tsr_archs[i]->name, name)) return tsr_archs[i];
  return NULL;
}

/* ---- a builder alone ---- */

typedef struct workshop {
  tsr_heap heap;
  tsr_arena arena;
  tsr_error err;
  tsr_weights weights;
  tsr_builder b;
} workshop;

static void begin(workshop *w) {
  *w = (workshop){0};
  w->arena.heap = &w->heap;
  w->weights = (tsr_weights){.heap = &w->heap, .arena = &w->arena, .kernels = tsr_kernels_select(NULL)};
  w->b = (tsr_builder){.arena = &w->arena,
                       .err = &w->err,
                       .arch = "test",
                       .find_arch = tsr_arch_find,
                       .weights = &w->weights,
                       .declaring = 1,
                       .config = {.what = "config key", .code = TSR_ERR_CONFIG}};
}

static void end(workshop *w) {
  tsr_weights_free(&w->weights);
  tsr_arena_free(&w->arena);
  CHECK_INT(w->heap.in_use, 0);
}

static int inputs_of(const tsr_graph *g, tsr_op op) {
  for (int n = 0; n < g->node_count; n++)
    if (g->nodes[n].op == op) return g->nodes[n].n_in;
  return 0;
}

/* The first value that there is has the shape of a bias and of a context: neither takes part unless it is named. */
static void what_is_not_named(void) {
  workshop w;
  begin(&w);
  tsr_builder *b = &w.b;
  tsr_value first = tsr_weight_vector(b, "first", tsr_shape_of(3, 1, 4, 4));
  tsr_value x = tsr_weight_vector(b, "x", tsr_shape_of(3, 1, 4, 8));
  tsr_value qkv = tsr_nn_linear(b, "to_qkv", x, 24, TSR_NO_BIAS);
  tsr_nn_attention_qkv(b, qkv, (tsr_attention){.heads = 2, .head_dim = 4, .scale = 1});
  CHECK_INT(inputs_of(&b->graph, TSR_OP_attention), 3);
  tsr_mha mha = {.attention = {.heads = 2, .head_dim = 2, .scale = 1}, .split = 1};
  tsr_nn_mha(b, first, &mha, TSR_NO_VALUE);
  CHECK_INT(inputs_of(&b->graph, TSR_OP_concat), 0);
  CHECK_TEXT(w.err.message, "");
  CHECK(first != (tsr_value){0} && b->graph.output == TSR_NO_VALUE);
  end(&w);
}

static void what_is_no_value(void) {
  static const int far[] = {TSR_NO_VALUE, -7, 3, 1 << 20};
  workshop w;
  for (int i = 0; i < 4; i++) {
    begin(&w);
    tsr_builder *b = &w.b;
    tsr_value image = tsr_input_image(b, 3, 8, 8), y = tsr_nn_softmax(b, image, 1);
    CHECK_INT(tsr_shape_at(b, far[i]).ndim, 0);
    CHECK_INT(tsr_dim(b, far[i], 0), 0);
    CHECK_INT(tsr_node_output(b, y, 0), y);
    CHECK_INT(w.err.code, TSR_OK);
    CHECK_INT(tsr_node_output(b, i % 2 ? y : image, far[i]), TSR_NO_VALUE);
    CHECK_HAS(w.err.message, "has no output");
    w.err = (tsr_error){0};
    CHECK_INT(tsr_node_output(b, far[i], 0), TSR_NO_VALUE);
    CHECK_INT(w.err.code, far[i] ? TSR_ERR_CONFIG : TSR_OK);
    w.err = (tsr_error){0};
    CHECK_INT(tsr_node_add(b, TSR_OP_add, (tsr_value[]){y, far[i]}, 2, &(tsr_attrs){0}), TSR_NO_VALUE);
    CHECK_HAS(w.err.message, "add: input 1 is missing");
    end(&w);
  }
}

static void wrappers_nest(void) {
  static const char text[] = "{\"net\":{\"depth\":7,\"net\":{}}}";
  static const struct {
    const char *name;
    int prefix;
  } taps[] = {{"mid.one.features", 8}, {"mid.between", 4}, {"mid.two.features", -1}, {"end", 0}};
  workshop w;
  begin(&w);
  tsr_graph *g = &w.b.graph;
  w.b.config.given = tsr_json_parse(&w.arena, &w.err, text, sizeof text - 1, "test");
  g->output_meaning.kind = "logits";
  build_outer(&w.b);
  CHECK_TEXT(w.err.message, "");
  CHECK_INT(g->tap_count, 4);
  for (int t = 0; t < 4 && t < g->tap_count; t++) {
    CHECK_TEXT(g->taps[t].name, taps[t].name);
    CHECK_INT(g->taps[t].name_prefix, taps[t].prefix);
  }
  CHECK_INT(w.b.scope_count, 0);
  end(&w);
}

/* A network inside that cannot be leaves the wrapper's config and taps as they were. */
static void a_wrapper_without_a_network(void) {
  static const char text[] = "{\"depth\":7}";
  workshop w;
  begin(&w);
  const tsr_json *given = w.b.config.given = tsr_json_parse(&w.arena, &w.err, text, sizeof text - 1, "test");
  build_core(&w.b); /* something is there */
  tsr_value seen = 1;
  static const char *const archs[] = {"core", NULL};
  tsr_net net = {.key = "net", .what = "core key", .archs = archs, .scope = "core", .prefix = "one."};
  CHECK_INT(tsr_net_build(&w.b, &net, &seen), TSR_NO_VALUE);
  CHECK_INT(seen, TSR_NO_VALUE);
  CHECK_HAS(w.err.message, "\"net\" is missing");
  CHECK(w.b.config.given == given);
  CHECK_INT(w.b.scope_count, 0);
  end(&w);
}

/* Settings know the code of what is wrong with them, wherever they lie. */
/* A network inside that another build holds is refused as a whole model of it would be. */
static void a_network_of_another_build(void) {
  static const char text[] = "{\"net\":{}}";
  static const char *const archs[] = {"elsewhere", NULL};
  workshop w;
  begin(&w);
  w.b.config.given = tsr_json_parse(&w.arena, &w.err, text, sizeof text - 1, "test");
  tsr_value seen = 1;
  tsr_net net = {.key = "net", .what = "core key", .archs = archs, .scope = "core", .prefix = "one."};
  CHECK_INT(tsr_net_build(&w.b, &net, &seen), TSR_NO_VALUE);
  CHECK_INT(seen, TSR_NO_VALUE);
  CHECK_INT(w.err.code, TSR_ERR_WASM_ARCH);
  CHECK_HAS(w.err.message, "arch \"elsewhere\" is not in this .wasm");
  end(&w);
}

static void what_cannot_be_stored(void) {
  workshop w;
  for (int i = 0; i < 5; i++) {
    begin(&w);
    tsr_builder *b = &w.b;
    tsr_value last = tsr_weight_vector(b, "last", tsr_shape_of(2, 1, 4));
    tsr_value more = tsr_weight_vector(b, "more", tsr_shape_of(2, 1, 5)), twice = tsr_nn_times(b, last, 2);
    const tsr_value pairs[][2] = {{last, twice}, {twice, last}, {last, more}, {1 << 20, twice}, {last, TSR_NO_VALUE}};
    tsr_vector_store(b, pairs[i][0], pairs[i][1]);
    CHECK_INT(w.err.code, i ? TSR_ERR_CONFIG : TSR_OK);
    CHECK_INT(b->graph.store_count, i ? 0 : 1);
    end(&w);
  }
}

static void codes_of_settings(void) {
  static const char text[] = "{\"depth\":99,\"net\":{\"depth\":99}}";
  static const char *const archs[] = {"core", NULL};
  static const struct {
    const char *what, *message;
    tsr_status code;
  } kinds[] = {{"config key", "config key \"depth\" is 99", TSR_ERR_CONFIG},
               {"option", "option \"depth\" is 99", TSR_ERR_ARGUMENT}};
  for (int i = 0; i < 2; i++)
    for (int inner = 0; inner < 2; inner++) {
      workshop w;
      begin(&w);
      tsr_settings *config = &w.b.config;
      config->given = tsr_json_parse(&w.arena, &w.err, text, sizeof text - 1, "test");
      config->what = kinds[i].what;
      config->code = kinds[i].code;
      tsr_settings outer = tsr_config_open(&w.b, "net", "net key", archs, NULL);
      tsr_setting_int(&w.b, inner ? config : &outer, "depth", 1, 0, 9);
      CHECK_INT(w.err.code, kinds[i].code);
      CHECK_HAS(w.err.message, inner ? "net key \"depth\" is 99" : kinds[i].message);
      tsr_config_close(&w.b, outer);
      end(&w);
    }
}

/* ---- whole models ---- */

static void a_late_input(void) {
  model_file file = model_file_make("late_input", "{}", 5);
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = model_file_load(ctx, &file, TSR_LOAD_AUTO);
  CHECK_HAS(tsr_model_info(model), "\"input\":{\"name\":\"image\",\"dims\":[1,3,8,12],");
  CHECK_HAS(tsr_model_info(model), "\"preprocess\":{\"size\":[8,12],\"channels\":3,");
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

static const float *vector_of(const tsr_model *model, const char *name) {
  for (const tsr_weight *w = model->weights.first; w; w = w->next)
    if (!strcmp(w->name, name)) return w->values;
  return NULL;
}

/* Each run with the option is a step, whatever was kept of the one before; one that fails, at any allocation, is
 * none. */
static void weights_follow(const char *request) {
  model_file file = model_file_make("follower", "{}", 5);
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = model_file_load(ctx, &file, TSR_LOAD_F32);
  float x[8];
  uint64_t seed = 3;
  for (int i = 0; i < 8; i++) x[i] = check_uniform(&seed);
  CHECK_INT(tsr_model_set_input(model, "image", x, 4, (int[]){1, 1, 2, 4}), TSR_OK);
  size_t bytes = model->weights.memory_bytes;
  char *before = malloc(bytes);
  memcpy(before, model->weights.memory, bytes);
  const float *teacher = vector_of(model, "teacher.fc.bias"), *student = vector_of(model, "student.fc.bias");
  float want = teacher[1];
  CHECK_INT(tsr_model_run(model, "{\"options\":{\"update\":true},\"capture\":[\"none\"]}"), TSR_ERR_ARGUMENT);
  tsr_context_clear(ctx);
  x[7] = (float)NAN;
  CHECK_INT(tsr_model_run(model, request), TSR_ERR_ARGUMENT);
  tsr_context_clear(ctx);
  x[7] = 0;
  CHECK(!memcmp(before, model->weights.memory, bytes));
  long fail = 0;
  tsr_status status = TSR_ERR_OUT_OF_MEMORY;
  while (status == TSR_ERR_OUT_OF_MEMORY && fail < 1000) {
    CHECK(!memcmp(before, model->weights.memory, bytes));
    tsr_context_clear(ctx);
    ctx->heap.fail_after = ++fail;
    status = tsr_model_run(model, request);
    ctx->heap.fail_after = 0;
  }
  CHECK_TEXT(tsr_context_message(ctx), "");
  CHECK(fail > 3);
  const tsr_exec *exec = model->session.exec;
  for (int step = 0; step < 3; step++) {
    want = 0.75f * want + 0.25f * student[1];
    CHECK_NEAR(teacher[1], want, 1e-6);
    CHECK(model->session.exec == exec);
    CHECK_INT(tsr_model_run(model, request), TSR_OK);
  }
  CHECK(memcmp(before, model->weights.memory, bytes));
  free(before);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

static void too_many_changes(void) {
  workshop w;
  begin(&w);
  CHECK(!tsr_graph_changes_weights(&w.b.graph));
  for (int i = 0; i < TSR_MAX_FOLLOWS; i++) tsr_weights_follow(&w.b, "a", "b", 0.5);
  CHECK_INT(w.err.code, TSR_OK);
  CHECK(tsr_graph_changes_weights(&w.b.graph));
  tsr_weights_follow(&w.b, "a", "b", 0.5);
  CHECK_INT(w.err.code, TSR_ERR_CONFIG);
  end(&w);
}

int main(void) {
  what_is_not_named();
  what_is_no_value();
  wrappers_nest();
  a_wrapper_without_a_network();
  a_network_of_another_build();
  what_cannot_be_stored();
  codes_of_settings();
  a_late_input();
  weights_follow("{\"options\":{\"update\":true}}");
  weights_follow("{\"options\":{\"update\":true},\"attention\":{\"rollout\":true}}");
  too_many_changes();
  return check_done("graph");
}
