/* Calls every row of kernels.inc at the shapes that models have. scripts/bench/kernels.mjs loads this as wasm, built
 * as the library is, and holds the clock (`make bench-kernels`); nothing here knows time.
 *
 * A row that is new is timed without further ado. An op that is new does not compile without a TIMED line below.
 * Values are uniform in [-1, 1), weights are packed and quantized by the kernels of the row's isa; no call changes
 * what it reads. */
#include "check.h"
#include "kernels/kernels.h"
#include "kernels/simd.h"

#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(#name)))

/* c [m, n] = a [m, k] w [n, k], rows of a and c `apart` times as far from each other as they are long; with k = 0, m
 * rows of n. A list ends with n = 0. */
typedef struct bench_shape {
  int m, n, k, apart;
} bench_shape;

static const bench_shape PRODUCTS[] = {{197, 768, 768, 1},
                                       {197, 3072, 768, 1},
                                       {197, 768, 3072, 1}, /* ViT-B */
                                       {197, 192, 192, 1},
                                       {197, 768, 192, 1},  /* ViT-Ti */
                                       {256, 2048, 512, 5}, /* GLOM: five levels side by side */
                                       {48, 197, 64, 1},
                                       {48, 64, 197, 1},
                                       {197, 197, 64, 1},
                                       {197, 64, 197, 1}, /* attention, one head */
                                       {0}};
static const bench_shape LARGE_PRODUCTS[] = {{197, 768, 768, 1}, {197, 3072, 768, 1}, {197, 768, 3072, 1},
                                             {197, 768, 192, 1}, {256, 2048, 512, 5}, {0}};
static const bench_shape ROWS[] = {{197, 768, 0, 1}, {197, 192, 0, 1}, {0}}, SCORES[] = {{197, 197, 0, 1}, {0}};
static const bench_shape HIDDEN[] = {{197, 3072, 0, 1}, {48, 64, 0, 1}, {0}}, WEIGHTS[] = {{1, 768, 768, 1}, {0}};

/* Maps of 14 columns, rows as one: all windows of 3x3 that end inside. */
static const bench_shape MAPS[] = {{226, 384, 0, 1}, {0}};

/* Everything that some op is called with. */
typedef struct bench_data {
  bench_shape shape;
  float *a, *b, *c;               /* [m, k or n], [m, n], [m, n] */
  float *w, *scale, *bias;        /* [n, k], [n], [n]: weights, or gamma and beta */
  int8_t *w8, *made8;             /* [n, k]: weights, and where quantization may write */
  int32_t *sum, *zero, *order;    /* [n], [m], [m]: 0, 1, ... */
  float *panels, *rows, *a_scale; /* packed f32 weights; rows laid out; [m] */
  float *strassen, *made;         /* rows laid out for Strassen's product; where others may be */
  void *panels8, *q, *halves;     /* packed 8-bit weights; quantized rows; f16 or bf16 [m, n] */
} bench_data;

typedef enum bench_unit {
  UNTIMED,     /* arithmetic on sizes */
  F32_PRODUCT, /* multiply-adds, to be held against the limit of arithmetic */
  Q8_PRODUCT,
  ELEMENTS /* to be held against copying as many floats */
} bench_unit;

typedef void bench_kernel(void); /* any kernel; cast back where it is called */

typedef struct bench_op {
  bench_unit unit;
  const bench_shape *shapes;
  void (*call)(const bench_data *d, bench_shape s, bench_kernel *kernel);
} bench_op;

/* As the library would choose: see gemm_f32_levels. */
static int levels_of(bench_shape s) { return s.k >= 768 ? 2 : 1; }

/* One line an op: what a call is counted in, the shapes, the arguments (d: data, s: shape). */
#define TIMED(op, unit, shapes, ...)                                                \
  static void call_##op(const bench_data *d, bench_shape s, bench_kernel *kernel) { \
    ((tsr_kf_##op *)kernel)(__VA_ARGS__);                                           \
  }                                                                                 \
  static const bench_op op_##op = {unit, shapes, call_##op};
#define NOT_TIMED(op) static const bench_op op_##op = {UNTIMED, NULL, NULL};

NOT_TIMED(gemm_f32_packed_bytes)
NOT_TIMED(gemm_f32_levels)
NOT_TIMED(gemm_q8_packed_bytes)
NOT_TIMED(gemm_q8_row_bytes)
TIMED(gemm_f32, F32_PRODUCT, PRODUCTS, d->c, s.n *s.apart, d->rows, d->panels, d->bias, s.m, 0, s.n, s.k)
TIMED(gemm_q8, Q8_PRODUCT, PRODUCTS, d->c, s.n *s.apart, d->q, d->a_scale, d->zero, d->panels8, d->scale, d->sum,
      d->bias, s.m, 0, s.n, s.k)
TIMED(gemm_f32_rows, ELEMENTS, ROWS, d->rows, d->a, s.n, s.m, s.n)
TIMED(gemm_f32_strassen_rows, ELEMENTS, ROWS, d->made, d->a, s.n, s.m, s.n, 1, 0, s.m)
TIMED(gemm_f32_strassen, F32_PRODUCT, LARGE_PRODUCTS, d->c, s.n *s.apart, d->strassen, d->panels, d->bias, s.m, 0, s.n,
      s.k, levels_of(s), d->made)
TIMED(gemm_q8_quantize, ELEMENTS, ROWS, d->q, d->a_scale, d->zero, d->a, s.n, s.m, s.n, NULL)
TIMED(gemm_q8_rest, ELEMENTS, ROWS, d->q, d->a_scale, d->zero, d->a, s.n, d->order, s.m, s.n, d->a_scale, d->zero)
TIMED(layer_norm, ELEMENTS, ROWS, d->c, d->a, d->scale, d->bias, 1e-5f, s.m, s.n)
TIMED(l2_normalize, ELEMENTS, ROWS, d->c, d->a, 1e-12f, s.m, s.n)
TIMED(softmax, ELEMENTS, SCORES, d->c, s.n, d->a, s.n, 8, s.m, s.n)
TIMED(softmax_part, ELEMENTS, SCORES, d->c, s.n, 8, s.m, s.n, (tsr_softmax_row *)d->b)
TIMED(softmax_part_q8, ELEMENTS, SCORES, d->q, d->a, s.n, 8, s.m, s.n, (tsr_softmax_row *)d->b)
TIMED(gelu, ELEMENTS, HIDDEN, d->c, d->a, s.m *s.n)
TIMED(gelu_coarse, ELEMENTS, HIDDEN, d->c, d->a, s.m *s.n)
TIMED(relu, ELEMENTS, HIDDEN, d->c, d->a, s.m *s.n)
TIMED(add, ELEMENTS, ROWS, d->c, d->a, d->b, s.m *s.n)
TIMED(mul, ELEMENTS, ROWS, d->c, d->a, d->b, s.m *s.n)
TIMED(dot, ELEMENTS, HIDDEN, d->a, d->b, s.m *s.n)
TIMED(transpose, ELEMENTS, ROWS, d->c, s.m, d->a, s.n, s.m, s.n)
TIMED(copy_rows, ELEMENTS, ROWS, d->c, s.n, d->a, s.n, s.m, s.n)
TIMED(depthwise, ELEMENTS, MAPS, d->c, d->a, s.n, 14 * s.n, d->b, 3 * s.n, NULL, s.m - 30, 3, 3, s.n)
TIMED(max_window, ELEMENTS, MAPS, d->c, d->a, s.n, 14 * s.n, s.m - 30, 3, 3, s.n)
TIMED(f16_to_f32, ELEMENTS, HIDDEN, d->c, d->halves, s.m *s.n)
TIMED(bf16_to_f32, ELEMENTS, HIDDEN, d->c, d->halves, s.m *s.n)
TIMED(gemm_f32_pack, ELEMENTS, WEIGHTS, d->panels, d->w, s.k, 0, s.n, s.k)
TIMED(gemm_q8_pack, ELEMENTS, WEIGHTS, d->panels8, d->w8, s.k, 0, s.n, s.k)
TIMED(quantize_weight_q8, ELEMENTS, WEIGHTS, d->made8, d->scale, d->w, s.n, s.k)
TIMED(sum_i8, ELEMENTS, WEIGHTS, d->sum, d->w8, s.n, s.k)

static const struct bench_row {
  const char *op, *isa;
  bench_kernel *kernel;
  const bench_op *how;
} rows[] = {
#define TSR_KERNEL(op, isa) {#op, #isa, (bench_kernel *)tsr_k_##op##_##isa, &op_##op},
#include "kernels/kernels.inc"
#undef TSR_KERNEL
};

EXPORT(rows) int bench_rows(void) { return sizeof rows / sizeof *rows; }
EXPORT(op) const char *bench_row_op(int row) { return rows[row].op; }
EXPORT(isa) const char *bench_row_isa(int row) { return rows[row].isa; }
EXPORT(unit) int bench_row_unit(int row) { return rows[row].how->unit; }
EXPORT(shapes) const bench_shape *bench_row_shapes(int row) { return rows[row].how->shapes; }

static void *room(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 64) & ~(size_t)63);
  if (!p) abort();
  return p;
}

static float *floats(size_t n) {
  static uint64_t seed = 1;
  float *x = room(n * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = check_uniform(&seed);
  return x;
}

/* Fills a product's packed weights and quantized rows with the kernels that belong to the row's isa. */
static void prepare_product(bench_data *d, const tsr_kernels *family) {
  bench_shape s = d->shape;
  family->gemm_f32_pack(d->panels, d->w, s.k, 0, s.n, s.k);
  family->gemm_f32_rows(d->rows, d->a, s.k * s.apart, s.m, s.k);
  if (s.n % 32 == 0 && s.k % 16 == 0)
    family->gemm_f32_strassen_rows(d->strassen, d->a, s.k * s.apart, s.m, s.k, levels_of(s), 0, s.m);
  family->quantize_weight_q8(d->w8, d->scale, d->w, s.n, s.k);
  family->gemm_q8_pack(d->panels8, d->w8, s.k, 0, s.n, s.k);
  family->gemm_q8_quantize(d->q, d->a_scale, d->zero, d->a, s.k * s.apart, s.m, s.k, NULL);
  family->sum_i8(d->sum, d->w8, s.n, s.k);
}

/* The data of a row at a shape; run takes it, close frees it. */
EXPORT(open) bench_data *bench_open(int row, const bench_shape *shape) {
  const tsr_kernels *family = tsr_kernels_select(rows[row].isa);
  bench_shape s = *shape;
  int inner = s.k ? s.k : s.n;
  size_t m = (size_t)s.m, n = (size_t)s.n, k = (size_t)s.k, apart = (size_t)s.apart, count = m * n;
  bench_data *d = room(sizeof *d);
  *d = (bench_data){
      .shape = s,
      .a = floats(m * inner * apart),
      .b = floats(count),
      .c = floats(count * apart),
      .w = floats(n * k),
      .scale = floats(n),
      .bias = floats(n),
      .w8 = room(n * k),
      .made8 = room(n * k),
      .sum = room(n * sizeof *d->sum),
      .zero = room(m * sizeof *d->zero),
      .order = room(m * sizeof *d->order),
      .a_scale = floats(m),
      .panels = room(family->gemm_f32_packed_bytes(s.n, s.k)),
      .panels8 = room(family->gemm_q8_packed_bytes(s.n, s.k)),
      .strassen = room(sizeof(float) * tsr_strassen_floats(s.m, inner, 2)),
      .made = room(sizeof(float) * (tsr_strassen_floats(s.m, inner, 2) + tsr_strassen_scratch(s.m, inner, 2))),
      .rows = room((m + TSR_ROW_GROUP) * (size_t)inner * sizeof(float)),
      .q = room((m + TSR_ROW_GROUP) * (size_t)family->gemm_q8_row_bytes(inner)),
      .halves = room(2 * count)};
  for (size_t i = 0; i < count; i++) ((uint16_t *)d->halves)[i] = 0x3c00 + i % 512; /* 1 and a little more in f16 */
  for (int i = 0; i < s.m; i++) d->order[i] = i;
  if (k) prepare_product(d, family);
  return d;
}

/* With m rows, at most those of the data. */
EXPORT(run) void bench_run(int row, const bench_data *d, int calls, int m) {
  bench_shape s = d->shape;
  s.m = m;
  for (int i = 0; i < calls; i++) rows[row].how->call(d, s, rows[row].kernel);
}

/* A plain copy of as many floats as the row's call has elements. */
TSR_NOINLINE __attribute__((no_builtin("memcpy"))) static void copy(float *y, const float *x, size_t n) {
  for (size_t i = 0; i + 16 <= n; i += 16) {
    tsr_f32x4 a = tsr_f32x4_load(x + i), b = tsr_f32x4_load(x + i + 4);
    tsr_f32x4 c = tsr_f32x4_load(x + i + 8), e = tsr_f32x4_load(x + i + 12);
    tsr_f32x4_store(y + i, a), tsr_f32x4_store(y + i + 4, b);
    tsr_f32x4_store(y + i + 8, c), tsr_f32x4_store(y + i + 12, e);
  }
}
EXPORT(copy) void bench_copy(const bench_data *d, int calls) {
  bench_shape s = d->shape;
  for (int i = 0; i < calls; i++)
    copy(s.k ? d->panels : d->c, s.k ? d->w : d->a, (size_t)s.n * (size_t)(s.k ? s.k : s.m));
}

EXPORT(close) void bench_close(bench_data *d) {
  void *all[] = {d->a,    d->b,      d->c,    d->w,       d->scale,   d->bias, d->w8,     d->made8, d->sum,
                 d->zero, d->panels, d->rows, d->a_scale, d->panels8, d->q,    d->halves, d->order, d};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
