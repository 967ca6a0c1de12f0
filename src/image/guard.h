/* The check of an encoded image's structure before a decoder reads its bytes. Private to src/image/. */
#ifndef TSR_IMAGE_GUARD_H
#define TSR_IMAGE_GUARD_H

#include "image.h"

typedef enum tsr_image_kind { TSR_IMAGE_PNG, TSR_IMAGE_JPEG } tsr_image_kind;

enum { TSR_PNG_GREY = 0, TSR_PNG_RGB = 2, TSR_PNG_PALETTE = 3, TSR_PNG_GREY_ALPHA = 4, TSR_PNG_RGBA = 6 };

typedef struct tsr_image_info {
  tsr_image_kind kind;
  int width, height;            /* as stored, before EXIF orientation */
  size_t exif_at, exif_bytes;   /* offset and length of the EXIF data's TIFF block; exif_bytes 0: none */
  int depth, color, interlaced; /* PNG: bits per sample, colour type, Adam7 */
  size_t palette_at;            /* PNG: offset of the palette's first byte */
  int palette_count;            /* PNG: entries */
  size_t idat_at, idat_bytes; /* PNG: offset of the first IDAT chunk's length field; bytes of all IDAT data together */
  int idat_count;
} tsr_image_info;

typedef enum tsr_guard_depth {
  TSR_GUARD_HEADER, /* stop once width and height are known; the rest of the file may be missing */
  TSR_GUARD_FILE    /* check every chunk or marker up to IEND or EOI */
} tsr_guard_depth;

/* Checks the structure of a file of n bytes and fills *info. On success a decoder may rely on a complete, well-formed
 * file:
 *
 *   PNG   IHDR first and legal, palette present where needed, IDAT chunks in one run, IEND present, CRC right for
 *         every critical chunk, no unknown critical chunk, enough compressed data for the size
 *   JPEG  one frame (baseline, extended or progressive Huffman, 8 bit, 1, 3 or 4 components), every table
 *         well-formed and defined before use, every component coded, restart markers complete and in order,
 *         at most TSR_IMAGE_MAX_SCANS scans, EOI present
 *
 * It cannot find damage inside a JPEG's entropy-coded data that leaves the markers whole.
 * Errors are those of tsr_image_decode, without TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_guard_read(tsr_error *err, const uint8_t *bytes, size_t n, tsr_guard_depth depth, tsr_image_info *info);

/* tsr_guard_read calls one of these, once the signature is known. */
tsr_status tsr_guard_png(tsr_error *err, const uint8_t *bytes, size_t n, tsr_guard_depth depth, tsr_image_info *info);
tsr_status tsr_guard_jpeg(tsr_error *err, const uint8_t *bytes, size_t n, tsr_guard_depth depth, tsr_image_info *info);

/* The first eight bytes of every PNG. */
enum { TSR_PNG_SIGNATURE_BYTES = 8 };
extern const uint8_t tsr_png_signature[TSR_PNG_SIGNATURE_BYTES];

/* Checks the size. TSR_ERR_IMAGE_CORRUPT: a side is 0. TSR_ERR_IMAGE_TOO_LARGE: it exceeds a limit of image.h. */
tsr_status tsr_guard_dimensions(tsr_error *err, uint32_t width, uint32_t height);

/* The orientation 1..8 from the TIFF block of EXIF data; 1 where it is missing or invalid. It never fails, because
 * broken metadata is no reason to refuse an image. */
int tsr_exif_orientation(const uint8_t *tiff, size_t n);

/* Decodes a PNG that passed the guard to RGB. *out is written only on success. TSR_ERR_IMAGE_CORRUPT,
 * TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_png_decode(tsr_heap *heap, tsr_error *err, const uint8_t *bytes, const tsr_image_info *info,
                          tsr_image *out);

/* Two parts of stb_image are used: its JPEG decoder and its inflater. */

/* Decodes a JPEG that passed the guard to RGB. *out is written only on success. TSR_ERR_IMAGE_CORRUPT,
 * TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_stb_jpeg(tsr_heap *heap, tsr_error *err, const uint8_t *bytes, size_t n, const tsr_image_info *info,
                        tsr_image *out);

/* The bytes that `capacity` must have beyond `needed`; stb.c says why. */
enum { TSR_INFLATE_SLACK = 65536 };
/* Inflates n bytes of zlib data into out[capacity] and checks that they give at least `needed` bytes. Returns NULL on
 * success, else the reason. */
const char *tsr_stb_inflate(const uint8_t *in, size_t n, uint8_t *out, size_t capacity, size_t needed);

/* Big-endian numbers of 16 and 32 bits. */
static inline uint32_t tsr_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t tsr_be32(const uint8_t *p) { return tsr_be16(p) << 16 | tsr_be16(p + 2); }

#endif
