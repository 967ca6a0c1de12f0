/* Shapes and element types; see tensor.h. */
#include "tensor.h"

#include "format.h"

#include <string.h>

const char *tsr_dtype_name(tsr_dtype dtype) {
  static const char *const names[] = {
#define TSR_DTYPE(name, bits) #name,
      TSR_DTYPES(TSR_DTYPE)
#undef TSR_DTYPE
  };
  return (unsigned)dtype < TSR_DTYPE_COUNT ? names[dtype] : "?";
}

size_t tsr_dtype_bytes(tsr_dtype dtype) {
  static const unsigned char bytes[] = {
#define TSR_DTYPE(name, bits) (bits) / 8,
      TSR_DTYPES(TSR_DTYPE)
#undef TSR_DTYPE
  };
  return (unsigned)dtype < TSR_DTYPE_COUNT ? bytes[dtype] : 0;
}

tsr_shape tsr_shape_make(int ndim, int a, int b, int c, int d, int e, int f) {
  return (tsr_shape){.ndim = ndim, .dims = {a, b, c, d, e, f}};
}

size_t tsr_shape_count(const tsr_shape *shape, int *overflow) {
  uint64_t count = 1;
  for (int i = 0; i < shape->ndim; i++) {
    count *= (uint32_t)shape->dims[i];
    if (shape->dims[i] < 0 || count > INT32_MAX) {
      if (overflow) *overflow = 1;
      return 0;
    }
  }
  return (size_t)count;
}

int tsr_shape_equal(const tsr_shape *a, const tsr_shape *b) {
  return a->ndim == b->ndim && memcmp(a->dims, b->dims, (size_t)a->ndim * sizeof a->dims[0]) == 0;
}

int tsr_shape_last(const tsr_shape *shape) { return shape->ndim ? shape->dims[shape->ndim - 1] : 1; }

const char *tsr_shape_print(const tsr_shape *shape, char text[TSR_SHAPE_TEXT]) {
  int at = tsr_print(text, TSR_SHAPE_TEXT, "[");
  for (int i = 0; i < shape->ndim; i++)
    at += tsr_print(text + at, (size_t)(TSR_SHAPE_TEXT - at), i ? ",%d" : "%d", (int)shape->dims[i]);
  tsr_print(text + at, (size_t)(TSR_SHAPE_TEXT - at), "]");
  return text;
}
