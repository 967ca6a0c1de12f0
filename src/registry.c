/* The registry; see registry.h. */
#include "registry.h"

#include <string.h>

#define TSR_ARCH(name) extern const tsr_arch tsr_arch_##name;
#include "arch_list.inc"
#undef TSR_ARCH

const tsr_arch *const tsr_archs[] = {
#define TSR_ARCH(name) &tsr_arch_##name,
#include "arch_list.inc"
#undef TSR_ARCH
};

const int tsr_arch_count = sizeof tsr_archs / sizeof *tsr_archs;

const tsr_arch *tsr_arch_find(const char *name) {
  for (int i = 0; i < tsr_arch_count; i++)
    if (!strcmp(tsr_archs[i]->name, name)) return tsr_archs[i];
  return NULL;
}
