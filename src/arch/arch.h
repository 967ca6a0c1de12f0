/* The only header that a model file includes.
 *
 * A model file defines one descriptor, `const tsr_arch tsr_arch_<name>`. Its build function reads the config,
 * declares the input and returns the output. It runs once to learn which weights to expect, and again for every new
 * input shape, set of captures or options. The registry finds the file because it lies in src/arch/. */
#ifndef TSR_ARCH_H
#define TSR_ARCH_H

#include "base/elementary.h"
#include "graph/architecture.h"
#include "graph/graph.h"
#include "graph/settings.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/map.h"
#include "parts/cct.h"
#include "parts/inner_net.h"
#include "parts/masking.h"
#include "parts/max_vit.h"
#include "parts/mobile_vit.h"
#include "parts/na_vit.h"
#include "parts/swin.h"
#include "parts/teacher.h"
#include "parts/vit.h"

#endif
