/* The graph: nodes and values as data, and the builder that makes it. Knows shapes and ops' rules, no kernels.
 *
 * A builder op takes values and returns a value. Every op on an invalid value (TSR_NO_VALUE) returns an invalid value,
 * and the first failure is kept with its path ("cct.classifier.blocks.3.self_attn: linear: ..."), so model files carry no checks.
 * Ownership: everything lives in the builder's arena; constants' memory too. */
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

/* An index into a graph's values. The first is TSR_NO_VALUE's, so that a struct of zeros names none. */
typedef int tsr_value;
enum { TSR_NO_VALUE = 0, TSR_PATH_BYTES = 256, TSR_MAX_SCOPES = 32 };

typedef struct tsr_value_info {
  tsr_shape shape;
  int node;                 /* the node that makes it; -1: an input, weight or constant */
  tsr_value root;           /* the value whose memory it shares (itself, but for views) */
  const float *data;        /* inputs, vectors and constants */
  const char *input;        /* name of the input it is, or NULL */
  const tsr_weight *weight; /* matrices, and vectors before they are loaded */
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
  int prefix; /* so many characters of the name are a wrapper's, in front of the network inside; -1: it is not there with the main input alone */
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

enum { TSR_MAX_INPUTS = 32, TSR_MAX_FOLLOWS = 4, TSR_MAX_STORES = 4 };

typedef struct tsr_graph {
  tsr_node *nodes;
  int node_count, node_capacity;
  tsr_value_info *values; /* [0] belongs to TSR_NO_VALUE: no dims, nothing that makes it */
  int value_count, value_capacity;
  tsr_tap *taps;
  int tap_count, tap_capacity;
  tsr_value main_input; /* the image, video or tokens that it is of; TSR_NO_VALUE: none has been asked for */
  tsr_value output;
  tsr_meaning output_meaning;
  struct {
    const char *to, *from; /* as tsr_weights_average takes them */
    double keep;
  } follows[TSR_MAX_FOLLOWS]; /* done before each run */
  int follow_count;
  struct {
    tsr_weight *to; /* a vector */
    tsr_value from;
  } stores[TSR_MAX_STORES]; /* done after each run */
  int store_count;
  int list_patch; /* 0: pictures have one size; else any whose sides are multiples of this, several in one run (parts/na_vit.h) */
} tsr_graph;

/* Whether runs change weights: no number of theirs may be kept from one run to the next. */
static inline int tsr_graph_changes_weights(const tsr_graph *graph) {
  return graph->follow_count + graph->store_count > 0;
}

/* Reads keys of the config or of a run's options; see settings.h. */
typedef struct tsr_settings {
  const tsr_json *given;  /* object, or NULL */
  const tsr_json *preset; /* object whose members stand in for keys not given, or NULL */
  const char *what;       /* "config key" or "option", for messages */
  tsr_status code;        /* of what is wrong with them: TSR_ERR_CONFIG in a file, TSR_ERR_ARGUMENT in a request */
  const char **known;     /* every key asked for */
  int known_count, known_capacity;
} tsr_settings;

/* A network inside a wrapper (parts/teacher.h) while it is built. Wrappers may nest. */
typedef struct tsr_inside {
  const char *tap_prefix;      /* the beginning of its taps' names, which all wrappers around it set */
  int taps_aside;              /* they are there only where more than the main input is given */
  const char *handed_names[2]; /* up to two inputs that the wrapper hands to it */
  tsr_value handed[2];
  const char *watch; /* a pattern of taps, and the value of the last one that fits */
  tsr_value watched;
  struct tsr_inside *outer; /* what the wrapper itself is inside of, or NULL */
} tsr_inside;

struct tsr_arch; /* architecture.h */

typedef struct tsr_builder {
  tsr_arena *arena;
  tsr_error *err;
  const char *arch;
  const struct tsr_arch *(*find_arch)(const char *name); /* for wrappers; NULL: none of that name is here */
  tsr_weights *weights;
  tsr_graph graph;
  tsr_settings config, options;
  /* inputs handed in by the caller; when declaring there are none, and default shapes stand in */
  const tsr_input *inputs;
  int input_count;
  int declaring;
  const char *known_inputs[TSR_MAX_INPUTS]; /* every input asked for */
  int known_input_count;
  uint32_t fixed_inputs;       /* bit i: the graph depends on the numbers of known input i */
  const char *const *patterns; /* taps wanted */
  int pattern_count;
  tsr_inside *inside; /* NULL: no wrapper is around what is built now */
  char path[TSR_PATH_BYTES];
  size_t path_length;
  size_t scopes[TSR_MAX_SCOPES]; /* path_length before each open scope */
  int scope_count;
} tsr_builder;

/* Records a failure under the current path; returns TSR_NO_VALUE. */
tsr_value tsr_fail(tsr_builder *b, tsr_status code, const char *format, ...) TSR_PRINTF(3, 4);
static inline int tsr_failed(const tsr_builder *b) { return b->err->code != TSR_OK; }

/* Scopes: names are joined with dots to the path of weights ("transformer.layers.0"). One leave undoes one enter, whatever
 * dots the name had. */
void tsr_enter(tsr_builder *b, const char *format, ...) TSR_PRINTF(2, 3);
void tsr_leave(tsr_builder *b);

/* A picture batch [B,C,H,W] called "image": the caller's, or [1,C,H,W] of the defaults when only declaring. A caller's picture
 * must have `channels` channels (TSR_ERR_SHAPE). */
tsr_value tsr_input_image(tsr_builder *b, int channels, int default_h, int default_w);
/* A video batch [B,C,F,H,W] called "video", likewise. */
tsr_value tsr_input_video(tsr_builder *b, int channels, int default_f, int default_h, int default_w);
/* Tokens [B,N,C] of any number, "tokens". */
tsr_value tsr_input_tokens(tsr_builder *b, int default_n, int dim);
/* An optional input; TSR_NO_VALUE without failure when the caller gave none. A dim of 0 in `shape` takes any size. */
tsr_value tsr_input_optional(tsr_builder *b, const char *name, tsr_shape shape);

/* The numbers of an optional input that the graph itself depends on: a session is built anew when they change. NULL when the caller gave none.
 * They are the caller's, and gone after the run. */
const float *tsr_input_numbers(tsr_builder *b, const char *name, tsr_shape shape);

/* How many dims the caller's input of this name has; 0: none was given. */
int tsr_input_ndim(const tsr_builder *b, const char *name);

/* Weights, named below the current path ("weight"; "" is the path itself). Ops alone read their numbers: what is computed from weights is
 * written as nodes, which exec/fold.h makes into constants. */
tsr_value tsr_weight_vector(tsr_builder *b, const char *name, tsr_shape shape);
/* A vector that the reference keeps as a buffer: it is no parameter. */
tsr_value tsr_weight_buffer(tsr_builder *b, const char *name, tsr_shape shape);
/* A depthwise convolution's [C,1,kernel_h,kernel_w], kept with the channels last. */
tsr_value tsr_weight_depthwise(tsr_builder *b, const char *name, tsr_shape shape);
tsr_value tsr_weight_matrix(tsr_builder *b, const char *name, tsr_shape shape, tsr_matrix_layout layout);
/* Changes of weights, for training: steps of each run, in the order of these calls. Building changes nothing, and
 * neither does a run that fails.
 * Follow, before the nodes: `to` and what is below it become keep * to + (1 - keep) * from, as far as they are of the
 * same kind as what has the same name below `from`: parameters, or else both names are of buffers. Both are names below
 * the current path. TSR_ERR_ARGUMENT in 8 bits.
 * Store, after the nodes: the vector becomes `value`, of as many numbers. */
void tsr_weights_follow(tsr_builder *b, const char *to, const char *from, double keep);
void tsr_vector_store(tsr_builder *b, tsr_value vector, tsr_value value);
/* A table computed by the architecture: *data is for the caller to fill. NULL when there is nothing to fill: after a failure, and when
 * only declaring, so that a config cannot ask for memory before the weights have been seen. */
tsr_value tsr_constant(tsr_builder *b, tsr_shape shape, float **data);
/* Memory for the numbers of a value that is a constant from now on; NULL after a failure. */
float *tsr_constant_data(tsr_builder *b, tsr_value value);

/* A node; outputs' shapes follow from the op's rule. Returns its first output, TSR_NO_VALUE when an input is invalid. */
tsr_value tsr_node_add(tsr_builder *b, tsr_op op, const tsr_value *in, int n_in, const tsr_attrs *attrs);
/* Output `index` of the node that made `value`. TSR_ERR_CONFIG when there is none. */
tsr_value tsr_node_output(tsr_builder *b, tsr_value value, int index);

/* The shape of a value; a scalar's for TSR_NO_VALUE and for what is no value of the graph. */
tsr_shape tsr_shape_at(const tsr_builder *b, tsr_value value);
/* Dim i of a value, negative counts from the end; 0 for TSR_NO_VALUE, so that arithmetic on failed values is harmless. */
int tsr_dim(const tsr_builder *b, tsr_value value, int i);

/* Taps. tsr_tap offers and gives at once. tsr_tap_offer announces a tap that costs work: 1 when somebody wants it, then
 * tsr_tap_give hands the value in. */
void tsr_tap_add(tsr_builder *b, tsr_value value, tsr_meaning meaning, const char *format, ...) TSR_PRINTF(4, 5);
int tsr_tap_offer(tsr_builder *b, tsr_shape shape, tsr_meaning meaning, const char *format, ...) TSR_PRINTF(4, 5);
void tsr_tap_give(tsr_builder *b, tsr_value value);

/* 1 if `text` matches `pattern`, in which * stands for any characters (none included). */
int tsr_pattern_matches(const char *pattern, const char *text);

/* Says what the returned value is; the default is {"logits"}. */
static inline void tsr_output_means(tsr_builder *b, tsr_meaning meaning) { b->graph.output_meaning = meaning; }

#endif
