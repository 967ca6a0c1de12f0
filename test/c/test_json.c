/* The JSON reader against Python's json (test/golden/safetensors/json.txt), its own limits and failures. Alone, from
 * the repository's root:
 *   gcc -std=c11 -g -fsanitize=address,undefined -Isrc test/c/test_json.c src/files/json.c src/base/arena.c
 *   src/base/status.c -lm -o t ./t */
#include <locale.h>
#include <stdlib.h>

#include "check.h"
#include "golden.h"
#include "files/json.h"

#define GOLDEN "test/golden/safetensors"

static tsr_heap heap;
static tsr_arena arena = {.heap = &heap};
static tsr_error err;

/* Parses an exact copy of the text, so that the sanitizer sees every read past its end. */
static const tsr_json *parse(const char *text, size_t length) {
  tsr_error_clear(&err);
  tsr_arena_free(&arena);
  char *copy = malloc(length ? length : 1);
  memcpy(copy, text, length);
  const tsr_json *root = tsr_json_parse(&arena, &err, copy, length, "header");
  free(copy);
  CHECK((root != NULL) == (err.code == TSR_OK));
  return root;
}

static const tsr_json *parse_text(const char *text) { return parse(text, strlen(text)); }

/* ---- the tree as scripts/parity/golden_safetensors.py writes it ---- */

static char *put_hex(char *out, const char *text, size_t length) {
  *out++ = '\'';
  for (size_t i = 0; i < length; i++) out += sprintf(out, "%02x", (unsigned char)text[i]);
  *out++ = '\'';
  return out;
}

static char *put_tree(char *out, const tsr_json *value) {
  uint64_t bits;
  int object = value->kind == TSR_JSON_OBJECT, count = 0;
  switch (value->kind) {
    case TSR_JSON_NULL: *out++ = 'n'; break;
    case TSR_JSON_FALSE: *out++ = 'f'; break;
    case TSR_JSON_TRUE: *out++ = 't'; break;
    case TSR_JSON_STRING: out = put_hex(out, value->string, value->length); break;
    case TSR_JSON_NUMBER:
      memcpy(&bits, &value->number, sizeof bits);
      out += sprintf(out, "#%016llx", (unsigned long long)bits);
      break;
    default:
      *out++ = object ? '{' : '[';
      for (const tsr_json *child = value->child; child; child = child->next, count++) {
        if (count) *out++ = ',';
        if (object) out = put_hex(out, child->key, strlen(child->key)), *out++ = ':';
        out = put_tree(out, child);
      }
      CHECK_INT(count, value->count);
      *out++ = object ? '}' : ']';
  }
  *out = 0;
  return out;
}

static void test_against_python(void) {
  char *lines = golden_read(GOLDEN, "json.txt", NULL), *rest = lines;
  static char got[4096];
  int seen = 0;
  while (*rest) {
    char *verdict = golden_field(&rest), *text = golden_field(&rest), *expected = golden_field(&rest);
    int failed = check_failed;
    size_t length = golden_unhex(text);
    const tsr_json *root = parse(text, length);
    if (!strcmp(verdict, "accepts")) {
      CHECK(root != NULL);
      if (root) put_tree(got, root);
      CHECK_TEXT(root ? got : "refused", expected);
    } else if (!strcmp(verdict, "stricter")) {
      CHECK_TEXT(tsr_status_name(err.code), expected);
    } else {
      CHECK_INT(err.code, TSR_ERR_MODEL_HEADER);
    }
    if (check_failed > failed) printf("  in the text: %s (%s)\n", text, err.message);
    seen++;
  }
  CHECK(seen > 150);
  free(lines);
}

/* ---- messages: what was expected, where, what was found ---- */

static void test_messages(void) {
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "header: expected a value at byte 0, found the end"},
      {"{\"a\" 1}", "header: expected ':' at byte 5, found \"1}\""},
      {"{\"a\":1,}", "header: expected a key in quotes at byte 7, found \"}\""},
      {"[1 2]", "header: expected ',' or ']' at byte 3, found \"2]\""},
      {"{\"a\":1", "header: expected ',' or '}' at byte 6, found the end"},
      {"[01]", "header: expected a number without leading zeros at byte 1, found \"01]\""},
      {"[1.]", "header: expected a digit at byte 3, found \"]\""},
      {"\"ab", "header: expected the closing quote of a string at byte 3, found the end"},
      {"\"a\\x\"", "header: expected an escape of JSON at byte 2, found \"\\x\"\""},
      {"\"\\ud800\"", "header: expected a surrogate pair at byte 1, found \"\\ud800\"\""},
      {"\"a\x01\"", "header: expected an escape instead of a control character at byte 2, found \"?\"\""},
      {"\"a\xff\"", "header: expected valid UTF-8 at byte 2, found \"?\"\""},
      {"1e999", "header: expected a number that a double can hold at byte 0, found \"1e999\""},
      {"{} <html>", "header: expected the end at byte 3, found \"<html>\""},
      {"{\"x\":{\"a\":1,\"\\u0061\":2}}", "header: key \"a\" appears twice; the second value is at byte 21"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK(!parse_text(cases[i].text));
    CHECK_TEXT(err.message, cases[i].message);
  }
  char deep[200];
  memset(deep, '[', sizeof deep);
  CHECK(!parse(deep, sizeof deep));
  CHECK_TEXT(err.message, "header: nested deeper than 64 levels at byte 64");
}

static void test_print_text(void) {
  char out[TSR_PRINT_TEXT], long_text[300];
  CHECK_TEXT(tsr_print_text("a\x1b[31m\n\x7f", 8, out), "a?[31m??");
  CHECK_TEXT(tsr_print_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, out), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  CHECK_TEXT(tsr_print_text("\xe2\x80\xae\xc2\x85\xff\xe2\x82", 8, out), "?????"); /* U+202E, U+0085, not UTF-8 */
  CHECK_TEXT(tsr_print_text("", 0, out), "");
  for (int i = 0; i < 300; i += 3) memcpy(long_text + i, "\xe2\x82\xac", 3);
  for (size_t length = 90; length <= 300; length += 3) {
    tsr_print_text(long_text, length, out);
    size_t cut = strlen(out);
    CHECK(length < TSR_PRINT_TEXT - 3 ? cut == length : cut < TSR_PRINT_TEXT && !strcmp(out + cut - 3, "..."));
    CHECK(cut % 3 == 0); /* never within a character */
  }
}

/* ---- the tree ---- */

static void test_tree(void) {
  const char *text = " {\"arch\": \"vit\", \"size\": [224, -3], \"half\": 0.5} ";
  const tsr_json *root = parse_text(text);
  CHECK(root && root->kind == TSR_JSON_OBJECT && !root->key);
  const tsr_json *arch = tsr_json_get(root, "arch"), *size = tsr_json_get(root, "size");
  CHECK_TEXT(arch->string, "vit");
  CHECK_INT(arch->length, 3);
  CHECK(!strncmp(text + size->begin, "[224, -3]", size->end - size->begin) && size->end - size->begin == 9);
  CHECK(!tsr_json_get(root, "arc") && !tsr_json_get(root, "archs") && !tsr_json_get(NULL, "arch"));
  CHECK(!tsr_json_get(arch, "arch") && !tsr_json_get(size, "arch"));
  CHECK(!size->child->key && !strcmp(size->key, "size"));

  int64_t number = 7;
  CHECK(tsr_json_int(size->child, 0, 224, &number) && number == 224);
  CHECK(tsr_json_int(size->child->next, -3, 0, &number) && number == -3);
  number = 7;
  CHECK(!tsr_json_int(size->child, 0, 223, &number) && !tsr_json_int(size->child, 225, 300, &number));
  CHECK(!tsr_json_int(tsr_json_get(root, "half"), 0, 1, &number));
  CHECK(!tsr_json_int(arch, 0, 1, &number) && !tsr_json_int(NULL, 0, 1, &number));
  CHECK_INT(number, 7);
  CHECK(tsr_json_int(parse_text("1e3"), 0, INT64_MAX, &number) && number == 1000);
  CHECK(tsr_json_int(parse_text("-9223372036854775808"), INT64_MIN, 0, &number) && number == INT64_MIN);
  CHECK(!tsr_json_int(parse_text("9223372036854775808"), INT64_MIN, INT64_MAX, &number)); /* 2^63 */
  CHECK(!tsr_json_int(parse_text("1e300"), INT64_MIN, INT64_MAX, &number));
}

/* A locale with a decimal comma must not change numbers. Without one installed the check says nothing new. */
static void test_locale(void) {
  int comma = setlocale(LC_ALL, "de_DE.UTF-8") || setlocale(LC_ALL, "fr_FR.UTF-8");
  const tsr_json *root = parse_text("0.4465000000000001");
  CHECK(root && root->number == 0.4465000000000001);
  if (!comma) printf("json: no locale with a decimal comma here\n");
  setlocale(LC_ALL, "C");
}

static int compare_ints(const void *a, const void *b) {
  const int *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static void test_sort(void) {
  enum { MOST = 300 };
  int values[MOST];
  const void *items[MOST];
  uint64_t seed = 5;
  for (int count = 0; count < MOST; count++) {
    int seen[16] = {0};
    for (int i = 0; i < count; i++) {
      values[i] = (int)(check_random(&seed) % 16);
      items[i] = &values[i];
      seen[values[i]]++;
    }
    tsr_sort_pointers(items, (size_t)count, compare_ints);
    int good = 1;
    for (int i = 0; i < count; i++) good &= i == 0 || compare_ints(items[i - 1], items[i]) <= 0;
    for (int i = 0; i < count; i++) seen[*(const int *)items[i]]--;
    for (int i = 0; i < 16; i++) good &= seen[i] == 0;
    CHECK(good);
  }
}

/* ---- limits ---- */

/* {"<prefix>0":0,...}; the last key again if `twice`. */
static char *many_members(const char *prefix, int count, int twice) {
  char *text = malloc(1 + (size_t)(count + 1) * (strlen(prefix) + 16)), *at = text;
  *at++ = '{';
  for (int i = 0; i < count; i++) at += sprintf(at, "%s\"%s%d\":0", i ? "," : "", prefix, i * 7919 % count);
  if (twice) at += sprintf(at, ",\"%s%d\":0", prefix, (count - 1) * 7919 % count);
  sprintf(at, "}");
  return text;
}

static void test_many(void) {
  for (int count = 1; count < 40; count++) { /* across the bound between stack and heap */
    char *text = many_members("k", count, 0), *again = many_members("k", count, 1), name[16];
    const tsr_json *root = parse_text(text);
    CHECK(root && root->count == count);
    CHECK(!parse_text(again) && err.code == TSR_ERR_MODEL_DUPLICATE_KEY);
    sprintf(name, "\"k%d\"", (count - 1) * 7919 % count);
    CHECK_HAS(err.message, name);
    free(text);
    free(again);
  }
  /* 200000 keys: comparing all pairs would take minutes. */
  char *text = many_members("blocks.0.attn.", 200000, 1);
  CHECK(!parse_text(text) && err.code == TSR_ERR_MODEL_DUPLICATE_KEY);
  free(text);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

static void test_memory_bound(void) {
  /* The worst text for its length: 8 MB of "0,0,0,...". It must be refused before its tree outgrows memory. */
  size_t length = 8u << 20;
  char *text = malloc(length);
  for (size_t i = 0; i < length; i++) text[i] = i ? i % 2 ? '0' : ',' : '[';
  text[length - 1] = ']';
  heap.peak = heap.in_use;
  CHECK(!parse(text, length));
  CHECK_HAS(err.message, "more than 1048576 values");
  CHECK(heap.peak < (size_t)100 << 20);
  memset(text, '"', length); /* and one string of 8 MB costs 8 MB */
  memset(text + 1, 'a', length - 2);
  tsr_arena_free(&arena);
  heap.peak = 0;
  const tsr_json *root = parse(text, length);
  CHECK(root && root->length == length - 2);
  CHECK(heap.peak < length + (1 << 16));
  free(text);
  tsr_arena_free(&arena);
}

static void test_out_of_memory(void) {
  char *text = many_members("some.long.name.of.a.tensor.", 1000, 0);
  const char *small = "{\"a\":[0.1234567890123456789,\"x\"]}";
  int failures = 0;
  for (int round = 0; round < 2; round++)
    for (long after = 1; after < 100; after++) {
      tsr_arena_free(&arena);
      heap.fail_after = after;
      int done = parse_text(round ? text : small) != NULL;
      heap.fail_after = 0;
      if (done) break;
      CHECK_INT(err.code, TSR_ERR_OUT_OF_MEMORY);
      CHECK_HAS(err.message, "header: out of memory");
      failures++;
    }
  CHECK(failures > 5);
  free(text);
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

/* Every prefix and many single-byte changes of a good text: no read past the end (the sanitizer's part), no leak. */
static void test_mutations(void) {
  const char *text =
      "{\"a\\u00e9\\ud83d\\ude00\": [1, -2.5e-3, 123456789012345678901], "
      "\"b\": {\"c\": null, \"d\": \"\xe2\x82\xac\"}}";
  size_t length = strlen(text);
  uint64_t seed = 11;
  char changed[200];
  CHECK(parse(text, length) != NULL);
  for (size_t cut = 0; cut < length; cut++) CHECK(!parse(text, cut));
  for (int round = 0; round < 20000; round++) {
    memcpy(changed, text, length);
    for (int i = 0; i <= round % 3; i++) {
      uint64_t dice = check_random(&seed);
      changed[dice % length] = dice >> 62 ? "\"\\{}[],:0e.-u\xff\x80"[dice >> 32 & 15] : (char)(dice >> 40);
    }
    parse(changed, length);
  }
  tsr_arena_free(&arena);
  CHECK_INT(heap.in_use, 0);
}

int main(void) {
  test_against_python();
  test_messages();
  test_print_text();
  test_tree();
  test_locale();
  test_sort();
  test_many();
  test_memory_bound();
  test_out_of_memory();
  test_mutations();
  return check_done("json");
}
