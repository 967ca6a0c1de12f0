/* linear: see ops.inc. The rows are laid out first, or quantized, by tasks of their own. A task of the product is a block of columns for many
 * rows: so each weight comes from memory once a pass, and not once for every block of rows. */
#include <stdio.h>

#include "matmul.h"

int tsr_op_linear_shape(tsr_op_args *args, char *why) {
  const tsr_weight *w = args->in[1].weight;
  char text[TSR_SHAPE_TEXT];
  const tsr_shape *x = &args->in[0].shape;
  int groups = w->layout.groups, n = groups * w->layout.n, next = 2;
  if (x->ndim < 1 || tsr_shape_last(x) != groups * w->k) {
    snprintf(why, TSR_WHY, "input %s does not end in the %d columns that the weight takes", tsr_shape_print(x, text), groups * w->k);
    return 0;
  }
  tsr_shape y = *x;
  y.dims[y.ndim - 1] = n;
  if (args->attrs->linear.has_bias && tsr_shape_count(&args->in[next++].shape, NULL) != (size_t)n) {
    snprintf(why, TSR_WHY, "bias %s, expected %d numbers", tsr_shape_print(&args->in[2].shape, text), n);
    return 0;
  }
  next += args->attrs->linear.has_scale;
  if (args->attrs->linear.has_residual && !tsr_shape_equal(&args->in[next].shape, &y)) {
    snprintf(why, TSR_WHY, "residual %s differs from the output", tsr_shape_print(&args->in[next].shape, text));
    return 0;
  }
  args->out[0].shape = y;
  return 1;
}

enum {
  LEAST_TASKS = 12, /* so that 2, 3, 4 and 6 threads have the same share */
  MOST_ROWS = 240,  /* of a task: five blocks */
  ROWS_STEP = TSR_ROW_GROUP,
  CACHED = 384 << 10 /* bytes of rows that stay in the second level cache while the columns pass by */
};

/* Tasks that prepare rows, ordinary and fine ones; blocks of a group, rows of a block; and which rows are fine: the first and the last of
 * the `tokens` rows of each of `pictures`. */
typedef struct split {
  int prepare, refine, row_blocks, column_blocks, rows;
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

static split split_of(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  size_t total = tsr_rows(&args->in[0].shape);
  int columns = tsr_tasks((size_t)w->layout.n, TSR_MATMUL_COLUMNS), most = MOST_ROWS;
  if (w->is_q8 && w->k > CACHED / MOST_ROWS) most = CACHED / w->k;
  int blocks = columns ? (LEAST_TASKS + columns * w->layout.groups - 1) / (columns * w->layout.groups) : 1;
  size_t rows = (total + (size_t)blocks - 1) / (size_t)blocks;
  if (rows > (size_t)most) rows = (size_t)most;
  rows = (rows + ROWS_STEP - 1) / ROWS_STEP * ROWS_STEP;
  split s = {.row_blocks = tsr_tasks(total, rows ? rows : 1), .column_blocks = columns, .rows = (int)rows};
  find_fine_rows(args, &s);
  if (s.first + s.last < s.tokens) s.prepare = w->layout.groups * tsr_tasks(total, TSR_MATMUL_ROWS);
  s.refine = w->layout.groups * tsr_tasks((size_t)fine_rows(&s), TSR_MATMUL_ROWS);
  return s;
}

/* Places for a group's rows. */
static size_t group_rows(const tsr_op_args *args) {
  return (tsr_rows(&args->in[0].shape) + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP;
}

static size_t ordinary_bytes(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  return tsr_matmul_rows_bytes(args->kernels, w, group_rows(args) * (size_t)w->layout.groups);
}

tsr_op_work tsr_op_linear_work(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  size_t fine = (size_t)fine_rows(&s) * (size_t)w->layout.groups;
  return (tsr_op_work){.tasks = s.prepare + s.refine + s.row_blocks * s.column_blocks * w->layout.groups,
                       .before = s.prepare + s.refine,
                       .shared = ordinary_bytes(args) + tsr_matmul_rows_bytes(args->kernels, w, 2 * fine),
                       .scratch = fine ? tsr_matmul_fine_scratch(w) : 0,
                       .operations = (double)tsr_rows(&args->in[0].shape) * w->layout.groups * w->layout.n * w->k};
}

/* The prepared rows of a group. */
static tsr_matmul_rows rows_of(const tsr_op_args *args, int group) {
  const tsr_weight *w = args->in[1].weight;
  size_t rows = group_rows(args);
  tsr_matmul_rows all = tsr_matmul_rows_at(args->kernels, w, rows * (size_t)w->layout.groups, args->shared);
  return tsr_matmul_rows_from(args->kernels, w, all, rows * (size_t)group);
}

/* Its fine rows from number `first` on, two for each. */
static tsr_matmul_rows fine_rows_of(const tsr_op_args *args, const split *s, int group, size_t first) {
  const tsr_weight *w = args->in[1].weight;
  size_t fine = (size_t)fine_rows(s);
  tsr_matmul_rows all = tsr_matmul_rows_at(args->kernels, w, 2 * fine * (size_t)w->layout.groups, (char *)args->shared + ordinary_bytes(args));
  return tsr_matmul_rows_from(args->kernels, w, all, 2 * (fine * (size_t)group + first));
}

static void prepare(const tsr_op_args *args, int task) {
  const tsr_weight *w = args->in[1].weight;
  size_t total = tsr_rows(&args->in[0].shape), begin, end;
  int blocks = tsr_tasks(total, TSR_MATMUL_ROWS), group = task / blocks, ldx = w->k * w->layout.groups;
  tsr_task_range(total, TSR_MATMUL_ROWS, task % blocks, &begin, &end);
  tsr_matmul_prepare(args->kernels, w, tsr_matmul_rows_from(args->kernels, w, rows_of(args, group), begin),
                     args->in[0].data + begin * (size_t)ldx + (size_t)group * w->k, ldx, (int)(end - begin));
}

static void quantize_fine(const tsr_op_args *args, const split *s, int task, float *rest) {
  const tsr_weight *w = args->in[1].weight;
  size_t each = (size_t)(s->first + s->last), begin, end;
  int blocks = tsr_tasks((size_t)fine_rows(s), TSR_MATMUL_ROWS), group = task / blocks, ldx = w->k * w->layout.groups;
  tsr_task_range((size_t)fine_rows(s), TSR_MATMUL_ROWS, task % blocks, &begin, &end);
  for (; begin < end; begin++) {
    size_t token = begin % each, row = begin / each * (size_t)s->tokens + token;
    if (token >= (size_t)s->first) row += (size_t)s->tokens - each;
    tsr_matmul_quantize_fine(args->kernels, w, fine_rows_of(args, s, group, begin), args->in[0].data + row * (size_t)ldx + (size_t)group * w->k,
                             ldx, 1, rest);
  }
}

void tsr_op_linear_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  if (task < s.prepare) {
    prepare(args, task);
    return;
  }
  task -= s.prepare;
  if (task < s.refine) {
    quantize_fine(args, &s, task, scratch);
    return;
  }
  task -= s.refine;
  int group = task / (s.row_blocks * s.column_blocks), ldy = w->layout.n * w->layout.groups, next = 2, m;
  int n0 = task / s.row_blocks % s.column_blocks * TSR_MATMUL_COLUMNS;
  int n1 = n0 + TSR_MATMUL_COLUMNS < w->layout.n ? n0 + TSR_MATMUL_COLUMNS : w->layout.n;
  size_t begin, end;
  tsr_task_range(tsr_rows(&args->in[0].shape), (size_t)s.rows, task % s.row_blocks, &begin, &end);
  tsr_matmul matmul = {.kernels = args->kernels, .weight = w, .activation = args->attrs->linear.activation, .ld_residual = ldy};
  if (args->attrs->linear.has_bias) matmul.bias = args->in[next++].data;
  if (args->attrs->linear.has_scale) matmul.scale = args->in[next++].data;
  const float *residual = args->attrs->linear.has_residual ? args->in[next].data : NULL;
  tsr_matmul_rows rows = rows_of(args, group);
  for (; begin < end; begin += (size_t)m) {
    size_t at = begin * ldy + (size_t)group * w->layout.n;
    float *y = args->out[0].data + at;
    int token = (int)(begin % (size_t)s.tokens), between = s.tokens - s.last;
    int is_fine = token < s.first || token >= between, stop = token < s.first ? s.first : is_fine ? s.tokens : between;
    m = stop - token < TSR_MATMUL_ROWS ? stop - token : TSR_MATMUL_ROWS;
    if ((size_t)m > end - begin) m = (int)(end - begin);
    if (residual) matmul.residual = residual + at;
    if (is_fine) {
      size_t number = begin / (size_t)s.tokens * (size_t)(s.first + s.last) + (size_t)(token < s.first ? token : token - between + s.first);
      tsr_matmul_product_fine(&matmul, group, fine_rows_of(args, &s, group, number), y, ldy, m, n0, n1, scratch);
    } else {
      tsr_matmul_product(&matmul, group, tsr_matmul_rows_from(args->kernels, w, rows, begin), y, ldy, m, n0, n1);
    }
  }
}
