/* The packing of int8 rows with SIMD, for 8-bit products whose blocks are 8 columns of `group` (2 or 4)
 * neighbours in k. Partial panels and the end of k are packed by the plain code of gemm_q8.h. */
#ifndef TSR_KERNELS_GEMM_Q8_PACK_H
#define TSR_KERNELS_GEMM_Q8_PACK_H

#include "gemm_q8.h"
#include "simd.h"

TSR_INLINE void tsr_q8_transpose(tsr_i32x4 r[4], const int8_t *w, int ldw) {
  tsr_f32x4 t[4]; /* as f32 only to move the bits */
  for (int i = 0; i < 4; i++) t[i] = tsr_i32x4_as_f32(tsr_i32x4_load(w + (size_t)i * ldw));
  tsr_f32x4_transpose(t);
  for (int i = 0; i < 4; i++) r[i] = tsr_f32x4_bits(t[i]);
}

/* Packs the first k & ~15 numbers of a panel's 8 rows; returns that number. */
TSR_INLINE int tsr_q8_pack_panel(int8_t *panel, const int8_t *w, int ldw, int k, int group) {
  int p = 0;
  for (; p + 16 <= k; p += 16) {
    tsr_i32x4 low[4], high[4]; /* columns 0 to 3 and 4 to 7: of each, four times four neighbours */
    tsr_q8_transpose(low, w + p, ldw);
    tsr_q8_transpose(high, w + 4 * (size_t)ldw + p, ldw);
    for (int i = 0; i < 4; i++, panel += 4 * TSR_PANEL) {
      tsr_i32x4_store(panel, group == 4 ? low[i] : tsr_i16x8_even(low[i], high[i]));
      tsr_i32x4_store(panel + 2 * TSR_PANEL, group == 4 ? high[i] : tsr_i16x8_odd(low[i], high[i]));
    }
  }
  return p;
}

TSR_INLINE void tsr_q8_pack_simd(int8_t *panels, const int8_t *w, int ldw, int n0, int n1, int k, int group) {
  for (int n = n0; k && n < n1; n += TSR_PANEL, w += (size_t)TSR_PANEL * ldw) {
    int8_t *panel = tsr_q8_begin_panel(panels, n, k);
    int done = n + TSR_PANEL <= n1 ? tsr_q8_pack_panel(panel, w, ldw, k, group) : 0;
    tsr_q8_pack_rest(panel, w, ldw, n1 - n, done, k, group);
  }
}

#endif
