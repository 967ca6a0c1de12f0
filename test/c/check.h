/* What every native test includes: checks that count and report, and a seeded generator.
 *
 *   int main(void) { CHECK(1 + 1 == 2); CHECK_NEAR(x, 0.5, 1e-6); return check_done("arena"); }
 *
 * A failed check prints file, line and values, and the program exits with 1 at the end. A test program without a
 * single check fails. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int check_count, check_failed;

#define CHECK(condition) \
  (check_count++,        \
   (condition) ? 1 : (check_failed++, printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition), 0))

#define CHECK_NEAR(got, want, tolerance)                                                                          \
  do {                                                                                                            \
    double check_got = (got), check_want = (want);                                                                \
    check_count++;                                                                                                \
    if (!(fabs(check_got - check_want) <= (tolerance)))                                                           \
      check_failed++, printf("%s:%d: %s is %.9g, expected %.9g within %g\n", __FILE__, __LINE__, #got, check_got, \
                             check_want, (double)(tolerance));                                                    \
  } while (0)

#define CHECK_INT(got, want)                                                                                         \
  do {                                                                                                               \
    long long check_got = (long long)(got), check_want = (long long)(want);                                          \
    check_count++;                                                                                                   \
    if (check_got != check_want)                                                                                     \
      check_failed++, printf("%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #got, check_got, check_want); \
  } while (0)

#define CHECK_TEXT(got, want)                                                                    \
  do {                                                                                           \
    const char *check_got = (got), *check_want = (want);                                         \
    check_count++;                                                                               \
    if (!check_got || strcmp(check_got, check_want))                                             \
      check_failed++, printf("%s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #got, \
                             check_got ? check_got : "(null)", check_want);                      \
  } while (0)

/* The text contains the part. */
#define CHECK_HAS(got, part)                                                                        \
  do {                                                                                              \
    const char *check_got = (got), *check_part = (part);                                            \
    check_count++;                                                                                  \
    if (!check_got || !strstr(check_got, check_part))                                               \
      check_failed++, printf("%s:%d: %s is \"%s\", which lacks \"%s\"\n", __FILE__, __LINE__, #got, \
                             check_got ? check_got : "(null)", check_part);                         \
  } while (0)

static inline int check_done(const char *name) {
  if (!check_count) printf("%s: no check was made\n", name);
  printf("%s: %d checks, %d failed\n", name, check_count, check_failed);
  return check_failed || !check_count;
}

/* splitmix64: the same numbers on every machine. */
static inline uint64_t check_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* In [-1, 1). */
static inline float check_uniform(uint64_t *state) {
  return (float)((double)(check_random(state) >> 11) * (2.0 / 9007199254740992.0) - 1.0);
}

#endif
