/* Every architecture, found by name. The list is generated from the files in src/arch/ (build/gen/arch_list.inc has a
 * row TSR_ARCH(vit) for vit.c), so that adding a file is all it takes. */
#ifndef TSR_REGISTRY_H
#define TSR_REGISTRY_H

#include "build.h"

extern const tsr_arch *const tsr_archs[];
extern const int tsr_arch_count;

/* NULL: none of that name. */
const tsr_arch *tsr_arch_find(const char *name);

#endif
