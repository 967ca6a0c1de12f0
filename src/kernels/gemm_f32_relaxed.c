/* The f32 product with relaxed_madd. It is fused where the machine can, so the last bits may differ from the
 * reference. */
#ifdef __wasm_relaxed_simd__
#define TSR_F32_ROWS 6
#define TSR_F32_MADD(a, b, c) wasm_f32x4_relaxed_madd(a, b, c)
#define TSR_F32_KERNEL tsr_k_gemm_f32_relaxed
#define TSR_F32_LAYOUT tsr_k_gemm_f32_rows_relaxed
#include "gemm_f32_tile.h"
#define TSR_F32_STRASSEN tsr_k_gemm_f32_strassen_relaxed
#define TSR_F32_STRASSEN_LAYOUT tsr_k_gemm_f32_strassen_rows_relaxed
#include "gemm_f32_strassen.h"

/* The limits were measured (docs/performance.md): enough rows and columns must share the extra sums. The number of rows
 * is bounded because of the memory that they take. */
int tsr_k_gemm_f32_levels_relaxed(int m, int n, int k) {
  if (m < 96 || m > 4096 || n < 128 || k < 192) return 0;
  if (m >= 144 && n >= 384 && n % 32 == 0 && k >= 768 && k % 16 == 0) return 2;
  return n % 16 == 0 && k % 8 == 0;
}
#else
typedef int tsr_no_relaxed_simd; /* because ISO C demands a declaration in every file */
#endif
