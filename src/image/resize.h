/* Resizing of an image that computes only a window of the result. Private to src/image/. */
#ifndef TSR_IMAGE_RESIZE_H
#define TSR_IMAGE_RESIZE_H

#include "image.h"

/* A rectangle of the result, in pixels of the result. */
typedef struct tsr_window {
  int x, y, width, height;
} tsr_window;

/* One direction of a resize: the source pixels that each target pixel sums, and their weights, which have
 * TSR_WEIGHT_BITS bits after the point. */
typedef struct tsr_axis {
  int count, taps;   /* target pixels; room for the weights of each */
  int *start, *used; /* [count]: first source pixel, number of source pixels */
  int32_t *weights;  /* [count, taps] */
} tsr_axis;
enum { TSR_WEIGHT_BITS = 32 - 8 - 2 };

/* Computes the weights for target pixels first .. first + count - 1 of `target`, whose source is box0 to box1 (in
 * 0..size). NEAREST has none. Returns 0 when memory is out. */
int tsr_axis_plan(tsr_heap *heap, int size, float box0, float box1, int target, int first, int count, tsr_filter filter,
                  tsr_axis *a);
void tsr_axis_free(tsr_heap *heap, tsr_axis *a);

/* The first source pixel that the axis reads, and the one after the last. Both ends increase with the target pixel. */
static inline int tsr_axis_first(const tsr_axis *a) { return a->start[0]; }
static inline int tsr_axis_end(const tsr_axis *a) { return a->start[a->count - 1] + a->used[a->count - 1]; }

enum { TSR_RESIZE_MAX_TARGET = 1 << 28 }; /* largest side of a result of which only a window is computed */

/* The pixels in `window` of Pillow's resize to width x height, without computing the others: a 1 x 8000 image resized
 * to 224 x 1792000 costs no more than 224 x 224. All arguments must be in range. Returns uint8
 * [window.height,window.width,channels], which the caller frees; NULL: no memory. */
void *tsr_resize_window(tsr_heap *heap, const tsr_image *image, int width, int height, tsr_filter filter,
                        const float box[4], tsr_window window);

/* The same as f32 of about 0..255, rounded nowhere. Not for NEAREST. */
void *tsr_resize_floats(tsr_heap *heap, const tsr_image *image, int width, int height, tsr_filter filter,
                        const float box[4], tsr_window window);

/* TSR_ERR_ARGUMENT unless the image has pixels, sides of 1..TSR_IMAGE_MAX_SIDE and 1..4 channels. */
tsr_status tsr_image_check(tsr_error *err, const tsr_image *image);

#endif
