/* Decoding of an image file: guard, decoder, orientation. */
#include "guard.h"

void tsr_image_free(tsr_heap *heap, tsr_image *image) {
  tsr_heap_free(heap, image->pixels);
  *image = (tsr_image){0};
}

tsr_status tsr_image_size(tsr_error *err, const void *bytes, size_t n, int *width, int *height) {
  tsr_image_info info;
  tsr_status status = tsr_guard_read(err, bytes, n, TSR_GUARD_HEADER, &info);
  if (status == TSR_OK) *width = info.width, *height = info.height;
  return status;
}

tsr_status tsr_image_decode(tsr_heap *heap, tsr_error *err, const void *bytes, size_t n, tsr_image *out) {
  if (out->pixels) return tsr_error_set(err, TSR_ERR_ARGUMENT, "the image to decode into is not empty; free it first");
  tsr_image_info info;
  tsr_status status = tsr_guard_read(err, bytes, n, TSR_GUARD_FILE, &info);
  if (status != TSR_OK) return status;
  tsr_image image = {0};
  if (info.kind == TSR_IMAGE_PNG) status = tsr_png_decode(heap, err, bytes, &info, &image);
  else status = tsr_stb_jpeg(heap, err, bytes, n, &info, &image);
  if (status != TSR_OK) return status;
  const uint8_t *tiff = (const uint8_t *)bytes + info.exif_at;
  status = tsr_image_orient(heap, err, &image, tsr_exif_orientation(tiff, info.exif_bytes));
  if (status == TSR_OK) *out = image;
  else tsr_image_free(heap, &image);
  return status;
}
