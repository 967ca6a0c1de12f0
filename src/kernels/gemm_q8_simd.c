/* The int8 product through i32x4.dot_i16x8, which every simd128 engine has. Activations are kept as i16, weights stay
 * int8 in memory (half the traffic) and are widened at use; a block of a panel is 8 columns of a pair in k. */
#include <stdint.h>

typedef int16_t tsr_q8_element;
#define TSR_Q8_NAME(op) tsr_k_##op##_simd
#define TSR_Q8_GROUP 2
#define TSR_Q8_SPLAT(row) tsr_i16x8_load_pair_splat(row)
#define TSR_Q8_WEIGHTS(p) tsr_i16x8_load_i8x8(p)
#define TSR_Q8_DOT(sum, a, w) tsr_i32x4_add(sum, tsr_i32x4_dot_i16x8(a, w))
#define TSR_Q8_STORE8(y, v) tsr_i16x8_store(y, v)
#include "gemm_q8_tile.h"
