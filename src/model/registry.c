/* The registry; see registry.h. */
#include "registry.h"

#include <string.h>

/* Compiled twice for WebAssembly: with TSR_COMMON it leaves out the rows TSR_MORE, all but their names. */
#ifdef TSR_COMMON
#define TSR_MORE(name)
#else
#define TSR_MORE TSR_ARCH
#endif

#define TSR_ARCH(name) extern const tsr_arch tsr_arch_##name;
#include "arch_list.inc"
#undef TSR_ARCH

const tsr_arch *const tsr_archs[] = {
#define TSR_ARCH(name) &tsr_arch_##name,
#include "arch_list.inc"
#undef TSR_ARCH
};
const int tsr_arch_count = sizeof tsr_archs / sizeof *tsr_archs;

#undef TSR_MORE
#define TSR_MORE TSR_ARCH
const char *const tsr_arch_names[] = {
#define TSR_ARCH(name) #name,
#include "arch_list.inc"
#undef TSR_ARCH
};
const int tsr_arch_name_count = sizeof tsr_arch_names / sizeof *tsr_arch_names;

const tsr_arch *tsr_arch_find(const char *name) {
  for (int i = 0; i < tsr_arch_count; i++)
    if (!strcmp(tsr_archs[i]->name, name)) return tsr_archs[i];
  return NULL;
}
