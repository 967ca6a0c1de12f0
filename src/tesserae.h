/* Tesserae: vision transformers on the user's own device. The one public C header.
 *
 *   tsr_context *ctx = tsr_context_create(2);                         // two threads
 *   tsr_loader *loader = tsr_loader_create(ctx, TSR_LOAD_AUTO, file_bytes);
 *   while (n = read(...)) tsr_loader_feed(loader, buffer, n);         // weights are packed as they arrive
 *   tsr_model *model = tsr_loader_finish(loader);                     // NULL: tsr_context_message(ctx) says why
 *   tsr_model_set_input(model, "image", pixels, 4, (int[]){1, 3, 32, 32});
 *   tsr_model_run(model, "{\"capture\": [\"blocks.*.attn\"]}");
 *   puts(tsr_model_result(model));                                    // names, dims and meanings of the outputs
 *   const float *logits = tsr_model_output(model, 0);
 *   tsr_model_destroy(model);
 *   tsr_context_destroy(ctx);
 *
 * Functions
 *   contexts   tsr_context_create _destroy _set_clock _status _message _clear _bytes _peak_bytes _alloc _free
 *   loading    tsr_loader_create _feed _expect_sha256 _weights _has_header _finish _destroy
 *   models     tsr_model_info _set_input _run _result _output _preprocess _destroy
 *   images     tsr_context_decode_image tsr_context_image_size
 *   helpers    tsr_attention_rollout tsr_quantize_rows tsr_list_architectures tsr_describe
 *              tsr_status_name tsr_status_stage
 *
 * Everything belongs to a context: memory, threads, the error. A context and what hangs on it must be used by one thread at
 * a time; contexts are independent of each other. Functions that can fail return a status (or NULL) and keep the first
 * failure, with its message, in the context until tsr_context_clear. */
#ifndef TESSERAE_H
#define TESSERAE_H

#include <stddef.h>
#include <stdint.h>

/* 0 when nothing failed, else a code: tsr_status_name gives the name that the comments below use (TSR_ERR_SHAPE is "ERR_SHAPE"). */
typedef int tsr_status;

typedef struct tsr_context tsr_context;
typedef struct tsr_loader tsr_loader;
typedef struct tsr_model tsr_model;

/* threads: how many threads work on one run, the caller's included (1..16; others are clamped; a build without threads
 * takes 1). NULL: out of memory. */
tsr_context *tsr_context_create(int threads);
/* Frees the context. Its models and loaders must be gone. NULL is fine. */
void tsr_context_destroy(tsr_context *ctx);
/* A clock in milliseconds. With one, the second, third and fourth run of 8-bit weights begin with a trial of some five milliseconds, of which of
 * several forms of the product is fastest on this machine; the numbers are the same. */
void tsr_context_set_clock(tsr_context *ctx, double (*now)(void));
tsr_status tsr_context_status(const tsr_context *ctx);
/* The message of the failure that stands, "" when there is none; valid until the next call. */
const char *tsr_context_message(const tsr_context *ctx);
void tsr_context_clear(tsr_context *ctx);
/* Threads at work; bytes in use now, and at most so far, by everything in this context. */
int tsr_context_threads(const tsr_context *ctx);
#if defined(TSR_THREADS) && defined(__wasm__)
/* WebAssembly starts no threads by itself: a context has one, and the host admits others (threads.h says how). */
void *tsr_context_admit_thread(tsr_context *ctx);
void tsr_context_serve_thread(tsr_context *ctx, int thread);
void tsr_context_stop(tsr_context *ctx);
#endif
size_t tsr_context_bytes(const tsr_context *ctx);
size_t tsr_context_peak_bytes(const tsr_context *ctx);
/* Memory for the caller's own buffers, counted in the context, 64-byte aligned. NULL (and TSR_ERR_OUT_OF_MEMORY): out of memory. */
void *tsr_context_alloc(tsr_context *ctx, size_t bytes);
void tsr_context_free(tsr_context *ctx, void *block);

/* Decodes a JPEG or PNG file to 8-bit RGB with its EXIF orientation applied. *pixels gets height * width * 3 bytes, row by row from the
 * top, which the caller frees with tsr_context_free; size gets { width, height }. On failure *pixels is NULL.
 * TSR_ERR_IMAGE_FORMAT, TSR_ERR_IMAGE_TOO_LARGE, TSR_ERR_IMAGE_CORRUPT, TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_context_decode_image(tsr_context *ctx, const void *bytes, size_t n, uint8_t **pixels, int size[2]);
/* { width, height } as the file's header has them, before the EXIF orientation; nothing is decoded. Errors as above. */
tsr_status tsr_context_image_size(tsr_context *ctx, const void *bytes, size_t n, int size[2]);

/* How weights are kept: as the file has them, widened to f32, or quantized on the fly to 8 bits per output channel. */
typedef enum tsr_load_dtype { TSR_LOAD_AUTO, TSR_LOAD_F32, TSR_LOAD_Q8 } tsr_load_dtype;

/* total_bytes: length of the file, UINT64_MAX when unknown. NULL: out of memory. */
tsr_loader *tsr_loader_create(tsr_context *ctx, tsr_load_dtype dtype, uint64_t total_bytes);
/* The next n bytes of the file. Once the header is there, config and every tensor's name, type and shape have been checked, so that a
 * wrong file fails before its weights are downloaded. Errors: those of safetensors.h, TSR_ERR_CONFIG,
 * TSR_ERR_MODEL_TENSOR_MISSING, TSR_ERR_MODEL_TENSOR_SHAPE, TSR_ERR_MODEL_DTYPE, TSR_ERR_OUT_OF_MEMORY; TSR_ERR_WASM_ARCH: the architecture
 * is one that the smaller WebAssembly files leave out. */
tsr_status tsr_loader_feed(tsr_loader *loader, const void *bytes, size_t n);
/* Before the first feed: finish fails with TSR_ERR_INTEGRITY unless the file has this SHA-256. */
tsr_status tsr_loader_expect_sha256(tsr_loader *loader, const uint8_t digest[32]);
/* Once the header is there: JSON of the weights the model takes, [{"name", "shape", "role": "matrix" | "vector"}, ...];
 * "" before. Matrices are what q8 quantizes. Owned by the loader. */
const char *tsr_loader_weights(tsr_loader *loader);
/* Whether the header is there, and right. */
int tsr_loader_has_header(const tsr_loader *loader);
/* The model, when every byte has come; frees the loader in either case. NULL: see the context. */
tsr_model *tsr_loader_finish(tsr_loader *loader);
/* Gives up; NULL is fine. */
void tsr_loader_destroy(tsr_loader *loader);

/* JSON: { "arch", "title", "paper", "reference", "config", "labels": [..] or null, "license", "source",
 *   "preprocess": { "size": [h, w], "channels", "resize": "nearest|bilinear|bicubic|lanczos|box", "fit": "crop|squash|native", "crop_pct", "mean", "std" },
 *   "dtype": "f32" | "q8", "parameters", "operations" (multiply-adds of one forward pass at the default input),
 *   "weights_bytes", "input": { "name", "dims": [1,3,H,W] }, "inputs": [names], "output": { "kind": "logits" | ..., "dims" },
 *   "taps": [ { "name", "kind", "dims", "grid": [h, w], "prefix_tokens", "suffix" (tokens behind the grid's, where there are some), "windows": { "grid": [h, w], "spread" } or null }, ... ], "options": [names], "unused": [names of tensors the model did not take] }
 * Of models that take video, the input's dims are [1,3,F,H,W], and grids [f, h, w].
 * Owned by the model. */
const char *tsr_model_info(tsr_model *model);

/* Hands in a named input: "image" [B,C,H,W], "video" [B,C,F,H,W], or an optional one of the architecture's (glom: "levels"). `data` is not
 * copied and must stay until the run is over. data NULL takes the input back.
 * TSR_ERR_ARGUMENT (no such input: lists them), TSR_ERR_SHAPE (rank, or a dim out of range). */
tsr_status tsr_model_set_input(tsr_model *model, const char *name, const float *data, int ndim, const int *dims);

/* Runs the model. request: NULL, or JSON {"capture": ["blocks.*.attn", ...], "options": {"iters": 12, ...}}.
 * A pattern matches tap names; * stands for any characters. TSR_ERR_ARGUMENT: no tap matches (lists the nearest), an unknown
 * option or one out of range; TSR_ERR_SHAPE: the input does not fit the model (says what would);
 * TSR_ERR_OUT_OF_MEMORY. After a failure the model is as it was before.
 * Or {"attention": {"layers": "all" | -1 | [-1, ...], "heads": "mean" | "all" | 0 | [0, ...], "rollout": false}}: indices, negative from the
 * end; layers: by default the last, or all for a rollout; heads: their mean (the default), each, or some. Outputs: "attention" [L,K,N,M],
 * K = 1 for the mean, [L,G,K,N,M] for G windows or pictures (pictures first), or the rollout [N,N]; "layers" [L], which these are; and,
 * of one picture with a grid and no windows, "map" [cells]: what a classification looks at, in the rollout or the last of these layers.
 * TSR_ERR_ARGUMENT: what is not there, layers of different shapes, a rollout of windows or pictures.
 * Or {"embed": {"pooling": "auto" | "cls" | "mean", "normalize": true}}: output "embedding" [B,C], rows of length 1 unless normalize is
 * false. auto: what the model's own head sees. TSR_ERR_ARGUMENT: no such token. */
tsr_status tsr_model_run(tsr_model *model, const char *request);

/* JSON array, one entry per output of the last run: [{ "name": "output", "kind", "dims", "grid", "prefix_tokens", "suffix", "windows" }, captures...]. */
const char *tsr_model_result(tsr_model *model);
/* f32 values of output `index`, valid until the next run. NULL: no such output. */
const float *tsr_model_output(tsr_model *model, int index);

/* Resizes, crops and normalises a decoded image as the file's preprocess says. pixels: height * width * channels bytes, 1 to 4 channels.
 * out: f32 [C,H,W] of info.preprocess.size, or of a smaller size where `fit` is "native"; size, if not NULL, gets { W, H }.
 * fitted, if not NULL, gets the 8-bit image [H,W,C] before normalisation. TSR_ERR_ARGUMENT, TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_model_preprocess(tsr_model *model, const uint8_t *pixels, int width, int height, int channels, float *out,
                                uint8_t *fitted, int *size);

void tsr_model_destroy(tsr_model *model);

/* Attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): out [N,N] = product over layers, the last on the left, of
 * rows normalised (mean over heads of A + I). layers: L pointers to [H,N,N]. TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_attention_rollout(tsr_context *ctx, float *out, const float *const *layers, int layer_count, int heads, int tokens);

/* Per-row symmetric 8-bit quantization of w [N,K]: q int8 [N,K], scale f32 [N]. */
void tsr_quantize_rows(int8_t *q, float *scale, const float *w, int n, int k);

/* JSON array of every architecture that is here (registry.h): [{ "arch", "title", "paper", "reference", "presets": [names] }]. Static. */
const char *tsr_list_architectures(tsr_context *ctx);

/* What a file with `metadata` as its __metadata__.tesserae would be, as tsr_model_info tells it: parameters, operations,
 * taps, without any weights; and "keys", the names of the config's keys that the architecture reads.
 * {"arch": "vit", "config": {"preset": "vit_ti"}} will do. Holds until the next call of this function.
 * NULL: TSR_ERR_CONFIG, TSR_ERR_MODEL_HEADER, TSR_ERR_OUT_OF_MEMORY. */
const char *tsr_describe(tsr_context *ctx, const char *metadata);

/* "ERR_SHAPE" and the like; "ERR_UNKNOWN" for a number that is no code. Static storage. */
const char *tsr_status_name(tsr_status code);
/* The stage a code belongs to: "call", "fetch", "model", "image", "memory", "environment" or "none". Static storage. */
const char *tsr_status_stage(tsr_status code);

#endif
