/* Holds every row of kernels.inc against its reference, and the references against formulas in double written here.
 * Alone: make build/native/test_kernels && build/native/test_kernels
 * As wasm: emcc -std=c11 -O3 -msimd128 [-mrelaxed-simd] -ffp-contract=off -Isrc -sSTANDALONE_WASM=1
 *   test/c/test_kernels.c src/kernels/<all>.c, run through node:wasi (relaxed SIMD: Node 24)
 *
 * Inputs are allocated to the byte, so that the address sanitizer sees reads beyond them; outputs lie between canaries,
 * and every element that a kernel must not write is checked to be untouched. */
#include "check.h"
#include "kernels/kernels.h"

#include <float.h>
#include <stdlib.h>

enum { CANARY = 0xa5, MARGIN = 64 };

static uint64_t seed = 1;

/* One check with the kernel and the shape it was made for. */
static void expect(int ok, const char *isa, const char *what, int m, int n, int k) {
  check_count++;
  if (ok) return;
  check_failed++;
  printf("%s, isa %s, shape %d %d %d\n", what, isa, m, n, k);
}

static void *exact(size_t bytes) {
  void *p = malloc(bytes);
  if (!p && !(p = malloc(1))) exit(1);
  return p;
}

static float *floats(size_t n, float range) {
  float *x = exact(n * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = range * check_uniform(&seed);
  return x;
}

static float *copy_of(const float *x, size_t n) {
  float *y = exact(n * sizeof *y);
  if (n) memcpy(y, x, n * sizeof *y);
  return y;
}

/* An output of `bytes`, all canary, with a margin on both sides. */
static void *guarded(size_t bytes) {
  char *p = exact(bytes + 2 * MARGIN);
  memset(p, CANARY, bytes + 2 * MARGIN);
  return p + MARGIN;
}
static int untouched(const void *p, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (((const unsigned char *)p)[i] != CANARY) return 0;
  return 1;
}
static int margins(const void *p, size_t bytes) {
  return untouched((const char *)p - MARGIN, MARGIN) && untouched((const char *)p + bytes, MARGIN);
}
static void release(void *p) { free((char *)p - MARGIN); }

static int same(const void *a, const void *b, size_t bytes) { return !bytes || !memcmp(a, b, bytes); }

static int is_ref(const char *isa) { return !strcmp(isa, "ref"); }

static const int ROWS[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 13}, COLUMNS[] = {0, 1, 7, 8, 9, 17, 31, 33},
                 DEPTHS[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64};
/* Lengths of rows and of elementwise work. */
static const int LENGTHS[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 31, 33, 127};
#define EACH(i, list) for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)

/* ---- f32 products ---- */

static void check_gemm_f32_packed_bytes(const char *isa, tsr_kf_gemm_f32_packed_bytes *kernel) {
  (void)isa;
  CHECK_INT(kernel(0, 5), 0);
  CHECK_INT(kernel(5, 0), 0);
  CHECK_INT(kernel(1, 3), 8 * 3 * 4);
  CHECK_INT(kernel(9, 3), 16 * 3 * 4);
  if (sizeof(size_t) == 4) CHECK_INT(kernel(1 << 16, 1 << 14), 0);
  if (sizeof(size_t) == 4) CHECK_INT(kernel(INT32_MAX, INT32_MAX), 0);
}

static void check_gemm_f32_pack(const char *isa, tsr_kf_gemm_f32_pack *kernel) {
  EACH(a, COLUMNS) EACH(b, DEPTHS) {
    int n = COLUMNS[a], k = DEPTHS[b], ldw = k + 2, split = n > 16 ? 16 : n;
    size_t bytes = tsr_k_gemm_f32_packed_bytes_ref(n, k), padded = k ? bytes / sizeof(float) / (size_t)k : 0;
    float *w = floats((size_t)n * ldw, 1), *panels = guarded(bytes);
    kernel(panels, w, ldw, 0, split, k);
    kernel(panels, w + (size_t)split * ldw, ldw, split, n, k);
    int ok = margins(panels, bytes);
    for (size_t j = 0; j < padded; j++)
      for (int p = 0; p < k; p++)
        ok &= panels[j / 8 * 8 * k + (size_t)p * 8 + j % 8] == ((int)j < n ? w[j * ldw + p] : 0);
    expect(ok, isa, "gemm_f32_pack", 0, n, k);
    free(w), release(panels);
  }
}

/* One product over columns [n0, n1). c, where written, is within the rounding of a sum in any order, fused or not:
 * (k + 2) eps sum |a w|; simd promises the reference's very bits. */
/* Bytes of M rows of K laid out. */
static size_t laid_bytes(int m, int k) {
  return (size_t)(m + TSR_ROW_GROUP) / TSR_ROW_GROUP * TSR_ROW_GROUP * k * sizeof(float);
}

static void check_gemm_f32_rows(const char *isa, tsr_kf_gemm_f32_rows *kernel) {
  EACH(a, ROWS) EACH(b, DEPTHS) {
    int m = ROWS[a], k = DEPTHS[b], lda = k + 3, found = 1;
    float *x = exact(sizeof *x * (m ? (size_t)(m - 1) * lda + k : 0)), *to = guarded(laid_bytes(m, k));
    for (size_t i = 0; m && i < (size_t)(m - 1) * lda + k; i++) x[i] = (float)i + 1;
    kernel(to, x, lda, m,
           k); /* the product says whether they are in place; here that all are there, and nothing beyond */
    for (int i = 0; i < m; i++)
      for (int p = 0; p < k; p++) {
        size_t at = 0, all = laid_bytes(m, k) / sizeof *to;
        while (at < all && to[at] != x[(size_t)i * lda + p]) at++;
        found &= at < all && at / ((size_t)TSR_ROW_GROUP * k) == (size_t)i / TSR_ROW_GROUP;
      }
    expect(found && margins(to, laid_bytes(m, k)), isa, "gemm_f32_rows", m, 0, k);
    free(x), release(to);
  }
}

static void gemm_f32_case(const char *isa, tsr_kf_gemm_f32 *kernel, int m, int n, int k, int n0, int n1,
                          int with_bias) {
  int lda = k + 3, ldc = n + 5, ok = 1, equal = 1;
  size_t bytes = (size_t)m * ldc * sizeof(float);
  float *a = floats((size_t)m * lda, 1), *w = floats((size_t)n * k, 1), *bias = floats(n, 1);
  float *panels = exact(tsr_k_gemm_f32_packed_bytes_ref(n, k)), *c = guarded(bytes);
  float *ref = guarded(bytes), *split = guarded(bytes), *rows = exact(laid_bytes(m, k)), *one = exact(laid_bytes(1, k));
  const tsr_kernels *family = tsr_kernels_select(isa);
  family->gemm_f32_pack(panels, w, k, 0, n, k);
  family->gemm_f32_rows(rows, a, lda, m, k);
  kernel(c, ldc, rows, panels, with_bias ? bias : NULL, m, n0, n1, k);
  for (int i = 0; i < m; i++) { /* rows one by one, as another thread count would split them */
    family->gemm_f32_rows(one, a + (size_t)i * lda, lda, 1, k);
    kernel(split + (size_t)i * ldc, ldc, one, panels, with_bias ? bias : NULL, 1, n0, n1, k);
  }
  tsr_k_gemm_f32_rows_ref(rows, a, lda, m, k);
  tsr_k_gemm_f32_ref(ref, ldc, rows, panels, with_bias ? bias : NULL, m, n0, n1, k);
  for (int i = 0; i < m; i++)
    for (int j = 0; j < ldc; j++) {
      float *y = c + (size_t)i * ldc + j;
      if (j < n0 || j >= n1) {
        ok &= untouched(y, sizeof *y);
        continue;
      }
      double sum = with_bias ? bias[j] : 0, size = fabs(sum);
      for (int p = 0; p < k; p++) {
        double product = (double)a[(size_t)i * lda + p] * w[(size_t)j * k + p];
        sum += product, size += fabs(product);
      }
      ok &= fabs(*y - sum) <= (k + 2) * 6e-8 * size;
      equal &= *y == ref[(size_t)i * ldc + j];
    }
  expect(ok && margins(c, bytes), isa, "gemm_f32 against double", m, n, k);
  expect(same(c, split, bytes), isa, "gemm_f32 split by rows", m, n, k);
  if (strcmp(isa, "relaxed")) expect(equal, isa, "gemm_f32 against ref", m, n, k);
  free(a), free(w), free(bias), free(panels), free(rows), free(one), release(c), release(ref), release(split);
}

static void check_gemm_f32(const char *isa, tsr_kf_gemm_f32 *kernel) {
  EACH(a, ROWS) EACH(b, COLUMNS) EACH(c, DEPTHS) {
    int m = ROWS[a], n = COLUMNS[b], k = DEPTHS[c];
    gemm_f32_case(isa, kernel, m, n, k, 0, n, (a + b + c) % 2);
    if (n > 8) gemm_f32_case(isa, kernel, m, n, k, 8, n, 1);
    if (n > 16) gemm_f32_case(isa, kernel, m, n, k, 8, 16, 0);
  }
}

/* Strassen's product is for products of some size, is never chosen by the builds that promise the same bits
 * everywhere, and sizes fit it. */
static void check_gemm_f32_levels(const char *isa, tsr_kf_gemm_f32_levels *kernel) {
  static const int HEIGHTS[] = {0, 1, 12, 95, 96, 197, 1025, 1 << 20};
  int chosen = 0;
  EACH(a, HEIGHTS)
  for (int n = 8; n <= 800; n += 8)
    for (int k = 2; k <= 1600; k += 2) {
      int m = HEIGHTS[a];
      int levels = kernel(m, n, k);
      expect(!levels || (n % (TSR_PANEL << levels) == 0 && k % (4 << levels) == 0), isa, "gemm_f32_levels", m, n, k);
      chosen |= 1 << levels;
    }
  CHECK_INT(kernel(12, 768, 768), 0);
  CHECK_INT(chosen, strcmp(isa, "relaxed") ? 1 : 7);
}

/* Whole numbers, so small that every sum and product is exact in any order: the result is the reference's to the
 * bit. */
static float *whole_numbers(size_t n) {
  float *x = exact(n * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = (float)(check_random(&seed) % 9) - 4;
  return x;
}

/* Rows laid out at once and in parts; columns [n0, n). */
static void strassen_case(const char *isa, int m, int n0, int n, int k, int levels) {
  const tsr_kernels *family = tsr_kernels_select(isa);
  int lda = k + 3, ldc = n + 5, ok = 1;
  size_t bytes = (size_t)m * ldc * sizeof(float), room = sizeof(float) * tsr_strassen_floats(m, k, levels);
  float *a = whole_numbers((size_t)m * lda), *w = whole_numbers((size_t)n * k),
        *bias = m % 3 ? whole_numbers((size_t)n) : NULL;
  float *panels = exact(tsr_k_gemm_f32_packed_bytes_ref(n, k)), *c = guarded(bytes), *ref = guarded(bytes),
        *plain = exact(laid_bytes(m, k));
  float *once = guarded(room), *parts = guarded(room),
        *scratch = guarded(sizeof(float) * tsr_strassen_scratch(m, k, levels));
  family->gemm_f32_pack(panels, w, k, 0, n, k);
  family->gemm_f32_strassen_rows(once, a, lda, m, k, levels, 0, m);
  for (int i = (m - 1) / TSR_STRASSEN_ROWS * TSR_STRASSEN_ROWS; i >= 0; i -= TSR_STRASSEN_ROWS)
    family->gemm_f32_strassen_rows(parts, a, lda, m, k, levels, i,
                                   i + TSR_STRASSEN_ROWS < m ? i + TSR_STRASSEN_ROWS : m);
  expect(same(once, parts, room) && margins(once, room) && margins(parts, room), isa, "gemm_f32_strassen_rows", m, n,
         k);
  family->gemm_f32_strassen(c, ldc, once, panels, bias, m, n0, n, k, levels, scratch);
  tsr_k_gemm_f32_rows_ref(plain, a, lda, m, k);
  tsr_k_gemm_f32_ref(ref, ldc, plain, panels, bias, m, n0, n, k);
  ok = same(c, ref, bytes) && margins(c, bytes) && margins(scratch, sizeof(float) * tsr_strassen_scratch(m, k, levels));
  expect(ok, isa, levels == 2 ? "gemm_f32_strassen, 2 levels" : "gemm_f32_strassen", m, n, k);
  free(a), free(w), free(bias), free(panels), free(plain), release(c), release(ref), release(once), release(parts),
      release(scratch);
}

static void check_gemm_f32_strassen_rows(const char *isa, tsr_kf_gemm_f32_strassen_rows *kernel) {
  CHECK(tsr_kernels_select(isa)->gemm_f32_strassen_rows == kernel); /* both at once, below */
}

/* Rounding: where numbers are about as large as their neighbours, off by a few times what the plain product is, two
 * levels included. */
static void strassen_rounding(const char *isa, tsr_kf_gemm_f32_strassen *kernel, int levels) {
  enum { M = 53, N = 64, K = 512 };
  float *a = floats(M * K, 1), *w = floats(N * K, 1), *panels = exact(sizeof(float) * N * K),
        *c = exact(sizeof(float) * M * N);
  float *rows = exact(sizeof(float) * tsr_strassen_floats(M, K, levels)),
        *scratch = exact(sizeof(float) * tsr_strassen_scratch(M, K, levels));
  const tsr_kernels *family = tsr_kernels_select(isa);
  double worst = 0;
  family->gemm_f32_pack(panels, w, K, 0, N, K);
  family->gemm_f32_strassen_rows(rows, a, K, M, K, levels, 0, M);
  kernel(c, N, rows, panels, NULL, M, 0, N, K, levels, scratch);
  for (int i = 0; i < M * N; i++) {
    double sum = 0;
    for (int p = 0; p < K; p++) sum += (double)a[i / N * K + p] * w[i % N * K + p];
    worst = fmax(worst, fabs(c[i] - sum));
  }
  expect(worst > 0 && worst < 3 * K * 6e-8, isa, "rounding of gemm_f32_strassen", M, levels, (int)(worst * 1e9));
  free(a), free(w), free(panels), free(c), free(rows), free(scratch);
}

static void check_gemm_f32_strassen(const char *isa, tsr_kf_gemm_f32_strassen *kernel) {
  for (int levels = 1; levels <= 2; levels++) {
    for (int m = 1; m < 120; m += m < 60 ? 1 : 7) strassen_case(isa, m, 0, TSR_PANEL << levels, 4 << levels, levels);
    for (int k = 1; k < 9; k++)
      for (int n = 1; n < 4; n++)
        strassen_case(isa, 40 + 7 * k, (n - 1) / 2 * TSR_PANEL << levels, n * TSR_PANEL << levels, k * 4 << levels,
                      levels);
    strassen_rounding(isa, kernel, levels);
  }
}

/* ---- int8 products ---- */

static int padded_k(int k) { return (k + 7) / 8 * 8; }

static void check_gemm_q8_packed_bytes(const char *isa, tsr_kf_gemm_q8_packed_bytes *kernel) {
  (void)isa;
  CHECK_INT(kernel(0, 5), 0);
  CHECK_INT(kernel(5, 0), 0);
  CHECK_INT(kernel(9, 5), 2 * (16 + 8 * 8)); /* two panels, each with a header */
  CHECK_INT(kernel(1, INT32_MAX), 0);
  if (sizeof(size_t) == 4) CHECK_INT(kernel(1 << 16, 1 << 16), 0);
}

/* The layouts are private: packing must fill all of the packed form and nothing else, keep every weight, and zero the
 * padding. The products below prove the order. */
static void check_gemm_q8_pack(const char *isa, tsr_kf_gemm_q8_pack *kernel) {
  EACH(a, COLUMNS) EACH(b, DEPTHS) {
    int n = COLUMNS[a], k = DEPTHS[b], ldw = k + 2, split = n > 16 ? 16 : n, want[256] = {0}, have[256] = {0}, ok;
    size_t bytes = tsr_k_gemm_q8_packed_bytes_ref(n, k);
    int8_t *w = exact((size_t)n * ldw), *panels = guarded(bytes);
    for (int i = 0; i < n * ldw; i++) w[i] = (int8_t)(check_random(&seed) % 256 - 128);
    kernel(panels, w, ldw, 0, split, k);
    kernel(panels, w + (size_t)split * ldw, ldw, split, n, k);
    want[0] = (int)bytes - n * k;
    for (int j = 0; j < n; j++)
      for (int p = 0; p < k; p++) want[(uint8_t)w[j * ldw + p]]++;
    size_t panel = 16 + 8 * (size_t)padded_k(k);
    for (size_t i = 0; i < bytes; i++)
      if (i % panel >= 16) have[(uint8_t)panels[i]]++;
    want[0] -= 16 * (int)(bytes / panel);
    ok = margins(panels, bytes) && same(want, have, sizeof want);
    expect(ok, isa, "gemm_q8_pack", 0, n, k);
    free(w), release(panels);
  }
}

static void check_gemm_q8_row_bytes(const char *isa, tsr_kf_gemm_q8_row_bytes *kernel) {
  EACH(i, DEPTHS) {
    int bytes = kernel(DEPTHS[i]), k = padded_k(DEPTHS[i]);
    expect(bytes == k || bytes == 2 * k, isa, "gemm_q8_row_bytes", bytes, 0, DEPTHS[i]);
  }
}

/* Element p of row i in the format of an isa: rows in groups, whose units of 4 bytes lie side by side; plain rows in
 * the reference's. */
static int q_at(const char *isa, const void *q, int k, int i, int p) {
  int rows = is_ref(isa)           ? 1
             : strcmp(isa, "simd") ? 3
                                   : 4,
      neighbours = is_ref(isa)           ? padded_k(k)
                   : strcmp(isa, "simd") ? 4
                                         : 2;
  size_t at = (size_t)(i / rows * rows) * padded_k(k) + (size_t)(p / neighbours * rows + i % rows) * neighbours +
              p % neighbours;
  return strcmp(isa, "simd") ? ((const uint8_t *)q)[at] : ((const int16_t *)q)[at];
}

/* Bytes of M quantized rows. */
static size_t q_bytes(int row_bytes, int m) {
  return (size_t)(m + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP * row_bytes;
}

enum { SPECIAL_ROWS = 11 };
/* Rows of the kinds that real activations have, and that broken ones have. */
static void special_row(float *x, int k, int kind) {
  for (int p = 0; p < k; p++) {
    float u = check_uniform(&seed);
    x[p] = kind == 0   ? 0
           : kind == 1 ? u
           : kind == 2 ? u * u + 1
           : kind == 3 ? -u * u - 1
           : kind == 4 ? u * FLT_MAX
           : kind == 5 ? u * 1e-39f
           : kind == 6 ? NAN
           : kind == 7 ? 100 * u + 3
                       : u;
  }
  if (kind == 10 && k > 1) x[k / 2] = x[k - 1] = 63.5f, x[0] = -63.5f; /* two ties: one end needs the clamp */
  if ((kind == 8 || kind == 9) && k > 0) x[k / 2] = kind == 8 ? NAN : INFINITY;
  if (kind == 9 && k > 2) x[k - 1] = -INFINITY, x[0] = NAN;
}

static double sane(float x) { return isnan(x) ? 0 : x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : x; }

/* What gemm_q8_quantize is to say of a row. */
static uint8_t kind_of(const float *x, int k) {
  double low = 0, high = 0, sum = 0;
  for (int p = 0; p < k; p++) low = fmin(low, x[p]), high = fmax(high, x[p]), sum += fabs((double)x[p]);
  if (!(sum <= FLT_MAX)) return TSR_Q8_NOT_FINITE;
  return (high - low) * k > 20 * sum ? TSR_Q8_OUTLIERS : TSR_Q8_EVEN;
}

static void check_gemm_q8_quantize(const char *isa, tsr_kf_gemm_q8_quantize *kernel) {
  EACH(a, LENGTHS) {
    int k = LENGTHS[a], m = SPECIAL_ROWS, ldx = k + 3, ok = 1, equal = 1;
    int row_bytes = tsr_kernels_select(isa)->gemm_q8_row_bytes(k), ref_bytes = padded_k(k);
    size_t bytes = q_bytes(row_bytes, m);
    float *x = floats((size_t)m * ldx, 1), *scale = guarded(m * sizeof *scale), ref_scale[SPECIAL_ROWS];
    int32_t *zero = guarded(m * sizeof *zero), ref_zero[SPECIAL_ROWS];
    uint8_t *kind = guarded((size_t)m), ref_kind[SPECIAL_ROWS];
    void *q = guarded(bytes), *ref_q = exact((size_t)m * ref_bytes);
    for (int i = 0; i < m; i++) special_row(x + (size_t)i * ldx, k, i);
    kernel(q, scale, zero, x, ldx, m, k, kind);
    tsr_k_gemm_q8_quantize_ref(ref_q, ref_scale, ref_zero, x, ldx, m, k, ref_kind);
    for (int i = 0; i < m; i++) {
      double low = 0, high = 0;
      const float *row = x + (size_t)i * ldx;
      for (int p = 0; p < k; p++) low = fmin(low, sane(row[p])), high = fmax(high, sane(row[p]));
      /* Half a step, and the rounding of scale and of its inverse. Rows of subnormals count as zero. */
      int is_zero = (high - low) / 127 < FLT_MIN;
      ok &= kind[i] == kind_of(row, k);
      double limit = is_zero ? 127 * (double)FLT_MIN : scale[i] * (0.5 + 1e-4);
      if (is_zero) ok &= scale[i] == 1 && zero[i] == 0;
      else ok &= fabs(scale[i] / ((high - low) / 127) - 1) < 1e-6;
      ok &= zero[i] >= 0 && zero[i] <= 127;
      for (int p = 0; p < padded_k(k); p++) {
        int value = q_at(isa, q, k, i, p);
        equal &= value == q_at("ref", ref_q, k, i, p);
        if (p >= k) ok &= value == 0;
        else ok &= value >= 0 && value <= 127;
        if (p < k) ok &= fabs(sane(row[p]) - (double)scale[i] * (value - zero[i])) <= limit;
      }
    }
    ok &= margins(kind, (size_t)m);
    expect(ok && margins(q, bytes) && margins(scale, m * sizeof *scale) && margins(zero, m * sizeof *zero), isa,
           "gemm_q8_quantize against double", m, 0, k);
    equal &= same(kind, ref_kind, (size_t)m);
    expect(equal && same(scale, ref_scale, m * sizeof *scale) && same(zero, ref_zero, m * sizeof *zero), isa,
           "gemm_q8_quantize against ref", m, 0, k);
    free(x), release(scale), release(zero), release(kind), release(q), free(ref_q);
  }
}

/* A row and its rest together are the number again, to a 127th of half a step; and every isa quantizes alike. */
static void check_gemm_q8_rest(const char *isa, tsr_kf_gemm_q8_rest *kernel) {
  EACH(a, LENGTHS) {
    int k = LENGTHS[a], m = SPECIAL_ROWS, ldx = k + 3, count = 0, ok = 1, equal = 1;
    int row_bytes = tsr_kernels_select(isa)->gemm_q8_row_bytes(k);
    size_t bytes = q_bytes(row_bytes, m);
    float *x = floats((size_t)m * ldx, 1), scale[SPECIAL_ROWS], rest_scale[SPECIAL_ROWS], ref_scale[SPECIAL_ROWS];
    int32_t zero[SPECIAL_ROWS], rest_zero[SPECIAL_ROWS], ref_zero[SPECIAL_ROWS], rows[SPECIAL_ROWS];
    uint8_t kind[SPECIAL_ROWS];
    void *q = exact((size_t)m * padded_k(k)), *rest = guarded(bytes), *ref = exact((size_t)m * padded_k(k));
    for (int i = 0; i < m; i++) special_row(x + (size_t)i * ldx, k, i);
    tsr_k_gemm_q8_quantize_ref(q, scale, zero, x, ldx, m, k, kind);
    for (int i = m - 1; i >= 0; i--)
      if (kind[i] != TSR_Q8_NOT_FINITE) rows[count++] = i;
    kernel(rest, rest_scale, rest_zero, x, ldx, rows, count, k, scale, zero);
    tsr_k_gemm_q8_rest_ref(ref, ref_scale, ref_zero, x, ldx, rows, count, k, scale, zero);
    for (int i = 0; i < count; i++)
      for (int p = 0; p < padded_k(k); p++) {
        int row = rows[i], value = q_at(isa, rest, k, i, p);
        equal &= value == q_at("ref", ref, k, i, p);
        if (p >= k) {
          ok &= value == 0;
          continue;
        }
        double number = x[(size_t)row * ldx + p], plain = (double)scale[row] * (q_at("ref", q, k, row, p) - zero[row]);
        ok &= value >= 0 && value <= 127;
        if (scale[row] != 1 || kind[row] == TSR_Q8_OUTLIERS) /* a row of subnormals counts as zero */
          ok &=
              fabs(plain + (double)rest_scale[i] * (value - rest_zero[i]) - number) <= scale[row] * (1.0 / 127 + 1e-4);
      }
    equal &= same(rest_scale, ref_scale, (size_t)count * sizeof *ref_scale);
    expect(ok && margins(rest, bytes), isa, "gemm_q8_rest", m, 0, k);
    expect(equal && same(rest_zero, ref_zero, (size_t)count * sizeof *ref_zero), isa, "gemm_q8_rest against ref", m, 0,
           k);
    free(x), free(q), release(rest), free(ref);
  }
}

/* `extreme`: rows all of one sign, so that sums are as large as they can be, and by column 1: weights of -128 or 127,
 * 2: the largest that TSR_Q8_PAIRS allows, of either sign. */
static void gemm_q8_case(const char *isa, tsr_kf_gemm_q8 *kernel, int m, int n, int k, int n0, int n1, int with_bias,
                         int extreme) {
  const tsr_kernels *family = tsr_kernels_select(isa);
  int ldc = n + 5, row_bytes = family->gemm_q8_row_bytes(k), ok = 1;
  size_t bytes = (size_t)m * ldc * sizeof(float);
  float *x = floats((size_t)m * k, 1), *w_scale = floats(n, 0.01f), *bias = floats(n, 1);
  float *scale = exact(m * sizeof *scale);
  int32_t *zero = exact(m * sizeof *zero), *w_sum = exact(n * sizeof *w_sum);
  int8_t *w = exact((size_t)n * k), *panels = exact(family->gemm_q8_packed_bytes(n, k));
  void *q = exact(q_bytes(row_bytes, m)), *one = exact(q_bytes(row_bytes, 1));
  float *c = guarded(bytes), *split = guarded(bytes);
  for (int j = 0; j < n; j++) {
    w_sum[j] = 0;
    for (int p = 0; p < k; p++) {
      static const int8_t wide[8] = {127, 127, 64, 65, 4, 0, 64, 65};
      int8_t value = extreme == 2 ? (int8_t)(j % 2 ? wide[p % 8] : -wide[p % 8])
                     : extreme    ? (j % 2 ? 127 : -128)
                                  : (int8_t)(check_random(&seed) % 255 - 127);
      w[(size_t)j * k + p] = value, w_sum[j] += value;
    }
  }
  for (size_t i = 0; extreme && i < (size_t)m * k; i++) x[i] = i / (size_t)k % 2 ? -1 : 1;
  family->gemm_q8_pack(panels, w, k, 0, n, k);
  family->gemm_q8_quantize(q, scale, zero, x, k, m, k, NULL);
  kernel(c, ldc, q, scale, zero, panels, w_scale, w_sum, with_bias ? bias : NULL, m, n0, n1, k);
  for (int i = 0; i < m; i++) {
    family->gemm_q8_quantize(one, scale + i, zero + i, x + (size_t)i * k, k, 1, k, NULL);
    kernel(split + (size_t)i * ldc, ldc, one, scale + i, zero + i, panels, w_scale, w_sum, with_bias ? bias : NULL, 1,
           n0, n1, k);
  }
  for (int i = 0; i < m; i++)
    for (int j = 0; j < ldc; j++) {
      float *y = c + (size_t)i * ldc + j;
      if (j < n0 || j >= n1) {
        ok &= untouched(y, sizeof *y);
        continue;
      }
      int64_t sum = 0;
      for (int p = 0; p < k; p++) sum += (int64_t)(q_at(isa, q, k, i, p) - zero[i]) * w[(size_t)j * k + p];
      float both = scale[i] * w_scale[j], value = both * (float)sum;
      ok &= *y == value + (with_bias ? bias[j] : 0); /* the very bits, in every isa */
    }
  expect(ok && margins(c, bytes), isa, "gemm_q8 against int64", m, n, k);
  expect(same(c, split, bytes), isa, "gemm_q8 split by rows", m, n, k);
  free(x), free(w_scale), free(bias), free(scale), free(zero), free(w_sum), free(w), free(panels), free(q), free(one);
  release(c), release(split);
}

static void check_gemm_q8(const char *isa, tsr_kf_gemm_q8 *kernel) {
  EACH(a, ROWS) EACH(b, COLUMNS) EACH(c, DEPTHS) {
    int m = ROWS[a], n = COLUMNS[b], k = DEPTHS[c];
    gemm_q8_case(isa, kernel, m, n, k, 0, n, (a + b + c) % 2, 0);
    if (n > 8) gemm_q8_case(isa, kernel, m, n, k, 8, n, 1, 0);
    if (n > 16) gemm_q8_case(isa, kernel, m, n, k, 8, 16, 0, 0);
  }
  gemm_q8_case(isa, kernel, 5, 9, 33, 0, 9, 1, 1);
  gemm_q8_case(isa, kernel, 7, 19, 40, 0, 19, 1, 2);
  gemm_q8_case(isa, kernel, 5, 9, 65536, 0, 9, 0, 1); /* the longest sum that is promised */
}

/* ---- rows ---- */

/* y of rows [m, n] is within rel * |want| + abs of `want`, and nothing around it changed. */
static int near_all(const float *y, const double *want, size_t n, double relative, double absolute) {
  for (size_t i = 0; i < n; i++)
    if (isnan(want[i]) ? !isnan(y[i]) : !(fabs(y[i] - want[i]) <= relative * fabs(want[i]) + absolute)) return 0;
  return 1;
}

static void check_layer_norm(const char *isa, tsr_kf_layer_norm *kernel) {
  EACH(a, LENGTHS) for (int variant = 0; variant < 4; variant++) {
    int m = 5, c = LENGTHS[a];
    size_t count = (size_t)m * c, bytes = count * sizeof(float);
    float eps = 1e-5f, *x = floats(count, 3), *gamma = floats(c, 2), *beta = floats(c, 2), *y = guarded(bytes);
    const float *g = variant & 1 ? gamma : NULL, *b = variant & 2 ? beta : NULL;
    double *want = exact(count * sizeof *want);
    for (int j = 0; j < c; j++) x[j] = 2; /* a constant row: 0 / sqrt(eps) */
    for (int i = 0; i < m; i++) {
      double mean = 0, var = 0;
      for (int j = 0; j < c; j++) mean += x[i * c + j] / (double)c;
      for (int j = 0; j < c; j++) var += (x[i * c + j] - mean) * (x[i * c + j] - mean) / c;
      for (int j = 0; j < c; j++)
        want[i * c + j] = (x[i * c + j] - mean) / sqrt(var + eps) * (g ? g[j] : 1) + (b ? b[j] : 0);
    }
    kernel(y, x, g, b, eps, m, c);
    /* Normalized values are below sqrt(c) < 12; f32 sums of 127 lose at most a few eps of the row's size 3, and rows
     * of one or two close elements divide by a small deviation. */
    expect(near_all(y, want, count, 2e-6, is_ref(isa) ? 2e-7 : 2e-5) && margins(y, bytes), isa, "layer_norm", m, 0, c);
    kernel(x, x, g, b, eps, m, c);
    expect(same(x, y, bytes), isa, "layer_norm in place", m, 0, c);
    free(x), free(gamma), free(beta), free(want), release(y);
  }
}

static void softmax_case(const char *isa, tsr_kf_softmax *kernel, int n, float scale, float range) {
  int m = 7, ldx = n + 3, ldy = n + 2, ok = 1;
  size_t bytes = (size_t)m * ldy * sizeof(float);
  float *x = floats((size_t)m * ldx, range), *y = guarded(bytes);
  double *want = exact((size_t)n * sizeof *want);
  for (int j = 0; j < n; j++) {
    x[j] = -INFINITY;                                                  /* row 0: zeros */
    if (j % 3 == 1) x[ldx + j] = -INFINITY;                            /* row 1: zeros among others */
    if (j == n / 2) x[2 * ldx + j] = NAN;                              /* row 2: all NaN, as in PyTorch */
    if (j == n / 2) x[3 * ldx + j] = scale > 0 ? INFINITY : -INFINITY; /* row 3: inf - inf, all NaN */
  }
  kernel(y, ldy, x, ldx, scale, m, n);
  for (int i = 0; i < m; i++) {
    const float *row = x + (size_t)i * ldx, *out = y + (size_t)i * ldy;
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < n; j++) max = fmax(max, scale * row[j]);
    for (int j = 0; j < n; j++) sum += want[j] = exp((double)(scale * row[j]) - max);
    for (int j = 0; j < n; j++) want[j] = i == 0 && scale > 0 ? 0 : i == 2 ? NAN : want[j] / sum;
    /* exp's argument is rounded: 6e-8 |t| relative, which the absolute part covers for t < -20. */
    ok &= near_all(out, want, n, 2e-6, 1e-9) && untouched(out + n, 2 * sizeof *out);
  }
  expect(ok && margins(y, bytes), isa, "softmax against double", m, n, 0);
  float *place = copy_of(x, (size_t)m * ldx);
  kernel(place, ldx, place, ldx, scale, m, n);
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) { /* NaNs may differ in payload */
      float a = place[(size_t)i * ldx + j], b = y[(size_t)i * ldy + j];
      ok &= a == b || (isnan(a) && isnan(b));
    }
    ok &= same(place + (size_t)i * ldx + n, x + (size_t)i * ldx + n, 3 * sizeof *x);
  }
  expect(ok, isa, "softmax in place", m, n, 0);
  free(x), free(want), free(place), release(y);
}

static void check_softmax(const char *isa, tsr_kf_softmax *kernel) {
  EACH(a, LENGTHS) {
    softmax_case(isa, kernel, LENGTHS[a], 0.125f, 20);
    softmax_case(isa, kernel, LENGTHS[a], 1, 100); /* far below e^-87 */
    softmax_case(isa, kernel, LENGTHS[a], 1, 1e-3f);
  }
  float x[4] = {-1e30f, 0, -3e38f, -FLT_MAX}, y[4];
  kernel(y, 4, x, 4, 1, 1, 4);
  CHECK(y[0] == 0 && y[1] == 1 && y[2] == 0 && y[3] == 0);
}

/* The columns in parts of 1, 2, 4... give the softmax of all, once earlier parts are multiplied by what came after. */
static void check_softmax_part(const char *isa, tsr_kf_softmax_part *kernel) {
  EACH(a, LENGTHS) {
    enum { M = 6 };
    int n = LENGTHS[a], ldx = n + 3, ok = 1;
    size_t bytes = (size_t)M * ldx * sizeof(float);
    float *x = guarded(bytes), *in = floats((size_t)M * ldx, 30), scale = 0.75f; /* row 3 is exact */
    double *done = exact((size_t)M * ldx * sizeof *done);
    tsr_softmax_row rows[M];
    for (int j = 0; j < n; j++) {
      in[j] = -INFINITY;                      /* row 0: all masked, zeros */
      if (j < n / 2) in[ldx + j] = -INFINITY; /* row 1: the first parts masked */
      if (j == n / 2) in[2 * ldx + j] = NAN;
      in[3 * ldx + j] = (float)j * 3; /* row 3: each part above the one before */
    }
    memcpy(x, in, bytes);
    for (int i = 0; i < M; i++) rows[i] = (tsr_softmax_row){-INFINITY, 0, 0};
    for (int begin = 0, part = 1; begin < n; begin += part, part *= 2) {
      if (part > n - begin) part = n - begin;
      kernel(x + begin, ldx, scale, M, part, rows);
      for (int i = 0; i < M; i++) {
        for (int j = 0; j < begin; j++) done[i * ldx + j] *= rows[i].keep;
        for (int j = begin; j < begin + part; j++) done[i * ldx + j] = x[i * ldx + j];
      }
    }
    for (int i = 0; i < M; i++) {
      double max = -INFINITY, sum = 0;
      for (int j = 0; j < n; j++) max = fmax(max, scale * in[i * ldx + j]);
      for (int j = 0; j < n; j++) sum += exp((double)(scale * in[i * ldx + j]) - max);
      for (int j = 0; j < n; j++) {
        double have = rows[i].sum == 0 ? 0 : done[i * ldx + j] / rows[i].sum;
        double want = i == 0 ? 0 : i == 2 ? NAN : exp((double)(scale * in[i * ldx + j]) - max) / sum;
        ok &= isnan(want) ? isnan(have) || j < n / 2
                          : fabs(have - want) <= 4e-6 * want + 1e-9; /* two roundings more than softmax's */
      }
      if (i == 2 && n) ok &= isnan(rows[i].sum);
      ok &= same(x + i * ldx + n, in + i * ldx + n, 3 * sizeof *x);
    }
    expect(ok && margins(x, bytes), isa, "softmax_part against double", M, n, 0);
    release(x), free(in), free(done);
  }
}

/* q of one part, [M,N], against double: 127 e^(scale * x - top), rounded; padding is 0; `rows` has the sum before
 * rounding. `top`: the largest scale * x so far; `before`: the same before this part, and `sum` the sum. */
static int part_q8_is_right(const char *isa, const void *q, const float *x, int n, float scale, double top,
                            double before, double sum, const tsr_softmax_row *row, int i) {
  double all = 0, shift = top == -INFINITY ? 0 : top, keep = exp(before - shift);
  int ok = fabs(row->keep - keep) <= 2e-3 * keep + 1e-9;
  for (int j = 0; j < padded_k(n); j++) {
    double p = j < n && !isnan(x[j]) ? 127 * exp((double)(scale * x[j]) - shift) : 0;
    int value = q_at(isa, q, n, i, j);
    ok &= value >= 0 && value <= 127 && fabs(value - p) <= 0.501 + 2e-3 * p && (j < n || value == 0);
    all += p;
  }
  return ok && fabs(row->sum - (sum * row->keep + all)) <= 2e-3 * row->sum + 1e-9;
}

static void check_softmax_part_q8(const char *isa, tsr_kf_softmax_part_q8 *kernel) {
  EACH(a, LENGTHS) {
    enum { M = 7 };
    int n = LENGTHS[a], ldx = n + 3, ok = 1;
    float *x = floats((size_t)M * ldx, 6), scale = 0.75f;
    tsr_softmax_row rows[M];
    double top[M], sum[M];
    for (int j = 0; j < n; j++) {
      x[j] = -INFINITY;
      if (j < n / 2) x[ldx + j] = -INFINITY;
      x[3 * ldx + j] = (float)j * 0.3f; /* each part above the one before */
      x[4 * ldx + j] = j ? -7 : 0;      /* less than a step each, and a peak */
      x[5 * ldx + j] = 1;
    }
    if (n) x[2 * ldx + n / 2] = NAN, x[6 * ldx + n / 2] = INFINITY;
    for (int i = 0; i < M; i++) rows[i] = (tsr_softmax_row){-INFINITY, 0, 0}, top[i] = -INFINITY, sum[i] = 0;
    for (int begin = 0, part = 1; begin < n; begin += part, part *= 3) {
      if (part > n - begin) part = n - begin;
      size_t bytes = q_bytes(tsr_kernels_select(isa)->gemm_q8_row_bytes(part), M);
      void *q = guarded(bytes);
      kernel(q, x + begin, ldx, scale, M, part, rows);
      for (int i = 0; i < M; i++) {
        const float *row = x + i * ldx + begin;
        double before = top[i];
        for (int j = 0; j < part; j++) top[i] = fmax(top[i], (double)(scale * row[j]));
        ok &= top[i] == INFINITY || part_q8_is_right(isa, q, row, part, scale, top[i], before, sum[i], &rows[i], i);
        for (int p = 0; p < part; p++) ok &= q_at(isa, q, part, i, p) <= 127;
        sum[i] = rows[i].sum;
      }
      ok &= margins(q, bytes);
      release(q);
    }
    ok &= n == 0 || sum[0] == 0;
    expect(ok, isa, "softmax_part_q8 against double", M, n, 0);
    free(x);
  }
}

static void check_l2_normalize(const char *isa, tsr_kf_l2_normalize *kernel) {
  EACH(a, LENGTHS) {
    int m = 5, c = LENGTHS[a];
    size_t count = (size_t)m * c, bytes = count * sizeof(float);
    float eps = 1e-12f, *x = floats(count, 3), *y = guarded(bytes);
    double *want = exact(count * sizeof *want);
    for (int j = 0; j < c; j++) x[j] = 0, x[c + j] *= 1e-14f; /* a zero row, and one shorter than eps */
    for (int i = 0; i < m; i++) {
      double norm = 0;
      for (int j = 0; j < c; j++) norm += (double)x[i * c + j] * x[i * c + j];
      norm = fmax(sqrt(norm), eps);
      for (int j = 0; j < c; j++) want[i * c + j] = x[i * c + j] / norm;
    }
    kernel(y, x, eps, m, c);
    expect(near_all(y, want, count, 2e-6, 0) && margins(y, bytes), isa, "l2_normalize", m, 0, c);
    kernel(x, x, eps, m, c);
    expect(same(x, y, bytes), isa, "l2_normalize in place", m, 0, c);
    free(x), free(want), release(y);
  }
}

/* ---- elementwise ---- */

static void gelu_within(const char *isa, tsr_kf_gelu *kernel, double tolerance) {
  enum { STEPS = 48001 };
  float *x = exact(STEPS * sizeof *x), *y = guarded(STEPS * sizeof *y);
  double worst = 0;
  for (int i = 0; i < STEPS; i++) x[i] = (float)(-12 + i / 2000.0);
  kernel(y, x, STEPS);
  for (int i = 0; i < STEPS; i++) worst = fmax(worst, fabs(y[i] - x[i] / 2.0 * (1 + erf(x[i] / sqrt(2)))));
  CHECK_NEAR(worst, 0, tolerance);
  if (!is_ref(isa)) CHECK(worst > 0);
  EACH(a, LENGTHS) {
    int n = LENGTHS[a];
    float *in = floats(n, 6), *out = guarded(n * sizeof *out), *whole = copy_of(in, n);
    kernel(out, in, n);
    int ok = margins(out, n * sizeof *out);
    for (int i = 0; i < n; i++) { /* the tail is the same arithmetic as the whole vectors */
      kernel(&whole[i], &whole[i], 1);
      ok &= whole[i] == out[i];
    }
    expect(ok, isa, "gelu tails, in place", 0, n, 0);
    free(in), free(whole), release(out);
  }
  float special[5] = {0, 1e30f, -1e30f, INFINITY, -INFINITY}, want[5] = {0, 1e30f, 0, INFINITY, 0}, nan = NAN;
  kernel(special, special, 5);
  for (int i = 0; i < 5; i++) expect(special[i] == want[i], isa, "gelu special", i, 0, 0);
  kernel(&nan, &nan, 1);
  CHECK(isnan(nan));
  free(x), release(y);
}

/* The promises of kernels.h. */
static void check_gelu(const char *isa, tsr_kf_gelu *kernel) {
  gelu_within(isa, kernel, 1e-6);
  /* small ones, which a norm may enlarge, are right in themselves */
  float x[4] = {1e-4f, -1e-3f, 0.01f, -0.1f}, y[4];
  kernel(y, x, 4);
  for (int i = 0; i < 4; i++) {
    double right = 0.5 * x[i] * (1 + erf(x[i] / sqrt(2)));
    expect(fabs(y[i] - right) <= 5e-6 * fabs(right), isa, "gelu of small x", i, 0, 0);
  }
}
static void check_gelu_coarse(const char *isa, tsr_kf_gelu_coarse *kernel) { gelu_within(isa, kernel, 1e-4); }

static void check_relu(const char *isa, tsr_kf_relu *kernel) {
  EACH(a, LENGTHS) {
    int n = LENGTHS[a], ok = 1;
    float *x = floats(n, 2), *y = guarded(n * sizeof *y);
    if (n > 0) x[n - 1] = NAN;
    if (n > 4) x[1] = NAN, x[0] = -INFINITY;
    kernel(y, x, n);
    for (int i = 0; i < n; i++) ok &= isnan(x[i]) ? isnan(y[i]) : y[i] == (x[i] > 0 ? x[i] : 0);
    expect(ok && margins(y, n * sizeof *y), isa, "relu", 0, n, 0);
    free(x), release(y);
  }
}

static void check_binary(const char *isa, tsr_kf_add *kernel, int product) {
  EACH(a, LENGTHS) {
    int n = LENGTHS[a], ok = 1;
    float *x = floats(n, 2), *z = floats(n, 2), *y = guarded(n * sizeof *y);
    kernel(y, x, z, n);
    for (int i = 0; i < n; i++) ok &= y[i] == (product ? x[i] * z[i] : x[i] + z[i]);
    expect(ok && margins(y, n * sizeof *y), isa, product ? "mul" : "add", 0, n, 0);
    float *x2 = copy_of(x, n);
    kernel(x2, x2, z, n);
    kernel(z, x, z, n);
    expect(same(x2, y, n * sizeof *y) && same(z, y, n * sizeof *y), isa, "add or mul in place", 0, n, 0);
    free(x), free(z), free(x2), release(y);
  }
}
static void check_add(const char *isa, tsr_kf_add *kernel) { check_binary(isa, kernel, 0); }
static void check_mul(const char *isa, tsr_kf_mul *kernel) { check_binary(isa, kernel, 1); }

static void check_dot(const char *isa, tsr_kf_dot *kernel) {
  EACH(a, LENGTHS) {
    int n = LENGTHS[a];
    float *x = floats(n, 2), *y = floats(n, 2);
    double sum = 0, size = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * y[i], size += fabs((double)x[i] * y[i]);
    expect(fabs(kernel(x, y, n) - sum) <= (n + 2) * 6e-8 * size, isa, "dot", 0, n, 0);
    free(x), free(y);
  }
}

static void check_transpose(const char *isa, tsr_kf_transpose *kernel) {
  EACH(a, LENGTHS) EACH(b, LENGTHS) for (int gap = 0; gap < 4; gap += 3) {
    int rows = LENGTHS[a], columns = LENGTHS[b], ldx = columns + 2, ldy = rows + gap, ok = 1;
    size_t bytes = (size_t)columns * ldy * sizeof(float);
    float *x = floats((size_t)rows * ldx, 1), *y = guarded(bytes);
    kernel(y, ldy, x, ldx, rows, columns);
    for (int j = 0; j < columns; j++)
      for (int i = 0; i < ldy; i++) {
        const float *at = y + (size_t)j * ldy + i;
        ok &= i < rows ? *at == x[(size_t)i * ldx + j] : untouched(at, sizeof *at);
      }
    expect(ok && margins(y, bytes), isa, "transpose", rows, columns, gap);
    free(x), release(y);
  }
}

static void check_copy_rows(const char *isa, tsr_kf_copy_rows *kernel) {
  EACH(a, LENGTHS) EACH(b, ROWS) for (int gap = 0; gap < 4; gap += 3) {
    int m = ROWS[b], n = LENGTHS[a], ldx = n + 2, ldy = n + gap, ok = 1;
    size_t bytes = (size_t)m * ldy * sizeof(float);
    float *x = floats((size_t)m * ldx, 1), *y = guarded(bytes);
    kernel(y, ldy, x, ldx, m, n);
    for (int i = 0; i < m; i++)
      ok &= same(y + (size_t)i * ldy, x + (size_t)i * ldx, n * sizeof *x) &&
            untouched(y + (size_t)i * ldy + n, (size_t)gap * sizeof *y);
    expect(ok && margins(y, bytes), isa, "copy_rows", m, n, gap);
    free(x), release(y);
  }
}

/* A window of 3 rows and 2 columns that moves by `apart` pixels over a map of width + 5 columns; weights of 4
 * columns. */
static void window_case(const char *isa, tsr_kf_depthwise *depthwise, tsr_kf_max_window *max_window, int c, int pixels,
                        int apart) {
  int rows = 3, columns = 2, step = apart * c, line = (pixels * apart + 5) * c, w_line = 4 * c, ok = 1, equal = 1;
  size_t bytes = (size_t)pixels * c * sizeof(float),
         taps = pixels ? (size_t)2 * line + (size_t)(pixels - 1) * step + 2 * c : 0;
  float *x = floats(taps, 1), *w = floats((size_t)2 * w_line + 2 * c, 1), *bias = floats(c, 1), *y = guarded(bytes),
        *ref = guarded(bytes);
  const float *offset = pixels % 2 ? bias : NULL;
  if (depthwise) depthwise(y, x, step, line, w, w_line, offset, pixels, rows, columns, c);
  else max_window(y, x, step, line, pixels, rows, columns, c);
  if (depthwise) tsr_k_depthwise_ref(ref, x, step, line, w, w_line, offset, pixels, rows, columns, c);
  for (int i = 0; i < pixels * c; i++) {
    double sum = offset ? offset[i % c] : 0, size = fabs(sum), most = -INFINITY;
    for (int r = 0; r < rows; r++)
      for (int t = 0; t < columns; t++) {
        double v = x[i / c * step + r * line + t * c + i % c], product = v * w[r * w_line + t * c + i % c];
        sum += product, size += fabs(product), most = fmax(most, v);
      }
    if (depthwise) ok &= fabs(y[i] - sum) <= 8 * 6e-8 * size, equal &= y[i] == ref[i];
    else ok &= y[i] == most;
  }
  expect(ok && margins(y, bytes), isa, depthwise ? "depthwise against double" : "max_window", pixels, apart, c);
  if (strcmp(isa, "relaxed")) expect(equal, isa, "depthwise against ref", pixels, apart, c);
  free(x), free(w), free(bias), release(y), release(ref);
}
static void check_depthwise(const char *isa, tsr_kf_depthwise *kernel) {
  EACH(a, LENGTHS)
  EACH(b, ROWS) for (int apart = 1; apart < 3; apart++) window_case(isa, kernel, NULL, LENGTHS[a], ROWS[b], apart);
}
static void check_max_window(const char *isa, tsr_kf_max_window *kernel) {
  EACH(a, LENGTHS)
  EACH(b, ROWS) for (int apart = 1; apart < 3; apart++) window_case(isa, NULL, kernel, LENGTHS[a], ROWS[b], apart);
}

/* ---- conversions ---- */

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* The bits an f16 or bf16 widens to, through its value in double; NaNs keep sign and payload. */
static uint32_t widened(uint32_t h, int exponent_bits) {
  int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  uint32_t sign = h >> 15 << 31, exponent = h >> mantissa_bits & ((1u << exponent_bits) - 1);
  uint32_t mantissa = h & ((1u << mantissa_bits) - 1);
  if (exponent == (1u << exponent_bits) - 1) return sign | 0x7f800000 | mantissa << (23 - mantissa_bits);
  double value = exponent ? ldexp(1 + ldexp(mantissa, -mantissa_bits), (int)exponent - bias)
                          : ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign | bits_of((float)value);
}

static void check_widening(const char *isa, tsr_kf_f16_to_f32 *kernel, int exponent_bits) {
  enum { ALL = 65536 };
  unsigned char *x = exact(2 * ALL + 1); /* one byte off, to be unaligned */
  float *y = guarded(ALL * sizeof *y);
  int wrong = 0;
  for (uint32_t h = 0; h < ALL; h++) x[1 + 2 * h] = h & 255, x[2 + 2 * h] = (unsigned char)(h >> 8);
  kernel(y, x + 1, ALL);
  for (uint32_t h = 0; h < ALL; h++) {
    uint32_t bits;
    memcpy(&bits, y + h, sizeof bits);
    wrong += bits != widened(h, exponent_bits);
  }
  expect(!wrong && margins(y, ALL * sizeof *y), isa, exponent_bits == 5 ? "f16_to_f32" : "bf16_to_f32", wrong, 0, 0);
  release(y), free(x);
  EACH(a, LENGTHS) {
    int n = LENGTHS[a], ok = 1;
    uint16_t *h = exact(n * sizeof *h);
    float *out = guarded(n * sizeof *out);
    for (int i = 0; i < n; i++) h[i] = (uint16_t)(check_random(&seed) & 0x3fff); /* finite in both */
    kernel(out, h, n);
    for (int i = 0; i < n; i++) ok &= bits_of(out[i]) == widened(h[i], exponent_bits);
    expect(ok && margins(out, n * sizeof *out), isa, "widening of a tail", 0, n, 0);
    free(h), release(out);
  }
}
static void check_f16_to_f32(const char *isa, tsr_kf_f16_to_f32 *kernel) { check_widening(isa, kernel, 5); }
static void check_bf16_to_f32(const char *isa, tsr_kf_bf16_to_f32 *kernel) { check_widening(isa, kernel, 8); }

/* The largest sum of positive or of negative parts among k = 0, 1, 4, 5 or 2, 3, 6, 7 of eight neighbours, of w or of
 * q. */
static double most_of_pairs(const float *w, const int8_t *q, int k) {
  double most = 0, sums[2][2] = {{0}};
  for (int p = 0; p < k; p++) {
    double x = w ? sane(w[p]) : q[p];
    if (p % 8 == 0) memset(sums, 0, sizeof sums);
    sums[p / 2 % 2][x > 0] += fabs(x);
    most = fmax(most, sums[p / 2 % 2][x > 0]);
  }
  return most;
}

static void check_quantize_weight_q8(const char *isa, tsr_kf_quantize_weight_q8 *kernel) {
  EACH(a, LENGTHS) {
    int n = SPECIAL_ROWS, k = LENGTHS[a], ok = 1;
    size_t count = (size_t)n * k;
    float *w = floats(count, 1), *scale = guarded(n * sizeof *scale), ref_scale[SPECIAL_ROWS];
    int8_t *q = guarded(count), *ref_q = exact(count);
    for (int i = 0; i < n; i++) special_row(w + (size_t)i * k, k, i);
    for (int p = 0; p < k; p++) w[(size_t)k + p] = (float)(p * 37 % 127 - 63) / 2; /* row 1: halves, where ties are */
    if (k > 0) w[k] = 127;                                                         /* so that its scale is 1 */
    kernel(q, scale, w, n, k);
    tsr_k_quantize_weight_q8_ref(ref_q, ref_scale, w, n, k);
    for (int i = 0; i < n; i++) {
      double most = 0, want;
      for (int p = 0; p < k; p++) most = fmax(most, fabs(sane(w[(size_t)i * k + p])));
      want = fmax(most / 127, fmin(most_of_pairs(w + (size_t)i * k, NULL, k), FLT_MAX) / 256);
      ok &= want == 0 ? scale[i] == 1 : want < 1e-40 || fabs(scale[i] / want - 1) < 1e-6; /* four roundings */
      if (most == 127) ok &= scale[i] == 1;
      if (most < 1e38) ok &= most_of_pairs(NULL, q + (size_t)i * k, k) <= 258; /* the promise */
      for (int p = 0; p < k; p++) {
        float value = (float)sane(w[(size_t)i * k + p]);
        float rounded = nearbyintf(value / scale[i]);
        ok &= q[(size_t)i * k + p] == fminf(fmaxf(rounded, -127), 127);
      }
    }
    expect(ok && margins(q, count) && margins(scale, n * sizeof *scale), isa, "quantize_weight_q8", n, 0, k);
    expect(same(q, ref_q, count) && same(scale, ref_scale, n * sizeof *scale), isa, "quantize_weight_q8 against ref", n,
           0, k);
    free(w), release(scale), release(q), free(ref_q);
  }
}

static void check_sum_i8(const char *isa, tsr_kf_sum_i8 *kernel) {
  EACH(a, LENGTHS) {
    int n = 3, k = LENGTHS[a], ok = 1;
    int8_t *q = exact((size_t)n * k);
    int32_t *sum = guarded(n * sizeof *sum);
    for (int i = 0; i < n * k; i++) q[i] = i < k ? -128 : (int8_t)(check_random(&seed) % 256 - 128);
    kernel(sum, q, n, k);
    for (int i = 0; i < n; i++) {
      double want = 0;
      for (int p = 0; p < k; p++) want += q[(size_t)i * k + p];
      ok &= sum[i] == want;
    }
    expect(ok && margins(sum, n * sizeof *sum), isa, "sum_i8", n, 0, k);
    free(q), release(sum);
  }
}

/* ---- the rows ---- */

int main(void) {
  const tsr_kernels *best = tsr_kernels_select(NULL), *ref = tsr_kernels_select("ref");
  /* A row whose op has no check above does not compile; a row that select does not choose for its own isa fails. */
#define TSR_KERNEL(op, isa)             \
  check_##op(#isa, tsr_k_##op##_##isa); \
  expect(tsr_kernels_select(#isa)->op == tsr_k_##op##_##isa, #isa, "select: " #op, 0, 0, 0);
#include "kernels/kernels.inc"
#undef TSR_KERNEL
#define X(op) CHECK(ref->op && best->op);
  TSR_KERNEL_OPS(X)
#undef X
  for (int i = 0; i < 2; i++) tsr_kernels_warm(i ? ref : best); /* it has nothing to say: the sanitizers do */
  CHECK(best == tsr_kernels_select("relaxed"));                 /* falls back where the build has none */
  CHECK(best->gelu != ref->gelu);
  return check_done("kernels");
}
