/* A loaded model from the inside: what loader.c (from a file), metadata.c (config, preprocessing), request.c,
 * session.c, run.c (life and runs) and info.c (JSON) share. */
#ifndef TSR_MODEL_STATE_H
#define TSR_MODEL_STATE_H

#include "context.h"
#include "exec/exec.h"
#include "graph/architecture.h"
#include "graph/settings.h"
#include "image/image.h"

/* What a run is asked for beyond plain outputs (request.h). */
typedef struct tsr_request tsr_request;

/* A graph built for one set of input shapes, captures and options, with its memory. A model keeps the last one. */
typedef struct tsr_session {
  tsr_arena arena;
  tsr_graph graph;
  tsr_exec *exec;
  tsr_request *request; /* NULL: plain outputs */
  tsr_text key;         /* what it was built for */
} tsr_session;

struct tsr_model {
  tsr_context *ctx;
  tsr_arena arena; /* names, config, everything that lives as long as the model */
  const tsr_arch *arch;
  tsr_weights weights;
  const tsr_json *config; /* the config object of the file */
  const tsr_json *preset; /* the preset it names, or NULL */
  const tsr_json *root;   /* the whole of __metadata__.tesserae */
  const char *root_text;  /* ... as text, for what is passed on unread */
  tsr_graph declared;     /* the graph of the default input, in `arena`: shapes and taps */
  const char **input_names;
  int input_count_known;
  uint32_t fixed_inputs;     /* bit i: the graph must be rebuilt when the values of input i change */
  const char **option_names; /* of a run */
  int option_count;
  const char **key_names; /* of the config */
  int key_count;
  const char *problem_type; /* as transformers names it: what scores mean; NULL if the output is no logits */
  int has_image_spec;
  tsr_image_spec image_spec;
  int max_patches; /* of an image that keeps its own size (fit "native"); 0: all get the size of image_spec */
  tsr_input inputs[TSR_MAX_INPUTS];
  int input_count;
  tsr_session session;
  int ran; /* 1 after the first run: V8 has run the kernels once, so that a trial can time them */
  tsr_text info, result, unused;
};

/* A builder for this model; graph memory comes from `arena`. */
tsr_builder tsr_model_builder(tsr_model *model, tsr_arena *arena);

/* Builds the architecture's graph, which has an output unless the builder has failed. */
void tsr_model_build(const tsr_model *model, tsr_builder *b);

/* An empty model of this context. NULL: out of memory. */
tsr_model *tsr_model_create(tsr_context *ctx);

/* Makes model->session the one for this request: the last one if it fits, else a new one. After a failure there is
 * none. (session.c) */
tsr_status tsr_session_find(tsr_model *model, const char *request);
/* TSR_ERR_ARGUMENT if an input holds a NaN or an infinity. */
tsr_status tsr_session_check_numbers(tsr_model *model);
/* Lets the session's graph read the inputs that are set now. */
void tsr_session_bind_inputs(tsr_model *model);
/* Gives the session's memory back. */
void tsr_session_end(tsr_model *model);

/* Reads __metadata__.tesserae: arch, config, preprocess; builds the declared graph, which fills the list of weights.
 * TSR_ERR_MODEL_HEADER, TSR_ERR_CONFIG, TSR_ERR_OUT_OF_MEMORY. (metadata.c) */
tsr_status tsr_model_read_metadata(tsr_model *model, const tsr_json *metadata);

/* Writes model->info. with_keys: also the names of the config's keys, as tsr_describe gives them. */
tsr_status tsr_model_write_info(tsr_model *model, int with_keys);

#endif
