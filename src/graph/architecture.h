/* What an architecture is: one descriptor in its file src/arch/<name>.c, which the registry (model/registry.h) finds. */
#ifndef TSR_GRAPH_ARCHITECTURE_H
#define TSR_GRAPH_ARCHITECTURE_H

#include "graph.h"

/* A named config of the paper, as JSON; keys given by a model file beside "preset" replace its members. */
typedef struct tsr_preset {
  const char *name, *config;
} tsr_preset;

typedef struct tsr_arch {
  const char *name; /* the module's name: a file's `arch` */
  const char *title, *paper, *reference;
  const tsr_preset *presets; /* ends with a name of NULL; one of them is "tiny", for tests */
  tsr_value (*build)(tsr_builder *b);
} tsr_arch;

#endif
