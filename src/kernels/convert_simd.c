/* The widening of half floats and the quantization of weights with SIMD. */
#include "convert.h"
#include "simd.h"

/* Exponent and mantissa move to their place in f32; multiplying by 2^112 corrects the bias and normalizes subnormals,
 * exactly. An exponent of 31 becomes 255: infinity, or NaN with its payload. */
enum { MAGNITUDE, INFINITE, EXPONENT, F16_CONSTANTS };
static const volatile int32_t f16_constants[F16_CONSTANTS] = {/* volatile: see simd.h */
                                                              [MAGNITUDE] = 0x7fff,
                                                              [INFINITE] = 0x0f7fffff,
                                                              [EXPONENT] = 0x7f800000};

TSR_INLINE tsr_f32x4 from_f16x4(const void *x, const tsr_i32x4 *k, tsr_f32x4 two112) {
  tsr_i32x4 h = tsr_i32x4_load_u16x4(x), magnitude = tsr_i32x4_and(h, k[MAGNITUDE]);
  tsr_i32x4 sign = tsr_i32x4_shl(tsr_i32x4_andnot(h, k[MAGNITUDE]), 16), moved = tsr_i32x4_shl(magnitude, 13);
  tsr_i32x4 special = tsr_i32x4_and(tsr_i32x4_gt(moved, k[INFINITE]), k[EXPONENT]);
  tsr_f32x4 value = tsr_f32x4_mul(tsr_i32x4_as_f32(moved), two112);
  return tsr_i32x4_as_f32(tsr_i32x4_or(tsr_i32x4_or(tsr_f32x4_bits(value), special), sign));
}

void tsr_k_f16_to_f32_simd(float *y, const void *x, int n) {
  static const volatile float power = 0x1p112f;
  tsr_i32x4 k[F16_CONSTANTS];
  for (int i = 0; i < F16_CONSTANTS; i++) k[i] = tsr_i32x4_splat(f16_constants[i]);
  tsr_f32x4 two112 = tsr_f32x4_splat(power);
  const char *half = x;
  int i = 0;
  for (; i + 4 <= n; i += 4) tsr_f32x4_store(y + i, from_f16x4(half + 2 * (size_t)i, k, two112));
  if (i < n) {
    uint16_t edge[4] = {0};
    memcpy(edge, half + 2 * (size_t)i, 2 * (size_t)(n - i));
    tsr_f32x4_store_part(y + i, from_f16x4(edge, k, two112), n - i);
  }
}

void tsr_k_bf16_to_f32_simd(float *y, const void *x, int n) {
  const char *half = x;
  int i = 0;
  for (; i + 4 <= n; i += 4)
    tsr_f32x4_store(y + i, tsr_i32x4_as_f32(tsr_i32x4_shl(tsr_i32x4_load_u16x4(half + 2 * (size_t)i), 16)));
  for (; i < n; i++) {
    uint32_t bits = 0;
    uint16_t h;
    memcpy(&h, half + 2 * (size_t)i, sizeof h);
    bits = (uint32_t)h << 16;
    memcpy(y + i, &bits, sizeof bits);
  }
}

TSR_INLINE tsr_i32x4 quantize4(const float *w, tsr_f32x4 scale, tsr_f32x4 most, tsr_f32x4 least, tsr_f32x4 magic) {
  tsr_f32x4 ratio = tsr_f32x4_div(tsr_f32x4_load(w), scale);
  ratio = tsr_i32x4_as_f32(tsr_i32x4_and(tsr_f32x4_bits(ratio), tsr_f32x4_eq(ratio, ratio))); /* NaN -> 0 */
  ratio = tsr_f32x4_max(tsr_f32x4_min(ratio, most), least);
  return tsr_i32x4_sub(tsr_f32x4_bits(tsr_f32x4_add(ratio, magic)), tsr_f32x4_bits(magic));
}

/* Updates *most with the largest |w| of eight weights, *pairs with the sums of their parts (convert_ref.c), without
 * NaN. */
TSR_INLINE void bounds8(const float *w, tsr_f32x4 zero, tsr_f32x4 *most, tsr_f32x4 *pairs) {
  tsr_f32x4 a = tsr_f32x4_load(w), b = tsr_f32x4_load(w + 4);
  tsr_f32x4 above = tsr_f32x4_add(tsr_f32x4_max(zero, a), tsr_f32x4_max(zero, b));
  tsr_f32x4 below =
      tsr_f32x4_add(tsr_f32x4_max(zero, tsr_f32x4_sub(zero, a)), tsr_f32x4_max(zero, tsr_f32x4_sub(zero, b)));
  *most = tsr_f32x4_max(tsr_f32x4_max(*most, tsr_f32x4_abs(a)), tsr_f32x4_abs(b));
  *pairs = tsr_f32x4_max(*pairs, tsr_f32x4_add(above, tsr_f32x4_swap_pairs(above)));
  *pairs = tsr_f32x4_max(*pairs, tsr_f32x4_add(below, tsr_f32x4_swap_pairs(below)));
}

static float scale_of(const float *w, int k) {
  tsr_f32x4 zero = tsr_f32x4_splat(0), most = zero, pairs = zero;
  int p = 0;
  for (; p + 8 <= k; p += 8) bounds8(w + p, zero, &most, &pairs);
  if (p < k) {
    float edge[8] = {0};
    for (int i = 0; p + i < k; i++) edge[i] = w[p + i];
    bounds8(edge, zero, &most, &pairs);
  }
  return tsr_weight_scale(tsr_f32x4_highest(most), tsr_f32x4_highest(pairs));
}

void tsr_k_quantize_weight_q8_simd(int8_t *q, float *scale, const float *w, int n, int k) {
  static const volatile float limits[3] = {TSR_Q8_MAX, -TSR_Q8_MAX, TSR_ROUND_MAGIC};
  tsr_f32x4 most = tsr_f32x4_splat(limits[0]), least = tsr_f32x4_splat(limits[1]), magic = tsr_f32x4_splat(limits[2]);
  for (int i = 0; i < n; i++, w += k, q += k) {
    scale[i] = scale_of(w, k);
    tsr_f32x4 divisor = tsr_f32x4_splat(scale[i]);
    int p = 0;
    for (; p + 8 <= k; p += 8)
      tsr_i16x8_store_i8(q + p, tsr_i16x8_narrow(quantize4(w + p, divisor, most, least, magic),
                                                 quantize4(w + p + 4, divisor, most, least, magic)));
    for (; p < k; p++) q[p] = tsr_weight_value(w[p], scale[i]);
  }
}

void tsr_k_sum_i8_simd(int32_t *sum, const int8_t *q, int n, int k) {
  static const volatile int16_t one = 1;
  tsr_i16x8 ones = tsr_i16x8_splat(one);
  for (int i = 0; i < n; i++, q += k) {
    tsr_i32x4 four = tsr_i32x4_splat(0);
    int32_t lane[4];
    int p = 0;
    for (; p + 8 <= k; p += 8) four = tsr_i32x4_add(four, tsr_i32x4_dot_i16x8(tsr_i16x8_load_i8x8(q + p), ones));
    tsr_i32x4_store(lane, four);
    sum[i] = lane[0] + lane[1] + lane[2] + lane[3];
    for (; p < k; p++) sum[i] += q[p];
  }
}
