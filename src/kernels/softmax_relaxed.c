/* The softmax with fused multiply-add where the machine has it. */
#ifdef __wasm_relaxed_simd__
#define TSR_SOFTMAX_NAME(op) tsr_k_##op##_relaxed
#define TSR_MADD(a, b, c) wasm_f32x4_relaxed_madd(a, b, c)
#define TSR_POWERS_OF_2 1
#include "softmax_tile.h"
#else
typedef int tsr_no_relaxed_simd; /* because ISO C demands a declaration in every file */
#endif
