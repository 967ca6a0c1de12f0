/* Hidden patches; see masking.h. */
#include "masking.h"

#include <math.h>

#include "nn/loss.h"

tsr_vit tsr_masking_vit(tsr_builder *b, const char *key, const char *what) {
  static const char *const nets[] = {"vit", NULL};
  tsr_settings outer = tsr_config_open(b, key, what, nets, NULL);
  tsr_vit c = tsr_vit_config(b, 0);
  tsr_vit_config_more(b, &c);
  tsr_config_close(b, outer);
  return c;
}

double tsr_masking_ratio(tsr_builder *b, double fallback) {
  return tsr_setting_number(b, &b->config, "masking_ratio", fallback, 1e-6, 1 - 1e-6);
}

/* How many patches of image `i` a given mask hides; -1: it is none. */
static int count_given(tsr_builder *b, const float *row, int n, int i) {
  int count = 0;
  for (int k = 0; k < n; k++) {
    if (row[k] != 0 && row[k] != 1)
      return tsr_fail(b, TSR_ERR_ARGUMENT, "input \"mask\" is %g at [%d,%d]; expected 0, or 1 for a hidden patch",
                      (double)row[k], i, k),
             -1;
    count += row[k] == 1;
  }
  return count;
}

/* Algorithm S of Knuth's volume 2, 3.4.2: each patch in turn is hidden with the chance that as many remain to be. */
static void draw(uint64_t *state, float *row, int n, int count) {
  for (int k = 0; k < n; k++) {
    row[k] = tsr_random(state) % (uint64_t)(n - k) < (uint64_t)count;
    count -= row[k] == 1;
  }
}

tsr_masking tsr_masking_read(tsr_builder *b, int batch, tsr_meaning grid, double ratio, int up) {
  tsr_masking m;
  int n = grid.grid_h * grid.grid_w;
  float *rows, *hidden, *seen, *place;
  const float *given = tsr_input_numbers(b, "mask", tsr_shape_of(2, batch, n));
  ratio = tsr_setting_number(b, &b->options, "ratio", ratio, 0, 1) * n;
  uint64_t state = (uint64_t)tsr_setting_int(b, &b->options, "seed", 0, 0, INT32_MAX);
  m.random = ~state; /* apart from the masks' draws, so that an image's do not depend on how many follow it */
  m.count = given ? count_given(b, given, n, 0) : (int)ratio + (up && ratio > (int)ratio);
  for (int i = 1; given && i < batch; i++)
    if (count_given(b, given + (size_t)i * n, n, i) != m.count)
      tsr_fail(b, TSR_ERR_ARGUMENT, "input \"mask\" hides %d patches of image 0, not so many of image %d", m.count, i);
  if (!tsr_failed(b) && (m.count < 1 || m.count >= n))
    tsr_fail(b, b->declaring ? TSR_ERR_CONFIG : TSR_ERR_ARGUMENT, "%d of %d patches would be hidden; expected 1 to %d",
             m.count, n, n - 1);
  grid.kind = "mask";
  tsr_value map = tsr_constant(b, tsr_shape_of(2, batch, n), &rows);
  m.hidden = tsr_constant(b, tsr_shape_of(2, batch, m.count), &hidden);
  m.seen = tsr_constant(b, tsr_shape_of(2, batch, n - m.count), &seen);
  m.place = tsr_constant(b, tsr_shape_of(2, batch, n), &place);
  tsr_tap_add(b, map, grid, "mask");
  m.map = rows;
  for (int i = 0; place && i < batch; i++, rows += n) {
    int at_hidden = 0, at_seen = m.count;
    if (!given) draw(&state, rows, n, m.count);
    for (int k = 0; k < n; k++) {
      if (given) rows[k] = given[(size_t)i * n + k];
      *place++ = (float)(rows[k] == 1 ? at_hidden++ : at_seen++);
      *(rows[k] == 1 ? hidden++ : seen++) = (float)k;
    }
  }
  return m;
}

tsr_value tsr_masking_merge(tsr_builder *b, const tsr_masking *m, tsr_value hidden, tsr_value seen) {
  return tsr_nn_gather(b, tsr_nn_concat(b, 1, 2, (tsr_value[]){hidden, seen}), m->place);
}

tsr_value tsr_masking_fill(tsr_builder *b, const tsr_masking *m, tsr_value token, tsr_value seen) {
  int dim = tsr_dim(b, seen, 2);
  token = tsr_nn_reshape(b, token, tsr_shape_of(3, 1, 1, dim));
  return tsr_masking_merge(b, m, tsr_nn_expand(b, token, tsr_shape_of(3, tsr_dim(b, seen, 0), m->count, dim)), seen);
}

/* y against x: [1] */
static tsr_value difference(tsr_builder *b, tsr_value y, tsr_value x, tsr_pixel_loss loss) {
  tsr_shape shape = tsr_shape_at(b, y);
  int last = shape.dims[2], rows = shape.dims[0] * shape.dims[1];
  tsr_value d = tsr_nn_add(b, y, tsr_nn_times(b, x, -1));
  if (loss.squared) d = tsr_nn_mul(b, d, d);
  else d = tsr_nn_add(b, tsr_nn_activate(b, d, TSR_ACT_RELU), tsr_nn_activate(b, tsr_nn_times(b, d, -1), TSR_ACT_RELU));
  d = tsr_nn_mean(b, tsr_nn_reshape(b, d, tsr_shape_of(2, rows, last)), 0); /* in two steps: short sums round less */
  return tsr_nn_times(b, tsr_nn_mean_all(b, d), loss.scale);
}

/* Each patch with mean 0 and variance 1, by (x - mean) / sqrt(variance + 1e-6); the variance of K numbers has the
 * divisor K - 1. */
static tsr_value normalised(tsr_builder *b, tsr_value x) {
  float k = (float)tsr_dim(b, x, 2), share = (k - 1) / k;
  tsr_attrs attrs = {.layer_norm = {.eps = 1e-6f * share}};
  if (tsr_failed(b)) return TSR_NO_VALUE;
  return tsr_nn_times(b, tsr_node_add(b, TSR_OP_layer_norm, &x, 1, &attrs), sqrtf(share));
}

/* y with each patch's mean and deviation in x. With d = x - mean and its direction u, the deviation is d u / sqrt(K -
 * 1). */
static tsr_value like(tsr_builder *b, tsr_value y, tsr_value x) {
  tsr_shape one = tsr_shape_of(3, tsr_dim(b, x, 0), tsr_dim(b, x, 1), 1);
  float k = (float)tsr_dim(b, x, 2);
  tsr_value mean = tsr_nn_reshape(b, tsr_nn_mean(b, x, 2), one), d = tsr_nn_add(b, x, tsr_nn_times(b, mean, -1));
  d = tsr_nn_reshape(b, tsr_nn_mean(b, tsr_nn_mul(b, d, tsr_nn_l2_normalize(b, d, 1e-12f)), 2), one);
  return tsr_nn_add(b, tsr_nn_mul(b, y, tsr_nn_times(b, d, k > 1 ? k / sqrtf(k - 1) : 0)), mean);
}

tsr_value tsr_masking_image(tsr_builder *b, const tsr_masking *m, tsr_value x, tsr_value patches, const tsr_vit *c,
                            tsr_meaning grid, tsr_pixel_loss loss) {
  int batch = tsr_dim(b, patches, 0);
  x = tsr_nn_linear(b, "to_pixels", x, tsr_dim(b, patches, 2), TSR_BIAS);
  tsr_tap_add(b, x, (tsr_meaning){.kind = "pixels"}, "prediction");
  tsr_value target = tsr_nn_gather(b, patches, m->hidden);
  if (tsr_tap_offer(b, tsr_shape_of(1, 1), (tsr_meaning){.kind = "loss"}, "loss"))
    tsr_tap_give(b, difference(b, x, loss.normed ? normalised(b, target) : target, loss));
  if (loss.normed) x = like(b, x, target);
  x = tsr_masking_merge(b, m, x, tsr_nn_gather(b, patches, m->seen));
  x = tsr_nn_reshape(b, x, tsr_shape_of(6, batch, grid.grid_h, grid.grid_w, c->patch[0], c->patch[1], c->channels));
  x = tsr_nn_permute(b, x, (int[]){0, 5, 1, 3, 2, 4});
  grid.kind = "image";
  b->graph.output_meaning = grid;
  return tsr_nn_reshape(b, x,
                        tsr_shape_of(4, batch, c->channels, grid.grid_h * c->patch[0], grid.grid_w * c->patch[1]));
}
