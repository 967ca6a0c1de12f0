/* The depthwise convolution and max pooling in portable C. */
#include "kernels.h"

void tsr_k_depthwise_ref(float *y, const float *x, int step, int line, const float *w, int w_line, const float *bias,
                         int pixels, int rows, int columns, int c) {
  for (int p = 0; p < pixels; p++, x += step, y += c)
    for (int j = 0; j < c; j++) {
      float sum = bias ? bias[j] : 0;
      for (int r = 0; r < rows; r++)
        for (int t = 0; t < columns; t++)
          sum += x[(size_t)r * line + (size_t)t * c + j] * w[(size_t)r * w_line + (size_t)t * c + j];
      y[j] = sum;
    }
}

void tsr_k_max_window_ref(float *y, const float *x, int step, int line, int pixels, int rows, int columns, int c) {
  for (int p = 0; p < pixels; p++, x += step, y += c)
    for (int j = 0; j < c; j++) {
      float most = x[j];
      for (int r = 0; r < rows; r++)
        for (int t = 0; t < columns; t++) {
          float v = x[(size_t)r * line + (size_t)t * c + j];
          if (v > most) most = v;
        }
      y[j] = most;
    }
}
