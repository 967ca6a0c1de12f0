/* Formatted text: what the library uses of printf, without the C library's, which would be a twentieth of the downloaded file.
 *
 *   char name[64];
 *   tsr_print(name, sizeof name, "blocks.%d.%s", i, kind);
 *
 * Known are %d %u %x (with l, ll, z; with a 0 and a width of one digit), %s %.40s %.*s, %c, %g %.9g %.1f of doubles, and %%; a format that
 * has anything else is a mistake (test/layering.test.js looks). Numbers come out as printf's do, the same digits. */
#ifndef TSR_BASE_FORMAT_H
#define TSR_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

#if defined(__GNUC__)
#define TSR_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#else
#define TSR_PRINTF(fmt_index, first_arg)
#endif

/* Writes at most `room` bytes with the 0 at the end (room > 0); returns the bytes that the whole text has, without the 0. */
int tsr_print(char *to, size_t room, const char *format, ...) TSR_PRINTF(3, 4);
int tsr_print_list(char *to, size_t room, const char *format, va_list args) TSR_PRINTF(3, 0);

#endif
