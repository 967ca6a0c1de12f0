/* 128-bit vectors for the kernels: wasm simd128 where the compiler has it, plain C elsewhere.
 *
 * The plain C lets sanitizers, fuzzers and debuggers run the same kernels natively; it is not meant to be fast. Both
 * give the same bits, because every operation here is exactly specified (none is fused or estimated). Loads and stores
 * need no alignment.
 *
 * Constants inside loops: V8 builds a v128 constant anew at every use. Keep them in a `static const volatile` table and
 * load them before the loop. The table is volatile, because otherwise the compiler folds the load back into a
 * constant. */
#ifndef TSR_KERNELS_SIMD_H
#define TSR_KERNELS_SIMD_H

#include <stdint.h>

#define TSR_NOINLINE __attribute__((noinline))
#define TSR_INLINE static inline __attribute__((always_inline))
/* Makes the compiler forget what it knows of the pointer's value. */
#define TSR_OPAQUE(pointer) __asm__ volatile("" : "+r"(pointer))

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

/* One type in wasm, but four names, because the native types differ, so that mixing them up fails to compile
 * natively. */
typedef v128_t tsr_f32x4, tsr_i32x4, tsr_i16x8, tsr_i8x16;

#define TSR_OP2(name, wasm, type) \
  TSR_INLINE type name(type a, type b) { return wasm(a, b); }
#define TSR_VIEW(name, to, from) \
  TSR_INLINE to name(from a) { return a; }

TSR_INLINE tsr_f32x4 tsr_f32x4_load(const float *p) { return wasm_v128_load(p); }
TSR_INLINE void tsr_f32x4_store(float *p, tsr_f32x4 a) { wasm_v128_store(p, a); }
TSR_INLINE void tsr_f32x4_store_low(float *p, tsr_f32x4 a) { wasm_v128_store64_lane(p, a, 0); }
TSR_INLINE void tsr_f32x4_store_high(float *p, tsr_f32x4 a) { wasm_v128_store64_lane(p, a, 1); }
TSR_INLINE tsr_f32x4 tsr_f32x4_load_splat(const float *p) { return wasm_v128_load32_splat(p); }
TSR_INLINE tsr_f32x4 tsr_f32x4_splat(float x) { return wasm_f32x4_splat(x); }
TSR_OP2(tsr_f32x4_add, wasm_f32x4_add, tsr_f32x4)
TSR_OP2(tsr_f32x4_sub, wasm_f32x4_sub, tsr_f32x4)
TSR_OP2(tsr_f32x4_mul, wasm_f32x4_mul, tsr_f32x4)
TSR_OP2(tsr_f32x4_div, wasm_f32x4_div, tsr_f32x4)
/* min is b < a ? b : a, max is a < b ? b : a: a NaN in b is dropped, one in a is kept. Each is one instruction on x64,
 * unlike the IEEE minimum and maximum. */
TSR_OP2(tsr_f32x4_min, wasm_f32x4_pmin, tsr_f32x4)
TSR_OP2(tsr_f32x4_max, wasm_f32x4_pmax, tsr_f32x4)
TSR_INLINE tsr_f32x4 tsr_f32x4_abs(tsr_f32x4 a) { return wasm_f32x4_abs(a); }
/* Masks: all ones where true. */
TSR_OP2(tsr_f32x4_eq, wasm_f32x4_eq, tsr_i32x4)
TSR_OP2(tsr_f32x4_lt, wasm_f32x4_lt, tsr_i32x4)
TSR_VIEW(tsr_f32x4_bits, tsr_i32x4, tsr_f32x4)
TSR_VIEW(tsr_i32x4_as_f32, tsr_f32x4, tsr_i32x4)
TSR_INLINE tsr_f32x4 tsr_f32x4_from_i32x4(tsr_i32x4 a) { return wasm_f32x4_convert_i32x4(a); }

TSR_INLINE tsr_i32x4 tsr_i32x4_load(const void *p) { return wasm_v128_load(p); }
TSR_INLINE void tsr_i32x4_store(void *p, tsr_i32x4 a) { wasm_v128_store(p, a); }
TSR_INLINE tsr_i32x4 tsr_i32x4_load_u16x4(const void *p) { return wasm_u32x4_load16x4(p); }
TSR_INLINE tsr_i32x4 tsr_i32x4_splat(int32_t x) { return wasm_i32x4_splat(x); }
TSR_OP2(tsr_i32x4_add, wasm_i32x4_add, tsr_i32x4)
TSR_OP2(tsr_i32x4_sub, wasm_i32x4_sub, tsr_i32x4)
TSR_OP2(tsr_i32x4_mul, wasm_i32x4_mul, tsr_i32x4)
TSR_OP2(tsr_i32x4_gt, wasm_i32x4_gt, tsr_i32x4)
TSR_OP2(tsr_i32x4_and, wasm_v128_and, tsr_i32x4)
TSR_OP2(tsr_i32x4_or, wasm_v128_or, tsr_i32x4)
/* a and not b */
TSR_OP2(tsr_i32x4_andnot, wasm_v128_andnot, tsr_i32x4)
#define tsr_i32x4_shl(a, bits) wasm_i32x4_shl(a, bits)
/* The sum of the two products of each pair of i16. */
TSR_INLINE tsr_i32x4 tsr_i32x4_dot_i16x8(tsr_i16x8 a, tsr_i16x8 b) { return wasm_i32x4_dot_i16x8(a, b); }

TSR_INLINE tsr_i16x8 tsr_i16x8_load_i8x8(const int8_t *p) { return wasm_i16x8_load8x8(p); }
/* The two i16 at p, in all four pairs. */
TSR_INLINE tsr_i16x8 tsr_i16x8_load_pair_splat(const int16_t *p) { return wasm_v128_load32_splat(p); }
TSR_INLINE tsr_i16x8 tsr_i16x8_splat(int16_t x) { return wasm_i16x8_splat(x); }
TSR_OP2(tsr_i16x8_min, wasm_i16x8_min, tsr_i16x8)
TSR_OP2(tsr_i16x8_max, wasm_i16x8_max, tsr_i16x8)
/* Eight i32 to i16, saturating: those of a, then those of b. */
TSR_INLINE tsr_i16x8 tsr_i16x8_narrow(tsr_i32x4 a, tsr_i32x4 b) { return wasm_i16x8_narrow_i32x4(a, b); }
/* Stores eight i16 as i8, saturating. */
TSR_INLINE void tsr_i16x8_store_i8(int8_t *p, tsr_i16x8 a) {
  wasm_v128_store64_lane(p, wasm_i8x16_narrow_i16x8(a, a), 0);
}

/* Stores the same in two halves of four, or eight i16 in four pairs, `apart` elements from each other. */
TSR_INLINE void tsr_i16x8_store_i8_apart(int8_t *p, int apart, tsr_i16x8 a) {
  tsr_i8x16 y = wasm_i8x16_narrow_i16x8(a, a);
  wasm_v128_store32_lane(p, y, 0), wasm_v128_store32_lane(p + apart, y, 1);
}
TSR_INLINE void tsr_i16x8_store_apart(int16_t *p, int apart, tsr_i16x8 a) {
  wasm_v128_store32_lane(p, a, 0), wasm_v128_store32_lane(p + apart, a, 1);
  wasm_v128_store32_lane(p + 2 * apart, a, 2), wasm_v128_store32_lane(p + 3 * apart, a, 3);
}

/* The i16 at even places of a, then of b; and those at odd places. */
TSR_INLINE tsr_i32x4 tsr_i16x8_even(tsr_i32x4 a, tsr_i32x4 b) {
  return wasm_i16x8_shuffle(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
TSR_INLINE tsr_i32x4 tsr_i16x8_odd(tsr_i32x4 a, tsr_i32x4 b) {
  return wasm_i16x8_shuffle(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

/* Transposes 4 x 4 in place. */
TSR_INLINE void tsr_f32x4_transpose(tsr_f32x4 r[4]) {
  tsr_f32x4 a = wasm_i32x4_shuffle(r[0], r[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(r[0], r[1], 2, 6, 3, 7);
  tsr_f32x4 c = wasm_i32x4_shuffle(r[2], r[3], 0, 4, 1, 5), d = wasm_i32x4_shuffle(r[2], r[3], 2, 6, 3, 7);
  r[0] = wasm_i64x2_shuffle(a, c, 0, 2), r[1] = wasm_i64x2_shuffle(a, c, 1, 3);
  r[2] = wasm_i64x2_shuffle(b, d, 0, 2), r[3] = wasm_i64x2_shuffle(b, d, 1, 3);
}

/* low: a0 b0 a1 b1; high: a2 b2 a3 b3. */
TSR_INLINE tsr_f32x4 tsr_f32x4_zip_low(tsr_f32x4 a, tsr_f32x4 b) { return wasm_i32x4_shuffle(a, b, 0, 4, 1, 5); }
TSR_INLINE tsr_f32x4 tsr_f32x4_zip_high(tsr_f32x4 a, tsr_f32x4 b) { return wasm_i32x4_shuffle(a, b, 2, 6, 3, 7); }

TSR_INLINE tsr_f32x4 tsr_f32x4_swap_pairs(tsr_f32x4 a) { return wasm_i32x4_shuffle(a, a, 1, 0, 3, 2); }

#else
#include <string.h>

typedef float tsr_f32x4 __attribute__((vector_size(16)));
typedef int32_t tsr_i32x4 __attribute__((vector_size(16)));
typedef int16_t tsr_i16x8 __attribute__((vector_size(16)));

/* Each operation as an expression over lane i. Signed sums are computed as unsigned, because in wasm they wrap. */
#define TSR_LANES(name, to, n, from, expression)       \
  TSR_INLINE to name(from a, from b) {                 \
    to y;                                              \
    for (int i = 0; i < (n); i++) y[i] = (expression); \
    return y;                                          \
  }
#define TSR_LOAD(name, type, pointer) \
  TSR_INLINE type name(pointer p) {   \
    type y;                           \
    memcpy(&y, p, sizeof y);          \
    return y;                         \
  }
#define TSR_SPLAT(name, type, element) \
  TSR_INLINE type name(element x) { return x - (type){0}; } /* x - 0, not 0 + x: keeps the sign of -0 */

TSR_LOAD(tsr_f32x4_load, tsr_f32x4, const float *)
TSR_INLINE void tsr_f32x4_store(float *p, tsr_f32x4 a) { memcpy(p, &a, sizeof a); }
TSR_INLINE void tsr_f32x4_store_low(float *p, tsr_f32x4 a) { memcpy(p, &a, sizeof a / 2); }
TSR_INLINE void tsr_f32x4_store_high(float *p, tsr_f32x4 a) { p[0] = a[2], p[1] = a[3]; }
TSR_SPLAT(tsr_f32x4_splat, tsr_f32x4, float)
TSR_INLINE tsr_f32x4 tsr_f32x4_load_splat(const float *p) { return tsr_f32x4_splat(*p); }
TSR_INLINE tsr_f32x4 tsr_f32x4_add(tsr_f32x4 a, tsr_f32x4 b) { return a + b; }
TSR_INLINE tsr_f32x4 tsr_f32x4_sub(tsr_f32x4 a, tsr_f32x4 b) { return a - b; }
TSR_INLINE tsr_f32x4 tsr_f32x4_mul(tsr_f32x4 a, tsr_f32x4 b) { return a * b; }
TSR_INLINE tsr_f32x4 tsr_f32x4_div(tsr_f32x4 a, tsr_f32x4 b) { return a / b; }
TSR_LANES(tsr_f32x4_min, tsr_f32x4, 4, tsr_f32x4, b[i] < a[i] ? b[i] : a[i])
TSR_LANES(tsr_f32x4_max, tsr_f32x4, 4, tsr_f32x4, a[i] < b[i] ? b[i] : a[i])
TSR_INLINE tsr_i32x4 tsr_f32x4_eq(tsr_f32x4 a, tsr_f32x4 b) { return a == b; }
TSR_INLINE tsr_i32x4 tsr_f32x4_lt(tsr_f32x4 a, tsr_f32x4 b) { return a < b; }
TSR_INLINE tsr_i32x4 tsr_f32x4_bits(tsr_f32x4 a) { return (tsr_i32x4)a; }
TSR_INLINE tsr_f32x4 tsr_i32x4_as_f32(tsr_i32x4 a) { return (tsr_f32x4)a; }
TSR_INLINE tsr_f32x4 tsr_f32x4_from_i32x4(tsr_i32x4 a) { return __builtin_convertvector(a, tsr_f32x4); }

TSR_LOAD(tsr_i32x4_load, tsr_i32x4, const void *)
TSR_INLINE void tsr_i32x4_store(void *p, tsr_i32x4 a) { memcpy(p, &a, sizeof a); }
TSR_INLINE tsr_i32x4 tsr_i32x4_load_u16x4(const void *p) {
  uint16_t h[4];
  memcpy(h, p, sizeof h);
  return (tsr_i32x4){h[0], h[1], h[2], h[3]};
}
TSR_INLINE tsr_i32x4 tsr_i32x4_splat(int32_t x) { return (tsr_i32x4){x, x, x, x}; }
TSR_LANES(tsr_i32x4_add, tsr_i32x4, 4, tsr_i32x4, (int32_t)((uint32_t)a[i] + (uint32_t)b[i]))
TSR_LANES(tsr_i32x4_sub, tsr_i32x4, 4, tsr_i32x4, (int32_t)((uint32_t)a[i] - (uint32_t)b[i]))
TSR_LANES(tsr_i32x4_mul, tsr_i32x4, 4, tsr_i32x4, (int32_t)((uint32_t)a[i] * (uint32_t)b[i]))
TSR_INLINE tsr_i32x4 tsr_i32x4_gt(tsr_i32x4 a, tsr_i32x4 b) { return a > b; }
TSR_INLINE tsr_i32x4 tsr_i32x4_and(tsr_i32x4 a, tsr_i32x4 b) { return a & b; }
TSR_INLINE tsr_i32x4 tsr_i32x4_or(tsr_i32x4 a, tsr_i32x4 b) { return a | b; }
TSR_INLINE tsr_i32x4 tsr_i32x4_andnot(tsr_i32x4 a, tsr_i32x4 b) { return a & ~b; }
TSR_INLINE tsr_i32x4 tsr_i32x4_shl(tsr_i32x4 a, int bits) {
  tsr_i32x4 y;
  for (int i = 0; i < 4; i++) y[i] = (int32_t)((uint32_t)a[i] << bits);
  return y;
}
TSR_INLINE tsr_f32x4 tsr_f32x4_abs(tsr_f32x4 a) { return (tsr_f32x4)((tsr_i32x4)a & tsr_i32x4_splat(0x7fffffff)); }
TSR_LANES(tsr_i32x4_dot_i16x8, tsr_i32x4, 4, tsr_i16x8,
          (int32_t)((uint32_t)(a[2 * i] * b[2 * i]) + (uint32_t)(a[2 * i + 1] * b[2 * i + 1])))

TSR_INLINE tsr_i16x8 tsr_i16x8_load_i8x8(const int8_t *p) {
  return (tsr_i16x8){p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
}
TSR_INLINE tsr_i16x8 tsr_i16x8_load_pair_splat(const int16_t *p) {
  return (tsr_i16x8){p[0], p[1], p[0], p[1], p[0], p[1], p[0], p[1]};
}
TSR_INLINE tsr_i16x8 tsr_i16x8_splat(int16_t x) { return (tsr_i16x8){x, x, x, x, x, x, x, x}; }
TSR_LANES(tsr_i16x8_min, tsr_i16x8, 8, tsr_i16x8, b[i] < a[i] ? b[i] : a[i])
TSR_LANES(tsr_i16x8_max, tsr_i16x8, 8, tsr_i16x8, a[i] < b[i] ? b[i] : a[i])
TSR_INLINE int32_t tsr_saturate(int32_t x, int32_t limit) { return x > limit ? limit : x < ~limit ? ~limit : x; }
TSR_LANES(tsr_i16x8_narrow, tsr_i16x8, 8, tsr_i32x4, (int16_t)tsr_saturate(i < 4 ? a[i] : b[i - 4], INT16_MAX))
TSR_INLINE void tsr_i16x8_store_i8(int8_t *p, tsr_i16x8 a) {
  for (int i = 0; i < 8; i++) p[i] = (int8_t)tsr_saturate(a[i], INT8_MAX);
}
TSR_INLINE void tsr_i16x8_store_i8_apart(int8_t *p, int apart, tsr_i16x8 a) {
  int8_t y[8];
  tsr_i16x8_store_i8(y, a);
  memcpy(p, y, 4), memcpy(p + apart, y + 4, 4);
}
TSR_INLINE void tsr_i16x8_store_apart(int16_t *p, int apart, tsr_i16x8 a) {
  for (int i = 0; i < 4; i++) p[i * apart] = a[2 * i], p[i * apart + 1] = a[2 * i + 1];
}
TSR_LANES(tsr_i16x8_even, tsr_i32x4, 4, tsr_i32x4,
          (int32_t)((uint32_t)((i < 2 ? a : b)[2 * i % 4] & 0xffff) | (uint32_t)(i < 2 ? a : b)[2 * i % 4 + 1] << 16))
TSR_LANES(tsr_i16x8_odd, tsr_i32x4, 4, tsr_i32x4,
          (int32_t)((uint32_t)(i < 2 ? a : b)[2 * i % 4] >> 16 |
                    ((uint32_t)(i < 2 ? a : b)[2 * i % 4 + 1] & 0xffff0000u)))
TSR_INLINE void tsr_f32x4_transpose(tsr_f32x4 r[4]) {
  tsr_f32x4 y[4];
  for (int i = 0; i < 4; i++) y[i] = (tsr_f32x4){r[0][i], r[1][i], r[2][i], r[3][i]};
  memcpy(r, y, sizeof y);
}
TSR_INLINE tsr_f32x4 tsr_f32x4_zip_low(tsr_f32x4 a, tsr_f32x4 b) { return (tsr_f32x4){a[0], b[0], a[1], b[1]}; }
TSR_INLINE tsr_f32x4 tsr_f32x4_zip_high(tsr_f32x4 a, tsr_f32x4 b) { return (tsr_f32x4){a[2], b[2], a[3], b[3]}; }
TSR_INLINE tsr_f32x4 tsr_f32x4_swap_pairs(tsr_f32x4 a) { return (tsr_f32x4){a[1], a[0], a[3], a[2]}; }
#endif

/* Loads or stores the last `count` (0 to 4) elements of a row, and touches no memory beyond them. */
TSR_INLINE tsr_f32x4 tsr_f32x4_load_part(const float *p, int count, float fill) {
  float x[4] = {fill, fill, fill, fill};
  for (int i = 0; i < count && i < 4; i++) x[i] = p[i];
  return tsr_f32x4_load(x);
}
TSR_INLINE void tsr_f32x4_store_part(float *p, tsr_f32x4 a, int count) {
  float x[4];
  tsr_f32x4_store(x, a);
  for (int i = 0; i < count && i < 4; i++) p[i] = x[i];
}

/* The sum, minimum and maximum of the lanes, in a fixed order, so that a row gives the same bits wherever it is
 * computed. */
TSR_INLINE float tsr_f32x4_sum(tsr_f32x4 a) {
  float x[4];
  tsr_f32x4_store(x, a);
  return (x[0] + x[1]) + (x[2] + x[3]);
}
TSR_INLINE float tsr_f32x4_lowest(tsr_f32x4 a) {
  float x[4];
  tsr_f32x4_store(x, a);
  float low = x[1] < x[0] ? x[1] : x[0], high = x[3] < x[2] ? x[3] : x[2];
  return high < low ? high : low;
}
TSR_INLINE float tsr_f32x4_highest(tsr_f32x4 a) {
  float x[4];
  tsr_f32x4_store(x, a);
  float low = x[1] > x[0] ? x[1] : x[0], high = x[3] > x[2] ? x[3] : x[2];
  return high > low ? high : low;
}

#endif
