/* Preprocessing of an image to a model's input: convert colours, fit, scale, normalise. The references are timm's
 * evaluation transform, with torchvision's Resize and CenterCrop on a Pillow image, after Image.convert(), and
 * transformers' image processors with Pillow as their backend. Tests compare with all of them. */
#include "resize.h"

#include <float.h>
#include <math.h>
#include <string.h>

const char *const tsr_filter_names[] = {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming", NULL};
const char *const tsr_fit_names[] = {"crop", "squash", "border", "none", "native", NULL};

enum {
  MAX_SCALED_SIDE = 32768
}; /* of size / crop_pct; the longer side is up to 8192 times that, which fits TSR_RESIZE_MAX_TARGET */

static int is_side(int x) { return x >= 1 && x <= TSR_IMAGE_MAX_SIDE; }

static tsr_status check_spec(tsr_error *err, const tsr_image_spec *spec) {
  if (!is_side(spec->width) || !is_side(spec->height))
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: the size is %d x %d, expected sides of 1 to %d",
                         spec->width, spec->height, TSR_IMAGE_MAX_SIDE);
  if (spec->channels != 1 && spec->channels != 3)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: %d channels, expected 1 or 3", spec->channels);
  if ((unsigned)spec->filter > TSR_FILTER_HAMMING || (unsigned)spec->fit > TSR_FIT_NONE)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: filter %d and fit %d, expected 0 to %d and 0 to %d",
                         (int)spec->filter, (int)spec->fit, TSR_FILTER_HAMMING, TSR_FIT_NONE);
  double least = (spec->width > spec->height ? spec->width : spec->height) / (double)MAX_SCALED_SIDE;
  if (!(spec->crop_pct >= least && spec->crop_pct <= TSR_IMAGE_MAX_CROP) &&
      (spec->fit == TSR_FIT_CROP || spec->fit == TSR_FIT_BORDER))
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: crop_pct is %g, expected %g to %d for a size of %d x %d",
                         spec->crop_pct, least, TSR_IMAGE_MAX_CROP, spec->width, spec->height);
  return TSR_OK;
}

/* One direction of a fit: the image is resized to `whole` pixels; `count` of them, from `from` on, become the result's
 * pixels from `at` on. */
typedef struct part {
  int whole, from, at, count;
} part;

static part centre(double whole, int want, int floor_offset) {
  part p = {.whole = whole < 1 ? 1 : (int)whole};
  int rest = p.whole - want, half = rest >> 1; /* of a negative number too: rounded down */
  if (!floor_offset) half = rest < 0 ? rest / 2 : (rest + (half & 1)) >> 1;
  p.from = half < 0 ? 0 : half;
  p.at = p.from - half;
  p.count = rest < 0 ? p.whole : want;
  return p;
}

static void lay_out(const tsr_image *image, const tsr_image_spec *spec, part *x, part *y) {
  double w = image->width, h = image->height, width = spec->width, height = spec->height;
  if (spec->fit == TSR_FIT_NONE) {
    width = w, height = h;
  } else if (spec->fit == TSR_FIT_SQUASH) {
    if (spec->resize_width) width = spec->resize_width, height = spec->resize_height;
  } else {
    width = floor(width / spec->crop_pct), height = floor(height / spec->crop_pct); /* as Python computes them */
    if (spec->shortest_edge) width = height = spec->shortest_edge;
    if (width == height && spec->fit == TSR_FIT_CROP) {
      /* torchvision's Resize(int) and transformers' get_size_with_aspect_ratio: round the longer side down */
      int upright = w <= h;
      double shorter = upright ? w : h, longer = upright ? h : w, exact = width;
      if (spec->longest_edge && longer / shorter * exact > spec->longest_edge)
        exact = spec->longest_edge * shorter / longer;
      double edge = rint(exact);
      if (edge != shorter) longer = floor(exact * longer / shorter);
      width = upright ? edge : longer, height = upright ? longer : edge;
    } else { /* timm's ResizeKeepRatio: rounds the ratio first; rint is Python's round() */
      double across = w / width, down = h / height;
      double ratio = (across < down) == (spec->fit == TSR_FIT_CROP) ? across : down;
      width = rint(w / ratio), height = rint(h / ratio);
    }
  }
  *x = centre(width, spec->width, spec->floor_offset);
  *y = centre(height, spec->height, spec->floor_offset);
}

static int patches_in(double side, int patch, int most) {
  double count = floor(side / patch + 0.5);
  return count < 1 ? 1 : count > most ? most : (int)count;
}

void tsr_image_native_size(const tsr_image *image, int patch, int max_patches, tsr_image_spec *spec) {
  int most_rows = spec->height / patch, most_columns = spec->width / patch;
  double w = image->width, h = image->height, scale = fmin(1, sqrt((double)max_patches * patch * patch / (w * h)));
  scale = fmin(scale, fmin(spec->width / w, spec->height / h));
  int rows = patches_in(h * scale, patch, most_rows), columns = patches_in(w * scale, patch, most_columns);
  while (rows * columns > max_patches) { /* rounding gave too many: shortens the side that was rounded up more */
    if (rows * w >= columns * h) rows--;
    else columns--;
  }
  spec->width = columns * patch, spec->height = rows * patch;
}

static tsr_status no_memory(tsr_heap *heap, tsr_error *err, const char *verb, const tsr_image *image) {
  return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                       "no memory to %s a %d x %d image (%zu bytes in use); give a smaller image", verb, image->width,
                       image->height, heap->in_use);
}

/* Pillow's convert: RGB(A) to L by fixed-point weights, L to RGB by repetition; alpha is dropped. */
static tsr_status convert(tsr_heap *heap, tsr_error *err, const tsr_image *image, int channels, tsr_image *out) {
  size_t count = (size_t)image->width * (size_t)image->height;
  uint8_t *to = tsr_heap_alloc(heap, count * (size_t)channels);
  if (!to) return no_memory(heap, err, "convert", image);
  *out = (tsr_image){to, image->width, image->height, channels};
  const uint8_t *from = image->pixels;
  int grey = image->channels < 3;
  for (size_t i = 0; i < count; i++, from += image->channels, to += channels) {
    uint8_t r = from[0], g = from[grey ? 0 : 1], b = from[grey ? 0 : 2];
    if (channels == 3) to[0] = r, to[1] = g, to[2] = b;
    else to[0] = grey ? r : (uint8_t)((r * 19595u + g * 38470u + b * 7471u + 0x8000u) >> 16);
  }
  return TSR_OK;
}

/* Surrounds pixels of `bytes` bytes with those of `fill`, up to spec's size, and frees the smaller picture. NULL: no
 * memory. */
static uint8_t *surround(tsr_heap *heap, uint8_t *pixels, size_t bytes, const uint8_t *fill, const tsr_image_spec *spec,
                         const part *x, const part *y) {
  size_t row = (size_t)spec->width * bytes, all = row * (size_t)spec->height, used = (size_t)x->count * bytes;
  if (!pixels || used * (size_t)y->count == all) return pixels;
  uint8_t *out = tsr_heap_alloc(heap, all), *to = out;
  if (out) {
    for (size_t i = 0; i < all; i++) out[i] = fill[i % bytes];
    to += (size_t)y->at * row + (size_t)x->at * bytes;
    for (int i = 0; i < y->count; i++, to += row) memcpy(to, pixels + (size_t)i * used, used);
  }
  tsr_heap_free(heap, pixels);
  return out;
}

/* Fits the image: *out gets [height,width,channels] of spec, as floats of 0..255 if `exact`, else in 8 bits. */
static tsr_status fit(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec, int exact,
                      void **out) {
  tsr_status status = tsr_image_check(err, image);
  if (status == TSR_OK) status = check_spec(err, spec);
  if (status != TSR_OK) return status;
  tsr_image converted = {0};
  if (image->channels != spec->channels) {
    status = convert(heap, err, image, spec->channels, &converted);
    if (status != TSR_OK) return status;
    image = &converted;
  }
  part x, y;
  lay_out(image, spec, &x, &y);
  const tsr_window window = {x.from, y.from, x.count, y.count};
  const float box[4] = {0, 0, (float)image->width, (float)image->height};
  uint8_t fill[3 * sizeof(float)] = {0};
  for (int c = 0; c < 3 && spec->fit == TSR_FIT_BORDER; c++) {
    float mean = rintf(255 * spec->mean[c]); /* a product of floats is a half where Python's, of decimals, is one */
    fill[c] = mean > 255 ? 255 : mean > 0 ? (uint8_t)mean : 0;
  }
  *out = surround(
      heap, (exact ? tsr_resize_floats : tsr_resize_window)(heap, image, x.whole, y.whole, spec->filter, box, window),
      (size_t)spec->channels * (exact ? sizeof(float) : 1), fill, spec, &x, &y);
  if (!*out) status = no_memory(heap, err, "fit", image);
  tsr_image_free(heap, &converted);
  return status;
}

tsr_status tsr_image_fit(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                         tsr_image *out) {
  if (out->pixels) return tsr_error_set(err, TSR_ERR_ARGUMENT, "the image to fit into is not empty; free it first");
  void *pixels = NULL;
  tsr_status status = fit(heap, err, image, spec, 0, &pixels);
  if (status == TSR_OK) *out = (tsr_image){pixels, spec->width, spec->height, spec->channels};
  return status;
}

tsr_status tsr_image_preprocess(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                                float *out) {
  for (int c = 0; c < spec->channels && c < 3; c++)
    if (!(spec->std[c] > 0 && spec->std[c] <= FLT_MAX && fabsf(spec->mean[c]) <= FLT_MAX))
      return tsr_error_set(err, TSR_ERR_ARGUMENT,
                           "preprocess: channel %d has mean %g and std %g, expected finite numbers and std above 0", c,
                           (double)spec->mean[c], (double)spec->std[c]);
  void *pixels = NULL;
  int exact = spec->rescale_first && spec->filter != TSR_FILTER_NEAREST && spec->fit != TSR_FIT_BORDER;
  tsr_status status = fit(heap, err, image, spec, exact, &pixels);
  if (status != TSR_OK) return status;
  size_t count = (size_t)spec->width * (size_t)spec->height, channels = (size_t)spec->channels;
  for (size_t c = 0; c < channels; c++) {
    size_t at = spec->bgr ? channels - 1 - c : c;
    for (size_t i = 0; i < count; i++, at += channels)
      *out++ = ((exact ? ((float *)pixels)[at] : ((uint8_t *)pixels)[at]) / 255.0f - spec->mean[c]) / spec->std[c];
  }
  tsr_heap_free(heap, pixels);
  return TSR_OK;
}
