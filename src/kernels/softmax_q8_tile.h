/* The softmax whose results are 7-bit rows for the 8-bit product. The simd and the relaxed file
 * include gemm_q8_rows.h before it and define:
 *   TSR_MADD(a, b, c)     a * b + c */
#include "softmax_top.h"

/* 127 * 2^t for t <= 0, computed as in softmax_tile.h, with 2^r by a polynomial of degree 2 (minimax for relative
 * error, 2e-3, which is at most a quarter of a quantization step). NaN counts as -infinity. */
enum { FACTOR, MAGIC, C2, C1, C0, LOWEST, TOP, EXP_CONSTANTS };
static const volatile float exp_constants[EXP_CONSTANTS] = {
    /* volatile: see simd.h */
    [FACTOR] = 1.44269504f, /* log2(e); multiplied by the caller's scale */
    [MAGIC] = TSR_ROUND_MAGIC, [C2] = 0.23842439f, [C1] = 0.70344424f,
    [C0] = 1.0004431f,         [LOWEST] = -100,    [TOP] = 6.98868469f, /* log2(127) */
};

TSR_INLINE tsr_f32x4 power_of(tsr_f32x4 t, const tsr_f32x4 *k) {
  t = tsr_f32x4_max(k[LOWEST], t);
  tsr_f32x4 shifted = tsr_f32x4_add(t, k[MAGIC]), r = tsr_f32x4_sub(t, tsr_f32x4_sub(shifted, k[MAGIC]));
  tsr_f32x4 p = TSR_MADD(TSR_MADD(k[C2], r, k[C1]), r, k[C0]);
  tsr_i32x4 exponent = tsr_i32x4_shl(tsr_f32x4_bits(shifted), 23); /* the shift drops the bits of MAGIC */
  return tsr_i32x4_as_f32(tsr_i32x4_add(tsr_f32x4_bits(p), exponent));
}

/* Computes four numbers, adds them to *sums, and returns them rounded. */
TSR_INLINE tsr_i32x4 step_of(tsr_f32x4 x, tsr_f32x4 shift, const tsr_f32x4 *k, tsr_f32x4 *sums) {
  tsr_f32x4 p = power_of(TSR_MADD(x, k[FACTOR], shift), k);
  *sums = tsr_f32x4_add(*sums, p);
  return tsr_i32x4_sub(tsr_f32x4_bits(tsr_f32x4_add(p, k[MAGIC])), tsr_f32x4_bits(k[MAGIC]));
}

TSR_INLINE void steps8(tsr_q8_element *y, tsr_f32x4 low, tsr_f32x4 high, tsr_f32x4 shift, const tsr_f32x4 *k,
                       tsr_f32x4 *sums) {
  TSR_Q8_STORE8(y, APART, tsr_i16x8_narrow(step_of(low, shift, k, &sums[0]), step_of(high, shift, k, &sums[1])));
}

/* Computes one row; returns its sum before rounding. */
TSR_INLINE float steps_of(tsr_q8_element *y, const float *x, int n, float top, const tsr_f32x4 *k) {
  tsr_f32x4 zero = tsr_f32x4_splat(0), sums[2] = {zero, zero}, shift = tsr_f32x4_sub(k[TOP], tsr_f32x4_splat(top));
  int j = 0;
  for (; j + 8 <= n; j += 8, y += 8 / TSR_Q8_GROUP * APART)
    steps8(y, tsr_f32x4_load(x + j), tsr_f32x4_load(x + j + 4), shift, k, sums);
  if (j < n)
    steps8(y, tsr_f32x4_load_part(x + j, n - j, NAN), tsr_f32x4_load_part(x + j + 4, n - j - 4, NAN), shift, k, sums);
  return tsr_f32x4_sum(tsr_f32x4_add(sums[0], sums[1]));
}

void TSR_Q8_NAME(softmax_part_q8)(void *q, const float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows) {
  tsr_f32x4 k[EXP_CONSTANTS];
#pragma GCC unroll 16
  for (int i = 0; i < EXP_CONSTANTS; i++) k[i] = tsr_f32x4_splat(exp_constants[i]);
  k[FACTOR] = tsr_f32x4_mul(k[FACTOR], tsr_f32x4_splat(scale));
  for (int i = 0; i < m; i++, x += ldx, rows++) {
    int place = i % TSR_Q8_ROWS;
    float top = tsr_top_of(x, n, k[FACTOR]);
    if (top < rows->top) top = rows->top;
    float shift = top == -INFINITY ? 0 : top; /* -inf - -inf would be NaN */
    float sum = steps_of((tsr_q8_element *)q + (size_t)(i - place) * (size_t)tsr_q8_padded(n) + place * TSR_Q8_GROUP, x,
                         n, shift, k);
    float keep[4];
    tsr_f32x4_store(keep, power_of(tsr_f32x4_splat(rows->top - shift), k));
    *rows = (tsr_softmax_row){top, top == -INFINITY ? 0 : rows->sum * keep[0] + sum, keep[0]};
  }
}
