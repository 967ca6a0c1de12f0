/* The f32 product with relaxed_madd: fused where the machine can, so the last bits may differ from the reference. */
#ifdef __wasm_relaxed_simd__
#define TSR_F32_ROWS 6
#define TSR_F32_MADD(a, b, c) wasm_f32x4_relaxed_madd(a, b, c)
#define TSR_F32_KERNEL tsr_k_gemm_f32_relaxed
#define TSR_F32_LAYOUT tsr_k_gemm_f32_rows_relaxed
#include "gemm_f32_tile.h"
#else
typedef int tsr_no_relaxed_simd; /* ISO C wants a declaration in every file */
#endif
