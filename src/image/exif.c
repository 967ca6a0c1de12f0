/* The reader of the EXIF orientation, tag 0x0112 of IFD0, the only EXIF field that changes pixels. EXIF data is a small
 * TIFF file:
 *
 *   "II" or "MM"   byte order           2 bytes
 *   42             magic                2
 *   offset         of IFD0              4
 *   IFD0: count 2, then count entries of 12: tag 2, type 2, values 4, value or offset 4 */
#include "guard.h"

static uint32_t exif_u16(const uint8_t *p, int big) { return big ? tsr_be16(p) : (uint32_t)p[1] << 8 | p[0]; }

static uint32_t exif_u32(const uint8_t *p, int big) {
  return big ? tsr_be32(p) : exif_u16(p + 2, 0) << 16 | exif_u16(p, 0);
}

int tsr_exif_orientation(const uint8_t *tiff, size_t n) {
  enum { BYTE = 1, SHORT = 3, LONG = 4, ENTRY = 12 };
  if (n < 14 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M')) return 1;
  int big = tiff[0] == 'M';
  if (exif_u16(tiff + 2, big) != 42) return 1;
  size_t ifd = exif_u32(tiff + 4, big);
  if (ifd < 8 || ifd > n - 2) return 1;
  size_t count = exif_u16(tiff + ifd, big), room = (n - ifd - 2) / ENTRY;
  if (count > room) count = room; /* the block is cut: read the entries that it has */
  for (size_t i = 0; i < count; i++) {
    const uint8_t *entry = tiff + ifd + 2 + i * ENTRY;
    if (exif_u16(entry, big) != 0x0112) continue;
    if (exif_u32(entry + 4, big) != 1) return 1;
    uint32_t type = exif_u16(entry + 2, big), value = 0;
    if (type == BYTE) value = entry[8];
    if (type == SHORT) value = exif_u16(entry + 8, big);
    if (type == LONG) value = exif_u32(entry + 8, big);
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}
