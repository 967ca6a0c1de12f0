/* The transposition (blocks of 4 x 4, and the three planes of an image) and copies of short rows with SIMD. */
#include "kernels.h"
#include "simd.h"

/* Joins three planes to pixels. Each store also writes a fourth number, which the next pixel replaces; the last pixel
 * is written number by number. */
static void pixels(float *y, const float *x, int ldx, int columns) {
  int j = 0;
  for (; j + 4 < columns; j += 4, y += 12) {
    tsr_f32x4 r[4] = {tsr_f32x4_load(x + j), tsr_f32x4_load(x + ldx + j), tsr_f32x4_load(x + 2 * (size_t)ldx + j)};
    r[3] = r[2];
    tsr_f32x4_transpose(r);
    for (int i = 0; i < 4; i++) tsr_f32x4_store(y + 3 * i, r[i]);
  }
  tsr_k_transpose_ref(y, 3, x + j, ldx, 3, columns - j);
}

void tsr_k_transpose_simd(float *y, int ldy, const float *x, int ldx, int rows, int columns) {
  int i = 0;
  if (rows == 3 && ldy == 3) {
    pixels(y, x, ldx, columns);
    return;
  }
  for (; i + 4 <= rows; i += 4) {
    const float *from = x + (size_t)i * ldx;
    float *to = y + i;
    int j = 0;
    for (; j + 4 <= columns; j += 4) {
      tsr_f32x4 r[4];
      for (int k = 0; k < 4; k++) r[k] = tsr_f32x4_load(from + (size_t)k * ldx + j);
      tsr_f32x4_transpose(r);
      for (int k = 0; k < 4; k++) tsr_f32x4_store(to + (size_t)(j + k) * ldy, r[k]);
    }
    tsr_k_transpose_ref(to + (size_t)j * ldy, ldy, from + j, ldx, 4, columns - j);
  }
  tsr_k_transpose_ref(y + i, ldy, x + (size_t)i * ldx, ldx, rows - i, columns);
}

/* From this length on memcpy is faster, because engines have moves wider than 128 bits, but a call costs about 10
 * ns. */
enum { LONG_ROW = 64 };

void tsr_k_copy_rows_simd(float *y, int ldy, const float *x, int ldx, int m, int n) {
  if (n < 4 || n >= LONG_ROW) {
    tsr_k_copy_rows_ref(y, ldy, x, ldx, m, n);
    return;
  }
  for (int i = 0; i < m; i++, y += ldy, x += ldx) {
    for (int j = 0; j + 4 <= n; j += 4) tsr_f32x4_store(y + j, tsr_f32x4_load(x + j));
    tsr_f32x4_store(y + n - 4, tsr_f32x4_load(x + n - 4)); /* the last four, some of them a second time */
  }
}
