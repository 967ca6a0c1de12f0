/* Losses; see loss.h. */
#include "loss.h"

tsr_value tsr_nn_mean_all(tsr_builder *b, tsr_value x) {
  tsr_shape shape = tsr_shape_at(b, x);
  return tsr_nn_mean(b, tsr_nn_reshape(b, x, tsr_shape_of(2, 1, (int)tsr_shape_count(&shape, NULL))), 1);
}

tsr_value tsr_nn_cross_entropy(tsr_builder *b, tsr_value x, tsr_value t, float scale, float eps) {
  if (x == TSR_NO_VALUE || t == TSR_NO_VALUE) return TSR_NO_VALUE;
  tsr_attrs attrs = {.cross_entropy = {.scale = scale, .eps = eps}};
  return tsr_nn_mean_all(b, tsr_node_add(b, TSR_OP_cross_entropy, (tsr_value[]){x, t}, 2, &attrs));
}

tsr_value tsr_nn_kl_divergence(tsr_builder *b, tsr_value x, tsr_value t, float scale) {
  tsr_value shares = tsr_nn_softmax(b, t, scale), own = tsr_nn_cross_entropy(b, t, shares, scale, 0);
  return tsr_nn_add(b, tsr_nn_cross_entropy(b, x, shares, scale, 0), tsr_nn_times(b, own, -1));
}

tsr_value tsr_nn_argmax(tsr_builder *b, tsr_value x) {
  return x == TSR_NO_VALUE ? x : tsr_node_add(b, TSR_OP_argmax, &x, 1, &(tsr_attrs){0});
}
