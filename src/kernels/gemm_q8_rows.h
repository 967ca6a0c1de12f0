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

/* The row's range. *sum: of the sizes of its numbers. */
static tsr_q8_range range_of_row(const float *x, int k, float *sum) {
  tsr_f32x4 low = tsr_f32x4_splat(0), high = low, sums = low;
  int p = 0;
  for (; p + 4 <= k; p += 4) { /* min and max drop a NaN of their second operand */
    tsr_f32x4 v = tsr_f32x4_load(x + p);
    low = tsr_f32x4_min(low, v), high = tsr_f32x4_max(high, v), sums = tsr_f32x4_add(sums, tsr_f32x4_abs(v));
  }
  float least = tsr_f32x4_lowest(low), greatest = tsr_f32x4_highest(high), total = tsr_f32x4_sum(sums);
  for (; p < k; p++) {
    if (x[p] < least) least = x[p];
    if (x[p] > greatest) greatest = x[p];
    total += fabsf(x[p]);
  }
  *sum = total;
  return tsr_q8_range_of(least, greatest);
}

enum { APART = TSR_Q8_ROWS * TSR_Q8_GROUP }; /* elements from a row's unit to its next */

/* How a row is quantized: with all clamps, as finite numbers, which need the last one alone, or its rest. */
enum { ANY, FINITE, REST };

typedef struct vectors {
  tsr_f32x4 low, high, inverse, magic, most, steps;
  tsr_i32x4 offset;
} vectors;

/* tsr_q8_value, or tsr_q8_rest_value, of four numbers without its last clamp. */
TSR_INLINE tsr_i32x4 quantize4(const float *x, const vectors *to, int how) {
  tsr_f32x4 v = tsr_f32x4_load(x);
  if (how == ANY) {
    v = tsr_i32x4_as_f32(tsr_i32x4_and(tsr_f32x4_bits(v), tsr_f32x4_eq(v, v))); /* NaN -> 0 */
    v = tsr_f32x4_min(tsr_f32x4_max(v, to->low), to->high);
  }
  v = tsr_f32x4_mul(v, to->inverse);
  if (how == REST) {
    tsr_f32x4 q = tsr_f32x4_sub(tsr_f32x4_add(v, to->magic), to->magic);
    v = tsr_f32x4_mul(tsr_f32x4_sub(v, tsr_f32x4_min(q, to->most)), to->steps);
  }
  return tsr_i32x4_sub(tsr_f32x4_bits(tsr_f32x4_add(v, to->magic)), to->offset);
}

TSR_INLINE void quantize_row(tsr_q8_element *y, const float *x, int k, const tsr_q8_range *range, int how) {
  static const volatile float round_magic = TSR_ROUND_MAGIC; /* see simd.h on constants */
  static const volatile int16_t most = TSR_Q8_MAX;
  vectors to = {.low = tsr_f32x4_splat(range->low),
                .high = tsr_f32x4_splat(range->high),
                .inverse = tsr_f32x4_splat(range->inverse),
                .magic = tsr_f32x4_splat(round_magic),
                .most = tsr_f32x4_splat((float)(TSR_Q8_MAX - range->zero)),
                .steps = tsr_f32x4_splat(TSR_Q8_MAX),
                .offset = tsr_i32x4_splat(TSR_ROUND_BITS - (how == REST ? TSR_Q8_MIDDLE : range->zero))};
  tsr_i16x8 zero16 = tsr_i16x8_splat(0), most16 = tsr_i16x8_splat(most);
  int p = 0, padded = tsr_q8_padded(k);
  for (; p + 8 <= k; p += 8, y += 8 / TSR_Q8_GROUP * APART) {
    tsr_i32x4 a = quantize4(x + p, &to, how), b = quantize4(x + p + 4, &to, how);
    TSR_Q8_STORE8(y, APART, tsr_i16x8_min(tsr_i16x8_max(tsr_i16x8_narrow(a, b), zero16), most16));
  }
  for (; p < padded; p++) {
    int32_t q = p >= k        ? 0
                : how == REST ? tsr_q8_rest_value(x[p], range->inverse, range->zero)
                              : tsr_q8_value(range, x[p]);
    y[p % 8 / TSR_Q8_GROUP * APART + p % TSR_Q8_GROUP] = (tsr_q8_element)q;
  }
}

/* Where row i of quantized rows begins. */
static tsr_q8_element *row_at(void *q, int i, int k) {
  int place = i % TSR_Q8_ROWS;
  return (tsr_q8_element *)q + (size_t)(i - place) * (size_t)tsr_q8_padded(k) + place * TSR_Q8_GROUP;
}

void TSR_Q8_NAME(gemm_q8_quantize)(void *q, float *scale, int32_t *zero, const float *x, int ldx, int m, int k,
                                   uint8_t *kind) {
  for (int i = 0; i < m; i++) {
    float sum;
    tsr_q8_range range = range_of_row(x + (size_t)i * ldx, k, &sum);
    uint8_t is = tsr_q8_kind(&range, sum, k);
    if (is == TSR_Q8_NOT_FINITE) quantize_row(row_at(q, i, k), x + (size_t)i * ldx, k, &range, ANY);
    else quantize_row(row_at(q, i, k), x + (size_t)i * ldx, k, &range, FINITE);
    scale[i] = range.scale;
    zero[i] = range.zero;
    if (kind) kind[i] = is;
  }
}

void TSR_Q8_NAME(gemm_q8_rest)(void *q, float *scale, int32_t *zero, const float *x, int ldx, const int32_t *rows,
                               int count, int k, const float *row_scale, const int32_t *row_zero) {
  for (int i = 0; i < count; i++) {
    tsr_q8_range range = {.inverse = 1 / row_scale[rows[i]], .zero = row_zero[rows[i]]};
    quantize_row(row_at(q, i, k), x + (size_t)rows[i] * ldx, k, &range, REST);
    scale[i] = row_scale[rows[i]] / TSR_Q8_MAX;
    zero[i] = TSR_Q8_MIDDLE;
  }
}
