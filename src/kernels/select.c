/* The choice of kernels: one constant table per isa, made from kernels.inc. */
#include "kernels.h"

#include <string.h>

/* A table lists every row up to its isa. A later row for the same op replaces the earlier one, which gives the fallback
 * that kernels.h promises. The compilers' warning about a replaced initializer is therefore off here. */
#pragma GCC diagnostic push
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

#define ROW(op, isa) .op = tsr_k_##op##_##isa,
#define TSR_KERNEL(op, isa) TAKE_##isa(op, isa)

/* Every op needs a ref variant: an op without one fails to compile here. */
static const tsr_kernels table_ref = {
#define X(op) ROW(op, ref)
    TSR_KERNEL_OPS(X)
#undef X
};

#define TAKE_ref ROW
#define TAKE_simd ROW
#define TAKE_relaxed(op, isa)
#define TAKE_fused(op, isa)
static const tsr_kernels table_simd = {
#include "kernels.inc"
};

#ifdef __wasm_relaxed_simd__
#undef TAKE_relaxed
#define TAKE_relaxed ROW
static const tsr_kernels table_relaxed = {
#include "kernels.inc"
};
#undef TAKE_fused
#define TAKE_fused ROW
static const tsr_kernels table_fused = {
#include "kernels.inc"
};
#define TABLE_BEST table_relaxed
#define TABLE_OTHER &table_fused
#else
#define TABLE_BEST table_simd
#define TABLE_OTHER (const tsr_kernels *)NULL
#endif

#pragma GCC diagnostic pop

const tsr_kernels *tsr_kernels_best(void) { return &TABLE_BEST; }
const tsr_kernels *tsr_kernels_other(void) { return TABLE_OTHER; }

const tsr_kernels *tsr_kernels_select(const char *isa) {
  if (isa && !strcmp(isa, "ref")) return &table_ref;
  if (isa && !strcmp(isa, "simd")) return &table_simd;
  if (isa && !strcmp(isa, "fused") && TABLE_OTHER) return TABLE_OTHER;
  return &TABLE_BEST; /* NULL, "relaxed" and unknown names */
}
