/* The softmax with SIMD. */
#define TSR_SOFTMAX_NAME(op) tsr_k_##op##_simd
#define TSR_MADD(a, b, c) tsr_f32x4_add(tsr_f32x4_mul(a, b), c)
#define TSR_POWERS_OF_2 0
#include "softmax_tile.h"
