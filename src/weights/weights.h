/* The table of one model's weights. The first build of the architecture declares them; loading fills them
 * while the file streams in.
 *
 * A weight is found by its path, which is its name in the reference's state_dict. In a file that a wrapper saved every
 * name has a prefix ("module.", "model._orig_mod."), which the check finds. Vectors (norm scales, biases,
 * embeddings) are kept as f32. Matrices (linear layers, convolutions) are packed in f32 or 8 bits into panels of the
 * matrix product kernels, as soon as the bytes of a panel's rows are there, so that the peak memory is the packed
 * weights plus one panel. */
#ifndef TSR_WEIGHTS_H
#define TSR_WEIGHTS_H

#include "base/arena.h"
#include "base/text.h"
#include "files/safetensors.h"
#include "kernels/kernels.h"
#include "weight.h"

enum { TSR_WEIGHT_BUCKETS = 256 };

typedef struct tsr_weights {
  tsr_heap *heap;
  tsr_arena *arena; /* the table and names */
  const tsr_kernels *kernels;
  tsr_weight *buckets[TSR_WEIGHT_BUCKETS];
  tsr_weight *first, *last; /* in order of declaration */
  int count;
  const char *prefix; /* before every name in the file; NULL until the check finds it, unless it was set before */
  size_t prefix_length;
  void *memory; /* one block for all values, panels, scales and sums, so that the heap grows once */
  size_t memory_bytes;
  int sealed; /* 1 once all weights are declared: then an unknown name is an error */
} tsr_weights;

/* How the loader keeps weights: tsr_load_dtype of tesserae.h. */
typedef enum tsr_weight_dtype { TSR_WEIGHTS_AS_FILE, TSR_WEIGHTS_F32, TSR_WEIGHTS_Q8 } tsr_weight_dtype;

/* The weight `name`, a vector of any shape, declared on first use. NULL and the error: TSR_ERR_OUT_OF_MEMORY;
 * TSR_ERR_CONFIG: a name used twice with different shapes, or after sealing an unknown name. */
tsr_weight *tsr_weights_vector(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape);
/* The same for the weight of a depthwise convolution, of shape [channels, 1, ...]; it is kept with the channels
 * last. */
tsr_weight *tsr_weights_depthwise(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape);
/* The same for a matrix, which is packed. */
tsr_weight *tsr_weights_matrix(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape,
                               tsr_matrix_layout layout);

/* Finds the prefix of the file's names and checks every declared weight against the file's header; then allocates the
 * packed memory. Shapes may differ by dims of 1 in front. Writes the names of the tensors that no weight takes into
 * `unused` (may be NULL), as a JSON array. TSR_ERR_CONFIG (the weights stand behind several prefixes),
 * TSR_ERR_MODEL_TENSOR_MISSING (also: int8 without its scale), TSR_ERR_MODEL_TENSOR_SHAPE, TSR_ERR_MODEL_DTYPE (a type
 * that cannot become f32), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_weights_check(tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header,
                             tsr_weight_dtype dtype, tsr_text *unused);

/* How many bytes of this tensor tsr_weights_take wants at once (`piece` in safetensors.h); 0: no weight takes it. */
size_t tsr_weights_piece(const tsr_weights *weights, const tsr_tensor_entry *entry);

/* Takes n bytes of a tensor from byte `first` on, whole pieces: converts, quantizes and packs them.
 * TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_weights_take(tsr_weights *weights, tsr_error *err, const tsr_tensor_entry *entry, uint64_t first,
                            const void *bytes, size_t n);

/* 1 if 8-bit quantization applies to the weight: a matrix of at least 8 rows (because with fewer a padded panel costs
 * more than it saves) that is not a convolution over fewer than 32 numbers, and that is not to stay a float. */
int tsr_weight_quantizes(const tsr_weight *weight);

/* The parameters: numbers in all weights, without buffers. */
double tsr_weights_parameters(const tsr_weights *weights);
/* The bytes that all weights take in memory. */
size_t tsr_weights_bytes(const tsr_weights *weights);
/* 1 if any matrix is packed in 8 bits. */
int tsr_weights_any_q8(const tsr_weights *weights);

/* Moving average (EMA): for every parameter named `to` plus some suffix, w = keep * w + share * x, where x is the
 * weight named `from` plus the same suffix. A buffer is averaged only if its name is `to` itself. All weights must be
 * in f32. */
void tsr_weights_average(tsr_weights *weights, const char *to, const char *from, float keep, float share);

/* Frees the packed memory; the arena owns the table. */
void tsr_weights_free(tsr_weights *weights);

#endif
