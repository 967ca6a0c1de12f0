/* Loading: however the bytes are cut up, the same packed weights; a peak of the packed weights and little more; nothing
 * left of a load that was given up. Files are F32, F16, BF16, or I8 with their scales before or behind them.
 * That the weights are the right ones is checked against the references in test/golden.test.js.
 * Alone: make native-tests && build/native/test_weights */
#include "model_file.h"

/* ---- a model file in other types ---- */

typedef enum file_kind { FILE_F32, FILE_F16, FILE_BF16, FILE_I8, FILE_I8_SCALES_LAST, FILE_KINDS } file_kind;

typedef struct builder {
  tsr_text header;
  const char *prefix;
  uint8_t *data;
  size_t bytes;
} builder;

static void add_tensor(builder *b, const char *name, const char *suffix, const char *dtype, const tsr_shape *shape,
                       size_t element, uint64_t *seed, int scales) {
  size_t n = tsr_shape_count(shape, NULL), end = b->bytes + n * element;
  tsr_text_format(&b->header, ",\"%s%s%s\":{\"dtype\":\"%s\",\"shape\":", b->prefix, name, suffix, dtype);
  tsr_text_shape(&b->header, shape);
  tsr_text_format(&b->header, ",\"data_offsets\":[%lu,%lu]}", (unsigned long)b->bytes, (unsigned long)end);
  b->data = realloc(b->data, end + 1);
  for (size_t i = 0; i < n; i++, b->bytes += element) {
    uint64_t dice = check_random(seed);
    float value = scales ? (float)(dice % 1000 + 1) / 1000 : check_uniform(seed);
    uint8_t *at = b->data + b->bytes;
    if (element == 4) memcpy(at, &value, 4);
    else if (element == 1) *at = (uint8_t)dice;
    else memcpy(at, &(uint16_t){(uint16_t)(dice & 0xbbff)}, 2); /* finite in both half formats */
  }
}

/* The tensors of a model, all of the kind's type but for vectors and scales, which quantized files keep in F32. */
static model_file file_behind(const char *prefix, const char *arch, const char *config, file_kind kind) {
  model_file f32 = model_file_make_as(arch, config, 5, &(model_file_look){.prefixes = {prefix}}), file;
  if (kind == FILE_F32) return f32;
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = model_file_load(ctx, &f32, TSR_LOAD_F32);
  uint64_t seed = 9;
  size_t length = 0;
  for (int i = 8; i-- > 0;) length = length << 8 | f32.bytes[i];
  const tsr_json *root = tsr_json_parse(&model->arena, &ctx->err, (char *)f32.bytes + 8, length, "test");
  builder b = {.header = {.heap = &ctx->heap}, .prefix = prefix};
  tsr_text_add(&b.header, "{\"__metadata__\":{\"tesserae\":");
  tsr_text_quote(&b.header, tsr_json_get(tsr_json_get(root, "__metadata__"), "tesserae")->string);
  tsr_text_add(&b.header, "}");
  for (int pass = 0; pass < 2; pass++) /* scales, then the rest; or the other way round */
    for (tsr_weight *w = model->weights.first; w; w = w->next) {
      int i8 = w->is_matrix && kind >= FILE_I8;
      tsr_shape scale = tsr_shape_of(2, w->layout.groups * w->layout.n, 1);
      if (pass == (kind == FILE_I8_SCALES_LAST)) {
        if (i8) add_tensor(&b, w->name, "_scale", "F32", &scale, 4, &seed, 1);
      } else if (i8) {
        add_tensor(&b, w->name, "", "I8", &w->shape, 1, &seed, 0);
      } else if (kind >= FILE_I8) {
        add_tensor(&b, w->name, "", "F32", &w->shape, 4, &seed, 0);
      } else {
        add_tensor(&b, w->name, "", kind == FILE_F16 ? "F16" : "BF16", &w->shape, 2, &seed, 0);
      }
    }
  tsr_text_add(&b.header, "}");
  file.length = 8 + b.header.length + b.bytes;
  file.bytes = calloc(1, file.length);
  for (int i = 0; i < 8; i++) file.bytes[i] = (uint8_t)((uint64_t)b.header.length >> (8 * i));
  memcpy(file.bytes + 8, tsr_text_get(&b.header), b.header.length);
  memcpy(file.bytes + 8 + b.header.length, b.data, b.bytes);
  free(b.data);
  free(f32.bytes);
  tsr_text_free(&b.header);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  return file;
}

static model_file file_as(const char *arch, const char *config, file_kind kind) {
  return file_behind("", arch, config, kind);
}

/* ---- feeding ---- */

/* Feeds `n` bytes of the file in pieces of 1 to `most` bytes (0: at once), each at an address of its own. */
static tsr_loader *feed(tsr_context *ctx, const model_file *file, tsr_load_dtype dtype, size_t n, size_t most,
                        uint64_t seed) {
  tsr_loader *loader = tsr_loader_create(ctx, dtype, file->length);
  for (size_t at = 0; at < n;) {
    uint64_t dice = check_random(&seed);
    size_t part = most ? 1 + dice % most : n, shift = most ? dice >> 32 & 63 : 0;
    if (part > n - at) part = n - at;
    uint8_t *chunk = malloc(shift + part);
    memcpy(chunk + shift, file->bytes + at, part);
    CHECK_INT(tsr_loader_feed(loader, chunk + shift, part), TSR_OK);
    free(chunk);
    at += part;
  }
  if (ctx->err.code) printf("%s\n", ctx->err.message);
  return loader;
}

/* The same bytes in everything that the kernels read. */
static void same_weights(const tsr_model *a, const tsr_model *b) {
  const tsr_weight *v = a->weights.first, *w = b->weights.first;
  for (; v && w; v = v->next, w = w->next) {
    size_t rows = (size_t)v->layout.groups * v->layout.n, panels = v->group_bytes * (size_t)v->layout.groups;
    int failed = check_failed;
    CHECK(v->is_q8 == w->is_q8 && v->group_bytes == w->group_bytes);
    if (!v->is_matrix) CHECK(!memcmp(v->values, w->values, tsr_shape_count(&v->shape, NULL) * sizeof *v->values));
    else CHECK(!memcmp(v->panels, w->panels, panels));
    if (v->is_q8) {
      CHECK(!memcmp(v->scale, w->scale, rows * sizeof *v->scale));
      CHECK(!memcmp(v->sum, w->sum, rows * sizeof *v->sum));
    }
    if (check_failed > failed) printf("  in \"%s\"\n", v->name);
  }
  CHECK(!v && !w);
}

static void every_way_of_cutting(const char *arch, const char *config, file_kind kind, tsr_load_dtype dtype) {
  static const size_t most[] = {1, 7, 64, 300, 3000, 40000};
  model_file file = file_as(arch, config, kind);
  tsr_context *ctx = tsr_context_create(1), *other = tsr_context_create(1);
  tsr_model *whole = tsr_loader_finish(feed(ctx, &file, dtype, file.length, 0, 0));
  int failed = check_failed;
  for (size_t i = 0; whole && i < sizeof most / sizeof *most; i++) {
    tsr_model *cut = tsr_loader_finish(feed(other, &file, dtype, file.length, most[i], i));
    if (CHECK(cut != NULL)) same_weights(whole, cut);
    tsr_model_destroy(cut);
  }
  CHECK(whole != NULL);
  if (check_failed > failed) printf("  in %s %s, file kind %d, dtype %d\n", arch, config, kind, dtype);
  tsr_model_destroy(whole);
  tsr_context_destroy(other);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

/* An I8 file read as f32 holds q * scale, whatever comes first. */
static void scales_in_either_order(void) {
  tsr_context *ctx = tsr_context_create(1);
  model_file file = file_as("vit", "{\"preset\":\"tiny\"}", FILE_I8_SCALES_LAST);
  tsr_loader *loader = feed(ctx, &file, TSR_LOAD_F32, file.length, 100, 1);
  tsr_model *model = tsr_loader_finish(loader);
  const tsr_weight *w = model->weights.first;
  while (w && strcmp(w->name, "mlp_head.weight")) w = w->next;
  if (CHECK(w != NULL))
    for (int r = 0; r < w->layout.n; r++)
      for (int k = 0; k < w->k; k++) {
        float value =
            ((float *)w->panels)[(size_t)(r / TSR_PANEL * TSR_PANEL) * w->k + (size_t)k * TSR_PANEL + r % TSR_PANEL];
        float ratio = value / w->scale[r];
        CHECK(fabsf(ratio - roundf(ratio)) < 1e-3f && fabsf(ratio) < 128.5f && w->scale[r] > 0 && w->scale[r] <= 1);
      }
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

/* A depthwise weight [5,1,2,3], taken piece by piece, has its taps before its channels. */
static void depthwise(void) {
  tsr_heap heap = {0};
  tsr_error err = {0};
  tsr_arena arena = {.heap = &heap};
  tsr_weights weights = {.heap = &heap, .arena = &arena, .kernels = tsr_kernels_select(NULL)};
  tsr_tensor_entry entry = {.name = "w", .dtype = TSR_DTYPE_F32, .shape = tsr_shape_of(4, 5, 1, 2, 3), .end = 120};
  tsr_safetensors_header header = {.entries = &entry, .count = 1, .data_bytes = 120};
  float file[30];
  for (int i = 0; i < 30; i++) file[i] = (float)i;
  const tsr_weight *w = tsr_weights_depthwise(&weights, &err, "w", &entry.shape);
  CHECK_INT(tsr_weights_check(&weights, &err, &header, TSR_WEIGHTS_Q8, NULL), TSR_OK);
  CHECK(tsr_weights_piece(&weights, &entry) > 0);
  for (int at = 0, n; at < 30; at += n) {
    n = 1 + at < 30 - at ? 1 + at : 30 - at;
    CHECK_INT(tsr_weights_take(&weights, &err, &entry, 4 * (uint64_t)at, file + at, 4 * (size_t)n), TSR_OK);
  }
  for (int c = 0; c < 5; c++)
    for (int tap = 0; tap < 6; tap++) CHECK_INT(w->values[tap * 5 + c], c * 6 + tap);
  CHECK(!tsr_weights_any_q8(&weights));
  tsr_weights_free(&weights);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

/* ---- names and shapes as other writers have them ---- */

/* The model of a file; NULL after a failure, which must have this code and these words. Frees the file. */
static tsr_model *load(tsr_context *ctx, model_file file, tsr_load_dtype dtype, tsr_status code, const char *part) {
  tsr_model *model = model_file_load(ctx, &file, dtype);
  CHECK_INT(ctx->err.code, code);
  CHECK_HAS(tsr_context_message(ctx), part);
  free(file.bytes);
  return model;
}

static void refused(tsr_context *ctx, model_file file, tsr_status code, const char *part) {
  tsr_model_destroy(load(ctx, file, TSR_LOAD_AUTO, code, part));
  tsr_context_clear(ctx);
}

/* The two files give the same weights. */
static void same_model(model_file file, model_file other, tsr_load_dtype dtype, const char *prefix) {
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *a = load(ctx, file, dtype, TSR_OK, ""), *b = load(ctx, other, dtype, TSR_OK, "");
  if (CHECK(a && b)) {
    same_weights(a, b);
    CHECK_HAS(tsr_model_info(b), "\"unused\":[]");
    CHECK_HAS(tsr_model_info(b), prefix);
  }
  tsr_model_destroy(a);
  tsr_model_destroy(b);
  tsr_context_destroy(ctx);
}

/* Dims of 1 in front of every shape, as vit-pytorch before 1.16.1 saved some. */
static void ones_in_front(const char *arch) {
  static const char tiny[] = "{\"preset\":\"tiny\"}";
  for (int ones = 1; ones <= 2; ones++)
    for (int dtype = TSR_LOAD_F32; dtype <= TSR_LOAD_Q8; dtype++)
      same_model(model_file_make(arch, tiny, 5), model_file_make_as(arch, tiny, 5, &(model_file_look){.ones = ones}),
                 dtype, "\"prefix\":\"\"");
}

/* Behind what wrappers put before every name, in every type. */
static void behind_prefixes(const char *arch, const char *config) {
  static const char *const prefixes[] = {"module.", "_orig_mod.", "model._orig_mod.", "a.b.c.module.", "x\u00e9."};
  char shown[64];
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    tsr_print(shown, sizeof shown, "\"prefix\":\"%s\"", prefixes[i]);
    for (int kind = 0; kind < FILE_KINDS; kind++)
      for (int dtype = TSR_LOAD_AUTO; dtype <= TSR_LOAD_Q8; dtype++)
        same_model(file_as(arch, config, kind), file_behind(prefixes[i], arch, config, kind), dtype, shown);
  }
  model_file file = file_behind("module.", "vit", "{\"preset\":\"tiny\"}", FILE_I8);
  tsr_context *ctx = tsr_context_create(1);
  tsr_loader *loader = feed(ctx, &file, TSR_LOAD_AUTO, file.length, 0, 0);
  CHECK_HAS(tsr_loader_weights(loader), "{\"name\":\"module.cls_token\",\"shape\":[1,32],");
  tsr_loader_destroy(loader);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

/* Several copies: refused with their prefixes, until the metadata names one. */
static void copies(void) {
  static const char tiny[] = "{\"preset\":\"tiny\"}";
  tsr_context *ctx = tsr_context_create(1);
  model_file_look look = {.prefixes = {"ema_model.", "online_model."}};
  refused(ctx, model_file_make_as("vit", tiny, 5, &look), TSR_ERR_CONFIG,
          "the file has the model's weights 2 times, behind \"ema_model.\", \"online_model.\"; say which to take in "
          "__metadata__.tesserae: \"prefix\": \"ema_model.\"");
  look = (model_file_look){.prefixes = {"a.", "b.", "c.", "d.", NULL}};
  refused(ctx, model_file_make_as("vit", tiny, 5, &look), TSR_ERR_CONFIG,
          "4 times, behind \"a.\", \"b.\", \"c.\", ...; say");
  static const char *const keys[] = {",\"prefix\":\"ema_model.\"", ",\"prefix\":\"online_model.\""};
  for (uint64_t i = 0; i < 2; i++) {
    look = (model_file_look){.prefixes = {"ema_model.", "online_model."}, .keys = keys[i]};
    tsr_model *chosen = load(ctx, model_file_make_as("vit", tiny, 5, &look), TSR_LOAD_AUTO, TSR_OK, "");
    tsr_model *plain = load(ctx, model_file_make("vit", tiny, 5 + i), TSR_LOAD_AUTO, TSR_OK, "");
    if (CHECK(chosen && plain)) {
      same_weights(plain, chosen);
      CHECK_HAS(tsr_model_info(chosen), keys[i]);
      CHECK_HAS(tsr_model_info(chosen), i ? "\"unused\":[\"ema_model." : "\"unused\":[\"online_model.");
    }
    tsr_model_destroy(chosen);
    tsr_model_destroy(plain);
  }
  look = (model_file_look){.prefixes = {"", "ema."}}; /* bare names win, unless the metadata says otherwise */
  tsr_model *model = load(ctx, model_file_make_as("vit", tiny, 5, &look), TSR_LOAD_AUTO, TSR_OK, "");
  if (CHECK(model != NULL)) CHECK_HAS(tsr_model_info(model), "\"prefix\":\"\"");
  tsr_model_destroy(model);
  look.keys = ",\"prefix\":\"ema\""; /* the dot is missing */
  refused(ctx, model_file_make_as("vit", tiny, 5, &look), TSR_ERR_MODEL_TENSOR_MISSING,
          "tensor \"emato_patch_embedding.1.weight\" [192] is not in the file, which has 68 tensors, among them "
          "ema.to_patch_embedding.1.weight; does");
  tsr_context_destroy(ctx);
}

typedef struct named {
  const char *name;
  tsr_shape shape;
} named;

/* A table of some vectors, against a file that has others. */
static void check_names(const named *wanted, const named *have, tsr_status code, const char *part) {
  tsr_heap heap = {0};
  tsr_error err = {0};
  tsr_arena arena = {.heap = &heap};
  tsr_weights weights = {.heap = &heap, .arena = &arena, .kernels = tsr_kernels_select(NULL)};
  tsr_tensor_entry entries[16] = {{0}};
  tsr_safetensors_header header = {.entries = entries};
  for (; wanted->name; wanted++) tsr_weights_vector(&weights, &err, wanted->name, &wanted->shape);
  for (; have->name; have++, header.count++)
    entries[header.count] = (tsr_tensor_entry){.name = have->name, .dtype = TSR_DTYPE_F32, .shape = have->shape};
  CHECK_INT(tsr_weights_check(&weights, &err, &header, TSR_WEIGHTS_F32, NULL), code);
  CHECK_HAS(err.message, part);
  tsr_weights_free(&weights);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

#define ROW tsr_shape_of(1, 4)
#define TABLE tsr_shape_of(2, 3, 4)

static void names_that_do_not_fit(void) {
  static const char none[] = "";
  const named two[] = {{"head.weight", TABLE}, {"head.bias", ROW}, {NULL}};
  /* the copy that has the shapes, and the one that is whole */
  check_names(two,
              (named[]){{"a.head.weight", ROW},
                        {"a.head.bias", ROW},
                        {"b.head.weight", TABLE},
                        {"b.head.bias", ROW},
                        {"n_averaged", tsr_shape_of(0)},
                        {NULL}},
              TSR_OK, none);
  check_names(two, (named[]){{"a.head.weight", TABLE}, {"b.head.bias", ROW}, {"b.head.weight", TABLE}, {NULL}}, TSR_OK,
              none);
  /* what is missing is named with the prefix that the others have, and a name that ends so is named too */
  check_names(two, (named[]){{"m.head.weight", TABLE}, {"m.rest", ROW}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
              "tensor \"m.head.bias\" [4] is not in the file, which has 2 tensors; does the config belong to it?");
  check_names(two, (named[]){{"head.weight", TABLE}, {"net.head.bias", ROW}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
              "tensor \"head.bias\" [4] is not in the file, which has 2 tensors, among them net.head.bias; does");
  check_names(two, (named[]){{"head.weight", TABLE}, {"ahead.bias", ROW}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
              "which has 2 tensors; does");
  check_names(two, (named[]){{"head.weight", TABLE}, {"\x1b[1m.head.bias", ROW}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
              "among them ?[1m.head.bias; does");
  /* other libraries' names */
  static const char *const timm[] = {"blocks.0.attn.qkv.weight", "patch_embed.proj.weight"};
  static const char *const transformers[] = {"vit.embeddings.patch_embeddings.projection.weight",
                                             "vision_model.embeddings.patch_embedding.weight"};
  for (int i = 0; i < 2; i++) {
    check_names(two, (named[]){{"head.bias", ROW}, {timm[i], TABLE}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
                "2 tensors; these are names of timm: load its folder with config.json instead");
    check_names(two, (named[]){{"head.bias", ROW}, {transformers[i], TABLE}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
                "2 tensors; these are names of transformers: load its folder with config.json instead");
    /* names that are our own too say nothing */
    check_names((named[]){{timm[i], TABLE}, {"stages.0.blocks.1.attn.qkv.weight", TABLE}, {NULL}},
                (named[]){{"head.bias", ROW}, {timm[i], TABLE}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
                "2 tensors; does the config belong to it?");
  }
  check_names(two, (named[]){{"layers.0.0.fn.to_qkv.weight", TABLE}, {NULL}}, TSR_ERR_MODEL_TENSOR_MISSING,
              "these are names of vit-pytorch before 1.4: see docs/models/vit.md");
  /* shapes */
  check_names(two, (named[]){{"head.weight", TABLE}, {"head.bias", tsr_shape_of(2, 4, 1)}, {NULL}},
              TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"head.bias\" is [4,1] in the file, the config asks for [4]");
  check_names(two, (named[]){{"m.head.weight", TABLE}, {"m.head.bias", tsr_shape_of(2, 2, 4)}, {NULL}},
              TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"m.head.bias\" is [2,4] in the file, the config asks for [4]");
  check_names(two, (named[]){{"head.weight", tsr_shape_of(1, 12)}, {"head.bias", ROW}, {NULL}},
              TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"head.weight\" is [12] in the file, the config asks for [3,4]");
  check_names((named[]){{"to_patch_embedding.1.weight", ROW}, {NULL}},
              (named[]){{"to_patch_embedding.1.weight", TABLE}, {NULL}}, TSR_ERR_MODEL_TENSOR_SHAPE,
              "is [3,4] in the file, the config asks for [4]; vit-pytorch before 1.0 had no norm there");
  check_names((named[]){{"one", tsr_shape_of(0)}, {"none", tsr_shape_of(2, 0, 4)}, {NULL}},
              (named[]){{"one", tsr_shape_of(3, 1, 1, 1)}, {"none", tsr_shape_of(3, 1, 0, 4)}, {NULL}}, TSR_OK, none);
}

/* ---- memory ---- */

/* A wide model, whose largest matrix is a third of it: the peak is the packed weights, the header and a panel. */
static void peak(tsr_load_dtype dtype, size_t most) {
  model_file file = model_file_make("vit",
                                    "{\"image_size\":16,\"patch_size\":8,\"num_classes\":10,\"dim\":512,\"depth\":1,"
                                    "\"heads\":8,\"mlp_dim\":2048}",
                                    7);
  tsr_context *ctx = tsr_context_create(1);
  tsr_model *model = tsr_loader_finish(feed(ctx, &file, dtype, file.length, most, 2));
  size_t packed = tsr_weights_bytes(&model->weights), top = tsr_context_peak_bytes(ctx);
  CHECK(packed > (dtype == TSR_LOAD_F32 ? 12u : 3u) << 20);
  CHECK((double)top < 1.1 * (double)packed);
  if ((double)top >= 1.1 * (double)packed) printf("  peak %zu, packed %zu\n", top, packed);
  tsr_model_destroy(model);
  tsr_context_destroy(ctx);
  free(file.bytes);
}

/* Given up anywhere - in the header, inside a tensor, inside a panel, while integers wait for their scales - nothing
 * stays. */
static void abandoned(const char *arch, file_kind kind) {
  model_file file = file_as(arch, "{\"preset\":\"tiny\"}", kind);
  tsr_context *ctx = tsr_context_create(1);
  size_t baseline = tsr_context_bytes(ctx);
  uint64_t seed = 4;
  for (int i = 0; i < 60; i++) {
    size_t n = i ? check_random(&seed) % file.length : 0;
    tsr_loader_destroy(feed(ctx, &file, i % 2 ? TSR_LOAD_F32 : TSR_LOAD_Q8, n, 500, (uint64_t)i));
    CHECK_INT(tsr_context_bytes(ctx), baseline);
  }
  tsr_context_destroy(ctx);
  free(file.bytes);
}

int main(void) {
  for (int a = 0; a < tsr_arch_count; a++)
    for (int kind = 0; kind < FILE_KINDS; kind++) {
      every_way_of_cutting(tsr_archs[a]->name, "{\"preset\":\"tiny\"}", kind, TSR_LOAD_F32);
      every_way_of_cutting(tsr_archs[a]->name, "{\"preset\":\"tiny\"}", kind, TSR_LOAD_Q8);
      abandoned(tsr_archs[a]->name, kind);
    }
  /* no width is a multiple of 4; GLOM's groups are no multiple of a panel */
  static const char odd[] =
      "{\"image_size\":16,\"patch_size\":8,\"num_classes\":7,\"dim\":20,\"depth\":1,\"heads\":3,\"mlp_dim\":27,"
      "\"dim_head\":5}";
  static const char groups[] = "{\"dim\":12,\"levels\":3,\"image_size\":16,\"patch_size\":8}";
  for (int kind = 0; kind < FILE_KINDS; kind++)
    for (int dtype = TSR_LOAD_AUTO; dtype <= TSR_LOAD_Q8; dtype++) {
      every_way_of_cutting("vit", odd, kind, dtype);
      every_way_of_cutting("glom", groups, kind, dtype);
    }
  for (int a = 0; a < tsr_arch_count; a++) ones_in_front(tsr_archs[a]->name);
  behind_prefixes("vit", odd);
  behind_prefixes("glom", groups);
  copies();
  names_that_do_not_fit();
  scales_in_either_order();
  depthwise();
  peak(TSR_LOAD_Q8, 0);
  peak(TSR_LOAD_Q8, 1 << 16);
  peak(TSR_LOAD_F32, 1 << 16);
  return check_done("weights");
}
