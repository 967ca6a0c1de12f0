/* The transposition and copies of rows in portable C. */
#include "kernels.h"

#include <string.h>

void tsr_k_transpose_ref(float *y, int ldy, const float *x, int ldx, int rows, int columns) {
  for (int j = 0; j < columns; j++)
    for (int i = 0; i < rows; i++) y[(size_t)j * ldy + i] = x[(size_t)i * ldx + j];
}

void tsr_k_copy_rows_ref(float *y, int ldy, const float *x, int ldx, int m, int n) {
  for (int i = 0; i < m; i++) memcpy(y + (size_t)i * ldy, x + (size_t)i * ldx, (size_t)n * sizeof *y);
}
