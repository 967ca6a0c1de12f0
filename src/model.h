/* A loaded model, from the inside: what model.c (life and runs), loader.c (from a file) and info.c (JSON) share. */
#ifndef TSR_MODEL_H
#define TSR_MODEL_H

#include "build.h"
#include "context.h"
#include "exec.h"

/* What a run answers beyond plain outputs; see view.c. */
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
/* After a run: fills it in. TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_view_read(const tsr_view *view, tsr_context *ctx, const tsr_session *session);
/* The outputs, as tsr_model_result and tsr_model_output hand them out. */
void tsr_view_write(tsr_text *text, const tsr_view *view);
const float *tsr_view_output(const tsr_view *view, int index);

/* {"name","kind","dims","grid","prefix_tokens","windows"} */
void tsr_write_meaning(tsr_text *text, const char *name, const tsr_meaning *meaning, const tsr_shape *shape);

#endif
