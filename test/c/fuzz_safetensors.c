/* Fuzzes the streaming reader: each input is a whole file, read three times: at once, in chunks, and with memory that
 * runs out. No crash, no leak, and the same code, message and tensors however it is cut. How it is cut comes from a
 * hash of the input, so that the golden files are seeds as they are. For a minute, from the repository's root:
 *   make fuzz FUZZERS=build/native/fuzz_safetensors FUZZ_SECONDS=60 */
#include <stdlib.h>
#include <string.h>

#include "files/safetensors.h"

typedef struct walk {
  const tsr_safetensors_header *header;
  int next;
  uint64_t got; /* bytes of the tensor that is arriving */
  unsigned sum;
} walk;

static tsr_status on_header(void *user, const tsr_safetensors_header *header) {
  walk *w = user;
  if (w->header) abort();
  w->header = header;
  uint64_t at = 0;
  for (int i = 0; i < header->count; i++) {
    const tsr_tensor_entry *e = &header->entries[i];
    if (e->begin != at || e->end < at || !e->name) abort();
    if (e->end - e->begin != tsr_shape_count(&e->shape, NULL) * tsr_dtype_bytes(e->dtype)) abort();
    at = e->end;
  }
  if (at != header->data_bytes) abort();
  return TSR_OK;
}

static size_t on_piece(void *user, const tsr_tensor_entry *entry) {
  walk *w = user;
  if (entry != &w->header->entries[w->next++]) abort();
  w->got = 0;
  return w->next % 3 == 0 ? 0 : w->next % 3 == 1 ? SIZE_MAX : (size_t)w->next * tsr_dtype_bytes(entry->dtype);
}

static tsr_status on_take(void *user, const tsr_tensor_entry *entry, uint64_t first, const void *bytes, size_t n) {
  walk *w = user;
  size_t element = tsr_dtype_bytes(entry->dtype);
  uint64_t size = entry->end - entry->begin;
  if ((uintptr_t)bytes % element || entry != &w->header->entries[w->next - 1] || first != w->got) abort();
  if (n > size - first || (w->next % 3 == 1 && n != size)) abort();
  if (w->next % 3 == 2 && n % ((size_t)w->next * element) && first + n != size) abort();
  for (size_t i = 0; i < n; i++) w->sum = w->sum * 31 + ((const uint8_t *)bytes)[i];
  w->got += n;
  return TSR_OK;
}

/* Reads the file in chunks of 1 to `most` bytes (0: whole) into *err; returns the checksum of what was handed out. */
static unsigned read_all(const uint8_t *data, size_t size, unsigned most, int known, long fail_after, tsr_error *err) {
  tsr_heap heap = {.limit = (size_t)64 << 20, .fail_after = fail_after};
  walk w = {0};
  unsigned dice = most;
  tsr_safetensors_sink sink = {&w, on_header, on_piece, on_take};
  tsr_safetensors *r = tsr_safetensors_create(&heap, err, sink, known ? size : UINT64_MAX);
  if (!r) return 0;
  for (size_t at = 0; at < size;) {
    dice = dice * 1103515245u + 12345u;
    size_t part = most ? 1 + (dice >> 16) % most : size;
    if (part > size - at) part = size - at;
    uint8_t *chunk = malloc(part);
    memcpy(chunk, data + at, part);
    tsr_safetensors_feed(r, chunk, part);
    free(chunk);
    at += part;
  }
  if (tsr_safetensors_finish(r) != err->code) abort();
  tsr_safetensors_destroy(r);
  if (heap.in_use) abort();
  return w.sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 16777619u;
  unsigned most = 1 + (hash >> 8) % (hash & 1 ? 8 : 200);
  int known = hash >> 1 & 1;
  long fail_after = 1 + (long)(hash >> 24) % 12;
  tsr_error whole = {0}, cut = {0}, starved = {0};
  unsigned sum = read_all(data, size, 0, known, 0, &whole);
  if (sum != read_all(data, size, most, known, 0, &cut)) abort();
  if (whole.code != cut.code || strcmp(whole.message, cut.message)) abort();
  read_all(data, size, most, known, fail_after, &starved);
  if (starved.code != whole.code && starved.code != TSR_ERR_OUT_OF_MEMORY) abort();
  return 0;
}
