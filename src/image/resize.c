/* The resize of Pillow for 8 bits a channel, with the same pixels.
 *
 * A target pixel is a weighted mean of source pixels around its centre. When shrinking, the filter is widened by the
 * scale, so that no source pixel is skipped. Weights are computed in double, normalised, and rounded to 22 bits after
 * the point. Each pass sums in 32-bit integers, rounds and clips to 8 bits. One pass goes across, one down; a pass that
 * would change nothing is left out. Since Pillow 13 the pass down comes first where the height shrinks much more than
 * the width (columns_first below, found by experiments and checked on every golden case). Before 13 the pass across
 * always came first, which changes some pixels by one step. NEAREST is a different algorithm, which steps through the
 * source in double. The operations and their order are Pillow's, so the bits are the same. (The sine of LANCZOS may
 * differ in its last digit from a C library's, which shows only if it survives the rounding to 22 bits.)
 * With 4 channels each is filtered separately, as in Pillow's RGBX; for RGBA Pillow multiplies by alpha first. */
#include "resize.h"

#include <math.h>
#include <string.h>

#include "base/elementary.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* because a fused multiply-add would round once where Pillow rounds twice */
#endif

enum { PRECISION_BITS = TSR_WEIGHT_BITS, ROUND = 1 << (PRECISION_BITS - 1) };

static double filter_box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double filter_bilinear(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static double filter_bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static const double PI = 3.14159265358979323846;

static double sinc(double x) {
  if (x == 0.0) return 1.0;
  x = x * PI;
  return tsr_sin(x) / x;
}

static double filter_lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

static double filter_hamming(double x) {
  const float mean = 0.54f, swing = 0.46f; /* floats in Pillow too */
  x = fabs(x);
  return x < 1.0 ? sinc(x) * (mean + swing * tsr_cos(x * PI)) : 0.0;
}

typedef struct filter_kind {
  double (*weight)(double x);
  double support; /* the weight is 0 beyond this distance */
} filter_kind;

static const filter_kind filter_kinds[] = {
    [TSR_FILTER_NEAREST] = {NULL, 0},
    [TSR_FILTER_BILINEAR] = {filter_bilinear, 1.0},
    [TSR_FILTER_BICUBIC] = {filter_bicubic, 2.0},
    [TSR_FILTER_LANCZOS] = {filter_lanczos, 3.0},
    [TSR_FILTER_BOX] = {filter_box, 0.5},
    [TSR_FILTER_HAMMING] = {filter_hamming, 1.0},
};

static int32_t to_fixed(double weight) {
  return (int32_t)(weight < 0 ? -0.5 + weight * (1 << PRECISION_BITS) : 0.5 + weight * (1 << PRECISION_BITS));
}

void tsr_axis_free(tsr_heap *heap, tsr_axis *a) {
  tsr_heap_free(heap, a->weights);
  *a = (tsr_axis){0};
}

/* One block holds weights, start and used. */
int tsr_axis_plan(tsr_heap *heap, int size, float box0, float box1, int target, int first, int count, tsr_filter filter,
                  tsr_axis *a) {
  const filter_kind *kind = &filter_kinds[filter];
  double scale = (double)(box1 - box0) / target;
  double filterscale = scale < 1.0 ? 1.0 : scale;
  double support = kind->support * filterscale;
  int taps = (int)ceil(support) * 2 + 1, overflow = 0;
  size_t words = tsr_size_mul((size_t)count, (size_t)taps + 2, &overflow);
  size_t bytes = tsr_size_mul(words, sizeof(int32_t), &overflow);
  double *row = tsr_heap_alloc(heap, (size_t)taps * sizeof(double));
  int32_t *block = row && !overflow ? tsr_heap_alloc(heap, bytes) : NULL;
  if (!block) {
    tsr_heap_free(heap, row);
    return 0;
  }
  *a = (tsr_axis){count, taps, block + (size_t)count * (size_t)taps, block + (size_t)count * (size_t)(taps + 1), block};
  for (int i = 0; i < count; i++) {
    double center = box0 + (first + i + 0.5) * scale, sum = 0.0, inverse = 1.0 / filterscale;
    int start = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    if (start < 0) start = 0;
    if (end > size) end = size;
    int used = end - start;
    for (int x = 0; x < used; x++) {
      row[x] = kind->weight((x + start - center + 0.5) * inverse);
      sum += row[x];
    }
    int32_t *weights = a->weights + (size_t)i * (size_t)taps;
    for (int x = 0; x < used; x++) weights[x] = to_fixed(sum != 0.0 ? row[x] / sum : row[x]);
    a->start[i] = start, a->used[i] = used;
  }
  tsr_heap_free(heap, row);
  return 1;
}

static inline uint8_t clip8(int32_t sum) {
  sum >>= PRECISION_BITS;
  return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* Resizes one row, from source column in_x on. `channels` is a constant at each call, so that the inner loops
 * unroll. */
static inline void row_across(const uint8_t *in, int in_x, uint8_t *out, const tsr_axis *a, const int channels) {
  for (int i = 0; i < a->count; i++, out += channels) {
    const int32_t *weights = a->weights + (size_t)i * (size_t)a->taps;
    const uint8_t *from = in + (size_t)(a->start[i] - in_x) * (size_t)channels;
    int32_t sum[4] = {ROUND, ROUND, ROUND, ROUND};
    for (int x = 0; x < a->used[i]; x++, from += channels)
      for (int c = 0; c < channels; c++) sum[c] += from[c] * weights[x];
    for (int c = 0; c < channels; c++) out[c] = clip8(sum[c]);
  }
}

/* A part of the source, whose first pixel is at column x and row y. */
typedef struct view {
  const uint8_t *pixels;
  size_t stride;
  int x, y;
} view;

/* Rows y .. y + rows - 1 of `in`, each resized to a->count pixels. NULL: no memory. */
static uint8_t *pass_across(tsr_heap *heap, view in, int y, int rows, const tsr_axis *a, int channels) {
  size_t row = (size_t)a->count * (size_t)channels;
  uint8_t *pixels = tsr_heap_alloc(heap, row * (size_t)rows), *out = pixels;
  if (!pixels) return NULL;
  const uint8_t *from = in.pixels + (size_t)(y - in.y) * in.stride;
  for (int i = 0; i < rows; i++, from += in.stride, out += row) {
    if (channels == 3) row_across(from, in.x, out, a, 3);
    else if (channels == 1) row_across(from, in.x, out, a, 1);
    else if (channels == 4) row_across(from, in.x, out, a, 4);
    else row_across(from, in.x, out, a, 2);
  }
  return pixels;
}

/* Columns x .. x + columns - 1 of `in`, each resized to a->count pixels. Goes row by row, so that the inner loop reads
 * memory in order; `sums` has one int32 for each byte of a row. NULL: no memory. */
static uint8_t *pass_down(tsr_heap *heap, view in, int x, int columns, const tsr_axis *a, int channels) {
  size_t row = (size_t)columns * (size_t)channels;
  int32_t *sums = tsr_heap_alloc(heap, row * sizeof *sums);
  uint8_t *pixels = sums ? tsr_heap_alloc(heap, row * (size_t)a->count) : NULL, *out = pixels;
  const uint8_t *source = in.pixels + (size_t)(x - in.x) * (size_t)channels;
  for (int i = 0; pixels && i < a->count; i++, out += row) {
    const int32_t *weights = a->weights + (size_t)i * (size_t)a->taps;
    for (size_t b = 0; b < row; b++) sums[b] = ROUND;
    for (int k = 0; k < a->used[i]; k++) {
      const uint8_t *from = source + (size_t)(a->start[i] + k - in.y) * in.stride;
      int32_t weight = weights[k];
      for (size_t b = 0; b < row; b++) sums[b] += from[b] * weight;
    }
    for (size_t b = 0; b < row; b++) out[b] = clip8(sums[b]);
  }
  tsr_heap_free(heap, sums);
  return pixels;
}

/* The source columns of NEAREST. Pillow adds steps up instead of multiplying, so the steps before the window are added
 * as well. If the rounding errors lead outside, the last column is taken. */
static void nearest_columns(float box0, float box1, int target, int size, int first, int count, int *columns) {
  double step = (double)(box1 - box0) / target, at = box0 + step * 0.5;
  for (int i = 0; i < first + count; i++, at += step)
    if (i >= first) columns[i - first] = at < size ? (int)at : size - 1;
}

static uint8_t *resize_nearest(tsr_heap *heap, const tsr_image *image, int width, int height, const float box[4],
                               tsr_window window) {
  size_t pixel = (size_t)image->channels;
  int *columns = tsr_heap_alloc(heap, ((size_t)window.width + (size_t)window.height) * sizeof(int));
  uint8_t *pixels = columns ? tsr_heap_calloc(heap, (size_t)window.width * (size_t)window.height, pixel) : NULL;
  if (pixels) {
    int *rows = columns + window.width;
    nearest_columns(box[0], box[2], width, image->width, window.x, window.width, columns);
    nearest_columns(box[1], box[3], height, image->height, window.y, window.height, rows);
    uint8_t *to = pixels;
    for (int y = 0; y < window.height; y++) {
      const uint8_t *from = image->pixels + (size_t)rows[y] * (size_t)image->width * pixel;
      for (int x = 0; x < window.width; x++, to += pixel) memcpy(to, from + (size_t)columns[x] * pixel, pixel);
    }
  }
  tsr_heap_free(heap, columns);
  return pixels;
}

/* Copies the window without resizing: the box has whole numbers, and as many pixels as the result. */
static uint8_t *cut(tsr_heap *heap, const tsr_image *image, const float box[4], tsr_window window) {
  size_t pixel = (size_t)image->channels, row = (size_t)window.width * pixel;
  uint8_t *pixels = tsr_heap_alloc(heap, row * (size_t)window.height);
  const uint8_t *from =
      image->pixels +
      ((size_t)((int)box[1] + window.y) * (size_t)image->width + (size_t)((int)box[0] + window.x)) * pixel;
  for (int y = 0; pixels && y < window.height; y++)
    memcpy(pixels + (size_t)y * row, from + (size_t)y * (size_t)image->width * pixel, row);
  return pixels;
}

static int is_whole(float x) { return x == floorf(x); }

/* 1 if Pillow 13 does the pass down first. It decides by the size of the whole image, not of the box. */
static int columns_first(const tsr_image *image, int width, int height) {
  return image->height > height && image->height - height > 2 * (image->width - width);
}

/* Both passes in Pillow's order; the first computes only what the second needs. An axis without weights needs no
 * pass. */
static uint8_t *both_passes(tsr_heap *heap, const tsr_image *image, const tsr_axis *ax, const tsr_axis *ay,
                            tsr_window window, int down_first) {
  int channels = image->channels;
  view source = {image->pixels, (size_t)image->width * (size_t)channels, 0, 0};
  if (!ay->weights) return pass_across(heap, source, window.y, window.height, ax, channels);
  if (!ax->weights) return pass_down(heap, source, window.x, window.width, ay, channels);
  uint8_t *middle, *pixels = NULL;
  if (down_first) {
    int first = tsr_axis_first(ax), columns = tsr_axis_end(ax) - first;
    middle = pass_down(heap, source, first, columns, ay, channels);
    view rows = {middle, (size_t)columns * (size_t)channels, first, 0};
    if (middle) pixels = pass_across(heap, rows, 0, window.height, ax, channels);
  } else {
    int first = tsr_axis_first(ay);
    middle = pass_across(heap, source, first, tsr_axis_end(ay) - first, ax, channels);
    view rows = {middle, (size_t)window.width * (size_t)channels, 0, first};
    if (middle) pixels = pass_down(heap, rows, 0, window.width, ay, channels);
  }
  tsr_heap_free(heap, middle);
  return pixels;
}

void *tsr_resize_window(tsr_heap *heap, const tsr_image *image, int width, int height, tsr_filter filter,
                        const float box[4], tsr_window window) {
  if (is_whole(box[0]) && is_whole(box[1]) && box[2] - box[0] == width && box[3] - box[1] == height)
    return cut(heap, image, box, window);
  if (filter == TSR_FILTER_NEAREST) return resize_nearest(heap, image, width, height, box, window);
  int across = width != image->width || box[0] != 0 || box[2] != width;
  int down = height != image->height || box[1] != 0 || box[3] != height;
  tsr_axis ax = {0}, ay = {0};
  uint8_t *pixels = NULL;
  int ok = 1;
  if (across) ok = tsr_axis_plan(heap, image->width, box[0], box[2], width, window.x, window.width, filter, &ax);
  if (ok && down) ok = tsr_axis_plan(heap, image->height, box[1], box[3], height, window.y, window.height, filter, &ay);
  if (ok) pixels = both_passes(heap, image, &ax, &ay, window, columns_first(image, width, height));
  tsr_axis_free(heap, &ax);
  tsr_axis_free(heap, &ay);
  return pixels;
}

tsr_status tsr_image_check(tsr_error *err, const tsr_image *image) {
  int ok = image->pixels && image->width >= 1 && image->height >= 1 && image->width <= TSR_IMAGE_MAX_SIDE &&
           image->height <= TSR_IMAGE_MAX_SIDE && image->channels >= 1 && image->channels <= 4;
  if (ok) return TSR_OK;
  return tsr_error_set(err, TSR_ERR_ARGUMENT,
                       "the image is %d x %d with %d channels, expected sides of 1 to %d and 1 to 4 channels",
                       image->width, image->height, image->channels, TSR_IMAGE_MAX_SIDE);
}

tsr_status tsr_image_resize(tsr_heap *heap, tsr_error *err, const tsr_image *image, int width, int height,
                            tsr_filter filter, const float box[4], tsr_image *out) {
  tsr_status status = tsr_image_check(err, image);
  if (status != TSR_OK) return status;
  if (out->pixels) return tsr_error_set(err, TSR_ERR_ARGUMENT, "the image to resize into is not empty; free it first");
  if (width < 1 || height < 1 || width > TSR_IMAGE_MAX_SIDE || height > TSR_IMAGE_MAX_SIDE)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "the size to resize to is %d x %d, expected sides of 1 to %d", width,
                         height, TSR_IMAGE_MAX_SIDE);
  if ((unsigned)filter > TSR_FILTER_HAMMING)
    return tsr_error_set(err, TSR_ERR_ARGUMENT, "the filter is number %d, expected 0 to %d", (int)filter,
                         TSR_FILTER_HAMMING);
  const float everything[4] = {0, 0, (float)image->width, (float)image->height};
  const float *b = box ? box : everything;
  if (!(b[0] >= 0 && b[1] >= 0 && b[0] < b[2] && b[1] < b[3] && b[2] <= (float)image->width &&
        b[3] <= (float)image->height))
    return tsr_error_set(err, TSR_ERR_ARGUMENT,
                         "the box is (%g, %g, %g, %g), expected left < right and top < bottom inside %d x %d",
                         (double)b[0], (double)b[1], (double)b[2], (double)b[3], image->width, image->height);
  void *pixels = tsr_resize_window(heap, image, width, height, filter, b, (tsr_window){0, 0, width, height});
  if (!pixels)
    return tsr_error_set(err, TSR_ERR_OUT_OF_MEMORY,
                         "no memory to resize %d x %d to %d x %d (%zu bytes in use); give a smaller image",
                         image->width, image->height, width, height, heap->in_use);
  *out = (tsr_image){pixels, width, height, image->channels};
  return TSR_OK;
}
