/* A network inside a wrapper, such as MAE's encoder or DINO's student: any architecture as a part of another. */
#ifndef TSR_PARTS_INNER_NET_H
#define TSR_PARTS_INNER_NET_H

#include "graph/graph.h"

/* A network that a wrapper has inside. */
typedef struct tsr_net {
  const char *key;          /* the wrapper's config key that holds the network's config */
  const char *what;         /* what messages call the keys of that config */
  const char *const *archs; /* the architectures that it may have, as tsr_config_open takes them */
  const char *scope;        /* its weights are named below this */
  const char *prefix;       /* its taps' names begin with this */
  int optional;             /* 1: the wrapper builds it only for a run with further inputs */
  const char *watch;        /* a pattern of its taps' whole names, or NULL */
  tsr_value image;          /* its input "image" */
  const char *input;        /* the name of another input that the wrapper computes, or NULL */
  tsr_value given;          /* the value of that input */
} tsr_net;
/* Builds the network from its config and returns its output. *watched gets the value of the last tap whose name matches
 * `watch`, or TSR_NO_VALUE. The network may be a wrapper itself: the taps of the network inside it then begin with both
 * prefixes, and both wrappers may watch them. */
tsr_value tsr_net_build(tsr_builder *b, const tsr_net *net, tsr_value *watched);

#endif
