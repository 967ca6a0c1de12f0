/* The pass that leaves out what no result depends on, and keeps 14 bits where few tokens carry the result.
 *
 * Models often go on with a few tokens, such as the class token. Those are a slice of a value [B,N,C] along N, and
 * this pass follows such slices backwards through ops that work row by row (ops.h: traits):
 *   - In 8 bits, linear layers keep 14 bits of the activations of these rows, from the first layer on, because all of
 *     the result passes through them. Only the first or last rows of N, or a single row (as in a head), can have 14
 *     bits.
 *   - The last layers compute these rows alone, unless a capture wants the others.
 * What is captured changes no bit of the output, with one exception: where relaxed SIMD runs large f32 products
 * (kernels/gemm_f32_strassen.h), last bits depend on neighbouring rows. */
#ifndef TSR_GRAPH_REFINE_H
#define TSR_GRAPH_REFINE_H

#include "graph.h"

/* Changes the builder's finished graph. Fails with TSR_ERR_OUT_OF_MEMORY. */
void tsr_graph_refine(tsr_builder *b);

#endif
