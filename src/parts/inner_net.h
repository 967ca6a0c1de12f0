/* A network inside a wrapper, such as MAE's encoder or DINO's student: any architecture as a part of another. */
#ifndef TSR_PARTS_INNER_NET_H
#define TSR_PARTS_INNER_NET_H

#include "graph/graph.h"

/* A network that a wrapper has inside. */
typedef struct tsr_net {
  const char *key,
      *what; /* of the wrapper's config: where the network's stands, and what its keys are called in messages */
  const char *const *archs; /* which it may be, as tsr_config_open takes them */
  const char *scope;        /* its weights are named below this */
  const char *prefix;       /* its taps' names begin with this */
  int aside;                /* it is there only where more than the main input is given */
  const char *watch;        /* a pattern of its taps' whole names */
  tsr_value image;
  const char *input; /* another input, and its value; or NULL */
  tsr_value given;
} tsr_net;
/* Builds it from its config; returns its output. *watched: the last tap that fits. It may be a wrapper itself: its
 * network's taps then begin with both prefixes, and both may watch them. */
tsr_value tsr_net_build(tsr_builder *b, const tsr_net *net, tsr_value *watched);

#endif
