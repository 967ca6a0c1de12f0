/* The int8 product's tile, driver and quantization, shared by the simd and the relaxed file. They define first:
 *   TSR_Q8_NAME(op)        name of the kernel, e.g. tsr_k_##op##_simd
 *   tsr_q8_element         type of a quantized activation
 *   TSR_Q8_GROUP           neighbours in k per block of a panel; their activations fill 32 bits
 *   TSR_Q8_SPLAT(row)      those 32 bits in all lanes
 *   TSR_Q8_WEIGHTS(p)      four columns of a block
 *   TSR_Q8_DOT(sum, a, w)  sum + the four columns' dot products
 *   TSR_Q8_STORE8(y, v)    stores eight i16 of 0..127 as elements
 *
 * The integer part is exact, so tiles and isas agree to the bit; the float end is the reference's expression. */
#include "gemm_q8_pack.h"

enum {
  TILE_ROWS = 4,                            /* 8 accumulators and their operands fit the 15 vector registers of x64 */
  HALF = 4 * TSR_Q8_GROUP,                  /* elements of four columns of a block */
  BLOCK = TSR_PANEL * TSR_Q8_GROUP,
};

int TSR_Q8_NAME(gemm_q8_row_bytes)(int k) {
  int padded = tsr_q8_padded(k), bytes = (int)sizeof(tsr_q8_element);
  return padded > INT32_MAX / bytes ? INT32_MAX : padded * bytes;
}

void TSR_Q8_NAME(gemm_q8_pack)(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k) {
  tsr_q8_pack_simd(panels, w, ldw, n0, n1, k, TSR_Q8_GROUP);
}

static tsr_q8_range range_of_row(const float *x, int k) {
  tsr_f32x4 low = tsr_f32x4_splat(0), high = low;
  int p = 0;
  for (; p + 4 <= k; p += 4) { /* min and max drop a NaN in their second operand */
    tsr_f32x4 v = tsr_f32x4_load(x + p);
    low = tsr_f32x4_min(low, v), high = tsr_f32x4_max(high, v);
  }
  float least = tsr_f32x4_lowest(low), greatest = tsr_f32x4_highest(high);
  for (; p < k; p++) {
    if (x[p] < least) least = x[p];
    if (x[p] > greatest) greatest = x[p];
  }
  return tsr_q8_range_of(least, greatest);
}

/* tsr_q8_value of four, without its last clamp. */
TSR_INLINE tsr_i32x4 quantize4(const float *x, tsr_f32x4 low, tsr_f32x4 high, tsr_f32x4 inverse, tsr_f32x4 magic,
                               tsr_i32x4 offset) {
  tsr_f32x4 v = tsr_f32x4_load(x);
  v = tsr_i32x4_as_f32(tsr_i32x4_and(tsr_f32x4_bits(v), tsr_f32x4_eq(v, v))); /* NaN -> 0 */
  v = tsr_f32x4_min(tsr_f32x4_max(v, low), high);
  v = tsr_f32x4_add(tsr_f32x4_mul(v, inverse), magic);
  return tsr_i32x4_sub(tsr_f32x4_bits(v), offset);
}

static void quantize_row(tsr_q8_element *y, const float *x, int k, const tsr_q8_range *range) {
  static const volatile float round_magic = TSR_ROUND_MAGIC; /* see simd.h on constants */
  static const volatile int16_t most = TSR_Q8_MAX;
  tsr_f32x4 low = tsr_f32x4_splat(range->low), high = tsr_f32x4_splat(range->high);
  tsr_f32x4 inverse = tsr_f32x4_splat(range->inverse), magic = tsr_f32x4_splat(round_magic);
  tsr_i32x4 offset = tsr_i32x4_splat(TSR_ROUND_BITS - range->zero);
  tsr_i16x8 zero16 = tsr_i16x8_splat(0), most16 = tsr_i16x8_splat(most);
  int p = 0, padded = tsr_q8_padded(k);
  for (; p + 8 <= k; p += 8) {
    tsr_i32x4 a = quantize4(x + p, low, high, inverse, magic, offset);
    tsr_i32x4 b = quantize4(x + p + 4, low, high, inverse, magic, offset);
    TSR_Q8_STORE8(y + p, tsr_i16x8_min(tsr_i16x8_max(tsr_i16x8_narrow(a, b), zero16), most16));
  }
  for (; p < k; p++) y[p] = (tsr_q8_element)tsr_q8_value(range, x[p]);
  for (; p < padded; p++) y[p] = 0;
}

void TSR_Q8_NAME(gemm_q8_quantize)(void *q, float *scale, int32_t *zero, const float *x, int ldx, int m, int k) {
  tsr_q8_element *y = q;
  size_t row = (size_t)tsr_q8_padded(k);
  for (int i = 0; i < m; i++) {
    tsr_q8_range range = range_of_row(x + (size_t)i * ldx, k);
    quantize_row(y + i * row, x + (size_t)i * ldx, k, &range);
    scale[i] = range.scale;
    zero[i] = range.zero;
  }
}

/* What the float end needs of the columns of one panel; zero beyond the last. */
typedef struct columns {
  float scale[TSR_PANEL], bias[TSR_PANEL];
  int32_t sum[TSR_PANEL];
  int width;
} columns;

/* scale_a * scale_w * (sum - zero * column sum) + bias for four columns. */
TSR_INLINE tsr_f32x4 finish(tsr_i32x4 sum, float scale, int32_t zero, const columns *column, int j) {
  int32_t shift[4]; /* i32x4.mul is slow in wasm on x64 before AVX-512, and this runs once per tile */
  for (int i = 0; i < 4; i++) shift[i] = zero * column->sum[j + i];
  tsr_f32x4 both = tsr_f32x4_mul(tsr_f32x4_splat(scale), tsr_f32x4_load(column->scale + j));
  tsr_f32x4 value = tsr_f32x4_from_i32x4(tsr_i32x4_sub(sum, tsr_i32x4_load(shift)));
  return tsr_f32x4_add(tsr_f32x4_mul(both, value), tsr_f32x4_load(column->bias + j));
}

/* c [rows, width] from q [rows, padded] and one panel; rows is a constant in every instance. */
TSR_INLINE void tile(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale, const int32_t *zero,
                     const int8_t *panel, const columns *column, int rows) {
  const tsr_q8_element *row[TILE_ROWS];
  tsr_i32x4 low[TILE_ROWS], high[TILE_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    row[r] = q + (size_t)r * padded;
    low[r] = high[r] = tsr_i32x4_splat(0);
  }
  /* Not unrolled over k: integer sums may be regrouped, so the compiler would take several blocks together, whose
   * weights then spill (a fifth to half of the speed in V8). */
#pragma GCC unroll 1
  for (int p = 0; p < padded; p += TSR_Q8_GROUP, panel += BLOCK) {
    tsr_i16x8 w0 = TSR_Q8_WEIGHTS(panel), w1 = TSR_Q8_WEIGHTS(panel + HALF);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      tsr_i16x8 a = TSR_Q8_SPLAT(row[r] + p);
      low[r] = TSR_Q8_DOT(low[r], a, w0);
      high[r] = TSR_Q8_DOT(high[r], a, w1);
    }
  }

#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    float *y = c + (size_t)r * ldc, edge[TSR_PANEL];
    int whole = column->width == TSR_PANEL;
    tsr_f32x4_store(whole ? y : edge, finish(low[r], scale[r], zero[r], column, 0));
    tsr_f32x4_store(whole ? y + 4 : edge + 4, finish(high[r], scale[r], zero[r], column, 4));
    if (!whole)
      for (int j = 0; j < column->width; j++) y[j] = edge[j];
  }
}

/* A call per tile, not one long loop: V8 optimizes a function at its next call, never in the middle of one. */
#define TILE(rows)                                                                                             \
  static TSR_NOINLINE void tile_##rows(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale, \
                                       const int32_t *zero, const int8_t *panel, const columns *column) {      \
    tile(c, ldc, q, padded, scale, zero, panel, column, rows);                                                 \
  }
TILE(1)
TILE(2)
TILE(4)

void TSR_Q8_NAME(gemm_q8)(float *c, int ldc, const void *q, const float *a_scale, const int32_t *a_zero,
                          const int8_t *panels, const float *w_scale, const int32_t *w_sum, const float *bias, int m,
                          int n0, int n1, int k) {
  int padded = tsr_q8_padded(k);
  for (int n = n0; n < n1; n += TSR_PANEL) {
    columns column = {.width = n1 - n < TSR_PANEL ? n1 - n : TSR_PANEL};
    for (int j = 0; j < column.width; j++) {
      column.scale[j] = w_scale[n + j];
      column.sum[j] = w_sum[n + j];
      column.bias[j] = bias ? bias[n + j] : 0;
    }
    const int8_t *panel = panels + (size_t)n * (size_t)padded;
    for (int i = 0, rows; i < m; i += rows) {
      int left = m - i;
      rows = left >= 4 ? 4 : left >= 2 ? 2 : 1;
      float *y = c + (size_t)i * ldc + n;
      const tsr_q8_element *x = (const tsr_q8_element *)q + (size_t)i * padded;
      if (rows == 4) tile_4(y, ldc, x, padded, a_scale + i, a_zero + i, panel, &column);
      else if (rows == 2) tile_2(y, ldc, x, padded, a_scale + i, a_zero + i, panel, &column);
      else tile_1(y, ldc, x, padded, a_scale + i, a_zero + i, panel, &column);
    }
  }
}
