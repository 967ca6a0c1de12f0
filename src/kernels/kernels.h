/* The kernels: inner loops on plain pointers and sizes, which allocate nothing and report no errors.
 * Each has a scalar reference (`_ref`) beside its SIMD variants.
 *
 * kernels.inc has one row per variant, TSR_KERNEL(op, isa). It is expanded into prototypes here, into the test that
 * compares every variant with its reference, and into the bench. The isas are ref (portable C), simd (wasm simd128;
 * plain C natively through simd.h), relaxed (only where the compiler has wasm relaxed SIMD) and fused (relaxed with
 * another 8-bit product). The library calls through `tsr_kernels`, which has one pointer per op.
 *
 * Conventions: M rows (tokens), N columns (outputs), K summed; ld* = elements from one row to the next; any size may be
 * 0; pointers need no alignment unless a comment says so. Weights must be packed by the pack kernel of the same isa and
 * op. Inputs and outputs must not overlap unless a comment allows it. */
#ifndef TSR_KERNELS_H
#define TSR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
  TSR_PANEL = 8,      /* columns of a packed weight panel; panels are padded with zero columns */
  TSR_ROW_GROUP = 12, /* a multiple of 1, 4 and 6, the numbers of rows that the isas' products lay out as a group */
};

/* Signatures, one typedef per op: tsr_kf_<op>. */

/* Bytes of the packed form of a [N,K] weight; 0 on overflow. f32: ceil(N/8) panels of K x 8 floats. */
typedef size_t tsr_kf_gemm_f32_packed_bytes(int n, int k);
/* Packs rows [n0, n1) of a row-major [N,K] weight (PyTorch's [out,in]). n0 is a multiple of TSR_PANEL; `w` is row
 * n0. */
typedef void tsr_kf_gemm_f32_pack(float *panels, const float *w, int ldw, int n0, int n1, int k);
/* Lays out a, M rows of K floats, for gemm_f32 of the same isa. `to` has room for K floats times M rounded up to a
 * multiple of TSR_ROW_GROUP. Row i starts at to + i * K where i is a multiple of TSR_ROW_GROUP. */
typedef void tsr_kf_gemm_f32_rows(float *to, const float *a, int lda, int m, int k);
/* c[i][j] = bias[j] + sum_k a[i][k] * w[j][k] for i < M and columns j in [n0, n1), n0 a multiple of TSR_PANEL.
 * `rows` is a as laid out by gemm_f32_rows, `c` points at column 0. bias NULL: 0. The order of an element's sum over k
 * is fixed, whatever M, N and the tile. */
typedef void tsr_kf_gemm_f32(float *c, int ldc, const float *rows, const float *panels, const float *bias, int m,
                             int n0, int n1, int k);

/* The number of Strassen levels that are worth it for a product of M rows (gemm_f32_strassen.h: the same product with
 * fewer multiplications, equal but for rounding): 1 or 2 times all matrices are halved; 0: gemm_f32 is better. N, n0
 * and n1 must be multiples of TSR_PANEL << levels, K of 4 << levels. */
typedef int tsr_kf_gemm_f32_levels(int m, int n, int k);
/* Lays out rows [begin, end) of M for gemm_f32_strassen. `begin` is a multiple of TSR_STRASSEN_ROWS, `end` as well or
 * M. `to` and `a` point at row 0. `to` has room for tsr_strassen_floats floats. */
typedef void tsr_kf_gemm_f32_strassen_rows(float *to, const float *a, int lda, int m, int k, int levels, int begin,
                                           int end);
/* As gemm_f32, but the order of a sum depends on M, K, levels and the row. scratch: tsr_strassen_scratch floats. */
typedef void tsr_kf_gemm_f32_strassen(float *c, int ldc, const float *rows, const float *panels, const float *bias,
                                      int m, int n0, int n1, int k, int levels, float *scratch);
enum { TSR_STRASSEN_ROWS = 4 * TSR_ROW_GROUP };
static inline size_t tsr_strassen_floats(int m, int k, int levels) { /* 7 operands for 4 quarters */
  size_t rows = ((size_t)m + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP, quarter = (size_t)k >> levels;
  return rows * quarter * (levels == 2 ? 49 : 7) >> levels;
}
static inline size_t tsr_strassen_scratch(int m, int k, int levels) { /* sums of weights, and intermediate products */
  return levels == 2 ? 40 * (size_t)k + 8 * (size_t)m : 16 * (size_t)k;
}

/* As gemm_f32_packed_bytes. */
typedef size_t tsr_kf_gemm_q8_packed_bytes(int n, int k);
/* As gemm_f32_pack for int8 rows. K is padded to a multiple of 8 with zeros; each panel has a header. */
typedef void tsr_kf_gemm_q8_pack(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k);
/* Bytes of a row of quantized activations for K inputs. */
typedef int tsr_kf_gemm_q8_row_bytes(int k);
/* Dynamic quantization: quantizes M rows of K floats to 0..127, with a range per row: x ~ scale[i] * (q - zero[i]).
 * `q` is 16-byte aligned and has room for M rounded up to a multiple of TSR_ROW_GROUP rows. Row i starts at i times the
 * row's bytes where i is a multiple of TSR_ROW_GROUP, as in gemm_f32_rows; the padding of a row is 0. The range always
 * contains 0; a row of zeros gives scale 1 and zero 0; NaN counts as 0, infinities as +-FLT_MAX. The row format (u8, or
 * i16 in simd) is private to the isa; the numbers are the same in every isa. kind [M], which may be NULL, says of each
 * row what TSR_Q8_* names. */
typedef void tsr_kf_gemm_q8_quantize(void *q, float *scale, int32_t *zero, const float *x, int ldx, int m, int k,
                                     uint8_t *kind);
enum {
  TSR_Q8_NOT_FINITE, /* has NaN or an infinity, or its sum overflows */
  TSR_Q8_EVEN,
  TSR_Q8_OUTLIERS /* its range is more than TSR_Q8_SPREAD times the mean of its numbers' sizes */
};
/* Quantizes what quantizing left of `count` finite rows of x, rows[i] in order: x ~ scale * (q - zero) of both added
 * up, to 14 bits. row_scale and row_zero are those of all rows of x; q, scale and zero as in gemm_q8_quantize. */
typedef void tsr_kf_gemm_q8_rest(void *q, float *scale, int32_t *zero, const float *x, int ldx, const int32_t *rows,
                                 int count, int k, const float *row_scale, const int32_t *row_zero);
/* c[i][j] = bias[j] + a_scale[i] * w_scale[j] * (sum_k q[i][k] * w[j][k] - a_zero[i] * w_sum[j]), with
 * w_sum[j] = sum_k w[j][k]. Weights are -127..127. The integer part is exact. */
typedef void tsr_kf_gemm_q8(float *c, int ldc, const void *q, const float *a_scale, const int32_t *a_zero,
                            const int8_t *panels, const float *w_scale, const int32_t *w_sum, const float *bias, int m,
                            int n0, int n1, int k);

/* y[i] = (x[i] - mean) / sqrt(var + eps) * gamma + beta for M rows of C, over C. gamma and beta [C] may be NULL: 1 and
 * 0. y may be x. */
typedef void tsr_kf_layer_norm(float *y, const float *x, const float *gamma, const float *beta, float eps, int m,
                               int c);
/* y = softmax(scale * x) over each of M rows of N. y may be x. A row of -inf only gives zeros; NaN or +inf makes the
 * whole row NaN. */
typedef void tsr_kf_softmax(float *y, int ldy, const float *x, int ldx, float scale, int m, int n);
/* The state of a row's softmax when its columns come in parts. It begins as {-inf, 0, 0}. */
typedef struct tsr_softmax_row {
  float top;  /* the largest scale * x so far, in the isa's own unit */
  float sum;  /* of e^(scale * x - top) so far */
  float keep; /* factor for sums made before the last part: e^(top before - top) */
} tsr_softmax_row;
/* One part of a softmax: x[i][j] becomes e^(scale * x[i][j] - top of row i) for M rows of N, in place, and `rows` is
 * updated. Over all parts, softmax is x / sum, with earlier parts multiplied by keep. -inf and NaN: as in softmax (a
 * sum of 0 means that all were -inf). (Milakov and Gimelshein 2018, arXiv 1805.02867.) */
typedef void tsr_kf_softmax_part(float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows);
/* The same with the results as rows for gemm_q8, laid out as gemm_q8_quantize does: q = 127 e^(scale * x - top), within
 * 2e-3, rounded. `sum` adds the numbers before rounding, because many keys that round to 0 have a weight together. NaN
 * counts as -inf; a row with +inf gives arbitrary numbers of 0..127. */
typedef void tsr_kf_softmax_part_q8(void *q, const float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows);
/* y = x/2 (1 + erf(x / sqrt 2)) for n numbers, |error| <= 1e-6 absolute against double precision; y may be x. */
typedef void tsr_kf_gelu(float *y, const float *x, int n);
/* The same within 1e-4, for results of an 8-bit product, whose own error is a hundred times larger. */
typedef void tsr_kf_gelu_coarse(float *y, const float *x, int n);
/* y = max(x, 0), NaN stays NaN; y may be x. */
typedef void tsr_kf_relu(float *y, const float *x, int n);
/* y = a + b, y = a * b, elementwise; y may be a or b. */
typedef void tsr_kf_add(float *y, const float *a, const float *b, int n);
typedef void tsr_kf_mul(float *y, const float *a, const float *b, int n);
/* y = x / max(||x||_2, eps) over M rows of C (torch.nn.functional.normalize: eps 1e-12). */
typedef void tsr_kf_l2_normalize(float *y, const float *x, float eps, int m, int c);
/* Returns sum_i a[i] * b[i]. */
typedef float tsr_kf_dot(const float *a, const float *b, int n);
/* y[j][i] = x[i][j] for i < rows and j < columns. */
typedef void tsr_kf_transpose(float *y, int ldy, const float *x, int ldx, int rows, int columns);
/* y[i][j] = x[i][j] for M rows of N. */
typedef void tsr_kf_copy_rows(float *y, int ldy, const float *x, int ldx, int m, int n);
/* Depthwise convolution of a channels-last map, for `pixels` outputs: y[p][j] = bias[j] + sum over r < rows and t <
 * columns of x[p * step + r * line + t * C + j] * w[r * w_line + t * C + j]; y is [pixels,C] without gaps. bias NULL:
 * 0. The order of the sum is fixed. */
typedef void tsr_kf_depthwise(float *y, const float *x, int step, int line, const float *w, int w_line,
                              const float *bias, int pixels, int rows, int columns, int c);
/* Max pooling over the same windows: y[p][j] = the largest x[p * step + r * line + t * C + j]. A NaN counts only if it
 * is the first. */
typedef void tsr_kf_max_window(float *y, const float *x, int step, int line, int pixels, int rows, int columns, int c);
/* y = x, n elements widened to f32, exactly; `x` may be unaligned. */
typedef void tsr_kf_f16_to_f32(float *y, const void *x, int n);
typedef void tsr_kf_bf16_to_f32(float *y, const void *x, int n);
/* Symmetric quantization by output channel of w [N,K] to q [N,K] of -127..127: q = round-half-even(w / scale), with
 * scale [N] = max(max|w| / 127, P / 256), or 1 where the row is 0. P is the largest sum of the positive weights, or of
 * the negative ones, among k = 0, 1, 4, 5 or 2, 3, 6, 7 of each eight neighbours. This allows the relaxed product to
 * add up such products in 16 bits (gemm_q8.h). Trained weights, which have tails, rarely reach the second bound. */
typedef void tsr_kf_quantize_weight_q8(int8_t *q, float *scale, const float *w, int n, int k);
/* sum[i] = sum_k q[i][k], for q [N,K]. */
typedef void tsr_kf_sum_i8(int32_t *sum, const int8_t *q, int n, int k);

#define TSR_KERNEL(op, isa) tsr_kf_##op tsr_k_##op##_##isa;
#include "kernels.inc"
#undef TSR_KERNEL

/* A table of kernels: one field per op, named like the op. */
/* clang-format off */
#define TSR_KERNEL_OPS(X)                                                                                     \
  X(gemm_f32_packed_bytes) X(gemm_f32_pack) X(gemm_f32_rows) X(gemm_f32) X(gemm_f32_levels)                   \
  X(gemm_f32_strassen_rows) X(gemm_f32_strassen) X(gemm_q8_packed_bytes) X(gemm_q8_pack) X(gemm_q8_row_bytes) \
  X(gemm_q8_quantize) X(gemm_q8_rest) X(gemm_q8) X(layer_norm) X(softmax) X(softmax_part) X(softmax_part_q8)  \
  X(gelu) X(gelu_coarse) X(relu) X(add) X(mul) X(l2_normalize) X(dot) X(transpose) X(copy_rows) X(depthwise)  \
  X(max_window) X(f16_to_f32) X(bf16_to_f32) X(quantize_weight_q8) X(sum_i8)
/* clang-format on */

typedef struct tsr_kernels {
#define X(op) tsr_kf_##op *op;
  TSR_KERNEL_OPS(X)
#undef X
} tsr_kernels;

/* The kernels of this build that are the fastest on most machines. */
const tsr_kernels *tsr_kernels_best(void);
/* The kernels to compare with them in a trial; NULL: there are none. */
const tsr_kernels *tsr_kernels_other(void);

/* The kernels of an isa, for tests and benches: "ref", "simd", "relaxed", "fused", or NULL for the best. An op without
 * a variant for the isa has that of the next lower isa. Never fails. The library does not call this, so that kernels
 * which are never the best stay out of the wasm. */
const tsr_kernels *tsr_kernels_select(const char *isa);

/* Runs the most used kernels on zeros for about a millisecond, because engines optimize a function only after it has
 * run for a while. Takes 12 KB of stack. */
void tsr_kernels_warm(const tsr_kernels *k);

/* The bytes that tsr_kernels_try needs; 0: there is nothing to try. */
size_t tsr_kernels_trial_bytes(void);
/* Times the variants of the 8-bit product for about five milliseconds and returns the kernels with the fastest. All
 * variants give the same bits and share the formats of packed weights and rows. The usual variant should have run
 * before, because engines compile a function well only after it has run for a while; for the same reason a second trial
 * says more about the other variants than the first. memory: tsr_kernels_trial_bytes() of zeros, 16-byte aligned. now:
 * a clock in milliseconds. */
const tsr_kernels *tsr_kernels_try(void *memory, double (*now)(void));

#endif
