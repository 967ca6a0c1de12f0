/* The JSON reader; see json.h. Recursive descent, with one function for each rule of RFC 8259.
 *
 * For untrusted input: TSR_JSON_MAX_DEPTH bounds the recursion; sorting finds duplicate keys in O(n log n) for any
 * keys; numbers are converted without the locale, whose decimal point may be a comma. */
#include "json.h"

#include <math.h>
#include <string.h>

#include "base/decimal.h"

typedef struct json_parser {
  tsr_arena *arena;
  tsr_error *err;
  const char *text;
  size_t length, at;
  const char *what;
  int depth;
  int values;
} json_parser;

/* ---- text ---- */

/* Bytes of the UTF-8 sequence at `s` (1..4) and its code point; 0 where it is invalid (overlong, surrogate, cut). */
static size_t utf8_decode(const char *s, size_t length, uint32_t *code) {
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned char lead = (unsigned char)s[0];
  if (lead < 0x80) {
    *code = lead;
    return 1;
  }
  size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || size > length) return 0;
  uint32_t value = lead & (0x7fu >> size);
  for (size_t i = 1; i < size; i++) {
    unsigned char byte = (unsigned char)s[i];
    if ((byte & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte & 0x3fu);
  }
  if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
  *code = value;
  return size;
}

static size_t utf8_encode(uint32_t code, char out[4]) {
  size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = size; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
  out[0] = (char)(lead[size] | code);
  return size;
}

/* 1 if a terminal or page shows the code point as one visible character, in the order of the text. */
static int printable(uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xfeff) return 0;
  return !((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069));
}

const char *tsr_print_text(const char *text, size_t length, char out[TSR_PRINT_TEXT]) {
  size_t used = 0;
  for (size_t at = 0; at < length;) {
    uint32_t code = 0;
    size_t size = utf8_decode(text + at, length - at, &code);
    int good = size && printable(code);
    size_t takes = good ? size : 1;
    if (used + takes + sizeof "..." > TSR_PRINT_TEXT) {
      memcpy(out + used, "...", 3);
      used += 3;
      break;
    }
    if (good) memcpy(out + used, text + at, size);
    else out[used] = '?';
    used += takes;
    at += size ? size : 1;
  }
  out[used] = 0;
  return out;
}

/* ---- errors: each returns NULL or 0, so that a rule can `return fail(...)` ---- */

static void *fail_memory(json_parser *p) {
  tsr_error_set(p->err, TSR_ERR_OUT_OF_MEMORY, "%s: out of memory while reading JSON of %zu bytes", p->what, p->length);
  return NULL;
}

/* Fails with what was expected at which byte, and what was found. */
static void *fail_at(json_parser *p, size_t at, const char *expected) {
  if (at >= p->length) {
    tsr_error_set(p->err, TSR_ERR_MODEL_HEADER, "%s: expected %s at byte %zu, found the end", p->what, expected, at);
    return NULL;
  }
  char found[TSR_PRINT_TEXT];
  size_t left = p->length - at;
  tsr_print_text(p->text + at, left < 16 ? left : 16, found);
  tsr_error_set(p->err, TSR_ERR_MODEL_HEADER, "%s: expected %s at byte %zu, found \"%s\"", p->what, expected, at,
                found);
  return NULL;
}

/* ---- strings ---- */

/* Reads four hex digits at `at` into *code. 0 on failure. */
static int read_hex4(json_parser *p, size_t at, uint32_t *code) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) {
    char c = at + i < p->length ? p->text[at + i] : 0;
    uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
    if (digit == 16) return fail_at(p, at + i, "a hex digit of a \\u escape") != NULL;
    value = value << 4 | digit;
  }
  *code = value;
  return 1;
}

/* Reads the escape whose backslash is at p->at: its UTF-8 goes to `out`. Returns the number of bytes, 0 on failure. */
static size_t read_escape(json_parser *p, char out[4]) {
  static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  size_t start = p->at;
  char name = start + 1 < p->length ? p->text[start + 1] : 0;
  p->at += 2;
  if (name != 'u') {
    const char *found = name ? strchr(names, name) : NULL;
    if (!found) return fail_at(p, start, "an escape of JSON") != NULL;
    out[0] = meant[found - names];
    return 1;
  }
  uint32_t code = 0, low = 0;
  if (!read_hex4(p, p->at, &code)) return 0;
  p->at += 4;
  if (code == 0) return fail_at(p, start, "a character other than NUL") != NULL;
  if (code < 0xd800 || code >= 0xe000) return utf8_encode(code, out);
  int paired = code < 0xdc00 && p->at + 1 < p->length && p->text[p->at] == '\\' && p->text[p->at + 1] == 'u';
  if (!paired) return fail_at(p, start, "a surrogate pair") != NULL;
  if (!read_hex4(p, p->at + 2, &low)) return 0;
  if (low < 0xdc00 || low >= 0xe000) return fail_at(p, start, "a surrogate pair") != NULL;
  p->at += 6;
  return utf8_encode(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00), out);
}

/* The position of the closing quote of the string that opens at p->at; p->length if there is none. */
static size_t string_end(const json_parser *p) {
  size_t at = p->at + 1;
  while (at < p->length && p->text[at] != '"') at += p->text[at] == '\\' ? 2 : 1;
  return at < p->length ? at : p->length;
}

/* The string at p->at (a quote), unescaped, zero-terminated; moves past it. */
static const char *parse_string(json_parser *p, size_t *length) {
  size_t end = string_end(p);
  if (end == p->length) return fail_at(p, end, "the closing quote of a string");
  /* Large enough: unescaping never lengthens the text, and the byte of the opening quote is for the final 0. */
  char *out = tsr_arena_alloc(p->arena, end - p->at);
  if (!out) return fail_memory(p);
  size_t used = 0;
  p->at++;
  while (p->at < end) {
    unsigned char c = (unsigned char)p->text[p->at];
    size_t size;
    if (c == '\\') {
      size = read_escape(p, out + used);
      if (!size) return NULL;
    } else {
      uint32_t code;
      if (c < 0x20) return fail_at(p, p->at, "an escape instead of a control character");
      size = utf8_decode(p->text + p->at, end - p->at, &code);
      if (!size) return fail_at(p, p->at, "valid UTF-8");
      memcpy(out + used, p->text + p->at, size);
      p->at += size;
    }
    used += size;
  }
  p->at = end + 1;
  *length = used;
  return out;
}

/* ---- numbers ---- */

static int is_digit(const json_parser *p) {
  return p->at < p->length && p->text[p->at] >= '0' && p->text[p->at] <= '9';
}

/* The parts of a number: value = (-1)^negative * mantissa * 10^exponent, exact while `digits` <= 19. */
typedef struct decimal {
  int negative;
  uint64_t mantissa;
  size_t digits;    /* of the mantissa, without leading zeros */
  int64_t exponent; /* saturates far outside the range of double */
} decimal;

static int read_digits(json_parser *p, decimal *d, int64_t step) {
  if (!is_digit(p)) return fail_at(p, p->at, "a digit") != NULL;
  for (; is_digit(p); p->at++) {
    if (d->digits || p->text[p->at] != '0') d->digits++;
    if (d->digits <= 19) d->mantissa = d->mantissa * 10 + (uint64_t)(p->text[p->at] - '0');
    d->exponent -= step;
  }
  return 1;
}

static int read_exponent(json_parser *p, decimal *d) {
  int64_t value = 0, sign = 1;
  p->at++;
  if (p->at < p->length && (p->text[p->at] == '+' || p->text[p->at] == '-')) sign = p->text[p->at++] == '-' ? -1 : 1;
  if (!is_digit(p)) return fail_at(p, p->at, "a digit") != NULL;
  for (; is_digit(p); p->at++)
    if (value < 1000000000) value = value * 10 + (p->text[p->at] - '0');
  d->exponent += sign * value;
  return 1;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static int read_decimal(json_parser *p, decimal *d) {
  if (p->text[p->at] == '-') d->negative = 1, p->at++;
  if (p->at < p->length && p->text[p->at] == '0') {
    p->at++;
    if (is_digit(p)) return fail_at(p, p->at - 1, "a number without leading zeros") != NULL;
  } else if (!read_digits(p, d, 0)) {
    return 0;
  }
  if (p->at < p->length && p->text[p->at] == '.') {
    p->at++;
    if (!read_digits(p, d, 1)) return 0;
  }
  if (p->at < p->length && (p->text[p->at] == 'e' || p->text[p->at] == 'E')) return read_exponent(p, d);
  return 1;
}

/* Converts from all decimal digits: correct for any number, but slow. */
static double convert_slowly(const json_parser *p, size_t begin, const decimal *d) {
  tsr_decimal digits = {.count = 0};
  int64_t point = (int64_t)d->digits + d->exponent;
  digits.point = point > 1000 ? 1000 : point < -1000 ? -1000 : (int)point;
  for (size_t i = begin; i < p->at && p->text[i] != 'e' && p->text[i] != 'E'; i++)
    if (p->text[i] >= '0' && p->text[i] <= '9' && (digits.count || p->text[i] != '0'))
      tsr_decimal_push(&digits, p->text[i] - '0');
  return tsr_decimal_get(&digits);
}

static int parse_number(json_parser *p, double *out) {
  size_t begin = p->at;
  decimal d = {0};
  if (!read_decimal(p, &d)) return 0;
  double value = (double)d.mantissa, power = 1;
  int64_t zeros = d.exponent < 0 ? -d.exponent : d.exponent;
  if (d.digits <= 19 && d.mantissa <= (uint64_t)1 << 53 && zeros <= 22) {
    while (zeros--) power *= 10; /* a double holds 10^22 and the mantissa exactly, so the result is rounded once */
    value = d.exponent < 0 ? value / power : value * power;
  } else if (d.digits) {
    value = convert_slowly(p, begin, &d);
  }
  if (isinf(value)) return fail_at(p, begin, "a number that a double can hold") != NULL;
  *out = d.negative ? -value : value;
  return 1;
}

/* ---- objects ---- */

void tsr_sort_pointers(const void **items, size_t count, int (*compare)(const void *a, const void *b)) {
  size_t build = count / 2, end = count; /* heapsort: first builds the heap, then moves its largest item to the end */
  while (end > 1) {
    size_t root = 0;
    const void *item;
    if (build) {
      root = --build;
      item = items[root];
    } else {
      item = items[--end];
      items[end] = items[0];
    }
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
      if (child + 1 < end && compare(items[child], items[child + 1]) < 0) child++;
      if (compare(item, items[child]) >= 0) break;
      items[root] = items[child];
    }
    items[root] = item;
  }
}

static int compare_keys(const void *a, const void *b) {
  const tsr_json *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  return order ? order : (x->begin > y->begin) - (x->begin < y->begin);
}

static int check_duplicates(json_parser *p, const tsr_json *object) {
  const void *few[16];
  size_t count = (size_t)object->count, used = 0;
  if (count < 2) return 1;
  const void **members = count <= 16 ? few : tsr_heap_calloc(p->arena->heap, count, sizeof *members);
  if (!members) return fail_memory(p) != NULL;
  for (const tsr_json *member = object->child; member; member = member->next) members[used++] = member;
  tsr_sort_pointers(members, count, compare_keys);
  const tsr_json *twice = NULL;
  for (size_t i = 1; i < count && !twice; i++) {
    const tsr_json *a = members[i - 1], *b = members[i];
    if (!strcmp(a->key, b->key)) twice = b;
  }
  if (members != few) tsr_heap_free(p->arena->heap, members);
  if (!twice) return 1;
  char key[TSR_PRINT_TEXT];
  tsr_error_set(p->err, TSR_ERR_MODEL_DUPLICATE_KEY, "%s: key \"%s\" appears twice; the second value is at byte %zu",
                p->what, tsr_print_text(twice->key, strlen(twice->key), key), twice->begin);
  return 0;
}

/* ---- values ---- */

static void skip_space(json_parser *p) {
  while (p->at < p->length && p->text[p->at] && strchr(" \t\n\r", p->text[p->at])) p->at++;
}

/* Skips white space; if the next character is `c`, moves past it and returns 1. */
static int take(json_parser *p, char c) {
  skip_space(p);
  if (p->at >= p->length || p->text[p->at] != c) return 0;
  p->at++;
  return 1;
}

static tsr_json *parse_value(json_parser *p, const char *key);

/* "key" : value */
static tsr_json *parse_member(json_parser *p) {
  size_t length;
  skip_space(p);
  if (p->at >= p->length || p->text[p->at] != '"') return fail_at(p, p->at, "a key in quotes");
  const char *key = parse_string(p, &length);
  if (!key) return NULL;
  if (!take(p, ':')) return fail_at(p, p->at, "':'");
  return parse_value(p, key);
}

/* Reads the members or items and the closing bracket; p->at is after the opening one. */
static int parse_children(json_parser *p, tsr_json *parent) {
  int object = parent->kind == TSR_JSON_OBJECT;
  char close = object ? '}' : ']';
  const tsr_json **tail = &parent->child;
  if (p->depth == TSR_JSON_MAX_DEPTH) {
    tsr_error_set(p->err, TSR_ERR_MODEL_HEADER, "%s: nested deeper than %d levels at byte %zu", p->what,
                  TSR_JSON_MAX_DEPTH, p->at - 1);
    return 0;
  }
  p->depth++;
  if (!take(p, close)) {
    do {
      tsr_json *child = object ? parse_member(p) : parse_value(p, NULL);
      if (!child) return 0;
      *tail = child;
      tail = &child->next;
      parent->count++;
    } while (take(p, ','));
    if (!take(p, close)) return fail_at(p, p->at, object ? "',' or '}'" : "',' or ']'") != NULL;
  }
  p->depth--;
  return object ? check_duplicates(p, parent) : 1;
}

static int parse_word(json_parser *p, tsr_json *node) {
  static const char *const words[] = {"null", "false", "true"}; /* in the order of tsr_json_kind */
  for (int kind = TSR_JSON_NULL; kind <= TSR_JSON_TRUE; kind++) {
    size_t size = strlen(words[kind]);
    if (p->length - p->at < size || memcmp(p->text + p->at, words[kind], size)) continue;
    node->kind = (tsr_json_kind)kind;
    p->at += size;
    return 1;
  }
  return fail_at(p, p->at, "a value") != NULL;
}

static int parse_content(json_parser *p, tsr_json *node) {
  char c = p->text[p->at];
  if (c == '{' || c == '[') {
    node->kind = c == '{' ? TSR_JSON_OBJECT : TSR_JSON_ARRAY;
    p->at++;
    return parse_children(p, node);
  }
  if (c == '"') {
    node->kind = TSR_JSON_STRING;
    node->string = parse_string(p, &node->length);
    return node->string != NULL;
  }
  if (c == '-' || is_digit(p)) {
    node->kind = TSR_JSON_NUMBER;
    return parse_number(p, &node->number);
  }
  return parse_word(p, node);
}

static tsr_json *parse_value(json_parser *p, const char *key) {
  skip_space(p);
  if (p->at >= p->length) return fail_at(p, p->at, "a value");
  if (p->values == TSR_JSON_MAX_VALUES) {
    tsr_error_set(p->err, TSR_ERR_MODEL_HEADER, "%s: more than %d values at byte %zu", p->what, TSR_JSON_MAX_VALUES,
                  p->at);
    return NULL;
  }
  p->values++;
  tsr_json *node = tsr_arena_alloc(p->arena, sizeof *node);
  if (!node) return fail_memory(p);
  node->key = key;
  node->begin = p->at;
  if (!parse_content(p, node)) return NULL;
  node->end = p->at;
  return node;
}

const tsr_json *tsr_json_parse(tsr_arena *arena, tsr_error *err, const char *text, size_t length, const char *what) {
  json_parser p = {.arena = arena, .err = err, .text = text, .length = length, .what = what};
  const tsr_json *root = parse_value(&p, NULL);
  if (!root) return NULL;
  skip_space(&p);
  return p.at == length ? root : fail_at(&p, p.at, "the end");
}

const tsr_json *tsr_json_get(const tsr_json *object, const char *key) {
  if (!object || object->kind != TSR_JSON_OBJECT) return NULL;
  const tsr_json *member = object->child;
  while (member && strcmp(member->key, key)) member = member->next;
  return member;
}

int tsr_json_int(const tsr_json *value, int64_t lo, int64_t hi, int64_t *out) {
  if (!value || value->kind != TSR_JSON_NUMBER) return 0;
  double number = value->number;
  /* The cast of a double of 2^63 or more to int64_t would be undefined. */
  if (!(number >= -9223372036854775808.0 && number < 9223372036854775808.0) || floor(number) != number) return 0;
  int64_t whole = (int64_t)number;
  if (whole < lo || whole > hi) return 0;
  *out = whole;
  return 1;
}
