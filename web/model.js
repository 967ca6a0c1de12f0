// @ts-check
/** The public class Model. The work is the engine's; here are options, queueing, and the shape of answers. */
import { argumentError, TesseraeError } from './errors.js';
import { abortable, checkOptions, nearest, oneOf } from './options.js';
import { tensorOf, toInput } from './preprocess.js';

/** @typedef {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number, channels?: number }} Pixels rows from the top; 1, 3 or 4 channels */
/** @typedef {{ data: Float32Array, dims: number[] }} Tensor in the order of the reference: images [B,C,H,W], video [B,C,F,H,W] */
/** @typedef {string | URL | Blob | ArrayBuffer | Uint8Array | HTMLImageElement | HTMLVideoElement | HTMLCanvasElement | OffscreenCanvas
 *   | ImageBitmap | ImageData | VideoFrame | Pixels | Tensor} Input a string is an address; in Node also a path */
/** @typedef {{ signal?: AbortSignal }} CallOptions */
/** @typedef {{ label: string, score: number, index: number }} Classification */
/** @typedef {{ name: string, kind: string, dims: number[], grid: [number, number] | null, prefix_tokens: number }} Tap a value of the model that can be captured */
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
 * @property {{ size: [number, number], channels: number, resize: string, fit: string, crop_pct: number, mean: number[], std: number[] }} preprocess
 * @property {'f32' | 'q8'} dtype
 * @property {number} parameters
 * @property {number} operations multiply-adds of one pass
 * @property {number} weights_bytes
 * @property {{ name: string, dims: number[] }} input
 * @property {{ kind: string, dims: number[] }} output
 * @property {Tap[]} taps
 * @property {string[]} inputs names that forward's `inputs` takes
 * @property {string[]} options names that forward's `options` takes
 * @property {string[]} unused tensors of the file that the model does not take
 */
/**
 * @typedef {object} Runtime what the model runs on, and why
 * @property {boolean} simd
 * @property {boolean | null} relaxedSimd null: unknown, the caller gave the .wasm
 * @property {number} threads
 * @property {string | null} threadsReason why not more: 'requested', 'not-cross-origin-isolated', 'no-worker', 'memory',
 *   'unsupported' or 'failed: ...'; null: as many as asked for
 * @property {boolean} worker
 * @property {string | null} workerReason why there is none
 */
/** @typedef {{ data: Float32Array, dims: number[], kind: string, grid: [number, number] | null, prefixTokens: number }} Capture */
/**
 * @typedef {object} Attention
 * @property {Float32Array} data
 * @property {number[]} dims [layers, heads, N, N], heads 1 for the mean; a rollout [N, N]
 * @property {[number, number] | null} grid rows and columns of cells that the tokens behind the prefix stand for
 * @property {number} prefixTokens class and register tokens in front
 * @property {number[]} layers which layers these are
 * @property {Float32Array | null} map one value a cell: what the classification looks at, in the last of these layers (or the rollout)
 */

/**
 * The classes of one image, best first.
 * @param {Float32Array} logits @param {string[] | null} labels @param {number} topK @param {number} threshold
 * @returns {Classification[]}
 */
function rank(logits, labels, topK, threshold) {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const scores = Array.from(logits, (value) => Math.exp(value - top)); // doubles: the sum loses nothing
  const sum = scores.reduce((a, b) => a + b, 0);
  return scores
    .map((score, index) => ({ label: labels?.[index] ?? `class ${index}`, score: score / sum, index }))
    .filter(({ score }) => score >= threshold)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, topK);
}

/**
 * A loaded model; loadModel makes it. Calls queue: one runs at a time, in the order they were made.
 * Every call takes one input or an array of inputs, and answers alike.
 */
export class Model {
  /** @type {any} */ #host;
  /** @type {Promise<unknown>} */ #tail = Promise.resolve();
  /** @type {{ decode: any, fetch: typeof fetch }} */ #settings;

  /** @hidden @param {any} host @param {Info} info @param {Runtime} runtime @param {{ decode: any, fetch: typeof fetch }} settings */
  constructor(host, info, runtime, settings) {
    this.#host = host;
    this.#settings = settings;
    /** @readonly @type {Info} */
    this.info = info;
    /** @readonly @type {Runtime} */
    this.runtime = runtime;
  }

  /**
   * Queues `work` for each input.
   * @param {any} input @param {AbortSignal | undefined} signal @param {(input: any) => Promise<any>} work
   * @returns {Promise<any>}
   */
  #each(input, signal, work) {
    const job = this.#tail.then(async () => {
      /** @param {any} one */
      const run = async (one) => {
        signal?.throwIfAborted();
        if (this.#host.closed) throw this.#host.closed;
        return work(await toInput(one, { ...this.#settings, host: this.#host, signal }));
      };
      if (!Array.isArray(input)) return run(input);
      const results = [];
      for (const one of input) results.push(await run(one));
      return results;
    });
    this.#tail = job.catch(() => {});
    return abortable(job, signal);
  }

  /** The only tap with this name, or undefined. @param {string} name */
  #tap(name) {
    return this.info.taps.find((tap) => tap.name === name);
  }

  /** A refusal that says what the model has instead. @param {string} where @param {string} what */
  #lacks(where, what) {
    const { title, taps } = this.info;
    return argumentError(`${where}: ${title} has no ${what}; forward() can capture ${taps.map(({ name }) => name).join(', ') || 'nothing'}`);
  }

  /**
   * The likeliest classes, best first.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { topK?: number, threshold?: number }} [options] how many at most (5), and with what score at least (0)
   * @returns {Promise<I extends any[] ? Classification[][] : Classification[]>} an array of inputs gives an array of lists, as does a tensor with B > 1
   */
  async classify(input, options) {
    const { topK = 5, threshold = 0, signal } = checkOptions(options, ['topK', 'threshold', 'signal'], 'classify');
    if (!(Number.isInteger(topK) && topK > 0)) throw argumentError(`classify: topK is ${topK}; give 1 or more`);
    if (!(threshold >= 0 && threshold <= 1)) throw argumentError(`classify: threshold is ${threshold}; give 0 to 1`);
    const { output, labels, title } = this.info;
    if (output.kind !== 'logits') {
      throw argumentError(`classify: ${title} gives ${output.kind}, no class scores; call forward() instead`);
    }
    return this.#each(input, signal, async (wire) => {
      const [{ data, dims }] = await this.#host.call('run', wire, {});
      const classes = dims[dims.length - 1];
      const lists = [];
      for (let at = 0; at < data.length; at += classes) lists.push(rank(data.subarray(at, at + classes), labels, topK, threshold));
      return lists.length === 1 ? lists[0] : lists;
    });
  }

  /**
   * A vector for each image.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { pooling?: 'auto' | 'cls' | 'mean', normalize?: boolean }} [options] auto: what the model's own head sees;
   *   cls: its first token; mean: the mean of the others. normalize (default): length 1
   * @returns {Promise<I extends any[] ? Tensor[] : Tensor>} dims [B, D]
   */
  async embed(input, options) {
    const { pooling = 'auto', normalize = true, signal } = checkOptions(options, ['pooling', 'normalize', 'signal'], 'embed');
    oneOf('embed', 'pooling', pooling, ['auto', 'cls', 'mean']);
    const tokens = this.#tap('tokens');
    const tap = pooling === 'auto' && this.#tap('embedding') ? 'embedding' : 'tokens';
    const kind = pooling === 'auto' && tokens ? (tokens.prefix_tokens ? 'cls' : 'mean') : pooling;
    if (!this.#tap(tap)) throw this.#lacks('embed', tap);
    if (tap === 'tokens' && kind === 'cls' && !tokens?.prefix_tokens) throw this.#lacks('embed', 'class token (pooling "mean" needs none)');
    return this.#each(input, signal, async (wire) => {
      const outputs = await this.#host.call('run', wire, { capture: [tap] });
      const found = outputs.find((/** @type {any} */ output) => output.name === tap);
      const pooled = tap === 'tokens' ? pool(found, kind) : { data: found.data, dims: found.dims };
      if (normalize) unitRows(pooled);
      return pooled;
    });
  }

  /**
   * What the layers attend to.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { layers?: 'all' | number[], heads?: 'mean' | 'all' | number | number[], rollout?: boolean }} [options]
   *   layers: indices, from the end if negative (default [-1], for a rollout 'all'); heads: their mean (default), all, or indices;
   *   rollout: the layers multiplied (Abnar and Zuidema 2020) instead of side by side
   * @returns {Promise<I extends any[] ? Attention[] : Attention>}
   */
  async attention(input, options) {
    const { rollout = false, layers = rollout ? 'all' : [-1], heads = 'mean', signal } = checkOptions(options, ['layers', 'heads', 'rollout', 'signal'], 'attention');
    oneOf('attention', 'rollout', rollout, [true, false]);
    const taps = this.info.taps.filter(({ kind }) => kind === 'attention');
    if (!taps.length) throw this.#lacks('attention', 'attention');
    if (layers !== 'all' && !(Array.isArray(layers) && layers.length)) {
      throw argumentError('attention: layers must be "all" or an array such as [-1]');
    }
    const wanted = layers === 'all' ? taps.map((_, i) => i) : layers.map((/** @type {number} */ layer) => {
      const index = layer < 0 ? layer + taps.length : layer;
      if (!taps[index]) throw argumentError(`attention: layer ${layer} asked for; the model has 0 to ${taps.length - 1}, or -1 for the last`);
      return index;
    });
    const list = typeof heads === 'number' ? [heads] : heads;
    const fine = Array.isArray(list) ? list.length && list.every((head) => Number.isInteger(head) && head >= 0) : /^(mean|all)$/.test(list);
    if (!fine) throw argumentError('attention: heads must be "mean", "all", an index or an array of indices');
    const pool = this.#tap('pool.weights') ? 'pool.weights' : null;
    return this.#each(input, signal, async (wire) => ({
      ...await this.#host.call('attention', wire, { taps: wanted.map((/** @type {number} */ i) => taps[i].name), pool, heads: list, rollout }),
      layers: wanted,
    }));
  }

  /**
   * The model's output, and any values inside it.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { capture?: string | string[], options?: Record<string, any>, inputs?: Record<string, Tensor> }} [options]
   *   capture: names of taps (info.taps), * for any characters; options and inputs: the architecture's own
   * @returns {Promise<I extends any[] ? { output: Tensor, captures: Record<string, Capture> }[] : { output: Tensor, captures: Record<string, Capture> }>}
   */
  async forward(input, options) {
    const { capture = [], options: own, inputs = {}, signal } = checkOptions(options, ['capture', 'options', 'inputs', 'signal'], 'forward');
    const patterns = Array.isArray(capture) ? capture : [capture];
    if (!patterns.every((pattern) => typeof pattern === 'string')) throw argumentError('forward: capture must be a list of tap names');
    /** @type {Record<string, any>} */
    const extra = {};
    for (const [name, tensor] of Object.entries(inputs)) extra[name] = tensorOf(tensor);
    return this.#each(input, signal, async (wire) => {
      const [output, ...rest] = await this.#host.call('run', wire, { capture: patterns, options: own }, extra);
      return {
        output: { data: output.data, dims: output.dims },
        captures: Object.fromEntries(rest.map((/** @type {any} */ { name, ...capture }) => [name, capture])),
      };
    });
  }

  /**
   * What the model will see of a picture.
   * @template {Input | Input[]} I @param {I} input no tensor
   * @param {CallOptions} [options]
   * @returns {Promise<I extends any[] ? { data: Float32Array, dims: number[], fitted: Required<Pixels> }[] : { data: Float32Array, dims: number[], fitted: Required<Pixels> }>} data normalised, dims [1,C,H,W]; fitted: the picture before that
   */
  async preprocess(input, options) {
    const { signal } = checkOptions(options, ['signal'], 'preprocess');
    return this.#each(input, signal, (wire) => this.#picture('preprocess', wire));
  }

  /** @param {string} where @param {any} wire @returns {Promise<any>} */
  async #picture(where, wire) {
    if (wire.type === 'tensor') throw argumentError(`${where}: a tensor skips preprocessing; give a picture`);
    return this.#host.call('preprocess', wire);
  }

  /**
   * The picture as the model cuts it: one RGBA tile for each cell of its grid, rows first.
   * @template {Input | Input[]} I @param {I} input no tensor
   * @param {CallOptions} [options]
   * @returns {Promise<I extends any[] ? { data: Uint8ClampedArray, dims: number[], grid: [number, number], patchSize: [number, number] }[] : { data: Uint8ClampedArray, dims: number[], grid: [number, number], patchSize: [number, number] }>} dims [N, PH, PW, 4], grid [rows, columns], patchSize [PH, PW]
   */
  async patches(input, options) {
    const { signal } = checkOptions(options, ['signal'], 'patches');
    // the grid that attention speaks of; feature maps in front of it may be finer
    const withGrid = this.info.taps.filter((tap) => tap.grid);
    const grid = (withGrid.find(({ kind }) => /^(attention|tokens)$/.test(kind)) ?? withGrid[0])?.grid;
    if (!grid) throw this.#lacks('patches', 'grid of patches');
    return this.#each(input, signal, async (wire) => cut((await this.#picture('patches', wire)).fitted, grid));
  }

  /**
   * Memory in bytes, as of the last call: in use by the core, at most so far, and the WebAssembly memory as a whole.
   * @returns {import('./rpc.js').MemoryUse}
   */
  memory() {
    return { ...this.#host.memory };
  }

  /** Frees everything. Calls under way and later ones reject with ERR_DISPOSED. Twice is fine. @returns {Promise<void>} */
  async dispose() {
    await this.#host.close();
  }
}

// `await using` needs this name; engines that lack it lack the syntax too
const asyncDispose = /** @type {any} */ (Symbol).asyncDispose;
if (asyncDispose) /** @type {any} */ (Model.prototype)[asyncDispose] = Model.prototype.dispose;

/**
 * Tokens [B,N,C] to vectors [B,C].
 * @param {{ data: Float32Array, dims: number[], prefixTokens: number }} tokens @param {string} kind 'cls' or 'mean'
 */
function pool({ data, dims, prefixTokens }, kind) {
  const [n, c] = dims.slice(-2);
  const batch = data.length / (n * c);
  const [from, to] = kind === 'cls' ? [0, 1] : [prefixTokens, n];
  const out = new Float32Array(batch * c);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < c; i++) {
      let sum = 0;
      for (let token = from; token < to; token++) sum += data[(b * n + token) * c + i];
      out[b * c + i] = sum / (to - from);
    }
  }
  return { data: out, dims: [batch, c] };
}

/** Scales each row to length 1, in place; a row of zeros stays. @param {{ data: Float32Array, dims: number[] }} rows */
function unitRows({ data, dims }) {
  const width = dims[dims.length - 1];
  for (let at = 0; at < data.length; at += width) {
    const row = data.subarray(at, at + width);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let i = 0; i < width; i++) row[i] /= length;
  }
}

/** @param {Required<Pixels>} picture @param {number[]} grid */
function cut({ data, width, height, channels }, grid) {
  const [rows, columns] = grid;
  const patchSize = [Math.floor(height / rows), Math.floor(width / columns)];
  const [ph, pw] = patchSize;
  const out = new Uint8ClampedArray(rows * columns * ph * pw * 4);
  let at = 0;
  for (let cell = 0; cell < rows * columns; cell++) {
    const top = Math.floor(cell / columns) * ph;
    const left = (cell % columns) * pw;
    for (let y = 0; y < ph; y++) {
      for (let x = 0; x < pw; x++) {
        const from = ((top + y) * width + left + x) * channels;
        for (let c = 0; c < 3; c++) out[at++] = data[from + (channels === 1 ? 0 : c)];
        out[at++] = 255;
      }
    }
  }
  return { data: out, dims: [rows * columns, ph, pw, 4], grid, patchSize };
}
