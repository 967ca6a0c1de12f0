// @ts-check
/**
 * The types of the public API, and nothing that runs. index.js gives the names that callers use; messages to the worker
 * are in rpc.js.
 */

// ---- inputs ----

/**
 * Rows from the top.
 * @typedef {object} Pixels
 * @property {Uint8Array | Uint8ClampedArray} data
 * @property {number} width
 * @property {number} height
 * @property {number} [channels] 1, 3 or 4; default: what the length of `data` says
 */

/**
 * In the order of the reference: images [B,C,H,W], video [B,C,F,H,W].
 * @typedef {{ data: Float32Array, dims: number[] }} Tensor
 */

/**
 * A string is an address; in Node also a path. A model that takes video takes an array of as many of these as it has
 * frames, a video element, or a tensor.
 * @typedef {string | URL | Blob | ArrayBuffer | Uint8Array | HTMLImageElement | HTMLVideoElement | HTMLCanvasElement
 *   | OffscreenCanvas | ImageBitmap | ImageData | VideoFrame | Pixels | Tensor} Input
 */

// ---- loading ----

/**
 * A model's file, or the folder of a checkpoint: an address, in Node also a path; the file's contents; what a picker of
 * folders gives; Blobs by the files' names.
 * @typedef {string | URL | Blob | ArrayBuffer | Uint8Array | FileList | File[] | Record<string, Blob>} ModelSource
 */

/**
 * @typedef {object} Progress
 * @property {'wasm' | 'weights' | 'compile' | 'warmup' | 'ready'} phase
 * @property {number} loaded bytes of the model so far; never goes back
 * @property {number | null} total bytes of the model, null while unknown
 * @property {number} ratio 0 to 1 over the whole load; never goes back
 * @property {boolean} fromCache
 */

/** @typedef {(bytes: Uint8Array) => Pixels | Promise<Pixels>} Decoder */

/**
 * @typedef {object} LoadOptions
 * @property {'auto' | 'f32' | 'q8'} [dtype] how weights are kept: as the file has them, as f32, or quantized while
 *   loading
 * @property {boolean} [worker] run in a worker (default true)
 * @property {'auto' | number} [threads] threads at work (default 'auto': the cores there are, four at most)
 * @property {boolean} [deterministic] the same bits on every machine: the build without relaxed SIMD
 * @property {AbortSignal} [signal] gives up the load; it rejects with the signal's reason
 * @property {(progress: Progress) => void} [onProgress] what it throws ends the load
 * @property {'auto' | 'reload' | false} [cache] the browser's Cache API: use it, refresh it, or leave it alone. Node
 *   has none
 * @property {typeof globalThis.fetch} [fetch] used instead of the global one for everything this model fetches
 * @property {Record<string, string> | Headers} [headers] sent with what is fetched of the model, to its own server
 *   alone
 * @property {string | Record<string, string>} [integrity] 'sha256-' and the base64 digest that the file must have; for
 *   folders also an object of them by the files' names
 * @property {boolean} [encoderOnly] of a folder's MAE only the encoder: its decoder is neither fetched nor kept
 * @property {string | URL} [wasmUrl] where the .wasm lies: the file (one ending in -all, if the architecture is a rare
 *   one), or a folder (ending in /) that holds all builds
 * @property {BufferSource | WebAssembly.Module} [wasmBinary] the .wasm itself
 * @property {boolean} [warmup] run once on zeros before the model is handed out
 * @property {'auto' | 'wasm' | Decoder} [decode] who decodes image files: the browser (auto), the core (wasm; always in
 *   Node), or a function
 * @property {number} [retries] of a broken download (default 3)
 */

// ---- what a model says of itself ----

/** @typedef {[number, number] | [number, number, number]} Grid rows and columns; of video frames, rows and columns */

/**
 * Of a map that is cut into windows; null: it is not. Token (y, x) of window (r, c) is pixel (r h + y, c w + x) of the
 * map, or, with spread, pixel (y rows + r, x columns + c).
 * @typedef {{ grid: Grid, spread: boolean } | null} Windows grid: rows and columns of windows, which the first dim
 *   counts (in each image); the value's own grid is then a window's, h by w
 */

/**
 * A value of the model that can be captured.
 * @typedef {object} Tap
 * @property {string} name
 * @property {string} kind
 * @property {number[]} dims
 * @property {Grid | null} grid
 * @property {number} prefix_tokens
 * @property {number} [suffix]
 * @property {Windows} windows
 */

/**
 * @typedef {object} Info
 * @property {string} arch
 * @property {string} title
 * @property {string} paper
 * @property {string} reference
 * @property {Record<string, any>} config
 * @property {string[] | null} labels
 * @property {string | null} license
 * @property {string | null} source
 * @property {'single_label_classification' | 'multi_label_classification' | 'regression' | null} problem_type what
 *   classify makes its scores by: softmax, sigmoid, or the numbers as they are; null: no logits
 * @property {string} prefix what stands before every name in the file: 'module.' of a wrapper; mostly ''
 * @property {{ size: [number, number], channels: number, resize: string, fit: string, crop_pct: number, mean: number[],
 *   std: number[], shortest_edge?: number, longest_edge?: number, resize_size?: [number, number],
 *   crop_offset?: string, bgr?: boolean, rescale_first?: boolean }} preprocess
 * @property {'f32' | 'q8'} dtype
 * @property {number} parameters
 * @property {number} operations multiply-adds of one pass
 * @property {number} weights_bytes
 * @property {{ name: string, dims: number[], list: boolean }} input list: images may have many sizes, and an array of
 *   them runs in one pass
 * @property {{ kind: string, dims: number[] }} output
 * @property {Tap[]} taps
 * @property {string[]} inputs names that forward's `inputs` takes
 * @property {string[]} options names that forward's `options` takes
 * @property {string[]} unused tensors of the file that the model does not take
 * @property {string | null} [commit] of a folder: the one that the server named
 * @property {string[]} [files] of a folder: the names of its files of tensors
 */

/**
 * What the model runs on, and why.
 * @typedef {object} Runtime
 * @property {boolean} simd
 * @property {boolean | null} relaxedSimd null: unknown, because the caller gave the .wasm
 * @property {number} threads
 * @property {string | null} threadsReason why not more: 'requested', 'not-cross-origin-isolated', 'no-worker',
 *   'memory', 'unsupported' or 'failed: ...'; null: as many as asked for
 * @property {boolean} worker
 * @property {string | null} workerReason why there is none
 */

/**
 * @typedef {{ bytes: number, peak: number, wasm: number }} MemoryUse bytes the core has in use, had at most; size of
 *   the wasm memory
 */

// ---- calls and their answers ----

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal]
 * @property {number} [frames] how many to take, for models that take video alone (default: the model's)
 */

/**
 * @typedef {{ label: string, score: number, index: number }} Classification score: 0 to 1; of a regression, and with
 *   scores 'raw', the output's own number
 */

/**
 * @typedef {object} Capture
 * @property {Float32Array} data
 * @property {number[]} dims
 * @property {string} kind
 * @property {Grid | null} grid
 * @property {number} prefixTokens
 * @property {number} [suffix] how many tokens (registers, a distillation token) stand behind those of the grid; absent
 *   where there are none
 * @property {Windows} windows
 */

/**
 * @typedef {object} Attention
 * @property {Float32Array} data
 * @property {number[]} dims [layers, heads, N, N], heads 1 for the mean; a rollout [N, N]; with windows [layers,
 *   windows, heads, N, N], and several images in one tensor count as windows too
 * @property {Grid | null} grid rows and columns of cells that the tokens behind the prefix stand for
 * @property {number} prefixTokens class and register tokens in front
 * @property {number} [suffix] registers behind the cells' tokens; absent where there are none
 * @property {Windows} windows
 * @property {number[]} layers which layers these are
 * @property {Float32Array | null} map one value a cell: what the classification attends to, in the last of these layers
 *   (or the rollout); null without a grid, and with windows
 */

/**
 * @typedef {object} Reconstruction
 * @property {Float32Array} data colours from 0 to 1, no longer normalised; predicted patches may lie a little outside.
 *   Visible patches are the image's own
 * @property {number[]} dims [B,C,H,W]
 * @property {Float32Array} mask a number for each patch, rows first: 1 where it was hidden
 * @property {number} loss as in training: how far the predicted patches are from the hidden ones
 * @property {[number, number]} grid rows and columns of patches
 */

/**
 * @typedef {{ data: Float32Array, dims: number[], fitted: Required<Pixels> }} Preprocessed data normalised, dims
 *   [1,C,H,W]; fitted: the image before that
 */

/**
 * @typedef {object} Patches
 * @property {Uint8ClampedArray} data
 * @property {number[]} dims [N, PH, PW, 4]
 * @property {[number, number]} grid rows and columns
 * @property {[number, number]} patchSize [PH, PW]
 */

export {};
