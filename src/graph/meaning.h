/* What the numbers of a tap or output mean, so that a page can draw them without knowing the model. */
#ifndef TSR_GRAPH_MEANING_H
#define TSR_GRAPH_MEANING_H

#include "base/tensor.h"
#include "base/text.h"

/* kind, with the shape it implies:
 *   "logits" [B,K]; "embedding" [B,C]; "tokens" [B,N,C]; "features" [B,H,W,C]; "loss" [1]
 *   "attention" [B,H,N,M], whose rows sum to 1; "mixed_attention", the same with rows of any sum
 *   "channel_attention" [B,H,D,D]; "memory_attention" [B,H,1,M]; "pool_attention" [B,H,1,N]
 *   "landmark_attention" [B,H,N,M], [B,H,M,N] and [B,H,M,M] of N tokens and M landmarks
 *   "pool_weights" [B,N]; "merge_weights" [B,M,N] of M merged tokens; "value_shares" [B,N,H]; "temperature" [1]
 *   "position" [N,C]; "position_bias" [H,N,M]; "position_logits" and "colour_logits" [B,N,K], of each patch
 *   "kernels" [B,H,W,K*K,1,G], K x K at each pixel for G groups of channels; "heat_map" [B,H,W], their sums
 *   "streams" [B,N,E,C] of E residual streams; "centers" [1,K]
 *   "token_ids" [B,N] and "packing" [G,N], where -1 stands for none
 *   "levels" [B,N,L,D] and "islands" [B,N,L,2], of GLOM
 *   "image" [B,C,H,W]; "mask" [B,N], 1 for a hidden patch; "pixels" [B,K,P*P*C] of the K hidden patches in order
 * grid: rows and columns of the tokens between the prefix tokens (class token) and the suffix tokens (registers, a
 * distillation token); 0 where there is no grid.
 * windows: a feature map cut into windows_h rows of windows_w windows, 0 where it is not cut. Then the first dim counts
 * images and in each its windows, row by row, and the grid is a window's. Token (y, x) of window (r, c) is pixel
 * (r grid_h + y, c grid_w + x) of the map; with windows_spread (y windows_h + r, x windows_w + c).
 * tsr_nn_window_meaning fills these in.
 * Video has frames as the outermost dim of grids and windows, grid_f and windows_f, which are 0 for images.
 * The numbers are short because this struct is passed by value; no side of an input is longer than SHRT_MAX. */
typedef struct tsr_meaning {
  const char *kind;
  short grid_h, grid_w, prefix_tokens;
  short windows_h, windows_w, windows_spread;
  short grid_f, windows_f;
  short suffix_tokens;
  short image; /* its index in a list of images */
} tsr_meaning;

/* Writes {"name","kind","dims","grid","image","suffix","prefix_tokens","windows"}, as tsr_model_info and
 * tsr_model_result have it. */
void tsr_write_meaning(tsr_text *text, const char *name, const tsr_meaning *meaning, const tsr_shape *shape);

#endif
