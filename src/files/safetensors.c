/* The safetensors reader; see safetensors.h and docs/format.md.
 *
 *   [8 bytes: N, little endian][N bytes: JSON header][tensors, one after the other, without gaps]
 *    READ_LENGTH                READ_HEADER           READ_DATA
 *
 * The whole header is checked before the first tensor is passed on. A piece of a tensor that lies whole and aligned in
 * one chunk is passed to the sink in place; any other piece is collected in one staging buffer, which all pieces
 * share. */
#include "safetensors.h"

#include <stdalign.h>
#include <string.h>

enum { LENGTH_BYTES = 8, START_BYTES = 64 /* quoted of a text that is not a model */, STAGE_ALIGN = 64 };

typedef enum read_state { READ_LENGTH, READ_TEXT, READ_HEADER, READ_DATA } read_state;

struct tsr_safetensors {
  tsr_heap *heap;
  tsr_error *err;
  tsr_safetensors_sink sink;
  uint64_t total;    /* of the file; UINT64_MAX: unknown */
  tsr_status status; /* the first failure; nothing is read after it */
  read_state state;
  char start[START_BYTES]; /* READ_LENGTH, READ_TEXT: the first bytes, as far as they have come */
  size_t start_got;
  char *text; /* READ_HEADER: the text of the header, until it is parsed */
  size_t text_bytes, text_got;
  tsr_arena arena; /* the parsed header */
  tsr_safetensors_header header;
  int at;       /* READ_DATA: index of the tensor that is arriving */
  size_t piece; /* bytes of it to pass on at a time, as the sink said */
  uint64_t got; /* its bytes that were passed on or skipped */
  char *stage;  /* a piece that lies in more than one chunk, or is not aligned */
  size_t stage_bytes, staged;
};

/* Records a failure; its value is the status of the first one. */
#define FAIL(reader, code, ...) ((reader)->status = tsr_error_set((reader)->err, code, __VA_ARGS__))

/* ---- the header, entry by entry; functions return 1, or 0 after a FAIL ---- */

/* Reads a whole number in plain digits (not 1.0, 1e3 or -0) from the text of `value`, because a double is exact only up
 * to 2^53. Returns 1; 0 if it is not such a number; -1 if it does not fit 64 bits. */
static int read_whole(const char *text, const tsr_json *value, uint64_t *out) {
  uint64_t number = 0;
  if (value->kind != TSR_JSON_NUMBER) return 0;
  for (size_t i = value->begin; i < value->end; i++) {
    if (text[i] < '0' || text[i] > '9') return 0;
    uint64_t digit = (uint64_t)(text[i] - '0');
    if (number > (UINT64_MAX - digit) / 10) return -1;
    number = number * 10 + digit;
  }
  *out = number;
  return 1;
}

/* Reads item `index` of the field `field`, a whole number. */
static int check_whole(tsr_safetensors *r, const char *name, const char *field, int index, const tsr_json *item,
                       uint64_t *out) {
  int good = read_whole(r->text, item, out);
  if (good > 0) return 1;
  char shown[TSR_PRINT_TEXT];
  tsr_print_text(r->text + item->begin, item->end - item->begin, shown);
  if (good < 0)
    FAIL(r, TSR_ERR_MODEL_OVERFLOW, "tensor \"%s\": %s[%d] is %s, which does not fit 64 bits", name, field, index,
         shown);
  else
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\": %s[%d] is %s; a whole number of 0 or more, in digits, is expected",
         name, field, index, shown);
  return 0;
}

static int read_dtype(tsr_safetensors *r, const char *name, const tsr_json *value, tsr_dtype *dtype) {
#define TSR_DTYPE(suffix, bits) " " #suffix
  static const char known[] = TSR_DTYPES(TSR_DTYPE);
#undef TSR_DTYPE
  if (value->kind == TSR_JSON_STRING)
    for (int i = 0; i < TSR_DTYPE_COUNT; i++)
      if (!strcmp(value->string, tsr_dtype_name((tsr_dtype)i))) {
        *dtype = (tsr_dtype)i;
        return 1;
      }
  char shown[TSR_PRINT_TEXT];
  FAIL(r, TSR_ERR_MODEL_DTYPE, "tensor \"%s\" has dtype %s; known are%s", name,
       tsr_print_text(r->text + value->begin, value->end - value->begin, shown), known);
  return 0;
}

static int read_shape(tsr_safetensors *r, const char *name, const tsr_json *value, tsr_shape *shape) {
  if (value->kind != TSR_JSON_ARRAY) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\": shape must be an array of whole numbers", name);
    return 0;
  }
  if (value->count > TSR_MAX_DIMS) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\" has %d dims, the limit is %d", name, value->count, TSR_MAX_DIMS);
    return 0;
  }
  for (const tsr_json *item = value->child; item; item = item->next) {
    uint64_t dim;
    if (!check_whole(r, name, "shape", shape->ndim, item, &dim)) return 0;
    if (dim > INT32_MAX) {
      FAIL(r, TSR_ERR_MODEL_OVERFLOW, "tensor \"%s\": shape[%d] is %llu, the limit is %d", name, shape->ndim,
           (unsigned long long)dim, INT32_MAX);
      return 0;
    }
    shape->dims[shape->ndim++] = (int32_t)dim;
  }
  int overflow = 0;
  tsr_shape_count(shape, &overflow);
  if (!overflow) return 1;
  char dims[TSR_SHAPE_TEXT];
  FAIL(r, TSR_ERR_MODEL_OVERFLOW, "tensor \"%s\" has shape %s, which is more than %d elements", name,
       tsr_shape_print(shape, dims), INT32_MAX);
  return 0;
}

static int read_offsets(tsr_safetensors *r, const char *name, const tsr_json *value, tsr_tensor_entry *entry) {
  if (value->kind != TSR_JSON_ARRAY || value->count != 2) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\": data_offsets must be an array of two whole numbers", name);
    return 0;
  }
  return check_whole(r, name, "data_offsets", 0, value->child, &entry->begin) &&
         check_whole(r, name, "data_offsets", 1, value->child->next, &entry->end);
}

/* "name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, with these three fields and no other. */
static int read_entry(tsr_safetensors *r, const tsr_json *member, tsr_tensor_entry *entry) {
  static const char *const fields[] = {"dtype", "shape", "data_offsets"};
  const tsr_json *found[3];
  char name[TSR_PRINT_TEXT], shown[TSR_PRINT_TEXT];
  tsr_print_text(member->key, strlen(member->key), name);
  if (member->kind != TSR_JSON_OBJECT) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\" must be an object with dtype, shape and data_offsets", name);
    return 0;
  }
  for (int i = 0; i < 3; i++) {
    found[i] = tsr_json_get(member, fields[i]);
    if (found[i]) continue;
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\" lacks %s", name, fields[i]);
    return 0;
  }
  for (const tsr_json *field = member->child; field; field = field->next) {
    if (field == found[0] || field == found[1] || field == found[2]) continue;
    FAIL(r, TSR_ERR_MODEL_HEADER, "tensor \"%s\" has a field \"%s\"; dtype, shape and data_offsets are expected", name,
         tsr_print_text(field->key, strlen(field->key), shown));
    return 0;
  }
  entry->name = member->key;
  return read_dtype(r, name, found[0], &entry->dtype) && read_shape(r, name, found[1], &entry->shape) &&
         read_offsets(r, name, found[2], entry);
}

static int check_metadata(tsr_safetensors *r, const tsr_json *metadata) {
  char shown[TSR_PRINT_TEXT];
  if (metadata->kind != TSR_JSON_OBJECT) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "__metadata__ must be an object of strings");
    return 0;
  }
  for (const tsr_json *member = metadata->child; member; member = member->next) {
    if (member->kind == TSR_JSON_STRING) continue;
    FAIL(r, TSR_ERR_MODEL_HEADER, "__metadata__ must be an object of strings; \"%s\" is no string",
         tsr_print_text(member->key, strlen(member->key), shown));
    return 0;
  }
  r->header.metadata = metadata;
  return 1;
}

/* Orders by place in the file. Only tensors without elements can share a place; their names break the tie. */
static int compare_entries(const void *a, const void *b) {
  const tsr_tensor_entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* Checks that every tensor starts where the one before ends, and has shape x dtype bytes. */
static int check_offsets(tsr_safetensors *r, const tsr_tensor_entry *entries, int count) {
  uint64_t start = 0;
  for (int i = 0; i < count; i++) {
    const tsr_tensor_entry *e = &entries[i];
    char name[TSR_PRINT_TEXT], dims[TSR_SHAPE_TEXT];
    unsigned long long begin = e->begin, end = e->end;
    /* No overflow: at most 2^31-1 elements of at most 8 bytes. */
    uint64_t bytes = (uint64_t)tsr_shape_count(&e->shape, NULL) * tsr_dtype_bytes(e->dtype);
    tsr_print_text(e->name, strlen(e->name), name);
    if (begin > end)
      FAIL(r, TSR_ERR_MODEL_OFFSETS, "tensor \"%s\" has data_offsets [%llu, %llu], which end before they begin", name,
           begin, end);
    else if (begin != start)
      FAIL(r, TSR_ERR_MODEL_OFFSETS, "tensor \"%s\" has data_offsets [%llu, %llu], expected start %llu", name, begin,
           end, (unsigned long long)start);
    else if (end - begin != bytes)
      FAIL(r, TSR_ERR_MODEL_OFFSETS, "tensor \"%s\" has data_offsets [%llu, %llu], expected %llu bytes for %s %s", name,
           begin, end, (unsigned long long)bytes, tsr_dtype_name(e->dtype), tsr_shape_print(&e->shape, dims));
    if (r->status) return 0;
    start = e->end;
  }
  r->header.data_bytes = start;
  return 1;
}

/* ---- the header as a whole ---- */

static int fail_memory(tsr_safetensors *r) {
  FAIL(r, TSR_ERR_OUT_OF_MEMORY, "out of memory while reading the header of %zu bytes", r->text_bytes);
  return 0;
}

/* Copies the entries in the order of their offsets, which is the order of their bytes. */
static int sort_entries(tsr_safetensors *r, const tsr_tensor_entry *entries, int count) {
  tsr_tensor_entry *sorted = tsr_arena_alloc(&r->arena, (size_t)count * sizeof *sorted);
  const void **order = tsr_heap_calloc(r->heap, (size_t)count, sizeof *order);
  if (sorted && order) {
    for (int i = 0; i < count; i++) order[i] = &entries[i];
    tsr_sort_pointers(order, (size_t)count, compare_entries);
    for (int i = 0; i < count; i++) sorted[i] = *(const tsr_tensor_entry *)order[i];
    r->header.entries = sorted;
    r->header.count = count;
  }
  tsr_heap_free(r->heap, order);
  return sorted && order ? check_offsets(r, sorted, count) : fail_memory(r);
}

static int read_entries(tsr_safetensors *r, const tsr_json *root) {
  tsr_tensor_entry *entries = tsr_heap_calloc(r->heap, (size_t)root->count, sizeof *entries);
  int count = 0, good = entries != NULL;
  if (!good) return fail_memory(r);
  for (const tsr_json *member = root->child; member && good; member = member->next)
    good = strcmp(member->key, "__metadata__") ? read_entry(r, member, &entries[count++]) : check_metadata(r, member);
  good = good && sort_entries(r, entries, count);
  tsr_heap_free(r->heap, entries);
  return good;
}

static int check_total(tsr_safetensors *r) {
  const tsr_safetensors_header *h = &r->header;
  uint64_t expected = LENGTH_BYTES + (uint64_t)r->text_bytes + h->data_bytes; /* < 2^20 tensors of < 2^34 bytes */
  unsigned long long wants = expected, has = r->total;
  char name[TSR_PRINT_TEXT];
  if (r->total == UINT64_MAX || r->total == expected) return 1;
  if (!h->count) {
    FAIL(r, TSR_ERR_MODEL_OFFSETS, "the header names no tensors, so the file should have %llu bytes; it has %llu",
         wants, has);
    return 0;
  }
  const tsr_tensor_entry *last = &h->entries[h->count - 1];
  FAIL(r, TSR_ERR_MODEL_OFFSETS,
       "the last tensor \"%s\" has data_offsets [%llu, %llu], so the file should have %llu bytes; it has %llu",
       tsr_print_text(last->name, strlen(last->name), name), (unsigned long long)last->begin,
       (unsigned long long)last->end, wants, has);
  return 0;
}

static void start_tensors(tsr_safetensors *r);

static void parse_header(tsr_safetensors *r) {
  tsr_error err = {0}; /* separate, because r->err may hold an older failure */
  const tsr_json *root = tsr_json_parse(&r->arena, &err, r->text, r->text_bytes, "header");
  if (!root) {
    FAIL(r, err.code, "%s", err.message);
    return;
  }
  if (!read_entries(r, root) || !check_total(r)) return;
  tsr_heap_free(r->heap, r->text);
  r->text = NULL;
  r->state = READ_DATA;
  if (r->sink.header) r->status = r->sink.header(r->sink.user, &r->header);
  start_tensors(r);
}

/* ---- the incoming bytes; take_* return how many of the n bytes they used ---- */

static uint64_t header_length(const char *start) {
  uint64_t length = 0;
  for (int i = LENGTH_BYTES; i-- > 0;) length = length << 8 | (unsigned char)start[i];
  return length;
}

/* 1 if the first bytes are ASCII text, possibly after a byte order mark. Fewer than four bytes do not decide it,
 * because the length of a header may look like text: only its upper bytes must be 0. */
static int looks_like_text(const char *start, size_t n) {
  if (n < 4) return 0;
  if (!memcmp(start, "\xef\xbb\xbf", 3)) start += 3, n -= 3;
  for (size_t i = 0; i < n; i++)
    if (!((start[i] >= 0x20 && start[i] < 0x7f) || start[i] == '\t' || start[i] == '\n' || start[i] == '\r')) return 0;
  return 1;
}

static void fail_text(tsr_safetensors *r) {
  char shown[TSR_PRINT_TEXT];
  FAIL(r, TSR_ERR_FETCH_CONTENT_TYPE, "a safetensors file was expected, got text that starts with \"%s\"",
       tsr_print_text(r->start, r->start_got, shown));
}

/* The end of a message that names the file's real format, for formats that users try; else "". */
static const char *other_format(const char *start) {
  if (!memcmp(start, "PK\3\4", 4)) return "; this is a zip archive, as torch.save writes: save it with safetensors";
  if (!memcmp(start, "\x80\2", 2)) return "; this is a Python pickle: save it with safetensors";
  if (!memcmp(start, "\x1f\x8b", 2)) return "; this is gzip data: unpack it";
  if (!memcmp(start, "GGUF", 4)) return "; this is a GGUF file: convert it to safetensors";
  if (!memcmp(start, "\x89HDF", 4)) return "; this is an HDF5 file: save it with safetensors";
  return "";
}

static void start_header(tsr_safetensors *r) {
  uint64_t length = header_length(r->start);
  unsigned long long wants = length, has = r->total;
  if (length > TSR_SAFETENSORS_MAX_HEADER) {
    if (looks_like_text(r->start, LENGTH_BYTES)) {
      r->state = READ_TEXT; /* reads on, to quote more of the text */
      return;
    }
    FAIL(r, TSR_ERR_MODEL_HEADER, "the header's length is %llu bytes, the limit is %d%s", wants,
         TSR_SAFETENSORS_MAX_HEADER, other_format(r->start));
  } else if (length == 0) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "the header's length is 0 bytes; a JSON object is expected");
  } else if (r->total < LENGTH_BYTES || length > r->total - LENGTH_BYTES) {
    FAIL(r, TSR_ERR_MODEL_HEADER, "the header's length is %llu bytes, but the file has %llu%s", wants, has,
         other_format(r->start));
  } else {
    r->text_bytes = (size_t)length;
    r->text = tsr_heap_alloc(r->heap, r->text_bytes);
    if (!r->text) fail_memory(r);
    r->state = READ_HEADER;
  }
}

/* Collects the first bytes of the file in r->start, up to `limit` of them. */
static size_t take_start(tsr_safetensors *r, const char *bytes, size_t n, size_t limit) {
  size_t part = limit - r->start_got < n ? limit - r->start_got : n;
  memcpy(r->start + r->start_got, bytes, part);
  r->start_got += part;
  if (r->start_got < limit) return part;
  if (r->state == READ_LENGTH) start_header(r);
  else fail_text(r);
  return part;
}

static size_t take_header(tsr_safetensors *r, const char *bytes, size_t n) {
  size_t left = r->text_bytes - r->text_got, part = left < n ? left : n;
  memcpy(r->text + r->text_got, bytes, part);
  r->text_got += part;
  if (r->text[0] != '{') {
    char shown[TSR_PRINT_TEXT];
    FAIL(r, TSR_ERR_MODEL_HEADER, "the header must be a JSON object that starts with '{', not with \"%s\"%s",
         tsr_print_text(r->text, 1, shown), other_format(r->start));
  } else if (r->text_got == r->text_bytes) {
    parse_header(r);
  }
  return part;
}

static uint64_t entry_bytes(const tsr_safetensors *r) {
  return r->header.entries[r->at].end - r->header.entries[r->at].begin;
}

/* Passes the next n bytes of the tensor r->at to the sink, unless the sink skips the tensor. */
static void hand_out(tsr_safetensors *r, const void *bytes, size_t n) {
  const tsr_tensor_entry *entry = &r->header.entries[r->at];
  if (r->piece && r->sink.take) r->status = r->sink.take(r->sink.user, entry, r->got, bytes, n);
  r->got += n;
}

/* Starts the next tensor that has bytes, and asks the sink for its piece; empty tensors before it are complete at
 * once. */
static void start_tensors(tsr_safetensors *r) {
  static const alignas(STAGE_ALIGN) char nothing[STAGE_ALIGN];
  while (!r->status && r->at < r->header.count) {
    r->got = 0;
    r->piece = r->sink.piece ? r->sink.piece(r->sink.user, &r->header.entries[r->at]) : SIZE_MAX;
    if (entry_bytes(r)) return;
    hand_out(r, nothing, 0);
    r->at++;
  }
  tsr_heap_free(r->heap, r->stage);
  r->stage = NULL;
  r->stage_bytes = 0;
}

/* Makes the staging buffer hold `bytes`. A smaller buffer is freed first, because its content is not needed. */
static int reserve_stage(tsr_safetensors *r, uint64_t bytes) {
  if (bytes <= r->stage_bytes) return 1;
  tsr_heap_free(r->heap, r->stage);
  r->stage = bytes <= SIZE_MAX ? tsr_heap_alloc(r->heap, (size_t)bytes) : NULL;
  r->stage_bytes = r->stage ? (size_t)bytes : 0;
  if (r->stage) return 1;
  char name[TSR_PRINT_TEXT];
  const char *full = r->header.entries[r->at].name;
  FAIL(r, TSR_ERR_OUT_OF_MEMORY, "out of memory for %llu bytes of tensor \"%s\"", (unsigned long long)bytes,
       tsr_print_text(full, strlen(full), name));
  return 0;
}

static void fail_longer(tsr_safetensors *r) {
  char name[TSR_PRINT_TEXT];
  if (!r->header.count) {
    FAIL(r, TSR_ERR_MODEL_OFFSETS, "the header names no tensors, but bytes follow it");
    return;
  }
  const tsr_tensor_entry *last = &r->header.entries[r->header.count - 1];
  FAIL(r, TSR_ERR_MODEL_OFFSETS, "the last tensor \"%s\" has data_offsets [%llu, %llu], but bytes follow it",
       tsr_print_text(last->name, strlen(last->name), name), (unsigned long long)last->begin,
       (unsigned long long)last->end);
}

static size_t take_data(tsr_safetensors *r, const char *bytes, size_t n) {
  if (r->at == r->header.count) {
    fail_longer(r);
    return n;
  }
  uint64_t left = entry_bytes(r) - r->got, piece = r->piece < left ? r->piece : left;
  size_t element = tsr_dtype_bytes(r->header.entries[r->at].dtype);
  if (!piece || (!r->staged && n >= piece && (uintptr_t)bytes % element == 0)) {
    n = n >= left ? (size_t)left : piece ? n - n % (size_t)piece : n;
    hand_out(r, bytes, n);
  } else {
    if (!r->staged && !reserve_stage(r, piece)) return 0;
    if (n > (size_t)piece - r->staged) n = (size_t)piece - r->staged;
    memcpy(r->stage + r->staged, bytes, n);
    r->staged += n;
    if (r->staged < piece) return n;
    r->staged = 0;
    hand_out(r, r->stage, (size_t)piece);
  }
  if (r->got == entry_bytes(r)) {
    r->at++;
    start_tensors(r);
  }
  return n;
}

/* ---- the interface ---- */

tsr_safetensors *tsr_safetensors_create(tsr_heap *heap, tsr_error *err, tsr_safetensors_sink sink,
                                        uint64_t total_bytes) {
  tsr_safetensors *r = tsr_heap_calloc(heap, 1, sizeof *r);
  if (!r) {
    tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY, "out of memory for the reader of a model file");
    return NULL;
  }
  r->heap = r->arena.heap = heap;
  r->err = err;
  r->sink = sink;
  r->total = total_bytes;
  return r;
}

tsr_status tsr_safetensors_feed(tsr_safetensors *r, const void *bytes, size_t n) {
  for (const char *at = bytes; n && !r->status;) {
    size_t part = r->state == READ_LENGTH   ? take_start(r, at, n, LENGTH_BYTES)
                  : r->state == READ_TEXT   ? take_start(r, at, n, START_BYTES)
                  : r->state == READ_HEADER ? take_header(r, at, n)
                                            : take_data(r, at, n);
    at += part;
    n -= part;
  }
  return r->status;
}

tsr_status tsr_safetensors_finish(tsr_safetensors *r) {
  const tsr_status cut = TSR_ERR_FETCH_TRUNCATED;
  if (r->status) return r->status;
  if (r->state == READ_TEXT || (r->state == READ_LENGTH && looks_like_text(r->start, r->start_got))) {
    fail_text(r);
  } else if (r->state == READ_LENGTH) {
    FAIL(r, cut, "the file ends after %zu bytes, before its header; expected at least %d", r->start_got, LENGTH_BYTES);
  } else if (r->state == READ_HEADER) {
    FAIL(r, cut, "the file ends inside its header: %zu of %zu bytes came", r->text_got, r->text_bytes);
  } else if (r->at < r->header.count) {
    char name[TSR_PRINT_TEXT];
    const tsr_tensor_entry *entry = &r->header.entries[r->at];
    uint64_t got = r->got + r->staged;
    FAIL(r, cut, "the file ends inside tensor \"%s\": %llu of its %llu bytes came, %llu of %llu in all",
         tsr_print_text(entry->name, strlen(entry->name), name), (unsigned long long)got,
         (unsigned long long)entry_bytes(r), (unsigned long long)(entry->begin + got),
         (unsigned long long)r->header.data_bytes);
  }
  return r->status;
}

void tsr_safetensors_destroy(tsr_safetensors *r) {
  if (!r) return;
  tsr_heap_free(r->heap, r->stage);
  tsr_heap_free(r->heap, r->text);
  tsr_arena_free(&r->arena);
  tsr_heap_free(r->heap, r);
}
