/* The int8 product with i32x4.dot_i16x8, which every simd128 engine has. Activations are stored as i16. Weights stay
 * int8 in memory, which halves the traffic, and are widened at use. A block of a panel is 8 columns of a pair in k. */
#include <stdint.h>

typedef int16_t tsr_q8_element;
#define TSR_Q8_NAME(op) tsr_k_##op##_simd
#define TSR_Q8_GROUP 2
#define TSR_Q8_ROWS 4
#define TSR_Q8_STORE8(y, apart, v) tsr_i16x8_store_apart(y, apart, v)
#include "gemm_q8_rows.h"
#define TSR_MADD(a, b, c) tsr_f32x4_add(tsr_f32x4_mul(a, b), c)
#include "softmax_q8_tile.h"

void tsr_k_gemm_q8_pack_simd(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k) {
  tsr_q8_pack_simd(panels, w, ldw, n0, n1, k, TSR_Q8_GROUP);
}

/* The first step is written before the loop: see gemm_f32_tile.h. */
#define STEP()                                                                      \
  do {                                                                              \
    tsr_i16x8 w0 = tsr_i16x8_load_i8x8(panel), w1 = tsr_i16x8_load_i8x8(panel + 8); \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                        \
      tsr_i16x8 x = tsr_i16x8_load_pair_splat(a + r * TSR_Q8_GROUP);                \
      low[r] = tsr_i32x4_add(low[r], tsr_i32x4_dot_i16x8(x, w0));                   \
      high[r] = tsr_i32x4_add(high[r], tsr_i32x4_dot_i16x8(x, w1));                 \
    }                                                                               \
    a += APART, panel += 2 * TSR_PANEL;                                             \
  } while (0)

/* Not unrolled over k, because the compiler may regroup integer sums and would join several blocks, whose weights then
 * spill (which costs a fifth to half of the speed in V8). */
TSR_INLINE void sums(int rows, const tsr_q8_element *a, tsr_i32x4 *low, tsr_i32x4 *high, int padded,
                     const int8_t *panel) {
  const int8_t *end = panel + (size_t)padded * TSR_PANEL;
  STEP();
  TSR_OPAQUE(a);
  TSR_OPAQUE(panel);
#pragma GCC unroll 1
  while (panel != end) STEP();
}

#define TSR_Q8_KERNEL tsr_k_gemm_q8_simd
#define TSR_Q8_TILE 4
#define TSR_Q8_USES_PAIRS 0
#define TSR_Q8_SUMS(rows, has_pairs, a, low, high, padded, panel) \
  ((void)(has_pairs), sums(rows, a, low, high, padded, panel))
#include "gemm_q8_tile.h"
