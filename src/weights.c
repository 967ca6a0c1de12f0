/* Weights: table, check against the file, conversion and packing; see weights.h. */
#include "weights.h"

#include <string.h>

enum { PACK_ROWS = 64 }; /* rows converted at a time: a multiple of TSR_PANEL */

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

/* The matrix whose scales the tensor `name` holds: "X_scale" belongs to "X", if the file has X in 8 bits. */
static tsr_weight *find_scaled(const tsr_weights *weights, const char *name) {
  size_t length = strlen(name), suffix = sizeof SCALE_SUFFIX - 1;
  if (length <= suffix || strcmp(name + length - suffix, SCALE_SUFFIX)) return NULL;
  tsr_weight *w = find(weights, name, length - suffix);
  return w && w->is_i8_in_file ? w : NULL;
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

tsr_weight *tsr_weights_matrix(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape,
                               tsr_matrix_layout layout) {
  tsr_weight *w = declare(weights, err, name, shape);
  if (!w || w->is_matrix) return w;
  w->is_matrix = 1;
  w->layout = layout;
  w->k = layout.channels * layout.taps;
  return w;
}

int tsr_weight_quantizes(const tsr_weight *weight) { return weight->is_matrix && weight->layout.n >= 8; }

static const tsr_tensor_entry *entry_named(const tsr_safetensors_header *header, const char *name, const char *suffix) {
  size_t length = strlen(name);
  for (int i = 0; i < header->count; i++)
    if (!strncmp(header->entries[i].name, name, length) && !strcmp(header->entries[i].name + length, suffix))
      return &header->entries[i];
  return NULL;
}

static tsr_status allocate(tsr_weights *weights, tsr_error *err, tsr_weight *w) {
  int overflow = 0, rows = w->layout.groups * w->layout.n;
  size_t bytes;
  if (!w->is_matrix) {
    bytes = tsr_size_mul(tsr_shape_count(&w->shape, &overflow), sizeof(float), &overflow);
    w->values = overflow ? NULL : tsr_heap_alloc(weights->heap, bytes);
    if (w->values) return TSR_OK;
  } else {
    const tsr_kernels *k = weights->kernels;
    w->group_bytes = (w->is_q8 ? k->gemm_q8_packed_bytes : k->gemm_f32_packed_bytes)(w->layout.n, w->k);
    bytes = tsr_size_mul(w->group_bytes, (size_t)w->layout.groups, &overflow);
    if (!w->group_bytes && w->layout.n && w->k) overflow = 1;
    w->panels = overflow ? NULL : tsr_heap_alloc(weights->heap, bytes);
    if (w->panels && !w->is_q8) return TSR_OK;
    if (w->panels) w->scale = tsr_heap_alloc(weights->heap, (size_t)rows * sizeof *w->scale);
    if (w->scale) w->sum = tsr_heap_alloc(weights->heap, (size_t)rows * sizeof *w->sum);
    if (w->sum) return TSR_OK;
  }
  char shape[TSR_SHAPE_TEXT];
  return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for weight \"%s\" %s; a smaller model or dtype 'q8' needs less",
                       w->name, tsr_shape_print(&w->shape, shape));
}

static tsr_status check_one(tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header,
                            tsr_weight_dtype dtype, tsr_weight *w) {
  char want[TSR_SHAPE_TEXT], have[TSR_SHAPE_TEXT];
  const tsr_tensor_entry *entry = entry_named(header, w->name, "");
  if (!entry)
    return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_MISSING,
                         "tensor \"%s\" %s is not in the file, which has %d tensors; does the config belong to it?", w->name,
                         tsr_shape_print(&w->shape, want), header->count);
  if (!tsr_shape_equal(&entry->shape, &w->shape))
    return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"%s\" is %s in the file, the config asks for %s", w->name,
                         tsr_shape_print(&entry->shape, have), tsr_shape_print(&w->shape, want));
  int is_float = entry->dtype == TSR_DTYPE_F32 || entry->dtype == TSR_DTYPE_F16 || entry->dtype == TSR_DTYPE_BF16;
  if (!is_float && !(entry->dtype == TSR_DTYPE_I8 && w->is_matrix))
    return tsr_error_set(err, TSR_ERR_MODEL_DTYPE, "tensor \"%s\" is %s; expected F32, F16, BF16%s", w->name,
                         tsr_dtype_name(entry->dtype), w->is_matrix ? " or I8 with a scale" : "");
  if (!is_float) {
    const tsr_tensor_entry *scale = entry_named(header, w->name, SCALE_SUFFIX);
    tsr_shape expected = tsr_shape_of(2, w->layout.groups * w->layout.n, 1);
    if (!scale)
      return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_MISSING, "tensor \"%s_scale\" %s is not in the file; \"%s\" is I8 and needs it",
                           w->name, tsr_shape_print(&expected, want), w->name);
    if (!tsr_shape_equal(&scale->shape, &expected))
      return tsr_error_set(err, TSR_ERR_MODEL_TENSOR_SHAPE, "tensor \"%s\" is %s in the file, expected %s", scale->name,
                           tsr_shape_print(&scale->shape, have), tsr_shape_print(&expected, want));
    if (scale->dtype != TSR_DTYPE_F32)
      return tsr_error_set(err, TSR_ERR_MODEL_DTYPE, "tensor \"%s\" is %s; scales are F32", scale->name,
                           tsr_dtype_name(scale->dtype));
  }
  w->is_i8_in_file = !is_float;
  w->is_q8 = w->is_matrix && dtype != TSR_WEIGHTS_F32 && (!is_float || (dtype == TSR_WEIGHTS_Q8 && tsr_weight_quantizes(w)));
  return allocate(weights, err, w);
}

tsr_status tsr_weights_check(tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header,
                             tsr_weight_dtype dtype, tsr_text *unused) {
  for (tsr_weight *w = weights->first; w; w = w->next)
    if (check_one(weights, err, header, dtype, w)) return err->code;
  if (!unused) return TSR_OK;
  int listed = 0;
  tsr_text_add(unused, "[");
  for (int i = 0; i < header->count; i++) {
    if (tsr_weights_want(weights, &header->entries[i])) continue;
    if (listed++) tsr_text_add(unused, ",");
    tsr_text_quote(unused, header->entries[i].name);
  }
  tsr_text_add(unused, "]");
  return TSR_OK;
}

int tsr_weights_want(const tsr_weights *weights, const tsr_tensor_entry *entry) {
  return find(weights, entry->name, strlen(entry->name)) || find_scaled(weights, entry->name);
}

static void to_f32(const tsr_kernels *k, float *y, tsr_dtype dtype, const void *bytes, size_t first, size_t n) {
  const char *x = (const char *)bytes + first * tsr_dtype_bytes(dtype);
  if (dtype == TSR_DTYPE_F16) k->f16_to_f32(y, x, (int)n);
  else if (dtype == TSR_DTYPE_BF16) k->bf16_to_f32(y, x, (int)n);
  else if (dtype == TSR_DTYPE_F32) memcpy(y, x, n * sizeof *y);
  else
    for (size_t i = 0; i < n; i++) y[i] = ((const int8_t *)x)[i];
}

/* One row [channels, taps] -> [taps, channels], for elements of 1 or 4 bytes. */
static void reorder_row(void *y, const void *x, tsr_matrix_layout layout, size_t element) {
  for (int t = 0; t < layout.taps; t++)
    for (int c = 0; c < layout.channels; c++)
      memcpy((char *)y + ((size_t)t * layout.channels + c) * element,
             (const char *)x + ((size_t)c * layout.taps + t) * element, element);
}

/* Rows [n0, n1) of one group, int8, already in packed order, `q` at row n0. */
static void pack_q8_rows(const tsr_kernels *kernels, tsr_weight *w, int group, int n0, int n1, const int8_t *q) {
  int32_t *sum = w->sum + (size_t)group * w->layout.n;
  kernels->gemm_q8_pack((int8_t *)((char *)w->panels + (size_t)group * w->group_bytes), q, w->k, n0, n1, w->k);
  for (int n = n0; n < n1; n++) {
    sum[n] = 0;
    for (int k = 0; k < w->k; k++) sum[n] += q[(size_t)(n - n0) * w->k + k];
  }
}

/* Buffers for PACK_ROWS rows: f32 as read, f32 in packed order, int8. */
typedef struct pack_buffers {
  float *read, *ordered;
  int8_t *q;
} pack_buffers;

static void pack_rows(tsr_weights *weights, tsr_weight *w, tsr_dtype dtype, const void *bytes, int group, int n0, int n1,
                      pack_buffers *buffer) {
  const tsr_kernels *kernels = weights->kernels;
  size_t first_row = (size_t)group * w->layout.n + n0, k = (size_t)w->k;
  int rows = n1 - n0;
  float *scale = w->scale ? w->scale + first_row : NULL;
  if (dtype == TSR_DTYPE_I8 && w->is_q8) {
    for (int r = 0; r < rows; r++) reorder_row(buffer->q + r * k, (const int8_t *)bytes + (first_row + r) * k, w->layout, 1);
    pack_q8_rows(kernels, w, group, n0, n1, buffer->q);
    return;
  }
  to_f32(kernels, buffer->read, dtype, bytes, first_row * k, (size_t)rows * k);
  for (int r = 0; r < rows; r++) reorder_row(buffer->ordered + r * k, buffer->read + r * k, w->layout, sizeof(float));
  if (w->is_q8) {
    kernels->quantize_weight_q8(buffer->q, scale, buffer->ordered, rows, w->k);
    pack_q8_rows(kernels, w, group, n0, n1, buffer->q);
    return;
  }
  if (dtype == TSR_DTYPE_I8)
    for (int r = 0; r < rows; r++)
      for (size_t i = 0; i < k; i++) buffer->ordered[r * k + i] *= scale[r];
  float *panels = (float *)((char *)w->panels + (size_t)group * w->group_bytes);
  kernels->gemm_f32_pack(panels, buffer->ordered, w->k, n0, n1, w->k);
}

static tsr_status take_matrix(tsr_weights *weights, tsr_error *err, tsr_weight *w, tsr_dtype dtype, const void *bytes) {
  size_t block = (size_t)PACK_ROWS * w->k; /* k fits: the tensor's element count was checked */
  char *memory = tsr_heap_alloc(weights->heap, block * (2 * sizeof(float) + 1));
  if (!memory) return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory to pack tensor \"%s\"", w->name);
  pack_buffers buffer = {(float *)memory, (float *)memory + block, (int8_t *)((float *)memory + 2 * block)};
  for (int g = 0; g < w->layout.groups; g++)
    for (int n0 = 0; n0 < w->layout.n; n0 += PACK_ROWS) {
      int n1 = n0 + PACK_ROWS < w->layout.n ? n0 + PACK_ROWS : w->layout.n;
      pack_rows(weights, w, dtype, bytes, g, n0, n1, &buffer);
    }
  tsr_heap_free(weights->heap, memory);
  w->loaded = 1;
  return TSR_OK;
}

/* A quantized file read as f32: integers and scales may come in either order, so the first waits for the second. */
static tsr_status hold(tsr_weights *weights, tsr_error *err, tsr_weight *w, const tsr_tensor_entry *entry, const void *bytes) {
  size_t n = (size_t)(entry->end - entry->begin);
  w->held = tsr_heap_alloc(weights->heap, n);
  if (!w->held) return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory to hold tensor \"%s\"", w->name);
  memcpy(w->held, bytes, n);
  return TSR_OK;
}

static tsr_status take_scale(tsr_weights *weights, tsr_error *err, tsr_weight *w, const void *bytes) {
  size_t n = (size_t)w->layout.groups * w->layout.n * sizeof *w->scale;
  if (!w->scale) w->scale = tsr_heap_alloc(weights->heap, n);
  if (!w->scale) return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "no memory for the scales of tensor \"%s\"", w->name);
  memcpy(w->scale, bytes, n);
  if (!w->held) return TSR_OK;
  tsr_status status = take_matrix(weights, err, w, TSR_DTYPE_I8, w->held);
  tsr_heap_free(weights->heap, w->held);
  w->held = NULL;
  return status;
}

tsr_status tsr_weights_take(tsr_weights *weights, tsr_error *err, const tsr_tensor_entry *entry, const void *bytes) {
  tsr_weight *w = find(weights, entry->name, strlen(entry->name));
  if (!w) {
    w = find_scaled(weights, entry->name);
    return w ? take_scale(weights, err, w, bytes) : TSR_OK;
  }
  if (!w->is_matrix) {
    to_f32(weights->kernels, w->values, entry->dtype, bytes, 0, tsr_shape_count(&w->shape, NULL));
    w->loaded = 1;
    return TSR_OK;
  }
  if (entry->dtype == TSR_DTYPE_I8 && !w->is_q8 && !w->scale) return hold(weights, err, w, entry, bytes);
  return take_matrix(weights, err, w, entry->dtype, bytes);
}

double tsr_weights_parameters(const tsr_weights *weights) {
  double count = 0;
  for (const tsr_weight *w = weights->first; w; w = w->next) count += (double)tsr_shape_count(&w->shape, NULL);
  return count;
}

size_t tsr_weights_bytes(const tsr_weights *weights) {
  size_t bytes = 0;
  for (const tsr_weight *w = weights->first; w; w = w->next) {
    size_t rows = (size_t)w->layout.groups * w->layout.n;
    bytes += w->is_matrix ? w->group_bytes * w->layout.groups + (w->is_q8 ? rows * 8 : 0) : tsr_shape_count(&w->shape, NULL) * 4;
  }
  return bytes;
}

int tsr_weights_any_q8(const tsr_weights *weights) {
  for (const tsr_weight *w = weights->first; w; w = w->next)
    if (w->is_q8) return 1;
  return 0;
}

void tsr_weights_free(tsr_weights *weights) {
  for (tsr_weight *w = weights->first; w; w = w->next) {
    tsr_heap_free(weights->heap, w->values);
    tsr_heap_free(weights->heap, w->panels);
    tsr_heap_free(weights->heap, w->scale);
    tsr_heap_free(weights->heap, w->sum);
    tsr_heap_free(weights->heap, w->held);
    w->values = w->scale = NULL;
    w->panels = w->held = NULL;
    w->sum = NULL;
  }
}
