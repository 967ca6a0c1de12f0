/* The f32 product with mul and add, which gives the same bits as the reference, and the packing of its weights. */
/* A tile has 4 rows, because without a fused madd each product needs a register of its own. In V8 on x64, 5 rows reach
 * 5/6 of the speed, 6 rows 2/3. */
#define TSR_F32_ROWS 4
#define TSR_F32_MADD(a, b, c) tsr_f32x4_add(c, tsr_f32x4_mul(a, b))
#define TSR_F32_KERNEL tsr_k_gemm_f32_simd
#define TSR_F32_LAYOUT tsr_k_gemm_f32_rows_simd
#include "gemm_f32_tile.h"
/* Only native builds have Strassen's product with mul and add, so that sanitizers run it. Wasm without relaxed SIMD
 * gives the same bits everywhere, and so uses the plain product. */
#ifndef __wasm__
#define TSR_F32_STRASSEN tsr_k_gemm_f32_strassen_simd
#define TSR_F32_STRASSEN_LAYOUT tsr_k_gemm_f32_strassen_rows_simd
#include "gemm_f32_strassen.h"
#endif

/* Packs four columns of a panel from `count` (1 to 4) rows of w; missing columns are zero. */
static void pack_half(float *panel, const float *w, int ldw, int count, int k) {
  int p = 0;
  for (; p + 4 <= k; p += 4) {
    tsr_f32x4 r[4];
    for (int j = 0; j < 4; j++) r[j] = j < count ? tsr_f32x4_load(w + (size_t)j * ldw + p) : tsr_f32x4_splat(0);
    tsr_f32x4_transpose(r);
    for (int j = 0; j < 4; j++) tsr_f32x4_store(panel + (size_t)(p + j) * TSR_PANEL, r[j]);
  }
  for (; p < k; p++)
    for (int j = 0; j < 4; j++) panel[(size_t)p * TSR_PANEL + j] = j < count ? w[(size_t)j * ldw + p] : 0;
}

void tsr_k_gemm_f32_pack_simd(float *panels, const float *w, int ldw, int n0, int n1, int k) {
  for (int n = n0; n < n1; n += 4) {
    float *panel = panels + (size_t)(n / TSR_PANEL * TSR_PANEL) * (size_t)k + n % TSR_PANEL;
    int count = n1 - n < 4 ? n1 - n : 4;
    pack_half(panel, w + (size_t)(n - n0) * ldw, ldw, count, k);
    if (n % TSR_PANEL == 0 && n + 4 >= n1) /* the other half of the panel has no columns */
      for (int p = 0; p < k; p++) tsr_f32x4_store(panel + (size_t)p * TSR_PANEL + 4, tsr_f32x4_splat(0));
  }
}
