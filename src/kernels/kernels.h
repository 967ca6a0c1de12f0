/* Kernels: plain pointers and sizes, no allocation, no errors. Each has a scalar reference (`_ref`) beside its SIMD files.
 *
 * kernels.inc holds one row per variant, TSR_KERNEL(op, isa): it is expanded into prototypes here, into the test that
 * holds every variant against its reference, and into the bench. isa: ref (portable C), simd (wasm simd128; plain C
 * natively through simd.h), relaxed (only where the compiler has wasm relaxed SIMD), fused (relaxed with another 8-bit product).
 * The library calls through `tsr_kernels`, one pointer per op.
 *
 * Conventions: M rows (tokens), N columns (outputs), K summed; ld* = elements between rows; any size may be 0;
 * pointers need no alignment unless said. Packed weights are made by the pack kernel of the same isa and op. */
#ifndef TSR_KERNELS_H
#define TSR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
  TSR_PANEL = 8,      /* columns of a packed weight panel; panels are padded with zero columns */
  TSR_ROW_GROUP = 12, /* rows to be multiplied are laid out in groups of 1, 4 or 6, by isa: this is a multiple of all of them */
};

/* Signatures, one typedef per op: tsr_kf_<op>. */

/* Bytes of the packed form of a [N,K] weight (0 on overflow); for f32: ceil(N/8) panels of K x 8 floats. */
typedef size_t tsr_kf_gemm_f32_packed_bytes(int n, int k);
/* Packs rows [n0, n1) of a row-major [N,K] weight (PyTorch's [out,in]), n0 a multiple of TSR_PANEL; `w` points at row n0. */
typedef void tsr_kf_gemm_f32_pack(float *panels, const float *w, int ldw, int n0, int n1, int k);
/* Lays out M rows of K floats for gemm_f32 of the same isa. `to` has room for M rounded up to TSR_ROW_GROUP rows of K floats. Row i begins a
 * block of its own at to + i * K where i is a multiple of TSR_ROW_GROUP. */
typedef void tsr_kf_gemm_f32_rows(float *to, const float *a, int lda, int m, int k);
/* c[i][j] = bias[j] + sum_k a[i][k] * w[j][k] for i < M and columns j in [n0, n1), n0 a multiple of TSR_PANEL; `rows`: a, laid out.
 * bias NULL: 0. Summation order over k is fixed per element, whatever M, N and the tile. `c` points at column 0. */
typedef void tsr_kf_gemm_f32(float *c, int ldc, const float *rows, const float *panels, const float *bias, int m, int n0, int n1, int k);

/* The same product with fewer multiplications (gemm_f32_strassen.h), equal but for rounding. `levels`, 1 or 2: how often all is cut in half; N, n0
 * and n1 are multiples of TSR_PANEL << levels, K of 4 << levels. How many are worth it for a product of M rows; 0: none, gemm_f32 is for it. */
typedef int tsr_kf_gemm_f32_levels(int m, int n, int k);
/* Lays out rows [begin, end) of M for it, `begin` a multiple of TSR_STRASSEN_ROWS, `end` too or M; `to` and `a`: those of row 0. `to` has room for
 * tsr_strassen_floats. */
typedef void tsr_kf_gemm_f32_strassen_rows(float *to, const float *a, int lda, int m, int k, int levels, int begin, int end);
/* As gemm_f32; the order of a sum depends on M, K, levels and the row. scratch: tsr_strassen_scratch floats. */
typedef void tsr_kf_gemm_f32_strassen(float *c, int ldc, const float *rows, const float *panels, const float *bias, int m, int n0, int n1, int k,
                                      int levels, float *scratch);
enum { TSR_STRASSEN_ROWS = 4 * TSR_ROW_GROUP };
static inline size_t tsr_strassen_floats(int m, int k, int levels) { /* 7 operands for 4 quarters */
  size_t rows = ((size_t)m + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP, quarter = (size_t)k >> levels;
  return rows * quarter * (levels == 2 ? 49 : 7) >> levels;
}
static inline size_t tsr_strassen_scratch(int m, int k, int levels) { /* sums of weights, products on their way */
  return levels == 2 ? 40 * (size_t)k + 8 * (size_t)m : 16 * (size_t)k;
}

typedef size_t tsr_kf_gemm_q8_packed_bytes(int n, int k);
/* Packs int8 rows as above; K is padded to a multiple of 8 with zeros; each panel has a header. */
typedef void tsr_kf_gemm_q8_pack(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k);
/* Bytes of a row of quantized activations for K inputs. */
typedef int tsr_kf_gemm_q8_row_bytes(int k);
/* Quantizes M rows of K floats to 0..127, per row: x ~ scale[i] * (q - zero[i]); padding up to the row's bytes is 0. `q` has room for M
 * rounded up to TSR_ROW_GROUP rows; row i begins a block of its own where i is a multiple of it, as in gemm_f32_rows.
 * The range always contains 0; a constant-zero row gives scale 1, zero 0; NaN counts as 0, infinities as +-FLT_MAX.
 * The row format (u8, or i16 for the baseline product) is private to the isa; `q` is 16-byte aligned. Same numbers in every isa. */
typedef void tsr_kf_gemm_q8_quantize(void *q, float *scale, int32_t *zero, const float *x, int ldx, int m, int k);
/* What quantizing M rows left out: rest[i] = x[i] - scale[i] * (q[i] - zero[i]), [M,K] without gaps; 0 for what is not finite. */
typedef void tsr_kf_gemm_q8_rest(float *rest, const float *scale, const int32_t *zero, const float *x, int ldx, int m, int k);
/* c[i][j] = bias[j] + a_scale[i] * w_scale[j] * (sum_k q[i][k] * w[j][k] - a_zero[i] * w_sum[j]); the integer part is exact.
 * w_sum[j] = sum_k w[j][k]. Weights may be -127..127. */
typedef void tsr_kf_gemm_q8(float *c, int ldc, const void *q, const float *a_scale, const int32_t *a_zero,
                            const int8_t *panels, const float *w_scale, const int32_t *w_sum, const float *bias,
                            int m, int n0, int n1, int k);

/* y[i] = (x[i] - mean) / sqrt(var + eps) * gamma + beta over the last dim of M rows of C; gamma, beta may be NULL; y may be x. */
typedef void tsr_kf_layer_norm(float *y, const float *x, const float *gamma, const float *beta, float eps, int m, int c);
/* y = softmax(scale * x) over each of M rows of N; rows ldx, ldy apart; y may be x. A row that is
 * all -inf gives zeros; NaN or +inf makes the whole row NaN. */
typedef void tsr_kf_softmax(float *y, int ldy, const float *x, int ldx, float scale, int m, int n);
/* A row's softmax so far, when its columns come in parts: begins as {-inf, 0, 0}. */
typedef struct tsr_softmax_row {
  float top;  /* the largest scale * x, in the isa's own unit */
  float sum;  /* of e^(scale * x - top) */
  float keep; /* what sums that were made before this part must be multiplied by: e^(top before - top) */
} tsr_softmax_row;
/* One part: x[i][j] becomes e^(scale * x[i][j] - top of row i) for M rows of N, ldx apart, in place; `rows` is brought up to date. Over all parts,
 * softmax is x / sum, with earlier parts corrected by keep. -inf, NaN: as softmax (a sum of 0 means all were -inf).
 * (Milakov and Gimelshein 2018, arXiv 1805.02867.) */
typedef void tsr_kf_softmax_part(float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows);
/* The same as rows for gemm_q8, of N numbers and laid out as gemm_q8_quantize does: q = 127 e^(scale * x - top), within 2e-3, rounded. `sum` is of what was
 * rounded: a hundred keys that rounding makes nothing of have their weight in it. NaN counts as -inf; a row with +inf gives any numbers of 0..127. */
typedef void tsr_kf_softmax_part_q8(void *q, const float *x, int ldx, float scale, int m, int n, tsr_softmax_row *rows);
/* y = x/2 (1 + erf(x / sqrt 2)), |error| <= 1e-6 absolute against double precision; y may be x. */
typedef void tsr_kf_gelu(float *y, const float *x, int n);
/* The same within 1e-4, for what was multiplied in 8 bits, whose own error is a hundred times that. */
typedef void tsr_kf_gelu_coarse(float *y, const float *x, int n);
typedef void tsr_kf_relu(float *y, const float *x, int n);
/* y = a + b, y = a * b, elementwise; y may be a or b. */
typedef void tsr_kf_add(float *y, const float *a, const float *b, int n);
typedef void tsr_kf_mul(float *y, const float *a, const float *b, int n);
/* y = x / max(||x||_2, eps) over M rows of C (torch.nn.functional.normalize: eps 1e-12). */
typedef void tsr_kf_l2_normalize(float *y, const float *x, float eps, int m, int c);
/* sum a[i] * b[i]. */
typedef float tsr_kf_dot(const float *a, const float *b, int n);
/* y[j][i] = x[i][j] for i < rows and j < columns; rows of x are ldx apart, those of y ldy. */
typedef void tsr_kf_transpose(float *y, int ldy, const float *x, int ldx, int rows, int columns);
/* y[i][j] = x[i][j] for M rows of N. */
typedef void tsr_kf_copy_rows(float *y, int ldy, const float *x, int ldx, int m, int n);
/* Windows of rows x columns over a map, channel by channel, for `pixels` outputs p of C channels each, beside each other in y. Tap (r, t)
 * of channel j is x[p * step + r * line + t * C + j].
 * depthwise: y = bias[j] + sum of tap * w[r * w_line + t * C + j]; bias NULL: 0. The order of the sum is fixed.
 * max_window: y = the largest tap; a NaN counts only if it is the first. */
typedef void tsr_kf_depthwise(float *y, const float *x, int step, int line, const float *w, int w_line, const float *bias,
                              int pixels, int rows, int columns, int c);
typedef void tsr_kf_max_window(float *y, const float *x, int step, int line, int pixels, int rows, int columns, int c);
/* Widening of file dtypes to f32, IEEE exact: n elements; `x` may be unaligned. */
typedef void tsr_kf_f16_to_f32(float *y, const void *x, int n);
typedef void tsr_kf_bf16_to_f32(float *y, const void *x, int n);
/* Per-output-channel symmetric quantization of [N,K] rows to -127..127: q = round-half-even(w / scale), scale = max(max|w| / 127, P / 256), 1
 * where the row is 0. P is the largest sum of the positive, or of the negative, weights among k = 0, 1, 4, 5 or 2, 3, 6, 7 of each
 * eight neighbours: so the relaxed product may add such products up in 16 bits (gemm_q8.h). Trained weights, which have tails, seldom
 * reach the second bound. */
typedef void tsr_kf_quantize_weight_q8(int8_t *q, float *scale, const float *w, int n, int k);
/* sum[i] = sum_k q[i][k] of [N,K]. */
typedef void tsr_kf_sum_i8(int32_t *sum, const int8_t *q, int n, int k);

#define TSR_KERNEL(op, isa) tsr_kf_##op tsr_k_##op##_##isa;
#include "kernels.inc"
#undef TSR_KERNEL

/* The best variant of every op for this build, filled in once by tsr_kernels_select. One field per op, named as the op. */
#define TSR_KERNEL_OPS(X) \
  X(gemm_f32_packed_bytes) X(gemm_f32_pack) X(gemm_f32_rows) X(gemm_f32) \
  X(gemm_f32_levels) X(gemm_f32_strassen_rows) X(gemm_f32_strassen) \
  X(gemm_q8_packed_bytes) X(gemm_q8_pack) X(gemm_q8_row_bytes) X(gemm_q8_quantize) X(gemm_q8_rest) X(gemm_q8) \
  X(layer_norm) X(softmax) X(softmax_part) X(softmax_part_q8) X(gelu) X(gelu_coarse) X(relu) X(add) X(mul) X(l2_normalize) \
  X(dot) X(transpose) X(copy_rows) X(depthwise) X(max_window) \
  X(f16_to_f32) X(bf16_to_f32) X(quantize_weight_q8) X(sum_i8)

typedef struct tsr_kernels {
#define X(op) tsr_kf_##op *op;
  TSR_KERNEL_OPS(X)
#undef X
} tsr_kernels;

/* The best that this build has on most machines; and what is to be tried beside it, or NULL. */
const tsr_kernels *tsr_kernels_best(void);
const tsr_kernels *tsr_kernels_other(void);

/* For tests and benches: isa names "ref", "simd", "relaxed", "fused", or NULL for the best. An isa without a variant of an op falls back to
 * the next lower one. Never fails. The library does not call it, so that the kernels which are never the best stay out of the wasm. */
const tsr_kernels *tsr_kernels_select(const char *isa);

/* Runs for a millisecond what most models run most, on zeros: engines optimize a function after it has run for a while. 12 KB of stack. */
void tsr_kernels_warm(const tsr_kernels *k);

/* Runs the forms of the 8-bit product for some five milliseconds and returns the table with the fastest. All give the same bits, and share packed
 * weights and rows. Engines compile a function well only after it has run for a while: the usual form should have run before, and
 * a second trial says more of the others than the first. memory: tsr_kernels_trial_bytes() of zeros, 16-byte aligned; 0 bytes: there is nothing to choose. now: milliseconds. */
size_t tsr_kernels_trial_bytes(void);
const tsr_kernels *tsr_kernels_try(void *memory, double (*now)(void));

#endif
