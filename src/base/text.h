/* A growing text, for the JSON that the library hands out.
 *
 *   tsr_text t = {.heap = &heap};
 *   tsr_text_add(&t, "{\"arch\":");  tsr_text_quote(&t, name);  tsr_text_format(&t, ",\"depth\":%d}", depth);
 *   use(tsr_text_get(&t));  tsr_text_free(&t);
 *
 * Sticky: once memory is out every call does nothing and tsr_text_get returns NULL. */
#ifndef TSR_BASE_TEXT_H
#define TSR_BASE_TEXT_H

#include "arena.h"
#include "status.h"
#include "tensor.h"

typedef struct tsr_text {
  tsr_heap *heap;
  char *bytes; /* zero-terminated once something was added */
  size_t length, capacity;
  int failed; /* memory was out */
} tsr_text;

void tsr_text_add(tsr_text *text, const char *string);
void tsr_text_add_bytes(tsr_text *text, const char *bytes, size_t n);
/* At most 255 bytes a call. */
void tsr_text_format(tsr_text *text, const char *format, ...) TSR_PRINTF(2, 3);
/* As a JSON string, quotes and escapes included; NULL gives null. */
void tsr_text_quote(tsr_text *text, const char *string);
/* As a JSON array of numbers. */
void tsr_text_shape(tsr_text *text, const tsr_shape *shape);
/* "" when nothing was added; NULL when memory was out. */
const char *tsr_text_get(const tsr_text *text);
/* Empties it, keeping the memory for the next use, and forgets a failure. */
void tsr_text_clear(tsr_text *text);
void tsr_text_free(tsr_text *text);

#endif
