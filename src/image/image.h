/* The way from the bytes of a JPEG or PNG to a model's input: decode, orient, resize, normalise.
 *
 *   tsr_image photo = {0};
 *   tsr_image_decode(&heap, &err, bytes, n, &photo);      // RGB, EXIF orientation applied
 *   tsr_image_preprocess(&heap, &err, &photo, &spec, pixels);   // f32 [3,H,W]
 *   tsr_image_free(&heap, &photo);
 *
 * Results equal Pillow 13's after resize and fit. So do decoded PNGs, except 16-bit grey: Pillow's convert('RGB')
 * clips it to white, and here the high byte is kept. A decoded JPEG differs a little from libjpeg-turbo's, as any two
 * decoders do: by at most 3 of 255 on the golden files, on average by 0.2 with 4:2:2 and by less than 0.1 otherwise. */
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
  TSR_IMAGE_MAX_SCANS = 100,
  TSR_IMAGE_MAX_CROP = 4 /* crop_pct */
};

/* An image: uint8 [height,width,channels], rows from the top, without padding. The holder of the struct owns the pixels
 * and frees them with tsr_image_free. An empty image is all zero. */
typedef struct tsr_image {
  uint8_t *pixels;
  int width, height, channels;
} tsr_image;

typedef enum tsr_filter {
  TSR_FILTER_NEAREST,
  TSR_FILTER_BILINEAR,
  TSR_FILTER_BICUBIC,
  TSR_FILTER_LANCZOS,
  TSR_FILTER_BOX,
  TSR_FILTER_HAMMING
} tsr_filter;

/* Names in files and options, in the order of tsr_filter; NULL ends them. */
extern const char *const tsr_filter_names[];

/* How the image is resized before its centre is cropped to the size.
 * CROP: the shorter side to floor(size / crop_pct), as timm's evaluation transform does, or to shortest_edge, as
 *   transformers does. A target that is not square is treated as timm's ResizeKeepRatio treats it.
 * SQUASH: to the size, or to resize_width x resize_height; the aspect ratio is lost.
 * BORDER: the longer side to floor(size / crop_pct), as timm's crop mode 'border' does.
 * NONE: not at all.
 * Where the resized image is smaller than the size, pixels of 0 surround it, with BORDER of the mean colour.
 * The fit "native" of model files is not here: model/run.c asks tsr_image_native_size for the size, and squashes. */
typedef enum tsr_fit { TSR_FIT_CROP, TSR_FIT_SQUASH, TSR_FIT_BORDER, TSR_FIT_NONE, TSR_FIT_NATIVE } tsr_fit;

/* Names in files, in the order of tsr_fit; NULL ends them. */
extern const char *const tsr_fit_names[];

typedef struct tsr_image_spec {
  int width, height, channels; /* channels 3 (RGB) or 1 (Pillow's convert('L')) */
  tsr_filter filter;
  tsr_fit fit;
  double crop_pct;                 /* in (0, TSR_IMAGE_MAX_CROP]; for CROP and BORDER */
  float mean[3], std[3];           /* of pixels scaled to 0..1 */
  int shortest_edge, longest_edge; /* for CROP, in place of crop_pct; longest_edge limits the other side; 0: none */
  int resize_width, resize_height; /* for SQUASH; 0: the size itself */
  int floor_offset;  /* half of an odd rest is rounded down, as Pillow's backend of transformers does, and not to even,
                        as torchvision does */
  int bgr;           /* the floats' channels are blue, green, red; so are mean and std */
  int rescale_first; /* the floats are not rounded to 8 bits: DINOv3 rescales before it resizes */
} tsr_image_spec;

/* Sets spec's width and height to a size in whole patches of `patch` pixels, for a model that takes any size. spec's
 * width and height before the call are the largest sides, max_patches is the largest number of patches. Within these
 * limits the size is the nearest to the image's own: an image is not enlarged, and a larger one keeps its aspect ratio
 * to the nearest patch. */
void tsr_image_native_size(const tsr_image *image, int patch, int max_patches, tsr_image_spec *spec);

/* Reads width and height from a JPEG or PNG header, before EXIF orientation, without decoding. Errors are those of
 * tsr_image_decode. */
tsr_status tsr_image_size(tsr_error *err, const void *bytes, size_t n, int *width, int *height);

/* Decodes a JPEG or PNG file of n bytes to 8-bit RGB with its EXIF orientation applied. Alpha is dropped, as Pillow's
 * convert('RGB') does; grey is spread to RGB, 16 bits are reduced to 8, a palette is looked up. *out must be empty and
 * stays empty on failure.
 *   TSR_ERR_IMAGE_FORMAT: not a JPEG or PNG (the message says what it looks like: GIF, WebP, AVIF, text, empty), or a
 *     kind of JPEG that is not decoded (arithmetic coding, lossless, 12 bit, four components without an Adobe marker).
 *   TSR_ERR_IMAGE_TOO_LARGE: side, pixels, file bytes or scans exceed a limit (the message names the limit).
 *   TSR_ERR_IMAGE_CORRUPT: truncated, or a bad chunk or marker.
 *   TSR_ERR_ARGUMENT: *out is not empty. TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_decode(tsr_heap *heap, tsr_error *err, const void *bytes, size_t n, tsr_image *out);

/* Applies an EXIF orientation (1..8; other numbers change nothing) in place. It exchanges width and height where the
 * image turns. TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_orient(tsr_heap *heap, tsr_error *err, tsr_image *image, int orientation);

/* Pillow's Image.resize((width, height), filter, box), with 8 bits per channel. box is {left, top, right, bottom}, or
 * NULL for the whole image. With 4 channels each is filtered separately, as in Pillow's RGBX; for RGBA Pillow
 * multiplies by alpha first. *out must be empty. TSR_ERR_ARGUMENT (size or filter out of range, an empty box or one
 * outside the image, *out not empty), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_resize(tsr_heap *heap, tsr_error *err, const tsr_image *image, int width, int height,
                            tsr_filter filter, const float box[4], tsr_image *out);

/* Converts to spec->channels, fits and normalises: out f32 [channels,height,width] = (v / 255 - mean) / std, where v is
 * 0..255. Converts before it fits, as Image.open(f).convert('L') does. `image` may have 1 to 4 channels; alpha is
 * dropped. TSR_ERR_ARGUMENT (spec out of range), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_image_preprocess(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                                float *out);

/* The same without normalising: *out gets the converted, resized and cropped 8-bit image, uint8 [height,width,channels]
 * of spec, in RGB. *out must be empty. Errors are those of tsr_image_preprocess. */
tsr_status tsr_image_fit(tsr_heap *heap, tsr_error *err, const tsr_image *image, const tsr_image_spec *spec,
                         tsr_image *out);

/* Frees the pixels and makes the image empty. */
void tsr_image_free(tsr_heap *heap, tsr_image *image);

#endif
