/* linear: a linear layer, also a grouped one; see ops.inc.
 * The first tasks lay out the rows, or quantize them. A task of the product is a block of columns for many rows, so
 * that each weight is read from memory once a pass instead of once for every block of rows. */
#include <string.h>

#include "matmul.h"

int tsr_op_linear_shape(tsr_op_args *args, char *why) {
  const tsr_weight *w = args->in[1].weight;
  char text[TSR_SHAPE_TEXT];
  const tsr_shape *x = &args->in[0].shape;
  int groups = w->layout.groups, n = groups * w->layout.n, next = 2;
  if (x->ndim < 1 || tsr_shape_last(x) != groups * w->k) {
    tsr_print(why, TSR_WHY, "input %s does not end in the %d columns that the weight takes", tsr_shape_print(x, text),
              groups * w->k);
    return 0;
  }
  tsr_shape y = *x;
  y.dims[y.ndim - 1] = n;
  if (args->attrs->linear.has_bias && tsr_shape_count(&args->in[next++].shape, NULL) != (size_t)n) {
    tsr_print(why, TSR_WHY, "bias is %s, expected %d numbers", tsr_shape_print(&args->in[2].shape, text), n);
    return 0;
  }
  next += args->attrs->linear.has_scale;
  if (args->attrs->linear.has_residual && !tsr_shape_equal(&args->in[next].shape, &y)) {
    tsr_print(why, TSR_WHY, "residual %s does not have the shape of the output",
              tsr_shape_print(&args->in[next].shape, text));
    return 0;
  }
  args->second = args->attrs->linear.has_residual ? next : 0;
  args->out[0].shape = y;
  return 1;
}

enum {
  LEAST_TASKS = 12, /* so that 2, 3, 4 and 6 threads have equal shares */
  MOST_ROWS = 240,  /* rows of a task: five blocks */
  MOST_STRASSEN_ROWS = 264,
  CACHED = 384 << 10 /* bytes of rows that stay in the second level cache while the columns pass by */
};

/* How the work is divided. Fine rows keep 14 bits (matmul.h). */
typedef struct split {
  int levels;        /* of Strassen's product; 0: the plain product */
  int parts;         /* images with Strassen's product, because there neighbouring rows affect the last bits; else 1 */
  size_t each;       /* rows of a part */
  int rows;          /* rows of a block */
  int columns;       /* columns of a block */
  int row_blocks;    /* blocks of rows in a part */
  int column_blocks; /* blocks of columns in a group */
  int prepare;       /* tasks that prepare rows */
} split;

/* Chooses the product, and divides the rows into parts. */
static void choose_product(const tsr_op_args *args, split *s) {
  const tsr_weight *w = args->in[1].weight;
  const tsr_shape *x = &args->in[0].shape;
  int images = x->ndim > 2 ? x->dims[0] : 1;
  s->parts = 1, s->each = tsr_rows(x);
  if (w->is_q8 || images < 1) return;
  s->levels = args->kernels->gemm_f32_levels((int)(s->each / (size_t)images), w->layout.n, w->k);
  if (s->levels) s->parts = images, s->each /= (size_t)images;
}

/* Divides the rows of a part and the columns of a group into blocks. */
static void find_blocks(const tsr_weight *w, split *s) {
  int n = w->layout.n, groups = w->layout.groups, most = s->levels ? MOST_STRASSEN_ROWS : MOST_ROWS;
  int step = s->levels ? TSR_ROW_GROUP << (s->levels - 1) : TSR_ROW_GROUP;
  if (w->is_q8 && w->k > CACHED / MOST_ROWS) most = CACHED / w->k;
  s->columns = TSR_MATMUL_COLUMNS;
  /* Strassen's product sums weights for the rows of a task, so few columns make narrow blocks instead of few rows. */
  if (s->levels && n * groups < LEAST_TASKS * TSR_MATMUL_COLUMNS) s->columns /= 2;
  s->column_blocks = tsr_tasks((size_t)n, (size_t)s->columns);
  int tasks = s->column_blocks * groups, blocks = tasks ? (LEAST_TASKS + tasks - 1) / tasks : 1;
  size_t rows = (s->each + (size_t)blocks - 1) / (size_t)blocks;
  if (rows > (size_t)most) rows = (size_t)most;
  s->rows = (int)((rows + (size_t)step - 1) / (size_t)step) * step;
  s->row_blocks = tsr_tasks(s->each, s->rows ? (size_t)s->rows : 1);
}

static void count_prepare(int groups, split *s) {
  if (s->levels) s->prepare = groups * s->parts * s->row_blocks * tsr_tasks((size_t)s->rows, TSR_STRASSEN_ROWS);
  else s->prepare = groups * tsr_tasks(s->each, TSR_MATMUL_ROWS);
}

static split split_of(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  split s = {0};
  choose_product(args, &s);
  find_blocks(w, &s);
  count_prepare(w->layout.groups, &s);
  return s;
}

/* The number of rows that a group's prepared rows have room for. */
static size_t group_rows(const tsr_op_args *args) {
  return (tsr_rows(&args->in[0].shape) + TSR_ROW_GROUP - 1) / TSR_ROW_GROUP * TSR_ROW_GROUP;
}

/* Bytes of all rows, prepared. */
static size_t rows_bytes(const tsr_op_args *args, const split *s) {
  const tsr_weight *w = args->in[1].weight;
  size_t blocks = (size_t)(w->layout.groups * s->parts * s->row_blocks);
  if (s->levels) return sizeof(float) * blocks * tsr_strassen_floats(s->rows, w->k, s->levels);
  return tsr_matmul_rows_bytes(args->kernels, w, group_rows(args) * (size_t)w->layout.groups);
}

tsr_op_work tsr_op_linear_work(const tsr_op_args *args) {
  const tsr_weight *w = args->in[1].weight;
  split s = split_of(args);
  size_t scratch = s.levels ? sizeof(float) * tsr_strassen_scratch(s.rows, w->k, s.levels) : 0;
  return (tsr_op_work){.tasks = s.prepare + s.parts * s.row_blocks * s.column_blocks * w->layout.groups,
                       .before = s.prepare,
                       .shared = rows_bytes(args, &s),
                       .scratch = scratch,
                       .operations = (double)tsr_rows(&args->in[0].shape) * w->layout.groups * w->layout.n * w->k};
}

/* The prepared rows of a group. */
static tsr_matmul_rows rows_of(const tsr_op_args *args, int group) {
  const tsr_weight *w = args->in[1].weight;
  size_t rows = group_rows(args);
  tsr_matmul_rows all = tsr_matmul_rows_at(args->kernels, w, rows * (size_t)w->layout.groups, args->shared);
  return tsr_matmul_rows_from(args->kernels, w, all, rows * (size_t)group);
}

/* The rows of block `number` of all groups' blocks, laid out for Strassen's product. */
static float *strassen_rows_of(const tsr_op_args *args, const split *s, int number) {
  return (float *)args->shared + (size_t)number * tsr_strassen_floats(s->rows, args->in[1].weight->k, s->levels);
}

static void prepare_strassen(const tsr_op_args *args, const split *s, int task) {
  const tsr_weight *w = args->in[1].weight;
  int chunks = tsr_tasks((size_t)s->rows, TSR_STRASSEN_ROWS), number = task / chunks;
  int blocks = s->parts * s->row_blocks, ldx = w->k * w->layout.groups;
  size_t begin, end, from, to;
  tsr_task_range(s->each, (size_t)s->rows, number % s->row_blocks, &begin, &end);
  int rows = (int)(end - begin);
  tsr_task_range((size_t)rows, TSR_STRASSEN_ROWS, task % chunks, &from, &to);
  begin += s->each * (size_t)(number % blocks / s->row_blocks);
  const float *x = args->in[0].data + begin * (size_t)ldx + (size_t)(number / blocks) * w->k;
  if (from < to)
    args->kernels->gemm_f32_strassen_rows(strassen_rows_of(args, s, number), x, ldx, rows, w->k, s->levels, (int)from,
                                          (int)to);
}

/* fine[i] becomes 1 if row begin + i is one of those that keep 14 bits anyway. */
static void find_fine_rows(const tsr_op_args *args, size_t begin, size_t end, char *fine) {
  const tsr_shape *x = &args->in[0].shape;
  size_t tokens = x->ndim > 2 ? (size_t)tsr_dims_product(x, 1, x->ndim - 1) : 1;
  for (size_t i = begin; i < end; i++) {
    size_t token = i % tokens;
    fine[i - begin] =
        token < (size_t)args->attrs->linear.fine_first || token + (size_t)args->attrs->linear.fine_last >= tokens;
  }
}

static void prepare(const tsr_op_args *args, const split *s, int task) {
  char fine[TSR_MATMUL_ROWS];
  if (s->levels) {
    prepare_strassen(args, s, task);
    return;
  }
  const tsr_weight *w = args->in[1].weight;
  size_t total = tsr_rows(&args->in[0].shape), begin, end;
  int blocks = tsr_tasks(total, TSR_MATMUL_ROWS), group = task / blocks, ldx = w->k * w->layout.groups;
  tsr_task_range(total, TSR_MATMUL_ROWS, task % blocks, &begin, &end);
  find_fine_rows(args, begin, end, fine);
  tsr_matmul_prepare(args->kernels, w, tsr_matmul_rows_from(args->kernels, w, rows_of(args, group), begin),
                     args->in[0].data + begin * (size_t)ldx + (size_t)group * w->k, ldx, (int)(end - begin), fine);
}

/* A task of the product: columns [n0, n1) of a group for rows [begin, end). */
typedef struct tile {
  int group, n0, n1;
  int number; /* of the block of rows, among all groups' blocks */
  size_t begin, end;
} tile;

static tile tile_of(const tsr_weight *w, const split *s, int task) {
  int blocks = s->parts * s->row_blocks, block = task % blocks, n0 = task / blocks % s->column_blocks * s->columns;
  size_t first = s->each * (size_t)(block / s->row_blocks);
  tile t = {.group = task / blocks / s->column_blocks, .n0 = n0};
  t.n1 = n0 + s->columns < w->layout.n ? n0 + s->columns : w->layout.n;
  t.number = t.group * blocks + block;
  tsr_task_range(s->each, (size_t)s->rows, block % s->row_blocks, &t.begin, &t.end);
  t.begin += first, t.end += first;
  return t;
}

/* Multiplies the tile's rows, a block of TSR_MATMUL_ROWS at a time. */
static void multiply_rows(const tsr_op_args *args, tsr_matmul *matmul, const float *residual, const tile *t) {
  int n = matmul->weight->layout.n, ldy = matmul->ld_residual;
  tsr_matmul_rows rows = rows_of(args, t->group);
  for (size_t i = t->begin; i < t->end; i += TSR_MATMUL_ROWS) {
    size_t at = i * (size_t)ldy + (size_t)t->group * n;
    int m = (int)(t->end - i < TSR_MATMUL_ROWS ? t->end - i : TSR_MATMUL_ROWS);
    if (residual) matmul->residual = residual + at;
    tsr_matmul_product(matmul, t->group, tsr_matmul_rows_from(args->kernels, matmul->weight, rows, i),
                       args->out[0].data + at, ldy, m, t->n0, t->n1);
  }
}

static void multiply_strassen(const tsr_op_args *args, const split *s, tsr_matmul *matmul, const float *residual,
                              const tile *t, float *scratch) {
  int ldy = matmul->ld_residual;
  size_t at = t->begin * (size_t)ldy + (size_t)t->group * matmul->weight->layout.n;
  if (residual) matmul->residual = residual + at;
  tsr_matmul_strassen(matmul, t->group, strassen_rows_of(args, s, t->number), args->out[0].data + at, ldy,
                      (int)(t->end - t->begin), t->n0, t->n1, s->levels, scratch);
}

/* Runs task `task` of the product. */
static void multiply(const tsr_op_args *args, const split *s, int task, void *scratch) {
  const tsr_weight *w = args->in[1].weight;
  int next = 2;
  tile t = tile_of(w, s, task);
  tsr_matmul matmul = {.kernels = args->kernels,
                       .weight = w,
                       .activation = args->attrs->linear.activation,
                       .ld_residual = w->layout.n * w->layout.groups};
  if (args->attrs->linear.has_bias) matmul.bias = args->in[next++].data;
  if (args->attrs->linear.has_scale) matmul.scale = args->in[next++].data;
  const float *residual = args->attrs->linear.has_residual ? args->in[next].data : NULL;
  if (s->levels) {
    multiply_strassen(args, s, &matmul, residual, &t, scratch);
    return;
  }
  multiply_rows(args, &matmul, residual, &t);
}

void tsr_op_linear_run(const tsr_op_args *args, int task, void *scratch) {
  split s = split_of(args);
  if (task < s.prepare) prepare(args, &s, task);
  else multiply(args, &s, task - s.prepare, scratch);
}
