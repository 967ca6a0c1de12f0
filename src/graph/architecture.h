/* The descriptor of an architecture. Each file src/arch/<name>.c defines one, and model/registry.h finds it. */
#ifndef TSR_GRAPH_ARCHITECTURE_H
#define TSR_GRAPH_ARCHITECTURE_H

#include "graph.h"

/* A named config, as JSON. Keys that a model file gives beside "preset" replace its members. */
typedef struct tsr_preset {
  const char *name, *config;
} tsr_preset;

typedef struct tsr_arch {
  const char *name; /* the reference's module, and `arch` in a model file */
  const char *title, *paper, *reference;
  const tsr_preset *presets; /* ends with the name NULL; one is "tiny", for tests */
  tsr_value (*build)(tsr_builder *b);
} tsr_arch;

#endif
