/* The int8 product through i32x4.relaxed_dot_i8x16_i7x16_add, on the relaxed file's packing and rows: one instruction on machines
 * with dot products of bytes (VNNI, Arm's SDOT), several elsewhere. The context's trial (context.c) finds out which. */
#ifdef __wasm_relaxed_simd__
#include <stdint.h>

#include "gemm_q8.h"
#include "simd.h"

typedef uint8_t tsr_q8_element;

/* Not unrolled over k: see gemm_q8_simd.c. */
TSR_INLINE void sums(int rows, const tsr_q8_element *const *row, tsr_i32x4 *low, tsr_i32x4 *high, int padded,
                     const int8_t *panel) {
#pragma GCC unroll 1
  for (int p = 0; p < padded; p += 4, panel += 32) {
    v128_t w0 = wasm_v128_load(panel), w1 = wasm_v128_load(panel + 16);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      v128_t a = wasm_v128_load32_splat(row[r] + p);
      low[r] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w0, a, low[r]);
      high[r] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w1, a, high[r]);
    }
  }
}

#define TSR_Q8_KERNEL tsr_k_gemm_q8_fused
#define TSR_Q8_USES_PAIRS 0
#define TSR_Q8_SUMS(rows, has_pairs, row, low, high, padded, panel) ((void)(has_pairs), sums(rows, row, low, high, padded, panel))
#include "gemm_q8_tile.h"
#else
typedef int tsr_no_relaxed_simd; /* ISO C wants a declaration in every file */
#endif
