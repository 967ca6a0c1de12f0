/* The packing of weights and the arithmetic of quantizing a row of activations, for every int8 product.
 *
 * A row's range [low, high] always contains 0 and is mapped to 0..127. These are 7 bits, because wasm's relaxed dot
 * product is defined only while its second operand is 0..127. Weights are -128..127 (files have -127..127), so a pair
 * of products is at most 2 * 127 * 128 = 32512 and fits i16, and a sum of 65536 products fits i32.
 * Every isa computes the same expressions in the same order, so q, scale and zero are the same numbers everywhere. */
#ifndef TSR_KERNELS_GEMM_Q8_H
#define TSR_KERNELS_GEMM_Q8_H

#include "kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { TSR_Q8_MAX = 127 };

/* K is padded to a multiple of 8 in weights and activations. */
static inline int tsr_q8_padded(int k) { return k > INT32_MAX - 7 ? INT32_MAX - 7 : (k + 7) & ~7; }

/* A panel begins with a header, whose first byte is 1 when all of its columns keep within TSR_Q8_PAIRS. */
enum { TSR_Q8_HEADER = 16 };
static inline size_t tsr_q8_panel_bytes(int padded) { return TSR_Q8_HEADER + (size_t)TSR_PANEL * (size_t)padded; }
/* Clears the header of the panel that contains column n, and returns the panel's weights. */
static inline int8_t *tsr_q8_begin_panel(int8_t *panels, int n, int k) {
  int8_t *panel = panels + (size_t)(n / TSR_PANEL) * tsr_q8_panel_bytes(tsr_q8_padded(k));
  memset(panel, 0, TSR_Q8_HEADER);
  return panel + TSR_Q8_HEADER;
}

/* Quantized rows of simd and relaxed lie in groups of 4 rows (simd) or 3. Units of 4 bytes (neighbours in k: 2 i16 or 4
 * u8) of a group's rows lie side by side, because a tile reads them in this order (gemm_f32_tile.h says why):
 * [K / neighbours, rows, neighbours]. */

/* The relaxed product adds up the products of four neighbouring weights (k = 0, 1, 4, 5 or 2, 3, 6, 7 of each 8) with
 * 0..127 in one i16. This cannot overflow while the positive weights, and the negative ones, sum to at most 258 (127
 * * 258 = 32766). Quantizing from floats keeps within this limit (convert.h); files that others quantized may not. */
enum { TSR_Q8_PAIRS = 258 };

/* 1.5 * 2^23: adding it to |x| < 2^22 leaves x, rounded half to even, in the low bits. This is one addition, whereas a
 * rounding conversion takes many instructions in wasm. */
#define TSR_ROUND_MAGIC 12582912.0f
enum { TSR_ROUND_BITS = 0x4b400000 };

static inline int32_t tsr_round_even(float x) {
  float shifted = x + TSR_ROUND_MAGIC;
  int32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  return bits - TSR_ROUND_BITS;
}

typedef struct tsr_q8_range {
  float low, high, scale, inverse;
  int32_t zero;
} tsr_q8_range;

/* The range of a row, from the least and greatest of its numbers and 0 (without NaN). A row whose scale would be
 * subnormal counts as zero, because the inverse of the scale would not be finite. */
static inline tsr_q8_range tsr_q8_range_of(float low, float high) {
  tsr_q8_range range = {low < -FLT_MAX ? -FLT_MAX : low, high > FLT_MAX ? FLT_MAX : high, 1, 0, 0};
  float scale = range.high / TSR_Q8_MAX - range.low / TSR_Q8_MAX; /* high - low might overflow */
  if (scale < FLT_MIN) return range;
  range.scale = scale;
  range.inverse = 1 / scale;
  /* At most 127, because a few rounding errors cannot lift 127 to 127.5. */
  range.zero = tsr_round_even(-range.low * range.inverse);
  return range;
}

static inline int32_t tsr_q8_value(const tsr_q8_range *range, float x) {
  if (x != x) x = 0;
  if (x < range->low) x = range->low;
  if (x > range->high) x = range->high;
  int32_t q = tsr_round_even(x * range->inverse) + range->zero; /* can be 128: both ends are ties in -63.5..63.5 */
  return q < 0 ? 0 : q > TSR_Q8_MAX ? TSR_Q8_MAX : q;
}

/* Rows whose range is more times the mean of |x| have outliers: normal numbers, and GELU of them, stay below 12. */
#define TSR_Q8_SPREAD 20.0f
static inline uint8_t tsr_q8_kind(const tsr_q8_range *range, float sum, int k) {
  if (sum - sum != 0) return TSR_Q8_NOT_FINITE;
  return (range->high - range->low) * (float)k > TSR_Q8_SPREAD * sum ? TSR_Q8_OUTLIERS : TSR_Q8_EVEN;
}

/* What is left of a finite x lies within half a step, which is mapped to -63.5..63.5 and moved by TSR_Q8_MIDDLE. */
enum { TSR_Q8_MIDDLE = 64 };
static inline int32_t tsr_q8_rest_value(float x, float inverse, int32_t zero) {
  float steps = x * inverse, q = steps + TSR_ROUND_MAGIC - TSR_ROUND_MAGIC, most = (float)(TSR_Q8_MAX - zero);
  int32_t rest = tsr_round_even((steps - (q > most ? most : q)) * TSR_Q8_MAX) + TSR_Q8_MIDDLE;
  return rest < 0 ? 0 : rest > TSR_Q8_MAX ? TSR_Q8_MAX : rest;
}

/* Packs a panel of `rows` columns from k = p on. A panel has ceil(K / group) blocks, each of 8 columns of `group`
 * neighbours in k. */
static inline void tsr_q8_pack_rest(int8_t *panel, const int8_t *w, int ldw, int rows, int p, int k, int group) {
  for (int padded = tsr_q8_padded(k); p < padded; p++) {
    int8_t *block = panel + (size_t)(p / group) * TSR_PANEL * group + p % group;
    for (int j = 0; j < TSR_PANEL; j++) block[j * group] = j < rows && p < k ? w[(size_t)j * ldw + p] : 0;
  }
}

#endif
