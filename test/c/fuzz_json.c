/* Fuzzes the JSON reader: no crash, no leak, no read past the text, and a tree that keeps the promises of json.h. For a
 * minute, from the repository's root:
 *   make fuzz FUZZERS=build/native/fuzz_json FUZZ_SECONDS=60 */
#include <stdlib.h>
#include <string.h>

#include "files/json.h"

/* Aborts where the tree breaks a promise of json.h. */
static int check_tree(const tsr_json *value, size_t length, int depth) {
  int count = 0;
  if (depth > TSR_JSON_MAX_DEPTH + 1 || value->begin >= value->end || value->end > length) abort();
  if (value->kind == TSR_JSON_STRING && strlen(value->string) != value->length) abort();
  if (value->kind == TSR_JSON_NUMBER && !(value->number - value->number == 0)) abort(); /* infinite or NaN */
  for (const tsr_json *child = value->child; child; child = child->next, count++) {
    if ((value->kind == TSR_JSON_OBJECT) != (child->key != NULL)) abort();
    /* Only the first member of a name can be found, so a duplicate shows. */
    if (child->key && tsr_json_get(value, child->key) != child) abort();
    check_tree(child, length, depth + 1);
  }
  if (count != value->count) abort();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* The golden files have eight bytes before their JSON; skipping them here makes them useful seeds. */
  size_t skip = size > 8 && data[7] == 0 ? 8 : 0, length = size - skip;
  char *text = malloc(length ? length : 1);
  if (length) memcpy(text, data + skip, length);
  tsr_heap heap = {.limit = (size_t)64 << 20};
  tsr_arena arena = {.heap = &heap};
  tsr_error err = {0};
  const tsr_json *root = tsr_json_parse(&arena, &err, text, length, "text");
  free(text); /* the tree must not need it */
  if (!root != (err.code != TSR_OK)) abort();
  if (root) check_tree(root, length, 0);
  tsr_arena_free(&arena);
  if (heap.in_use) abort();
  return 0;
}
