/* The guard of PNG: it checks chunks, their order and checksums, and the header's values. png.c decodes the pixels. */
#include "guard.h"

#include <ctype.h>

const uint8_t tsr_png_signature[TSR_PNG_SIGNATURE_BYTES] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

#define PNG_CHUNK(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* CRC-32 of PNG, four bits at a time, with a table of only 16 words; it checks a few hundred MB a second. */
static uint32_t png_crc(const uint8_t *p, size_t n) {
  static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                     0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

/* A chunk: length 4, type 4, data, CRC 4 (of type and data). */
typedef struct png_chunk {
  uint32_t type, length;
  size_t at; /* offset of the length field */
  char name[5];
  const uint8_t *data;
} png_chunk;

static tsr_status png_next(tsr_error *err, const uint8_t *bytes, size_t n, size_t at, png_chunk *chunk) {
  if (n - at < 12)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: the file ends at byte %zu before its IEND chunk; it is truncated, fetch it anew", n);
  *chunk = (png_chunk){tsr_be32(bytes + at + 4), tsr_be32(bytes + at), at, {0}, bytes + at + 8};
  for (int i = 0; i < 4; i++) {
    if (!isalpha(bytes[at + 4 + (size_t)i]))
      return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                           "PNG: no chunk where one should begin, at byte %zu; fetch the file anew", at);
    chunk->name[i] = (char)bytes[at + 4 + (size_t)i];
  }
  if (chunk->length > n - at - 12)
    return tsr_error_set(
        err, TSR_ERR_IMAGE_CORRUPT,
        "PNG: chunk %s at byte %zu has %u bytes, but the file ends at %zu; it is truncated, fetch it anew", chunk->name,
        at, (unsigned)chunk->length, n);
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION /* a fuzzer cannot guess checksums */
  int critical = !(chunk->type & PNG_CHUNK(0x20, 0, 0, 0));
  if (critical && png_crc(bytes + at + 4, (size_t)chunk->length + 4) != tsr_be32(chunk->data + chunk->length))
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: chunk %s at byte %zu has a wrong checksum; fetch the file anew", chunk->name, at);
#else
  (void)png_crc;
#endif
  return TSR_OK;
}

static tsr_status png_header(tsr_error *err, const png_chunk *chunk, tsr_image_info *info) {
  if (chunk->type == PNG_CHUNK('C', 'g', 'B', 'I'))
    return tsr_error_set(err, TSR_ERR_IMAGE_FORMAT,
                         "the image is in Apple's own PNG variant (CgBI); convert it to PNG or JPEG");
  if (chunk->type != PNG_CHUNK('I', 'H', 'D', 'R') || chunk->length != 13)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: the first chunk is %s with %u bytes, expected IHDR with 13; fetch the file anew",
                         chunk->name, (unsigned)chunk->length);
  const uint8_t *d = chunk->data;
  tsr_status status = tsr_guard_dimensions(err, tsr_be32(d), tsr_be32(d + 4));
  if (status != TSR_OK) return status;
  info->width = (int)tsr_be32(d), info->height = (int)tsr_be32(d + 4);
  info->depth = d[8], info->color = d[9], info->interlaced = d[12];
  /* The allowed depths of each colour type: depth 1, 2, 4, 8 or 16 is the bit of that value. */
  static const uint8_t depths[7] = {1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16};
  int power_of_two = !(info->depth & (info->depth - 1));
  if (info->color > 6 || !power_of_two || !(depths[info->color] & info->depth))
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: colour type %d with %d bits a sample is not a PNG image; save it again", info->color,
                         info->depth);
  if (d[10] || d[11] || d[12] > 1)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: compression %d, filter %d, interlace %d; expected 0, 0 and 0 or 1; save it again", d[10],
                         d[11], d[12]);
  return TSR_OK;
}

static tsr_status png_palette(tsr_error *err, const png_chunk *chunk, tsr_image_info *info) {
  if (chunk->length % 3 || !chunk->length || chunk->length > 768 || info->palette_count || info->idat_count)
    return tsr_error_set(
        err, TSR_ERR_IMAGE_CORRUPT,
        "PNG: PLTE at byte %zu has %u bytes, expected one palette of 1 to 256 colours before IDAT; save the file again",
        chunk->at, (unsigned)chunk->length);
  info->palette_at = chunk->at + 8;
  info->palette_count = (int)(chunk->length / 3);
  return TSR_OK;
}

static tsr_status png_data(tsr_error *err, const png_chunk *chunk, uint32_t before, tsr_image_info *info) {
  if (info->color == TSR_PNG_PALETTE && !info->palette_count)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: the image has colour type 3 but no palette (PLTE); save it again");
  if (info->idat_count && before != chunk->type)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: IDAT at byte %zu is apart from the other IDAT chunks; save the file again", chunk->at);
  if (!info->idat_count++) info->idat_at = chunk->at;
  info->idat_bytes += chunk->length;
  return TSR_OK;
}

tsr_status tsr_guard_png(tsr_error *err, const uint8_t *bytes, size_t n, tsr_guard_depth depth, tsr_image_info *info) {
  info->kind = TSR_IMAGE_PNG;
  if (n < TSR_PNG_SIGNATURE_BYTES)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT, "PNG: the file has %zu bytes; it is truncated, fetch it anew", n);
  size_t at = TSR_PNG_SIGNATURE_BYTES;
  png_chunk chunk;
  tsr_status status = png_next(err, bytes, n, at, &chunk);
  if (status == TSR_OK) status = png_header(err, &chunk, info);
  while (status == TSR_OK && depth == TSR_GUARD_FILE) {
    uint32_t before = chunk.type;
    at += (size_t)chunk.length + 12;
    status = png_next(err, bytes, n, at, &chunk);
    if (status != TSR_OK) break;
    if (chunk.type == PNG_CHUNK('I', 'E', 'N', 'D')) {
      if (info->idat_bytes) return TSR_OK; /* bytes after IEND do not belong to the image */
      status = tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT, "PNG: no pixel data (IDAT) before IEND; save the file again");
    } else if (chunk.type == PNG_CHUNK('P', 'L', 'T', 'E')) {
      status = png_palette(err, &chunk, info);
    } else if (chunk.type == PNG_CHUNK('I', 'D', 'A', 'T')) {
      status = png_data(err, &chunk, before, info);
    } else if (chunk.type == PNG_CHUNK('e', 'X', 'I', 'f')) {
      info->exif_at = at + 8, info->exif_bytes = chunk.length;
    } else if (!(chunk.type & PNG_CHUNK(0x20, 0, 0, 0))) {
      status = tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                             "PNG: unknown critical chunk %s at byte %zu; save the file again", chunk.name, at);
    }
  }
  return status;
}
