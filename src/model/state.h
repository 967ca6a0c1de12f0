/* A loaded model, from the inside: what model.c (life and runs), loader.c (from a file) and info.c (JSON) share. */
#ifndef TSR_MODEL_STATE_H
#define TSR_MODEL_STATE_H

#include "context.h"
#include "exec/exec.h"
#include "graph/architecture.h"
#include "graph/settings.h"
#include "image/image.h"

/* What a run answers beyond plain outputs; see request.c. */
typedef struct tsr_view tsr_view;

/* The graph of one input shape, one set of captures and options, with its memory. Kept until another is asked for. */
typedef struct tsr_session {
  tsr_arena arena;
  tsr_graph graph;
  tsr_exec *exec;
  tsr_view *view; /* NULL: plain outputs */
  tsr_text key;   /* what it was built for */
} tsr_session;

struct tsr_model {
  tsr_context *ctx;
  tsr_arena arena;          /* names, config, everything that lives as long as the model */
  const tsr_arch *arch;
  tsr_weights weights;
  const tsr_json *config;   /* the config object of the file */
  const tsr_json *preset;   /* the preset it names, or NULL */
  const tsr_json *root;     /* the whole of __metadata__.tesserae */
  const char *root_text;    /* ... as text, for what is passed on unread */
  tsr_graph declared;       /* the graph of the default input, in `arena`: shapes and taps */
  const char **input_names;
  int input_count_known;
  uint32_t fixed_inputs; /* bit i: sessions depend on the numbers of input i */
  const char **option_names; /* of a run */
  int option_count;
  const char **key_names; /* of the config */
  int key_count;
  int has_image_spec;
  tsr_image_spec image_spec;
  int max_patches; /* of a picture that keeps its own size (fit "native"); 0: all get the size of image_spec */
  tsr_input inputs[TSR_MAX_INPUTS];
  int input_count;
  tsr_session session;
  int ran; /* at least once: the engine has seen its kernels run */
  tsr_text info, result, unused;
};

/* A builder for this model; graph memory comes from `arena`. */
tsr_builder tsr_model_builder(tsr_model *model, tsr_arena *arena);

/* Builds the architecture's graph, which has an output unless the builder has failed. */
void tsr_model_build(const tsr_model *model, tsr_builder *b);

/* An empty model of this context. NULL: out of memory. */
tsr_model *tsr_model_create(tsr_context *ctx);

/* Reads __metadata__.tesserae: arch, config, preprocess; builds the declared graph, which fills the list of weights.
 * Errors: TSR_ERR_MODEL_HEADER, TSR_ERR_CONFIG, TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_model_read_metadata(tsr_model *model, const tsr_json *metadata);

/* Writes model->info. */
tsr_status tsr_model_write_info(tsr_model *model);

/* The view that a request (`asked`, parsed) asks for, in the builder's arena; `patterns`, room for `max`, and b->pattern_count get the taps
 * that it reads. NULL: none is asked for, or the error: TSR_ERR_ARGUMENT, TSR_ERR_OUT_OF_MEMORY. */
tsr_view *tsr_view_open(tsr_builder *b, const tsr_graph *declared, const tsr_json *asked, const char *request, const char **patterns,
                        int max);
/* Once the session has its graph: checks and takes memory. The same errors. */
tsr_status tsr_view_plan(tsr_view *view, tsr_session *session, tsr_error *err);
/* Before a run: what reading it takes besides, on the context's heap; NULL: nothing, or TSR_ERR_OUT_OF_MEMORY. */
float *tsr_view_take(const tsr_view *view, tsr_context *ctx);
/* After a run: fills it in, with what tsr_view_take gave. */
void tsr_view_read(const tsr_view *view, const tsr_context *ctx, const tsr_session *session, float *work);
/* The outputs, as tsr_model_result and tsr_model_output hand them out. */
void tsr_view_write(tsr_text *text, const tsr_view *view);
const float *tsr_view_output(const tsr_view *view, int index);

/* tsr_attention_rollout in two parts: memory, for the caller to free (NULL: TSR_ERR_OUT_OF_MEMORY), and what cannot
 * fail. */
float *tsr_rollout_take(tsr_context *ctx, int tokens);
void tsr_rollout_run(const tsr_context *ctx, float *work, float *out, const float *const *layers, int layer_count,
                     int heads, int tokens);

/* {"name","kind","dims","grid","prefix_tokens","windows"} */
void tsr_write_meaning(tsr_text *text, const char *name, const tsr_meaning *meaning, const tsr_shape *shape);

#endif
