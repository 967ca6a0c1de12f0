/* The depthwise convolution and max pooling with SIMD. */
#define TSR_DEPTHWISE_KERNEL tsr_k_depthwise_simd
#define TSR_MADD(a, b, c) tsr_f32x4_add(tsr_f32x4_mul(a, b), c)
#include "depthwise_tile.h"

/* Up to four vectors side by side, because each maximum waits for the one before it. */
TSR_INLINE void max_of(float *y, const float *x, int line, int rows, int columns, int c, int vectors) {
  tsr_f32x4 most[4];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) most[v] = tsr_f32x4_load(x + 4 * v);
  for (int r = 0; r < rows; r++) {
    const float *from = x + (size_t)r * line;
    for (int t = 0; t < columns; t++, from += c)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) most[v] = tsr_f32x4_max(most[v], tsr_f32x4_load(from + 4 * v));
  }
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) tsr_f32x4_store(y + 4 * v, most[v]);
}

void tsr_k_max_window_simd(float *y, const float *x, int step, int line, int pixels, int rows, int columns, int c) {
  for (int p = 0; p < pixels; p++, x += step, y += c) {
    int j = 0;
    for (; j + 16 <= c; j += 16) max_of(y + j, x + j, line, rows, columns, c, 4);
    for (; j + 4 <= c; j += 4) max_of(y + j, x + j, line, rows, columns, c, 1);
    for (; j < c; j++) {
      float most = x[j];
      for (int r = 0; r < rows; r++)
        for (int t = 0; t < columns; t++) {
          float v = x[(size_t)r * line + (size_t)t * c + j];
          if (v > most) most = v;
        }
      y[j] = most;
    }
  }
}
