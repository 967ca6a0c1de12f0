/* The int8 product with i16x8.relaxed_dot_i8x16_i7x16, which makes sixteen products an instruction. Activations are u8
 * of 0..127, because for these the instruction is the same on every machine. A block of a panel is 8 columns of four
 * neighbours in k.
 *
 * A pair of products fits i16 (gemm_q8.h) and is widened and added to the sums, with two more instructions. Where the
 * weights keep within TSR_Q8_PAIRS, two such pairs are first added in i16 and then widened together, which is a quarter
 * faster in V8. */
#ifdef __wasm_relaxed_simd__
#include <stdint.h>

typedef uint8_t tsr_q8_element;
#define TSR_Q8_NAME(op) tsr_k_##op##_relaxed
#define TSR_Q8_GROUP 4
#define TSR_Q8_ROWS 3
#define TSR_Q8_STORE8(y, apart, v) tsr_i16x8_store_i8_apart((int8_t *)(y), apart, v)
#include "gemm_q8_rows.h"
#define TSR_MADD(a, b, c) wasm_f32x4_relaxed_madd(a, b, c)
#include "softmax_q8_tile.h"

/* 1 if a packed panel keeps within TSR_Q8_PAIRS. Eight neighbours in k are two blocks of 32 bytes; the positive and the
 * negative parts of each pair of bytes of both blocks are added up. */
static int has_pairs(const int8_t *panel, int padded) {
  v128_t zero = wasm_i8x16_const_splat(0), most = zero, least = zero;
  for (int p = 0; p < padded; p += 8, panel += 64)
    for (int half = 0; half < 32; half += 16) {
      v128_t a = wasm_v128_load(panel + half), b = wasm_v128_load(panel + half + 32);
      most = wasm_i16x8_max(most, wasm_i16x8_add(wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_max(a, zero)),
                                                 wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_max(b, zero))));
      least = wasm_i16x8_min(least, wasm_i16x8_add(wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_min(a, zero)),
                                                   wasm_i16x8_extadd_pairwise_i8x16(wasm_i8x16_min(b, zero))));
    }
  v128_t limit = wasm_i16x8_splat(TSR_Q8_PAIRS);
  return !wasm_v128_any_true(wasm_v128_or(wasm_i16x8_gt(most, limit), wasm_i16x8_lt(least, wasm_i16x8_neg(limit))));
}

void tsr_k_gemm_q8_pack_relaxed(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k) {
  int padded = tsr_q8_padded(k);
  tsr_q8_pack_simd(panels, w, ldw, n0, n1, k, TSR_Q8_GROUP);
  for (int n = n0; k && n < n1; n += TSR_PANEL) {
    int8_t *panel = panels + (size_t)(n / TSR_PANEL) * tsr_q8_panel_bytes(padded);
    panel[0] = (int8_t)has_pairs(panel + TSR_Q8_HEADER, padded);
  }
}

#define DOT(w, a) wasm_i16x8_relaxed_dot_i8x16_i7x16(w, a)
/* Adds up pairs of i16. Not with extadd_pairwise, because V8 keeps its ones in memory and loads their address at every
 * use. */
static const volatile int16_t one = 1;
#define WIDEN(x) wasm_i32x4_dot_i16x8(x, ones)

/* A tile has three rows, because their 6 sums, 4 weights, the ones and temporaries fit the 15 vector registers of x64.
 * The first step is written before the loop, and nothing is unrolled over k: see gemm_f32_tile.h. */
#define STEP()                                                          \
  do {                                                                  \
    v128_t w0 = wasm_v128_load(panel), w1 = wasm_v128_load(panel + 16); \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {            \
      v128_t x = wasm_v128_load32_splat(a + r * TSR_Q8_GROUP);          \
      low[r] = wasm_i32x4_add(low[r], WIDEN(DOT(w0, x)));               \
      high[r] = wasm_i32x4_add(high[r], WIDEN(DOT(w1, x)));             \
    }                                                                   \
    a += APART, panel += 32;                                            \
  } while (0)

TSR_INLINE void sums(int rows, const tsr_q8_element *a, tsr_i32x4 *low, tsr_i32x4 *high, int padded,
                     const int8_t *panel) {
  const int8_t *end = panel + (size_t)padded * TSR_PANEL;
  v128_t ones = wasm_i16x8_splat(one);
  STEP();
  TSR_OPAQUE(a);
  TSR_OPAQUE(panel);
#pragma GCC unroll 1
  while (panel != end) STEP();
}

#define STEP_OF_PAIRS()                                                                 \
  do {                                                                                  \
    v128_t w0 = wasm_v128_load(panel), w1 = wasm_v128_load(panel + 16);                 \
    v128_t v0 = wasm_v128_load(panel + 32), v1 = wasm_v128_load(panel + 48);            \
    _Pragma("GCC unroll 8") for (int r = 0; r < rows; r++) {                            \
      v128_t x = wasm_v128_load32_splat(a + r * TSR_Q8_GROUP);                          \
      v128_t y = wasm_v128_load32_splat(a + APART + r * TSR_Q8_GROUP);                  \
      low[r] = wasm_i32x4_add(low[r], WIDEN(wasm_i16x8_add(DOT(w0, x), DOT(v0, y))));   \
      high[r] = wasm_i32x4_add(high[r], WIDEN(wasm_i16x8_add(DOT(w1, x), DOT(v1, y)))); \
    }                                                                                   \
    a += 2 * APART, panel += 64;                                                        \
  } while (0)

TSR_INLINE void sums_of_pairs(int rows, const tsr_q8_element *a, tsr_i32x4 *low, tsr_i32x4 *high, int padded,
                              const int8_t *panel) {
  const int8_t *end = panel + (size_t)padded * TSR_PANEL;
  v128_t ones = wasm_i16x8_splat(one);
  STEP_OF_PAIRS();
  TSR_OPAQUE(a);
  TSR_OPAQUE(panel);
#pragma GCC unroll 1
  while (panel != end) STEP_OF_PAIRS();
}

#define TSR_Q8_KERNEL tsr_k_gemm_q8_relaxed
#define TSR_Q8_TILE 3
#define TSR_Q8_USES_PAIRS 1
#define TSR_Q8_SUMS(rows, has_pairs, a, low, high, padded, panel) \
  ((has_pairs) ? sums_of_pairs(rows, a, low, high, padded, panel) : sums(rows, a, low, high, padded, panel))
#include "gemm_q8_tile.h"
#else
typedef int tsr_no_relaxed_simd; /* because ISO C demands a declaration in every file */
#endif
