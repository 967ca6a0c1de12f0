/* The softmax for the simd and the relaxed file. They define before including it:
 *   TSR_SOFTMAX_NAME(op)  name of the kernel
 *   TSR_MADD(a, b, c)     a * b + c
 *   TSR_POWERS_OF_2       1: scores and tops are multiplied by log2(e) together with the scale, which is exact
 *                         enough only with a fused TSR_MADD; 0: they are multiplied after the top was subtracted */
#include "kernels.h"
#include "softmax_top.h"

/* 2^t for t <= 0: t = n + r with |r| <= 1/2; 2^r is a polynomial of degree 5 that is 1 at 0 (minimax for relative
 * error, 9e-8); n is added to the bits of the exponent. For t below LOWEST the result is 0, because t is clamped to
 * LOWEST, where the bits of 1 become those of 0. NaN stays NaN. */
enum { FACTOR, MAGIC, C5, C4, C3, C2, C1, ONE, LOWEST, LOG2_E, EXP_CONSTANTS };
static const volatile float exp_constants[EXP_CONSTANTS] = {
    /* volatile: see simd.h */
    [FACTOR] = TSR_POWERS_OF_2 ? 1.44269504f : 1, /* multiplied by the caller's scale */
    [MAGIC] = 12582912.0f,                        /* 1.5 * 2^23: rounds to an integer in the low bits */
    [C5] = 0.00132647271f,
    [C4] = 0.00967151264f,
    [C3] = 0.0555073374f,
    [C2] = 0.240222421f,
    [C1] = 0.693146978f,
    [ONE] = 1,
    [LOWEST] = -127,
    [LOG2_E] = 1.44269504f,
};

TSR_INLINE tsr_f32x4 exp4(tsr_f32x4 below_top, const tsr_f32x4 *k) {
  tsr_f32x4 t = tsr_f32x4_max(TSR_POWERS_OF_2 ? below_top : tsr_f32x4_mul(below_top, k[LOG2_E]), k[LOWEST]);
  tsr_f32x4 shifted = tsr_f32x4_add(t, k[MAGIC]), r = tsr_f32x4_sub(t, tsr_f32x4_sub(shifted, k[MAGIC]));
  tsr_f32x4 p = TSR_MADD(k[C5], r, k[C4]);
  p = TSR_MADD(p, r, k[C3]);
  p = TSR_MADD(p, r, k[C2]);
  p = TSR_MADD(p, r, k[C1]);
  p = TSR_MADD(p, r, k[ONE]);
  tsr_i32x4 exponent = tsr_i32x4_shl(tsr_f32x4_bits(shifted), 23); /* the shift drops the bits of MAGIC */
  return tsr_i32x4_as_f32(tsr_i32x4_add(tsr_f32x4_bits(p), exponent));
}

/* y = e^(scale * x - top) for one row; returns the sum of y. */
TSR_INLINE float exps_of(float *y, const float *x, int n, float top, const tsr_f32x4 *k) {
  tsr_f32x4 shift = tsr_f32x4_splat(-top), sums = tsr_f32x4_splat(0);
  int j = 0;
  for (; j + 8 <= n; j += 8) { /* two at a time, for fewer turns of the loop */
    tsr_f32x4 first = exp4(TSR_MADD(tsr_f32x4_load(x + j), k[FACTOR], shift), k);
    tsr_f32x4 second = exp4(TSR_MADD(tsr_f32x4_load(x + j + 4), k[FACTOR], shift), k);
    sums = tsr_f32x4_add(tsr_f32x4_add(sums, first), second);
    tsr_f32x4_store(y + j, first);
    tsr_f32x4_store(y + j + 4, second);
  }
  float sum = tsr_f32x4_sum(sums);
  for (; j < n; j += 4) {
    float edge[4];
    tsr_f32x4_store(edge, exp4(TSR_MADD(tsr_f32x4_load_part(x + j, n - j, 0), k[FACTOR], shift), k));
    for (int r = 0; r < 4 && j + r < n; r++) sum += y[j + r] = edge[r];
  }
  return sum;
}

/* Loads all constants for one scale. */
TSR_INLINE void load_constants(tsr_f32x4 *k, float scale) {
#pragma GCC unroll 16
  for (int i = 0; i < EXP_CONSTANTS; i++) k[i] = tsr_f32x4_splat(exp_constants[i]);
  k[FACTOR] = tsr_f32x4_mul(k[FACTOR], tsr_f32x4_splat(scale));
}

void TSR_SOFTMAX_NAME(softmax_part)(float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows) {
  tsr_f32x4 k[EXP_CONSTANTS];
  load_constants(k, scale);
  for (int i = 0; i < m; i++, x += ldx, rows++) {
    float top = tsr_top_of(x, n, k[FACTOR]);
    if (top < rows->top) top = rows->top;
    float shift = top == -INFINITY ? 0 : top; /* -inf - -inf would be NaN; with 0, exp is 0, and NaNs of the row stay */
    tsr_f32x4 before = exp4(tsr_f32x4_splat(rows->top - shift), k);
    float sum = exps_of(x, x, n, shift, k), keep[4];
    tsr_f32x4_store(keep, before);
    *rows = (tsr_softmax_row){top, rows->sum * keep[0] + sum, keep[0]};
  }
}

void TSR_SOFTMAX_NAME(softmax)(float *y, int ldy, const float *x, int ldx, float scale, int m, int n) {
  tsr_f32x4 k[EXP_CONSTANTS];
  load_constants(k, scale);
  for (int i = 0; i < m; i++, x += ldx, y += ldy) {
    float top = tsr_top_of(x, n, k[FACTOR]);
    if (top == -INFINITY) top = 0; /* -inf - -inf would be NaN; with 0, exp is 0, and NaNs of the row stay */
    float sum = exps_of(y, x, n, top, k), rate = sum == 0 ? 0 : 1 / sum;
    tsr_f32x4 rates = tsr_f32x4_splat(rate);
    int j;
    for (j = 0; j + 4 <= n; j += 4) tsr_f32x4_store(y + j, tsr_f32x4_mul(tsr_f32x4_load(y + j), rates));
    for (; j < n; j++) y[j] *= rate;
  }
}
