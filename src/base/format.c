/* Formatted text; see format.h. */
#include "format.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "decimal.h"

typedef struct writer {
  char *to;
  size_t room, length;
  va_list args;
} writer;

/* What lies between % and the letter; precision -1: none given. */
typedef struct spec {
  int width, precision, longs;
} spec;

static void put(writer *w, int c) {
  if (w->length + 1 < w->room) w->to[w->length] = (char)c;
  w->length++;
}

static void put_text(writer *w, const char *text, int most) {
  for (; most-- && *text; text++) put(w, *text);
}

static void put_whole(writer *w, uint64_t value, unsigned base, int width) {
  char digits[20];
  int count = 0;
  do digits[count++] = "0123456789abcdef"[value % base];
  while (value /= base);
  for (; width > count; width--) put(w, '0');
  while (count) put(w, digits[--count]);
}

/* The digits of d with `decimals` of them after the point. */
static void put_fixed(writer *w, const tsr_decimal *d, int decimals) {
  int point = d->point > 0 ? d->point : 0;
  if (!point) put(w, '0');
  for (int i = 0; i < point + decimals; i++) {
    int at = i - point + d->point;
    if (i == point) put(w, '.');
    put(w, at >= 0 && at < d->count ? '0' + d->digits[at] : '0');
  }
}

static void put_double(writer *w, double x, int letter, int precision) {
  tsr_decimal d;
  if (signbit(x)) put(w, '-'), x = -x;
  if (!isfinite(x)) {
    put_text(w, isnan(x) ? "nan" : "inf", -1);
    return;
  }
  tsr_decimal_set(&d, x);
  if (letter == 'f') {
    tsr_decimal_round(&d, d.point + precision);
    put_fixed(w, &d, precision);
    return;
  }
  if (precision < 0) precision = 6;
  tsr_decimal_round(&d, precision);
  int exponent = d.count ? d.point - 1 : 0;
  if (exponent >= -4 && exponent < precision) {
    put_fixed(w, &d, d.count > d.point ? d.count - d.point : 0);
    return;
  }
  d.point = 1;
  put_fixed(w, &d, d.count - 1);
  put(w, 'e');
  put(w, exponent < 0 ? '-' : '+');
  put_whole(w, (uint64_t)(exponent < 0 ? -exponent : exponent), 10, 2);
}

/* The next argument as an integer: signed for %d, else unsigned. */
static uint64_t next_whole(writer *w, int longs, int letter) {
  if (longs == 2) return va_arg(w->args, unsigned long long);
  if (letter == 'd') return (uint64_t)(longs ? va_arg(w->args, long) : va_arg(w->args, int));
  return longs ? va_arg(w->args, unsigned long) : va_arg(w->args, unsigned);
}

static void put_next(writer *w, int letter, spec s) {
  uint64_t value;
  switch (letter) {
    case 'd':
    case 'u':
    case 'x':
      value = next_whole(w, s.longs, letter);
      if (letter == 'd' && (int64_t)value < 0) put(w, '-'), value = 0 - value;
      put_whole(w, value, letter == 'x' ? 16 : 10, s.width);
      break;
    case 's': put_text(w, va_arg(w->args, const char *), s.precision); break;
    case 'g':
    case 'f': put_double(w, va_arg(w->args, double), letter, s.precision); break;
    case 'c': put(w, va_arg(w->args, int)); break;
    default: put(w, letter);
  }
}

int tsr_print_list(char *to, size_t room, const char *format, va_list args) {
  writer w = {.to = to, .room = room};
  va_copy(w.args, args);
  for (; *format; format++) {
    spec s = {.precision = -1};
    if (*format != '%') {
      put(&w, *format);
      continue;
    }
    if (*++format == '0') s.width = *++format - '0', format++;
    if (*format == '.') {
      if (*++format == '*') s.precision = va_arg(w.args, int), format++;
      else
        for (s.precision = 0; *format >= '0' && *format <= '9'; format++)
          s.precision = s.precision * 10 + *format - '0';
    }
    for (; *format == 'l'; format++) s.longs++;
    if (*format == 'z') s.longs = sizeof(size_t) > sizeof(long) ? 2 : 1, format++;
    put_next(&w, *format, s);
  }
  va_end(w.args);
  to[w.length < room ? w.length : room - 1] = 0;
  return (int)w.length;
}

int tsr_print(char *to, size_t room, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = tsr_print_list(to, room, format, args);
  va_end(args);
  return length;
}
