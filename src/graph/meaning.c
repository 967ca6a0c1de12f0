/* Writes meanings as JSON; see meaning.h. */
#include "meaning.h"

static void write_grid(tsr_text *text, int f, int h, int w) {
  tsr_shape grid = f ? tsr_shape_of(3, f, h, w) : tsr_shape_of(2, h, w);
  tsr_text_add(text, "\"grid\":");
  if (h) tsr_text_shape(text, &grid);
  else tsr_text_add(text, "null");
}

void tsr_write_meaning(tsr_text *text, const char *name, const tsr_meaning *meaning, const tsr_shape *shape) {
  tsr_text_add(text, "{\"name\":");
  tsr_text_quote(text, name);
  tsr_text_add(text, ",\"kind\":");
  tsr_text_quote(text, meaning->kind);
  tsr_text_add(text, ",\"dims\":");
  tsr_text_shape(text, shape);
  tsr_text_add(text, ",");
  write_grid(text, meaning->grid_f, meaning->grid_h, meaning->grid_w);
  if (meaning->image) tsr_text_format(text, ",\"image\":%d", meaning->image);
  if (meaning->suffix_tokens) tsr_text_format(text, ",\"suffix\":%d", meaning->suffix_tokens);
  tsr_text_format(text, ",\"prefix_tokens\":%d,\"windows\":", meaning->prefix_tokens);
  if (meaning->windows_h) {
    tsr_text_add(text, "{");
    write_grid(text, meaning->windows_f, meaning->windows_h, meaning->windows_w);
    tsr_text_format(text, ",\"spread\":%s}}", meaning->windows_spread ? "true" : "false");
  } else {
    tsr_text_add(text, "null}");
  }
}
