/* The weights of one model: declared by the architecture's first traversal, filled while the file streams in.
 *
 * A weight is looked up by its path, which is its name in the reference's state_dict. Vectors (norm scales, biases, embeddings) are kept
 * as f32. Matrices (linear layers, convolutions) are packed into the product kernels' panels as soon as the
 * bytes of a panel's rows are there, in f32 or 8 bits, so that the peak memory is the packed weights plus one panel. */
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
  void *memory;        /* of all values, panels, scales and sums: one block, so that memory grows once */
  size_t memory_bytes;
  int sealed; /* declaring is over: looking up an unknown name is an error */
} tsr_weights;

/* Dtype wishes of the loader, see tesserae.h. */
typedef enum tsr_weight_dtype { TSR_WEIGHTS_AS_FILE, TSR_WEIGHTS_F32, TSR_WEIGHTS_Q8 } tsr_weight_dtype;

/* The weight called `name`, declared on first use. NULL and the error: out of memory; after sealing also an unknown
 * name; a name used twice with different shapes (TSR_ERR_CONFIG). */
tsr_weight *tsr_weights_vector(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape);
/* A vector of shape [channels, 1, ...] whose rows belong to a channel each, kept with the channels last. */
tsr_weight *tsr_weights_depthwise(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape);
tsr_weight *tsr_weights_matrix(tsr_weights *weights, tsr_error *err, const char *name, const tsr_shape *shape,
                               tsr_matrix_layout layout);

/* Holds every declared weight against the file's header: TSR_ERR_MODEL_TENSOR_MISSING, _TENSOR_SHAPE, _DTYPE (a type that
 * cannot become f32; int8 without its scale), then allocates the packed memory. Writes into `unused` (may be NULL) the names of the tensors that
 * no weight takes, as a JSON array. */
tsr_status tsr_weights_check(tsr_weights *weights, tsr_error *err, const tsr_safetensors_header *header,
                             tsr_weight_dtype dtype, tsr_text *unused);

/* How many bytes of this tensor to take at a time (safetensors.h); 0: no weight takes it. */
size_t tsr_weights_piece(const tsr_weights *weights, const tsr_tensor_entry *entry);

/* Takes the n bytes of a tensor from `first` on, whole pieces: converts, quantizes, packs. Errors: TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_weights_take(tsr_weights *weights, tsr_error *err, const tsr_tensor_entry *entry, uint64_t first,
                            const void *bytes, size_t n);

/* Whether 8-bit quantization applies: a matrix of at least 8 rows (below that a padded panel costs more than it saves), and no convolution
 * over fewer than 32 numbers. */
int tsr_weight_quantizes(const tsr_weight *weight);

/* Numbers in all weights, without buffers; bytes they take in memory; whether any matrix is packed in 8 bits. */
double tsr_weights_parameters(const tsr_weights *weights);
size_t tsr_weights_bytes(const tsr_weights *weights);
int tsr_weights_any_q8(const tsr_weights *weights);

/* Every parameter called `to` plus some ending becomes keep * itself + share * the one called `from` plus that ending; so does a buffer whose name is
 * `to` itself. All weights must be in f32. */
void tsr_weights_average(tsr_weights *weights, const char *to, const char *from, float keep, float share);

void tsr_weights_free(tsr_weights *weights);

#endif
