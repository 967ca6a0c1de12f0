/* GELU, shared by the simd and the relaxed file, which define TSR_GELU_NAME(op), a kernel's name, and TSR_MADD(a, b, c), a * b + c. It is bound by
 * the number of its operations: taking several vectors side by side gains nothing in V8, fused multiply-add two thirds. */
#include "kernels.h"
#include "simd.h"

/* gelu(x) = max(x, 0) - h(|x|) with h(a) = a/2 erfc(a / sqrt 2), a small bump that is 0 at both ends: on [0, 5.5]
 * h(a) = a (5.5 - a)^2 p(u), u = a / 2.75 - 1, p of degree 13 (minimax, 1.7e-7 absolute; 4.1e-7 with all rounding), and
 * 0 beyond, where the true value is below 1.1e-7. No exp, no division, and exact for 0 and large |x|. */
enum { END = 14, TO_U, GELU_CONSTANTS };
static const volatile float gelu_constants[GELU_CONSTANTS] = { /* p's coefficients from u^0 up; volatile: see simd.h */
    0.000394021656f, -0.00251883385f, 0.00707159145f,  -0.0106832711f, 0.00751925725f,
    0.00227844412f,  -0.0097959917f,  0.00710922107f,  0.0025819079f,  -0.00684355246f,
    0.00111991412f,  0.00302634621f,  -0.000628476846f, -0.000634734984f,
    [END] = 5.5f,
    [TO_U] = 1 / 2.75f,
};

TSR_INLINE tsr_f32x4 gelu4(tsr_f32x4 x, const tsr_f32x4 *k, tsr_f32x4 one, tsr_f32x4 zero) {
  tsr_f32x4 a = tsr_f32x4_min(tsr_f32x4_abs(x), k[END]), rest = tsr_f32x4_sub(k[END], a);
  tsr_f32x4 u = tsr_f32x4_sub(tsr_f32x4_mul(a, k[TO_U]), one), p = k[END - 1];
#pragma GCC unroll 16
  for (int i = END - 2; i >= 0; i--) p = TSR_MADD(p, u, k[i]);
  tsr_f32x4 bump = tsr_f32x4_mul(tsr_f32x4_mul(a, rest), tsr_f32x4_mul(rest, p));
  return tsr_f32x4_sub(tsr_f32x4_max(x, zero), bump);
}

void TSR_GELU_NAME(gelu)(float *y, const float *x, int n) {
  static const volatile float unit = 1;
  tsr_f32x4 k[GELU_CONSTANTS], one = tsr_f32x4_splat(unit), zero = tsr_f32x4_splat(0);
#pragma GCC unroll 16
  for (int i = 0; i < GELU_CONSTANTS; i++) k[i] = tsr_f32x4_splat(gelu_constants[i]);
  int i = 0;
  for (; i + 4 <= n; i += 4) tsr_f32x4_store(y + i, gelu4(tsr_f32x4_load(x + i), k, one, zero));
  if (i < n) tsr_f32x4_store_part(y + i, gelu4(tsr_f32x4_load_part(x + i, n - i, 0), k, one, zero), n - i);
}

/* The same with h(a) = a (4.18 - a)^2 p(a) on [0, 4.18], p of degree 6: 6.6e-5 off at most, and fourteen operations instead of 23. */
enum { COARSE_END = 7, COARSE_CONSTANTS };
static const volatile float coarse_constants[COARSE_CONSTANTS] = {
    0.0285128132f,  -0.00828807056f,  -0.00821802672f, 0.00383950421f,
    5.1682393e-05f, -0.000245287869f, 3.16050464e-05f, [COARSE_END] = 4.18f,
};

TSR_INLINE tsr_f32x4 coarse4(tsr_f32x4 x, const tsr_f32x4 *k, tsr_f32x4 zero) {
  tsr_f32x4 a = tsr_f32x4_min(tsr_f32x4_abs(x), k[COARSE_END]), rest = tsr_f32x4_sub(k[COARSE_END], a), p = k[COARSE_END - 1];
#pragma GCC unroll 8
  for (int i = COARSE_END - 2; i >= 0; i--) p = TSR_MADD(p, a, k[i]);
  tsr_f32x4 bump = tsr_f32x4_mul(tsr_f32x4_mul(a, rest), tsr_f32x4_mul(rest, p));
  return tsr_f32x4_sub(tsr_f32x4_max(x, zero), bump);
}

void TSR_GELU_NAME(gelu_coarse)(float *y, const float *x, int n) {
  tsr_f32x4 k[COARSE_CONSTANTS], zero = tsr_f32x4_splat(0);
#pragma GCC unroll 8
  for (int i = 0; i < COARSE_CONSTANTS; i++) k[i] = tsr_f32x4_splat(coarse_constants[i]);
  int i = 0;
  for (; i + 4 <= n; i += 4) tsr_f32x4_store(y + i, coarse4(tsr_f32x4_load(x + i), k, zero));
  if (i < n) tsr_f32x4_store_part(y + i, coarse4(tsr_f32x4_load_part(x + i, n - i, 0), k, zero), n - i);
}
