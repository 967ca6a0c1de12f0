/* A strict JSON reader (RFC 8259) for untrusted input: model headers, configs and requests. It is not a
 * general library: numbers are doubles, the tree lies in an arena, and nothing is modified in place.
 *
 *   const tsr_json *root = tsr_json_parse(&arena, &err, text, length, "header");
 *   const tsr_json *arch = tsr_json_get(root, "arch");
 */
#ifndef TSR_FILES_JSON_H
#define TSR_FILES_JSON_H

#include "base/arena.h"
#include "base/status.h"

typedef enum tsr_json_kind {
  TSR_JSON_NULL,
  TSR_JSON_FALSE,
  TSR_JSON_TRUE,
  TSR_JSON_NUMBER,
  TSR_JSON_STRING,
  TSR_JSON_ARRAY,
  TSR_JSON_OBJECT
} tsr_json_kind;

typedef struct tsr_json tsr_json;
struct tsr_json {
  tsr_json_kind kind;
  int count;             /* members or items */
  const char *key;       /* the member's name, unescaped; NULL outside objects */
  const char *string;    /* STRING: unescaped UTF-8, zero-terminated */
  size_t length;         /* STRING: bytes before that zero; a key or string with an escaped NUL is refused */
  double number;         /* NUMBER */
  size_t begin, end;     /* the value's place in the text: bytes [begin, end) */
  const tsr_json *child; /* first member or item */
  const tsr_json *next;  /* next sibling */
};

/* A value takes 48 bytes of memory in wasm and as few as two bytes of text ("0,"), so the limit on values keeps the
 * tree below 50 MB there. A tensor's entry has nine values, so real headers of 8 MB are far below the limit. */
enum { TSR_JSON_MAX_DEPTH = 64, TSR_JSON_MAX_VALUES = 1 << 20 };

/* Parses exactly one value, with white space around it allowed. `what` names the text in messages. The tree lies in the
 * arena and does not refer to `text`, which may be freed. Finding duplicate keys takes O(n log n) for n members.
 * NULL and the error: TSR_ERR_MODEL_HEADER (not JSON: the message says what was expected at which byte; nested deeper
 * than TSR_JSON_MAX_DEPTH; more than TSR_JSON_MAX_VALUES values; a number too large for a double; invalid UTF-8 or
 * escape), TSR_ERR_MODEL_DUPLICATE_KEY (compared after unescaping; the message names the key),
 * TSR_ERR_OUT_OF_MEMORY. */
const tsr_json *tsr_json_parse(tsr_arena *arena, tsr_error *err, const char *text, size_t length, const char *what);

/* The member `key` of an object. NULL: there is none, or `object` is NULL or not an object. */
const tsr_json *tsr_json_get(const tsr_json *object, const char *key);

/* Writes the value as an integer to *out and returns 1. Returns 0 if it is NULL, not a number, not a whole number, or
 * outside [lo, hi]. */
int tsr_json_int(const tsr_json *value, int64_t lo, int64_t hi, int64_t *out);

enum { TSR_PRINT_TEXT = 100 };
/* Copies `length` bytes of untrusted text into `out`, safe to print in a message, and returns `out`. Invalid UTF-8,
 * control characters, invisible characters and those that change the writing direction become '?'. A long text is cut
 * and ends in "...". */
const char *tsr_print_text(const char *text, size_t length, char out[TSR_PRINT_TEXT]);

/* Sorts pointers in place, in O(n log n) for any input and without allocation, neither of which libc's qsort promises.
 * `compare` is as for qsort, but gets the pointers themselves. The sort is not stable, so `compare` should break
 * ties. */
void tsr_sort_pointers(const void **items, size_t count, int (*compare)(const void *a, const void *b));

#endif
