/* The int8 product with i32x4.relaxed_dot_i8x16_i7x16_add, on the packing and rows of gemm_q8_relaxed.c. It is one
 * instruction on machines with dot products of bytes (VNNI, Arm's SDOT), and several elsewhere. A trial (trial.c)
 * measures whether it is faster. */
#ifdef __wasm_relaxed_simd__
#include <stdint.h>

#include "gemm_q8.h"
#include "simd.h"

typedef uint8_t tsr_q8_element;
#define TSR_Q8_ROWS 3

/* A tile has two groups of rows, because where this is one instruction it takes 5 cycles, and fewer than 10 sums would
 * wait for each other. The first step is written before the loop, and nothing is unrolled over k: see
 * gemm_f32_tile.h. */
#define STEP()                                                                                    \
  do {                                                                                            \
    v128_t w0 = wasm_v128_load(panel), w1 = wasm_v128_load(panel + 16);                           \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                                      \
      v128_t x = wasm_v128_load32_splat(r < TSR_Q8_ROWS ? a + r * 4 : b + (r - TSR_Q8_ROWS) * 4); \
      low[r] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w0, x, low[r]);                             \
      high[r] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(w1, x, high[r]);                           \
    }                                                                                             \
    a += TSR_Q8_ROWS * 4, b += TSR_Q8_ROWS * 4, panel += 32;                                      \
  } while (0)

TSR_INLINE void sums(int rows, const tsr_q8_element *a, tsr_i32x4 *low, tsr_i32x4 *high, int padded,
                     const int8_t *panel) {
  const int8_t *end = panel + (size_t)padded * TSR_PANEL;
  const tsr_q8_element *b = rows > TSR_Q8_ROWS ? a + (size_t)TSR_Q8_ROWS * padded : a;
  STEP();
  TSR_OPAQUE(a);
  TSR_OPAQUE(b);
  TSR_OPAQUE(panel);
#pragma GCC unroll 1
  while (panel != end) STEP();
}

#define TSR_Q8_KERNEL tsr_k_gemm_q8_fused
#define TSR_Q8_TILE 6
#define TSR_Q8_USES_PAIRS 0
#define TSR_Q8_SUMS(rows, has_pairs, a, low, high, padded, panel) \
  ((void)(has_pairs), sums(rows, a, low, high, padded, panel))
#include "gemm_q8_tile.h"
#else
typedef int tsr_no_relaxed_simd; /* because ISO C demands a declaration in every file */
#endif
