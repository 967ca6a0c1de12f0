/* Softmax, shared by the simd and the relaxed file, which define first:
 *   TSR_SOFTMAX_NAME(op)  name of the kernel
 *   TSR_MADD(a, b, c)     a * b + c */
#include "kernels.h"
#include "simd.h"

#include <math.h>

/* e^t for t <= 0: t = n ln 2 + r with |r| <= ln 2 / 2, e^r by a polynomial of degree 6 (minimax of (e^r - 1 - r) / r^2
 * for relative error, 3e-9 before rounding), and 2^n from the exponent bits. Below LOWEST: 0. NaN stays NaN. */
enum { LOG2_E, MAGIC, LN2_HIGH, LN2_LOW, C6, C5, C4, C3, C2, ONE, LOWEST, EXP_CONSTANTS };
static const volatile float exp_constants[EXP_CONSTANTS] = { /* volatile: see simd.h */
    [LOG2_E] = 1.44269504f,
    [MAGIC] = 12582912.0f,           /* 1.5 * 2^23: rounds to an integer in the low bits */
    [LN2_HIGH] = -0.693115234375f,   /* 12 zero bits at the end: n * LN2_HIGH is exact */
    [LN2_LOW] = -3.19461850e-5f,
    [C6] = 0.00138143741f,
    [C5] = 0.00836879667f,
    [C4] = 0.0416683964f,
    [C3] = 0.166665196f,
    [C2] = 0.49999994f,
    [ONE] = 1,
    [LOWEST] = -87.33f,              /* e^t stays a normal float above */
};

TSR_INLINE tsr_f32x4 exp4(tsr_f32x4 t, const tsr_f32x4 *k) {
  tsr_f32x4 shifted = TSR_MADD(t, k[LOG2_E], k[MAGIC]), n = tsr_f32x4_sub(shifted, k[MAGIC]);
  tsr_f32x4 r = TSR_MADD(n, k[LN2_LOW], TSR_MADD(n, k[LN2_HIGH], t));
  tsr_f32x4 p = TSR_MADD(k[C6], r, k[C5]);
  p = TSR_MADD(p, r, k[C4]);
  p = TSR_MADD(p, r, k[C3]);
  p = TSR_MADD(p, r, k[C2]);
  p = TSR_MADD(tsr_f32x4_mul(r, r), p, r); /* small terms first */
  p = tsr_f32x4_add(p, k[ONE]);
  /* The shift drops MAGIC's own bits and moves n to the exponent; adding to the bits of 1 makes it 2^n. */
  tsr_i32x4 power = tsr_i32x4_add(tsr_i32x4_shl(tsr_f32x4_bits(shifted), 23), tsr_f32x4_bits(k[ONE]));
  tsr_f32x4 y = tsr_f32x4_mul(p, tsr_i32x4_as_f32(power));
  return tsr_i32x4_as_f32(tsr_i32x4_andnot(tsr_f32x4_bits(y), tsr_f32x4_lt(t, k[LOWEST])));
}

static float highest_of(const float *x, int n, tsr_f32x4 scale) {
  tsr_f32x4 max = tsr_f32x4_splat(-INFINITY), other = max;
  int j = 0;
  for (; j + 8 <= n; j += 8) {
    max = tsr_f32x4_max(max, tsr_f32x4_mul(tsr_f32x4_load(x + j), scale));
    other = tsr_f32x4_max(other, tsr_f32x4_mul(tsr_f32x4_load(x + j + 4), scale));
  }
  max = tsr_f32x4_max(max, other);
  for (; j + 4 <= n; j += 4) max = tsr_f32x4_max(max, tsr_f32x4_mul(tsr_f32x4_load(x + j), scale));
  if (j < n) max = tsr_f32x4_max(max, tsr_f32x4_mul(tsr_f32x4_load_part(x + j, n - j, x[j]), scale));
  return tsr_f32x4_highest(max);
}

/* x = e^(factor * x - top) for one row; their sum. */
TSR_INLINE float exps_of(float *y, const float *x, int n, float top, tsr_f32x4 factor, const tsr_f32x4 *k) {
  tsr_f32x4 shift = tsr_f32x4_splat(top), sums = tsr_f32x4_splat(0);
  int j = 0;
  for (; j + 4 <= n; j += 4) {
    tsr_f32x4 e = exp4(tsr_f32x4_sub(tsr_f32x4_mul(tsr_f32x4_load(x + j), factor), shift), k);
    sums = tsr_f32x4_add(sums, e);
    tsr_f32x4_store(y + j, e);
  }
  float sum = tsr_f32x4_sum(sums);
  if (j < n) {
    float edge[4];
    tsr_f32x4 t = tsr_f32x4_sub(tsr_f32x4_mul(tsr_f32x4_load_part(x + j, n - j, 0), factor), shift);
    tsr_f32x4_store(edge, exp4(t, k));
    for (int r = 0; j + r < n; r++) sum += y[j + r] = edge[r];
  }
  return sum;
}

void TSR_SOFTMAX_NAME(softmax_part)(float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows) {
  tsr_f32x4 k[EXP_CONSTANTS], factor = tsr_f32x4_splat(scale);
  for (int i = 0; i < EXP_CONSTANTS; i++) k[i] = tsr_f32x4_splat(exp_constants[i]);
  for (int i = 0; i < m; i++, x += ldx, rows++) {
    float top = highest_of(x, n, factor);
    if (top < rows->top) top = rows->top;
    float shift = top == -INFINITY ? 0 : top; /* -inf - -inf would be NaN; so exp is 0 and the row's NaNs, if any, stay */
    tsr_f32x4 before = exp4(tsr_f32x4_splat(rows->top - shift), k);
    float sum = exps_of(x, x, n, shift, factor, k), keep[4];
    tsr_f32x4_store(keep, before);
    *rows = (tsr_softmax_row){top, rows->sum * keep[0] + sum, keep[0]};
  }
}

void TSR_SOFTMAX_NAME(softmax)(float *y, int ldy, const float *x, int ldx, float scale, int m, int n) {
  tsr_f32x4 k[EXP_CONSTANTS], factor = tsr_f32x4_splat(scale);
  for (int i = 0; i < EXP_CONSTANTS; i++) k[i] = tsr_f32x4_splat(exp_constants[i]);
  for (int i = 0; i < m; i++, x += ldx, y += ldy) {
    float top = highest_of(x, n, factor);
    if (top == -INFINITY) top = 0; /* -inf - -inf would be NaN; so exp is 0 and the row's NaNs, if any, stay */
    float sum = exps_of(y, x, n, top, factor, k), rate = sum == 0 ? 0 : 1 / sum;
    tsr_f32x4 rates = tsr_f32x4_splat(rate);
    int j;
    for (j = 0; j + 4 <= n; j += 4) tsr_f32x4_store(y + j, tsr_f32x4_mul(tsr_f32x4_load(y + j), rates));
    for (; j < n; j++) y[j] *= rate;
  }
}
