/* sample_tokens: the tokens that adaptive token sampling keeps; see ops.inc.
 * Fayyaz et al. 2021, arXiv 2111.15667; sampled as in vit-pytorch, with its constants. A task is an image. */
#include <math.h>
#include "base/elementary.h"
#include "ops.h"

#define EPS 1e-6f

int tsr_op_sample_tokens_shape(tsr_op_args *args, char *why) {
  const tsr_shape *p = &args->in[0].shape, *v = &args->in[1].shape, *noise = &args->in[2].shape,
                  *count = &args->in[3].shape;
  int b = p->dims[0], n = p->dims[3];
  if (p->ndim != 4 || v->ndim != 3 || noise->ndim != 3 || (noise->dims[0] != 1 && noise->dims[0] != b) ||
      noise->dims[2] < n - 1 || count->ndim != 1 || count->dims[0] != b || v->dims[0] != b || v->dims[1] != n) {
    char text[2][TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "noise %s does not fit probabilities %s", tsr_shape_print(noise, text[1]),
              tsr_shape_print(p, text[0]));
    return 0;
  }
  args->out[0].shape = tsr_shape_of(2, b, noise->dims[1] + 1);
  args->out[1].shape = tsr_shape_of(1, b);
  args->n_out = 2;
  return 1;
}

tsr_op_work tsr_op_sample_tokens_work(const tsr_op_args *args) {
  const int32_t *p = args->in[0].shape.dims;
  return (tsr_op_work){.tasks = p[0], .scratch = 2 * (size_t)p[3] * sizeof(float)};
}

/* weights [n] of tokens 1 ... n - 1 of an image: the share of each in the first token's attention, weighted by |v|. */
static void weigh(const tsr_op_args *args, int image, int n, float *weights) {
  const tsr_shape *p = &args->in[0].shape, *v = &args->in[1].shape;
  int heads = p->dims[1], tokens = p->dims[3], from = args->attrs->sample_tokens.v_offset,
      width = (v->dims[2] - from) / heads;
  float sum = 0;
  for (int j = 1; j < n; j++) {
    const float *value = args->in[1].data + ((size_t)image * tokens + (size_t)j) * (size_t)v->dims[2] + from;
    weights[j] = 0;
    for (int h = 0; h < heads; h++, value += width)
      weights[j] +=
          args->in[0].data[((size_t)image * heads + h) * tokens + j] * sqrtf(args->kernels->dot(value, value, width));
    sum += weights[j];
  }
  for (int j = 1; j < n; j++) weights[j] = weights[j] / (sum + EPS) + EPS;
}

/* Draws a token: the one with the largest log w + Gumbel noise = log(w / E), where E = -log(u) is exponential noise. */
static int draw(const float *weights, const float *noise, const float *numbers, int n) {
  float best = 0;
  int at = 1;
  for (int j = 1; j < n; j++) {
    float u = fminf(fabsf(noise[(int)numbers[j] - 1]), 1),
          score = weights[j] / (EPS - (float)tsr_log((double)(u + EPS)));
    if (score > best) best = score, at = j;
  }
  return at;
}

void tsr_op_sample_tokens_run(const tsr_op_args *args, int task, void *scratch) {
  const tsr_shape *shape = &args->in[2].shape;
  int tokens = args->in[0].shape.dims[3], keep = shape->dims[1], n = (int)args->in[3].data[task], most = 0, count = 0;
  float *weights = scratch, *drawn = weights + tokens, *ids = args->out[0].data + (size_t)task * (keep + 1);
  const float *noise = args->in[2].data + (shape->dims[0] > 1 ? (size_t)task * keep * shape->dims[2] : 0);
  for (int b = 0; b < args->in[0].shape.dims[0]; b++)
    most = args->in[3].data[b] > (float)most ? (int)args->in[3].data[b] : most;
  int samples = most - 1 > keep;
  for (int j = 0; j < tokens; j++) drawn[j] = !j || !samples;
  if (samples) weigh(args, task, n, weights);
  for (int k = 0; samples && k < keep; k++)
    drawn[draw(weights, noise + (size_t)k * shape->dims[2], args->in[4].data + (size_t)task * tokens, n)] = 1;
  for (int j = 0; j < n; j++)
    if (drawn[j] > 0) ids[count++] = (float)j;
  args->out[1].data[task] = (float)count;
  while (count <= keep) ids[count++] = -1;
}
