/* What a run is asked for: captures and options, and answers beyond plain outputs: attention (heads of some layers or
 * their mean, rollout, a map) and embeddings. tesserae.h describes the JSON. Names are resolved before the graph is
 * built and sizes before it runs, so that a request that cannot be answered fails before anything is computed. */
#ifndef TSR_MODEL_REQUEST_H
#define TSR_MODEL_REQUEST_H

#include "state.h"

enum { TSR_MAX_PATTERNS = 256 };

/* Reads a request's JSON (NULL: an empty one) into the builder: options, and patterns of the taps that it needs; sets
 * model->session.request if an answer is wanted. Everything is in the builder's arena.
 * TSR_ERR_ARGUMENT, TSR_ERR_MODEL_HEADER (no JSON), TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_request_read(tsr_builder *b, const char *json, const char *patterns[TSR_MAX_PATTERNS], tsr_model *model);
/* TSR_ERR_ARGUMENT unless every pattern matches a tap of the builder's graph; the message has the nearest name. */
tsr_status tsr_request_check_patterns(const tsr_builder *b);
/* Checks the request against the session's graph and takes its memory. TSR_ERR_ARGUMENT, TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_request_plan(tsr_request *r, tsr_session *session, tsr_error *err);
/* The memory that tsr_request_answer needs, on the context's heap; the caller frees it. NULL: it needs none, or
 * TSR_ERR_OUT_OF_MEMORY. Taken before a run, because a run that changes weights must not fail. */
float *tsr_request_take(const tsr_request *r, tsr_context *ctx);
/* Computes the answer from the values of a run, with the memory that tsr_request_take gave. Cannot fail. */
void tsr_request_answer(const tsr_request *r, const tsr_context *ctx, const tsr_session *session, float *work);
/* The outputs, as tsr_model_result and tsr_model_output hand them out. */
void tsr_request_write(tsr_text *text, const tsr_request *r);
const float *tsr_request_output(const tsr_request *r, int index);
/* Writes model->result: name, kind, dims and grid of each output of the session. */
void tsr_request_write_result(tsr_model *model);

#endif
