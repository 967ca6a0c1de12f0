/* The int8 product through i16x8.relaxed_dot_i8x16_i7x16: sixteen products an instruction. Activations are u8 of
 * 0..127, where the instruction is the same on every machine; a block of a panel is 8 columns of four neighbours in k.
 * A pair of products fits i16 (see gemm_q8.h), so the pairs are widened and summed once per block. */
#ifdef __wasm_relaxed_simd__
#include <stdint.h>

typedef uint8_t tsr_q8_element;
#define TSR_Q8_NAME(op) tsr_k_##op##_relaxed
#define TSR_Q8_GROUP 4
#define TSR_Q8_SPLAT(row) wasm_v128_load32_splat(row)
#define TSR_Q8_WEIGHTS(p) wasm_v128_load(p)
#define TSR_Q8_DOT(sum, a, w) \
  wasm_i32x4_add(sum, wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(w, a)))
#define TSR_Q8_STORE8(y, v) tsr_i16x8_store_i8((int8_t *)(y), v)
#include "gemm_q8_tile.h"
#else
typedef int tsr_no_relaxed_simd; /* ISO C wants a declaration in every file */
#endif
