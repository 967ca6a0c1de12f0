/* Exact conversion of doubles to decimal digits and back. format.c prints with it, and json.c reads with it the
 * numbers that one operation cannot convert. It halves and doubles decimal digits, which is slow but short: the C
 * library's conversion would add 8 kB to each downloaded file. */
#ifndef TSR_BASE_DECIMAL_H
#define TSR_BASE_DECIMAL_H

#include <stdint.h>

/* More digits than any number halfway between two doubles has (768), so digits beyond never decide a rounding. */
enum { TSR_DECIMAL_DIGITS = 800 };

/* The number 0.d1 d2 d3 ... * 10^point. d1 is not 0; the number 0 has no digits. */
typedef struct tsr_decimal {
  int count, point;
  uint8_t digits[TSR_DECIMAL_DIGITS];
} tsr_decimal;

/* Sets d to every digit of x, finite and >= 0. */
void tsr_decimal_set(tsr_decimal *d, double x);

/* Rounds d to `digits` digits, halves to even. With digits <= 0 the result is 0 or 1 * 10^point. */
void tsr_decimal_round(tsr_decimal *d, int digits);

/* Appends one digit, 0..9; `point` does not move. After TSR_DECIMAL_DIGITS digits it only records that a digit other
 * than 0 was appended. */
void tsr_decimal_push(tsr_decimal *d, int digit);

/* The double nearest to d, halves to even; infinity when d is too large. Overwrites d. */
double tsr_decimal_get(tsr_decimal *d);

#endif
