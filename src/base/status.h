/* The status codes, and the sticky error that carries one. An error belongs to a context or to a call; no
 * error is global.
 *
 *   tsr_error err = {0};
 *   if (n < 0) return tsr_error_set(&err, TSR_ERR_ARGUMENT, "n is %d; give 0 or more", n);
 *
 * Sticky: the first failure is kept and later ones are ignored, so that the user reads the cause.
 * A message says what failed, where, the limit and the remedy. It does not contain the code's name, because JavaScript
 * puts that in front. */
#ifndef TSR_BASE_STATUS_H
#define TSR_BASE_STATUS_H

#include "format.h"

typedef int tsr_status; /* as in tesserae.h, which includes nothing of the inside */
enum {
#define TSR_STATUS(name, text, stage) TSR_ERR_##name,
#include "status.inc"
#undef TSR_STATUS
  TSR_STATUS_COUNT
};

#define TSR_OK TSR_ERR_OK

enum { TSR_MESSAGE_BYTES = 512 };

typedef struct tsr_error {
  tsr_status code; /* TSR_OK while nothing has failed */
  char message[TSR_MESSAGE_BYTES];
} tsr_error;

/* Records `code` with a formatted message unless something failed before. Returns the code of the first failure. `err`
 * may be NULL: then nothing is recorded and `code` is returned. */
tsr_status tsr_error_set(tsr_error *err, tsr_status code, const char *format, ...) TSR_PRINTF(3, 4);

/* Forgets the failure. */
void tsr_error_clear(tsr_error *err);

/* "ERR_SHAPE" for TSR_ERR_SHAPE; "ERR_UNKNOWN" for a number outside the enum. Static storage. */
const char *tsr_status_name(tsr_status code);

/* The stage a code belongs to: "call", "fetch", "model", "image", "memory", "environment", "none". Static storage. */
const char *tsr_status_stage(tsr_status code);

#endif
