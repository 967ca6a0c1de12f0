/* The packing of weights and the quantizing of rows for 8-bit products. The simd and the relaxed file define before
 * including it:
 *   TSR_Q8_NAME(op)        name of the kernel, e.g. tsr_k_##op##_simd
 *   tsr_q8_element         type of a quantized activation
 *   TSR_Q8_GROUP           neighbours in k per block of a panel; their activations fill 32 bits, called a unit
 *   TSR_Q8_ROWS            rows of a group
 *   TSR_Q8_STORE8(y, apart, v)    stores eight i16 of 0..127 as elements, in units `apart` elements from each other */
#include "gemm_q8_pack.h"

int TSR_Q8_NAME(gemm_q8_row_bytes)(int k) {
  int padded = tsr_q8_padded(k), bytes = (int)sizeof(tsr_q8_element);
  return padded > INT32_MAX / bytes ? INT32_MAX : padded * bytes;
}

/* The row's range. *is_finite becomes 1 if it has neither NaN nor an infinity and its sum does not overflow. */
static tsr_q8_range range_of_row(const float *x, int k, int *is_finite) {
  tsr_f32x4 low = tsr_f32x4_splat(0), high = low, sum = low;
  int p = 0;
  for (; p + 4 <= k; p += 4) { /* min and max drop a NaN of their second operand */
    tsr_f32x4 v = tsr_f32x4_load(x + p);
    low = tsr_f32x4_min(low, v), high = tsr_f32x4_max(high, v), sum = tsr_f32x4_add(sum, v);
  }
  float least = tsr_f32x4_lowest(low), greatest = tsr_f32x4_highest(high), total = tsr_f32x4_sum(sum);
  for (; p < k; p++) {
    if (x[p] < least) least = x[p];
    if (x[p] > greatest) greatest = x[p];
  }
  *is_finite = total - total == 0;
  return tsr_q8_range_of(least, greatest);
}

/* tsr_q8_value of four numbers without its last clamp. A row of finite numbers needs no other clamp either. */
TSR_INLINE tsr_i32x4 quantize4(const float *x, tsr_f32x4 low, tsr_f32x4 high, tsr_f32x4 inverse, tsr_f32x4 magic,
                               tsr_i32x4 offset, int is_finite) {
  tsr_f32x4 v = tsr_f32x4_load(x);
  if (!is_finite) {
    v = tsr_i32x4_as_f32(tsr_i32x4_and(tsr_f32x4_bits(v), tsr_f32x4_eq(v, v))); /* NaN -> 0 */
    v = tsr_f32x4_min(tsr_f32x4_max(v, low), high);
  }
  v = tsr_f32x4_add(tsr_f32x4_mul(v, inverse), magic);
  return tsr_i32x4_sub(tsr_f32x4_bits(v), offset);
}

enum { APART = TSR_Q8_ROWS * TSR_Q8_GROUP }; /* elements from a row's unit to its next */

TSR_INLINE void quantize_row(tsr_q8_element *y, const float *x, int k, const tsr_q8_range *range, int is_finite) {
  static const volatile float round_magic = TSR_ROUND_MAGIC; /* see simd.h on constants */
  static const volatile int16_t most = TSR_Q8_MAX;
  tsr_f32x4 low = tsr_f32x4_splat(range->low), high = tsr_f32x4_splat(range->high);
  tsr_f32x4 inverse = tsr_f32x4_splat(range->inverse), magic = tsr_f32x4_splat(round_magic);
  tsr_i32x4 offset = tsr_i32x4_splat(TSR_ROUND_BITS - range->zero);
  tsr_i16x8 zero16 = tsr_i16x8_splat(0), most16 = tsr_i16x8_splat(most);
  int p = 0, padded = tsr_q8_padded(k);
  for (; p + 8 <= k; p += 8, y += 8 / TSR_Q8_GROUP * APART) {
    tsr_i32x4 a = quantize4(x + p, low, high, inverse, magic, offset, is_finite);
    tsr_i32x4 b = quantize4(x + p + 4, low, high, inverse, magic, offset, is_finite);
    TSR_Q8_STORE8(y, APART, tsr_i16x8_min(tsr_i16x8_max(tsr_i16x8_narrow(a, b), zero16), most16));
  }
  for (; p < padded; p++)
    y[p % 8 / TSR_Q8_GROUP * APART + p % TSR_Q8_GROUP] = p < k ? (tsr_q8_element)tsr_q8_value(range, x[p]) : 0;
}

void TSR_Q8_NAME(gemm_q8_quantize)(void *q, float *scale, int32_t *zero, const float *x, int ldx, int m, int k) {
  size_t row = (size_t)tsr_q8_padded(k);
  for (int i = 0; i < m; i++) {
    int is_finite, place = i % TSR_Q8_ROWS;
    tsr_q8_element *y = (tsr_q8_element *)q + (size_t)(i - place) * row + place * TSR_Q8_GROUP;
    tsr_q8_range range = range_of_row(x + (size_t)i * ldx, k, &is_finite);
    if (is_finite) quantize_row(y, x + (size_t)i * ldx, k, &range, 1);
    else quantize_row(y, x + (size_t)i * ldx, k, &range, 0);
    scale[i] = range.scale;
    zero[i] = range.zero;
  }
}
