/* The f32 product's tile and driver, shared by the simd and the relaxed file, which define before including:
 *   TSR_F32_ROWS          rows of the largest tile: two accumulators a row must fit the 15 vector registers of x64
 *   TSR_F32_MADD(a, b, c) a * b + c
 *   TSR_F32_KERNEL        name of the product
 *
 * Per step of k a tile loads one packed row of 8 columns and multiplies it with one element of each of its rows. Rows
 * that are left over go through smaller instances of the same code, so an element's sum has the same order and the
 * same arithmetic in every tile: splitting rows over threads never changes a bit. */
#include "kernels.h"
#include "simd.h"

/* c [rows, width] = a [rows, k] * panel [k, 8] + bias[8]; rows is a constant in every instance. */
TSR_INLINE void tile(float *c, int ldc, const float *a, int lda, const float *panel, const float *bias, int k,
                     int width, int rows) {
  const float *row[TSR_F32_ROWS];
  tsr_f32x4 low[TSR_F32_ROWS], high[TSR_F32_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    row[r] = a + (size_t)r * lda;
    low[r] = high[r] = tsr_f32x4_splat(0);
  }
  /* Not unrolled over k: the compiler would load the operands of several steps before it uses them, which spills
   * (a fifth to a quarter of the speed in V8). */
#pragma GCC unroll 1
  for (int p = 0; p < k; p++) {
    const float *b = panel + (size_t)p * TSR_PANEL;
    tsr_f32x4 b0 = tsr_f32x4_load(b), b1 = tsr_f32x4_load(b + 4);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      tsr_f32x4 x = tsr_f32x4_load_splat(row[r] + p);
      low[r] = TSR_F32_MADD(x, b0, low[r]);
      high[r] = TSR_F32_MADD(x, b1, high[r]);
    }
  }

  tsr_f32x4 bias0 = tsr_f32x4_load(bias), bias1 = tsr_f32x4_load(bias + 4);
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    float *y = c + (size_t)r * ldc, edge[TSR_PANEL];
    low[r] = tsr_f32x4_add(low[r], bias0), high[r] = tsr_f32x4_add(high[r], bias1);
    int whole = width == TSR_PANEL;
    tsr_f32x4_store(whole ? y : edge, low[r]);
    tsr_f32x4_store(whole ? y + 4 : edge + 4, high[r]);
    if (!whole) /* the last panel: the columns after it belong to someone else */
      for (int j = 0; j < width; j++) y[j] = edge[j];
  }
}

/* A call per tile, not one long loop: V8 optimizes a function at its next call, never in the middle of one. */
#define TILE(name, rows)                                                                                   \
  static TSR_NOINLINE void name(float *c, int ldc, const float *a, int lda, const float *panel,           \
                                const float *bias, int k, int width) {                                    \
    tile(c, ldc, a, lda, panel, bias, k, width, rows);                                                     \
  }
TILE(tile_1, 1)
TILE(tile_2, 2)
TILE(tile_3, 3)
TILE(tile_4, 4)
#if TSR_F32_ROWS > 4
TILE(tile_5, 5)
TILE(tile_6, 6)
#endif

typedef void tile_fn(float *c, int ldc, const float *a, int lda, const float *panel, const float *bias, int k, int width);

static tile_fn *const tiles[TSR_F32_ROWS] = {
    tile_1, tile_2, tile_3, tile_4,
#if TSR_F32_ROWS > 4
    tile_5, tile_6,
#endif
};

void TSR_F32_KERNEL(float *c, int ldc, const float *a, int lda, const float *panels, const float *bias, int m, int n0,
                    int n1, int k) {
  for (int n = n0; n < n1; n += TSR_PANEL) {
    int width = n1 - n < TSR_PANEL ? n1 - n : TSR_PANEL, rows;
    float edge[TSR_PANEL] = {0};
    const float *panel = panels + (size_t)n * (size_t)k;
    for (int j = 0; bias && j < width; j++) edge[j] = bias[n + j];
    for (int i = 0; i < m; i += rows) {
      rows = m - i < TSR_F32_ROWS ? m - i : TSR_F32_ROWS;
      tiles[rows - 1](c + (size_t)i * ldc + n, ldc, a + (size_t)i * lda, lda, panel, edge, k, width);
    }
  }
}
