/* Layer norm, softmax and L2 normalization with SIMD. */
#include "kernels.h"
#include "simd.h"

#include <math.h>

/* Sum of x[j] - shift, squared or not; shift 0 with square 0 is the plain sum. Two accumulators: an add's latency is
 * three to four times its throughput, and shorter sums round less. */
TSR_INLINE float sum_of(const float *x, int c, float shift, int square) {
  tsr_f32x4 s = tsr_f32x4_splat(shift), a = tsr_f32x4_splat(0), b = a;
  int j = 0;
  for (; j + 8 <= c; j += 8) {
    tsr_f32x4 u = tsr_f32x4_sub(tsr_f32x4_load(x + j), s), v = tsr_f32x4_sub(tsr_f32x4_load(x + j + 4), s);
    a = tsr_f32x4_add(a, square ? tsr_f32x4_mul(u, u) : u);
    b = tsr_f32x4_add(b, square ? tsr_f32x4_mul(v, v) : v);
  }
  float sum = tsr_f32x4_sum(tsr_f32x4_add(a, b));
  for (; j < c; j++) sum += square ? (x[j] - shift) * (x[j] - shift) : x[j] - shift;
  return sum;
}

void tsr_k_layer_norm_simd(float *y, const float *x, const float *gamma, const float *beta, float eps, int m, int c) {
  for (int i = 0; i < m; i++, x += c, y += c) {
    float mean = sum_of(x, c, 0, 0) / (float)c;
    float rate = 1 / sqrtf(sum_of(x, c, mean, 1) / (float)c + eps);
    tsr_f32x4 shift = tsr_f32x4_splat(mean), factor = tsr_f32x4_splat(rate);
    int j = 0;
    for (; j + 4 <= c; j += 4) {
      tsr_f32x4 v = tsr_f32x4_mul(tsr_f32x4_sub(tsr_f32x4_load(x + j), shift), factor);
      if (gamma) v = tsr_f32x4_mul(v, tsr_f32x4_load(gamma + j));
      if (beta) v = tsr_f32x4_add(v, tsr_f32x4_load(beta + j));
      tsr_f32x4_store(y + j, v);
    }
    for (; j < c; j++) y[j] = (x[j] - mean) * rate * (gamma ? gamma[j] : 1) + (beta ? beta[j] : 0);
  }
}

void tsr_k_l2_normalize_simd(float *y, const float *x, float eps, int m, int c) {
  for (int i = 0; i < m; i++, x += c, y += c) {
    float norm = sqrtf(sum_of(x, c, 0, 1));
    if (norm < eps) norm = eps;
    tsr_f32x4 divisor = tsr_f32x4_splat(norm);
    int j = 0;
    for (; j + 4 <= c; j += 4) tsr_f32x4_store(y + j, tsr_f32x4_div(tsr_f32x4_load(x + j), divisor));
    for (; j < c; j++) y[j] = x[j] / norm;
  }
}

/* e^t for t <= 0: t = n ln 2 + r with |r| <= ln 2 / 2, e^r by a polynomial of degree 6 (minimax of (e^r - 1 - r) / r^2
 * for relative error, 3e-9 before rounding), and 2^n from the exponent bits. Below LOWEST: 0. NaN stays NaN. */
enum { LOG2_E, MAGIC, LN2_HIGH, LN2_LOW, C6, C5, C4, C3, C2, ONE, LOWEST, EXP_CONSTANTS };
static const volatile float exp_constants[EXP_CONSTANTS] = { /* volatile: see simd.h */
    [LOG2_E] = 1.44269504f,
    [MAGIC] = 12582912.0f,           /* 1.5 * 2^23: rounds to an integer in the low bits */
    [LN2_HIGH] = 0.693115234375f,    /* 12 zero bits at the end: n * LN2_HIGH is exact */
    [LN2_LOW] = 3.19461850e-5f,
    [C6] = 0.00138143741f,
    [C5] = 0.00836879667f,
    [C4] = 0.0416683964f,
    [C3] = 0.166665196f,
    [C2] = 0.49999994f,
    [ONE] = 1,
    [LOWEST] = -87.33f,              /* e^t stays a normal float above */
};

TSR_INLINE tsr_f32x4 exp4(tsr_f32x4 t, const tsr_f32x4 *k) {
  tsr_f32x4 shifted = tsr_f32x4_add(tsr_f32x4_mul(t, k[LOG2_E]), k[MAGIC]), n = tsr_f32x4_sub(shifted, k[MAGIC]);
  tsr_f32x4 r = tsr_f32x4_sub(tsr_f32x4_sub(t, tsr_f32x4_mul(n, k[LN2_HIGH])), tsr_f32x4_mul(n, k[LN2_LOW]));
  tsr_f32x4 p = tsr_f32x4_add(tsr_f32x4_mul(k[C6], r), k[C5]);
  p = tsr_f32x4_add(tsr_f32x4_mul(p, r), k[C4]);
  p = tsr_f32x4_add(tsr_f32x4_mul(p, r), k[C3]);
  p = tsr_f32x4_add(tsr_f32x4_mul(p, r), k[C2]);
  p = tsr_f32x4_add(tsr_f32x4_mul(tsr_f32x4_mul(r, r), p), r); /* small terms first */
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

void tsr_k_softmax_part_simd(float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows) {
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

void tsr_k_softmax_simd(float *y, int ldy, const float *x, int ldx, float scale, int m, int n) {
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
