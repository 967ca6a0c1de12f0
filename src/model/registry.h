/* Every architecture, found by name. The list is generated from the files in src/arch/ (build/gen/arch_list.inc has a
 * row TSR_ARCH(vit) or TSR_MORE(mae) for each), so that adding a file is all it takes. The first WebAssembly file has
 * those of TSR_ARCH (COMMON in the Makefile) and knows the others' names; all else has all. */
#ifndef TSR_MODEL_REGISTRY_H
#define TSR_MODEL_REGISTRY_H

#include "graph/architecture.h"

extern const tsr_arch *const tsr_archs[]; /* those that are here */
extern const int tsr_arch_count;
extern const char *const tsr_arch_names[]; /* of all that there are */
extern const int tsr_arch_name_count;

/* NULL: none of that name is here. */
const tsr_arch *tsr_arch_find(const char *name);

#endif
