/* Shapes and element types of tensors. Dims are in PyTorch's order; maps are channels last ([B,H,W,C]), tokens are
 * [B,N,C]. The letters of shapes, everywhere: B batch, N tokens, C channels, H heads, D head width, P patch, L
 * depth. */
#ifndef TSR_BASE_TENSOR_H
#define TSR_BASE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

/* Element types a safetensors file may name: TSR_DTYPE(suffix = name in the file, bits per element). */
/* clang-format off */
#define TSR_DTYPES(TSR_DTYPE)                                                                      \
  TSR_DTYPE(BOOL, 8) TSR_DTYPE(U8, 8) TSR_DTYPE(I8, 8) TSR_DTYPE(F8_E5M2, 8) TSR_DTYPE(F8_E4M3, 8) \
  TSR_DTYPE(I16, 16) TSR_DTYPE(U16, 16) TSR_DTYPE(F16, 16) TSR_DTYPE(BF16, 16) TSR_DTYPE(I32, 32)  \
  TSR_DTYPE(U32, 32) TSR_DTYPE(F32, 32) TSR_DTYPE(F64, 64) TSR_DTYPE(I64, 64) TSR_DTYPE(U64, 64)
/* clang-format on */

typedef enum tsr_dtype {
#define TSR_DTYPE(name, bits) TSR_DTYPE_##name,
  TSR_DTYPES(TSR_DTYPE)
#undef TSR_DTYPE
      TSR_DTYPE_COUNT
} tsr_dtype;

/* "F32" for TSR_DTYPE_F32. Static storage. */
const char *tsr_dtype_name(tsr_dtype dtype);
/* Bytes per element. */
size_t tsr_dtype_bytes(tsr_dtype dtype);

enum { TSR_MAX_DIMS = 6 };

/* A shape. ndim 0 is a scalar (one element). A dim may be 0 (no elements). */
typedef struct tsr_shape {
  int ndim;
  int32_t dims[TSR_MAX_DIMS];
} tsr_shape;

/* tsr_shape_of(3, 1, 65, 256) -> [1,65,256] */
#define tsr_shape_of(...) TSR_SHAPE_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
/* Always passes six dims, because plain arguments take half the code of a variable list, at about 300 calls. */
#define TSR_SHAPE_PADDED(ndim, a, b, c, d, e, f, ...) tsr_shape_make(ndim, a, b, c, d, e, f)
tsr_shape tsr_shape_make(int ndim, int a, int b, int c, int d, int e, int f);
/* The number of elements; 0 with *overflow set to 1 when a dim is below 0 or the number does not fit 31 bits.
 * `overflow` may be NULL for shapes that were checked. */
size_t tsr_shape_count(const tsr_shape *shape, int *overflow);
/* 1 if rank and dims are equal, else 0. */
int tsr_shape_equal(const tsr_shape *a, const tsr_shape *b);
/* The last dim; 1 for a scalar. */
int tsr_shape_last(const tsr_shape *shape);

/* 1 where axis is 0 ... ndim - 1. */
static inline int tsr_has_axis(const tsr_shape *shape, int axis) { return (unsigned)axis < (unsigned)shape->ndim; }

enum { TSR_SHAPE_TEXT = 80 };
/* Writes "[1,65,256]" and the like to `text`, and returns `text`. */
const char *tsr_shape_print(const tsr_shape *shape, char text[TSR_SHAPE_TEXT]);

#endif
