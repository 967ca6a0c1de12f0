/* What the numbers of a tap or output mean, so that a page can draw them without knowing the model. */
#ifndef TSR_GRAPH_MEANING_H
#define TSR_GRAPH_MEANING_H

#include "base/tensor.h"
#include "base/text.h"

/* What a tap or output means, so that a page can draw it without knowing the model. kind: "logits", "embedding" [B,C],
 * "tokens" [B,N,C], "features" [B,H,W,C], "attention" [B,H,N,M], "mixed_attention" the same with rows that need not sum to 1,
 * "pool_weights" [B,N], "value_shares" [B,N,H], "token_ids" [B,N], -1 for none, "packing" [G,N], the same, "position" [N,C], "levels" [B,N,L,D], "islands" [B,N,L,2], "image" [B,C,H,W],
 * "mask" [B,N] (1: hidden), "pixels" [B,K,P P C] of hidden patches in order, "loss" [1].
 * grid: rows and columns of the tokens between the prefix and the suffix (registers, a distillation token), 0 where there is no grid.
 * Where a map is cut into windows, the first dim counts pictures and in each its windows, row by row, and the grid is a window's:
 * windows_h rows of windows_w of them, 0 where there are none. Token (y, x) of window (r, c) is the map's pixel (r grid_h + y, c grid_w + x);
 * with windows_spread (y windows_h + r, x windows_w + c). tsr_nn_window_meaning fills them in.
 * Of video, grids and windows have frames too, the outermost: grid_f and windows_f, 0 of a picture. Short, since these are handed around a lot
 * by value; no side of an input is longer. */
typedef struct tsr_meaning {
  const char *kind;
  short grid_h, grid_w, prefix_tokens;
  short windows_h, windows_w, windows_spread;
  short grid_f, windows_f;
  short suffix_tokens;
  short image; /* which of a list of pictures it is of */
} tsr_meaning;

/* Writes {"name","kind","dims","grid","image","suffix","prefix_tokens","windows"}, as tsr_model_info and tsr_model_result have
 * it. */
void tsr_write_meaning(tsr_text *text, const char *name, const tsr_meaning *meaning, const tsr_shape *shape);

#endif
