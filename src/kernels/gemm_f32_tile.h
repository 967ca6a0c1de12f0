/* The f32 product: layout of its rows, tile and driver, shared by the simd and the relaxed file, which define before including:
 *   TSR_F32_ROWS          rows of the largest tile: two accumulators a row must fit the 15 vector registers of x64
 *   TSR_F32_MADD(a, b, c) a * b + c
 *   TSR_F32_KERNEL        name of the product
 *   TSR_F32_LAYOUT        name of the kernel that lays out its rows
 *
 * Per step of k a tile loads one packed row of 8 columns and multiplies it with one element of each of its rows, which lie side by side.
 * Rows that are left over go through smaller instances of the same code, so an element's sum has the same order and the
 * same arithmetic in every tile: splitting rows over threads never changes a bit.
 *
 * What counts beside multiplications is the number of instructions: a core that is shared with another thread starts half as many
 * of them in a cycle. V8 takes one more for each v128.load32_splat, base + offset, as it does not fold the offset and moves nothing out of
 * loops; but it does not compute twice what it has at hand. So the first step stands before the loop, where it leaves these sums
 * in registers: 24 instructions a step in place of 31, 1.28 times as fast on a busy core. */
#include "kernels.h"
#include "simd.h"

/* Groups of TSR_F32_ROWS rows [K, rows]; in a group that is not full the last places are a copy of its last row. */
TSR_NOINLINE void TSR_F32_LAYOUT(float *to, const float *a, int lda, int m, int k) {
  for (int i = 0; i < m; i += TSR_F32_ROWS) {
    const float *row[TSR_F32_ROWS];
    for (int r = 0; r < TSR_F32_ROWS; r++) row[r] = a + (size_t)(i + r < m ? i + r : m - 1) * lda;
    int p = 0;
    for (; p + 4 <= k; p += 4, to += 4 * TSR_F32_ROWS) {
      tsr_f32x4 x[4];
      for (int r = 0; r < 4; r++) x[r] = tsr_f32x4_load(row[r] + p);
      tsr_f32x4_transpose(x);
      for (int j = 0; j < 4; j++) tsr_f32x4_store(to + j * TSR_F32_ROWS, x[j]);
#if TSR_F32_ROWS == 6
      tsr_f32x4 even = tsr_f32x4_load(row[4] + p), odd = tsr_f32x4_load(row[5] + p);
      tsr_f32x4 low = tsr_f32x4_zip_low(even, odd), high = tsr_f32x4_zip_high(even, odd);
      tsr_f32x4_store_low(to + 4, low), tsr_f32x4_store_high(to + 10, low);
      tsr_f32x4_store_low(to + 16, high), tsr_f32x4_store_high(to + 22, high);
#endif
    }
    for (; p < k; p++, to += TSR_F32_ROWS)
      for (int r = 0; r < TSR_F32_ROWS; r++) to[r] = row[r][p];
  }
}

#define STEP()                                                                \
  do {                                                                        \
    tsr_f32x4 b0 = tsr_f32x4_load(panel), b1 = tsr_f32x4_load(panel + 4);     \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                  \
      tsr_f32x4 x = tsr_f32x4_load_splat(a + r);                              \
      low[r] = TSR_F32_MADD(x, b0, low[r]), high[r] = TSR_F32_MADD(x, b1, high[r]); \
    }                                                                         \
    panel += TSR_PANEL, a += TSR_F32_ROWS;                                    \
  } while (0)

/* low, high [rows, 4] += a [k, rows of TSR_F32_ROWS] * panel [k, 8], k > 0; rows is a constant in every instance; opaque: a number above 0. */
TSR_INLINE void multiply(tsr_f32x4 *low, tsr_f32x4 *high, const float *a, const float *panel, int k, int rows, int opaque) {
  const float *end = panel + (size_t)k * TSR_PANEL;
  STEP();
  TSR_OPAQUE(a);
  TSR_OPAQUE(panel); /* or the compiler adds the first step to the loop's offsets, which are others then */
  if (rows == TSR_F32_ROWS) {
    if (k % 2 == 0) {
      STEP();
      TSR_OPAQUE(a);
      TSR_OPAQUE(panel);
    }
#pragma GCC unroll 1
    while (panel != end) { /* two steps a turn: 45 instructions with V8's check of the stack, in place of 50 */
      STEP();
      TSR_OPAQUE(a);
      TSR_OPAQUE(opaque);
      if (opaque < 0) break;
      STEP();
    }
  } else {
    /* Not unrolled: the compiler would load the operands of several steps before it uses them, which spills (a fifth to a quarter of the
     * speed in V8). */
#pragma GCC unroll 1
    while (panel != end) STEP();
  }
}

/* c [rows, width] = a * panel + bias[8]; see multiply. */
TSR_INLINE void tile(float *c, int ldc, const float *a, const float *panel, const float *bias, int k, int width, int rows) {
  tsr_f32x4 low[TSR_F32_ROWS], high[TSR_F32_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) low[r] = high[r] = tsr_f32x4_splat(0);
  multiply(low, high, a, panel, k, rows, ldc);
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
#define TILE(name, rows)                                                                                                      \
  static TSR_NOINLINE void name(float *c, int ldc, const float *a, const float *panel, const float *bias, int k, int width) { \
    tile(c, ldc, a, panel, bias, k, width, rows);                                                                             \
  }
TILE(tile_1, 1)
TILE(tile_2, 2)
TILE(tile_3, 3)
TILE(tile_4, 4)
#if TSR_F32_ROWS > 4
TILE(tile_5, 5)
TILE(tile_6, 6)
#endif

typedef void tile_fn(float *c, int ldc, const float *a, const float *panel, const float *bias, int k, int width);

static tile_fn *const tiles[TSR_F32_ROWS] = {
    tile_1, tile_2, tile_3, tile_4,
#if TSR_F32_ROWS > 4
    tile_5, tile_6,
#endif
};

TSR_NOINLINE void TSR_F32_KERNEL(float *c, int ldc, const float *a, const float *panels, const float *bias, int m, int n0, int n1, int k) {
  for (int n = n0; n < n1; n += TSR_PANEL) {
    int width = n1 - n < TSR_PANEL ? n1 - n : TSR_PANEL, rows;
    float edge[TSR_PANEL] = {0};
    const float *panel = panels + (size_t)n * (size_t)k;
    for (int j = 0; bias && j < width; j++) edge[j] = bias[n + j];
    for (int i = 0; i < m; i += rows) {
      rows = m - i < TSR_F32_ROWS ? m - i : TSR_F32_ROWS;
      float *y = c + (size_t)i * ldc + n;
      if (k) tiles[rows - 1](y, ldc, a + (size_t)i * k, panel, edge, k, width);
      else
        for (int r = 0; r < rows; r++)
          for (int j = 0; j < width; j++) y[(size_t)r * ldc + j] = edge[j];
    }
  }
}
