/* Transposition in portable C. */
#include "kernels.h"

void tsr_k_transpose_ref(float *y, int ldy, const float *x, int ldx, int rows, int columns) {
  for (int j = 0; j < columns; j++)
    for (int i = 0; i < rows; i++) y[(size_t)j * ldy + i] = x[(size_t)i * ldx + j];
}
