/* From the bytes of a photo to a model's input: decode, orient, resize, normalise.
 *
 *   tsr_image photo = {0};
 *   tsr_image_decode(&heap, &err, bytes, n, &photo);      // RGB, EXIF orientation applied
 *   tsr_image_preprocess(&heap, &err, &photo, &spec, pixels);   // f32 [3,H,W]
 *   tsr_image_free(&heap, &photo);
 *
 * Pixels equal those of Pillow 13 for resizing, fitting and every PNG but 16-bit grey (Pillow's convert('RGB') clips
 * that to white, here the high byte is kept). A JPEG differs a little from libjpeg-turbo, as any two decoders do:
 * at most 3 of 255 on the golden files, 0.2 on average with 4:2:2 and below 0.1 otherwise. */
#ifndef TSR_IMAGE_H
#define TSR_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum {
  TSR_IMAGE_MAX_SIDE = 8192,
  TSR_IMAGE_MAX_FILE_BYTES = 32 * 1024 * 1024,
  TSR_IMAGE_MAX_PIXELS = 40 * 1000 * 1000,
  TSR_IMAGE_MAX_SCANS = 100
};

/* width x height x channels bytes, rows from the top, no padding; owned by whoever holds the struct. */
typedef struct tsr_image {
  uint8_t *pixels;
  int width, height, channels;
} tsr_image;

typedef enum tsr_filter {
  TSR_FILTER_NEAREST,
  TSR_FILTER_BILINEAR,
  TSR_FILTER_BICUBIC,
  TSR_FILTER_LANCZOS,
  TSR_FILTER_BOX
} tsr_filter;

/* How the picture is fitted to the size: SQUASH resizes to width x height whatever the aspect; CROP resizes the shorter
 * side to floor(size / crop_pct), as timm's eval transform does, and cuts the centre with the rounding of torchvision's
 * CenterCrop; for non-square targets as timm's ResizeKeepRatio + CenterCrop ('center' crop mode), but with the filter
 * asked for. The resized picture is never smaller than the target, as crop_pct is at most 1, so nothing is padded. */
typedef enum tsr_fit { TSR_FIT_CROP, TSR_FIT_SQUASH } tsr_fit;

typedef struct tsr_image_spec {
  int width, height, channels; /* channels 3 (RGB) or 1 (Pillow's convert('L')) */
  tsr_filter filter;
  tsr_fit fit;
  float crop_pct;              /* in (0, 1]; used with CROP; taken as the decimal of up to six places that was meant */
  float mean[3], std[3];       /* of pixels scaled to 0..1 */
} tsr_image_spec;

/* The size, of whole patches, for a model that takes any: spec's width and height are the most, max_patches the most in all. As near to the
 * picture's own as that allows: it is not enlarged, a larger one keeps its aspect ratio to the nearest patch. Sets spec's width and height. */
void tsr_image_native_size(const tsr_image *image, int patch, int max_patches, tsr_image_spec *spec);

/* Width and height from a JPEG or PNG header, before EXIF orientation, without decoding.
 * Errors as tsr_image_decode. */
tsr_status tsr_image_size(tsr_error *err, const void *bytes, size_t n, int *width, int *height);

/* Decodes a JPEG or PNG to 8-bit RGB (alpha dropped as Pillow's convert('RGB') does, grey spread, 16 bit reduced,
 * palette resolved), with EXIF orientation applied. *out must be empty; on failure it stays empty.
 * TSR_ERR_IMAGE_FORMAT (not a JPEG or PNG; says what it looks like: GIF, WebP, AVIF, text, empty; or a kind of JPEG
 * that is not decoded: arithmetic, lossless, 12 bit, four components without an Adobe marker),
 * TSR_ERR_IMAGE_TOO_LARGE (side, pixels, file bytes or scans over the limits: names the limit),
 * TSR_ERR_IMAGE_CORRUPT (truncated, bad chunk or marker), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_decode(tsr_heap *heap, tsr_error *err, const void *bytes, size_t n, tsr_image *out);

/* Applies an EXIF orientation (1..8; others: nothing) in place, exchanging width and height where it turns. */
tsr_status tsr_image_orient(tsr_heap *heap, tsr_error *err, tsr_image *image, int orientation);

/* Pillow's Image.resize((width, height), filter, box), 8 bit per channel; box = {left, top, right, bottom} or NULL for
 * the whole; an empty box is refused. Of 4 channels each is filtered on its own: Pillow's RGBX, not RGBA, which it
 * multiplies by alpha first. *out must be empty. TSR_ERR_ARGUMENT (size or box out of range), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_resize(tsr_heap *heap, tsr_error *err, const tsr_image *image, int width, int height,
                            tsr_filter filter, const float box[4], tsr_image *out);

/* Convert to spec->channels, fit, scale to 0..1, normalise: out is f32 [channels, height, width], (v/255 - mean) / std.
 * Converts before it fits, as Image.open(f).convert('L') does. `image` may have 1 to 4 channels (alpha is dropped).
 * TSR_ERR_ARGUMENT (spec out of range), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_preprocess(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                                float *out);

/* The same up to scaling: the converted, resized and cropped 8-bit picture, spec->width x spec->height with
 * spec->channels. *out must be empty. Errors as tsr_image_preprocess. */
tsr_status tsr_image_fit(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                         tsr_image *out);

void tsr_image_free(tsr_heap *heap, tsr_image *image);

#endif
