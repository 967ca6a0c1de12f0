/* Images against Pillow (test/golden/image, made by scripts/parity/golden_image.py), against transformers and timm
 * (test/golden/hub, by scripts/parity/hub_preprocess.py), and against broken files. Alone:
 *
 *   gcc -std=c11 -g -O1 -fsanitize=address,undefined -Isrc -I/usr/include/stb -o /tmp/test_image \
 *       src/base/status.c src/base/arena.c $(ls src/image/[a-z]*.c) test/c/test_image.c -lm
 *   /tmp/test_image [folder of the golden files] [-v: differences between JPEG decoders] */
#include "check.h"

#include <stdlib.h>

#include "image/image.h"

static const char *folder = "test/golden/image";

/* ---- helpers ---- */

static uint32_t crc32_of(const void *data, size_t n) {
  const uint8_t *p = data;
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

static size_t pixel_bytes(const tsr_image *image) {
  return (size_t)image->width * (size_t)image->height * (size_t)image->channels;
}

static uint32_t crc_of_image(const tsr_image *image) { return crc32_of(image->pixels, pixel_bytes(image)); }

/* The picture that golden_image.py calls random_picture(w, h, channels, seed). */
static tsr_image random_picture(tsr_heap *heap, int w, int h, int channels, uint64_t seed) {
  tsr_image image = {NULL, w, h, channels};
  size_t n = pixel_bytes(&image);
  image.pixels = tsr_heap_alloc(heap, n);
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++, word >>= 8) {
    if (i % 8 == 0) word = check_random(&seed);
    image.pixels[i] = (uint8_t)word;
  }
  return image;
}

typedef struct file {
  uint8_t *bytes;
  size_t n;
} file;

/* Exactly as many bytes as the file has, so that the sanitizer sees a read beyond. */
static file exact(const uint8_t *bytes, size_t n) {
  file f = {malloc(n ? n : 1), n};
  memcpy(f.bytes, bytes, n);
  return f;
}

static file read_golden(const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *in = fopen(path, "rb");
  file f = {NULL, 0};
  if (!CHECK(in != NULL)) {
    printf("cannot open %s\n", path);
    return f;
  }
  static uint8_t buffer[1 << 20];
  f = exact(buffer, fread(buffer, 1, sizeof buffer, in));
  fclose(in);
  return f;
}

static FILE *open_list(const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *in = fopen(path, "r");
  CHECK(in != NULL);
  return in;
}

static tsr_status decode_status(file f, tsr_error *err) {
  tsr_heap heap = {0};
  tsr_image image = {0};
  tsr_error_clear(err);
  tsr_status status = tsr_image_decode(&heap, err, f.bytes, f.n, &image);
  CHECK((status == TSR_OK) == (image.pixels != NULL));
  CHECK_INT(status, err->code);
  tsr_image_free(&heap, &image);
  CHECK_INT(heap.in_use, 0);
  return status;
}

/* ---- against Pillow ---- */

static void test_resize(void) {
  FILE *in = open_list("resize.txt");
  int w, h, channels, ow, oh, filter, cases = 0;
  unsigned long long seed;
  float box[4];
  unsigned crc;
  while (in && fscanf(in, "%d %d %d %llu %d %d %d %f %f %f %f %x", &w, &h, &channels, &seed, &ow, &oh, &filter, &box[0],
                      &box[1], &box[2], &box[3], &crc) == 12) {
    tsr_heap heap = {0};
    tsr_image picture = random_picture(&heap, w, h, channels, seed), out = {0};
    CHECK_INT(tsr_image_resize(&heap, NULL, &picture, ow, oh, (tsr_filter)filter, box, &out), TSR_OK);
    if (!CHECK(out.width == ow && out.height == oh && crc_of_image(&out) == crc))
      printf("  resize case %d: %dx%dx%d to %dx%d, filter %d, box %g %g %g %g\n", cases, w, h, channels, ow, oh, filter,
             box[0], box[1], box[2], box[3]);
    if (box[0] == 0 && box[1] == 0 && box[2] == w && box[3] == h) {
      tsr_image again = {0};
      CHECK_INT(tsr_image_resize(&heap, NULL, &picture, ow, oh, (tsr_filter)filter, NULL, &again), TSR_OK);
      CHECK_INT(crc_of_image(&again), crc);
      tsr_image_free(&heap, &again);
    }
    tsr_image_free(&heap, &out);
    tsr_image_free(&heap, &picture);
    CHECK_INT(heap.in_use, 0);
    cases++;
  }
  CHECK(cases >= 240);
  if (in) fclose(in);
}

static void test_fit(void) {
  FILE *in = open_list("fit.txt");
  int w, h, channels, filter, squash, cases = 0;
  unsigned long long seed;
  unsigned crc, crc_floats;
  tsr_image_spec spec = {.mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
  while (in && fscanf(in, "%d %d %d %llu %d %d %d %d %d %lf %x %x", &w, &h, &channels, &seed, &spec.width, &spec.height,
                      &spec.channels, &filter, &squash, &spec.crop_pct, &crc, &crc_floats) == 12) {
    tsr_heap heap = {0};
    spec.filter = (tsr_filter)filter;
    spec.fit = squash ? TSR_FIT_SQUASH : TSR_FIT_CROP;
    tsr_image picture = random_picture(&heap, w, h, channels, seed), out = {0};
    size_t count = (size_t)spec.width * (size_t)spec.height * (size_t)spec.channels;
    float *pixels = malloc(count * sizeof *pixels);
    CHECK_INT(tsr_image_fit(&heap, NULL, &picture, &spec, &out), TSR_OK);
    CHECK_INT(out.channels, spec.channels);
    int same = CHECK(crc_of_image(&out) == crc);
    CHECK_INT(tsr_image_preprocess(&heap, NULL, &picture, &spec, pixels), TSR_OK);
    if (!CHECK(crc32_of(pixels, count * sizeof *pixels) == crc_floats) || !same)
      printf("  fit case %d: %dx%dx%d to %dx%dx%d, filter %d, squash %d, crop_pct %g\n", cases, w, h, channels,
             spec.width, spec.height, spec.channels, filter, squash, spec.crop_pct);
    free(pixels);
    tsr_image_free(&heap, &out);
    tsr_image_free(&heap, &picture);
    CHECK_INT(heap.in_use, 0);
    cases++;
  }
  CHECK(cases >= 100);
  if (in) fclose(in);
}

/* What transformers and timm make of pictures: scripts/parity/hub_preprocess.py. */
static void test_fit_hub(void) {
  FILE *in = open_list("../hub/fit.txt");
  int w, h, filter, fit, cases = 0, fits[TSR_FIT_NATIVE] = {0};
  unsigned long long seed;
  unsigned crc;
  tsr_image_spec spec = {.channels = 3, .mean = {0.4f, 0.5f, 0.6f}, .std = {1, 1, 1}};
  while (in && fscanf(in, "%d %d %llu %d %d %d %d %lf %d %d %d %d %d %x", &w, &h, &seed, &spec.width, &spec.height,
                      &filter, &fit, &spec.crop_pct, &spec.shortest_edge, &spec.longest_edge, &spec.resize_width,
                      &spec.resize_height, &spec.floor_offset, &crc) == 14) {
    tsr_heap heap = {0};
    spec.filter = (tsr_filter)filter;
    spec.fit = (tsr_fit)fit;
    tsr_image picture = random_picture(&heap, w, h, 3, seed), out = {0};
    CHECK_INT(tsr_image_fit(&heap, NULL, &picture, &spec, &out), TSR_OK);
    if (!CHECK(out.width == spec.width && out.height == spec.height && crc_of_image(&out) == crc))
      printf("  hub case %d: %dx%d to %dx%d, filter %d, fit %d, crop_pct %g, edges %d %d, resize %dx%d\n", cases, w, h,
             spec.width, spec.height, filter, fit, spec.crop_pct, spec.shortest_edge, spec.longest_edge,
             spec.resize_width, spec.resize_height);
    tsr_image_free(&heap, &out);
    tsr_image_free(&heap, &picture);
    CHECK_INT(heap.in_use, 0);
    fits[fit]++;
    cases++;
  }
  CHECK(cases >= 72);
  for (int i = 0; i < TSR_FIT_NATIVE; i++) CHECK(fits[i] >= 9);
  if (in) fclose(in);
}

/* The size of the resized picture for crop_pct as Python computes it, and as people type it: a picture of that size is
 * not resized, so the crop shows its own pixels. */
static void test_crop_pct(void) {
  const struct {
    double crop_pct;
    int size, scaled;
  } cases[] = {{224.0 / 236, 224, 236}, {224.0 / 248, 224, 248}, {224.0 / 288, 224, 288}, {0.875, 224, 256},
               {0.9, 224, 248},         {0.95, 224, 235},        {0.8, 224, 280},         {0.7, 28, 40},
               {1.15, 448, 389},        {224.0 / 256, 224, 256}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tsr_heap heap = {0};
    int size = cases[i].size, scaled = cases[i].scaled, rest = scaled - size;
    int at = rest < 0 ? rest / 2 : (int)rint(rest / 2.0);
    tsr_image picture = random_picture(&heap, scaled, scaled, 3, i), out = {0};
    tsr_image_spec spec = {size, size, 3, TSR_FILTER_BICUBIC, TSR_FIT_CROP, cases[i].crop_pct};
    CHECK_INT(tsr_image_fit(&heap, NULL, &picture, &spec, &out), TSR_OK);
    int same = 1;
    for (int y = 0; y < size; y++)
      for (int x = 0; x < size * 3; x++) {
        int from_y = y + at, from_x = x + at * 3, inside = from_y >= 0 && from_y < scaled && from_x >= 0;
        uint8_t want = inside && from_x < scaled * 3 ? picture.pixels[from_y * scaled * 3 + from_x] : 0;
        same &= out.pixels[y * size * 3 + x] == want;
      }
    if (!CHECK(same)) printf("  crop_pct %.17g of %d is not %d\n", cases[i].crop_pct, size, scaled);
    tsr_image_free(&heap, &out);
    tsr_image_free(&heap, &picture);
  }
}

/* The floats' channels in the other order, and in the numbers that are known of a line of two pixels. */
static void test_floats(void) {
  tsr_heap heap = {0};
  uint8_t line[] = {0, 10, 20, 1, 14, 20};
  const tsr_image picture = {line, 2, 1, 3};
  tsr_image_spec spec = {4, 1, 3, TSR_FILTER_BILINEAR, TSR_FIT_SQUASH, 1, {0, 0.5f, 0}, {1, 2, 1}};
  static const float rounded[] = {0, 0, 1, 1, 10, 11, 13, 14, 20, 20, 20, 20};
  static const float exact[] = {0, 0.25f, 0.75f, 1, 10, 11, 13, 14, 20, 20, 20, 20};
  static const float reversed[] = {20, 20, 20, 20, 10, 11, 13, 14, 0, 0.25f, 0.75f, 1};
  for (int i = 0; i < 3; i++) {
    const float *want = i == 0 ? rounded : i == 1 ? exact : reversed;
    float got[12];
    spec.rescale_first = i > 0;
    spec.bgr = i > 1;
    CHECK_INT(tsr_image_preprocess(&heap, NULL, &picture, &spec, got), TSR_OK);
    for (int k = 0; k < 12; k++) CHECK_NEAR(got[k], (want[k] / 255 - spec.mean[k / 4]) / spec.std[k / 4], 1e-7);
  }
  spec = (tsr_image_spec){3, 3, 3, TSR_FILTER_BILINEAR, TSR_FIT_NONE, 1, {0}, {1, 1, 1}, .rescale_first = 1};
  float got[27];
  CHECK_INT(tsr_image_preprocess(&heap, NULL, &picture, &spec, got), TSR_OK);
  for (int k = 0; k < 27;
       k++) { /* a row above and below, and the smaller half of one column, which is none, at the left */
    int inside = k / 3 % 3 == 1 && k % 3 < 2;
    CHECK_NEAR(got[k], inside ? line[k % 3 * 3 + k / 9] / 255.0 : 0, 1e-7);
  }
  CHECK_INT(heap.in_use, 0);
}

/* A window of a huge result costs the window: this one would be 224 x 1835008 pixels. */
static void test_fit_thin(void) {
  tsr_heap heap = {.limit = 4 << 20};
  tsr_image picture = random_picture(&heap, 1, 8192, 3, 1), out = {0};
  for (int filter = TSR_FILTER_NEAREST; filter <= TSR_FILTER_HAMMING; filter++) {
    tsr_image_spec spec = {224, 224, 3, (tsr_filter)filter, TSR_FIT_CROP, 1, {0}, {1, 1, 1}};
    CHECK_INT(tsr_image_fit(&heap, NULL, &picture, &spec, &out), TSR_OK);
    tsr_image_free(&heap, &out);
  }
  tsr_image_free(&heap, &picture);
  CHECK_INT(heap.in_use, 0);
}

static void test_orient(void) {
  FILE *in = open_list("orient.txt");
  int w, h, channels, orientation, ow, oh, cases = 0;
  unsigned long long seed;
  unsigned crc;
  while (in && fscanf(in, "%d %d %d %llu %d %d %d %x", &w, &h, &channels, &seed, &orientation, &ow, &oh, &crc) == 8) {
    tsr_heap heap = {0};
    tsr_image picture = random_picture(&heap, w, h, channels, seed);
    CHECK_INT(tsr_image_orient(&heap, NULL, &picture, orientation), TSR_OK);
    CHECK(picture.width == ow && picture.height == oh && crc_of_image(&picture) == crc);
    tsr_image_free(&heap, &picture);
    CHECK_INT(heap.in_use, 0);
    cases++;
  }
  CHECK_INT(cases, 24);
  if (in) fclose(in);
  tsr_heap heap = {0};
  tsr_image picture = random_picture(&heap, 3, 2, 3, 9);
  uint32_t before = crc_of_image(&picture);
  CHECK_INT(tsr_image_orient(&heap, NULL, &picture, 0), TSR_OK);
  CHECK_INT(tsr_image_orient(&heap, NULL, &picture, 9), TSR_OK);
  CHECK_INT(crc_of_image(&picture), before);
  tsr_image_free(&heap, &picture);
}

/* stb_image and libjpeg-turbo compute the inverse DCT, the chroma interpolation and the colour conversion with other
 * roundings. One step in each of luma and chroma makes up to 3 in a colour (blue takes 1.772 times the chroma), and
 * interpolated chroma has one more rounding. Measured: see the table that a run prints with -v; a wrong table,
 * transform or interpolation is off by tens. */
enum { JPEG_MAX_DIFFERENCE = 5 };
static const double JPEG_MEAN_DIFFERENCE = 0.5;

static void compare_jpeg(const char *name, const char *expected_name, const tsr_image *got, unsigned crc, int verbose) {
  tsr_heap heap = {0};
  tsr_image want = {0};
  file f = read_golden(expected_name);
  CHECK_INT(tsr_image_decode(&heap, NULL, f.bytes, f.n, &want), TSR_OK);
  CHECK(crc_of_image(&want) == crc); /* PNG decoding is right, so this is Pillow's picture */
  CHECK(want.width == got->width && want.height == got->height);
  int max = 0;
  double sum = 0;
  for (size_t i = 0; i < pixel_bytes(&want) && pixel_bytes(&want) == pixel_bytes(got); i++) {
    int difference = abs(want.pixels[i] - got->pixels[i]);
    if (difference > max) max = difference;
    sum += difference;
  }
  double mean = sum / (double)pixel_bytes(&want);
  if (!CHECK(max <= JPEG_MAX_DIFFERENCE && mean <= JPEG_MEAN_DIFFERENCE) || verbose)
    printf("  %-26s max %d mean %.4f\n", name, max, mean);
  tsr_image_free(&heap, &want);
  free(f.bytes);
}

static void test_decode(int verbose) {
  FILE *in = open_list("images.txt");
  char name[64], expected[64];
  int w, h, pngs = 0, jpegs = 0;
  unsigned crc;
  while (in && fscanf(in, "%63s %d %d %x %63s", name, &w, &h, &crc, expected) == 5) {
    tsr_heap heap = {0};
    tsr_error err = {0};
    tsr_image image = {0};
    file f = read_golden(name);
    if (!CHECK(tsr_image_decode(&heap, &err, f.bytes, f.n, &image) == TSR_OK)) {
      printf("  %s: %s\n", name, err.message);
    } else {
      CHECK(image.width == w && image.height == h && image.channels == 3);
      if (strcmp(expected, "-")) {
        compare_jpeg(name, expected, &image, crc, verbose);
        jpegs++;
      } else {
        if (!CHECK(crc_of_image(&image) == crc)) printf("  %s differs from Pillow\n", name);
        pngs++;
      }
      int sw = 0, sh = 0;
      CHECK_INT(tsr_image_size(&err, f.bytes, f.n, &sw, &sh), TSR_OK);
      CHECK((sw == w && sh == h) || (sw == h && sh == w));
    }
    tsr_image_free(&heap, &image);
    CHECK_INT(heap.in_use, 0);
    free(f.bytes);
  }
  CHECK(pngs >= 36 && jpegs >= 20);
  if (in) fclose(in);
}

/* ---- what is refused, and with which words ---- */

static void refuse(const char *bytes, size_t n, tsr_status code, const char *words) {
  tsr_error err = {0};
  file f = exact((const uint8_t *)bytes, n);
  CHECK_INT(decode_status(f, &err), code);
  CHECK_HAS(err.message, words);
  free(f.bytes);
}

static void test_formats(void) {
  tsr_error err = {0};
  CHECK_INT(decode_status((file){NULL, 0}, &err), TSR_ERR_IMAGE_FORMAT);
  CHECK_HAS(err.message, "empty");
  refuse("", 0, TSR_ERR_IMAGE_FORMAT, "empty");
  refuse("hello, world\n", 13, TSR_ERR_IMAGE_FORMAT, "is text");
  refuse("GIF89a\1\0\1\0", 10, TSR_ERR_IMAGE_FORMAT, "a GIF");
  refuse("RIFF\x24\0\0\0WEBPVP8 ", 16, TSR_ERR_IMAGE_FORMAT, "a WebP");
  refuse(
      "\0\0\0\x1c"
      "ftypavif\0\0\0\0",
      16, TSR_ERR_IMAGE_FORMAT, "an AVIF");
  refuse(
      "\0\0\0\x1c"
      "ftypheic\0\0\0\0",
      16, TSR_ERR_IMAGE_FORMAT, "a HEIC");
  refuse("BM\x46\0\0\0", 6, TSR_ERR_IMAGE_FORMAT, "a BMP");
  refuse("  <svg xmlns=\"x\">", 17, TSR_ERR_IMAGE_FORMAT, "an SVG");
  refuse("<!DOCTYPE html><title>404", 25, TSR_ERR_IMAGE_FORMAT, "an HTML page");
  refuse("<?xml version=\"1.0\"?><svg/>", 27, TSR_ERR_IMAGE_FORMAT, "an SVG");
  refuse(
      "\x7f"
      "ELF\2\1\1",
      7, TSR_ERR_IMAGE_FORMAT, "7f 45 4c 46");
  refuse("GIF89a", 6, TSR_ERR_IMAGE_FORMAT, "decode option");
  refuse("\x89PNG\n\x1a\n\0\0\0\0", 11, TSR_ERR_IMAGE_CORRUPT, "as text");
  refuse("\x89", 1, TSR_ERR_IMAGE_CORRUPT, "truncated");
  refuse("\xff", 1, TSR_ERR_IMAGE_CORRUPT, "truncated");
  refuse("\xff\xd8\xff\xd9", 4, TSR_ERR_IMAGE_CORRUPT, "no scan");
}

static void put_be32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

/* Makes a chunk's checksum right again after its data was changed. */
static void seal_chunk(file f, size_t at, uint32_t length) {
  put_be32(f.bytes + at + 8 + length, crc32_of(f.bytes + at + 4, length + 4));
}

/* Where the chunk of this name begins. */
static size_t find_chunk(file f, const char *name) {
  for (size_t at = 8; at + 8 <= f.n; at += 12 + ((size_t)f.bytes[at + 2] << 8 | f.bytes[at + 3]))
    if (!memcmp(f.bytes + at + 4, name, 4)) return at;
  CHECK_TEXT("no such chunk", name);
  return 8;
}

/* A PNG with its header changed: bytes at IHDR data offset `at` become `value`. */
static void refuse_header(const char *name, size_t at, const char *value, size_t bytes, tsr_status code,
                          const char *words) {
  file f = read_golden(name);
  tsr_error err = {0};
  memcpy(f.bytes + 16 + at, value, bytes);
  seal_chunk(f, 8, 13);
  CHECK_INT(decode_status(f, &err), code);
  CHECK_HAS(err.message, words);
  free(f.bytes);
}

static void test_limits(void) {
  refuse_header("rgb8.png", 0, "\0\0\x20\1", 4, TSR_ERR_IMAGE_TOO_LARGE, "8193 x 13, the limit is 8192");
  refuse_header("rgb8.png", 0, "\0\0\x20\0\0\0\x20\0", 8, TSR_ERR_IMAGE_TOO_LARGE, "the limit is 40000000 pixels");
  refuse_header("rgb8.png", 4, "\0\0\0\0", 4, TSR_ERR_IMAGE_CORRUPT, "19 x 0");
  refuse_header("rgb8.png", 0, "\xff\xff\xff\xff", 4, TSR_ERR_IMAGE_TOO_LARGE, "4294967295");
  refuse_header("rgb8.png", 0, "\0\0\x10\0\0\0\x10\0", 8, TSR_ERR_IMAGE_CORRUPT, "cannot hold 4096 x 4096");
  refuse_header("rgb8.png", 8, "\4", 1, TSR_ERR_IMAGE_CORRUPT, "colour type 2 with 4 bits");
  refuse_header("rgb8.png", 8, "\0", 1, TSR_ERR_IMAGE_CORRUPT, "colour type 2 with 0 bits");
  refuse_header("rgb8.png", 8, "\3", 1, TSR_ERR_IMAGE_CORRUPT, "colour type 2 with 3 bits");
  refuse_header("rgb8.png", 9, "\5", 1, TSR_ERR_IMAGE_CORRUPT, "colour type 5");
  refuse_header("rgb8.png", 9, "\3", 1, TSR_ERR_IMAGE_CORRUPT, "no palette");
  refuse_header("rgb8.png", 12, "\2", 1, TSR_ERR_IMAGE_CORRUPT, "interlace 2");
  refuse_header("rgb8.png", 8, "\x10", 1, TSR_ERR_IMAGE_CORRUPT, "not enough pixels");

  /* A whole picture of 8193 x 1, with stored blocks: every pixel is there. */
  enum { ROW = 1 + 8193, ZLIB = 2 + 5 + ROW + 4 };
  file wide = {malloc(8 + 25 + 12 + ZLIB + 12), 8 + 25 + 12 + ZLIB + 12};
  uint8_t *p = wide.bytes;
  memset(p, 0, wide.n);
  memcpy(p, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x20\1\0\0\0\1\x08\0\0\0\0", 29);
  seal_chunk(wide, 8, 13);
  put_be32(p + 33, ZLIB);
  memcpy(p + 37, "IDAT\x78\1\1", 7);
  p[44] = ROW & 255, p[45] = ROW >> 8, p[46] = ~ROW & 255, p[47] = (~ROW >> 8) & 255;
  seal_chunk(wide, 33, ZLIB);
  memcpy(p + 33 + 12 + ZLIB + 4, "IEND", 4);
  seal_chunk(wide, 33 + 12 + ZLIB, 0);
  tsr_error err = {0};
  CHECK_INT(decode_status(wide, &err), TSR_ERR_IMAGE_TOO_LARGE);
  put_be32(p + 16, 8192); /* one pixel fewer: the same file is fine, so it was the limit that refused it */
  seal_chunk(wide, 8, 13);
  CHECK_INT(decode_status(wide, &err), TSR_OK);
  free(wide.bytes);

  file f = read_golden("rgb8.png");
  int w = 0, h = 0;
  tsr_error_clear(&err);
  CHECK_INT(tsr_image_size(&err, f.bytes, 33, &w, &h), TSR_OK); /* the header is enough for the size */
  CHECK(w == 19 && h == 13);
  put_be32(f.bytes + 16, 8193);
  seal_chunk(f, 8, 13);
  CHECK_INT(tsr_image_size(&err, f.bytes, 33, &w, &h), TSR_ERR_IMAGE_TOO_LARGE);
  tsr_error_clear(&err);
  CHECK_INT(tsr_image_size(&err, f.bytes, TSR_IMAGE_MAX_FILE_BYTES + 1u, &w, &h), TSR_ERR_IMAGE_TOO_LARGE);
  CHECK_HAS(err.message, "33554433 bytes");
  free(f.bytes);
}

static void test_png_damage(void) {
  tsr_error err = {0};
  file f = read_golden("palette8.png");
  size_t palette = find_chunk(f, "PLTE");
  f.bytes[palette + 8] ^= 1;
  CHECK_INT(decode_status(f, &err), TSR_ERR_IMAGE_CORRUPT);
  CHECK_HAS(err.message, "PLTE at byte 33 has a wrong checksum");
  f.bytes[palette + 8] ^= 1;
  /* A palette of two colours, the rest of the chunk turned into one that is ignored: pixels name missing entries. */
  uint32_t rest = 768 - 6 - 12;
  put_be32(f.bytes + palette, 6);
  seal_chunk(f, palette, 6);
  put_be32(f.bytes + palette + 18, rest);
  memcpy(f.bytes + palette + 22, "junk", 4);
  CHECK_INT(decode_status(f, &err), TSR_ERR_IMAGE_CORRUPT);
  CHECK_HAS(err.message, "but the palette has 2");
  memcpy(f.bytes + palette + 22, "Junk", 4);
  seal_chunk(f, palette + 18, rest);
  CHECK_INT(decode_status(f, &err), TSR_ERR_IMAGE_CORRUPT);
  CHECK_HAS(err.message, "unknown critical chunk Junk");
  free(f.bytes);
}

/* Cut at every twentieth of its length and one byte before its end, a file is refused; with bytes added it is not. */
static void test_cuts(void) {
  static const char *const names[] = {
      "rgb8.png",    "palette4i.png",          "grey16.png", "pillow.png", "base444.jpg", "base420.jpg",
      "restart.jpg", "progressive.jpg",        "exif6.jpg",  "grey.jpg",   "cmyk.jpg",    "one.png",
      "one.jpg",     "restart_progressive.jpg"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    file f = read_golden(names[i]);
    tsr_error err = {0};
    for (int k = 1; k <= 20; k++) {
      size_t n = k == 20 ? f.n - 1 : f.n * (size_t)k / 20;
      file cut = exact(f.bytes, n);
      if (!CHECK(decode_status(cut, &err) == TSR_ERR_IMAGE_CORRUPT))
        printf("  %s cut to %zu of %zu bytes\n", names[i], n, f.n);
      free(cut.bytes);
    }
    file longer = {malloc(f.n + 100), f.n + 100};
    memset(longer.bytes, 0xff, longer.n);
    memcpy(longer.bytes, f.bytes, f.n);
    CHECK_INT(decode_status(longer, &err), TSR_OK);
    free(longer.bytes);
    free(f.bytes);
  }
}

/* The offset of the first marker `code`, stepping from segment to segment. */
static size_t find_marker(file f, uint8_t code) {
  for (size_t at = 2; at + 4 < f.n; at += 2 + ((size_t)f.bytes[at + 2] << 8 | f.bytes[at + 3]))
    if (f.bytes[at + 1] == code) return at;
  CHECK_INT(code, -1); /* no such marker */
  return 2;
}

static void refuse_jpeg(const char *name, uint8_t marker, size_t at, uint8_t value, tsr_status code,
                        const char *words) {
  file f = read_golden(name);
  tsr_error err = {0};
  f.bytes[find_marker(f, marker) + at] = value;
  CHECK_INT(decode_status(f, &err), code);
  CHECK_HAS(err.message, words);
  free(f.bytes);
}

static void test_jpeg_damage(void) {
  /* SOF: marker 2, length 2, precision, height 2, width 2, components, then id, sampling, table of each */
  refuse_jpeg("base420.jpg", 0xc0, 1, 0xc3, TSR_ERR_IMAGE_FORMAT, "lossless");
  refuse_jpeg("base420.jpg", 0xc0, 1, 0xc9, TSR_ERR_IMAGE_FORMAT, "arithmetic");
  refuse_jpeg("base420.jpg", 0xc0, 4, 12, TSR_ERR_IMAGE_FORMAT, "more than 8 bits");
  refuse_jpeg("base420.jpg", 0xc0, 5, 0xff, TSR_ERR_IMAGE_TOO_LARGE, "8192");
  refuse_jpeg("base420.jpg", 0xc0, 7, 0x1f, TSR_ERR_IMAGE_CORRUPT, "too little data");
  refuse_jpeg("base420.jpg", 0xc0, 14, 0x32, TSR_ERR_IMAGE_FORMAT, "fractional");
  refuse_jpeg("base420.jpg", 0xc0, 13, 1, TSR_ERR_IMAGE_CORRUPT, "two components");
  refuse_jpeg("base420.jpg", 0xc0, 12, 3, TSR_ERR_IMAGE_CORRUPT, "quantization table");
  refuse_jpeg("base420.jpg", 0xc4, 5, 200, TSR_ERR_IMAGE_CORRUPT, "Huffman table");
  refuse_jpeg("base420.jpg", 0xdb, 4, 9, TSR_ERR_IMAGE_CORRUPT, "quantization table");
  refuse_jpeg("base420.jpg", 0xda, 6, 0x33, TSR_ERR_IMAGE_CORRUPT, "Huffman table was not defined");
  refuse_jpeg("base420.jpg", 0xda, 5, 77, TSR_ERR_IMAGE_CORRUPT, "not there");
  refuse_jpeg("cmyk.jpg", 0xee, 4, 'a', TSR_ERR_IMAGE_FORMAT, "no Adobe marker");
  refuse_jpeg("restart.jpg", 0xdd, 5, 4, TSR_ERR_IMAGE_CORRUPT, "restart markers");
  refuse_jpeg("base420.jpg", 0xe0, 1, 0xf0, TSR_ERR_IMAGE_CORRUPT, "unknown marker");

  file f = read_golden("restart.jpg");
  tsr_error err = {0};
  for (size_t at = find_marker(f, 0xda); at + 1 < f.n; at++)
    if (f.bytes[at] == 0xff && f.bytes[at + 1] == 0xd1) f.bytes[at + 1] = 0xd2;
  CHECK_INT(decode_status(f, &err), TSR_ERR_IMAGE_CORRUPT);
  CHECK_HAS(err.message, "out of order");
  free(f.bytes);
}

/* A picture whose one scan is there 100 times is at the limit, 150 times above it. */
static void test_scans(void) {
  file f = read_golden("grey.jpg");
  size_t scan = find_marker(f, 0xda), bytes = f.n - 2 - scan;
  tsr_error err = {0};
  for (int times = 100; times <= 150; times += 50) {
    file many = {malloc(f.n + bytes * 150), scan};
    memcpy(many.bytes, f.bytes, scan);
    for (int i = 0; i < times; i++, many.n += bytes) memcpy(many.bytes + many.n, f.bytes + scan, bytes);
    memcpy(many.bytes + many.n, "\xff\xd9", 2);
    many.n += 2;
    CHECK_INT(decode_status(many, &err), times == 100 ? TSR_OK : TSR_ERR_IMAGE_TOO_LARGE);
    if (times == 150) CHECK_HAS(err.message, "more than 100 scans");
    free(many.bytes);
  }
  free(f.bytes);
}

/* Changed bytes: any answer but a crash, a leak or an undefined operation. For PNG the checksums are made right again
 * in every second round, or nothing but the checksum would be tested. */
static void test_mutations(void) {
  static const char *const names[] = {"rgb8i.png",       "palette4.png", "rgba16.png", "pillow.png", "base420.jpg",
                                      "progressive.jpg", "restart.jpg",  "exif6.jpg",  "cmyk.jpg",   "one.jpg"};
  enum { ROUNDS = 2000, FILES = sizeof names / sizeof *names };
  uint64_t seed = 99;
  int refused = 0;
  for (int round = 0; round < ROUNDS; round++) {
    file f = read_golden(names[round % FILES]);
    int flips = 1 + (int)(check_random(&seed) % 6);
    for (int i = 0; i < flips; i++) f.bytes[check_random(&seed) % f.n] ^= (uint8_t)(1 + check_random(&seed) % 255);
    if (f.bytes[1] == 'P' && round / FILES % 2)
      for (size_t at = 8; at + 12 <= f.n;) {
        size_t length =
            (size_t)f.bytes[at] << 24 | (size_t)f.bytes[at + 1] << 16 | (size_t)f.bytes[at + 2] << 8 | f.bytes[at + 3];
        if (length > f.n - at - 12) break;
        seal_chunk(f, at, (uint32_t)length);
        at += length + 12;
      }
    tsr_error err = {0};
    refused += decode_status(f, &err) != TSR_OK;
    free(f.bytes);
  }
  CHECK(refused > ROUNDS / 4 && refused < ROUNDS); /* else the rounds test nothing */
}

/* ---- memory, arguments ---- */

/* The n-th allocation fails, for n = 1, 2, ... until none does. */
static int fail_decode(tsr_heap *heap, const file *f) {
  tsr_image image = {0};
  tsr_status status = tsr_image_decode(heap, NULL, f->bytes, f->n, &image);
  tsr_image_free(heap, &image);
  return status;
}

static void test_out_of_memory(void) {
  static const char *const names[] = {"rgb8.png",        "palette4i.png", "exif6.png", "base420.jpg",
                                      "progressive.jpg", "cmyk.jpg",      "exif6.jpg"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    file f = read_golden(names[i]);
    int failures = 0, status = TSR_ERR_OUT_OF_MEMORY;
    for (long n = 1; n < 100 && status != TSR_OK; n++) {
      tsr_heap heap = {.fail_after = n};
      status = fail_decode(&heap, &f);
      if (status != TSR_OK) {
        failures++;
        CHECK_INT(status, TSR_ERR_OUT_OF_MEMORY);
      }
      CHECK_INT(heap.in_use, 0);
    }
    CHECK(status == TSR_OK && failures >= 2);
    free(f.bytes);
  }
  static const tsr_image_spec specs[] = {
      {40, 30, 1, TSR_FILTER_BICUBIC, TSR_FIT_CROP, 0.9, {0}, {1, 1, 1}},
      {40, 30, 3, TSR_FILTER_NEAREST, TSR_FIT_SQUASH, 1, {0}, {1, 1, 1}},
      {64, 30, 3, TSR_FILTER_BOX, TSR_FIT_SQUASH, 1, {0}, {1, 1, 1}},
      {64, 50, 3, TSR_FILTER_BOX, TSR_FIT_SQUASH, 1, {0}, {1, 1, 1}},
      {64, 64, 3, TSR_FILTER_BOX, TSR_FIT_NONE, 1, {0}, {1, 1, 1}},
      {40, 64, 1, TSR_FILTER_BOX, TSR_FIT_CROP, 1, {0}, {1, 1, 1}, .shortest_edge = 30, .rescale_first = 1},
  };
  static float pixels[64 * 64 * 3];
  for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
    tsr_status status = TSR_ERR_OUT_OF_MEMORY;
    int failures = 0;
    tsr_heap heap = {0};
    tsr_image picture = random_picture(&heap, 64, 50, 3, 5);
    size_t before = heap.in_use;
    for (long n = 1; n < 100 && status != TSR_OK; n++) {
      heap.fail_after = n;
      status = tsr_image_preprocess(&heap, NULL, &picture, &specs[i], pixels);
      if (status != TSR_OK) {
        failures++;
        CHECK_INT(status, TSR_ERR_OUT_OF_MEMORY);
      }
      CHECK_INT(heap.in_use, before);
    }
    CHECK(status == TSR_OK && failures >= 1);
    heap.fail_after = 0;
    tsr_image_free(&heap, &picture);
  }
  tsr_heap small = {.limit = 10000}; /* the caller's own limit counts as memory too, whatever stb asks for */
  file f = read_golden("base420.jpg");
  CHECK_INT(fail_decode(&small, &f), TSR_ERR_OUT_OF_MEMORY);
  CHECK_INT(small.in_use, 0);
  free(f.bytes);
}

static void test_arguments(void) {
  tsr_heap heap = {0};
  tsr_image picture = random_picture(&heap, 20, 10, 3, 5), out = {0}, none = {0};
  static float pixels[3];
  const float boxes[][4] = {{-1, 0, 5, 5}, {0, 0, 21, 5},  {0, 0, 5, 10.5f}, {5, 5, 5, 6},
                            {6, 5, 5, 6},  {0, 0, NAN, 5}, {NAN, 0, 5, 5}};
  for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++)
    CHECK_INT(tsr_image_resize(&heap, NULL, &picture, 4, 4, TSR_FILTER_BOX, boxes[i], &out), TSR_ERR_ARGUMENT);
  CHECK_INT(tsr_image_resize(&heap, NULL, &picture, 0, 4, TSR_FILTER_BOX, NULL, &out), TSR_ERR_ARGUMENT);
  CHECK_INT(tsr_image_resize(&heap, NULL, &picture, 4, 8193, TSR_FILTER_BOX, NULL, &out), TSR_ERR_ARGUMENT);
  CHECK_INT(tsr_image_resize(&heap, NULL, &picture, 4, 4, (tsr_filter)6, NULL, &out), TSR_ERR_ARGUMENT);
  CHECK_INT(tsr_image_resize(&heap, NULL, &none, 4, 4, TSR_FILTER_BOX, NULL, &out), TSR_ERR_ARGUMENT);
  CHECK_INT(tsr_image_resize(&heap, NULL, &picture, 4, 4, TSR_FILTER_BOX, NULL, &picture), TSR_ERR_ARGUMENT);
  const tsr_image_spec good = {1, 1, 3, TSR_FILTER_BICUBIC, TSR_FIT_CROP, 1, {0}, {1, 1, 1}};
  CHECK_INT(tsr_image_preprocess(&heap, NULL, &picture, &good, pixels), TSR_OK);
  for (int i = 0; i < 12; i++) {
    tsr_image_spec bad = good;
    if (i == 0) bad.width = 0;
    if (i == 1) bad.height = 8193;
    if (i == 2) bad.channels = 2;
    if (i == 3) bad.crop_pct = 0;
    if (i == 4) bad.crop_pct = 4.5;
    if (i == 5) bad.crop_pct = 1e-9;
    if (i == 6) bad.std[2] = 0;
    if (i == 7) bad.mean[0] = NAN;
    if (i == 8) bad.filter = (tsr_filter)-1;
    if (i == 9) bad.fit = TSR_FIT_NATIVE;
    if (i == 10) bad.std[1] = INFINITY;
    if (i == 11) bad.fit = TSR_FIT_BORDER, bad.crop_pct = NAN;
    CHECK_INT(tsr_image_preprocess(&heap, NULL, &picture, &bad, pixels), TSR_ERR_ARGUMENT);
  }
  file f = read_golden("one.png");
  CHECK_INT(tsr_image_decode(&heap, NULL, f.bytes, f.n, &picture), TSR_ERR_ARGUMENT);
  free(f.bytes);
  tsr_image_free(&heap, &picture);
  CHECK_INT(heap.in_use, 0);
}

int main(int argc, char **argv) {
  int verbose = argc > 1 && !strcmp(argv[argc - 1], "-v");
  if (argc > 1 + verbose) folder = argv[1];
  test_resize();
  test_fit();
  test_fit_hub();
  test_crop_pct();
  test_floats();
  test_fit_thin();
  test_orient();
  test_decode(verbose);
  test_formats();
  test_limits();
  test_png_damage();
  test_cuts();
  test_jpeg_damage();
  test_scans();
  test_mutations();
  test_out_of_memory();
  test_arguments();
  return check_done("image");
}
