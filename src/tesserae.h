/* The one public C header of Tesserae, which runs vision transformers on the user's own device.
 *
 *   tsr_context *ctx = tsr_context_create(2);                         // two threads
 *   tsr_loader *loader = tsr_loader_create(ctx, TSR_LOAD_AUTO, file_bytes);
 *   while ((n = read(...)) > 0) tsr_loader_feed(loader, buffer, n);   // weights are packed as they arrive
 *   tsr_model *model = tsr_loader_finish(loader);                     // NULL: tsr_context_message(ctx) says why
 *   tsr_model_set_input(model, "image", pixels, 4, (int[]){1, 3, 32, 32});
 *   tsr_model_run(model, "{\"capture\": [\"blocks.*.attn\"]}");
 *   puts(tsr_model_result(model));                                    // names, dims and meanings of the outputs
 *   const float *logits = tsr_model_output(model, 0);
 *   tsr_model_destroy(model);
 *   tsr_context_destroy(ctx);
 *
 * Functions
 *   contexts   tsr_context_create _destroy _set_clock _status _message _clear _threads _bytes _peak_bytes _alloc
 *              _free
 *   loading    tsr_loader_create _feed _expect_sha256 _weights _has_header _finish _destroy
 *   models     tsr_model_info _set_input _run _result _output _preprocess _destroy
 *   images     tsr_context_decode_image tsr_context_image_size
 *   helpers    tsr_attention_rollout tsr_quantize_rows tsr_list_architectures tsr_describe
 *              tsr_status_name tsr_status_stage
 *
 * A context owns everything: the memory, the threads and the error. One thread at a time may use a context and its
 * loaders and models; contexts are independent of each other. Functions that can fail return a status (or NULL). The
 * first failure stays in the context, with its message, until tsr_context_clear. */
#ifndef TESSERAE_H
#define TESSERAE_H

#include <stddef.h>
#include <stdint.h>

/* 0 when nothing failed, else a code. The comments below write TSR_ERR_SHAPE for the code that tsr_status_name names
 * "ERR_SHAPE". */
typedef int tsr_status;

typedef struct tsr_context tsr_context;
typedef struct tsr_loader tsr_loader;
typedef struct tsr_model tsr_model;

/* A new context. threads: how many threads work on one run, the caller's included (1..16; other values are clamped; a
 * build without threads takes 1). The caller destroys it. NULL: out of memory. */
tsr_context *tsr_context_create(int threads);
/* Frees the context. Its models and loaders must have been destroyed before. NULL is allowed. */
void tsr_context_destroy(tsr_context *ctx);
/* Sets a clock in milliseconds. With a clock, the second, third and fourth run of a model with 8-bit weights begin with
 * a trial of about five milliseconds, which times several kernels of the 8-bit product and keeps the fastest on this
 * machine. The results are the same. */
void tsr_context_set_clock(tsr_context *ctx, double (*now)(void));
/* The code of the first failure since the last tsr_context_clear; 0 when nothing failed. */
tsr_status tsr_context_status(const tsr_context *ctx);
/* The message of that failure, "" when there is none; valid until the next call. */
const char *tsr_context_message(const tsr_context *ctx);
/* Forgets the failure. */
void tsr_context_clear(tsr_context *ctx);
/* Threads that work on one run. */
int tsr_context_threads(const tsr_context *ctx);
#if defined(TSR_THREADS) && defined(__wasm__)
/* WebAssembly starts no threads itself: a context begins with one, and the host adds others. This makes room for one
 * more; its number is the count of threads before the call. Returns the upper end of its stack, which the context owns.
 * NULL: no more threads fit, or out of memory. Not to be called during a run. */
void *tsr_context_admit_thread(tsr_context *ctx);
/* The main loop of thread `thread`, which the host calls on that thread's stack; returns after tsr_context_stop. */
void tsr_context_serve_thread(tsr_context *ctx, int thread);
/* Makes these threads return. A run in progress traps, as does every later one. */
void tsr_context_stop(tsr_context *ctx);
#endif
/* Bytes in use now by everything in this context. */
size_t tsr_context_bytes(const tsr_context *ctx);
/* The highest number of bytes in use so far. */
size_t tsr_context_peak_bytes(const tsr_context *ctx);
/* `bytes` of memory for the caller's own buffers, 64-byte aligned and counted in the context. NULL: out of memory,
 * which also records TSR_ERR_OUT_OF_MEMORY. */
void *tsr_context_alloc(tsr_context *ctx, size_t bytes);
/* Frees memory of tsr_context_alloc or tsr_context_decode_image. NULL is allowed. */
void tsr_context_free(tsr_context *ctx, void *block);

/* Decodes a JPEG or PNG file of n bytes to 8-bit RGB, with its EXIF orientation applied. *pixels gets uint8
 * [height,width,3], row by row from the top; the caller frees it with tsr_context_free. size gets { width, height }. On
 * failure *pixels is NULL. TSR_ERR_IMAGE_FORMAT, TSR_ERR_IMAGE_TOO_LARGE, TSR_ERR_IMAGE_CORRUPT,
 * TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_context_decode_image(tsr_context *ctx, const void *bytes, size_t n, uint8_t **pixels, int size[2]);
/* Reads { width, height } from the file's header, before the EXIF orientation; decodes nothing. Errors as above. */
tsr_status tsr_context_image_size(tsr_context *ctx, const void *bytes, size_t n, int size[2]);

/* How weights are kept: as the file has them, widened to f32, or quantized at loading to 8 bits per output channel. */
typedef enum tsr_load_dtype { TSR_LOAD_AUTO, TSR_LOAD_F32, TSR_LOAD_Q8 } tsr_load_dtype;

/* A new loader of one file. total_bytes: length of the file, UINT64_MAX when unknown. NULL: out of memory. */
tsr_loader *tsr_loader_create(tsr_context *ctx, tsr_load_dtype dtype, uint64_t total_bytes);
/* Takes the next n bytes of the file. As soon as the header is complete, the config and every tensor's name, type and
 * shape are checked, so that a wrong file fails before its weights are downloaded. Errors of the file:
 * TSR_ERR_FETCH_CONTENT_TYPE, TSR_ERR_MODEL_HEADER, TSR_ERR_MODEL_DTYPE, TSR_ERR_MODEL_OFFSETS, TSR_ERR_MODEL_OVERFLOW,
 * TSR_ERR_MODEL_DUPLICATE_KEY. Errors of the model: TSR_ERR_CONFIG, TSR_ERR_MODEL_TENSOR_MISSING,
 * TSR_ERR_MODEL_TENSOR_SHAPE, TSR_ERR_MODEL_DTYPE; TSR_ERR_WASM_ARCH when the architecture is one that the smaller
 * WebAssembly files leave out. TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_loader_feed(tsr_loader *loader, const void *bytes, size_t n);
/* Makes finish fail with TSR_ERR_INTEGRITY unless the file has this SHA-256. To be called before the first feed. */
tsr_status tsr_loader_expect_sha256(tsr_loader *loader, const uint8_t digest[32]);
/* The weights the model takes, as JSON: [{"name" in the file, "shape", "role": "matrix" | "vector"}, ...]; "" until the
 * header is complete. q8 quantizes the matrices. The loader owns the text. */
const char *tsr_loader_weights(tsr_loader *loader);
/* 1 once the header is complete and passed its checks, else 0. */
int tsr_loader_has_header(const tsr_loader *loader);
/* The model, once every byte was fed. Frees the loader, also on failure. NULL: the context has the error, that of an
 * earlier feed, TSR_ERR_FETCH_TRUNCATED, TSR_ERR_FETCH_CONTENT_TYPE, TSR_ERR_INTEGRITY or TSR_ERR_OUT_OF_MEMORY. */
tsr_model *tsr_loader_finish(tsr_loader *loader);
/* Frees a loader without making a model. NULL is allowed. */
void tsr_loader_destroy(tsr_loader *loader);

/* The model's description as JSON, owned by the model:
 *   { "arch", "title", "paper", "reference", "config", "labels": [..] or null, "license", "source",
 *     "problem_type": "single_label_classification" | "multi_label_classification" | "regression", or null where the
 *                     output is no logits, "prefix" of all names in the file,
 *     "preprocess": { "size": [h, w], "channels", "resize": "nearest|bilinear|bicubic|lanczos|box|hamming",
 *                     "fit": "crop|squash|border|none|native", "crop_pct", "mean", "std", and where they matter
 *                     "shortest_edge", "longest_edge", "resize_size": [h, w], "crop_offset": "floor", "bgr": true,
 *                     "rescale_first": true },
 *     "dtype": "f32" | "q8", "parameters", "operations" (multiply-adds of one forward pass at the default input),
 *     "weights_bytes", "input": { "name", "dims": [1,3,H,W] }, "inputs": [names],
 *     "output": { "kind": "logits" | ..., "dims" },
 *     "taps": [ { "name", "kind", "dims", "grid": [h, w], "prefix_tokens", "suffix" (tokens after the grid's, if any),
 *                 "windows": { "grid": [h, w], "spread" } or null }, ... ],
 *     "options": [names], "unused": [names of tensors the model did not take] }
 * For models of video, the input's dims are [1,3,F,H,W] and grids are [f, h, w]. */
const char *tsr_model_info(tsr_model *model);

/* Sets a named input: "image" [B,C,H,W], "video" [B,C,F,H,W], or an optional one of the architecture (glom: "levels").
 * `data` is not copied and must stay until the run is over. data NULL removes the input.
 * TSR_ERR_ARGUMENT: no such input (the message lists them). TSR_ERR_SHAPE: wrong rank, or a dim out of range. */
tsr_status tsr_model_set_input(tsr_model *model, const char *name, const float *data, int ndim, const int *dims);

/* Runs the model. request is NULL or JSON with some of these keys:
 *
 * {"capture": ["blocks.*.attn", ...], "options": {"iters": 12, ...}}
 *   A pattern matches tap names; * stands for any characters. Each tap that matches is an output.
 * {"attention": {"layers": "all" | -1 | [-1, ...], "heads": "mean" | "all" | 0 | [0, ...], "rollout": false}}
 *   Indices below 0 count from the end. layers: the last one by default, or all for a rollout. heads: their mean (the
 *   default), each, or some. Outputs: "attention" [L,K,N,M] of K heads (1 for the mean), N queries and M keys, or
 *   [L,G,K,N,M] for G windows or images (images first), or the rollout [N,N]; "layers" [L], their indices; and, for
 *   one image with a grid and no windows, "map" [cells]: the attention of the classification to each cell, from the
 *   rollout or the last of these layers. TSR_ERR_ARGUMENT: no such layer or head, layers of different shapes, a
 *   rollout of windows or of several images.
 * {"embed": {"pooling": "auto" | "cls" | "mean", "normalize": true}}
 *   Output "embedding" [B,C], rows of length 1 unless normalize is false. auto: what the model's own head takes.
 *   TSR_ERR_ARGUMENT: no such token.
 *
 * TSR_ERR_ARGUMENT: no tap matches (the message lists the nearest), an unknown option or one out of range.
 * TSR_ERR_SHAPE: the input does not fit the model (the message says what would). TSR_ERR_OUT_OF_MEMORY.
 * After a failure the model is as it was before. */
tsr_status tsr_model_run(tsr_model *model, const char *request);

/* The outputs of the last run, as a JSON array with one entry per output:
 * [{ "name": "output", "kind", "dims", "grid", "prefix_tokens", "suffix", "windows" }, captures...]. */
const char *tsr_model_result(tsr_model *model);
/* f32 values of output `index`, valid until the next run. NULL: no such output. */
const float *tsr_model_output(tsr_model *model, int index);

/* Resizes, crops and normalises a decoded image as the file's preprocess says.
 * pixels: uint8 [height,width,channels], 1 to 4 channels. out: f32 [C,H,W] of info.preprocess.size, or of a smaller
 * size where `fit` is "native". fitted, if not NULL, gets the 8-bit image [H,W,C] before normalisation. size, if not
 * NULL, gets { W, H }. TSR_ERR_ARGUMENT, TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_model_preprocess(tsr_model *model, const uint8_t *pixels, int width, int height, int channels,
                                float *out, uint8_t *fitted, int *size);

/* Frees the model. */
void tsr_model_destroy(tsr_model *model);

/* Attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928): out [N,N] = product over the layers, the last one on
 * the left, of normalise_rows(mean over heads of A, plus I). layers: layer_count pointers to f32 [H,N,N], with H
 * `heads` and N `tokens`. TSR_ERR_ARGUMENT: a count below 1. TSR_ERR_OUT_OF_MEMORY. */
tsr_status tsr_attention_rollout(tsr_context *ctx, float *out, const float *const *layers, int layer_count, int heads,
                                 int tokens);

/* Symmetric 8-bit quantization by row of w f32 [N,K]: q int8 [N,K], scale f32 [N]. */
void tsr_quantize_rows(int8_t *q, float *scale, const float *w, int n, int k);

/* The architectures of this build, as a JSON array:
 * [{ "arch", "title", "paper", "reference", "presets": [names] }]. Static. */
const char *tsr_list_architectures(tsr_context *ctx);

/* The description, as tsr_model_info gives it, of a file that has `metadata` as its __metadata__.tesserae: parameters,
 * operations and taps, without any weights; and "keys", the names of the config's keys that the architecture reads.
 * {"arch": "vit", "config": {"preset": "vit_ti"}} is enough. Valid until the next call of this function.
 * NULL: TSR_ERR_CONFIG, TSR_ERR_MODEL_HEADER, TSR_ERR_OUT_OF_MEMORY. */
const char *tsr_describe(tsr_context *ctx, const char *metadata);

/* "ERR_SHAPE" and the like; "ERR_UNKNOWN" for a number that is no code. Static storage. */
const char *tsr_status_name(tsr_status code);
/* The stage a code belongs to: "call", "fetch", "model", "image", "memory", "environment" or "none". Static storage. */
const char *tsr_status_stage(tsr_status code);

#endif
