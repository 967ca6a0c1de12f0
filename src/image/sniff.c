/* The file's format, from its first bytes. PNG and JPEG go on to their guards; the error names other known formats. */
#include "guard.h"

#include <ctype.h>
#include <string.h>

/* A format other than PNG and JPEG, with the bytes that mark it and their offset `at`. */
typedef struct known_format {
  const char *name, *mark;
  uint8_t at, length;
} known_format;

static const known_format known_formats[] = {
    {"a GIF", "GIF8", 0, 4},
    {"a WebP", "WEBP", 8, 4},
    {"an AVIF", "ftypavi", 4, 7},
    {"an AVIF or HEIC", "ftypmi", 4, 6},
    {"an AVIF or HEIC", "ftypms", 4, 6},
    {"a HEIC", "ftyphe", 4, 6},
    {"a video or other MP4 file", "ftyp", 4, 4},
    {"a BMP", "BM", 0, 2},
    {"a TIFF or camera raw file", "II*\0", 0, 4},
    {"a TIFF or camera raw file", "MM\0*", 0, 4},
    {"a JPEG XL", "\xff\x0a", 0, 2},
    {"a JPEG XL", "\0\0\0\x0cJXL ", 0, 8},
    {"a JPEG 2000", "\0\0\0\x0cjP  ", 0, 8},
    {"an icon (ICO)", "\0\0\1\0", 0, 4},
    {"a Photoshop file", "8BPS", 0, 4},
    {"a PDF", "%PDF", 0, 4},
    {"a ZIP archive", "PK\3\4", 0, 4},
    {"gzip data", "\x1f\x8b", 0, 2},
};

/* 1 if `text` (lower case) is at bytes[at], in upper or lower case. */
static int begins(const uint8_t *bytes, size_t n, size_t at, const char *text) {
  size_t length = strlen(text);
  if (at > n || n - at < length) return 0;
  for (size_t i = 0; i < length; i++)
    if (tolower(bytes[at + i]) != text[i]) return 0;
  return 1;
}

/* The name of a text format, or NULL for bytes that are not text. */
static const char *text_format(const uint8_t *bytes, size_t n) {
  size_t look = n < 256 ? n : 256, at = 0;
  if (begins(bytes, n, 0, "\xef\xbb\xbf")) at = 3;
  for (size_t i = at; i < look; i++)
    if (bytes[i] < 32 ? !isspace(bytes[i]) : bytes[i] == 127) return NULL;
  while (at < look && isspace(bytes[at])) at++;
  if (begins(bytes, n, at, "<svg")) return "an SVG";
  if (begins(bytes, n, at, "<!doctype html") || begins(bytes, n, at, "<html"))
    return "an HTML page (perhaps a server's error page)";
  if (begins(bytes, n, at, "<?xml")) {
    for (size_t i = at; i + 4 < n && i < at + 1024; i++)
      if (begins(bytes, n, i, "<svg")) return "an SVG";
    return "XML";
  }
  if (begins(bytes, n, at, "data:")) return "a data: URL (give the bytes that it encodes)";
  if (begins(bytes, n, at, "version https://git-lfs")) return "a Git LFS pointer, not the file itself";
  return "text";
}

static tsr_status refuse_format(tsr_error *err, const uint8_t *bytes, size_t n) {
  const char *mend = "convert it to PNG or JPEG, or pass a decode option with a decoder for it";
  for (size_t i = 0; i < sizeof known_formats / sizeof known_formats[0]; i++) {
    const known_format *f = &known_formats[i];
    if (n >= (size_t)f->at + f->length && !memcmp(bytes + f->at, f->mark, f->length))
      return tsr_error_set(err, TSR_ERR_IMAGE_FORMAT, "the image is %s, expected PNG or JPEG; %s", f->name, mend);
  }
  const char *text = text_format(bytes, n);
  if (text) return tsr_error_set(err, TSR_ERR_IMAGE_FORMAT, "the image is %s, expected PNG or JPEG; %s", text, mend);
  uint8_t first[4] = {0};
  memcpy(first, bytes, n < 4 ? n : 4);
  return tsr_error_set(err, TSR_ERR_IMAGE_FORMAT,
                       "the image (%zu bytes) begins with %02x %02x %02x %02x, which is neither PNG nor JPEG; %s", n,
                       first[0], first[1], first[2], first[3], mend);
}

tsr_status tsr_guard_read(tsr_error *err, const uint8_t *bytes, size_t n, tsr_guard_depth depth, tsr_image_info *info) {
  *info = (tsr_image_info){0};
  if (!bytes || !n)
    return tsr_error_set(err, TSR_ERR_IMAGE_FORMAT, "the image is empty (0 bytes); give the bytes of a PNG or JPEG");
  if (n > TSR_IMAGE_MAX_FILE_BYTES)
    return tsr_error_set(err, TSR_ERR_IMAGE_TOO_LARGE, "the image file has %zu bytes, the limit is %d; save it smaller",
                         n, TSR_IMAGE_MAX_FILE_BYTES);
  size_t signature = n < TSR_PNG_SIGNATURE_BYTES ? n : TSR_PNG_SIGNATURE_BYTES;
  if (!memcmp(bytes, tsr_png_signature, signature)) return tsr_guard_png(err, bytes, n, depth, info);
  if (bytes[0] == 0xff && (n == 1 || bytes[1] == 0xd8)) return tsr_guard_jpeg(err, bytes, n, depth, info);
  if (n >= 4 && !memcmp(bytes, tsr_png_signature, 4))
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT,
                         "PNG: the signature is damaged, as if the file had been transferred "
                         "as text; fetch it anew in binary");
  return refuse_format(err, bytes, n);
}
