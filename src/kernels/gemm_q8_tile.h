/* The int8 product's tile and driver, shared by all its forms. A file defines first:
 *   TSR_Q8_KERNEL     name of the product
 *   tsr_q8_element    type of a quantized activation
 *   TSR_Q8_ROWS       rows of a group (gemm_q8.h)
 *   TSR_Q8_TILE       rows of the largest tile, a multiple of that
 *   TSR_Q8_SUMS(rows, has_pairs, a, low, high, padded, panel)  adds the products of all k of `rows` rows from `a` on to low and high (four
 *                     columns each), padded > 0; has_pairs: the panel keeps within TSR_Q8_PAIRS. Both are constants in every instance.
 *   TSR_Q8_USES_PAIRS 1 where has_pairs makes a difference
 *
 * The integer part is exact, so tiles, forms and isas agree to the bit; the float end is the reference's expression. */
#include "gemm_q8.h"
#include "simd.h"

/* What the float end needs of the columns of one panel: TSR_PANEL numbers each. */
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

/* c [rows, width] from q [rows, padded] and one panel; rows and has_pairs are constants in every instance. */
TSR_INLINE void tile(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale, const int32_t *zero,
                     const int8_t *panel, const columns *column, int rows, int has_pairs) {
  tsr_i32x4 low[TSR_Q8_TILE], high[TSR_Q8_TILE];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) low[r] = high[r] = tsr_i32x4_splat(0);
  if (padded) TSR_Q8_SUMS(rows, has_pairs, q, low, high, padded, panel);
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    float *y = c + (size_t)r * ldc, edge[TSR_PANEL];
    int whole = column->width == TSR_PANEL;
    tsr_f32x4 scales = tsr_f32x4_splat(scale[r]);
    tsr_i32x4 zeros = tsr_i32x4_splat(zero[r]);
    tsr_f32x4_store(whole ? y : edge, finish(low[r], scales, zeros, column, 0));
    tsr_f32x4_store(whole ? y + 4 : edge + 4, finish(high[r], scales, zeros, column, 4));
    if (!whole)
      for (int j = 0; j < column->width; j++) y[j] = edge[j];
  }
}

/* A call per tile, not one long loop: V8 optimizes a function at its next call, never in the middle of one. */
#define TILE(name, rows, has_pairs)                                                                                \
  static TSR_NOINLINE void name(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale,        \
                                const int32_t *zero, const int8_t *panel, const columns *column) {                 \
    tile(c, ldc, q, padded, scale, zero, panel, column, rows, has_pairs);                                          \
  }
TILE(tile_1, 1, 0)
TILE(tile_2, 2, 0)
TILE(tile_3, 3, 0)
#if TSR_Q8_TILE > 3
TILE(tile_4, 4, 0)
#endif
#if TSR_Q8_TILE > 4
TILE(tile_5, 5, 0)
TILE(tile_6, 6, 0)
#endif
#if TSR_Q8_USES_PAIRS
TILE(pairs_1, 1, 1)
TILE(pairs_2, 2, 1)
TILE(pairs_3, 3, 1)
#endif

typedef void tile_fn(float *c, int ldc, const tsr_q8_element *q, int padded, const float *scale, const int32_t *zero,
                     const int8_t *panel, const columns *column);

static tile_fn *const tiles[][TSR_Q8_TILE] = {
    {tile_1, tile_2, tile_3,
#if TSR_Q8_TILE > 3
     tile_4,
#endif
#if TSR_Q8_TILE > 4
     tile_5, tile_6,
#endif
    },
#if TSR_Q8_USES_PAIRS
    {pairs_1, pairs_2, pairs_3},
#endif
};

void TSR_Q8_KERNEL(float *c, int ldc, const void *q, const float *a_scale, const int32_t *a_zero, const int8_t *panels,
                   const float *w_scale, const int32_t *w_sum, const float *bias, int m, int n0, int n1, int k) {
  static const float zeros[TSR_PANEL] = {0};
  float scale[TSR_PANEL] = {0}, offset[TSR_PANEL] = {0}; /* the last columns, where there are fewer than a panel's */
  int32_t sum[TSR_PANEL] = {0};
  int padded = tsr_q8_padded(k);
  for (int n = n0; n < n1; n += TSR_PANEL) {
    columns column = {w_scale + n, bias ? bias + n : zeros, w_sum + n, TSR_PANEL};
    if (n1 - n < TSR_PANEL) {
      column = (columns){scale, offset, sum, n1 - n};
      for (int j = 0; j < n1 - n; j++) scale[j] = w_scale[n + j], sum[j] = w_sum[n + j], offset[j] = bias ? bias[n + j] : 0;
    }
    const int8_t *panel = panels + (size_t)(n / TSR_PANEL) * tsr_q8_panel_bytes(padded);
    tile_fn *const *form = tiles[TSR_Q8_USES_PAIRS && k && panel[0]];
    for (int i = 0, rows; i < m; i += rows) {
      rows = m - i < TSR_Q8_TILE ? m - i : TSR_Q8_TILE;
      form[rows - 1](c + (size_t)i * ldc + n, ldc, (const tsr_q8_element *)q + (size_t)i * padded, padded, a_scale + i,
                     a_zero + i, panel + TSR_Q8_HEADER, &column);
    }
  }
}
