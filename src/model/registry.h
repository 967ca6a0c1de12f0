/* Every architecture, found by name. The Makefile writes the list from the files in src/arch/, so that adding a file is
 * all it takes. An architecture is common or rare: the Makefile's COMMON names the common ones. In the generated list,
 * build/gen/arch_list.inc, a common one is a row TSR_ARCH(vit), a rare one a row TSR_MORE(mae). The smaller .wasm files
 * hold the common ones and only the names of the rare ones. The .wasm files that end in `-all`, and native builds, hold
 * both. */
#ifndef TSR_MODEL_REGISTRY_H
#define TSR_MODEL_REGISTRY_H

#include "graph/architecture.h"

extern const tsr_arch *const tsr_archs[]; /* those that this build holds */
extern const int tsr_arch_count;
extern const char *const tsr_arch_names[]; /* of the common and the rare ones, in every build */
extern const int tsr_arch_name_count;

/* NULL: this build holds none of that name. */
const tsr_arch *tsr_arch_find(const char *name);

#endif
