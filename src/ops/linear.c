/* linear: linear layers, grouped ones too; see ops.inc.
 * The rows are laid out first, or quantized, by tasks of their own. A task of the product is a block of columns for many
 * rows: so each weight comes from memory once a pass, and not once for every block of rows. */
#include <string.h>

#include "matmul.h"

int tsr_op_linear_shape(tsr_op_args *args, char *why) {
  const tsr_weight *w = args->in[1].weight;
  char text[TSR_SHAPE_TEXT];
  const tsr_shape *x = &args->in[0].shape;
  int groups = w->layout.groups, n = groups * w->layout.n, next = 2;
  if (x->ndim < 1 || tsr_shape_last(x) != groups * w->k) {
    tsr_print(why, TSR_WHY, "input %s does not end in the %d columns that the weight takes", tsr_shape_print(x, text), groups * w->k);
    return 0;
  }
  tsr_shape y = *x;
  y.dims[y.ndim - 1] = n;
  if (args->attrs->linear.has_bias && tsr_shape_count(&args->in[next++].shape, NULL) != (size_t)n) {
    tsr_print(why, TSR_WHY, "bias %s, expected %d numbers", tsr_shape_print(&args->in[2].shape, text), n);
    return 0;
  }
  next += args->attrs->linear.has_scale;
  if (args->attrs->linear.has_residual && !tsr_shape_equal(&args->in[next].shape, &y)) {
    tsr_print(why, TSR_WHY, "residual %s differs from the output", tsr_shape_print(&args->in[next].shape, text));
    return 0;
  }
  args->out[0].shape = y;
  return 1;
}

enum {
  LEAST_TASKS = 12, /* so that 2, 3, 4 and 6 threads have the same share */
  MOST_ROWS = 240,  /* of a task: five blocks */
  MOST_STRASSEN_ROWS = 264,
  ROWS_STEP = TSR_ROW_GROUP,
  CACHED = 384 << 10 /* bytes of rows that stay in the second level cache while the columns pass by */
};

/* Tasks that prepare rows, ordinary and fine ones; the `each` rows of `parts` (pictures with Strassen's product, where neighbouring rows have a
 * say in the last bits; else all is one), blocks of such a part, rows and columns of a block; and which rows are fine: the first and the
 * last of the `tokens` rows of each of `pictures`. */
typedef struct split {
  int prepare, refine, levels, parts, row_blocks, column_blocks, rows, columns;
  size_t each;
  int pictures, tokens, first, last;
} split;

static void find_fine_rows(const tsr_op_args *args, split *s) {
  const tsr_shape *x = &args->in[0].shape;
  size_t total = tsr_rows(x);
  s->tokens = x->ndim > 2 ? (int)tsr_dims_product(x, 1, x->ndim - 1) : 1;
  if (args->in[1].weight->is_q8) s->first = args->attrs->linear.fine_first, s->last = args->attrs->linear.fine_last;
  int all = s->first + s->last >= s->tokens;
  if (all || !(s->first + s->last)) { /* all or none: what is a picture does not matter */
    s->tokens = (int)total;
    s->first = all ? (int)total : 0;
    s->last = 0;
  }
  s->pictures = s->tokens ? (int)(total / (size_t)s->tokens) : 0;
}

static int fine_rows(const split *s) { return s->pictures * (s->first + s->last); }
static int fine_groups(const split *s) { return tsr_tasks((size_t)fine_rows(s), TSR_MATMUL_FINE); }

/* The row that fine row `number` is. */
static size_t row_of(const split *s, int number) {
  int each = s->first + s->last, token = number % each;
  return (size_t)(number / each) * (size_t)s->tokens + (size_t)(token < s->first ? token : token + s->tokens - each);
}

static split split_of(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  const tsr_shape *x = &args->in[0].shape;
  split s = {.parts = x->ndim > 2 && !w->is_q8 ? x->dims[0] : 1, .columns = TSR_MATMUL_COLUMNS, .each = tsr_rows(x)};
  int n = w->layout.n, most = MOST_ROWS, step = ROWS_STEP;
  if (s.parts > 0 && !w->is_q8) s.levels = args->kernels->gemm_f32_levels((int)(s.each / (size_t)s.parts), n, w->k);
  if (s.levels) {
    s.each /= (size_t)s.parts;
    most = MOST_STRASSEN_ROWS, step <<= s.levels - 1;
    if (n * w->layout.groups < LEAST_TASKS * TSR_MATMUL_COLUMNS) s.columns /= 2; /* rather than few rows for sums of weights */
  } else s.parts = 1;
  if (w->is_q8 && w->k > CACHED / MOST_ROWS) most = CACHED / w->k;
  s.column_blocks = tsr_tasks((size_t)n, (size_t)s.columns);
  int tasks = s.column_blocks * w->layout.groups, blocks = tasks ? (LEAST_TASKS + tasks - 1) / tasks : 1;
  size_t rows = (s.each + (size_t)blocks - 1) / (size_t)blocks;
  if (rows > (size_t)most) rows = (size_t)most;
  s.rows = (int)((rows + (size_t)step - 1) / (size_t)step) * step;
  s.row_blocks = tsr_tasks(s.each, s.rows ? (size_t)s.rows : 1);
  find_fine_rows(args, &s);
  if (s.levels) s.prepare = w->layout.groups * s.parts * s.row_blocks * tsr_tasks((size_t)s.rows, TSR_STRASSEN_ROWS);
  else if (s.first + s.last < s.tokens) s.prepare = w->layout.groups * tsr_tasks(s.each, TSR_MATMUL_ROWS);
  s.refine = w->layout.groups * fine_groups(&s);
  return s;
}

/* Places for a group's rows. */
static size_t group_rows(const tsr_op_args *args) {
  return (tsr_rows(&args->in[0].shape) + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP;
}

static size_t ordinary_bytes(const tsr_op_args *args, const split *s) {
  const tsr_weight *w = args->in[1].weight;
  if (s->levels) return sizeof(float) * (size_t)(w->layout.groups * s->parts * s->row_blocks) * tsr_strassen_floats(s->rows, w->k, s->levels);
  return tsr_matmul_rows_bytes(args->kernels, w, group_rows(args) * (size_t)w->layout.groups);
}

/* Fine rows to be quantized, or their products. */
static size_t fine_scratch(const tsr_weight *w) {
  return sizeof(float) * TSR_ROW_GROUP * (size_t)(w->k > TSR_MATMUL_COLUMNS ? w->k : TSR_MATMUL_COLUMNS);
}

tsr_op_work tsr_op_linear_work(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  size_t fine = (size_t)fine_groups(&s) * (size_t)w->layout.groups * TSR_ROW_GROUP;
  size_t scratch = s.levels ? sizeof(float) * tsr_strassen_scratch(s.rows, w->k, s.levels) : 0;
  return (tsr_op_work){.tasks = s.prepare + s.refine + s.parts * s.row_blocks * s.column_blocks * w->layout.groups,
                       .before = s.prepare + s.refine,
                       .shared = ordinary_bytes(args, &s) + tsr_matmul_rows_bytes(args->kernels, w, fine),
                       .scratch = fine ? fine_scratch(w) : scratch,
                       .operations = (double)tsr_rows(&args->in[0].shape) * w->layout.groups * w->layout.n * w->k};
}

/* The prepared rows of a group. */
static tsr_matmul_rows rows_of(const tsr_op_args *args, int group) {
  const tsr_weight *w = args->in[1].weight;
  size_t rows = group_rows(args);
  tsr_matmul_rows all = tsr_matmul_rows_at(args->kernels, w, rows * (size_t)w->layout.groups, args->shared);
  return tsr_matmul_rows_from(args->kernels, w, all, rows * (size_t)group);
}

/* One of its groups of fine rows. */
static tsr_matmul_rows fine_rows_of(const tsr_op_args *args, const split *s, int group, int fine_group) {
  const tsr_weight *w = args->in[1].weight;
  size_t groups = (size_t)fine_groups(s);
  tsr_matmul_rows all = tsr_matmul_rows_at(args->kernels, w, groups * (size_t)w->layout.groups * TSR_ROW_GROUP, (char *)args->shared + ordinary_bytes(args, s));
  return tsr_matmul_rows_from(args->kernels, w, all, (groups * (size_t)group + (size_t)fine_group) * TSR_ROW_GROUP);
}

static int rows_in_fine_group(const split *s, int fine_group) {
  int left = fine_rows(s) - fine_group * TSR_MATMUL_FINE;
  return left < TSR_MATMUL_FINE ? left : TSR_MATMUL_FINE;
}

/* Rows of block `number` of all blocks, laid out for Strassen's product. */
static float *strassen_rows_of(const tsr_op_args *args, const split *s, int number) {
  return (float *)args->shared + (size_t)number * tsr_strassen_floats(s->rows, args->in[1].weight->k, s->levels);
}

static void prepare_strassen(const tsr_op_args *args, const split *s, int task) {
  const tsr_weight *w = args->in[1].weight;
  int chunks = tsr_tasks((size_t)s->rows, TSR_STRASSEN_ROWS), number = task / chunks, blocks = s->parts * s->row_blocks, ldx = w->k * w->layout.groups;
  size_t begin, end, from, to;
  tsr_task_range(s->each, (size_t)s->rows, number % s->row_blocks, &begin, &end);
  int rows = (int)(end - begin);
  tsr_task_range((size_t)rows, TSR_STRASSEN_ROWS, task % chunks, &from, &to);
  begin += s->each * (size_t)(number % blocks / s->row_blocks);
  if (from < to)
    args->kernels->gemm_f32_strassen_rows(strassen_rows_of(args, s, number), args->in[0].data + begin * (size_t)ldx + (size_t)(number / blocks) * w->k,
                                          ldx, rows, w->k, s->levels, (int)from, (int)to);
}

static void prepare(const tsr_op_args *args, const split *s, int task) {
  if (s->levels) {
    prepare_strassen(args, s, task);
    return;
  }
  const tsr_weight *w = args->in[1].weight;
  size_t total = tsr_rows(&args->in[0].shape), begin, end;
  int blocks = tsr_tasks(total, TSR_MATMUL_ROWS), group = task / blocks, ldx = w->k * w->layout.groups;
  tsr_task_range(total, TSR_MATMUL_ROWS, task % blocks, &begin, &end);
  tsr_matmul_prepare(args->kernels, w, tsr_matmul_rows_from(args->kernels, w, rows_of(args, group), begin),
                     args->in[0].data + begin * (size_t)ldx + (size_t)group * w->k, ldx, (int)(end - begin));
}

static void prepare_fine(const tsr_op_args *args, const split *s, int task, float *x) {
  const tsr_weight *w = args->in[1].weight;
  int group = task / fine_groups(s), fine_group = task % fine_groups(s), rows = rows_in_fine_group(s, fine_group);
  for (int i = 0; i < rows; i++) {
    size_t row = row_of(s, fine_group * TSR_MATMUL_FINE + i);
    memcpy(x + (size_t)i * w->k, args->in[0].data + (row * w->layout.groups + (size_t)group) * w->k, sizeof *x * (size_t)w->k);
  }
  tsr_matmul_prepare_fine(args->kernels, w, fine_rows_of(args, s, group, fine_group), x, rows);
}

/* Fine rows among [begin, end) once more, over what the ordinary product made of them. */
static void replace_fine(const tsr_op_args *args, const split *s, tsr_matmul *matmul, const float *residual, int group, size_t begin, size_t end,
                         int n0, int n1, float *products) {
  int groups = fine_groups(s), n = matmul->weight->layout.n, ldy = matmul->ld_residual, width = n1 - n0;
  for (int g = 0; g < groups; g++) {
    int rows = rows_in_fine_group(s, g), number = g * TSR_MATMUL_FINE;
    if (row_of(s, number + rows - 1) < begin || row_of(s, number) >= end) continue;
    tsr_matmul_product_fine(matmul, group, fine_rows_of(args, s, group, g), products, rows, n0, n1);
    for (int i = 0; i < rows; i++) {
      size_t row = row_of(s, number + i), at = row * (size_t)ldy + (size_t)group * n;
      if (row < begin || row >= end) continue;
      memcpy(args->out[0].data + at + n0, products + (size_t)i * width, sizeof *products * (size_t)width);
      matmul->residual = residual ? residual + at : NULL;
      tsr_matmul_finish(matmul, group, args->out[0].data + at, ldy, 1, n0, n1);
    }
  }
}

void tsr_op_linear_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  if (task < s.prepare) {
    prepare(args, &s, task);
    return;
  }
  task -= s.prepare;
  if (task < s.refine) {
    prepare_fine(args, &s, task, scratch);
    return;
  }
  task -= s.refine;
  int blocks = s.parts * s.row_blocks, block = task % blocks, group = task / blocks / s.column_blocks, ldy = w->layout.n * w->layout.groups, next = 2;
  int n0 = task / blocks % s.column_blocks * s.columns;
  int n1 = n0 + s.columns < w->layout.n ? n0 + s.columns : w->layout.n;
  size_t begin, end;
  tsr_task_range(s.each, (size_t)s.rows, block % s.row_blocks, &begin, &end);
  begin += s.each * (size_t)(block / s.row_blocks), end += s.each * (size_t)(block / s.row_blocks);
  tsr_matmul matmul = {.kernels = args->kernels, .weight = w, .activation = args->attrs->linear.activation, .ld_residual = ldy};
  if (args->attrs->linear.has_bias) matmul.bias = args->in[next++].data;
  if (args->attrs->linear.has_scale) matmul.scale = args->in[next++].data;
  const float *residual = args->attrs->linear.has_residual ? args->in[next].data : NULL;
  if (s.levels) {
    size_t at = begin * (size_t)ldy + (size_t)group * w->layout.n;
    if (residual) matmul.residual = residual + at;
    tsr_matmul_strassen(&matmul, group, strassen_rows_of(args, &s, group * blocks + block), args->out[0].data + at, ldy, (int)(end - begin), n0, n1,
                        s.levels, scratch);
    return;
  }
  tsr_matmul_rows rows = rows_of(args, group);
  for (size_t i = begin; s.prepare && i < end; i += TSR_MATMUL_ROWS) {
    size_t at = i * (size_t)ldy + (size_t)group * w->layout.n;
    int m = (int)(end - i < TSR_MATMUL_ROWS ? end - i : TSR_MATMUL_ROWS);
    if (residual) matmul.residual = residual + at;
    tsr_matmul_product(&matmul, group, tsr_matmul_rows_from(args->kernels, w, rows, i), args->out[0].data + at, ldy, m, n0, n1);
  }
  if (s.refine) replace_fine(args, &s, &matmul, residual, group, begin, end, n0, n1, scratch);
}
