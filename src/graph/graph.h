/* The graph, nodes and values as data, and the builder that makes it. It knows shapes and ops' rules, but no kernel.
 *
 *   tsr_enter(b, "head");                                           // names of weights begin with "head."
 *   tsr_value w = tsr_weight_vector(b, "scale", tsr_shape_of(1, 8));  // "head.scale"
 *   x = tsr_nn_mul(b, x, w);                                        // nn/ops.h
 *   tsr_leave(b);
 *   tsr_tap_add(b, x, meaning, "scaled");                           // can be captured as "scaled"
 *
 * Errors are sticky: an op on an invalid value (TSR_NO_VALUE) returns an invalid value. The first failure is kept with
 * its path ("cct.classifier.blocks.3.self_attn: linear: ..."), so that model files carry no checks.
 * Everything lives in the builder's arena, constants too. */
#ifndef TSR_GRAPH_H
#define TSR_GRAPH_H

#include "base/arena.h"
#include "base/format.h"
#include "files/json.h"
#include "meaning.h"
#include "ops/ops.h"
#include "base/status.h"
#include "base/tensor.h"
#include "weights/weights.h"

/* An index into a graph's values. Index 0 is never a value, so that a zeroed struct names none. */
typedef int tsr_value;
enum { TSR_NO_VALUE = 0, TSR_PATH_BYTES = 256, TSR_MAX_SCOPES = 32 };

typedef struct tsr_value_info {
  tsr_shape shape;
  int node;           /* the node that computes it; -1: an input, weight or constant */
  tsr_value root;     /* the value whose memory it shares: itself, unless it is a view */
  const float *data;  /* of inputs, vectors and constants */
  const char *input;  /* its name as an input, or NULL */
  tsr_weight *weight; /* of matrices, and of vectors before they are loaded */
} tsr_value_info;

typedef struct tsr_node {
  tsr_op op;
  int n_in, n_out;
  tsr_value in[TSR_MAX_IN], out[TSR_MAX_OUT];
  int second, whole; /* as its op's shape rule set them (ops.h) */
  tsr_attrs attrs;
  const char *path;
} tsr_node;

typedef struct tsr_tap {
  const char *name;
  int name_prefix; /* how many characters of the name are a wrapper's; -1: offered only if further inputs are given */
  tsr_meaning meaning;
  tsr_shape shape;
  int wanted;
  tsr_value value; /* TSR_NO_VALUE until given */
} tsr_tap;

typedef struct tsr_input {
  const char *name;
  tsr_shape shape;
  const float *data;
} tsr_input;

/* The tokens that the head reads, whose attention is the map of a classification: the first one where there are
 * tokens in front of the grid's, else the mean of the grid's; or the mean of the grid's, or of these and those in
 * front. */
enum { TSR_READS_FIRST, TSR_READS_CELLS, TSR_READS_ALL };

enum { TSR_MAX_INPUTS = 32, TSR_MAX_FOLLOWS = 4, TSR_MAX_STORES = 4 };

typedef struct tsr_graph {
  tsr_node *nodes;
  int node_count, node_capacity;
  tsr_value_info *values; /* [0] belongs to TSR_NO_VALUE: no dims, nothing that makes it */
  int value_count, value_capacity;
  tsr_tap *taps;
  int tap_count, tap_capacity;
  tsr_value main_input; /* the image, video or tokens that the model runs on; TSR_NO_VALUE until it is declared */
  tsr_value output;
  tsr_meaning output_meaning;
  struct {
    const char *to, *from; /* as tsr_weights_average takes them */
    double keep;
  } follows[TSR_MAX_FOLLOWS]; /* EMA steps, before each run */
  int follow_count;
  struct {
    tsr_weight *to; /* a vector */
    tsr_value from;
  } stores[TSR_MAX_STORES]; /* done after each run */
  int store_count;
  int head_reads; /* TSR_READS_... */
  int list_patch; /* 0: one size for all images; else (NaViT) each side of an image is a multiple of this */
} tsr_graph;

/* Whether a run changes weights. Then nothing that was computed from weights may be kept for the next run. */
static inline int tsr_graph_changes_weights(const tsr_graph *graph) {
  return graph->follow_count + graph->store_count > 0;
}

/* A JSON object of settings, the config or the options of a run, and which keys have been read; settings.h reads it. */
typedef struct tsr_settings {
  const tsr_json *given;  /* object, or NULL */
  const tsr_json *preset; /* object with the values of keys that are not given, or NULL */
  const char *what;       /* "config key" or "option", for messages */
  tsr_status code;        /* of their errors: TSR_ERR_CONFIG in a file, TSR_ERR_ARGUMENT in a request */
  const char **known;     /* every key that was read */
  int known_count, known_capacity;
} tsr_settings;

/* What a wrapper tells the network inside it while that is built (parts/inner_net.h). Wrappers may nest. */
typedef struct tsr_inside {
  const char *tap_prefix;      /* names of its taps begin with this */
  int taps_optional;           /* its taps are offered only if further inputs are given */
  const char *handed_names[2]; /* names of the network's inputs that the wrapper computes; NULL: none */
  tsr_value handed[2];         /* the values of these inputs */
  const char *watch;           /* a pattern of the taps that the wrapper reads, or NULL */
  tsr_value watched;           /* the value of the last tap that matched */
  struct tsr_inside *outer;    /* of the wrapper around this wrapper, or NULL */
} tsr_inside;

struct tsr_arch; /* architecture.h */

/* Batch norms enlarge what 8 bits lose. An architecture that has many of them says, before its first weight, what of a
 * quantized model stays in f32: nothing; products with a batch norm behind them, and attention; every matrix. */
enum { TSR_FLOATS_NONE, TSR_FLOATS_NORMS, TSR_FLOATS_ALL };

typedef struct tsr_builder {
  tsr_arena *arena;
  tsr_error *err;
  const char *arch;
  const struct tsr_arch *(*find_arch)(const char *name); /* for wrappers; returns NULL for an unknown name */
  tsr_weights *weights;
  tsr_graph graph;
  tsr_settings config, options;
  const tsr_input *inputs; /* the caller's */
  int input_count;
  int floats;    /* TSR_FLOATS_*: matrices that stay floats in a quantized model */
  int declaring; /* the first build, at load: no inputs, default shapes, weights are declared and not yet there */
  const char *known_inputs[TSR_MAX_INPUTS]; /* every input that the architecture declared */
  int known_input_count;
  uint32_t fixed_inputs;       /* bit i: the graph depends on the numbers of known_inputs[i] */
  const char *const *patterns; /* of the taps to capture */
  int pattern_count;
  tsr_inside *inside; /* NULL outside of any wrapper */
  char path[TSR_PATH_BYTES];
  size_t path_length;
  size_t scopes[TSR_MAX_SCOPES]; /* path_length before each open scope */
  int scope_count;
} tsr_builder;

/* Records a failure under the current path; returns TSR_NO_VALUE. */
tsr_value tsr_fail(tsr_builder *b, tsr_status code, const char *format, ...) TSR_PRINTF(3, 4);
static inline int tsr_failed(const tsr_builder *b) { return b->err->code != TSR_OK; }

/* Scopes: their names, joined with dots, are the beginning of weights' names ("transformer.layers.0"). One leave undoes
 * one enter, however many dots its name had. */
void tsr_enter(tsr_builder *b, const char *format, ...) TSR_PRINTF(2, 3);
void tsr_leave(tsr_builder *b);

/* The main input "image" [B,C,H,W]: the caller's, or of the default size when declaring. C must be `channels`, and H
 * and W at most SHRT_MAX (TSR_ERR_SHAPE). */
tsr_value tsr_input_image(tsr_builder *b, int channels, int default_h, int default_w);
/* The same, but H and W must be h and w: TSR_ERR_SHAPE with a sentence for the user. */
tsr_value tsr_input_image_of_size(tsr_builder *b, int channels, int h, int w);
/* The main input "video" [B,C,F,H,W]. */
tsr_value tsr_input_video(tsr_builder *b, int channels, int default_f, int default_h, int default_w);
/* The main input "tokens" [B,N,C], any N. */
tsr_value tsr_input_tokens(tsr_builder *b, int default_n, int dim);
/* An optional input. TSR_NO_VALUE, without a failure, when the caller gave none. A dim of 0 in `shape` allows any
 * size. */
tsr_value tsr_input_optional(tsr_builder *b, const char *name, tsr_shape shape);

/* The numbers of an optional input on which the graph itself depends; the graph is built again when they change. NULL
 * when the caller gave none. They belong to the caller and are valid for this run only. */
const float *tsr_input_numbers(tsr_builder *b, const char *name, tsr_shape shape);

/* The number of dims of the caller's input of this name; 0 when none was given. */
int tsr_input_ndim(const tsr_builder *b, const char *name);

/* Weights, named below the current path ("weight"; "" is the path itself). Building reads no weight's numbers. What is
 * computed from weights is written as nodes; exec/fold.h turns these into constants. */
tsr_value tsr_weight_vector(tsr_builder *b, const char *name, tsr_shape shape);
/* A vector that is a buffer in the reference, so that it does not count as a parameter. */
tsr_value tsr_weight_buffer(tsr_builder *b, const char *name, tsr_shape shape);
/* The kernels [C,1,kernel_h,kernel_w] of a depthwise convolution, kept in memory as [kernel_h,kernel_w,C]. */
tsr_value tsr_weight_depthwise(tsr_builder *b, const char *name, tsr_shape shape);
tsr_value tsr_weight_matrix(tsr_builder *b, const char *name, tsr_shape shape, tsr_matrix_layout layout);
/* The next two let a run change weights, for wrappers that train. Building changes nothing, and neither does a run that
 * fails. */

/* An EMA step before the nodes run: each parameter (or buffer, if both names are of buffers) below `to` becomes keep *
 * itself + (1 - keep) * the one of the same name below `from`. Both are names below the current path. TSR_ERR_ARGUMENT
 * if the weights are in 8 bits. */
void tsr_weights_follow(tsr_builder *b, const char *to, const char *from, double keep);
/* After the nodes have run, the weight `vector` becomes `value`. TSR_ERR_CONFIG: `vector` is no weight, or `value` has
 * another number of numbers. */
void tsr_vector_store(tsr_builder *b, tsr_value vector, tsr_value value);
/* A constant table. The caller fills *data. It is NULL after a failure and when declaring, because a config must not
 * take memory before the file's weights have been checked. */
tsr_value tsr_constant(tsr_builder *b, tsr_shape shape, float **data);
/* Turns `value` into a constant and returns memory for its numbers; NULL after a failure. */
float *tsr_constant_data(tsr_builder *b, tsr_value value);

/* Adds a node. The shapes of its outputs follow from the op's shape rule. Returns its first output; TSR_NO_VALUE when
 * an input is invalid. TSR_ERR_CONFIG: the op takes another number of inputs. */
tsr_value tsr_node_add(tsr_builder *b, tsr_op op, const tsr_value *in, int n_in, const tsr_attrs *attrs);
/* Output `index` of the node that made `value`. TSR_ERR_CONFIG when there is none. */
tsr_value tsr_node_output(tsr_builder *b, tsr_value value, int index);

/* The shape of a value; no dims for TSR_NO_VALUE and for what is no value of the graph. */
tsr_shape tsr_shape_at(const tsr_builder *b, tsr_value value);
/* Dim i of a value, counted from the end if negative. 0 for TSR_NO_VALUE, so that sums and products of dims are
 * harmless after a failure; a division is not. */
int tsr_dim(const tsr_builder *b, tsr_value value, int i);

/* Taps: named values that a run can capture. tsr_tap_add is for values that exist anyway. For one that costs work,
 * tsr_tap_offer announces it and returns 1 if it is wanted; then tsr_tap_give takes the value. */
void tsr_tap_add(tsr_builder *b, tsr_value value, tsr_meaning meaning, const char *format, ...) TSR_PRINTF(4, 5);
int tsr_tap_offer(tsr_builder *b, tsr_shape shape, tsr_meaning meaning, const char *format, ...) TSR_PRINTF(4, 5);
void tsr_tap_give(tsr_builder *b, tsr_value value);

/* 1 if `text` matches `pattern`, in which * stands for any characters (none included). */
int tsr_pattern_matches(const char *pattern, const char *text);

/* Sets what the head reads, TSR_READS_...; the default is TSR_READS_FIRST. */
static inline void tsr_head_reads(tsr_builder *b, int reads) { b->graph.head_reads = reads; }

/* Sets the meaning of the graph's output; the default kind is "logits". */
static inline void tsr_output_means(tsr_builder *b, tsr_meaning meaning) { b->graph.output_meaning = meaning; }

#endif
