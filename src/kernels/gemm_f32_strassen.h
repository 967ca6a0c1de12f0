/* The f32 product with fewer multiplications, on top of gemm_f32_tile.h, which is included before. It is Strassen's
 * in Winograd's form: 7 products of quarters instead of 8, with 15 additions, at one or two levels. With a, b and c
 * cut into quarters, row by row:
 *
 *   S1 = a21 + a22   S2 = S1 - a11   S3 = a11 - a21   S4 = a12 - S2
 *   T1 = b12 - b11   T2 = b22 - T1   T3 = b22 - b12   T4 = b21 - T2
 *   U2 = a11 b11 + S2 T2      U3 = U2 + S3 T3   V = S1 T1
 *   c11 = a11 b11 + a12 b21   c12 = U2 + V + S4 b22
 *   c21 = U3 + a22 T4         c22 = U3 + V
 *
 * (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002, ch. 23: errors are bounded by the norms
 * of a and b, no longer element by element. The bound grows about 18-fold with each level, the observed error two- to
 * threefold.)
 *
 * A unit is the rows of 2 or 4 tiles; units are cut between tiles, and so are groups of 2 or 4 panels, so halves
 * consist of whole tiles. Sums of rows are made once, when the rows are laid out. In this layout the operands of a kind
 * lie together, unit after unit, because a jump between them costs a tenth of the speed. Sums of weights are made in
 * scratch, once for all rows of a call. A tile's accumulators begin with the value that its product is added to; only V
 * is added to something afterwards. */

/* The operands of a level, in the order of their products. a21 lies in the place of S1 until S1 is computed. */
enum { A11, S2, S3, S1, A12, S4, A22, OPERANDS };

typedef tiles quarter; /* the same quarter of all units */

typedef struct strassen {
  int units, k;   /* k: of a tile */
  size_t operand; /* floats of one operand of all units */
} strassen;

/* The number of operands of `levels` levels. */
static TSR_NOINLINE size_t operands(int levels) { return levels == 2 ? OPERANDS * OPERANDS : levels ? OPERANDS : 1; }

/* The four sums of a level over n floats, n a multiple of 8: p - q, r - (p - q), r + sign * t, s - (r - (p - q)). */
static TSR_NOINLINE void sums(float *to1, float *to2, float *to3, float *to4, const float *p, const float *q,
                              const float *r, const float *s, const float *t, float sign, size_t n) {
  tsr_f32x4 signs = tsr_f32x4_splat(sign);
#pragma GCC unroll 1
  for (size_t i = 0; i < n; i += 8)
#pragma GCC unroll 2
    for (size_t j = i; j < i + 8; j += 4) {
      /* All are loaded before the first is stored, because the outputs may overlap the inputs. */
      tsr_f32x4 a = tsr_f32x4_load(r + j), b = tsr_f32x4_sub(tsr_f32x4_load(p + j), tsr_f32x4_load(q + j));
      tsr_f32x4 c = tsr_f32x4_sub(a, b), d = tsr_f32x4_sub(tsr_f32x4_load(s + j), c);
      tsr_f32x4 e = TSR_F32_MADD(tsr_f32x4_load(t + j), signs, a);
      tsr_f32x4_store(to1 + j, b), tsr_f32x4_store(to2 + j, c);
      tsr_f32x4_store(to3 + j, e), tsr_f32x4_store(to4 + j, d);
    }
}

/* Lays out the quarters, or quarters of quarters, of a unit. */
static TSR_NOINLINE void place(const strassen *s, float *to, const float *a, int lda, int level) {
  if (!level--) {
    TSR_F32_LAYOUT(to, a, lda, TSR_F32_ROWS, s->k);
    return;
  }
  size_t apart = operands(level) * s->operand;
  const float *below = a + ((size_t)lda * TSR_F32_ROWS << level);
  int right = s->k << level;
  place(s, to + A11 * apart, a, lda, level);
  place(s, to + A12 * apart, a + right, lda, level);
  place(s, to + S1 * apart, below, lda, level);
  place(s, to + A22 * apart, below + right, lda, level);
}

/* Computes the sums of a unit: first those of its quarters, each of which has four quarters itself with two levels. */
static TSR_NOINLINE void add_up(const strassen *s, float *to, int level) {
  static const unsigned char inner[] = {0, A12, S1, A22};
  size_t n = (size_t)TSR_F32_ROWS * s->k, apart = operands(level - 1) * s->operand;
  for (int i = 0; i < (level == 2 ? 4 : 1); i++) {
    float *at = to + inner[i] * s->operand, *a11 = at + A11 * apart, *a21 = at + S1 * apart;
    sums(at + S3 * apart, at + S2 * apart, a21, at + S4 * apart, a11, a21, at + A22 * apart, at + A12 * apart, a21, 1,
         n);
  }
  for (int i = 0; level == 2 && i < OPERANDS; i++) add_up(s, to + i * apart, 1);
}

/* The units of `levels` levels that m rows contain. */
static TSR_NOINLINE strassen section(int m, int k, int levels) {
  int units = m / (TSR_F32_ROWS << levels);
  return (strassen){units, k >> levels, (size_t)units * TSR_F32_ROWS * (size_t)(k >> levels)};
}

void TSR_F32_STRASSEN_LAYOUT(float *to, const float *a, int lda, int m, int k, int levels, int begin, int end) {
  int i = 0;
  for (; levels; levels--) {
    strassen s = section(m - i, k, levels);
    int rows = TSR_F32_ROWS << levels;
    for (int u = 0; u < s.units; u++, i += rows) {
      float *unit = to + (size_t)u * TSR_F32_ROWS * s.k;
      if (i < begin || i >= end) continue;
      place(&s, unit, a + (size_t)i * lda, lda, levels);
      add_up(&s, unit, levels);
    }
    to += operands(levels) * s.operand;
  }
  if (i >= begin && i < end) TSR_F32_LAYOUT(to, a + (size_t)i * lda, lda, m - i, k);
}

/* y = a + b over all units. `columns` is a multiple of 16. */
static TSR_NOINLINE void add_blocks(const strassen *s, quarter y, quarter a, quarter b, int rows, int columns) {
  for (int i = 0; i < s->units * rows; i++) {
    size_t u = (size_t)(i / rows), r = (size_t)(i % rows);
    float *to = y.at + u * y.step + r * y.ld;
    const float *p = a.at + u * a.step + r * a.ld, *q = b.at + u * b.step + r * b.ld;
#pragma GCC unroll 1
    for (int j = 0; j < columns; j += 8) {
      tsr_f32x4_store(to + j, tsr_f32x4_add(tsr_f32x4_load(p + j), tsr_f32x4_load(q + j)));
      tsr_f32x4_store(to + j + 4, tsr_f32x4_add(tsr_f32x4_load(p + j + 4), tsr_f32x4_load(q + j + 4)));
    }
  }
}

static const float zeros[4 * TSR_PANEL];

/* to = from + a * b for all units. from.ld is 0 where `from` is one row for all. b: panels, `panel` floats apart. */
static TSR_NOINLINE void block(const strassen *s, int level, quarter to, quarter from, const float *a, const float *b,
                               size_t panel, float *scratch, int both) {
  if (!level--) {
    panel_of(&to, &from, s->units, a, b, s->k, both);
    return;
  }
  /* Where `from` is a row, the product is made in `to` itself; else in scratch, and is added to `from` at the end. */
  int half = 1 << level, rows = TSR_F32_ROWS << level, columns = TSR_PANEL << level, apart = from.ld != 0;
  size_t b_half = (size_t)s->k * TSR_PANEL << level, b_quarter = b_half << level;
  size_t operand = operands(level) * s->operand;
  const float *row = apart ? zeros : from.at, *b12 = b + half * panel, *b21 = b + b_half, *b22 = b12 + b_half;
  quarter y = apart ? (quarter){scratch, 2 * columns, (size_t)4 * rows * columns} : to;
  if (apart) scratch += s->units * y.step;
  float *t = scratch, difference[2 * TSR_PANEL];
  for (int i = 0; i < half; i++) {
    float *at = t + i * b_half;
    size_t p = i * panel;
    sums(at, at + b_quarter, at + 2 * b_quarter, at + 3 * b_quarter, b12 + p, b + p, b22 + p, b21 + p, b12 + p, -1,
         b_half);
  }
  /* V is added only to the right quarters, whose other products begin with the left row. So V begins with the
   * difference. */
  for (int j = 0; j < columns; j++) difference[j] = row[columns + j] - row[j];
  scratch += 4 * b_quarter;

  size_t down = (size_t)rows * y.ld;
  quarter c[6] = {y, y, y, y, {(float *)row, 0, 0}, {difference, 0, 0}};
  c[1].at += columns, c[2].at += down, c[3].at += down + columns;
  const float *bs[OPERANDS] = {b, t + b_quarter, t + 2 * b_quarter, t, b21, b22, t + 3 * b_quarter};
  static const unsigned char ends[] = {0, 1, 2, 3, 0, 1, 2}, begins[] = {4, 0, 1, 5, 0, 1, 2};
  for (int i = 0; i < OPERANDS; i++) {
    int is_v = i == S1, is_sum = i == S2 || i == S3 || is_v || i == A22;
    block(s, level, c[is_v && !level ? 1 : ends[i]], c[begins[i]], a + i * operand, bs[i], is_sum ? b_half : panel,
          scratch, is_v);
    if (!is_v || !level) continue;
    add_blocks(s, c[1], c[1], c[3], rows, columns);
    add_blocks(s, c[3], c[3], c[2], rows, columns);
  }
  if (apart) add_blocks(s, to, from, y, 2 * rows, 2 * columns);
}

void TSR_F32_STRASSEN(float *c, int ldc, const float *rows, const float *panels, const float *bias, int m, int n0,
                      int n1, int k, int levels, float *scratch) {
  for (; levels; levels--) {
    strassen s = section(m, k, levels);
    int done = s.units * (TSR_F32_ROWS << levels);
    for (int n = n0; s.units && n < n1; n += TSR_PANEL << levels)
      block(&s, levels, (quarter){c + n, ldc, (size_t)ldc * TSR_F32_ROWS << levels},
            (quarter){(float *)(bias ? bias + n : zeros), 0, 0}, rows, panels + (size_t)n * k, (size_t)k * TSR_PANEL,
            scratch, 0);
    c += (size_t)done * ldc, rows += operands(levels) * s.operand, m -= done;
  }
  if (m) TSR_F32_KERNEL(c, ldc, rows, panels, bias, m, n0, n1, k);
}
