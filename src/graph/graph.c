/* The graph builder; see graph.h. */
#include "graph.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

tsr_value tsr_fail(tsr_builder *b, tsr_status code, const char *format, ...) {
  char reason[TSR_MESSAGE_BYTES];
  va_list args;
  va_start(args, format);
  tsr_print_list(reason, sizeof reason, format, args);
  va_end(args);
  tsr_error_set(b->err, code, "%s%s%s: %.300s", b->arch, b->path_length ? "." : "", b->path, reason);
  return TSR_NO_VALUE;
}

static tsr_value out_of_memory(tsr_builder *b) { return tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for the graph"); }

/* What a wrong shape means depends on when it shows: at load the config is wrong, at run the input. */
static tsr_status shape_status(const tsr_builder *b) { return b->declaring ? TSR_ERR_CONFIG : TSR_ERR_SHAPE; }

void tsr_enter(tsr_builder *b, const char *format, ...) {
  char name[TSR_PATH_BYTES];
  va_list args;
  va_start(args, format);
  int length = tsr_print_list(name, sizeof name, format, args);
  va_end(args);
  size_t before = b->path_length, dot = before && length ? 1 : 0;
  if (b->scope_count < TSR_MAX_SCOPES) b->scopes[b->scope_count] = before;
  b->scope_count++; /* counted even past the limit: every enter has its leave */
  if (length < 0 || before + dot + (size_t)length >= TSR_PATH_BYTES || b->scope_count > TSR_MAX_SCOPES) {
    tsr_fail(b, TSR_ERR_CONFIG, "path deeper than %d scopes or longer than %d bytes", TSR_MAX_SCOPES, TSR_PATH_BYTES);
    return;
  }
  if (dot) b->path[b->path_length++] = '.';
  memcpy(b->path + b->path_length, name, (size_t)length + 1);
  b->path_length += (size_t)length;
}

void tsr_leave(tsr_builder *b) {
  if (--b->scope_count >= TSR_MAX_SCOPES) return;
  b->path_length = b->scopes[b->scope_count];
  b->path[b->path_length] = 0;
}

/* Grows an array in the arena: doubling, so that what is left behind is less than what is used. */
static void *grow(tsr_builder *b, void *items, int count, int *capacity, size_t size) {
  if (count < *capacity) return items;
  int bigger = *capacity ? *capacity * 2 : 64;
  void *fresh = tsr_arena_alloc(b->arena, (size_t)bigger * size);
  if (!fresh) {
    out_of_memory(b);
    return NULL;
  }
  if (count) memcpy(fresh, items, (size_t)count * size);
  *capacity = bigger;
  return fresh;
}

static int is_value(const tsr_builder *b, tsr_value value) {
  return value > TSR_NO_VALUE && value < b->graph.value_count;
}

static tsr_value add_value(tsr_builder *b, tsr_value_info info) {
  tsr_graph *g = &b->graph;
  if (tsr_failed(b)) return TSR_NO_VALUE;
  int overflow = 0;
  tsr_shape_count(&info.shape, &overflow);
  if (overflow) {
    char text[TSR_SHAPE_TEXT];
    return tsr_fail(b, shape_status(b), "a tensor of %s is too large; the limit is 2^31 - 1 numbers",
                    tsr_shape_print(&info.shape, text));
  }
  void *values = grow(b, g->values, g->value_count, &g->value_capacity, sizeof *g->values);
  if (!values) return TSR_NO_VALUE;
  g->values = values;
  if (!g->value_count) g->values[g->value_count++] = (tsr_value_info){.node = -1}; /* TSR_NO_VALUE's */
  if (info.root == TSR_NO_VALUE) info.root = g->value_count;
  g->values[g->value_count] = info;
  return g->value_count++;
}

/* What a wrapper hands to the net inside it under this name; TSR_NO_VALUE: nothing. */
static tsr_value handed(const tsr_builder *b, const char *name) {
  const tsr_inside *inside = b->inside;
  for (int i = 0; inside && i < 2; i++)
    if (inside->handed_names[i] && !strcmp(inside->handed_names[i], name)) return inside->handed[i];
  return TSR_NO_VALUE;
}

/* What the caller gave as `name`; NULL: nothing. */
static const tsr_input *find_input(const tsr_builder *b, const char *name) {
  for (int i = 0; i < b->input_count; i++)
    if (!strcmp(b->inputs[i].name, name)) return &b->inputs[i];
  return NULL;
}

/* The same, and the name is one that the model knows. */
static const tsr_input *input_named(tsr_builder *b, const char *name) {
  if (b->known_input_count < TSR_MAX_INPUTS) b->known_inputs[b->known_input_count++] = name;
  return find_input(b, name);
}

int tsr_input_ndim(const tsr_builder *b, const char *name) {
  const tsr_input *given = find_input(b, name);
  return given ? given->shape.ndim : 0;
}

/* The main input, with `shape` when only declaring; its dims are the caller's to choose, but for dim `channels`. */
static tsr_value main_input(tsr_builder *b, const char *name, const char *letters, tsr_shape shape, int channels) {
  tsr_value_info info = {.shape = shape, .node = -1, .input = name};
  tsr_value from_wrapper = handed(b, name);
  if (from_wrapper != TSR_NO_VALUE) {
    if (tsr_dim(b, from_wrapper, 1) == shape.dims[1]) return from_wrapper;
    return tsr_fail(b, TSR_ERR_CONFIG, "images have %d channels, the network takes %d", tsr_dim(b, from_wrapper, 1),
                    (int)shape.dims[1]);
  }
  const tsr_input *given = input_named(b, name);
  char text[TSR_SHAPE_TEXT], want[TSR_SHAPE_TEXT];
  if (!given && !b->declaring)
    return tsr_fail(b, TSR_ERR_ARGUMENT, "no input \"%s\" was given; expected %s", name,
                    tsr_shape_print(&info.shape, want));
  if (given) {
    if (given->shape.ndim != shape.ndim || given->shape.dims[channels] != shape.dims[channels] ||
        given->shape.dims[0] < 1)
      return tsr_fail(b, TSR_ERR_SHAPE, "input \"%s\" is %s, expected %s as in %s", name,
                      tsr_shape_print(&given->shape, text), letters, tsr_shape_print(&info.shape, want));
    for (int i = 1; i < shape.ndim; i++)
      if (i != channels && given->shape.dims[i] > SHRT_MAX)
        return tsr_fail(b, TSR_ERR_SHAPE, "input \"%s\" is %s; no side may be longer than %d", name,
                        tsr_shape_print(&given->shape, text), SHRT_MAX);
    info.shape = given->shape;
    info.data = given->data;
  }
  tsr_value value = add_value(b, info);
  if (b->graph.main_input == TSR_NO_VALUE) b->graph.main_input = value;
  return value;
}

tsr_value tsr_input_image(tsr_builder *b, int channels, int default_h, int default_w) {
  return main_input(b, "image", "[B,C,H,W]", tsr_shape_of(4, 1, channels, default_h, default_w), 1);
}

tsr_value tsr_input_image_of_size(tsr_builder *b, int channels, int h, int w) {
  tsr_value image = tsr_input_image(b, channels, h, w);
  if (tsr_failed(b) || (tsr_dim(b, image, 2) == h && tsr_dim(b, image, 3) == w)) return image;
  return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d does not fit; this model takes %d x %d", tsr_dim(b, image, 2),
                  tsr_dim(b, image, 3), h, w);
}

tsr_value tsr_input_video(tsr_builder *b, int channels, int default_f, int default_h, int default_w) {
  return main_input(b, "video", "[B,C,F,H,W]", tsr_shape_of(5, 1, channels, default_f, default_h, default_w), 1);
}

tsr_value tsr_input_tokens(tsr_builder *b, int default_n, int dim) {
  return main_input(b, "tokens", "[B,N,C]", tsr_shape_of(3, 1, default_n, dim), 2);
}

/* What was given as `name`, of this shape; NULL: nothing, or a failure. */
static const tsr_input *optional(tsr_builder *b, const char *name, tsr_shape shape) {
  const tsr_input *given = input_named(b, name);
  if (!given || tsr_failed(b)) return NULL;
  int ok = given->shape.ndim == shape.ndim;
  for (int i = 0; ok && i < shape.ndim; i++) ok = !shape.dims[i] || given->shape.dims[i] == shape.dims[i];
  if (!ok) {
    char text[TSR_SHAPE_TEXT], want[TSR_SHAPE_TEXT];
    tsr_fail(b, TSR_ERR_SHAPE, "input \"%s\" is %s, expected %s", name, tsr_shape_print(&given->shape, text),
             tsr_shape_print(&shape, want));
    return NULL;
  }
  return given;
}

const float *tsr_input_numbers(tsr_builder *b, const char *name, tsr_shape shape) {
  b->fixed_inputs |= 1u << b->known_input_count % TSR_MAX_INPUTS;
  const tsr_input *given = optional(b, name, shape);
  return given ? given->data : NULL;
}

tsr_value tsr_input_optional(tsr_builder *b, const char *name, tsr_shape shape) {
  tsr_value from_wrapper = handed(b, name);
  if (from_wrapper != TSR_NO_VALUE) return from_wrapper;
  const tsr_input *given = optional(b, name, shape);
  if (!given) return TSR_NO_VALUE;
  return add_value(b, (tsr_value_info){.shape = given->shape, .node = -1, .data = given->data, .input = name});
}

/* The path and `name` joined, in a buffer of the caller's. */
static const char *weight_name(const tsr_builder *b, const char *name, char full[2 * TSR_PATH_BYTES]) {
  tsr_print(full, 2 * TSR_PATH_BYTES, "%s%s%s", b->path, b->path_length && *name ? "." : "", name);
  return full;
}

static tsr_value vector(tsr_builder *b, const char *name, tsr_shape shape,
                        tsr_weight *declare(tsr_weights *, tsr_error *, const char *, const tsr_shape *)) {
  char full[2 * TSR_PATH_BYTES];
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_weight *w = declare(b->weights, b->err, weight_name(b, name, full), &shape);
  if (!w) return TSR_NO_VALUE;
  return add_value(b, (tsr_value_info){.shape = shape, .node = -1, .weight = w, .data = w->values});
}

tsr_value tsr_weight_vector(tsr_builder *b, const char *name, tsr_shape shape) {
  return vector(b, name, shape, tsr_weights_vector);
}

tsr_value tsr_weight_buffer(tsr_builder *b, const char *name, tsr_shape shape) {
  tsr_value value = tsr_weight_vector(b, name, shape);
  if (value != TSR_NO_VALUE) b->graph.values[value].weight->is_buffer = 1;
  return value;
}

tsr_value tsr_weight_depthwise(tsr_builder *b, const char *name, tsr_shape shape) {
  return vector(b, name, shape, tsr_weights_depthwise);
}

tsr_value tsr_weight_matrix(tsr_builder *b, const char *name, tsr_shape shape, tsr_matrix_layout layout) {
  char full[2 * TSR_PATH_BYTES];
  int overflow = 0;
  if (tsr_failed(b)) return TSR_NO_VALUE;
  tsr_shape_count(&shape, &overflow);
  if (overflow) {
    char text[TSR_SHAPE_TEXT];
    return tsr_fail(b, TSR_ERR_CONFIG, "a weight of %s is too large", tsr_shape_print(&shape, text));
  }
  layout.is_float |= b->floats == TSR_FLOATS_ALL;
  tsr_weight *w = tsr_weights_matrix(b->weights, b->err, weight_name(b, name, full), &shape, layout);
  if (!w) return TSR_NO_VALUE;
  return add_value(b, (tsr_value_info){.shape = shape, .node = -1, .weight = w});
}

tsr_value tsr_constant(tsr_builder *b, tsr_shape shape, float **data) {
  tsr_value value = add_value(b, (tsr_value_info){.shape = shape, .node = -1});
  *data = value == TSR_NO_VALUE || b->declaring ? NULL : tsr_constant_data(b, value);
  return value;
}

float *tsr_constant_data(tsr_builder *b, tsr_value value) {
  tsr_value_info *info = &b->graph.values[value];
  int overflow = 0;
  size_t bytes = tsr_size_mul(tsr_shape_count(&info->shape, NULL), sizeof(float), &overflow);
  float *data = overflow ? NULL : tsr_arena_alloc(b->arena, bytes);
  if (!data) out_of_memory(b);
  info->data = data;
  return data;
}

/* 0: failed, or there are `most` already. */
static int takes_another(tsr_builder *b, int count, int most) {
  if (count == most) tsr_fail(b, TSR_ERR_CONFIG, "more than %d changes of weights of one kind", most);
  return !tsr_failed(b);
}

/* A weight's name with its path, in the arena; NULL: failed. */
static const char *kept_name(tsr_builder *b, const char *name) {
  char full[2 * TSR_PATH_BYTES];
  weight_name(b, name, full);
  const char *kept = tsr_arena_copy_text(b->arena, full, strlen(full));
  if (!kept) out_of_memory(b);
  return kept;
}

void tsr_weights_follow(tsr_builder *b, const char *to, const char *from, double keep) {
  tsr_graph *g = &b->graph;
  if (!takes_another(b, g->follow_count, TSR_MAX_FOLLOWS)) return;
  if (tsr_weights_any_q8(b->weights)) {
    tsr_fail(b, TSR_ERR_ARGUMENT,
             "option \"update\" changes weights in f32, and these are in 8 bits; load with dtype 'f32'");
    return;
  }
  g->follows[g->follow_count].to = kept_name(b, to);
  g->follows[g->follow_count].from = kept_name(b, from);
  g->follows[g->follow_count++].keep = keep;
}

void tsr_vector_store(tsr_builder *b, tsr_value vector, tsr_value value) {
  tsr_graph *g = &b->graph;
  if (!takes_another(b, g->store_count, TSR_MAX_STORES)) return;
  tsr_shape to = tsr_shape_at(b, vector), from = tsr_shape_at(b, value);
  if (!is_value(b, vector) || !is_value(b, value) || !g->values[vector].weight ||
      tsr_shape_count(&to, NULL) != tsr_shape_count(&from, NULL)) {
    tsr_fail(b, TSR_ERR_CONFIG, "what is stored is no value, or no weight has as many numbers");
    return;
  }
  g->stores[g->store_count].to = g->values[vector].weight;
  g->stores[g->store_count++].from = value;
}

static tsr_arg arg_of(const tsr_graph *g, tsr_value value) {
  const tsr_value_info *info = &g->values[value];
  return (tsr_arg){.shape = info->shape, .weight = info->weight};
}

tsr_value tsr_node_add(tsr_builder *b, tsr_op op, const tsr_value *in, int n_in, const tsr_attrs *attrs) {
  tsr_graph *g = &b->graph;
  tsr_op_args args = {.attrs = attrs, .n_in = n_in, .n_out = 1};
  char why[TSR_WHY] = "";
  if (tsr_failed(b)) return TSR_NO_VALUE;
  if (n_in < op->least || n_in > op->most)
    return tsr_fail(b, TSR_ERR_CONFIG, "%s: %d inputs; it takes %d to %d", op->name, n_in, op->least, op->most);
  for (int i = 0; i < n_in; i++) {
    if (!is_value(b, in[i])) return tsr_fail(b, TSR_ERR_CONFIG, "%s: input %d is missing", op->name, i);
    args.in[i] = arg_of(g, in[i]);
  }
  if (!op->shape(&args, why)) return tsr_fail(b, shape_status(b), "%s: %s", op->name, why);
  if (args.n_out > op->outs)
    return tsr_fail(b, TSR_ERR_CONFIG, "%s: %d outputs; it has at most %d", op->name, args.n_out, op->outs);
  void *nodes = grow(b, g->nodes, g->node_count, &g->node_capacity, sizeof *g->nodes);
  if (!nodes) return TSR_NO_VALUE;
  g->nodes = nodes;
  tsr_node node = {
      .op = op, .n_in = n_in, .n_out = args.n_out, .second = args.second, .whole = args.whole, .attrs = *attrs};
  node.path = tsr_arena_copy_text(b->arena, b->path, b->path_length);
  if (!node.path) return out_of_memory(b);
  memcpy(node.in, in, (size_t)n_in * sizeof *in);
  for (int i = 0; i < node.n_out; i++) {
    tsr_value_info info = {.shape = args.out[i].shape, .node = g->node_count};
    if (op->traits & TSR_VIEW) info.root = g->values[in[0]].root;
    node.out[i] = add_value(b, info);
    if (node.out[i] == TSR_NO_VALUE) return TSR_NO_VALUE;
  }
  g->nodes[g->node_count++] = node;
  return node.out[0];
}

tsr_value tsr_node_output(tsr_builder *b, tsr_value value, int index) {
  if (value == TSR_NO_VALUE || tsr_failed(b)) return TSR_NO_VALUE;
  int made = is_value(b, value) ? b->graph.values[value].node : -1;
  if (made < 0 || index < 0 || index >= b->graph.nodes[made].n_out)
    return tsr_fail(b, TSR_ERR_CONFIG, "value %d has no output %d beside it", value, index);
  return b->graph.nodes[made].out[index];
}

tsr_shape tsr_shape_at(const tsr_builder *b, tsr_value value) {
  return is_value(b, value) ? b->graph.values[value].shape : (tsr_shape){0};
}

int tsr_dim(const tsr_builder *b, tsr_value value, int i) {
  tsr_shape shape = tsr_shape_at(b, value);
  if (i < 0) i += shape.ndim;
  return i >= 0 && i < shape.ndim ? shape.dims[i] : 0;
}

int tsr_pattern_matches(const char *pattern, const char *text) {
  const char *star = NULL, *retry = NULL; /* after the last star: where to go on when what follows fails */
  while (*text) {
    if (*pattern == '*') star = ++pattern, retry = text;
    else if (*pattern == *text) pattern++, text++;
    else if (star) pattern = star, text = ++retry;
    else return 0;
  }
  while (*pattern == '*') pattern++;
  return !*pattern;
}

static int offer(tsr_builder *b, tsr_shape shape, tsr_meaning meaning, const char *format, va_list args) {
  tsr_graph *g = &b->graph;
  const tsr_inside *inside = b->inside;
  char name[TSR_PATH_BYTES];
  if (tsr_failed(b)) return 0;
  void *taps = grow(b, g->taps, g->tap_count, &g->tap_capacity, sizeof *g->taps);
  if (!taps) return 0;
  g->taps = taps;
  int prefix = tsr_print(name, sizeof name, "%s", inside ? inside->tap_prefix : "");
  int length = prefix + tsr_print_list(name + prefix, sizeof name - (size_t)prefix, format, args);
  tsr_tap tap = {.meaning = meaning, .shape = shape, .name_prefix = inside && inside->taps_optional ? -1 : prefix};
  tap.name = tsr_arena_copy_text(b->arena, name, (size_t)length);
  if (!tap.name) return out_of_memory(b), 0;
  for (int i = 0; i < b->pattern_count && !tap.wanted; i++) tap.wanted = tsr_pattern_matches(b->patterns[i], tap.name);
  g->taps[g->tap_count++] = tap;
  return tap.wanted;
}

int tsr_tap_offer(tsr_builder *b, tsr_shape shape, tsr_meaning meaning, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int wanted = offer(b, shape, meaning, format, args);
  va_end(args);
  return wanted;
}

void tsr_tap_give(tsr_builder *b, tsr_value value) {
  if (!tsr_failed(b)) b->graph.taps[b->graph.tap_count - 1].value = value;
}

void tsr_tap_add(tsr_builder *b, tsr_value value, tsr_meaning meaning, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (offer(b, tsr_shape_at(b, value), meaning, format, args)) tsr_tap_give(b, value);
  va_end(args);
  for (tsr_inside *i = b->inside; i && !tsr_failed(b); i = i->outer)
    if (i->watch && tsr_pattern_matches(i->watch, b->graph.taps[b->graph.tap_count - 1].name)) i->watched = value;
}
