/* Preprocessing of an image to a model's input: convert colours, fit, scale, normalise. The reference is timm's
 * evaluation transform, with torchvision's Resize and CenterCrop on a Pillow image, after Image.convert(). Tests
 * compare with Pillow. */
#include "resize.h"

#include <math.h>
#include <string.h>

const char *const tsr_filter_names[] = {"nearest", "bilinear", "bicubic", "lanczos", "box", NULL};

enum {
  MAX_SCALED_SIDE = 32768
}; /* of size / crop_pct; the longer side is up to 8192 times that, which fits TSR_RESIZE_MAX_TARGET */

/* Python's round(): halves go to the even neighbour. rint() does that in the default rounding mode. */
static int round_even(double x) { return (int)rint(x); }

/* floor(size / crop_pct), with crop_pct rounded to six decimals, because 0.8 as a float is 0.800000012 and
 * 224 / 0.800000012 is below 280. */
static double scaled_side(int size, float crop_pct) { return floor(size / (round((double)crop_pct * 1e6) / 1e6)); }

static tsr_status check_spec(tsr_error *err, const tsr_image_spec *spec) {
  if (spec->width < 1 || spec->height < 1 || spec->width > TSR_IMAGE_MAX_SIDE || spec->height > TSR_IMAGE_MAX_SIDE)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: the size is %d x %d, expected sides of 1 to %d",
                         spec->width, spec->height, TSR_IMAGE_MAX_SIDE);
  if (spec->channels != 1 && spec->channels != 3)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: %d channels, expected 1 or 3", spec->channels);
  if ((unsigned)spec->filter > TSR_FILTER_BOX || (unsigned)spec->fit > TSR_FIT_SQUASH)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: filter %d and fit %d, expected 0 to %d and 0 to %d",
                         (int)spec->filter, (int)spec->fit, TSR_FILTER_BOX, TSR_FIT_SQUASH);
  if (spec->fit == TSR_FIT_SQUASH) return TSR_OK;
  if (!(spec->crop_pct > 0 && spec->crop_pct <= 1))
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "preprocess: crop_pct is %g, expected above 0 and at most 1",
                         (double)spec->crop_pct);
  /* Written so that infinity, from a crop_pct that rounds to 0, is also refused. */
  if (!(scaled_side(spec->width, spec->crop_pct) <= MAX_SCALED_SIDE &&
        scaled_side(spec->height, spec->crop_pct) <= MAX_SCALED_SIDE))
    return tsr_error_set(err, TSR_ERR_ARGUMENT,
                         "preprocess: crop_pct %g of %d x %d means an image of more than %d pixels a side",
                         (double)spec->crop_pct, spec->width, spec->height, MAX_SCALED_SIDE);
  return TSR_OK;
}

/* The size to which CROP resizes the whole image. It is never smaller than the target, because crop_pct is at most
 * 1. */
static void crop_size(const tsr_image *image, const tsr_image_spec *spec, int *width, int *height) {
  double scaled_w = scaled_side(spec->width, spec->crop_pct), scaled_h = scaled_side(spec->height, spec->crop_pct);
  int w = image->width, h = image->height;
  if (scaled_w == scaled_h) { /* torchvision's Resize(int): the longer side is rounded down */
    *width = w <= h ? (int)scaled_w : (int)(scaled_w * w / h);
    *height = w <= h ? (int)(scaled_w * h / w) : (int)scaled_w;
  } else { /* timm's ResizeKeepRatio: the ratio is rounded first */
    double ratio_w = w / scaled_w, ratio_h = h / scaled_h;
    double ratio = ratio_w < ratio_h ? ratio_w : ratio_h;
    *width = round_even(w / ratio), *height = round_even(h / ratio);
  }
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

/* Pillow's convert: RGB(A) to L by fixed-point weights, L to RGB by repetition; alpha is dropped. */
static tsr_status convert(tsr_heap *heap, tsr_error *err, const tsr_image *image, int channels, tsr_image *out) {
  size_t count = (size_t)image->width * (size_t)image->height;
  uint8_t *to = tsr_heap_alloc(heap, count * (size_t)channels);
  if (!to)
    return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                         "no memory to convert a %d x %d image (%zu bytes in use); give a smaller image", image->width,
                         image->height, heap->in_use);
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

tsr_status tsr_image_fit(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                         tsr_image *out) {
  tsr_status status = tsr_image_check(err, image);
  if (status == TSR_OK) status = check_spec(err, spec);
  if (status == TSR_OK && out->pixels)
    status = tsr_error_set(err, TSR_ERR_ARGUMENT, "the image to fit into is not empty; free it first");
  if (status != TSR_OK) return status;
  tsr_image converted = {0};
  if (image->channels != spec->channels) {
    status = convert(heap, err, image, spec->channels, &converted);
    if (status != TSR_OK) return status;
    image = &converted;
  }
  int width = spec->width, height = spec->height;
  tsr_window window = {0, 0, spec->width, spec->height};
  if (spec->fit == TSR_FIT_CROP) {
    crop_size(image, spec, &width, &height);
    window.x = round_even((width - spec->width) / 2.0), window.y = round_even((height - spec->height) / 2.0);
  }
  const float box[4] = {0, 0, (float)image->width, (float)image->height};
  status = tsr_resize_window(heap, err, image, width, height, spec->filter, box, window, out);
  tsr_image_free(heap, &converted);
  return status;
}

tsr_status tsr_image_preprocess(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                                float *out) {
  for (int c = 0; c < spec->channels && c < 3; c++)
    if (!(spec->std[c] > 0) || !isfinite(spec->std[c]) || !isfinite(spec->mean[c]))
      return tsr_error_set(err, TSR_ERR_ARGUMENT,
                           "preprocess: channel %d has mean %g and std %g, expected finite numbers and std above 0", c,
                           (double)spec->mean[c], (double)spec->std[c]);
  tsr_image fitted = {0};
  tsr_status status = tsr_image_fit(heap, err, image, spec, &fitted);
  if (status != TSR_OK) return status;
  size_t count = (size_t)fitted.width * (size_t)fitted.height;
  for (int c = 0; c < fitted.channels; c++) {
    float values[256];
    for (int v = 0; v < 256; v++) values[v] = ((float)v / 255.0f - spec->mean[c]) / spec->std[c];
    const uint8_t *from = fitted.pixels + c;
    for (size_t i = 0; i < count; i++, from += fitted.channels) *out++ = values[*from];
  }
  tsr_image_free(heap, &fitted);
  return TSR_OK;
}
