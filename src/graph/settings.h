/* Reads a model's config and a run's options key by key. Each read names the key, its default and its range, and is the
 * only place that knows them. A key that nobody read is an error, which names the nearest key that was read.
 *
 *   int depth = tsr_config_int(b, "depth", TSR_REQUIRED, 1, 512);
 *   tsr_settings_finish(b, &b->config);
 */
#ifndef TSR_GRAPH_SETTINGS_H
#define TSR_GRAPH_SETTINGS_H

#include "graph.h"

/* Passed in place of a default: the key must be given. */
#define TSR_REQUIRED INT64_MIN

/* An integer in [lo, hi]. Fails with from->code when the key is missing, of another type or out of range; it then
 * returns lo, so that arithmetic stays harmless. */
int tsr_setting_int(tsr_builder *b, tsr_settings *from, const char *key, int64_t fallback, int64_t lo, int64_t hi);
/* One integer for both, or [height, width]: out gets { height, width }. */
void tsr_setting_pair(tsr_builder *b, tsr_settings *from, const char *key, int64_t fallback, int64_t lo, int64_t hi,
                      int out[2]);
/* Integers for up to `most` stages: a list of `least` to `most` integers, or one integer for all stages. Returns the
 * length of the list, or `most` for one integer and for the default (NULL: the key must be given). null in a list is
 * 0 if lo is 0. */
int tsr_setting_list(tsr_builder *b, tsr_settings *from, const char *key, const int *fallback, int lo, int hi,
                     int least, int most, int *out);
/* A list of 1 to `most` pairs, [[a, b], ...]; returns its length. The default has `count` pairs. */
int tsr_setting_pairs(tsr_builder *b, tsr_settings *from, const char *key, const int (*fallback)[2], int count, int lo,
                      int hi, int most, int (*out)[2]);
/* `rows` lists of 1 to `most` integers each: row r goes to out[r * most ...], its length to counts[r]. Without the
 * key both stay as they were. */
void tsr_setting_rows(tsr_builder *b, tsr_settings *from, const char *key, int lo, int hi, int rows, int most, int *out,
                      int *counts);
/* A number in [lo, hi]. Fails as tsr_setting_int does. */
double tsr_setting_number(tsr_builder *b, tsr_settings *from, const char *key, double fallback, double lo, double hi);
/* A list of `count` numbers, or of one number for all. Returns 0 without the key, and leaves `out` as it was. */
int tsr_setting_numbers(tsr_builder *b, tsr_settings *from, const char *key, int count, float *out);
/* true or false: 1 or 0. */
int tsr_setting_bool(tsr_builder *b, tsr_settings *from, const char *key, int fallback);
/* The index of a string among `choices` (NULL-terminated); `fallback` is an index. */
int tsr_setting_choice(tsr_builder *b, tsr_settings *from, const char *key, const char *const *choices, int fallback);
/* Returns 1 if the key is given, whatever its value. */
int tsr_setting_is_given(const tsr_settings *from, const char *key);
/* Accepts keys that matter for training only, such as dropout. `keys` is NULL-terminated. */
void tsr_settings_ignore(tsr_builder *b, tsr_settings *from, const char *const *keys);
/* The object at `key` of the config, which must be given: the config of a network inside. `what` is the word for its
 * keys in messages. */
tsr_settings tsr_config_inner(tsr_builder *b, const char *key, const char *what);
/* Opens the object at `key` (tsr_config_inner): until tsr_config_close(b, returned), all tsr_config_... read it. *arch,
 * unless NULL, gets the value of its key "arch", one of `archs` (NULL-terminated; the first is the default; NULL: there
 * is no such key). */
tsr_settings tsr_config_open(tsr_builder *b, const char *key, const char *what, const char *const *archs,
                             const char **arch);
/* Closes the object, and fails on its keys that nobody read. `outer` is what tsr_config_open returned. */
void tsr_config_close(tsr_builder *b, tsr_settings outer);
/* Fails with TSR_ERR_CONFIG unless image_size {h, w} is a multiple of patch_size {h, w}. */
void tsr_config_check_patches(tsr_builder *b, const int image[2], const int patch[2]);
/* Fails with from->code on the first key that nobody read. */
void tsr_settings_finish(tsr_builder *b, tsr_settings *from);

/* The candidate with the smallest edit distance to `word`, or NULL when none is near. */
const char *tsr_nearest(const char *word, const char *const *candidates, int count);

/* The reads above, of the config and of a run's options. */
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
