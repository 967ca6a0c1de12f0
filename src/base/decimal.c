/* Conversion between doubles and decimal digits; see decimal.h. */
#include "decimal.h"

#include <math.h>
#include <string.h>

enum { MOST_BITS = 59 }; /* the longest shift in one step, because 10 * 2^59 fits 64 bits */

void tsr_decimal_push(tsr_decimal *d, int digit) {
  if (d->count < TSR_DECIMAL_DIGITS) d->digits[d->count++] = (uint8_t)digit;
  else if (digit && !d->digits[d->count - 1]) d->digits[d->count - 1] = 1;
}

static void trim(tsr_decimal *d) {
  while (d->count && !d->digits[d->count - 1]) d->count--;
  if (!d->count) d->point = 0;
}

/* d / 2^bits: long division from the front, which overwrites the digits it has read. */
static void shift_right(tsr_decimal *d, int bits) {
  uint64_t rest = 0;
  int count = d->count;
  d->count = 0;
  for (int i = 0; i < count || rest; i++) {
    rest = rest * 10 + (i < count ? d->digits[i] : 0);
    int digit = (int)(rest >> bits);
    rest &= ((uint64_t)1 << bits) - 1;
    if (d->count || digit) tsr_decimal_push(d, digit);
    else d->point--;
  }
  trim(d);
}

/* d * 2^bits: multiplication from the back, into a buffer with room for the most digits that it can add (MORE). */
static void shift_left(tsr_decimal *d, int bits) {
  enum { MORE = 19 };
  uint8_t product[TSR_DECIMAL_DIGITS + MORE];
  uint64_t carry = 0;
  int count = d->count, end = count + MORE, at = end;
  while (at > 0) {
    int from = --at - MORE;
    carry += from >= 0 ? (uint64_t)d->digits[from] << bits : 0;
    product[at] = (uint8_t)(carry % 10);
    carry /= 10;
  }
  while (at < end && !product[at]) at++;
  d->point += MORE - at;
  d->count = 0;
  for (; at < end; at++) tsr_decimal_push(d, product[at]);
  trim(d);
}

/* d * 2^bits, for bits of either sign and any size. */
static void shift(tsr_decimal *d, int bits) {
  for (int step; d->count && bits; bits -= step) {
    step = bits > MOST_BITS ? MOST_BITS : bits < -MOST_BITS ? -MOST_BITS : bits;
    if (step > 0) shift_left(d, step);
    else shift_right(d, -step);
  }
}

void tsr_decimal_set(tsr_decimal *d, double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int exponent = (int)(bits >> 52);
  uint64_t mantissa = bits & (((uint64_t)1 << 52) - 1);
  if (exponent) mantissa |= (uint64_t)1 << 52;
  else exponent = 1;
  d->count = d->point = 20;
  for (int i = 20; i-- > 0; mantissa /= 10) d->digits[i] = (uint8_t)(mantissa % 10);
  shift_right(d, 0); /* only drops leading zeros */
  shift(d, exponent - 1075);
}

/* 1 if the digits from `at` on are more than half a unit of digit at - 1, or exactly half and that digit is odd. */
static int rounds_up(const tsr_decimal *d, int at) {
  if (at < 0 || at >= d->count) return 0;
  if (d->digits[at] != 5 || at + 1 < d->count) return d->digits[at] >= 5;
  return at && d->digits[at - 1] & 1;
}

void tsr_decimal_round(tsr_decimal *d, int digits) {
  if (digits >= d->count) return;
  int up = rounds_up(d, digits);
  d->count = digits > 0 ? digits : 0;
  if (up) {
    while (d->count && d->digits[d->count - 1] == 9) d->count--;
    if (d->count) d->digits[d->count - 1]++;
    else d->digits[d->count++] = 1, d->point++;
  }
  trim(d);
}

/* 2^exponent for a normal result. */
static double power_of_two(int exponent) {
  uint64_t bits = (uint64_t)(exponent + 1023) << 52;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

double tsr_decimal_get(tsr_decimal *d) {
  if (!d->count || d->point < -330) return 0;
  if (d->point > 310) return INFINITY;
  int exponent = 0;
  /* never below 1/16, because 8^p < 10^p */
  for (int step; d->point > 0; exponent += step) shift(d, -(step = 3 * d->point));
  for (int step; d->point < 0 || d->digits[0] < 5; exponent -= step) shift(d, step = d->point < 0 ? -3 * d->point : 1);
  /* Now d is in [1/2, 1) and the number is d * 2^exponent. It is rounded to 53 bits, or fewer for a subnormal
   * number. */
  int bits = exponent < -1021 ? 53 + 1021 + exponent : 53;
  if (bits < 0) return 0;
  shift(d, bits);
  tsr_decimal_round(d, d->point);
  uint64_t mantissa = 0;
  for (int i = 0; i < d->point; i++) mantissa = mantissa * 10 + (i < d->count ? d->digits[i] : 0);
  exponent -= bits;
  return (double)mantissa * power_of_two(exponent / 2) * power_of_two(exponent - exponent / 2);
}
