/* Reads config and options, and has the error for an unknown key; see settings.h. */
#include "settings.h"

#include <string.h>

static void note(tsr_builder *b, tsr_settings *from, const char *key) {
  for (int i = 0; i < from->known_count; i++)
    if (!strcmp(from->known[i], key)) return;
  if (from->known_count == from->known_capacity) {
    int capacity = from->known_capacity ? from->known_capacity * 2 : 32;
    const char **known = tsr_arena_alloc(b->arena, (size_t)capacity * sizeof *known);
    if (!known) {
      tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for the config");
      return;
    }
    if (from->known_count) memcpy(known, from->known, (size_t)from->known_count * sizeof *known);
    from->known = known;
    from->known_capacity = capacity;
  }
  from->known[from->known_count++] = key;
}

/* The value for `key`: given, else preset, else NULL. JSON null counts as not given. */
static const tsr_json *value_of(tsr_builder *b, tsr_settings *from, const char *key) {
  note(b, from, key);
  const tsr_json *value = tsr_json_get(from->given, key);
  if (!value || value->kind == TSR_JSON_NULL) value = tsr_json_get(from->preset, key);
  return value && value->kind != TSR_JSON_NULL ? value : NULL;
}

static int missing(tsr_builder *b, tsr_settings *from, const char *key, const char *expected) {
  tsr_fail(b, from->code, "%s \"%s\" is missing; expected %s", from->what, key, expected);
  return 0;
}

static int64_t int_of(tsr_builder *b, tsr_settings *from, const char *key, const tsr_json *value, int64_t lo,
                      int64_t hi) {
  int64_t result;
  if (tsr_json_int(value, lo, hi, &result)) return result;
  if (value->kind == TSR_JSON_NUMBER && value->number == (double)(int64_t)value->number)
    tsr_fail(b, from->code, "%s \"%s\" is %.0f; expected %lld to %lld", from->what, key, value->number, (long long)lo,
             (long long)hi);
  else
    tsr_fail(b, from->code, "%s \"%s\" is not a whole number; expected %lld to %lld", from->what, key, (long long)lo,
             (long long)hi);
  return lo;
}

int tsr_setting_int(tsr_builder *b, tsr_settings *from, const char *key, int64_t fallback, int64_t lo, int64_t hi) {
  const tsr_json *value = value_of(b, from, key);
  if (value) return (int)int_of(b, from, key, value, lo, hi);
  if (fallback != TSR_REQUIRED) return (int)fallback;
  missing(b, from, key, "a whole number");
  return (int)lo;
}

void tsr_setting_pair(tsr_builder *b, tsr_settings *from, const char *key, int64_t fallback, int64_t lo, int64_t hi,
                      int out[2]) {
  const tsr_json *value = value_of(b, from, key);
  out[0] = out[1] = (int)(fallback == TSR_REQUIRED ? lo : fallback);
  if (!value) {
    if (fallback == TSR_REQUIRED) missing(b, from, key, "a whole number or [height, width]");
  } else if (value->kind == TSR_JSON_ARRAY && value->count == 2) {
    out[0] = (int)int_of(b, from, key, value->child, lo, hi);
    out[1] = (int)int_of(b, from, key, value->child->next, lo, hi);
  } else {
    out[0] = out[1] = (int)int_of(b, from, key, value, lo, hi);
  }
}

int tsr_setting_list(tsr_builder *b, tsr_settings *from, const char *key, const int *fallback, int lo, int hi,
                     int least, int most, int *out) {
  const tsr_json *value = value_of(b, from, key);
  int is_list = value && value->kind == TSR_JSON_ARRAY;
  for (int i = 0; i < most; i++)
    out[i] = !value ? (fallback ? fallback[i] : lo) : is_list ? lo : (int)int_of(b, from, key, value, lo, hi);
  if (!value && !fallback) missing(b, from, key, "a whole number or a list");
  if (!is_list) return most;
  if (value->count < least || value->count > most) {
    tsr_fail(b, from->code, "%s \"%s\" is a list of %d; expected %d to %d numbers", from->what, key, value->count,
             least, most);
    return least;
  }
  int i = 0;
  for (const tsr_json *item = value->child; item; item = item->next, i++)
    out[i] = item->kind == TSR_JSON_NULL && lo <= 0 ? 0 : (int)int_of(b, from, key, item, lo, hi);
  return i;
}

int tsr_setting_pairs(tsr_builder *b, tsr_settings *from, const char *key, const int (*fallback)[2], int count, int lo,
                      int hi, int most, int (*out)[2]) {
  const tsr_json *value = value_of(b, from, key);
  int n = 0;
  if (!value) {
    memcpy(out, fallback, (size_t)count * sizeof *out);
    return count;
  }
  int ok = value->kind == TSR_JSON_ARRAY && value->count >= 1 && value->count <= most;
  for (const tsr_json *item = ok ? value->child : NULL; ok && item; item = item->next, n++) {
    ok = item->kind == TSR_JSON_ARRAY && item->count == 2;
    for (int i = 0; ok && i < 2; i++)
      out[n][i] = (int)int_of(b, from, key, i ? item->child->next : item->child, lo, hi);
  }
  if (!ok) tsr_fail(b, from->code, "%s \"%s\" is a list of 1 to %d pairs [a, b]", from->what, key, most);
  return ok ? n : 0;
}

void tsr_setting_rows(tsr_builder *b, tsr_settings *from, const char *key, int lo, int hi, int rows, int most, int *out,
                      int *counts) {
  const tsr_json *value = value_of(b, from, key), *row = value ? value->child : NULL;
  int good = !value || (value->kind == TSR_JSON_ARRAY && value->count == rows);
  for (int r = 0; good && row; row = row->next, r++) {
    good = row->kind == TSR_JSON_ARRAY && row->count >= 1 && row->count <= most;
    int *to = out + r * most;
    for (const tsr_json *item = good ? row->child : NULL; item; item = item->next)
      *to++ = (int)int_of(b, from, key, item, lo, hi);
    if (good) counts[r] = row->count;
  }
  if (!good) tsr_fail(b, from->code, "%s \"%s\" is not %d lists of 1 to %d whole numbers", from->what, key, rows, most);
}

double tsr_setting_number(tsr_builder *b, tsr_settings *from, const char *key, double fallback, double lo, double hi) {
  const tsr_json *value = value_of(b, from, key);
  if (!value) return fallback;
  if (value->kind == TSR_JSON_NUMBER && value->number >= lo && value->number <= hi) return value->number;
  tsr_fail(b, from->code, "%s \"%s\" is not a number from %g to %g", from->what, key, lo, hi);
  return lo;
}

int tsr_setting_numbers(tsr_builder *b, tsr_settings *from, const char *key, int count, float *out) {
  const tsr_json *value = value_of(b, from, key), *item = value ? value->child : NULL;
  int good = !value || (value->kind == TSR_JSON_ARRAY && (value->count == count || value->count == 1));
  for (int i = 0; value && good && i < count; i++) {
    good = item->kind == TSR_JSON_NUMBER && item->number >= -1e6 && item->number <= 1e6;
    out[i] = (float)item->number;
    if (item->next) item = item->next;
  }
  if (!good) tsr_fail(b, from->code, "%s \"%s\" is not a list of %d numbers", from->what, key, count);
  return value != NULL;
}

int tsr_setting_bool(tsr_builder *b, tsr_settings *from, const char *key, int fallback) {
  const tsr_json *value = value_of(b, from, key);
  if (!value) return fallback;
  if (value->kind == TSR_JSON_TRUE) return 1;
  if (value->kind != TSR_JSON_FALSE) tsr_fail(b, from->code, "%s \"%s\" is neither true nor false", from->what, key);
  return 0;
}

int tsr_setting_choice(tsr_builder *b, tsr_settings *from, const char *key, const char *const *choices, int fallback) {
  const tsr_json *value = value_of(b, from, key);
  if (!value) return fallback;
  char list[160] = "";
  for (int i = 0; choices[i]; i++) {
    if (value->kind == TSR_JSON_STRING && !strcmp(value->string, choices[i])) return i;
    if (strlen(list) + strlen(choices[i]) + 5 < sizeof list) {
      strcat(list, i ? ", '" : "'");
      strcat(list, choices[i]);
      strcat(list, "'");
    }
  }
  tsr_fail(b, from->code, "%s \"%s\" is %.40s; expected one of %s", from->what, key,
           value->kind == TSR_JSON_STRING ? value->string : "no string", list);
  return fallback;
}

int tsr_setting_is_given(const tsr_settings *from, const char *key) {
  return tsr_json_get(from->given, key) || tsr_json_get(from->preset, key);
}

tsr_settings tsr_config_inner(tsr_builder *b, const char *key, const char *what) {
  const tsr_json *value = value_of(b, &b->config, key);
  if (!value || value->kind != TSR_JSON_OBJECT) missing(b, &b->config, key, "an object");
  const tsr_json *preset = tsr_json_get(b->config.preset, key);
  return (tsr_settings){.given = value, .preset = preset, .what = what, .code = b->config.code};
}

tsr_settings tsr_config_open(tsr_builder *b, const char *key, const char *what, const char *const *archs,
                             const char **arch) {
  tsr_settings inner = tsr_config_inner(b, key, what), outer = b->config;
  b->config = inner;
  if (archs) {
    const char *chosen = archs[tsr_setting_choice(b, &b->config, "arch", archs, 0)];
    if (arch) *arch = chosen;
  }
  return outer;
}

void tsr_config_close(tsr_builder *b, tsr_settings outer) {
  tsr_settings_finish(b, &b->config);
  b->config = outer;
}

void tsr_config_check_patches(tsr_builder *b, const int image[2], const int patch[2]) {
  if (image[0] % patch[0] || image[1] % patch[1] || image[0] < patch[0] || image[1] < patch[1])
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"patch_size\" is %d x %d; \"image_size\" %d x %d must be a whole number of patches", patch[0],
             patch[1], image[0], image[1]);
}

void tsr_settings_ignore(tsr_builder *b, tsr_settings *from, const char *const *keys) {
  for (; *keys; keys++) note(b, from, *keys);
}

/* Levenshtein distance, cut off at words of 64 characters: no name of an architecture is longer. */
static int distance(const char *a, const char *b) {
  enum { MOST = 64 };
  int row[MOST + 1], la = (int)strlen(a), lb = (int)strlen(b);
  if (la > MOST || lb > MOST) return MOST;
  for (int j = 0; j <= lb; j++) row[j] = j;
  for (int i = 1; i <= la; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= lb; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      int best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
      row[j] = change < best ? change : best;
    }
  }
  return row[lb];
}

const char *tsr_nearest(const char *word, const char *const *candidates, int count) {
  const char *best = NULL;
  int least = (int)strlen(word) / 3 + 2;
  for (int i = 0; i < count; i++) {
    int d = distance(word, candidates[i]);
    if (d < least) least = d, best = candidates[i];
  }
  return best;
}

void tsr_settings_finish(tsr_builder *b, tsr_settings *from) {
  if (!from->given || from->given->kind == TSR_JSON_NULL || tsr_failed(b)) return;
  if (from->given->kind != TSR_JSON_OBJECT) tsr_fail(b, from->code, "an object of %ss was expected", from->what);
  for (const tsr_json *member = from->given->child; member && !tsr_failed(b); member = member->next) {
    int known = 0;
    for (int i = 0; i < from->known_count && !known; i++) known = !strcmp(member->key, from->known[i]);
    if (known) continue;
    const char *nearest = tsr_nearest(member->key, from->known, from->known_count);
    tsr_fail(b, from->code, "%s \"%.60s\" is not known%s%s%s", from->what, member->key,
             nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
  }
}
