/* The depthwise convolution for the simd and the relaxed file. They define before including it:
 *   TSR_DEPTHWISE_KERNEL  name of the kernel
 *   TSR_MADD(a, b, c)     a * b + c
 *
 * A tile is 4 neighbouring pixels by 8 channels. Each weight is loaded once for the 4 pixels, and eight sums hide the
 * latency of the additions. An element's sum has the same order in every tile, so the bits do not depend on the
 * tiling. */
#include "kernels.h"
#include "simd.h"

typedef struct window {
  int step, line, w_line, rows, columns, c;
} window;

/* `pixels` pixels by `vectors` vectors of four channels; both counts are constants at every call. */
TSR_INLINE void tile(float *y, const float *x, const float *w, const float *bias, const window *win, int pixels,
                     int vectors) {
  tsr_f32x4 sum[4][2];
#pragma GCC unroll 4
  for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) sum[p][v] = bias ? tsr_f32x4_load(bias + 4 * v) : tsr_f32x4_splat(0);
  for (int r = 0; r < win->rows; r++) {
    const float *from = x + (size_t)r * win->line, *weight = w + (size_t)r * win->w_line;
#pragma GCC unroll 1
    for (int t = 0; t < win->columns; t++, from += win->c, weight += win->c)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        tsr_f32x4 u = tsr_f32x4_load(weight + 4 * v);
#pragma GCC unroll 4
        for (int p = 0; p < pixels; p++)
          sum[p][v] = TSR_MADD(tsr_f32x4_load(from + (size_t)p * win->step + 4 * v), u, sum[p][v]);
      }
  }
#pragma GCC unroll 4
  for (int p = 0; p < pixels; p++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) tsr_f32x4_store(y + (size_t)p * win->c + 4 * v, sum[p][v]);
}

/* The last channels, fewer than four. */
static void edge(float *y, const float *x, const float *w, const float *bias, const window *win, int pixels,
                 int count) {
  for (int p = 0; p < pixels; p++) {
    tsr_f32x4 sum = bias ? tsr_f32x4_load_part(bias, count, 0) : tsr_f32x4_splat(0);
    for (int r = 0; r < win->rows; r++)
      for (int t = 0; t < win->columns; t++) {
        size_t at = (size_t)t * win->c;
        tsr_f32x4 u = tsr_f32x4_load_part(x + (size_t)p * win->step + (size_t)r * win->line + at, count, 0);
        sum = TSR_MADD(u, tsr_f32x4_load_part(w + (size_t)r * win->w_line + at, count, 0), sum);
      }
    tsr_f32x4_store_part(y + (size_t)p * win->c, sum, count);
  }
}

TSR_INLINE void all_channels(float *y, const float *x, const float *w, const float *bias, const window *win,
                             int pixels) {
  int j = 0;
  for (; j + 8 <= win->c; j += 8) tile(y + j, x + j, w + j, bias ? bias + j : NULL, win, pixels, 2);
  for (; j + 4 <= win->c; j += 4) tile(y + j, x + j, w + j, bias ? bias + j : NULL, win, pixels, 1);
  if (j < win->c) edge(y + j, x + j, w + j, bias ? bias + j : NULL, win, pixels, win->c - j);
}

/* Called for every few pixels instead of looping over all, because V8 optimizes a function at its next call, never
 * during one. */
static TSR_NOINLINE void four(float *y, const float *x, const float *w, const float *bias, const window *win) {
  all_channels(y, x, w, bias, win, 4);
}
static TSR_NOINLINE void single(float *y, const float *x, const float *w, const float *bias, const window *win) {
  all_channels(y, x, w, bias, win, 1);
}

void TSR_DEPTHWISE_KERNEL(float *y, const float *x, int step, int line, const float *w, int w_line, const float *bias,
                          int pixels, int rows, int columns, int c) {
  window win = {step, line, w_line, rows, columns, c};
  int p = 0;
  for (; p + 4 <= pixels; p += 4) four(y + (size_t)p * c, x + (size_t)p * step, w, bias, &win);
  for (; p < pixels; p++) single(y + (size_t)p * c, x + (size_t)p * step, w, bias, &win);
}
