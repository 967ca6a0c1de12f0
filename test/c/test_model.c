/* Every architecture's tiny preset, natively: threads and batches change no bit, captures change no output, running
 * out of memory at any allocation is an error and no leak, and bad requests leave the model usable. Whether the
 * numbers are right is checked against the references in test/golden.test.js and make parity. Alone: make
 * native-tests && build/native/test_model */
#include "model_file.h"

enum { MOST_OUTPUT = 1 << 16 };

/* The model's default input, pictures or video, with batch `batch`; picture i of any batch is the same. */
static float *pictures(const tsr_model *model, int batch, int dims[TSR_MAX_DIMS]) {
  const tsr_shape *shape = &model->declared.values[model->declared.main_input].shape;
  for (int i = 0; i < shape->ndim; i++) dims[i] = shape->dims[i];
  dims[0] = batch;
  size_t n = tsr_shape_count(shape, NULL) * (size_t)batch;
  float *x = malloc(n * sizeof *x);
  uint64_t seed = 3;
  for (size_t i = 0; i < n; i++) x[i] = check_uniform(&seed);
  return x;
}

static tsr_status hand_in(tsr_model *model, const float *x, const int *dims) {
  const tsr_value_info *input = &model->declared.values[model->declared.main_input];
  return tsr_model_set_input(model, input->input, x, input->shape.ndim, dims);
}

static size_t output_count(const tsr_model *model) {
  const tsr_graph *g = &model->session.graph;
  return tsr_shape_count(&g->values[g->output].shape, NULL);
}

/* Runs on a fresh context with `threads`; copies the output into y and returns its length, 0 on failure. */
static size_t run(const model_file *file, tsr_load_dtype dtype, int threads, int batch, const char *request, float *y) {
  tsr_context *ctx = tsr_context_create(threads);
  tsr_model *model = model_file_load(ctx, file, dtype);
  size_t n = 0;
  if (CHECK(model != NULL)) {
    int dims[TSR_MAX_DIMS];
    float *x = pictures(model, batch, dims);
    CHECK_INT(hand_in(model, x, dims), TSR_OK);
    CHECK_INT(tsr_model_run(model, request), TSR_OK);
    if (ctx->err.code) printf("%s\n", ctx->err.message);
    else {
      n = output_count(model);
      CHECK(n <= MOST_OUTPUT);
      memcpy(y, tsr_model_output(model, 0), n * sizeof *y);
    }
    free(x);
  } else {
    printf("%s\n", ctx->err.message);
  }
  tsr_model_destroy(model);
  size_t left = tsr_context_bytes(ctx);
  tsr_context *empty = tsr_context_create(threads);
  CHECK_INT(left, tsr_context_bytes(empty));
  tsr_context_destroy(empty);
  tsr_context_destroy(ctx);
  return n;
}

static int finite(const float *y, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(y[i] - y[i] == 0)) return 0;
  return 1;
}

/* Same bits for 1 to 4 threads, with and without captures; a batch of three is three single pictures, unless they are
 * `coupled`. */
static void same_bits(const model_file *file, tsr_load_dtype dtype, int coupled) {
  static float one[MOST_OUTPUT], other[MOST_OUTPUT], batch[MOST_OUTPUT];
  size_t n = run(file, dtype, 1, 1, NULL, one);
  CHECK(n > 0 && finite(one, n));
  for (int threads = 2; threads <= 4; threads++) {
    CHECK_INT(run(file, dtype, threads, 1, NULL, other), n);
    CHECK(!memcmp(one, other, n * sizeof *one));
  }
  CHECK_INT(run(file, dtype, 2, 1, "{\"capture\":[\"*\"]}", other), n);
  CHECK(!memcmp(one, other, n * sizeof *one));
  CHECK_INT(run(file, dtype, 1, 3, NULL, batch), 3 * n);
  if (!coupled) CHECK(!memcmp(one, batch, n * sizeof *one)); /* picture 0 of a batch is the single picture */
  for (size_t i = 0; coupled && i < n; i++) CHECK_NEAR(one[i], batch[i], 0.1);
}

/* Every allocation fails once, in loading and in running. */
static void out_of_memory(const model_file *file) {
  int dims[TSR_MAX_DIMS], ended = 0;
  for (long fail = 1; !ended && fail < 5000; fail += 1 + fail / 40) {
    tsr_context *ctx = tsr_context_create(1);
    size_t baseline = tsr_context_bytes(ctx);
    ctx->heap.fail_after = fail;
    tsr_model *model = model_file_load(ctx, file, TSR_LOAD_Q8);
    tsr_status status = ctx->err.code;
    if (model) {
      float *x = pictures(model, 1, dims);
      hand_in(model, x, dims);
      status = tsr_model_run(model, "{\"capture\":[\"*\"]}");
      ended = !status;
      if (status) { /* the model works again once there is memory */
        ctx->heap.fail_after = 0;
        tsr_context_clear(ctx);
        CHECK_INT(tsr_model_run(model, NULL), TSR_OK);
      }
      free(x);
    }
    if (!ended) CHECK_INT(status, TSR_ERR_OUT_OF_MEMORY);
    tsr_model_destroy(model);
    CHECK_INT(tsr_context_bytes(ctx), baseline);
    tsr_context_destroy(ctx);
  }
  CHECK(ended);
}

/* Attention and embeddings (model/request.c), each allocation failing once; then the answer comes, finite. What they
 * hold: test/web/load.test.js. */
static void views(const model_file *file) {
  static const char *const requests[] = {"{\"attention\":{\"layers\":\"all\",\"heads\":\"all\"}}",
                                         "{\"attention\":{\"rollout\":true}}", "{\"attention\":{}}",
                                         "{\"embed\":{\"pooling\":\"mean\"}}", "{\"embed\":{}}"};
  tsr_context *ctx = tsr_context_create(2);
  tsr_model *model = model_file_load(ctx, file, TSR_LOAD_AUTO);
  int dims[TSR_MAX_DIMS];
  float *x = pictures(model, 1, dims);
  hand_in(model, x, dims);
  for (size_t r = 0; r < sizeof requests / sizeof *requests; r++) {
    tsr_status status = TSR_ERR_OUT_OF_MEMORY;
    for (long fail = 1; status == TSR_ERR_OUT_OF_MEMORY && fail < 1000; fail++) {
      tsr_context_clear(ctx);
      CHECK_INT(tsr_model_run(model, NULL), TSR_OK); /* another session */
      ctx->heap.fail_after = fail;
      status = tsr_model_run(model, requests[r]);
      ctx->heap.fail_after = 0;
    }
    CHECK(status == TSR_OK || status == TSR_ERR_ARGUMENT); /* not every model has both */
    if (!status) CHECK(finite(tsr_model_output(model, 0), 4));
    tsr_context_clear(ctx);
  }
  free(x);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
}

/* The request fails with `code` and `part` in its message; afterwards the model gives what it gave before. */
static void refuse(tsr_model *model, const char *request, tsr_status code, const char *part) {
  size_t n = output_count(model);
  float *before = malloc(n * sizeof *before);
  tsr_model_run(model, NULL);
  memcpy(before, tsr_model_output(model, 0), n * sizeof *before);
  CHECK_INT(tsr_model_run(model, request), code);
  CHECK_HAS(tsr_context_message(model->ctx), part);
  tsr_context_clear(model->ctx);
  CHECK_INT(tsr_model_run(model, NULL), TSR_OK);
  CHECK(!memcmp(before, tsr_model_output(model, 0), n * sizeof *before));
  free(before);
}

static void bad_requests(const model_file *file) {
  int dims[TSR_MAX_DIMS];
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = model_file_load(ctx, file, TSR_LOAD_AUTO);
  float *x = pictures(model, 1, dims);
  CHECK_INT(tsr_model_run(model, NULL), TSR_ERR_ARGUMENT);                     /* no input yet */
  const char *name = model->declared.values[model->declared.main_input].input; /* "image" or "video" */
  CHECK_HAS(tsr_context_message(ctx), "no input \"");
  CHECK_HAS(tsr_context_message(ctx), name);
  tsr_context_clear(ctx);
  hand_in(model, x, dims);
  CHECK_INT(tsr_model_run(model, NULL), TSR_OK);
  refuse(model, "{\"capture\":[\"blocks.*.attention\"]}", TSR_ERR_ARGUMENT, "blocks.*.attention");
  refuse(model, "{\"options\":{\"iterz\":3}}", TSR_ERR_ARGUMENT, "iterz");
  refuse(model, "{\"capture\":[7]}", TSR_ERR_ARGUMENT, "capture");
  refuse(model, "{\"options\":[3]}", TSR_ERR_ARGUMENT, "an object of options was expected");
  refuse(model, "{\"attention\":[3]}", TSR_ERR_ARGUMENT, "an object of attention options was expected");
  refuse(model, "{\"embed\":3}", TSR_ERR_ARGUMENT, "an object of embed options was expected");
  refuse(model, "{\"attention\":{\"head\":0}}", TSR_ERR_ARGUMENT, "did you mean \"heads\"?");
  int taps = model->declared.tap_count; /* as of a model that has none; all that there are have attention */
  model->declared.tap_count = 0;
  refuse(model, "{\"attention\":{}}", TSR_ERR_ARGUMENT, "attention: the model has no attention");
  model->declared.tap_count = taps;
  x[5] = (float)NAN;
  CHECK_INT(tsr_model_run(model, NULL), TSR_ERR_ARGUMENT);
  CHECK_HAS(tsr_context_message(ctx), "index 5");
  tsr_context_clear(ctx);
  x[5] = 0;
  CHECK_INT(tsr_model_set_input(model, "pixels", x, 4, dims), TSR_ERR_ARGUMENT);
  CHECK_HAS(tsr_context_message(ctx), name);
  tsr_context_clear(ctx);
  dims[1]++;
  hand_in(model, x, dims);
  CHECK_INT(tsr_model_run(model, NULL), TSR_ERR_SHAPE);
  tsr_context_clear(ctx);
  dims[1]--;
  CHECK_INT(tsr_model_set_input(model, name, x, 4, (int[]){1, 3, 1 << 20, 1 << 20}), TSR_ERR_SHAPE);
  tsr_context_clear(ctx);
  hand_in(model, x, dims);
  CHECK_INT(tsr_model_run(model, NULL), TSR_OK);
  free(x);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
}

/* info names what a run may be given. */
static void info_lists_options(void) {
  model_file file = model_file_make("glom", "{\"preset\":\"tiny\"}", 11);
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = model_file_load(ctx, &file, TSR_LOAD_AUTO);
  CHECK_HAS(tsr_model_info(model), "\"inputs\":[\"image\",\"levels\"],\"options\":[\"iters\",\"return_all\"]");
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

/* What a file's word on its labels is understood as; of one output they never exclude each other. */
static void problem_types(void) {
  static const struct {
    const char *config, *keys, *want;
  } cases[] = {
      {"\"num_classes\":10", "", "\"problem_type\":\"single_label_classification\""},
      {"\"num_classes\":10", ",\"problem_type\":null", "\"problem_type\":\"single_label_classification\""},
      {"\"num_classes\":10", ",\"problem_type\":\"multi_label_classification\"",
       "\"problem_type\":\"multi_label_classification\""},
      {"\"num_classes\":10", ",\"problem_type\":\"regression\"", "\"problem_type\":\"regression\""},
      {"\"num_classes\":1", "", "\"problem_type\":\"multi_label_classification\""},
      {"\"num_classes\":1", ",\"problem_type\":\"single_label_classification\"",
       "\"problem_type\":\"multi_label_classification\""},
      {"\"num_classes\":1", ",\"problem_type\":\"regression\"", "\"problem_type\":\"regression\""},
      {"\"num_classes\":0", ",\"problem_type\":\"regression\"", "\"problem_type\":null"},
  };
  tsr_context *ctx = tsr_context_create(1);
  char text[200];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tsr_print(text, sizeof text, "{\"arch\":\"vit\",\"config\":{\"preset\":\"tiny\",%s}%s}", cases[i].config,
              cases[i].keys);
    CHECK_HAS(tsr_describe(ctx, text), cases[i].want);
    CHECK_HAS(tsr_describe(ctx, text), "\"prefix\":\"\"");
  }
  CHECK(!tsr_describe(ctx, "{\"arch\":\"vit\",\"config\":{\"preset\":\"tiny\"},\"problem_type\":\"multi_label\"}"));
  CHECK_INT(ctx->err.code, TSR_ERR_CONFIG);
  CHECK_HAS(tsr_context_message(ctx),
            "vit: key \"problem_type\" is multi_label; expected one of "
            "'single_label_classification', 'multi_label_classification', 'regression'");
  tsr_context_destroy(ctx);
}

/* Lists where the metadata should have objects. */
static void metadata_of_the_wrong_kind(void) {
  static const char text[] =
      "{\"tesserae\":\"{\\\"arch\\\":\\\"vit\\\",\\\"config\\\":"
      "{\\\"preset\\\":\\\"tiny\\\"},\\\"preprocess\\\":[3]}\"}";
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = tsr_model_create(ctx);
  const tsr_json *metadata = tsr_json_parse(&model->arena, &ctx->err, text, sizeof text - 1, "test");
  CHECK_INT(tsr_model_read_metadata(model, metadata), TSR_ERR_CONFIG);
  CHECK_HAS(tsr_context_message(ctx), "preprocess");
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
}

/* Keys of `preprocess`: what info says of them, or the error. The model's input is 32 x 32. */
static void preprocess_keys(void) {
  static const struct {
    tsr_status status;
    const char *given, *says;
  } cases[] = {
      {TSR_OK, "",
       "{'size':[32,32],'channels':3,'resize':'bilinear','fit':'crop','crop_pct':1,"
       "'mean':[0.5,0.5,0.5],'std':[0.5,0.5,0.5]}"},
      {TSR_OK, "'crop_pct':0.9491525423728814", "'crop_pct':0.94915254237288138,"},
      {TSR_OK, "'fit':'border','resize':'hamming','crop_pct':1.15", "'resize':'hamming','fit':'border','crop_pct':1.1"},
      {TSR_OK, "'fit':'none','bgr':true,'rescale_first':true", "],'bgr':true,'rescale_first':true}"},
      {TSR_OK, "'shortest_edge':40,'longest_edge':50,'crop_offset':'floor'",
       "],'shortest_edge':40,'longest_edge':50,'crop_offset':'floor'}"},
      {TSR_OK, "'fit':'squash','resize_size':[40,50],'size':8", "],'resize_size':[40,50]}"},
      {TSR_OK, "'rescale_factor':1,'mean':51,'std':[127.5]", "'mean':[0.2"},
      {TSR_OK, "'rescale_factor':1,'mean':51,'std':[127.5]", "'std':[0.5,0.5,0.5]"},
      {TSR_OK, "'rescale_factor':0.003921568627450980", "'mean':[0.5,0.5,0.5],'std':[0.5,0.5,0.5]}"},
      {TSR_ERR_CONFIG, "'fit':'crops'", "expected one of 'crop', 'squash', 'border', 'none', 'native'"},
      {TSR_ERR_CONFIG, "'fit':'native'", "\"fit\" is 'native'; this model's images have one size"},
      {TSR_ERR_CONFIG, "'resize':'hanning'", "'box', 'hamming'"},
      {TSR_ERR_CONFIG, "'crop_pct':0", "\"crop_pct\" is not a number from 0.05 to 4"},
      {TSR_ERR_CONFIG, "'shortest_edge':0", "\"shortest_edge\" is 0; expected 1 to 8192"},
      {TSR_ERR_CONFIG, "'shortest_edge':[8,8]", "\"shortest_edge\" is not a whole number"},
      {TSR_ERR_CONFIG, "'shortest_edge':8,'longest_edge':9000", "\"longest_edge\" is 9000; expected 1 to 8192"},
      {TSR_ERR_CONFIG, "'fit':'squash','shortest_edge':8", "\"fit\" is 'squash'; \"shortest_edge\" needs 'crop'"},
      {TSR_ERR_CONFIG, "'resize_size':8",
       "\"fit\" is 'crop'; \"shortest_edge\" needs 'crop', \"resize_size\" needs 'sq"},
      {TSR_ERR_CONFIG, "'fit':'squash','resize_size':[8,0]", "\"resize_size\" is 0; expected 1 to 8192"},
      {TSR_ERR_CONFIG, "'crop_offset':'ceil'", "\"crop_offset\" is ceil; expected one of 'even', 'floor'"},
      {TSR_ERR_CONFIG, "'rescale_factor':0", "\"rescale_factor\" is not a number from 1e-06 to 1e+06"},
      {TSR_ERR_CONFIG, "'bgr':1", "\"bgr\" is neither true nor false"},
      {TSR_ERR_CONFIG, "'rescale_first':'yes'", "\"rescale_first\" is neither true nor false"},
      {TSR_ERR_CONFIG, "'shortest_side':8", "did you mean \"shortest_edge\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[400], says[400];
    int n = snprintf(text, sizeof text,
                     "{\"tesserae\":\"{'arch':'vit','config':{'preset':'tiny'},'preprocess':{%s}}\"}", cases[i].given);
    char quoted[600], *to = quoted;
    for (int k = 0; k < n; k++) { /* ' stands for the quotes inside the text */
      if (text[k] == '\'') *to++ = '\\';
      *to++ = text[k] == '\'' ? '"' : text[k];
    }
    snprintf(says, sizeof says, "%s", cases[i].says);
    for (char *c = says; *c && cases[i].status == TSR_OK; c++)
      if (*c == '\'') *c = '"';
    tsr_context *ctx = tsr_context_create(1);
    tsr_model *model = tsr_model_create(ctx);
    const tsr_json *metadata = tsr_json_parse(&model->arena, &ctx->err, quoted, (size_t)(to - quoted), "test");
    CHECK_INT(tsr_model_read_metadata(model, metadata), cases[i].status);
    if (cases[i].status == TSR_OK) tsr_model_write_info(model, 0);
    CHECK_HAS(cases[i].status == TSR_OK ? tsr_model_info(model) : tsr_context_message(ctx), says);
    tsr_model_destroy(model);
    tsr_context_destroy(ctx);
  }
}

/* A config of a few bytes asks for a table of a gigabyte: nothing of that size is taken before the weights are
 * there. */
static void a_config_takes_no_memory(void) {
  static const char text[] =
      "{\"tesserae\":\"{\\\"arch\\\":\\\"glom\\\",\\\"config\\\":"
      "{\\\"dim\\\":8,\\\"levels\\\":2,\\\"image_size\\\":1024,"
      "\\\"patch_size\\\":8,\\\"local_consensus_radius\\\":2}}\"}";
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = tsr_model_create(ctx);
  const tsr_json *metadata = tsr_json_parse(&model->arena, &ctx->err, text, sizeof text - 1, "test");
  CHECK_INT(tsr_model_read_metadata(model, metadata), TSR_OK);
  CHECK_TEXT(tsr_context_message(ctx), "");
  CHECK(tsr_context_peak_bytes(ctx) < 1 << 20);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
}

/* What a model would be: counts of docs/models.md, words for what is wrong, and nothing left behind when memory ends
 * anywhere. */
static void description(void) {
  static const char wanted[] = "{\"arch\":\"vit\",\"config\":{\"preset\":\"vit_b_16\"}}";
  tsr_context *ctx = tsr_context_create(1);
  size_t before = tsr_context_bytes(ctx);
  CHECK_HAS(tsr_describe(ctx, wanted), "\"parameters\":86543080,\"operations\":17563828224,");
  CHECK_HAS(tsr_describe(ctx, wanted), "\"keys\":[\"image_size\",\"patch_size\",\"num_classes\",");
  CHECK(!tsr_describe(ctx, "{\"arch\":\"vitt\",\"config\":{}}"));
  CHECK_INT(ctx->err.code, TSR_ERR_CONFIG);
  CHECK_HAS(tsr_context_message(ctx), "did you mean \"vit\"");
  CHECK_INT(tsr_context_bytes(ctx), before);
  tsr_context_clear(ctx);
  long fail = 1;
  for (; fail < 5000; fail += 1 + fail / 40) {
    ctx->heap.fail_after = fail;
    const char *text = tsr_describe(ctx, wanted);
    ctx->heap.fail_after = 0;
    if (text) break;
    CHECK_INT(ctx->err.code, TSR_ERR_OUT_OF_MEMORY);
    CHECK_INT(tsr_context_bytes(ctx), before);
    tsr_context_clear(ctx);
  }
  CHECK(fail > 1 && fail < 5000);
  tsr_context_destroy(ctx);
}

static void patterns(void) {
  CHECK(tsr_pattern_matches("blocks.*.attn", "blocks.12.attn"));
  CHECK(!tsr_pattern_matches("blocks.*.attn", "blocks.12.attn2"));
  CHECK(tsr_pattern_matches("*", "") && tsr_pattern_matches("a*b*c", "aXbYbZc") && !tsr_pattern_matches("a*b", "ac"));
  CHECK(tsr_pattern_matches("blocks.?", "blocks.?") && !tsr_pattern_matches("", "x") && tsr_pattern_matches("", ""));
}

int main(void) {
  patterns();
  info_lists_options();
  problem_types();
  metadata_of_the_wrong_kind();
  preprocess_keys();
  a_config_takes_no_memory();
  description();
  for (int a = 0; a < tsr_arch_count; a++) {
    int failed = check_failed;
    model_file file = model_file_make(tsr_archs[a]->name, "{\"preset\":\"tiny\"}", 11);
    int coupled =
        !strcmp(tsr_archs[a]->name,
                "efficient"); /* its inverses start from the largest sums of the whole batch, as the reference's */
    same_bits(&file, TSR_LOAD_F32, coupled);
    same_bits(&file, TSR_LOAD_Q8, coupled);
    out_of_memory(&file);
    views(&file);
    bad_requests(&file);
    if (check_failed > failed) printf("  these were of %s\n", tsr_archs[a]->name);
    free(file.bytes);
  }
  return check_done("model");
}
