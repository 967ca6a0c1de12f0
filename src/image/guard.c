/* The check of an image's size against the limits, for guard_png.c and guard_jpeg.c. */
#include "guard.h"

tsr_status tsr_guard_dimensions(tsr_error *err, uint32_t width, uint32_t height) {
  if (!width || !height)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT, "the image says it is %u x %u pixels; save it again",
                         (unsigned)width, (unsigned)height);
  if (width > TSR_IMAGE_MAX_SIDE || height > TSR_IMAGE_MAX_SIDE)
    return tsr_error_set(err, TSR_ERR_IMAGE_TOO_LARGE,
                         "the image is %u x %u, the limit is %d pixels a side; shrink it or pass a decode option",
                         (unsigned)width, (unsigned)height, TSR_IMAGE_MAX_SIDE);
  if ((uint64_t)width * height > TSR_IMAGE_MAX_PIXELS)
    return tsr_error_set(err, TSR_ERR_IMAGE_TOO_LARGE,
                         "the image is %u x %u, the limit is %d pixels in all; shrink it or pass a decode option",
                         (unsigned)width, (unsigned)height, TSR_IMAGE_MAX_PIXELS);
  return TSR_OK;
}
