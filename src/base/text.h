/* A text that grows, for the JSON that the library returns.
 *
 *   tsr_text t = {.heap = &heap};
 *   tsr_text_add(&t, "{\"arch\":");  tsr_text_quote(&t, name);  tsr_text_format(&t, ",\"depth\":%d}", depth);
 *   use(tsr_text_get(&t));  tsr_text_free(&t);
 *
 * Sticky: once memory is out, every call does nothing and tsr_text_get returns NULL. */
#ifndef TSR_BASE_TEXT_H
#define TSR_BASE_TEXT_H

#include "arena.h"
#include "status.h"
#include "tensor.h"

typedef struct tsr_text {
  tsr_heap *heap;
  char *bytes; /* zero-terminated once something was added */
  size_t length, capacity;
  int failed; /* 1 once memory was out */
} tsr_text;

/* Appends a zero-terminated string. */
void tsr_text_add(tsr_text *text, const char *string);
/* Appends n bytes. */
void tsr_text_add_bytes(tsr_text *text, const char *bytes, size_t n);
/* Appends formatted text, cut to 255 bytes a call. */
void tsr_text_format(tsr_text *text, const char *format, ...) TSR_PRINTF(2, 3);
/* Appends `string` as a JSON string with quotes and escapes; NULL appends null. */
void tsr_text_quote(tsr_text *text, const char *string);
/* Appends the dims as a JSON array of numbers. */
void tsr_text_shape(tsr_text *text, const tsr_shape *shape);
/* The text, owned by `text` and valid until it changes; "" when nothing was added; NULL when memory was out. */
const char *tsr_text_get(const tsr_text *text);
/* Empties the text, keeps its memory for the next use, and forgets a failure. */
void tsr_text_clear(tsr_text *text);
/* Frees the memory; the text is empty and usable afterwards. */
void tsr_text_free(tsr_text *text);

#endif
