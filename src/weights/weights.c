/* The table of weights: lookup, check against the file, conversion, and packing by the kernels' pack functions
 * (kernels/gemm_f32_simd.c, kernels/gemm_q8_pack.h); see weights.h. */
#include "weights.h"

#include <string.h>

enum { VECTOR_PIECE = 4096 }; /* elements of a vector to take at a time */
enum { ALIGN = 64 };          /* alignment of each weight's memory, in bytes */
enum { MOST_PREFIXES = 128 }; /* to try: about a second with the largest header */

static const char SCALE_SUFFIX[] = "_scale";

static unsigned hash_name(const char *name, size_t length) {
  uint32_t h = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
  return (h ^ h >> 16) % TSR_WEIGHT_BUCKETS;
}

static tsr_weight *find(const tsr_weights *weights, const char *name, size_t length) {
  tsr_weight *w = weights->buckets[hash_name(name, length)];
  while (w && (strncmp(w->name, name, length) || w->name[length])) w = w->next_in_bucket;
  return w;
}

/* What `name` in the file is without the prefix that all have there; "" if it lacks it. */
static const char *bare(const tsr_weights *weights, const char *name) {
  return strncmp(name, weights->prefix, weights->prefix_length) ? "" : name + weights->prefix_length;
}

/* The weight that is `name` in the file. NULL if there is none. */
static tsr_weight *find_in_file(const tsr_weights *weights, const char *name) {
  name = bare(weights, name);
  return find(weights, name, strlen(name));
}

/* The 8-bit weight whose scales are `name` in the file: "X_scale" belongs to "X". NULL if there is none. */
static tsr_weight *find_scaled(const tsr_weights *weights, const char *name) {
  name = bare(weights, name);
  size_t length = strlen(name), suffix = sizeof SCALE_SUFFIX - 1;
  if (length <= suffix || strcmp(name + length - suffix, SCALE_SUFFIX)) return NULL;
  return find(weights, name, length - suffix);
}

static tsr_weight *declare(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape) {
  size_t length = strlen(name);
  char want[TSR_SHAPE_TEXT], have[TSR_SHAPE_TEXT];
  tsr_weight *w = find(weights, name, length);
  if (w) {
    if (tsr_shape_equal(&w->shape, shape)) return w;
    tsr_error_set(err, TSR_ERR_CONFIG, "weight \"%s\" is used as %s and as %s", name, tsr_shape_print(&w->shape, have),
                  tsr_shape_print(shape, want));
    return NULL;
  }
  if (weights->sealed) {
    tsr_error_set(err, TSR_ERR_CONFIG, "weight \"%s\" is not among those the model was loaded with", name);
    return NULL;
  }
  w = tsr_arena_alloc(weights->arena, sizeof *w);
  if (w) w->name = tsr_arena_copy_text(weights->arena, name, length);
  if (!w || !w->name) {
    tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for the list of weights at \"%s\"", name);
    return NULL;
  }
  w->shape = *shape;
  unsigned bucket = hash_name(name, length);
  w->next_in_bucket = weights->buckets[bucket];
  weights->buckets[bucket] = w;
  if (weights->last) weights->last->next = w;
  else weights->first = w;
  weights->last = w;
  weights->count++;
  return w;
}

tsr_weight *tsr_weights_vector(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape) {
  return declare(weights, err, name, shape);
}

tsr_weight *tsr_weights_depthwise(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape) {
  tsr_weight *w = declare(weights, err, name, shape);
  if (w && shape->dims[0]) w->taps = (int)(tsr_shape_count(shape, NULL) / (size_t)shape->dims[0]);
  return w;
}

tsr_weight *tsr_weights_matrix(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape,
                               tsr_matrix_layout layout) {
  tsr_weight *w = declare(weights, err, name, shape);
  if (!w || w->is_matrix) return w;
  w->is_matrix = 1;
  w->layout = layout;
  w->k = layout.channels * layout.taps;
  return w;
}

/* A convolution over as few numbers as 3 x 3 pixels of an image stays in f32, because 8 bits gain no time there
 * (LeViT-256 takes 2 % less with it in f32), and because all later layers inherit its error: with it in f32 the error
 * of MobileViT-XS's stem is a fifth smaller. */
int tsr_weight_quantizes(const tsr_weight *weight) {
  return weight->is_matrix && !weight->layout.is_float && weight->layout.n >= 8 &&
         (weight->layout.taps == 1 || weight->k >= 32);
}

/* Moves *at past `bytes` more bytes, aligned. Returns their address in `block`; NULL when `block` is NULL. */
static void *carve(char *block, size_t *at, size_t bytes, int *overflow) {
  size_t begin = tsr_size_add(*at, ALIGN - 1, overflow) & ~(size_t)(ALIGN - 1);
  *at = tsr_size_add(begin, bytes, overflow);
  return block ? block + begin : NULL;
}

/* Lays out all weights one after the other and returns the bytes they take. With a block they also get their
 * addresses. */
static size_t lay_out(tsr_weights *weights, char *block, int *overflow) {
  const tsr_kernels *k = weights->kernels;
  size_t at = 0;
  for (tsr_weight *w = weights->first; w; w = w->next) {
    size_t rows = (size_t)w->layout.groups * w->layout.n; /* at most the number of elements, so it cannot overflow */
    if (!w->is_matrix) {
      size_t count = tsr_shape_count(&w->shape, overflow);
      w->values = carve(block, &at, tsr_size_mul(count, sizeof(float), overflow), overflow);
      continue;
    }
    w->group_bytes = (w->is_q8 ? k->gemm_q8_packed_bytes : k->gemm_f32_packed_bytes)(w->layout.n, w->k);
    if (!w->group_bytes && w->layout.n && w->k) *overflow = 1;
    w->panels = carve(block, &at, tsr_size_mul(w->group_bytes, (size_t)w->layout.groups, overflow), overflow);
    if (w->is_q8 || w->is_i8_in_file) w->scale = carve(block, &at, rows * sizeof *w->scale, overflow);
    if (w->is_q8) w->sum = carve(block, &at, rows * sizeof *w->sum, overflow);
  }
  return at;
}

static tsr_status allocate(tsr_weights *weights, tsr_error *err) {
  int overflow = 0;
  size_t bytes = lay_out(weights, NULL, &overflow);
  weights->memory = overflow ? NULL : tsr_heap_alloc(weights->heap, bytes);
  if (!weights->memory)
    return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                         "no memory for the weights (%.1f MB); a smaller model or dtype 'q8' needs less",
                         overflow ? 4096.0 : (double)bytes / 1e6);
  weights->memory_bytes = bytes;
  lay_out(weights, weights->memory, &overflow);
  return TSR_OK;
}

/* ---- names in the file ---- */

/* 1 if the shapes are equal but for dims of 1 in front: then they hold the same numbers in the same order. */
static int same_order(const tsr_shape *a, const tsr_shape *b) {
  for (int i = a->ndim, j = b->ndim; i > 0 || j > 0;)
    if ((i > 0 ? a->dims[--i] : 1) != (j > 0 ? b->dims[--j] : 1)) return 0;
  return 1;
}

/* The bytes before `name` in `in_file`, which ends in a dot and this name; 0 if it does not. */
static size_t bytes_before(const char *in_file, const char *name) {
  size_t length = strlen(in_file), tail = strlen(name), before = length > tail ? length - tail : 0;
  return before && in_file[before - 1] == '.' && !strcmp(in_file + before, name) ? before : 0;
}

/* Takes this prefix for the file's. Returns how many weights stand behind it, in their shapes. */
static int try_prefix(tsr_weights *weights, const tsr_safetensors_header *header, const char *prefix, size_t length) {
  int count = 0;
  weights->prefix = prefix;
  weights->prefix_length = length;
  for (int i = 0; i < header->count; i++) {
    const tsr_tensor_entry *entry = &header->entries[i];
    const tsr_weight *w = find_in_file(weights, entry->name);
    count += w && same_order(&w->shape, &entry->shape);
  }
  return count;
}

/* Finds what wrappers ("module.", "model._orig_mod.") put before every name, where the file lacks the bare names: the
 * prefix behind which it has most of the weights. TSR_ERR_CONFIG: it has all of them behind more than one. */
static tsr_status find_prefix(tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header) {
  char list[3 * (TSR_PRINT_TEXT + 4)], shown[TSR_PRINT_TEXT];
  int most = try_prefix(weights, header, "", 0), copies = 0, listed = 0;
  int tries = most < weights->count ? MOST_PREFIXES : 0;
  const char *best = "";
  size_t length = 0;
  for (int i = 0; i < header->count && tries; i++) {
    const char *name = header->entries[i].name;
    size_t before = bytes_before(name, weights->first->name);
    if (!before) continue;
    int count = try_prefix(weights, header, name, before);
    tries--;
    if (count > most) most = count, best = name, length = before;
    if (count == weights->count && copies++ < 3)
      listed += tsr_print(list + listed, sizeof list - (size_t)listed, "%s\"%s\"", listed ? ", " : "",
                          tsr_print_text(name, before, shown));
  }
  if (copies > 1)
    return tsr_error_set(err, TSR_ERR_CONFIG,
                         "the file has the model's weights %d times, behind %s%s; say which to take in "
                         "__metadata__.tesserae: \"prefix\": \"%s\"",
                         copies, list, copies > 3 ? ", ..." : "", tsr_print_text(best, length, shown));
  weights->prefix = tsr_arena_copy_text(weights->arena, best, length);
  weights->prefix_length = length;
  if (weights->prefix) return TSR_OK;
  return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for the names of the weights");
}

/* What to do about a file that lacks a weight: names that it has may be those of another library. */
static const char *advice(const tsr_weights *weights, const tsr_safetensors_header *header) {
#define NAMES_OF(library) "these are names of " library
#define FOLDER ": load its folder with config.json instead"
  static const char *const signs[][2] = {
      {"attn.qkv.weight", NAMES_OF("timm") FOLDER},
      {"patch_embed.proj.weight", NAMES_OF("timm") FOLDER},
      {"patch_embeddings.", NAMES_OF("transformers") FOLDER},
      {"patch_embedding.weight", NAMES_OF("transformers") FOLDER},
      {".fn.to_qkv.weight", NAMES_OF("vit-pytorch before 1.4: see docs/models/vit.md")},
  };
#undef FOLDER
#undef NAMES_OF
  for (size_t s = 0; s < sizeof signs / sizeof *signs; s++) {
    const tsr_weight *w = weights->first;
    while (w && !strstr(w->name, signs[s][0])) w = w->next;
    for (int i = 0; !w && i < header->count; i++) /* no name of our own has the sign */
      if (strstr(header->entries[i].name, signs[s][0])) return signs[s][1];
  }
  return "does the config belong to it?";
}

/* The weight is not in the file: names what comes near, and says what to do. */
static tsr_status missing(const tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header,
                          const tsr_weight *w) {
  char prefix[TSR_PRINT_TEXT], shape[TSR_SHAPE_TEXT], near[TSR_PRINT_TEXT] = "";
  for (int i = header->count; i-- > 0;) {
    const char *name = header->entries[i].name;
    if (bytes_before(name, w->name)) tsr_print_text(name, strlen(name), near);
  }
  return tsr_error_set(
      err, TSR_ERR_MODEL_TENSOR_MISSING, "tensor \"%s%s\" %s is not in the file, which has %d tensors%s%s; %s",
      tsr_print_text(weights->prefix, weights->prefix_length, prefix), w->name, tsr_shape_print(&w->shape, shape),
      header->count, *near ? ", among them " : "", near, advice(weights, header));
}

/* ---- the check against the file ---- */

static tsr_status check_shape(tsr_error *err, const char *name, const tsr_shape *have, const tsr_shape *want) {
  char in_file[TSR_SHAPE_TEXT], asked[TSR_SHAPE_TEXT];
  if (same_order(have, want)) return TSR_OK;
  int bare = have->ndim == 2 && want->ndim == 1 && strstr(name, "to_patch_embedding.1.weight");
  return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"%s\" is %s in the file, the config asks for %s%s",
                       name, tsr_shape_print(have, in_file), tsr_shape_print(want, asked),
                       bare ? "; vit-pytorch before 1.0 had no norm there: train the model with a newer one" : "");
}

static tsr_status check_scale(tsr_error *err, const char *name, const tsr_weight *w) {
  const tsr_tensor_entry *scale = w->scale_entry;
  tsr_shape expected = tsr_shape_of(2, w->layout.groups * w->layout.n, 1);
  char want[TSR_SHAPE_TEXT], have[TSR_SHAPE_TEXT];
  if (!scale)
    return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_MISSING,
                         "tensor \"%s_scale\" %s is not in the file; \"%s\" is I8 and needs it", name,
                         tsr_shape_print(&expected, want), name);
  if (!tsr_shape_equal(&scale->shape, &expected))
    return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"%s_scale\" is %s in the file, expected %s", name,
                         tsr_shape_print(&scale->shape, have), tsr_shape_print(&expected, want));
  if (scale->dtype != TSR_DTYPE_F32)
    return tsr_error_set(err, TSR_ERR_MODEL_DTYPE, "tensor \"%s_scale\" is %s; scales are F32", name,
                         tsr_dtype_name(scale->dtype));
  return TSR_OK;
}

static tsr_status check_one(tsr_error *err, tsr_weight_dtype dtype, tsr_weight *w) {
  const tsr_tensor_entry *entry = w->entry;
  char name[TSR_PRINT_TEXT];
  tsr_print_text(entry->name, strlen(entry->name), name);
  if (check_shape(err, name, &entry->shape, &w->shape)) return err->code;
  int is_float = entry->dtype == TSR_DTYPE_F32 || entry->dtype == TSR_DTYPE_F16 || entry->dtype == TSR_DTYPE_BF16;
  if (!is_float && !(entry->dtype == TSR_DTYPE_I8 && w->is_matrix))
    return tsr_error_set(err, TSR_ERR_MODEL_DTYPE, "tensor \"%s\" is %s; expected F32, F16, BF16%s", name,
                         tsr_dtype_name(entry->dtype), w->is_matrix ? " or I8 with a scale" : "");
  if (!is_float && check_scale(err, name, w)) return err->code;
  w->is_i8_in_file = !is_float;
  w->is_q8 = w->is_matrix && w->k && dtype != TSR_WEIGHTS_F32 &&
             (!is_float || (dtype == TSR_WEIGHTS_Q8 && tsr_weight_quantizes(w)));
  return TSR_OK;
}

tsr_status tsr_weights_check(tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header,
                             tsr_weight_dtype dtype, tsr_text *unused) {
  if (!weights->prefix && find_prefix(weights, err, header)) return err->code;
  for (int i = 0; i < header->count; i++) {
    const tsr_tensor_entry *entry = &header->entries[i];
    tsr_weight *w = find_in_file(weights, entry->name);
    tsr_weight *scaled = find_scaled(weights, entry->name);
    if (w) w->entry = entry;
    if (scaled) scaled->scale_entry = entry;
  }
  for (tsr_weight *w = weights->first; w; w = w->next) {
    if (!w->entry) return missing(weights, err, header, w);
    if (check_one(err, dtype, w)) return err->code;
  }
  if (allocate(weights, err)) return err->code;
  if (!unused) return TSR_OK;
  int listed = 0;
  tsr_text_add(unused, "[");
  for (int i = 0; i < header->count; i++) {
    if (tsr_weights_piece(weights, &header->entries[i])) continue;
    if (listed++) tsr_text_add(unused, ",");
    tsr_text_quote(unused, header->entries[i].name);
  }
  tsr_text_add(unused, "]");
  return TSR_OK;
}

/* The rows of a matrix to take at a time: those of a panel, or all of a group where a panel would hold rows of two. */
static int rows_at_once(const tsr_weight *w) {
  return w->layout.groups == 1 || w->layout.n % TSR_PANEL == 0 ? TSR_PANEL : w->layout.n;
}

size_t tsr_weights_piece(const tsr_weights *weights, const tsr_tensor_entry *entry) {
  const tsr_weight *w = find_in_file(weights, entry->name);
  if (!w) {
    const tsr_weight *scaled = find_scaled(weights, entry->name);
    return scaled && scaled->is_i8_in_file ? SIZE_MAX : 0;
  }
  int overflow = 0;
  size_t elements = VECTOR_PIECE;
  if (w->is_matrix) elements = tsr_size_mul((size_t)rows_at_once(w), (size_t)w->k, &overflow);
  size_t bytes = tsr_size_mul(elements, tsr_dtype_bytes(entry->dtype), &overflow);
  return overflow || !bytes ? SIZE_MAX : bytes;
}

static void to_f32(const tsr_kernels *k, float *y, tsr_dtype dtype, const void *x, size_t n) {
  if (dtype == TSR_DTYPE_F16) k->f16_to_f32(y, x, (int)n);
  else if (dtype == TSR_DTYPE_BF16) k->bf16_to_f32(y, x, (int)n);
  else if (dtype == TSR_DTYPE_F32) memcpy(y, x, n * sizeof *y);
  else
    for (size_t i = 0; i < n; i++) y[i] = ((const int8_t *)x)[i];
}

/* Rows [channels, taps] -> [taps, channels]. */
#define REORDER(name, type)                                                             \
  static const type *name(type *y, const type *x, int rows, tsr_matrix_layout layout) { \
    size_t channels = (size_t)layout.channels, taps = (size_t)layout.taps;              \
    if (taps == 1 || channels == 1) return x;                                           \
    type *at = y;                                                                       \
    for (int r = 0; r < rows; r++, x += taps * channels)                                \
      for (size_t t = 0; t < taps; t++)                                                 \
        for (size_t c = 0; c < channels; c++) *at++ = x[c * taps + t];                  \
    return y;                                                                           \
  }
REORDER(reorder_f32, float)
REORDER(reorder_i8, int8_t)

/* The matrix whose rows are being packed, and buffers for them: f32 as read, f32 in packed order, int8. */
typedef struct packing {
  const tsr_kernels *kernels;
  tsr_weight *weight;
  tsr_dtype dtype; /* in the file */
  float *read, *ordered;
  int8_t *q;
} packing;

/* Packs rows [n0, n0 + rows) of a group, which start at `bytes`. */
static void pack_rows(const packing *p, int group, int n0, int rows, const void *bytes) {
  const tsr_kernels *kernels = p->kernels;
  const tsr_weight *w = p->weight;
  size_t first = (size_t)group * w->layout.n + n0, k = (size_t)w->k;
  void *panels = (char *)w->panels + (size_t)group * w->group_bytes;
  const int8_t *q = p->q;
  const float *x = bytes;
  if (p->dtype == TSR_DTYPE_I8 && w->is_q8) {
    q = reorder_i8(p->q, bytes, rows, w->layout);
  } else {
    if (p->dtype != TSR_DTYPE_F32) {
      to_f32(kernels, p->read, p->dtype, bytes, (size_t)rows * k);
      x = p->read;
    }
    x = reorder_f32(p->ordered, x, rows, w->layout);
    if (w->is_q8) kernels->quantize_weight_q8(p->q, w->scale + first, x, rows, w->k);
  }
  if (w->is_q8) {
    kernels->gemm_q8_pack(panels, q, w->k, n0, n0 + rows, w->k);
    kernels->sum_i8(w->sum + first, q, rows, w->k);
    return;
  }
  if (p->dtype == TSR_DTYPE_I8) {
    for (size_t r = 0; r < (size_t)rows; r++)
      for (size_t i = r * k; i < (r + 1) * k; i++) p->ordered[i] = x[i] * w->scale[first + r];
    x = p->ordered;
  }
  kernels->gemm_f32_pack(panels, x, w->k, n0, n0 + rows, w->k);
}

/* Packs n bytes of the matrix's rows, from row `first` on. */
static tsr_status take_rows(tsr_weights *weights, tsr_error *err, tsr_weight *w, tsr_dtype dtype, size_t first,
                            const char *bytes, size_t n) {
  int overflow = 0;
  size_t row = (size_t)w->k * tsr_dtype_bytes(dtype);
  size_t block = tsr_size_mul((size_t)w->k, TSR_PANEL, &overflow);
  char *memory = tsr_heap_alloc(weights->heap, tsr_size_mul(block, 2 * sizeof(float) + 1, &overflow));
  if (overflow || !memory) {
    tsr_heap_free(weights->heap, memory);
    return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory to pack tensor \"%s\"", w->name);
  }
  float *buffer = (float *)memory;
  packing p = {weights->kernels, w, dtype, buffer, buffer + block, (int8_t *)(buffer + 2 * block)};
  for (const char *end = bytes + n; bytes < end;) {
    int group = (int)(first / (size_t)w->layout.n), n0 = (int)(first % (size_t)w->layout.n);
    int rows = w->layout.n - n0 < TSR_PANEL ? w->layout.n - n0 : TSR_PANEL;
    pack_rows(&p, group, n0, rows, bytes);
    bytes += (size_t)rows * row;
    first += (size_t)rows;
  }
  tsr_heap_free(weights->heap, memory);
  return TSR_OK;
}

/* Stores integers of a quantized file that is read as f32, because their scales may come after them. */
static tsr_status hold(tsr_weights *weights, tsr_error *err, tsr_weight *w, size_t first, const void *bytes, size_t n) {
  if (!w->held) w->held = tsr_heap_alloc(weights->heap, tsr_shape_count(&w->shape, NULL));
  if (!w->held) return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory to hold tensor \"%s\"", w->name);
  memcpy(w->held + first, bytes, n);
  return TSR_OK;
}

static tsr_status take_scale(tsr_weights *weights, tsr_error *err, tsr_weight *w, const void *bytes, size_t n) {
  memcpy(w->scale, bytes, n);
  w->has_scale = 1;
  if (!w->held) return TSR_OK;
  tsr_status status = take_rows(weights, err, w, TSR_DTYPE_I8, 0, w->held, tsr_shape_count(&w->shape, NULL));
  tsr_heap_free(weights->heap, w->held);
  w->held = NULL;
  return status;
}

/* Stores numbers [at, at + n) of a depthwise weight, [channels, taps] -> [taps, channels]. */
static void scatter_taps(const tsr_kernels *kernels, tsr_weight *w, tsr_dtype dtype, size_t at, const char *bytes,
                         size_t n) {
  float part[64];
  size_t taps = (size_t)w->taps, channels = (size_t)w->shape.dims[0], count;
  for (size_t i = 0; i < n; i += count) {
    count = n - i < sizeof part / sizeof *part ? n - i : sizeof part / sizeof *part;
    to_f32(kernels, part, dtype, bytes + i * tsr_dtype_bytes(dtype), count);
    for (size_t j = 0; j < count; j++) w->values[(at + i + j) % taps * channels + (at + i + j) / taps] = part[j];
  }
}

tsr_status tsr_weights_take(tsr_weights *weights, tsr_error *err, const tsr_tensor_entry *entry, uint64_t first,
                            const void *bytes, size_t n) {
  tsr_weight *w = find_in_file(weights, entry->name);
  if (!w) return take_scale(weights, err, find_scaled(weights, entry->name), bytes, n);
  size_t element = tsr_dtype_bytes(entry->dtype), at = (size_t)(first / element);
  if (w->taps) scatter_taps(weights->kernels, w, entry->dtype, at, bytes, n / element);
  else if (!w->is_matrix) to_f32(weights->kernels, w->values + at, entry->dtype, bytes, n / element);
  else if (entry->dtype == TSR_DTYPE_I8 && !w->is_q8 && !w->has_scale) return hold(weights, err, w, at, bytes, n);
  else if (n) return take_rows(weights, err, w, entry->dtype, at / (size_t)w->k, bytes, n);
  return TSR_OK;
}

double tsr_weights_parameters(const tsr_weights *weights) {
  double count = 0;
  for (const tsr_weight *w = weights->first; w; w = w->next)
    if (!w->is_buffer) count += (double)tsr_shape_count(&w->shape, NULL);
  return count;
}

size_t tsr_weights_bytes(const tsr_weights *weights) { return weights->memory_bytes; }

int tsr_weights_any_q8(const tsr_weights *weights) {
  for (const tsr_weight *w = weights->first; w; w = w->next)
    if (w->is_q8) return 1;
  return 0;
}

void tsr_weights_average(tsr_weights *weights, const char *to, const char *from, float keep, float share) {
  size_t length = strlen(to), from_length = strlen(from);
  for (tsr_weight *w = weights->first; w; w = w->next) {
    const char *rest = w->name + length;
    if (strncmp(w->name, to, length) || (*rest && w->is_buffer)) continue;
    for (const tsr_weight *other = weights->first; other; other = other->next) {
      if (strncmp(other->name, from, from_length) || strcmp(other->name + from_length, rest)) continue;
      float *y = w->is_matrix ? w->panels : w->values;
      const float *x = other->is_matrix ? other->panels : other->values;
      size_t n =
          w->is_matrix ? w->group_bytes / sizeof *y * (size_t)w->layout.groups : tsr_shape_count(&w->shape, NULL);
      for (size_t i = 0; i < n; i++) y[i] = y[i] * keep + share * x[i];
    }
  }
}

void tsr_weights_free(tsr_weights *weights) {
  for (tsr_weight *w = weights->first; w; w = w->next) tsr_heap_free(weights->heap, w->held);
  tsr_heap_free(weights->heap, weights->memory);
}
