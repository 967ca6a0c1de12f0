/* The text that grows; see text.h. */
#include "text.h"

#include <stdarg.h>
#include <string.h>

static int reserve(tsr_text *text, size_t more) {
  if (text->failed) return 0;
  if (more < text->capacity - text->length) return 1;
  size_t capacity = text->capacity ? text->capacity * 2 : 256;
  while (capacity - text->length <= more && capacity < SIZE_MAX / 2) capacity *= 2;
  char *bytes = tsr_heap_realloc(text->heap, text->bytes, capacity);
  if (!bytes) {
    text->failed = 1;
    return 0;
  }
  text->bytes = bytes;
  text->capacity = capacity;
  return 1;
}

void tsr_text_add_bytes(tsr_text *text, const char *bytes, size_t n) {
  if (!reserve(text, n)) return;
  memcpy(text->bytes + text->length, bytes, n);
  text->length += n;
  text->bytes[text->length] = 0;
}

void tsr_text_add(tsr_text *text, const char *string) { tsr_text_add_bytes(text, string, strlen(string)); }

void tsr_text_format(tsr_text *text, const char *format, ...) {
  char line[256];
  va_list args;
  va_start(args, format);
  tsr_print_list(line, sizeof line, format, args);
  va_end(args);
  tsr_text_add(text, line);
}

void tsr_text_quote(tsr_text *text, const char *string) {
  if (!string) {
    tsr_text_add(text, "null");
    return;
  }
  tsr_text_add(text, "\"");
  for (const char *c = string; *c; c++) {
    if (*c == '"' || *c == '\\') tsr_text_format(text, "\\%c", *c);
    else if ((unsigned char)*c < 32) tsr_text_format(text, "\\u%04x", (unsigned)*c);
    else tsr_text_add_bytes(text, c, 1);
  }
  tsr_text_add(text, "\"");
}

void tsr_text_shape(tsr_text *text, const tsr_shape *shape) {
  char line[TSR_SHAPE_TEXT];
  tsr_text_add(text, tsr_shape_print(shape, line));
}

const char *tsr_text_get(const tsr_text *text) {
  if (text->failed) return NULL;
  return text->bytes ? text->bytes : "";
}

void tsr_text_clear(tsr_text *text) {
  text->length = 0;
  text->failed = 0;
  if (text->bytes) text->bytes[0] = 0;
}

void tsr_text_free(tsr_text *text) {
  tsr_heap_free(text->heap, text->bytes);
  *text = (tsr_text){.heap = text->heap};
}
