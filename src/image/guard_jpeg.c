/* The guard of JPEG, which reads the markers in the same way as stb_image does (ITU-T T.81, Annex B), so that both
 * agree on the content of the file. stb treats a broken marker after the frame header as the end of a good image, fills
 * missing data with grey, and decodes any number of scans. The guard refuses all of that. */
#include "guard.h"

#include <string.h>

enum {
  SOF0 = 0xc0,
  SOF2 = 0xc2,
  DHT = 0xc4,
  JPG = 0xc8,
  DAC = 0xcc,
  SOF15 = 0xcf,
  RST0 = 0xd0,
  RST7 = 0xd7,
  SOI = 0xd8,
  EOI = 0xd9,
  SOS = 0xda,
  DQT = 0xdb,
  DRI = 0xdd,
  APP0 = 0xe0,
  APP1 = 0xe1,
  APP14 = 0xee,
  APP15 = 0xef,
  COM = 0xfe
};

typedef struct jpeg_component {
  uint8_t id, h, v, table;
  int seen; /* 1 once a scan had its DC coefficients, not only a refinement of them */
} jpeg_component;

typedef struct jpeg_walk {
  tsr_error *err;
  const uint8_t *bytes;
  size_t n, at; /* at: offset of the next byte to read */
  tsr_image_info *info;
  const uint8_t *segment; /* the content of the current segment, without marker and length */
  size_t segment_bytes;
  int framed, progressive, components;
  jpeg_component component[4];
  int h_max, v_max;
  unsigned quantizers, dc_tables, ac_tables; /* the tables defined so far, a bit each */
  int restart, scans, adobe; /* restart interval in MCUs; adobe: colour transform of the Adobe marker, -1 without one */
} jpeg_walk;

static tsr_status corrupt(jpeg_walk *w, const char *what) {
  return tsr_error_set(w->err, TSR_ERR_IMAGE_CORRUPT, "JPEG: %s, at byte %zu; fetch or save the file again", what,
                       w->at);
}

static tsr_status unsupported(jpeg_walk *w, const char *what) {
  return tsr_error_set(
      w->err, TSR_ERR_IMAGE_FORMAT,
      "the image is a JPEG %s, which is not decoded here; convert it to a usual JPEG or PNG, or pass a decode option",
      what);
}

/* Reads a marker: 0xff, any number of 0xff, the code. Before the frame header it skips junk, as every decoder does. */
static tsr_status next_marker(jpeg_walk *w, int *marker) {
  while (!w->framed && w->at < w->n && w->bytes[w->at] != 0xff) w->at++;
  if (w->at < w->n && w->bytes[w->at] != 0xff) return corrupt(w, "no marker where one should be");
  while (w->at < w->n && w->bytes[w->at] == 0xff) w->at++;
  if (w->at >= w->n) return corrupt(w, "the file ends before its end-of-image marker (truncated)");
  *marker = w->bytes[w->at++];
  return TSR_OK;
}

static tsr_status next_segment(jpeg_walk *w) {
  size_t left = w->n - w->at;
  size_t length = left < 2 ? 0 : tsr_be16(w->bytes + w->at);
  if (left < 2 || length > left) return corrupt(w, "a segment runs past the end of the file (truncated)");
  if (length < 2) return corrupt(w, "a segment has a length below 2");
  w->segment = w->bytes + w->at + 2;
  w->segment_bytes = length - 2;
  w->at += length;
  return TSR_OK;
}

static tsr_status read_quantizers(jpeg_walk *w) {
  const uint8_t *p = w->segment, *end = p + w->segment_bytes;
  while (p < end) {
    size_t bytes = *p >> 4 ? 129 : 65;
    if (*p >> 4 > 1 || (*p & 15) > 3 || (size_t)(end - p) < bytes) return corrupt(w, "a broken quantization table");
    w->quantizers |= 1u << (*p & 15);
    p += bytes;
  }
  return TSR_OK;
}

static tsr_status read_huffman(jpeg_walk *w) {
  const uint8_t *p = w->segment, *end = p + w->segment_bytes;
  while (p < end) {
    int kind = *p >> 4, slot = *p & 15;
    size_t symbols = 0;
    uint32_t code = 0;
    if (kind > 1 || slot > 3 || end - p < 17) return corrupt(w, "a broken Huffman table");
    for (int length = 1; length <= 16; length++) {
      symbols += p[length];
      code += p[length];
      if (code > 1u << length) return corrupt(w, "a Huffman table with more codes than fit");
      code <<= 1;
    }
    if (symbols > 256 || (size_t)(end - p) < 17 + symbols) return corrupt(w, "a broken Huffman table");
    *(kind ? &w->ac_tables : &w->dc_tables) |= 1u << slot;
    p += 17 + symbols;
  }
  return TSR_OK;
}

static void read_app(jpeg_walk *w, int marker) {
  if (marker == APP1 && w->segment_bytes > 6 && !memcmp(w->segment, "Exif\0", 6) && !w->info->exif_bytes) {
    w->info->exif_at = (size_t)(w->segment + 6 - w->bytes);
    w->info->exif_bytes = w->segment_bytes - 6;
  }
  if (marker == APP14 && w->segment_bytes >= 12 && !memcmp(w->segment, "Adobe\0", 6)) w->adobe = w->segment[11];
}

static tsr_status read_frame(jpeg_walk *w, int marker) {
  const uint8_t *s = w->segment;
  if (w->framed) return corrupt(w, "a second frame header");
  if (marker > SOF2)
    return unsupported(w, marker == 0xc3 ? "with lossless coding"
                          : marker > JPG ? "with arithmetic coding"
                                         : "with hierarchical coding");
  if (w->segment_bytes < 6) return corrupt(w, "a broken frame header");
  if (s[0] != 8) return unsupported(w, "with more than 8 bits a sample");
  if (!tsr_be16(s + 1)) return unsupported(w, "without a height in its header");
  tsr_status status = tsr_guard_dimensions(w->err, tsr_be16(s + 3), tsr_be16(s + 1));
  if (status != TSR_OK) return status;
  w->info->width = (int)tsr_be16(s + 3), w->info->height = (int)tsr_be16(s + 1);
  w->components = s[5];
  if (w->components != 1 && w->components != 3 && w->components != 4)
    return unsupported(w, "with other than 1, 3 or 4 components");
  if (w->segment_bytes != 6 + 3 * (size_t)w->components) return corrupt(w, "a broken frame header");
  for (int i = 0; i < w->components; i++) {
    const uint8_t *p = s + 6 + 3 * i;
    jpeg_component *c = &w->component[i];
    *c = (jpeg_component){p[0], p[1] >> 4, p[1] & 15, p[2], 0};
    if (!c->h || c->h > 4 || !c->v || c->v > 4 || c->table > 3)
      return corrupt(w, "a broken component in the frame header");
    for (int j = 0; j < i; j++)
      if (w->component[j].id == c->id) return corrupt(w, "two components with one name");
    if (c->h > w->h_max) w->h_max = c->h;
    if (c->v > w->v_max) w->v_max = c->v;
  }
  for (int i = 0; i < w->components; i++)
    if (w->h_max % w->component[i].h || w->v_max % w->component[i].v)
      return unsupported(w, "with fractional subsampling");
  w->progressive = marker == SOF2;
  w->framed = 1;
  return TSR_OK;
}

static uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

/* Finds the components of a scan, checks their tables, and counts the scan's MCUs and 8 x 8 blocks. */
static tsr_status scan_components(jpeg_walk *w, int first, int refines, uint32_t *mcus, uint32_t *blocks) {
  const uint8_t *s = w->segment;
  int count = s[0], per_mcu = 0, used = 0;
  const jpeg_component *c = NULL;
  for (int i = 0; i < count; i++) {
    int which = 0, tables = s[2 + 2 * i];
    while (which < w->components && w->component[which].id != s[1 + 2 * i]) which++;
    if (which == w->components || used >> which & 1) return corrupt(w, "a scan of a component that is not there");
    used |= 1 << which;
    c = &w->component[which];
    per_mcu += c->h * c->v;
    if (!first && !refines) w->component[which].seen = 1;
    if (tables >> 4 > 3 || (tables & 15) > 3) return corrupt(w, "a scan with a table number above 3");
    int needs_dc = !first && !refines, needs_ac = !w->progressive || first;
    if ((needs_dc && !(w->dc_tables >> (tables >> 4) & 1)) || (needs_ac && !(w->ac_tables >> (tables & 15) & 1)))
      return corrupt(w, "a scan whose Huffman table was not defined");
  }
  uint32_t width = (uint32_t)w->info->width, height = (uint32_t)w->info->height;
  uint32_t h_max = (uint32_t)w->h_max, v_max = (uint32_t)w->v_max;
  if (count == 1) { /* not interleaved: an MCU is one block, and only blocks that contain pixels count */
    *mcus = *blocks = divide_up(divide_up(width * c->h, h_max), 8) * divide_up(divide_up(height * c->v, v_max), 8);
  } else {
    *mcus = divide_up(width, 8 * h_max) * divide_up(height, 8 * v_max);
    *blocks = *mcus * (uint32_t)per_mcu;
  }
  return TSR_OK;
}

/* Skips entropy-coded data to the next marker and checks its restart markers. `bits` is the least number of bits that
 * the scan must have, so that a few bytes cannot claim to be millions of pixels: a block of a baseline scan takes at
 * least 2 bits, one of a progressive scan's DC at least 1. */
static tsr_status skip_entropy(jpeg_walk *w, uint32_t mcus, uint64_t bits) {
  size_t begin = w->at;
  uint32_t restarts = 0, expected = w->restart ? (mcus - 1) / (uint32_t)w->restart : 0;
  for (;;) {
    const uint8_t *found = w->at < w->n ? memchr(w->bytes + w->at, 0xff, w->n - w->at) : NULL;
    size_t at = found ? (size_t)(found - w->bytes) : w->n, code = at;
    while (code < w->n && w->bytes[code] == 0xff) code++;
    if (code >= w->n) {
      w->at = w->n;
      return corrupt(w, "the file ends inside a scan (truncated)");
    }
    w->at = at;
    if (w->bytes[code] == 0) {
      w->at = code + 1;
    } else if (w->bytes[code] >= RST0 && w->bytes[code] <= RST7) {
      if (w->bytes[code] != RST0 + restarts % 8) return corrupt(w, "a restart marker out of order");
      restarts++;
      w->at = code + 1;
    } else {
      break;
    }
  }
  /* Some encoders write a restart marker after the last MCU, where one would be if more MCUs followed. */
  if (w->restart && mcus % (uint32_t)w->restart == 0 && restarts == expected + 1) expected++;
  if (restarts != expected) return corrupt(w, "restart markers are missing or too many");
  if ((uint64_t)(w->at - begin) * 8 < bits) return corrupt(w, "a scan with too little data for the size of the image");
  return TSR_OK;
}

static tsr_status read_scan(jpeg_walk *w) {
  const uint8_t *s = w->segment;
  if (!w->framed) return corrupt(w, "a scan before the frame header");
  if (w->segment_bytes < 1 || s[0] < 1 || s[0] > w->components || w->segment_bytes != 4 + 2 * (size_t)s[0])
    return corrupt(w, "a broken scan header");
  if (++w->scans > TSR_IMAGE_MAX_SCANS)
    return tsr_error_set(w->err, TSR_ERR_IMAGE_TOO_LARGE, "the JPEG has more than %d scans, the limit; save it again",
                         TSR_IMAGE_MAX_SCANS);
  const uint8_t *spectral = s + 1 + 2 * s[0];
  int first = spectral[0], last = spectral[1], refines = spectral[2] >> 4, low = spectral[2] & 15;
  if (!w->progressive)
    first = 0, last = 63, refines = 0, low = 0; /* some encoders write other numbers, which have no meaning here */
  else if (first > last || last > 63 || (!first && last) || (first && s[0] != 1) || refines > 13 || low > 13)
    return corrupt(w, "a progressive scan with broken limits");
  if (!w->progressive && (spectral[0] || spectral[2])) return corrupt(w, "a baseline scan with broken limits");
  uint32_t mcus = 0, blocks = 0;
  tsr_status status = scan_components(w, first, refines, &mcus, &blocks);
  if (status != TSR_OK) return status;
  return skip_entropy(w, mcus, first ? 1 : (uint64_t)blocks * (w->progressive ? 1 : 2));
}

static tsr_status read_end(jpeg_walk *w) {
  if (!w->scans) return corrupt(w, "no scan");
  for (int i = 0; i < w->components; i++) {
    if (!w->component[i].seen) return corrupt(w, "a component without a scan");
    if (!(w->quantizers >> w->component[i].table & 1)) return corrupt(w, "a component without a quantization table");
  }
  /* With four components Pillow assumes Adobe's inverted inks; stb assumes them only with the marker. */
  if (w->components == 4 && w->adobe != 0 && w->adobe != 2)
    return unsupported(w, "with four components and no Adobe marker");
  return TSR_OK;
}

static tsr_status read_marker(jpeg_walk *w, int marker) {
  tsr_status status = next_segment(w);
  if (status != TSR_OK) return status;
  if (marker == DQT) return read_quantizers(w);
  if (marker == DHT) return read_huffman(w);
  if (marker == SOS) return read_scan(w);
  if (marker == DAC) return unsupported(w, "with arithmetic coding");
  if (marker >= SOF0 && marker <= SOF15 && marker != JPG) return read_frame(w, marker);
  if (marker == DRI) {
    if (w->segment_bytes != 2) return corrupt(w, "a broken restart interval");
    w->restart = (int)tsr_be16(w->segment);
    return TSR_OK;
  }
  if (marker >= APP0 && marker <= APP15) read_app(w, marker);
  else if (marker != COM) return corrupt(w, "an unknown marker");
  return TSR_OK;
}

tsr_status tsr_guard_jpeg(tsr_error *err, const uint8_t *bytes, size_t n, tsr_guard_depth depth, tsr_image_info *info) {
  info->kind = TSR_IMAGE_JPEG;
  jpeg_walk w = {.err = err, .bytes = bytes, .n = n, .at = 2, .info = info, .adobe = -1};
  if (n < 4)
    return tsr_error_set(err, TSR_ERR_IMAGE_CORRUPT, "JPEG: the file has %zu bytes; it is truncated, fetch it anew", n);
  for (;;) {
    int marker = 0;
    tsr_status status = next_marker(&w, &marker);
    if (status == TSR_OK && marker == EOI) return read_end(&w);
    if (status == TSR_OK) status = read_marker(&w, marker);
    if (status != TSR_OK) return status;
    if (w.framed && depth == TSR_GUARD_HEADER) return TSR_OK;
  }
}
