/* Warming up the kernels: it runs each until V8 optimizes it, which is after about 13 million bytes of unoptimized code
 * (V8's budget of a function). */
#include "kernels.h"

enum { M = TSR_ROW_GROUP, N = 32, K = 32, TIMES = 8 };

void tsr_kernels_warm(const tsr_kernels *k) {
  float x[M * K] = {0}, y[M * N], rows[M * K], panels[N * K] = {0}, scale[M], ones[N] = {0};
  int32_t zero[M], w_sum[N] = {0};
  _Alignas(16) char q[M * 4 * K];
  _Alignas(16) int8_t packed[N / TSR_PANEL * (16 + TSR_PANEL * K)];
  tsr_softmax_row state[M] = {{0}};
  k->gemm_q8_pack(packed, (const int8_t *)x, K, 0, N, K);
  for (int i = 0; i < TIMES; i++) {
    k->gemm_q8_quantize(q, scale, zero, x, K, M, K, NULL);
    k->gemm_q8(y, N, q, scale, zero, packed, ones, w_sum, NULL, M, 0, N, K);
    k->softmax_part_q8(q, x, K, 1, M, K, state);
    k->gelu_coarse(y, x, M * K);
    k->gemm_f32_rows(rows, x, K, M, K);
    k->gemm_f32(y, N, rows, panels, NULL, M, 0, N, K);
    k->softmax_part(y, N, 1, M, N, state);
    k->gelu(y, x, M * K);
    k->layer_norm(y, x, ones, ones, 1, M, K);
  }
}
