/* The reader of a safetensors file while it arrives: 8 bytes of header length, a JSON header, tensor bytes.
 * Format and limits are those of the Rust reader (docs/format.md). It knows nothing of models: it checks the header and
 * passes on each tensor piece by piece, as its bytes come. Its memory is the header and one piece.
 *
 *   tsr_safetensors *r = tsr_safetensors_create(&heap, &err, sink, total_bytes);
 *   while (chunk arrives) tsr_safetensors_feed(r, bytes, n);
 *   tsr_safetensors_finish(r);
 *   tsr_safetensors_destroy(r);
 */
#ifndef TSR_FILES_SAFETENSORS_H
#define TSR_FILES_SAFETENSORS_H

#include "base/arena.h"
#include "json.h"
#include "base/status.h"
#include "base/tensor.h"

enum { TSR_SAFETENSORS_MAX_HEADER = 8 * 1024 * 1024 };

typedef struct tsr_tensor_entry {
  const char *name;
  tsr_dtype dtype;
  tsr_shape shape;     /* at most TSR_MAX_DIMS dims and 2^31-1 elements; others are refused */
  uint64_t begin, end; /* data_offsets, counted from the end of the header */
} tsr_tensor_entry;

typedef struct tsr_safetensors_header {
  const tsr_json *metadata;        /* the __metadata__ object (its values are strings), or NULL */
  const tsr_tensor_entry *entries; /* in the order of their bytes in the file */
  int count;
  uint64_t data_bytes; /* length of the tensor bytes after the header */
} tsr_safetensors_header;

/* The functions that the reader calls. Each may be NULL: then it is not called, and without `piece` every tensor comes
 * whole.
 *   header: called once, before any tensor. The header stays valid until destroy.
 *   piece: called once for each tensor, in the order of the entries. Returns how many bytes of it to pass to `take` at
 *     a time: a multiple of the element's bytes; SIZE_MAX for all at once; 0 to skip the tensor, which is then not
 *     stored.
 *   take: called in the order of the bytes, with one or more whole pieces or with the rest of the tensor. `first` is
 *     the place of these bytes in the tensor. `bytes` is aligned for its element type and valid only during the call.
 *     An empty tensor comes in one call with n 0.
 * header and take return TSR_OK, or a status after they have set the error; such a status ends the reading. */
typedef struct tsr_safetensors_sink {
  void *user;
  tsr_status (*header)(void *user, const tsr_safetensors_header *header);
  size_t (*piece)(void *user, const tsr_tensor_entry *entry);
  tsr_status (*take)(void *user, const tsr_tensor_entry *entry, uint64_t first, const void *bytes, size_t n);
} tsr_safetensors_sink;

typedef struct tsr_safetensors tsr_safetensors;

/* A new reader. total_bytes: length of the whole file, or UINT64_MAX when unknown; a known length is checked against
 * the header as soon as that is complete. NULL: out of memory. */
tsr_safetensors *tsr_safetensors_create(tsr_heap *heap, tsr_error *err, tsr_safetensors_sink sink,
                                        uint64_t total_bytes);

/* Takes the next `n` bytes of the file, any n. After a failure every call returns that failure. Code and message do not
 * depend on how the file is cut into chunks.
 *   TSR_ERR_FETCH_CONTENT_TYPE: the file starts like an HTML page or other text (printable text instead of the length;
 *     the message quotes it).
 *   TSR_ERR_MODEL_HEADER: not a JSON object, a length above 8 MB or beyond the file, a malformed entry (the message
 *     names the tensor).
 *   TSR_ERR_MODEL_DTYPE: an unknown dtype (the message names tensor and dtype).
 *   TSR_ERR_MODEL_OFFSETS: offsets that are not contiguous from 0 or overlap, a length that is not shape x dtype, a
 *     file longer or shorter than the last offset (the message names the tensor, its offsets and the expected start).
 *   TSR_ERR_MODEL_OVERFLOW: a product that overflows, a dim or a number of elements above 2^31-1.
 *   TSR_ERR_MODEL_DUPLICATE_KEY, TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_safetensors_feed(tsr_safetensors *reader, const void *bytes, size_t n);

/* Checks that the file is complete. TSR_ERR_FETCH_TRUNCATED: it is not; the message names the tensor that was cut, how
 * many bytes came and how many were expected. TSR_ERR_FETCH_CONTENT_TYPE: a text that was too short to be recognised
 * before. */
tsr_status tsr_safetensors_finish(tsr_safetensors *reader);

/* Frees the reader and its header. NULL is allowed. */
void tsr_safetensors_destroy(tsr_safetensors *reader);

#endif
