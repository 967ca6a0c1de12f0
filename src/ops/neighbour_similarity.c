/* neighbour_similarity: cosine similarity with neighbours on a grid; see ops.inc.
 * It shows GLOM's islands, because neighbours that agree have a similarity near 1 (Hinton 2021, arXiv 2102.12627). A
 * task is a row of a grid. */
#include <math.h>

#include "ops.h"

int tsr_op_neighbour_similarity_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int width = args->attrs->neighbour_similarity.grid_w;
  if (x->ndim != 4 || width < 1 || x->dims[1] % width) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "%s is not a grid with rows of %d", tsr_shape_print(x, text), width);
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], x->dims[1], x->dims[2], 2);
  return 1;
}

tsr_op_work tsr_op_neighbour_similarity_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = args->in[0].shape.dims[0] *
                                (args->in[0].shape.dims[1] / args->attrs->neighbour_similarity.grid_w)};
}

/* The cosine similarity of a and b. squares: the sum of squares of a. */
static float cosine(const tsr_kernels *kernels, const float *a, const float *b, float squares, int d) {
  float norm = sqrtf(squares) * sqrtf(kernels->dot(b, b, d));
  return norm > 0 ? kernels->dot(a, b, d) / norm : 0;
}

void tsr_op_neighbour_similarity_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const tsr_kernels *k = args->kernels;
  int n = args->in[0].shape.dims[1], levels = args->in[0].shape.dims[2], d = args->in[0].shape.dims[3];
  int width = args->attrs->neighbour_similarity.grid_w, rows = n / width, cells = width * levels;
  const float *x = args->in[0].data + (size_t)task * cells * d;
  float *y = args->out[0].data + (size_t)task * cells * 2;
  for (int i = 0; i < cells; i++, x += d) {
    float squares = k->dot(x, x, d);
    *y++ = i + levels < cells ? cosine(k, x, x + (size_t)levels * d, squares, d) : 0;
    *y++ = task % rows + 1 < rows ? cosine(k, x, x + (size_t)cells * d, squares, d) : 0;
  }
}
