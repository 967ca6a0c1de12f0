/* Reading golden data in native tests: whole files, and fields of lines written as hex (see scripts/golden_*.py). */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file `folder`/`name` in malloc'ed memory with a 0 behind it; exits the test where it is missing. */
static char *golden_read(const char *folder, const char *name, size_t *bytes) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) {
    printf("%s: cannot be opened; run from the repository's root\n", path);
    exit(1);
  }
  fseek(file, 0, SEEK_END);
  size_t size = (size_t)ftell(file);
  rewind(file);
  char *content = malloc(size + 1);
  if (!content || fread(content, 1, size, file) != size) exit(1);
  content[size] = 0;
  fclose(file);
  if (bytes) *bytes = size;
  return content;
}

static inline int golden_nibble(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* Decodes lower-case hex ("-" is the empty text) in place, adds a 0; returns the bytes. */
static inline size_t golden_unhex(char *text) {
  size_t used = 0;
  if (strcmp(text, "-"))
    for (const char *at = text; at[0] && at[1]; at += 2)
      text[used++] = (char)(golden_nibble(at[0]) << 4 | golden_nibble(at[1]));
  text[used] = 0;
  return used;
}

/* The next field of `*rest`, which ends at a space or the line's end: zero-terminated; *rest moves behind it. */
static inline char *golden_field(char **rest) {
  char *field = *rest;
  size_t length = strcspn(field, " \n");
  *rest = field + length + (field[length] != 0);
  field[length] = 0;
  return field;
}

#endif
