/* One weight: its name and shape in the file, and its numbers in the form that ops read. That is a vector
 * in f32, or a matrix packed into panels of the matrix product kernels. weights.h has the table of a model's
 * weights. */
#ifndef TSR_WEIGHTS_WEIGHT_H
#define TSR_WEIGHTS_WEIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "base/tensor.h"

struct tsr_tensor_entry; /* files/safetensors.h */

/* The layout of a matrix in the file: `groups` blocks of n rows, each row k = taps * channels numbers. A convolution's
 * rows are stored [channels, taps] and packed [taps, channels], because activations are channels last. `taps` counts
 * the places of its kernel (3 x 3: 9); it is 1 for other matrices. is_float: it stays a float when a model is
 * quantized. */
typedef struct tsr_matrix_layout {
  int groups, n, channels, taps, is_float;
} tsr_matrix_layout;

typedef struct tsr_weight {
  const char *name;
  tsr_shape shape; /* in the file */
  int is_buffer;   /* a vector that is not a parameter: running statistics */
  int is_matrix;
  int is_q8; /* packed in 8 bits */
  int is_i8_in_file;
  /* in the file, while it is being read; the scale of an 8-bit matrix */
  const struct tsr_tensor_entry *entry, *scale_entry;
  /* vectors */
  float *values;
  int taps; /* for a depthwise convolution, whose rows [channels, taps] are kept as [taps, channels]; else 0 */
  /* matrices */
  tsr_matrix_layout layout;
  int k;        /* channels * taps */
  void *panels; /* group after group */
  size_t group_bytes;
  float *scale;  /* q8, or 8 bits in the file: [groups * n] */
  int32_t *sum;  /* q8: [groups * n], sum of each row's integers */
  int has_scale; /* 1 once the scale was read from the file */
  char *held;    /* int8 bytes kept until their scale arrives, only when they are widened to f32; else NULL */
  struct tsr_weight *next_in_bucket, *next;
} tsr_weight;

#endif
