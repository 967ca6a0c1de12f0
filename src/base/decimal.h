/* Doubles to decimal digits and back, exactly: for printing numbers and for reading those that one operation cannot convert.
 * By halving and doubling in decimal, which is slow and short; the C library's way costs a downloaded file 8 kB. */
#ifndef TSR_BASE_DECIMAL_H
#define TSR_BASE_DECIMAL_H

#include <stdint.h>

/* More digits than any number halfway between two doubles has (768): what is cut off beyond never decides a rounding. */
enum { TSR_DECIMAL_DIGITS = 800 };

/* 0.d1 d2 d3 ... times 10^point; d1 is not 0; no digits: 0. */
typedef struct tsr_decimal {
  int count, point;
  uint8_t digits[TSR_DECIMAL_DIGITS];
} tsr_decimal;

/* Of a finite x >= 0: every digit. */
void tsr_decimal_set(tsr_decimal *d, double x);

/* Keeps `digits` digits (none or fewer than none: 0 or 1 times 10^point), halves to even. */
void tsr_decimal_round(tsr_decimal *d, int digits);

/* One more digit at the end; `point` does not move. Past TSR_DECIMAL_DIGITS only whether there was one that is not 0 is kept. */
void tsr_decimal_push(tsr_decimal *d, int digit);

/* The nearest double, halves to even; infinity where that is too large. Uses `d` up. */
double tsr_decimal_get(tsr_decimal *d);

#endif
