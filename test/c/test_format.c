/* Printing, digits of doubles and elementary functions against the C library, over chosen and random numbers.
 * Alone: make build/native/test_format && build/native/test_format */
#include "base/format.h"

#include <stdlib.h>

#include "base/decimal.h"
#include "base/elementary.h"
#include "check.h"

#define SAME(...)                                                \
  do {                                                           \
    char got[400], want[400];                                    \
    int length = tsr_print(got, sizeof got, __VA_ARGS__);        \
    CHECK_INT(length, snprintf(want, sizeof want, __VA_ARGS__)); \
    CHECK_TEXT(got, want);                                       \
  } while (0)

static uint64_t state = 88172645463325252u;
static uint64_t next(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state;
}

static double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static void words_and_whole_numbers(void) {
  SAME("plain");
  SAME("%d %d %d %d%%", 0, -7, INT32_MAX, INT32_MIN);
  SAME("%u %zu %lu %llu %lld %lld", 4000000000u, (size_t)SIZE_MAX, 77ul, (unsigned long long)UINT64_MAX,
       (long long)INT64_MIN, 12ll);
  SAME("%02x %02x %04x %x", 10, 255, 31, 0xabcdef);
  SAME("%s|%s|%c|%.3s|%.9s|%.*s|", "", "text", 'z', "abcdef", "ab", 2, "xyz");
  char few[6];
  CHECK_INT(tsr_print(few, sizeof few, "%s", "abcdef"), 6);
  CHECK_TEXT(few, "abcde");
  CHECK_INT(tsr_print(few, 1, "%d", 12), 2);
  CHECK_TEXT(few, "");
}

static void doubles(void) {
  static const double chosen[] = {0,
                                  -0.0,
                                  1,
                                  0.5,
                                  1.5,
                                  2.5,
                                  0.25,
                                  0.35,
                                  9.5,
                                  9.4999,
                                  99.95,
                                  0.05,
                                  0.95,
                                  999999.5,
                                  1e5,
                                  1e6,
                                  123456,
                                  1234567,
                                  1e-4,
                                  9.99999e-5,
                                  99999.95,
                                  1e15,
                                  1e16,
                                  1e22,
                                  1e23,
                                  1.7976931348623157e308,
                                  5e-324,
                                  2.2250738585072014e-308,
                                  0.1,
                                  0.224,
                                  0.875,
                                  255,
                                  4294967296.0,
                                  1 / 3.0,
                                  INFINITY,
                                  -INFINITY,
                                  NAN,
                                  0.000123456789,
                                  -12.375};
  for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
    SAME("%g %.9g %.15g %.17g", chosen[i], chosen[i], chosen[i], chosen[i]);
    SAME("%.0f %.1f %.3f", chosen[i], chosen[i], chosen[i]);
  }
  for (int i = 0; i < 20000; i++) {
    double x = double_of(next()), small = (double)(next() % 100000) / 8;
    float f = float_of((uint32_t)next());
    SAME("%g %.9g %.17g", x, x, x);
    SAME("%g %.0f %.1f %.9g", small, small, small, (double)f);
    if (isfinite(f)) { /* nine digits give a float back */
      char text[40];
      tsr_print(text, sizeof text, "%.9g", (double)f);
      CHECK(strtof(text, NULL) == f);
    }
  }
}

/* As the JSON reader does: digits without leading zeros, and where the point stands. */
static double read_back(const char *text) {
  tsr_decimal d = {.count = 0};
  const char *c = text;
  int pointed = 0, digits = 0;
  for (; *c && *c != 'e'; c++) {
    if (*c == '.') pointed = 1;
    else if (digits || *c != '0') digits++, d.point += !pointed, tsr_decimal_push(&d, *c - '0');
    else if (pointed) d.point--;
  }
  if (*c) d.point += atoi(c + 1);
  return tsr_decimal_get(&d);
}

static void reading(void) {
  static const char *const hard[] = {"9007199254740993",
                                     "9007199254740992.999999999999999999999999999999",
                                     "9007199254740993.0000000000000000000000000000000001",
                                     "2.2250738585072011e-308",
                                     "2.2250738585072012e-308",
                                     "4.9406564584124654e-324",
                                     "2.4703282292062327e-324",
                                     "2.4703282292062328e-324",
                                     "1.7976931348623157e308",
                                     "1.7976931348623158e308",
                                     "1.7976931348623159e308",
                                     "1e309",
                                     "1e-400",
                                     "0.3",
                                     "8.41e21",
                                     "9.5367431640625e-7",
                                     "6.02214076e23",
                                     "1e23",
                                     "8.5e22",
                                     "7.2057594037927933e16",
                                     "1448997445238699",
                                     "179769313486231570000000000000000000000e270",
                                     "0.000000000000000000000000000000000000000000000000000000000000123e60",
                                     "5708990770823839524233143877797980545530986496e0"};
  for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
    if (!CHECK(read_back(hard[i]) == strtod(hard[i], NULL))) printf("  %s\n", hard[i]);
  for (int i = 0; i < 20000; i++) {
    char text[900];
    double x = fabs(double_of(next()));
    if (!isfinite(x)) continue;
    snprintf(text, sizeof text, "%.*e", (int)(next() % 20), x);
    if (!CHECK(read_back(text) == strtod(text, NULL))) printf("  %s\n", text);
    if (i % 100) continue;
    /* The number halfway to the next one, in full: to even. A digit far behind, past all that are kept: up. */
    double after = double_of((uint64_t)0x0010000000000001 + (next() & 0xffe));
    snprintf(text, sizeof text, "%.780e", after / 2 + double_of(1) / 2);
    CHECK(read_back(text) == strtod(text, NULL));
  }
  char half[1200] = "9007199254740993."; /* 2^53 + 1, between two doubles */
  memset(half + 17, '0', 1000);
  CHECK(read_back(half) == 9007199254740992.0);
  half[1016] = '1';
  CHECK(read_back(half) == 9007199254740994.0);
}

static void functions(void) {
  for (int i = 0; i < 100000; i++) {
    double x = (double)(int64_t)next() / (double)INT64_MAX, y = x * (i & 1 ? 1e5 : 10), z = x * 700;
    CHECK_NEAR(tsr_sin(y), sin(y), 1e-15);
    CHECK_NEAR(tsr_cos(y), cos(y), 1e-15);
    CHECK_NEAR(tsr_exp(z) / exp(z), 1, 2e-15);
    CHECK_NEAR(tsr_log(exp(z)), z, 1e-15 * (1 + fabs(z)));
  }
  CHECK(tsr_sin(0) == 0 && tsr_cos(0) == 1 && tsr_exp(0) == 1);
  CHECK(isnan(tsr_sin(INFINITY)) && isnan(tsr_cos(NAN)) && isnan(tsr_exp(NAN)));
  CHECK(tsr_exp(INFINITY) == INFINITY && tsr_exp(800) == INFINITY && tsr_exp(-INFINITY) == 0 && tsr_exp(-800) == 0);
}

int main(void) {
  words_and_whole_numbers();
  doubles();
  reading();
  functions();
  return check_done("format");
}
