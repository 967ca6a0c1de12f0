/* Losses, made of plain ops. A loss is a value [1], the mean over the batch as in the references. Conventions as in
 * layers.h. */
#ifndef TSR_NN_LOSS_H
#define TSR_NN_LOSS_H

#include "layers.h"

/* The mean of all numbers: [..] -> [1]. */
tsr_value tsr_nn_mean_all(tsr_builder *b, tsr_value x);
/* The mean over rows of -sum t log(softmax(scale x) + eps): x [..,K], t shares [..,K] or numbers of classes [..] ->
 * [1]. */
tsr_value tsr_nn_cross_entropy(tsr_builder *b, tsr_value x, tsr_value t, float scale, float eps);
/* The mean over rows of KL(softmax(scale t) || softmax(scale x)): x and t [B,K] -> [1] (torch's 'batchmean'). */
tsr_value tsr_nn_kl_divergence(tsr_builder *b, tsr_value x, tsr_value t, float scale);
/* The index of the largest number along the last dim: [..,K] -> [..]. */
tsr_value tsr_nn_argmax(tsr_builder *b, tsr_value x);

#endif
