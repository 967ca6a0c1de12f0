/* activate: an activation as an op of its own, and the activations of linear and conv2d; see ops.inc. */
#include <string.h>

#include "ops.h"

enum { BLOCK = 64 };

/* 1 / (1 + e^-x), written so that compilers vectorize it: e^t = 2^n e^r with t = n ln 2 + r, and e^r by its series. The
 * error is at most 2e-7. */
static inline float sigmoid(float x) {
  float t = x < -87 ? 87 : x > 87 ? -87 : -x; /* beyond 87 the result is 0 or 1 up to the last bits of a float */
  /* Adding 1.5 * 2^23 rounds to an integer in the low bits. */
  float shifted = t * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f, power;
  float r = (t - n * 0.693115234375f) - n * 3.19461850e-5f, p = 1 / 720.0f;
  int32_t bits;
  p = p * r + 1 / 120.0f;
  p = p * r + 1 / 24.0f;
  p = p * r + 1 / 6.0f;
  p = p * r + 0.5f;
  p = p * r * r + r;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (int32_t)((uint32_t)bits << 23) + 0x3f800000;
  memcpy(&power, &bits, sizeof power);
  return 1 / (1 + power * (1 + p));
}

static inline float hard_swish(float x) {
  float gate = x + 3;
  gate = gate < 0 ? 0 : gate;
  gate = gate > 6 ? 6 : gate;
  return x * gate / 6;
}

/* Works on blocks in its own memory, so that the compiler need not assume that y and x overlap. */
static void plain(int activation, float *y, const float *x, int n) {
  float block[BLOCK];
  for (int i = 0; i < n; i += BLOCK) {
    size_t bytes = (size_t)(n - i < BLOCK ? n - i : BLOCK) * sizeof *block;
    if (bytes < sizeof block) memset(block, 0, sizeof block);
    memcpy(block, x + i, bytes);
    if (activation == TSR_ACT_SILU)
      for (int j = 0; j < BLOCK; j++) block[j] *= sigmoid(block[j]);
    else if (activation == TSR_ACT_SIGMOID)
      for (int j = 0; j < BLOCK; j++) block[j] = sigmoid(block[j]);
    else if (activation == TSR_ACT_HARD_SWISH)
      for (int j = 0; j < BLOCK; j++) block[j] = hard_swish(block[j]);
    else if (activation == TSR_ACT_QUICK_GELU)
      for (int j = 0; j < BLOCK; j++) block[j] *= sigmoid(1.702f * block[j]);
    else if (activation == TSR_ACT_GELU_TANH) /* (1 + tanh(u)) / 2 = sigmoid(2 u) */
      for (int j = 0; j < BLOCK; j++)
        block[j] *= sigmoid(1.59576912f * (block[j] + 0.044715f * block[j] * block[j] * block[j]));
    else
      for (int j = 0; j < BLOCK; j++) block[j] = 2 * sigmoid(2 * block[j]) - 1;
    memcpy(y + i, block, bytes);
  }
}

void tsr_activate(const tsr_kernels *kernels, int activation, float *y, const float *x, int n) {
  if (activation == TSR_ACT_GELU) kernels->gelu(y, x, n);
  else if (activation == TSR_ACT_RELU) kernels->relu(y, x, n);
  else if (activation != TSR_ACT_NONE) plain(activation, y, x, n);
  else if (y != x) memcpy(y, x, (size_t)n * sizeof *y);
}

int tsr_op_activate_shape(tsr_op_args *args, char *why) {
  (void)why;
  args->out[0].shape = args->in[0].shape;
  return 1;
}

tsr_op_work tsr_op_activate_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks = tsr_tasks(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS)};
}

void tsr_op_activate_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  size_t begin, end;
  tsr_task_range(tsr_shape_count(&args->in[0].shape, NULL), TSR_TASK_FLOATS, task, &begin, &end);
  tsr_activate(args->kernels, args->attrs->activate.activation, args->out[0].data + begin, args->in[0].data + begin,
               (int)(end - begin));
}
