/* The names of status codes, and the sticky error; see status.h. */
#include "status.h"

#include <stdarg.h>

tsr_status tsr_error_set(tsr_error *err, tsr_status code, const char *format, ...) {
  if (!err) return code;
  if (err->code != TSR_OK) return err->code;
  err->code = code;
  va_list args;
  va_start(args, format);
  tsr_print_list(err->message, sizeof err->message, format, args);
  va_end(args);
  return code;
}

void tsr_error_clear(tsr_error *err) {
  err->code = TSR_OK;
  err->message[0] = 0;
}

const char *tsr_status_name(tsr_status code) {
  static const char *const names[] = {
#define TSR_STATUS(name, text, stage) text,
#include "status.inc"
#undef TSR_STATUS
  };
  return (unsigned)code < TSR_STATUS_COUNT ? names[code] : "ERR_UNKNOWN";
}

const char *tsr_status_stage(tsr_status code) {
  static const char *const stages[] = {
#define TSR_STATUS(name, text, stage) stage,
#include "status.inc"
#undef TSR_STATUS
  };
  return (unsigned)code < TSR_STATUS_COUNT ? stages[code] : "none";
}
