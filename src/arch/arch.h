/* What a model file includes, and nothing else.
 *
 * A model file defines one descriptor, `const tsr_arch tsr_arch_<name>`, whose build function reads the config, takes the input,
 * and returns the output value; it is run once to learn which weights to expect, and again for every new input
 * shape, set of captures or options. The registry finds the file by its place in src/arch/. */
#ifndef TSR_ARCH_H
#define TSR_ARCH_H

#include "graph/settings.h"
#include "base/elementary.h"
#include "graph/graph.h"
#include "nn/layers.h"
#include "parts/cct.h"
#include "parts/vit.h"
#include "parts/masking.h"
#include "nn/map.h"
#include "parts/max_vit.h"
#include "nn/loss.h"
#include "parts/teacher.h"
#include "parts/na_vit.h"

/* A named config of the paper, as JSON; keys given by a model file beside "preset" replace its members. */
typedef struct tsr_preset {
  const char *name, *config;
} tsr_preset;

typedef struct tsr_arch {
  const char *name;        /* the module's name: a file's `arch` */
  const char *title, *paper, *reference;
  const tsr_preset *presets; /* ends with a name of NULL; one of them is "tiny", for tests */
  tsr_value (*build)(tsr_builder *b);
} tsr_arch;

/* Says what the returned value is; the default is {"logits"}. */
static inline void tsr_output_means(tsr_builder *b, tsr_meaning meaning) { b->graph.output_meaning = meaning; }

#define tsr_config_int(b, ...) tsr_setting_int(b, &(b)->config, __VA_ARGS__)
#define tsr_config_pair(b, ...) tsr_setting_pair(b, &(b)->config, __VA_ARGS__)
#define tsr_config_list(b, ...) tsr_setting_list(b, &(b)->config, __VA_ARGS__)
#define tsr_config_pairs(b, ...) tsr_setting_pairs(b, &(b)->config, __VA_ARGS__)
#define tsr_config_rows(b, ...) tsr_setting_rows(b, &(b)->config, __VA_ARGS__)
#define tsr_config_number(b, ...) tsr_setting_number(b, &(b)->config, __VA_ARGS__)
#define tsr_config_bool(b, ...) tsr_setting_bool(b, &(b)->config, __VA_ARGS__)
#define tsr_config_choice(b, ...) tsr_setting_choice(b, &(b)->config, __VA_ARGS__)
#define tsr_option_int(b, ...) tsr_setting_int(b, &(b)->options, __VA_ARGS__)
#define tsr_option_bool(b, ...) tsr_setting_bool(b, &(b)->options, __VA_ARGS__)
#define tsr_option_number(b, ...) tsr_setting_number(b, &(b)->options, __VA_ARGS__)

/* Ranges that every model shares: wide enough for any published one, narrow enough that products stay in range. */
enum { TSR_MAX_SIDE = 8192, TSR_MAX_DIM = 16384, TSR_MAX_DEPTH = 256, TSR_MAX_HEADS = 1024, TSR_MAX_CLASSES = 1000000 };

#endif
