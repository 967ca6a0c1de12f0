/* The context behind tesserae.h: memory, threads, kernels and the error that its models share. */
#ifndef TSR_MODEL_CONTEXT_H
#define TSR_MODEL_CONTEXT_H

#include "base/arena.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "tesserae.h"
#include "base/text.h"
#include "base/threads.h"

struct tsr_context {
  tsr_heap heap;
  tsr_error err;
  tsr_pool *pool;
  const tsr_kernels *kernels;
  double (*now)(void); /* NULL: no clock, no trial of kernels */
  int trials;
  tsr_text architectures; /* what tsr_list_architectures hands out */
  tsr_text description;   /* and tsr_describe */
};

/* Chooses between kernels of the same numbers, if there is a clock; the first few calls only. */
void tsr_context_try_kernels(tsr_context *ctx);

#endif
