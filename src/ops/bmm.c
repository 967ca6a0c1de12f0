/* bmm: products of activations, matrix by matrix; see ops.inc.
 * The first tasks pack y, each a block of columns of one matrix. Each further task computes a block of rows and columns
 * of one product. A sum runs over k in order, in one task. */
#include <string.h>

#include "ops.h"

enum { ROWS = 48 /* a multiple of TSR_ROW_GROUP */, COLUMNS = 512 /* a multiple of TSR_PANEL */ };

int tsr_op_bmm_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->in[1].shape;
  int last = x->ndim - 1, transposed = args->attrs->bmm.transposed, ok = x->ndim == y->ndim && last >= 1;
  tsr_shape out = *x;
  for (int i = 0; ok && i < last - 1; i++) {
    ok = x->dims[i] == y->dims[i] || x->dims[i] == 1 || y->dims[i] == 1;
    if (x->dims[i] == 1) out.dims[i] = y->dims[i];
  }
  if (!ok || x->dims[last] != y->dims[transposed ? last : last - 1]) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "%s cannot be multiplied by %s%s", tsr_shape_print(x, text[0]), tsr_shape_print(y, text[1]),
              transposed ? " transposed" : "");
    return 0;
  }
  out.dims[last] = y->dims[transposed ? last - 1 : last];
  args->out[0].shape = out;
  return 1;
}

typedef struct sizes {
  int n, k, m; /* x [n,k], y [k,m] or [m,k] */
  int row_blocks, column_blocks;
  size_t products, packed; /* matrices of the output; matrices of y */
  size_t floats;           /* floats of a packed matrix of y */
} sizes;

static sizes sizes_of(const tsr_op_args *args) {
  const tsr_shape *x = &args->in[0].shape, *y = &args->in[1].shape, *out = &args->out[0].shape;
  int last = x->ndim - 1;
  sizes s = {.n = x->dims[last - 1], .k = x->dims[last], .m = out->dims[last]};
  s.row_blocks = tsr_tasks((size_t)s.n, ROWS);
  s.column_blocks = tsr_tasks((size_t)s.m, COLUMNS);
  s.products = tsr_dims_product(out, 0, last - 1);
  s.packed = tsr_dims_product(y, 0, last - 1);
  s.floats = ((size_t)s.m + TSR_PANEL - 1) / TSR_PANEL * TSR_PANEL * (size_t)s.k;
  return s;
}

tsr_op_work tsr_op_bmm_work(const tsr_op_args *args) {
  sizes s = sizes_of(args);
  int before = (int)s.packed * s.column_blocks;
  return (tsr_op_work){.tasks = before + (int)s.products * s.row_blocks * s.column_blocks,
                       .before = before,
                       .shared = s.packed * s.floats * sizeof(float),
                       .scratch = (size_t)ROWS * (size_t)s.k * sizeof(float),
                       .operations = (double)s.products * s.n * s.m * s.k};
}

/* The index of the matrix of `shape` that belongs to product `index`. */
static size_t matrix_of(const tsr_shape *shape, const tsr_shape *out, size_t index) {
  size_t at = 0, stride = 1;
  for (int i = out->ndim - 3; i >= 0; index /= (size_t)out->dims[i], i--) {
    if (shape->dims[i] > 1) at += index % (size_t)out->dims[i] * stride;
    stride *= (size_t)shape->dims[i];
  }
  return at;
}

/* Packs columns [begin, end) of y [k,m] into panels of 8. */
static void pack_columns(const tsr_kernels *kernels, float *panels, const float *y, const sizes *s, size_t begin,
                         size_t end) {
  for (size_t j = begin; j < end; j += TSR_PANEL, panels += (size_t)s->k * TSR_PANEL) {
    int width = end - j < TSR_PANEL ? (int)(end - j) : TSR_PANEL;
    if (width < TSR_PANEL) memset(panels, 0, (size_t)s->k * TSR_PANEL * sizeof *panels);
    kernels->copy_rows(panels, TSR_PANEL, y + j, s->m, s->k, width);
  }
}

void tsr_op_bmm_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_kernels *kernels = args->kernels;
  sizes s = sizes_of(args);
  size_t begin, end, index = (size_t)(task / s.column_blocks), matrix = (size_t)s.k * (size_t)s.m;
  float *panels = args->shared;
  tsr_task_range((size_t)s.m, COLUMNS, task % s.column_blocks, &begin, &end);
  if (index < s.packed) {
    const float *y = args->in[1].data + index * matrix;
    panels += index * s.floats + begin * (size_t)s.k;
    if (args->attrs->bmm.transposed)
      kernels->gemm_f32_pack(panels, y + begin * (size_t)s.k, s.k, 0, (int)(end - begin), s.k);
    else pack_columns(kernels, panels, y, &s, begin, end);
    return;
  }
  index -= s.packed;
  size_t row, row_end, product = index / (size_t)s.row_blocks;
  const tsr_shape *out = &args->out[0].shape;
  tsr_task_range((size_t)s.n, ROWS, (int)(index % (size_t)s.row_blocks), &row, &row_end);
  const float *x = args->in[0].data + (matrix_of(&args->in[0].shape, out, product) * (size_t)s.n + row) * (size_t)s.k;
  float *to = args->out[0].data + (product * (size_t)s.n + row) * (size_t)s.m;
  kernels->gemm_f32_rows(scratch, x, s.k, (int)(row_end - row), s.k);
  kernels->gemm_f32(to, s.m, scratch, panels + matrix_of(&args->in[1].shape, out, product) * s.floats, NULL,
                    (int)(row_end - row), (int)begin, (int)end, s.k);
}
