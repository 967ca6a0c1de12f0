/* The part of printf that the library uses. The C library's printf would be a twentieth of the download.
 *
 *   char name[64];
 *   tsr_print(name, sizeof name, "blocks.%d.%s", i, kind);
 *
 * Conversions: %d %u %x (with l, ll, z; with a 0 and a width of one digit), %s %.40s %.*s, %c, %g %.9g %.1f of doubles,
 * and %%. A format with any other is an error that test/layering.test.js finds. Numbers have the same digits as
 * printf's. */
#ifndef TSR_BASE_FORMAT_H
#define TSR_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

#if defined(__GNUC__)
#define TSR_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#else
#define TSR_PRINTF(fmt_index, first_arg)
#endif

/* Writes the text to `to`, cut to `room` bytes (room > 0) with its terminating 0. Returns the length of the whole text,
 * without the 0. */
int tsr_print(char *to, size_t room, const char *format, ...) TSR_PRINTF(3, 4);
/* The same with its arguments as a list. */
int tsr_print_list(char *to, size_t room, const char *format, va_list args) TSR_PRINTF(3, 0);

#endif
