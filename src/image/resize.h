/* Resizing of an image that computes only a window of the result. Private to src/image/. */
#ifndef TSR_IMAGE_RESIZE_H
#define TSR_IMAGE_RESIZE_H

#include "image.h"

/* A rectangle of the result, in pixels of the result. */
typedef struct tsr_window {
  int x, y, width, height;
} tsr_window;

enum { TSR_RESIZE_MAX_TARGET = 1 << 28 }; /* largest side of a result of which only a window is computed */

/* The pixels in `window` of Pillow's resize to width x height, without computing the others: a 1 x 8000 image resized
 * to 224 x 1792000 costs no more than 224 x 224. All arguments must be in range, and *out empty.
 * TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_resize_window(tsr_heap *heap, tsr_error *err, const tsr_image *image, int width, int height,
                             tsr_filter filter, const float box[4], tsr_window window, tsr_image *out);

/* TSR_ERR_ARGUMENT unless the image has pixels, sides of 1..TSR_IMAGE_MAX_SIDE and 1..4 channels. */
tsr_status tsr_image_check(tsr_error *err, const tsr_image *image);

#endif
