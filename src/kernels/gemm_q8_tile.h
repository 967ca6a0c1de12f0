/* The tile and the driver of the int8 product, for all its variants. A file defines before including it:
 *   TSR_Q8_KERNEL     name of the product
 *   tsr_q8_element    type of a quantized activation
 *   TSR_Q8_ROWS       rows of a group (gemm_q8.h)
 *   TSR_Q8_TILE       rows of the largest tile, a multiple of that
 *   TSR_Q8_SUMS(rows, has_pairs, a, low, high, padded, panel)
 *                     adds the products of all k of `rows` rows from `a` on to low and high (four columns each), padded
 *                     > 0; has_pairs: the panel keeps within TSR_Q8_PAIRS; rows and has_pairs are constants at every
 *                     call
 *   TSR_Q8_USES_PAIRS 1 where has_pairs makes a difference
 *
 * The integer part is exact, and the float part is the reference's expression, so tiles, variants and isas give the
 * same bits. */
#include "gemm_q8.h"
#include "simd.h"

/* The columns of one panel for the float part: TSR_PANEL numbers each, of which `width` belong to columns. */
typedef struct columns {
  const float *scale, *bias;
  const int32_t *sum;
  int width;
} columns;

/* scale_a * scale_w * (sum - zero * column sum) + bias for four columns. */
TSR_INLINE tsr_f32x4 finish(tsr_i32x4 sum, tsr_f32x4 scale, tsr_i32x4 zero, const columns *column, int j) {
  tsr_i32x4 shift = tsr_i32x4_mul(zero, tsr_i32x4_load(column->sum + j));
  tsr_f32x4 both = tsr_f32x4_mul(scale, tsr_f32x4_load(column->scale + j));
  tsr_f32x4 value = tsr_f32x4_from_i32x4(tsr_i32x4_sub(sum, shift));
  return tsr_f32x4_add(tsr_f32x4_mul(both, value), tsr_f32x4_load(column->bias + j));
}

/* c [m, width] from q [m, padded] and one panel, TSR_Q8_TILE rows at a time. The last tile may have fewer rows, but q
 * has room for all of them. has_pairs is a constant at every call. */
TSR_INLINE void rows_of(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale, const int32_t *zero,
                        const int8_t *panel, const columns *column, int m, int has_pairs) {
#pragma GCC unroll 1
  for (; m > 0; m -= TSR_Q8_TILE, q += (size_t)padded * TSR_Q8_TILE) {
    tsr_i32x4 low[TSR_Q8_TILE], high[TSR_Q8_TILE];
#pragma GCC unroll 8
    for (int r = 0; r < TSR_Q8_TILE; r++) low[r] = high[r] = tsr_i32x4_splat(0);
    if (padded) TSR_Q8_SUMS(TSR_Q8_TILE, has_pairs, q, low, high, padded, panel);
#pragma GCC unroll 8
    for (int r = 0; r < TSR_Q8_TILE; r++, c += ldc) {
      float edge[TSR_PANEL];
      int whole = column->width == TSR_PANEL;
      if (r >= m) return;
      tsr_f32x4 scales = tsr_f32x4_splat(*scale++);
      tsr_i32x4 zeros = tsr_i32x4_splat(*zero++);
      tsr_f32x4_store(whole ? c : edge, finish(low[r], scales, zeros, column, 0));
      tsr_f32x4_store(whole ? c + 4 : edge + 4, finish(high[r], scales, zeros, column, 4));
      if (!whole)
        for (int j = 0; j < column->width; j++) c[j] = edge[j];
    }
  }
}

/* Called for every panel instead of looping over all, because V8 optimizes a function at its next call, never during
 * one. */
#define PANEL(name, has_pairs)                                                                              \
  static TSR_NOINLINE void name(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale, \
                                const int32_t *zero, const int8_t *panel, const columns *column, int m) {   \
    rows_of(c, ldc, q, padded, scale, zero, panel, column, m, has_pairs);                                   \
  }
PANEL(panel_of_rows, 0)
#if TSR_Q8_USES_PAIRS
PANEL(panel_of_pairs, 1)
#else
#define panel_of_pairs panel_of_rows
#endif

void TSR_Q8_KERNEL(float *c, int ldc, const void *q, const float *a_scale, const int32_t *a_zero, const int8_t *panels,
                   const float *w_scale, const int32_t *w_sum, const float *bias, int m, int n0, int n1, int k) {
  static const float zeros[TSR_PANEL] = {0};
  float scale[TSR_PANEL] = {0}, offset[TSR_PANEL] = {0}; /* for a partial panel, padded with 0 */
  int32_t sum[TSR_PANEL] = {0};
  int padded = tsr_q8_padded(k);
  for (int n = n0; n < n1; n += TSR_PANEL) {
    columns column = {w_scale + n, bias ? bias + n : zeros, w_sum + n, TSR_PANEL};
    if (n1 - n < TSR_PANEL) {
      column = (columns){scale, offset, sum, n1 - n};
      for (int j = 0; j < n1 - n; j++)
        scale[j] = w_scale[n + j], sum[j] = w_sum[n + j], offset[j] = bias ? bias[n + j] : 0;
    }
    const int8_t *panel = panels + (size_t)(n / TSR_PANEL) * tsr_q8_panel_bytes(padded);
    (k && panel[0] ? panel_of_pairs : panel_of_rows)(c + n, ldc, q, padded, a_scale, a_zero, panel + TSR_Q8_HEADER,
                                                     &column, m);
  }
}
