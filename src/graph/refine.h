/* Which rows (tokens) of a graph's values are read in the end. Where a model goes on with a few tokens only, as with a class token:
 *   - in 8 bits, linear layers keep 14 bits of these rows, all the way from the picture: all that is read passes through them. (Rows at the
 *     begin or end only; and also where a picture has but one row, as before a head;)
 *   - what the last layers would work out for the others is left out, unless it is captured.
 * Outputs are the same bits whatever is captured, but for the last bits of f32 where relaxed SIMD runs large products (gemm_f32_strassen.h):
 * there neighbouring rows have a say in them. */
#ifndef TSR_GRAPH_REFINE_H
#define TSR_GRAPH_REFINE_H

#include "graph.h"

/* Changes the builder's finished graph. Errors: TSR_ERR_OUT_OF_MEMORY. */
void tsr_rows_refine(tsr_builder *b);

#endif
