/* The safetensors reader against the safetensors library (test/golden/safetensors,
 * scripts/parity/golden_safetensors.py): good files in chunks of any size, bad ones with the code and the place that
 * the message names, exhausted memory, damaged bytes. Alone, from the repository's root:
 *   gcc -std=c11 -g -fsanitize=address,undefined -Isrc test/c/test_safetensors.c src/files/safetensors.c
 *   src/files/json.c \
 *     src/base/tensor.c src/base/arena.c src/base/status.c -lm -o t && ./t */
#include <stdlib.h>

#include "check.h"
#include "golden.h"
#include "files/safetensors.h"

#define GOLDEN "test/golden/safetensors"

static tsr_heap heap;
static tsr_error err;

/* ---- a sink that checks the contract and keeps checksums ---- */

enum { MOST_TENSORS = 64 };

typedef struct seen {
  const tsr_safetensors_header *header;
  int headers, wanted, tensors;
  uint32_t crc[MOST_TENSORS];   /* of the tensors handed out, by their index */
  uint64_t bytes[MOST_TENSORS]; /* ... and how many of their bytes came */
  int got[MOST_TENSORS];
  int only;     /* >= 0: the one tensor that is wanted */
  int elements; /* of a piece; 0: tensors are wanted whole */
  tsr_status header_fails, tensor_fails;
  int check_contract;
} seen;

/* CRC-32 as zlib computes it, of `n` bytes that follow those of `crc`. */
static uint32_t crc32_of(uint32_t crc, const unsigned char *bytes, size_t n) {
  crc = ~crc;
  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static tsr_status on_header(void *user, const tsr_safetensors_header *header) {
  seen *s = user;
  CHECK(s->headers++ == 0 && s->tensors == 0 && s->wanted == 0);
  s->header = header;
  return s->header_fails ? tsr_error_set(&err, s->header_fails, "the header's sink says no") : TSR_OK;
}

static size_t piece_of(const seen *s, const tsr_tensor_entry *entry) {
  return s->elements ? (size_t)s->elements * tsr_dtype_bytes(entry->dtype) : SIZE_MAX;
}

static size_t on_piece(void *user, const tsr_tensor_entry *entry) {
  seen *s = user;
  int index = (int)(entry - s->header->entries);
  if (s->check_contract) CHECK_INT(index, s->wanted); /* once each, in order */
  s->wanted++;
  return s->only < 0 || s->only == index ? piece_of(s, entry) : 0;
}

static tsr_status on_take(void *user, const tsr_tensor_entry *entry, uint64_t first, const void *bytes, size_t n) {
  seen *s = user;
  int index = (int)(entry - s->header->entries), known = index < MOST_TENSORS;
  uint64_t size = entry->end - entry->begin;
  if (s->check_contract) {
    CHECK(bytes && (uintptr_t)bytes % tsr_dtype_bytes(entry->dtype) == 0 && known && s->wanted == index + 1);
    CHECK(n % piece_of(s, entry) == 0 || first + n == size); /* whole pieces, or the end */
    CHECK(n || !size);
  }
  if (known && CHECK(first == s->bytes[index])) {
    s->crc[index] = crc32_of(s->crc[index], bytes, n); /* reads it all, for the sanitizer */
    s->bytes[index] += n;
  }
  if (first + n == size) {
    if (known) s->got[index]++;
    s->tensors++;
  }
  return s->tensor_fails ? tsr_error_set(&err, s->tensor_fails, "the tensors' sink says no") : TSR_OK;
}

/* ---- feeding ---- */

enum { WHOLE, BYTEWISE, RANDOM, WAYS };

static tsr_safetensors *open_reader(seen *s, uint64_t total) {
  tsr_error_clear(&err);
  tsr_safetensors_sink sink = {s, on_header, on_piece, on_take};
  return tsr_safetensors_create(&heap, &err, sink, total);
}

/* Feeds all bytes in one way of cutting, and finishes. Chunks are exact copies, at addresses of any alignment. */
static tsr_status feed_all(tsr_safetensors *r, const char *bytes, size_t n, int way, uint64_t *seed) {
  tsr_status status = TSR_OK;
  for (size_t at = 0; at < n;) {
    uint64_t dice = check_random(seed);
    size_t part = way == WHOLE ? n : way == BYTEWISE ? 1 : dice % (dice >> 32 & 1 ? 300 : 9);
    size_t shift = way == RANDOM ? dice >> 40 & 63 : 0;
    if (part > n - at) part = n - at;
    char *chunk = malloc(shift + part + 1);
    memcpy(chunk + shift, bytes + at, part);
    tsr_status now = tsr_safetensors_feed(r, chunk + shift, part);
    free(chunk);
    if (status) CHECK_INT(now, status); /* a failure stays */
    status = now;
    at += part;
  }
  tsr_status end = tsr_safetensors_finish(r);
  if (status) CHECK_INT(end, status);
  CHECK_INT(tsr_safetensors_finish(r), end);
  return end;
}

/* Reads a file in one way; everything is given back whatever happens. The tree in s->header is gone afterwards. */
static tsr_status read_file(const char *bytes, size_t n, uint64_t total, int way, uint64_t seed, seen *s) {
  size_t before = heap.in_use;
  tsr_safetensors *r = open_reader(s, total);
  if (!r) return err.code;
  tsr_status status = feed_all(r, bytes, n, way, &seed);
  tsr_safetensors_destroy(r);
  CHECK_INT(heap.in_use, before);
  CHECK_INT(err.code, status);
  return status;
}

/* ---- good files ---- */

typedef struct golden_tensor {
  char *name;
  size_t name_bytes;
  char dtype[16], dims[64];
  uint64_t begin, end;
  uint32_t crc;
} golden_tensor;

typedef struct golden_file {
  char *name;
  char *keys[4], *values[4];
  golden_tensor tensors[MOST_TENSORS];
  int metas, count;
  uint64_t data_bytes;
} golden_file;

static void check_header(const tsr_safetensors_header *header, const golden_file *file) {
  CHECK_INT(header->count, file->count);
  CHECK_INT(header->data_bytes, file->data_bytes);
  CHECK_INT(header->metadata ? header->metadata->count : 0, file->metas);
  for (int i = 0; i < file->metas; i++) {
    const tsr_json *value = tsr_json_get(header->metadata, file->keys[i]);
    CHECK_TEXT(value ? value->string : NULL, file->values[i]);
  }
  for (int i = 0; i < file->count && i < header->count; i++) {
    const tsr_tensor_entry *e = &header->entries[i];
    const golden_tensor *g = &file->tensors[i];
    char dims[64] = "-", *at = dims;
    for (int d = 0; d < e->shape.ndim; d++) at += sprintf(at, d ? "x%d" : "%d", e->shape.dims[d]);
    CHECK_TEXT(e->name, g->name);
    CHECK_TEXT(tsr_dtype_name(e->dtype), g->dtype);
    CHECK_TEXT(dims, g->dims);
    CHECK_INT(e->begin, g->begin);
    CHECK_INT(e->end, g->end);
  }
}

static void test_good_file(const golden_file *file) {
  char name[64];
  size_t n, before = heap.in_use;
  sprintf(name, "good/%s.safetensors", file->name);
  char *bytes = golden_read(GOLDEN, name, &n);
  for (int way = 0; way < WAYS; way++)
    for (int round = 0; round < (way == RANDOM ? 64 : 16); round++) {
      uint64_t seed = (uint64_t)round;
      seen s = {.only = -1, .elements = round / 2 % 8, .check_contract = 1};
      tsr_safetensors *r = open_reader(&s, round % 2 ? n : UINT64_MAX);
      int failed = check_failed;
      CHECK_INT(feed_all(r, bytes, n, way, &seed), TSR_OK);
      CHECK_INT(s.headers, 1);
      CHECK_INT(s.tensors, file->count);
      CHECK_INT(s.wanted, file->count);
      if (s.header) check_header(s.header, file); /* valid until destroy */
      for (int i = 0; i < file->count; i++) {
        CHECK_INT(s.got[i], 1);
        CHECK_INT(s.crc[i], file->tensors[i].crc);
      }
      tsr_safetensors_destroy(r);
      CHECK_INT(heap.in_use, before);
      if (check_failed > failed) printf("  in good/%s, way %d, round %d: %s\n", file->name, way, round, err.message);
    }
  for (int only = 0; only < file->count; only++) { /* skipping all the others */
    seen s = {.only = only, .check_contract = 1};
    CHECK_INT(read_file(bytes, n, n, RANDOM, 3, &s), TSR_OK);
    CHECK_INT(s.tensors, 1);
    CHECK_INT(s.crc[only], file->tensors[only].crc);
  }
  free(bytes);
}

static void test_good_files(void) {
  char *lines = golden_read(GOLDEN, "expected.txt", NULL), *rest = lines;
  golden_file file = {0};
  int files = 0;
  while (1) {
    char *kind = *rest ? golden_field(&rest) : "file";
    if (!strcmp(kind, "file")) {
      if (file.name) test_good_file(&file), files++;
      if (!*rest) break;
      file = (golden_file){.name = golden_field(&rest)};
      int count = atoi(golden_field(&rest));
      CHECK(count <= MOST_TENSORS);
      file.data_bytes = strtoull(golden_field(&rest), NULL, 10);
    } else if (!strcmp(kind, "meta")) {
      golden_unhex(file.keys[file.metas] = golden_field(&rest));
      golden_unhex(file.values[file.metas++] = golden_field(&rest));
    } else {
      golden_tensor *g = &file.tensors[file.count++];
      snprintf(g->dtype, sizeof g->dtype, "%s", golden_field(&rest));
      snprintf(g->dims, sizeof g->dims, "%s", golden_field(&rest));
      g->begin = strtoull(golden_field(&rest), NULL, 10);
      g->end = strtoull(golden_field(&rest), NULL, 10);
      g->crc = (uint32_t)strtoul(golden_field(&rest), NULL, 16);
      golden_unhex(g->name = golden_field(&rest));
    }
  }
  CHECK(files >= 10);
  free(lines);
}

/* ---- bad files ---- */

#include "safetensors_cases.inc"

enum { BAD_COUNT = sizeof bad_cases / sizeof *bad_cases };

/* Every way of cutting, with the length known and unknown, gives the same code and message; with a known length only
 * files whose length is what is wrong may be refused earlier, with MODEL_OFFSETS or MODEL_HEADER. */
static void test_bad_file(const bad_case *bad) {
  char name[64];
  size_t n;
  sprintf(name, "bad/%s.safetensors", bad->name);
  char *bytes = golden_read(GOLDEN, name, &n);
  for (int way = 0; way < WAYS; way++)
    for (int round = 0; round < (way == RANDOM ? 20 : 2); round++) {
      seen s = {.only = -1, .check_contract = 1};
      int known = round % 2, failed = check_failed;
      const char *code = known && bad->known_code ? bad->known_code : bad->code;
      const char *message = known && bad->known_code ? bad->known_message : bad->message;
      CHECK(read_file(bytes, n, known ? n : UINT64_MAX, way, (uint64_t)round, &s) != TSR_OK);
      CHECK_TEXT(tsr_status_name(err.code), code);
      CHECK_TEXT(err.message, message);
      if (check_failed > failed) printf("  in bad/%s, way %d, length known: %d\n", bad->name, way, known);
    }
  free(bytes);
}

static void test_bad_files(void) {
  char *lines = golden_read(GOLDEN, "bad.txt", NULL), *rest = lines;
  int files = 0, stricter = 0;
  while (*rest) {
    int accepted = !strcmp(golden_field(&rest), "accepts");
    char *name = golden_field(&rest);
    const bad_case *bad = bad_cases;
    while (bad < bad_cases + BAD_COUNT && strcmp(bad->name, name)) bad++;
    if (!CHECK(bad < bad_cases + BAD_COUNT)) {
      printf("  bad/%s has no row in safetensors_cases.inc\n", name);
      continue;
    }
    CHECK_INT(accepted, bad->stricter); /* where we refuse what the library takes, the row says so */
    test_bad_file(bad);
    files++;
    stricter += accepted;
  }
  CHECK_INT(files, BAD_COUNT);
  CHECK_INT(stricter, 13);
  free(lines);
}

/* ---- files made here ---- */

/* A file of one header text and zeros behind it, as malloc'ed memory. */
static char *make_file(const char *header, size_t data_bytes, size_t *n) {
  size_t length = strlen(header);
  char *bytes = calloc(1, 8 + length + data_bytes + 1);
  for (int i = 0; i < 8; i++) bytes[i] = (char)((uint64_t)length >> 8 * i);
  memcpy(bytes + 8, header, length);
  *n = 8 + length + data_bytes;
  return bytes;
}

/* Every prefix of a good file is refused as cut, and says what is missing. */
static void test_every_cut(void) {
  size_t n;
  char *bytes = golden_read(GOLDEN, "good/f32.safetensors", &n);
  for (size_t cut = 0; cut < n; cut++) {
    seen s = {.only = -1};
    CHECK_INT(read_file(bytes, cut, UINT64_MAX, WHOLE, 0, &s), TSR_ERR_FETCH_TRUNCATED);
    CHECK_HAS(err.message, "the file ends");
  }
  CHECK_TEXT(err.message,
             "the file ends inside tensor \"transformer.layers.0.0.to_qkv.weight\": "
             "767 of its 768 bytes came, 939 of 940 in all");
  seen s = {.only = -1};
  CHECK_INT(read_file(bytes, n, n + 1, WHOLE, 0, &s), TSR_ERR_MODEL_OFFSETS); /* announced longer than it is */
  CHECK(s.headers == 0 && s.tensors == 0);                                    /* told before anything is handed out */
  free(bytes);
}

static void test_long_names(void) {
  char header[2100], name[1001];
  size_t n;
  memset(name, 'n', 1000);
  name[1000] = 0;
  sprintf(header, "{\"%s\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,4]}}", name, name);
  char *bytes = make_file(header, 4, &n);
  seen s = {.only = -1};
  CHECK_INT(read_file(bytes, n, n, WHOLE, 0, &s), TSR_ERR_MODEL_DTYPE);
  CHECK_HAS(err.message, "nnn...\" has dtype \"nnn");
  CHECK_HAS(err.message, "nnn...; known are BOOL U8 I8 F8_E5M2 F8_E4M3 I16 U16 F16 BF16 I32 U32 F32 F64 I64 U64");
  free(bytes);
}

/* A header may be 8 MB, not a byte more; a length beyond the file is told before memory is taken for it. */
static void test_header_limit(void) {
  size_t limit = TSR_SAFETENSORS_MAX_HEADER, n;
  char *header = malloc(limit + 2);
  memset(header, ' ', limit + 1);
  memcpy(header, "{}", 2);
  header[limit] = 0;
  char *bytes = make_file(header, 0, &n);
  seen s = {.only = -1};
  CHECK_INT(read_file(bytes, n, n, WHOLE, 0, &s), TSR_OK);
  heap.peak = 0;
  CHECK_INT(read_file(bytes, 8, 100, WHOLE, 0, &s), TSR_ERR_MODEL_HEADER);
  CHECK_TEXT(err.message, "the header's length is 8388608 bytes, but the file has 100");
  CHECK(heap.peak < 4096);
  free(bytes);
  header[limit] = ' ';
  header[limit + 1] = 0;
  bytes = make_file(header, 0, &n);
  CHECK_INT(read_file(bytes, n, n, WHOLE, 0, &s), TSR_ERR_MODEL_HEADER);
  CHECK_TEXT(err.message, "the header's length is 8388609 bytes, the limit is 8388608");
  free(bytes);
  free(header);
}

/* Aligned pieces that lie whole in a chunk are lent, not copied; all others share one buffer, which ends with them. */
static void test_staging(void) {
  const char *header =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4096],\"data_offsets\":[0,16384]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[8192],\"data_offsets\":[16384,49152]},"
      "\"c\":{\"dtype\":\"F32\",\"shape\":[64],\"data_offsets\":[49152,49408]}}";
  size_t n;
  char *bytes = make_file(header, 49408, &n);
  size_t start = n - 49408;
  char *data = aligned_alloc(64, 49408);
  memcpy(data, bytes + start, 49408);
  /* aligned, not aligned, cut up, cut up but not wanted; cut up and wanted in pieces that do not fit the cuts, that
   * do */
  static const struct {
    int only, elements, expected;
  } ways[] = {{-1, 0, 0}, {-1, 0, 8192 * 4}, {-1, 0, 8192 * 4}, {99, 0, 0}, {-1, 24, 24 * 4}, {-1, 8, 0}};
  for (int way = 0; way < 6; way++) {
    seen s = {.only = ways[way].only, .elements = ways[way].elements, .check_contract = 1};
    tsr_safetensors *r = open_reader(&s, n);
    tsr_safetensors_feed(r, bytes, start);
    size_t parsed = heap.in_use;
    heap.peak = parsed;
    heap.fail_after = 3; /* two allocations at most: the third tensor fits where the second was */
    if (way == 0) tsr_safetensors_feed(r, data, 49408);
    else if (way == 1) tsr_safetensors_feed(r, (uintptr_t)(bytes + start) % 4 ? bytes + start : NULL, 49408);
    else
      for (size_t i = 0; i < 49408; i += 32) tsr_safetensors_feed(r, data + i, 32);
    heap.fail_after = 0;
    CHECK_INT(tsr_safetensors_finish(r), TSR_OK);
    CHECK_INT(s.tensors, s.only < 0 ? 3 : 0);
    CHECK_INT(heap.peak - parsed, ways[way].expected); /* the largest piece, not the sum */
    CHECK_INT(heap.in_use, parsed);
    tsr_safetensors_destroy(r);
  }
  free(data);
  free(bytes);
}

/* What the sink returns ends the reading and is what every later call returns. */
static void test_sink_failures(void) {
  size_t n;
  char *bytes = golden_read(GOLDEN, "good/shapes.safetensors", &n);
  for (int way = 0; way < WAYS; way++) {
    seen s = {.only = -1, .header_fails = TSR_ERR_CONFIG};
    CHECK_INT(read_file(bytes, n, n, way, 0, &s), TSR_ERR_CONFIG);
    CHECK(s.headers == 1 && s.tensors == 0 && s.wanted == 0);
    s = (seen){.only = -1, .tensor_fails = TSR_ERR_MODEL_TENSOR_SHAPE};
    CHECK_INT(read_file(bytes, n, n, way, 0, &s), TSR_ERR_MODEL_TENSOR_SHAPE);
    CHECK_INT(s.tensors, 1);
  }
  tsr_error_clear(&err);
  tsr_safetensors *r = tsr_safetensors_create(&heap, &err, (tsr_safetensors_sink){0}, n); /* no callbacks at all */
  CHECK_INT(tsr_safetensors_feed(r, bytes, n), TSR_OK);
  CHECK_INT(tsr_safetensors_finish(r), TSR_OK);
  tsr_safetensors_destroy(r);
  tsr_safetensors_destroy(NULL);
  r = tsr_safetensors_create(&heap, NULL, (tsr_safetensors_sink){0}, n + 1); /* no place for messages: the code alone */
  CHECK_INT(tsr_safetensors_feed(r, bytes, n - 1), TSR_ERR_MODEL_OFFSETS);
  CHECK_INT(tsr_safetensors_feed(r, bytes, 1), TSR_ERR_MODEL_OFFSETS);
  CHECK_INT(tsr_safetensors_finish(r), TSR_ERR_MODEL_OFFSETS);
  tsr_safetensors_destroy(r);
  free(bytes);
  CHECK_INT(heap.in_use, 0);
}

static void test_out_of_memory(void) {
  size_t n;
  char *bytes = golden_read(GOLDEN, "good/names.safetensors", &n);
  int failures = 0;
  for (int way = 0; way < WAYS; way++)
    for (long after = 1;; after++) {
      seen s = {.only = -1};
      heap.fail_after = after;
      tsr_status status = read_file(bytes, n, UINT64_MAX, way, 7, &s);
      heap.fail_after = 0;
      if (status == TSR_OK) break;
      CHECK_INT(status, TSR_ERR_OUT_OF_MEMORY);
      CHECK_HAS(err.message, "out of memory");
      CHECK_INT(heap.in_use, 0);
      failures++;
      if (!CHECK(after < 1000)) break;
    }
  CHECK(failures >= 6 * WAYS);
  free(bytes);
  const char *huge = "{\"w\":{\"dtype\":\"F64\",\"shape\":[2147483647],\"data_offsets\":[0,17179869176]}}";
  bytes = make_file(huge, 16, &n);
  heap.limit = 1 << 20;
  seen s = {.only = -1};
  CHECK_INT(read_file(bytes, n, UINT64_MAX, WHOLE, 0, &s), TSR_ERR_OUT_OF_MEMORY);
  CHECK_TEXT(err.message, "out of memory for 17179869176 bytes of tensor \"w\"");
  heap.limit = 0;
  free(bytes);
}

/* Seeded damage to good files: whatever it does to the header, the reader ends with an answer and gives all back. */
static void test_mutations(void) {
  static const char *const names[] = {"good/dtypes.safetensors", "good/shapes.safetensors", "good/by_hand.safetensors",
                                      "good/names.safetensors"};
  uint64_t seed = 42;
  int refused = 0;
  for (int file = 0; file < 4; file++) {
    size_t n;
    char *bytes = golden_read(GOLDEN, names[file], &n), *changed = malloc(n);
    for (int round = 0; round < 750; round++) {
      memcpy(changed, bytes, n);
      for (int i = 0; i <= round % 4; i++) {
        uint64_t dice = check_random(&seed);
        size_t at = dice >> 63 ? dice % n : dice % (n < 400 ? n : 400);
        changed[at] = dice >> 61 & 1 ? "\"\\{}[],:0129e.-F"[dice >> 32 & 15] : (char)(dice >> 40);
      }
      seen s = {.only = -1};
      refused += read_file(changed, n, round % 2 ? n : UINT64_MAX, round % WAYS, seed, &s) != TSR_OK;
      CHECK(err.code == TSR_OK || strlen(err.message) > 10);
    }
    free(changed);
    free(bytes);
  }
  CHECK(refused > 1500 && refused < 3000); /* most damage is seen; damage to tensor bytes cannot be */
  CHECK_INT(heap.in_use, 0);
}

int main(void) {
  test_good_files();
  test_bad_files();
  test_every_cut();
  test_long_names();
  test_header_limit();
  test_staging();
  test_sink_failures();
  test_out_of_memory();
  test_mutations();
  return check_done("safetensors");
}
