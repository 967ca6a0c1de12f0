/* The safetensors container, read as it arrives: 8 bytes of header length, a JSON header, tensor bytes.
 * Format and limits as in the Rust reader (docs/format.md). Knows nothing of models: it checks the header and hands
 * out each tensor piece by piece, as its bytes come. Memory: the header and one piece.
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
  tsr_shape shape;      /* more than TSR_MAX_DIMS dims, or more than 2^31-1 elements: refused */
  uint64_t begin, end;  /* data_offsets, from the end of the header */
} tsr_tensor_entry;

typedef struct tsr_safetensors_header {
  const tsr_json *metadata;         /* the __metadata__ object (its values are strings), or NULL */
  const tsr_tensor_entry *entries;  /* in the order of their bytes in the file */
  int count;
  uint64_t data_bytes;              /* length of the buffer behind the header */
} tsr_safetensors_header;

/* header, take: return TSR_OK, or a status after they have set the error themselves; anything else ends the reading.
 * header: called once, before any tensor; the header stays valid until destroy. piece: asked once for each tensor, in the
 * order of the entries: how many of its bytes to hand out at a time, a multiple of its element's (SIZE_MAX: all at once; 0:
 * they are of no interest and skipped without being stored). take: called in the order of the bytes with one or more whole
 * pieces, or with what is left of the tensor; `first` is the place of these bytes in the tensor. `bytes` is aligned as its
 * elements are, valid only during the call; an empty tensor comes in one call with n 0. Each may be NULL: nothing is
 * called, every tensor is wanted whole. */
typedef struct tsr_safetensors_sink {
  void *user;
  tsr_status (*header)(void *user, const tsr_safetensors_header *header);
  size_t (*piece)(void *user, const tsr_tensor_entry *entry);
  tsr_status (*take)(void *user, const tsr_tensor_entry *entry, uint64_t first, const void *bytes, size_t n);
} tsr_safetensors_sink;

typedef struct tsr_safetensors tsr_safetensors;

/* total_bytes: length of the whole file, or UINT64_MAX when unknown; where known it is checked against the header
 * as soon as the header is there. NULL: out of memory. */
tsr_safetensors *tsr_safetensors_create(tsr_heap *heap, tsr_error *err, tsr_safetensors_sink sink,
                                        uint64_t total_bytes);

/* Takes the next `n` bytes, any n, in file order. After a failure every call returns that failure.
 * TSR_ERR_FETCH_CONTENT_TYPE: the file starts like an HTML page or other text (printable text where the length should
 * be; quotes it), TSR_ERR_MODEL_HEADER: no JSON object, length over 8 MB or past the file, a malformed entry (names the
 * tensor), _MODEL_DTYPE (names tensor and dtype), _MODEL_OFFSETS (not contiguous from 0, overlapping, a length that is
 * not shape x dtype, file longer or shorter than the last offset: names the tensor, its offsets and the expected
 * start), _MODEL_OVERFLOW (a product that wraps, a dim or a number of elements over 2^31-1), _MODEL_DUPLICATE_KEY,
 * _OUT_OF_MEMORY. The code and the message do not depend on how the file is cut into chunks. */
tsr_status tsr_safetensors_feed(tsr_safetensors *reader, const void *bytes, size_t n);

/* Checks that everything announced has arrived: TSR_ERR_FETCH_TRUNCATED names the tensor that was cut, how many bytes
 * came and how many were expected. A text too short to be told apart before is TSR_ERR_FETCH_CONTENT_TYPE here. */
tsr_status tsr_safetensors_finish(tsr_safetensors *reader);

void tsr_safetensors_destroy(tsr_safetensors *reader);

#endif
