/* neighbour_similarity: see ops.inc. What GLOM's islands are drawn from: neighbours that agree have similarity near 1
 * (Hinton 2021, arXiv 2102.12627). A task is one picture of the batch. */
#include <math.h>
#include <stdio.h>

#include "ops.h"

int tsr_op_neighbour_similarity_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int width = args->attrs->neighbour_similarity.grid_w;
  if (x->ndim != 4 || width < 1 || x->dims[1] % width) {
    char text[TSR_SHAPE_TEXT];
    snprintf(why, TSR_WHY, "%s is no grid of rows of %d", tsr_shape_print(x, text), width);
    return 0;
  }
  args->out[0].shape = tsr_shape_of(4, x->dims[0], x->dims[1], x->dims[2], 2);
  return 1;
}

tsr_op_work tsr_op_neighbour_similarity_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = args->in[0].shape.dims[0]};
}

static float cosine(const float *a, const float *b, int d) {
  float ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < d; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  float norm = sqrtf(aa) * sqrtf(bb);
  return norm > 0 ? ab / norm : 0;
}

void tsr_op_neighbour_similarity_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  int n = args->in[0].shape.dims[1], levels = args->in[0].shape.dims[2], d = args->in[0].shape.dims[3];
  int width = args->attrs->neighbour_similarity.grid_w;
  const float *x = args->in[0].data + (size_t)task * n * levels * d;
  float *y = args->out[0].data + (size_t)task * n * levels * 2;
  for (int i = 0; i < n; i++)
    for (int l = 0; l < levels; l++) {
      const float *here = x + ((size_t)i * levels + l) * d;
      *y++ = i % width + 1 < width ? cosine(here, here + (size_t)levels * d, d) : 0;
      *y++ = i + width < n ? cosine(here, here + (size_t)levels * d * width, d) : 0;
    }
}
