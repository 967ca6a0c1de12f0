/* The decoder of PNG pixels to RGB: inflate, undo the row filters, spread samples (W3C PNG specification, third
 * edition). It reads only the IDAT data, because the guard has read the other chunks. Ancillary chunks (tRNS, gAMA,
 * iCCP) change nothing, because Pillow's convert('RGB') drops alpha and does not manage colour.
 *
 * 16-bit samples keep their high byte, as in Pillow for RGB. For 16-bit grey this deviates on purpose, because Pillow's
 * convert('RGB') clips every value above 255 to white. */
#include "guard.h"

#include <stdlib.h>
#include <string.h>

/* A pass of Adam7: its first column and row, and its steps. A PNG that is not interlaced is one pass with steps of
 * 1. */
typedef struct png_pass {
  uint8_t x0, y0, step_x, step_y;
} png_pass;
static const png_pass adam7[7] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                  {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
static const png_pass whole[1] = {{0, 0, 1, 1}};

static int png_samples(const tsr_image_info *info) {
  switch (info->color) {
    case TSR_PNG_RGB: return 3;
    case TSR_PNG_GREY_ALPHA: return 2;
    case TSR_PNG_RGBA: return 4;
    default: return 1;
  }
}

static int pass_width(const tsr_image_info *info, png_pass p) { return (info->width - p.x0 + p.step_x - 1) / p.step_x; }
static int pass_height(const tsr_image_info *info, png_pass p) {
  return (info->height - p.y0 + p.step_y - 1) / p.step_y;
}

static size_t row_bytes(const tsr_image_info *info, int width) {
  return ((size_t)width * (size_t)(png_samples(info) * info->depth) + 7) / 8;
}

/* The bytes that the inflated data must have: every row of every pass with its filter byte. At most 8 *
 * TSR_IMAGE_MAX_PIXELS and the filter bytes. */
static size_t png_raw_bytes(const tsr_image_info *info) {
  size_t total = 0;
  const png_pass *passes = info->interlaced ? adam7 : whole;
  for (int i = 0; i < (info->interlaced ? 7 : 1); i++) {
    int w = pass_width(info, passes[i]), h = pass_height(info, passes[i]);
    if (w > 0 && h > 0) total += (row_bytes(info, w) + 1) * (size_t)h;
  }
  return total;
}

static uint8_t paeth(int a, int b, int c) {
  int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
  return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* Undoes the filter of a row of n bytes in place. `up` is the row above, already undone; `back` the bytes of a pixel,
 * at least 1. Returns 0 for an unknown filter. */
static int unfilter(int filter, uint8_t *row, const uint8_t *up, size_t n, size_t back) {
  size_t first = back < n ? back : n;
  switch (filter) {
    case 0: return 1;
    case 1:
      for (size_t i = back; i < n; i++) row[i] = (uint8_t)(row[i] + row[i - back]);
      return 1;
    case 2:
      for (size_t i = 0; i < n; i++) row[i] = (uint8_t)(row[i] + up[i]);
      return 1;
    case 3:
      for (size_t i = 0; i < first; i++) row[i] = (uint8_t)(row[i] + up[i] / 2);
      for (size_t i = back; i < n; i++) row[i] = (uint8_t)(row[i] + (row[i - back] + up[i]) / 2);
      return 1;
    case 4:
      for (size_t i = 0; i < first; i++) row[i] = (uint8_t)(row[i] + up[i]);
      for (size_t i = back; i < n; i++) row[i] = (uint8_t)(row[i] + paeth(row[i - back], up[i], up[i - back]));
      return 1;
    default: return 0;
  }
}

/* Converts a grey or palette row of 1, 2, 4 or 8 bits (or grey of 16 bits, of which it takes the high byte) to RGB.
 * colours[] has the RGB of each of the `known` values. Returns the first value without a colour, or -1. */
static int spread_indexed(const uint8_t *row, int depth, int width, const uint8_t (*colours)[3], int known,
                          uint8_t *out, size_t step) {
  for (int x = 0; x < width; x++, out += step) {
    int value = 0;
    if (depth >= 8) {
      value = row[(size_t)x * (size_t)(depth / 8)];
    } else {
      int bit = x * depth;
      value = row[bit >> 3] >> (8 - depth - (bit & 7)) & ((1 << depth) - 1);
    }
    if (value >= known) return value;
    memcpy(out, colours[value], 3);
  }
  return -1;
}

/* Converts a row of RGB or RGBA (samples 3, 4) or of grey and alpha (2) to RGB, without alpha. */
static void spread_samples(const uint8_t *row, int samples, int sample_bytes, int width, uint8_t *out, size_t step) {
  int green = samples > 2 ? sample_bytes : 0, blue = 2 * green;
  for (int x = 0; x < width; x++, out += step, row += samples * sample_bytes)
    out[0] = row[0], out[1] = row[green], out[2] = row[blue];
}

static int fill_colours(const uint8_t *bytes, const tsr_image_info *info, uint8_t (*colours)[3]) {
  if (info->color == TSR_PNG_PALETTE) {
    memcpy(colours, bytes + info->palette_at, (size_t)info->palette_count * 3);
    return info->palette_count;
  }
  int known = info->depth < 8 ? 1 << info->depth : 256;
  for (int i = 0; i < known; i++) memset(colours[i], i * 255 / (known - 1), 3);
  return known;
}

/* Converts all rows. raw: the inflated data. zeros: the row above the first one, as many zeros as the longest row has
 * bytes. */
static tsr_status png_rows(tsr_error *err, const uint8_t *bytes, const tsr_image_info *info, uint8_t *raw,
                           const uint8_t *zeros, tsr_image *out) {
  uint8_t colours[256][3];
  int known = fill_colours(bytes, info, colours), samples = png_samples(info);
  size_t back = (size_t)(samples * info->depth + 7) / 8;
  const png_pass *passes = info->interlaced ? adam7 : whole;
  for (int i = 0; i < (info->interlaced ? 7 : 1); i++) {
    png_pass p = passes[i];
    int w = pass_width(info, p), h = pass_height(info, p);
    if (w <= 0 || h <= 0) continue;
    size_t n = row_bytes(info, w), step = (size_t)p.step_x * 3;
    for (int y = 0; y < h; y++, raw += n + 1) {
      uint8_t *row = raw + 1;
      if (!unfilter(raw[0], row, y ? raw - n : zeros, n, back))
        return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                             "PNG: row %d of pass %d has filter %d, expected 0 to 4; fetch the file anew", y, i,
                             raw[0]);
      int out_y = y * p.step_y + p.y0;
      uint8_t *to = out->pixels + ((size_t)out_y * (size_t)out->width + p.x0) * 3;
      int missing = -1;
      if (samples == 1) missing = spread_indexed(row, info->depth, w, (const uint8_t(*)[3])colours, known, to, step);
      else spread_samples(row, samples, info->depth / 8, w, to, step);
      if (missing >= 0)
        return tsr_error_set(
            err, TSR_ERR_IMAGE_CORRUPT,
            "PNG: a pixel in row %d names palette entry %d, but the palette has %d; save the file again", out_y,
            missing, known);
    }
  }
  return TSR_OK;
}

/* The zlib stream, which is the data of all IDAT chunks joined. A single chunk is used in place; otherwise *owned gets
 * the joined copy. */
static const uint8_t *join_idat(tsr_heap *heap, const uint8_t *bytes, const tsr_image_info *info, uint8_t **owned) {
  *owned = NULL;
  if (info->idat_count == 1) return bytes + info->idat_at + 8;
  uint8_t *joined = tsr_heap_alloc(heap, info->idat_bytes);
  if (!joined) return NULL;
  size_t at = info->idat_at, used = 0;
  for (int i = 0; i < info->idat_count; i++) {
    size_t length = tsr_be32(bytes + at);
    memcpy(joined + used, bytes + at + 8, length);
    used += length, at += length + 12;
  }
  return *owned = joined;
}

tsr_status tsr_png_decode(tsr_heap *heap, tsr_error *err, const uint8_t *bytes, const tsr_image_info *info,
                          tsr_image *out) {
  size_t needed = png_raw_bytes(info), capacity = needed + TSR_INFLATE_SLACK;
  /* Deflate compresses at most 1032:1, so a size that the data cannot fill is refused before memory is allocated. */
  if (needed / 1032 > info->idat_bytes)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: %zu bytes of IDAT cannot hold %d x %d pixels; fetch the file anew", info->idat_bytes,
                         info->width, info->height);
  tsr_image image = {NULL, info->width, info->height, 3};
  tsr_status status = TSR_OK;
  uint8_t *joined = NULL, *raw = NULL;
  const uint8_t *packed = join_idat(heap, bytes, info, &joined);
  size_t longest = row_bytes(info, info->width);
  if (packed) raw = tsr_heap_alloc(heap, capacity + longest);
  if (raw) image.pixels = tsr_heap_alloc(heap, (size_t)image.width * (size_t)image.height * 3);
  if (!image.pixels) {
    status = tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                           "no memory to decode a %d x %d PNG (%zu bytes in use); give a smaller image", info->width,
                           info->height, heap->in_use);
  } else {
    const char *reason = tsr_stb_inflate(packed, info->idat_bytes, raw, capacity, needed);
    memset(raw + capacity, 0, longest);
    if (reason)
      status = tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                             "PNG: the compressed pixels are broken (%s); fetch the file anew", reason);
    else status = png_rows(err, bytes, info, raw, raw + capacity, &image);
  }
  tsr_heap_free(heap, joined);
  tsr_heap_free(heap, raw);
  if (status == TSR_OK) *out = image;
  else tsr_heap_free(heap, image.pixels);
  return status;
}
