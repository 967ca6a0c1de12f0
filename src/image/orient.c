/* The EXIF orientation applied to the pixels. The number says how to turn the stored image so that it is upright:
 *
 *   1 as it is   2 mirrored   3 turned by 180   4 flipped top to bottom
 *   5 transposed 6 turn right by 90   7 transposed the other way   8 turn left by 90 */
#include "image.h"

#include <string.h>

tsr_status tsr_image_orient(tsr_heap *heap, tsr_error *err, tsr_image *image, int orientation) {
  enum { TILE = 64 }; /* columns at a time, so that the source lines of a transposition stay in the cache */
  if (!image->pixels || orientation < 2 || orientation > 8) return TSR_OK;
  int turned = orientation >= 5;
  int width = turned ? image->height : image->width, height = turned ? image->width : image->height;
  size_t pixel = (size_t)image->channels;
  uint8_t *fresh = tsr_heap_calloc(heap, (size_t)width * (size_t)height, pixel);
  if (!fresh)
    return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                         "no memory to turn a %d x %d image (%zu bytes in use); give a smaller image", image->width,
                         image->height, heap->in_use);
  /* Where the new top left pixel comes from, and how the source position changes for a step right and a step down. */
  int from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  int from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  ptrdiff_t along = (ptrdiff_t)pixel * (from_right ? -1 : 1);
  ptrdiff_t down = (ptrdiff_t)pixel * image->width * (from_bottom ? -1 : 1);
  const uint8_t *origin = image->pixels + (from_right ? pixel * (size_t)(image->width - 1) : 0) +
                          (from_bottom ? pixel * (size_t)image->width * (size_t)(image->height - 1) : 0);
  ptrdiff_t step_x = turned ? down : along, step_y = turned ? along : down;
  for (int x0 = 0; x0 < width; x0 += TILE) {
    int x1 = x0 + TILE < width ? x0 + TILE : width;
    for (int y = 0; y < height; y++) {
      uint8_t *to = fresh + ((size_t)y * (size_t)width + (size_t)x0) * pixel;
      for (int x = x0; x < x1; x++, to += pixel) memcpy(to, origin + x * step_x + y * step_y, pixel);
    }
  }
  tsr_heap_free(heap, image->pixels);
  *image = (tsr_image){fresh, width, height, image->channels};
  return TSR_OK;
}
