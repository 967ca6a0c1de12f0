/* Elementary functions; see elementary.h. The argument is reduced to near 0 by a multiple of a constant in two parts;
 * the first part has so few bits that its multiples are exact. Then the series is summed from its last term to its
 * first, with as many terms as a double's precision needs. */
#include "elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* sin(x + turns * pi / 2) */
static double sine(double x, int turns) {
  if (!(fabs(x) <= 1e6)) return NAN;
  double n = rint(x * 0.63661977236758138), sum = 1;
  x = (x - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11;
  turns = (int)((unsigned)turns + (unsigned)(int)n);
  int even = turns & 1; /* a cosine: its series has the even powers */
  for (int k = even ? 18 : 19; k > 1; k -= 2) sum = 1 - sum * x * x / (k * (k - 1));
  if (!even) sum *= x;
  return turns & 2 ? -sum : sum;
}

double tsr_sin(double x) { return sine(x, 0); }
double tsr_cos(double x) { return sine(x, 1); }

double tsr_exp(double x) {
  if (x < -708) return 0;
  if (!(x < 709)) return x + INFINITY; /* NaN stays */
  double n = rint(x * 1.4426950408889634), sum = 1, power;
  x = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  for (int k = 14; k > 0; k--) sum = 1 + sum * x / k;
  uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
  memcpy(&power, &bits, sizeof power);
  return sum * power;
}

double tsr_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint64_t near = bits - ((uint64_t)0x3FE6A09E << 32); /* makes the reduced x lie between sqrt(1/2) and sqrt(2) */
  double n = (double)((int64_t)near >> 52), sum = 0;
  bits -= near >> 52 << 52;
  memcpy(&x, &bits, sizeof x);
  x = (x - 1) / (x + 1);
  for (int k = 21; k > 1; k -= 2) sum = (sum + 1.0 / k) * x * x;
  return n * 0.69314718055994530942 + 2 * (x + x * sum);
}
