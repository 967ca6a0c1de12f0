/* A strict JSON reader (RFC 8259) for hostile input: model headers and their config. Not a general library:
 * numbers are doubles, the tree lives in an arena, nothing is modified in place.
 *
 *   const tsr_json *root = tsr_json_parse(&arena, &err, text, length, "header");
 *   const tsr_json *arch = tsr_json_get(root, "arch");
 */
#ifndef TSR_FILES_JSON_H
#define TSR_FILES_JSON_H

#include "base/arena.h"
#include "base/status.h"

typedef enum tsr_json_kind {
  TSR_JSON_NULL, TSR_JSON_FALSE, TSR_JSON_TRUE, TSR_JSON_NUMBER, TSR_JSON_STRING, TSR_JSON_ARRAY, TSR_JSON_OBJECT
} tsr_json_kind;

typedef struct tsr_json tsr_json;
struct tsr_json {
  tsr_json_kind kind;
  int count;             /* members or items */
  const char *key;       /* the member's name, unescaped; NULL outside objects */
  const char *string;    /* STRING: unescaped UTF-8, zero-terminated */
  size_t length;         /* STRING: bytes before that zero; an escaped NUL inside a key or string is refused */
  double number;         /* NUMBER */
  size_t begin, end;     /* where the value stands in the text: bytes [begin, end) */
  const tsr_json *child; /* first member or item */
  const tsr_json *next;  /* next sibling */
};

/* A value takes 48 bytes in wasm and may be written in two ("0,"): the limit on values keeps the tree under 50 MB
 * there. A tensor's entry has nine values, so it is far above what a header of 8 MB holds in practice. */
enum { TSR_JSON_MAX_DEPTH = 64, TSR_JSON_MAX_VALUES = 1 << 20 };

/* Parses exactly one value (white space around it allowed). `what` names the text in messages.
 * NULL and the error: TSR_ERR_MODEL_HEADER (not JSON: says what was expected at which byte; nested deeper than
 * TSR_JSON_MAX_DEPTH; more than TSR_JSON_MAX_VALUES values; a number beyond double; invalid UTF-8 or escape),
 * TSR_ERR_MODEL_DUPLICATE_KEY (compared after unescaping; names the key), TSR_ERR_OUT_OF_MEMORY. Duplicate checking is
 * not quadratic in the number of members. The tree does not refer to `text`, which may be freed. */
const tsr_json *tsr_json_parse(tsr_arena *arena, tsr_error *err, const char *text, size_t length, const char *what);

/* The member `key` of an object; NULL if there is none or `object` is NULL or no object. */
const tsr_json *tsr_json_get(const tsr_json *object, const char *key);

/* The value as an integer into *out; 0 if it is no number, has a fraction, or lies outside [lo, hi]. */
int tsr_json_int(const tsr_json *value, int64_t lo, int64_t hi, int64_t *out);

enum { TSR_PRINT_TEXT = 100 };
/* `length` bytes of text from a file (any bytes) into out[TSR_PRINT_TEXT], fit for a message: invalid UTF-8, control
 * and invisible characters and those that turn the writing direction become '?', a long text is cut and ends in "...".
 * Returns out. */
const char *tsr_print_text(const char *text, size_t length, char out[TSR_PRINT_TEXT]);

/* Sorts pointers in place: O(n log n) on any input, no allocation; libc's qsort promises neither. Not stable: let
 * `compare` (as for qsort, but given the pointers themselves) break ties. */
void tsr_sort_pointers(const void **items, size_t count, int (*compare)(const void *a, const void *b));

#endif
