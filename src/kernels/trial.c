/* The trial of the kernels for the 8-bit product, all of which give the same numbers. Their speed is measured, because
 * it depends on the machine's instructions and on the engine's code for them, and a program can query neither. */
#include "kernels.h"

#ifdef __wasm_relaxed_simd__

enum { N = 64, K = 256, MOST_ROWS = 6, CALLS = 8, LEAST = 3, MOST_MS = 5 };

/* The memory of a product for every height of tile. It holds zeros, because integer arithmetic takes the same time for
 * all numbers. */
typedef struct trial {
  float c[MOST_ROWS * N], w_scale[N], a_scale[MOST_ROWS];
  int32_t w_sum[N], a_zero[MOST_ROWS];
  char q[MOST_ROWS * 2 * K];
  int8_t panels[N / TSR_PANEL * (16 + TSR_PANEL * K)], w[N * K];
} trial;

size_t tsr_kernels_trial_bytes(void) { return sizeof(trial); }

static double time_of(const tsr_kernels *k, trial *t, double (*now)(void)) {
  double began = now();
  for (int call = 0; call < CALLS; call++)
    for (int m = 1; m <= MOST_ROWS; m++)
      k->gemm_q8(t->c, N, t->q, t->a_scale, t->a_zero, t->panels, t->w_scale, t->w_sum, NULL, m, 0, N, K);
  return now() - began;
}

const tsr_kernels *tsr_kernels_try(void *memory, double (*now)(void)) {
  const tsr_kernels *variants[] = {tsr_kernels_best(), tsr_kernels_other()};
  trial *t = memory;
  double best[2] = {1e30, 1e30}, began = now();
  variants[0]->gemm_q8_pack(t->panels, t->w, K, 0, N, K);
  for (int round = 0; round < LEAST || now() - began < MOST_MS; round++)
    for (int i = 0; i < 2; i++) {
      double ms = time_of(variants[i], t, now);
      if (ms < best[i]) best[i] = ms;
    }
  return variants[best[1] < 0.9 * best[0]]; /* the first also when the clock is too coarse to decide */
}

#else

size_t tsr_kernels_trial_bytes(void) { return 0; }

const tsr_kernels *tsr_kernels_try(void *memory, double (*now)(void)) {
  (void)memory, (void)now;
  return tsr_kernels_best(); /* there is one variant */
}

#endif
