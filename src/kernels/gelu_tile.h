/* The GELU for the simd and the relaxed file. They define before including it:
 *   TSR_GELU_NAME(op)     name of a kernel
 *   TSR_MADD(a, b, c)     a * b + c
 *
 * The number of operations limits its speed. */
#include "kernels.h"
#include "simd.h"

/* gelu(x) = max(x, 0) - h(|x|) with h(a) = a/2 erfc(a / sqrt 2), a small bump that is 0 at both ends. Approximation:
 * h(a) = a / p(a)^16 with p of degree 6 (minimax, error 2.5e-7 absolute; 5e-7 with all rounding; p(0) is 2^(1/16), so
 * that small x, which a norm may enlarge later, are off by less than 3e-6 of themselves). It needs no exp, and is exact
 * for 0 and for large |x|, because p^16 overflows there. The form is Hastings' (Approximations for Digital Computers,
 * 1955). gelu_coarse: p of degree 4 and p^8, error at most 7.3e-5. */
enum { FINE = 6, COARSE = 4, FINE_SQUARES = 4, COARSE_SQUARES = 3 };
/* The coefficients of p from a^0 up, then the largest a. volatile: see simd.h. */
static const volatile float fine_constants[FINE + 2] = {
    1.04427373f, 0.0520718098f, 0.0220940113f, 0.00339317508f, 6.23621963e-05f, 4.32158886e-05f, 6.61339573e-06f, 40,
};
static const volatile float coarse_constants[COARSE + 2] = {
    1.09104022f, 0.104636809f, 0.0583642815f, 0.000676296155f, 0.00410076427f, 200,
};

TSR_INLINE tsr_f32x4 gelu4(tsr_f32x4 x, const tsr_f32x4 *k, int degree, int squares, tsr_f32x4 zero) {
  tsr_f32x4 a = tsr_f32x4_min(tsr_f32x4_abs(x), k[degree + 1]), p = k[degree];
#pragma GCC unroll 8
  for (int i = degree - 1; i >= 0; i--) p = TSR_MADD(p, a, k[i]);
#pragma GCC unroll 4
  for (int i = 0; i < squares; i++) p = tsr_f32x4_mul(p, p);
  return tsr_f32x4_sub(tsr_f32x4_max(x, zero), tsr_f32x4_div(a, p));
}

TSR_INLINE void gelu(float *y, const float *x, int n, const volatile float *constants, int degree, int squares) {
  tsr_f32x4 k[FINE + 2], zero = tsr_f32x4_splat(0);
#pragma GCC unroll 8
  for (int i = 0; i < degree + 2; i++) k[i] = tsr_f32x4_splat(constants[i]);
  int i = 0;
  for (; i + 8 <= n; i += 8) { /* two at a time, for fewer turns of the loop */
    tsr_f32x4 first = gelu4(tsr_f32x4_load(x + i), k, degree, squares, zero);
    tsr_f32x4 second = gelu4(tsr_f32x4_load(x + i + 4), k, degree, squares, zero);
    tsr_f32x4_store(y + i, first);
    tsr_f32x4_store(y + i + 4, second);
  }
  for (; i < n; i += 4)
    tsr_f32x4_store_part(y + i, gelu4(tsr_f32x4_load_part(x + i, n - i, 0), k, degree, squares, zero), n - i);
}

void TSR_GELU_NAME(gelu)(float *y, const float *x, int n) { gelu(y, x, n, fine_constants, FINE, FINE_SQUARES); }

void TSR_GELU_NAME(gelu_coarse)(float *y, const float *x, int n) {
  gelu(y, x, n, coarse_constants, COARSE, COARSE_SQUARES);
}
