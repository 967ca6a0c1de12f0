/* The f32 product (layout of its rows, tile and driver) for the simd and the relaxed file. They define before including
 * it:
 *   TSR_F32_ROWS          rows of a tile; two accumulators a row must fit the 15 vector registers of x64
 *   TSR_F32_MADD(a, b, c) a * b + c
 *   TSR_F32_KERNEL        name of the product
 *   TSR_F32_LAYOUT        name of the kernel that lays out its rows
 *
 * Per step of k a tile loads one packed row of 8 columns and multiplies it with one element of each of its rows, which
 * lie side by side. Partial tiles are computed as full tiles in a scratch buffer, because one loop is then all that V8
 * has to optimize. An element's sum has the same order and arithmetic in all tiles, so splitting rows over threads
 * never changes a bit.
 *
 * The number of instructions matters besides the multiplications, because a core that is shared with another thread
 * starts half as many of them in a cycle. For each v128.load32_splat V8 spends one more instruction, base + offset,
 * because it neither folds the offset nor moves it out of the loop; but it reuses a sum that is already in a register.
 * So the first step is written before the loop, where it leaves these sums in registers: 24 instructions a step instead
 * of 31, 1.28 times as fast on a busy core. */
#include "kernels.h"
#include "simd.h"

/* Writes groups of TSR_F32_ROWS rows as [K, rows]. In a group that is not full the missing rows are copies of its
 * last. */
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

#define STEP()                                                                      \
  do {                                                                              \
    tsr_f32x4 b0 = tsr_f32x4_load(panel), b1 = tsr_f32x4_load(panel + 4);           \
    _Pragma("GCC unroll 8") for (int r = 0; r < TSR_F32_ROWS; r++) {                \
      tsr_f32x4 x = tsr_f32x4_load_splat(a + r);                                    \
      low[r] = TSR_F32_MADD(x, b0, low[r]), high[r] = TSR_F32_MADD(x, b1, high[r]); \
    }                                                                               \
    panel += TSR_PANEL, a += TSR_F32_ROWS;                                          \
  } while (0)

/* low, high [rows, 4] += a [k, rows] * panel [k, 8], k > 0. `opaque` is a number above 0 that the compiler does not
 * know. */
TSR_INLINE void multiply(tsr_f32x4 *low, tsr_f32x4 *high, const float *a, const float *panel, int k, int opaque) {
  const float *end = panel + (size_t)k * TSR_PANEL;
  STEP();
  TSR_OPAQUE(a);
  TSR_OPAQUE(panel); /* otherwise the compiler adds the first step to the loop's offsets, which then are others */
  if (k % 2 == 0) {
    STEP();
    TSR_OPAQUE(a);
    TSR_OPAQUE(panel);
  }
#pragma GCC unroll 1
  while (panel != end) { /* two steps a turn: 45 instructions with V8's check of the stack, instead of 50 */
    STEP();
    TSR_OPAQUE(a);
    TSR_OPAQUE(opaque);
    if (opaque < 0) break;
    STEP();
  }
}

/* Tiles below each other. */
typedef struct tiles {
  float *at;   /* the first tile */
  int ld;      /* floats from one row to the next */
  size_t step; /* floats from one tile to the next */
} tiles;

/* c = from + a [count][k, rows] * panel [k, 8] for `count` tiles of c and of `from`, which may be one row (ld and step
 * 0) for all. With `both`, c is the upper right of four tiles: the product is added to c, and the product plus the
 * lower left tile is stored in the lower right one.
 * One call computes all tiles of a panel. It does not loop over all panels, because V8 optimizes a function at its next
 * call, never during one. */
static TSR_NOINLINE void panel_of(const tiles *c, const tiles *from, int count, const float *a, const float *panel,
                                  int k, int both) {
  float *y = c->at;
  const float *x = from->at;
#pragma GCC unroll 1
  for (; count > 0; count--, y += c->step, x += from->step, a += (size_t)TSR_F32_ROWS * k) {
    tsr_f32x4 low[TSR_F32_ROWS], high[TSR_F32_ROWS];
    const float *row = x;
    float *to = y;
#pragma GCC unroll 8
    for (int r = 0; r < TSR_F32_ROWS; r++, row += from->ld)
      low[r] = tsr_f32x4_load(row), high[r] = tsr_f32x4_load(row + 4);
    if (k) multiply(low, high, a, panel, k, count);
    if (both) {
      float *z = y + (size_t)TSR_F32_ROWS * c->ld;
#pragma GCC unroll 8
      for (int r = 0; r < TSR_F32_ROWS; r++, to += c->ld, z += c->ld) {
        tsr_f32x4_store(z, tsr_f32x4_add(tsr_f32x4_load(z - TSR_PANEL), low[r]));
        tsr_f32x4_store(z + 4, tsr_f32x4_add(tsr_f32x4_load(z + 4 - TSR_PANEL), high[r]));
        low[r] = tsr_f32x4_add(low[r], tsr_f32x4_load(to)), high[r] = tsr_f32x4_add(high[r], tsr_f32x4_load(to + 4));
      }
      to = y;
    }
#pragma GCC unroll 8
    for (int r = 0; r < TSR_F32_ROWS; r++, to += c->ld) tsr_f32x4_store(to, low[r]), tsr_f32x4_store(to + 4, high[r]);
  }
}

void TSR_F32_KERNEL(float *c, int ldc, const float *a, const float *panels, const float *bias, int m, int n0, int n1,
                    int k) {
  for (int n = n0; n < n1; n += TSR_PANEL) {
    float begin[TSR_PANEL] = {0}, edge[TSR_F32_ROWS * TSR_PANEL];
    int width = n1 - n < TSR_PANEL ? n1 - n : TSR_PANEL, whole = width < TSR_PANEL ? 0 : m / TSR_F32_ROWS;
    tiles y = {c + n, ldc, (size_t)ldc * TSR_F32_ROWS}, beside = {edge, TSR_PANEL, 0}, from = {begin, 0, 0};
    const float *panel = panels + (size_t)n * (size_t)k;
    for (int j = 0; bias && j < width; j++) begin[j] = bias[n + j];
    panel_of(&y, &from, whole, a, panel, k, 0);
    for (int i = whole * TSR_F32_ROWS; i < m; i++) {
      if (i % TSR_F32_ROWS == 0) panel_of(&beside, &from, 1, a + (size_t)i * k, panel, k, 0);
      for (int j = 0; j < width; j++) y.at[(size_t)i * ldc + j] = edge[i % TSR_F32_ROWS * TSR_PANEL + j];
    }
  }
}
