// @ts-check
/** The public class Model: options, queueing, and the shape of answers. The engine does the work. */
import { argumentError, TesseraeError } from './errors.js';
import { abortable, checkOptions } from './options.js';
import { isClip, tensorOf, toInput } from './preprocess.js';

/** @typedef {import('./types.js').Attention} Attention */
/** @typedef {import('./types.js').CallOptions} CallOptions */
/** @typedef {import('./types.js').Capture} Capture */
/** @typedef {import('./types.js').Classification} Classification */
/** @typedef {import('./types.js').Info} Info */
/** @typedef {import('./types.js').Input} Input */
/** @typedef {import('./types.js').Patches} Patches */
/** @typedef {import('./types.js').Pixels} Pixels */
/** @typedef {import('./types.js').Preprocessed} Preprocessed */
/** @typedef {import('./types.js').Reconstruction} Reconstruction */
/** @typedef {import('./types.js').Runtime} Runtime */
/** @typedef {import('./types.js').Tensor} Tensor */

/** What scores are made by, unless the caller says. @type {Record<string, string>} */
const DEFAULTS = { multi_label_classification: 'sigmoid', regression: 'raw' };

/**
 * What makes scores of an image's logits, as doubles, so that a sum loses nothing.
 * @type {Record<string, (logits: Float32Array) => number[]>}
 */
const SCORES = {
  softmax(logits) {
    const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const scores = Array.from(logits, (x) => Math.exp(x - top));
    const sum = scores.reduce((a, b) => a + b, 0);
    return scores.map((x) => x / sum);
  },
  sigmoid: (logits) => Array.from(logits, (x) => 1 / (1 + Math.exp(-x))),
  raw: (logits) => [...logits],
};

/**
 * The classes of one image, best first.
 * @param {Float32Array} logits @param {string[] | null} labels
 * @param {{ scores: string, topK: number, threshold: number, inOrder: boolean }} options inOrder: not ranked
 * @returns {Classification[]}
 */
function rank(logits, labels, { scores, topK, threshold, inOrder }) {
  const list = SCORES[scores](logits)
    .map((score, index) => ({ label: labels?.[index] ?? `class ${index}`, score, index }))
    .filter(({ score }) => score >= threshold);
  // by logits: scores of two that differ may round to one
  if (!inOrder) list.sort((a, b) => logits[b.index] - logits[a.index] || a.index - b.index);
  return list.slice(0, topK);
}

/**
 * A loaded model; loadModel makes it. Calls queue: one runs at a time, in the order in which they were made.
 * Every call takes one input or an array of inputs, and returns one answer or an array of answers. For a model that
 * takes video, an array of images is one input, its frames; an array of arrays, of video elements or of tensors is
 * several inputs.
 */
export class Model {
  /** @type {any} */ #host;
  /** @type {Promise<unknown>} */ #tail = Promise.resolve();
  /** @type {{ decode: any, fetch: typeof fetch }} */ #settings;

  /**
   * @hidden @param {any} host @param {Info} info @param {Runtime} runtime
   * @param {{ decode: any, fetch: typeof fetch }} settings
   */
  constructor(host, info, runtime, settings) {
    this.#host = host;
    this.#settings = settings;
    /** @readonly @type {Info} */
    this.info = info;
    /** @readonly @type {Runtime} */
    this.runtime = runtime;
  }

  /**
   * The options of a call that runs the model. frames: of a clip; undefined: the model takes images.
   * @param {any} options @param {string[]} names @param {string} where
   */
  #options(options, names, where) {
    const [, , frames, , isVideo] = this.info.input.dims;
    const known = [...names, 'signal'];
    return { ...(isVideo && { frames }), ...checkOptions(options, isVideo ? [...known, 'frames'] : known, where) };
  }

  /**
   * Queues `work` for each input; it also gets the call's own options.
   * @param {any} input @param {Record<string, any>} options @param {(input: any, asked: any) => Promise<any>} work
   * @param {boolean} [list] whether it takes an array as a whole
   * @returns {Promise<any>}
   */
  #each(input, { signal, frames, ...asked }, work, list) {
    const job = this.#tail.then(async () => {
      const several = Array.isArray(input) && !(frames !== undefined && isClip(input));
      const results = [];
      for (const one of several ? input : [input]) {
        signal?.throwIfAborted();
        if (this.#host.closed) throw this.#host.closed;
        const wire = await toInput(one, { ...this.#settings, host: this.#host, signal, frames });
        results.push(several && list ? wire : await work(wire, asked));
      }
      return !several ? results[0] : list ? work(results, asked) : results;
    });
    this.#tail = job.catch(() => {});
    return abortable(job, signal);
  }

  /**
   * Runs a pass for each input, and returns what `make` makes of its outputs. An array of images of many sizes is one
   * pass.
   * @param {any} input @param {any} options @param {any} request @param {(outputs: any[]) => any} make
   * @param {any} [inputs]
   */
  #run(input, options, request, make, inputs) {
    return this.#each(
      input,
      options,
      async (wire) => {
        const outputs = await this.#host.call('run', wire, request, inputs);
        return Array.isArray(wire) ? outputs.map(make) : make(outputs);
      },
      this.info.input.list,
    );
  }

  /**
   * The likeliest classes, best first; of a regression all its numbers, in their own order.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { topK?: number, threshold?: number, scores?: 'softmax' | 'sigmoid' | 'raw' }} [options] how
   *   many at most (5), with what score at least (0; raw ones: any), and how scores are made of the output (default:
   *   as info.problem_type says)
   * @returns {Promise<I extends any[] ? Classification[][] : Classification[]>} an array of inputs gives an array of
   *   lists, as does a tensor with B > 1
   */
  async classify(input, options) {
    const { output, labels, arch, problem_type: type } = this.info;
    const { scores = DEFAULTS[/** @type {string} */ (type)] ?? 'softmax', ...asked } = this.#options(
      options,
      ['topK', 'threshold', 'scores'],
      'classify',
    );
    const [least, most] = scores === 'raw' ? [-Infinity, Infinity] : [0, 1];
    const inOrder = scores === 'raw' && type === 'regression';
    const { topK = inOrder ? Infinity : 5, threshold = least, ...rest } = asked;
    if (!Object.hasOwn(SCORES, scores))
      throw argumentError(`classify: scores is ${scores}; give ${Object.keys(SCORES).join(', ')}`);
    if (!(topK > 0 && (topK === Infinity || Number.isInteger(topK))))
      throw argumentError(`classify: topK is ${topK}; give 1 or more`);
    if (!(threshold >= least && threshold <= most))
      throw argumentError(`classify: threshold is ${threshold}; give ${least} to ${most}`);
    if (output.kind !== 'logits') {
      throw argumentError(
        `classify: ${arch} gives ${output.kind}, no class scores; ` +
          `call ${output.kind === 'embedding' ? 'embed' : 'forward'}()`,
      );
    }
    return this.#run(input, rest, {}, ([{ data, dims }]) => {
      const classes = dims[dims.length - 1];
      const lists = [];
      for (let at = 0; at < data.length; at += classes)
        lists.push(rank(data.subarray(at, at + classes), labels, { scores, topK, threshold, inOrder }));
      return lists.length === 1 ? lists[0] : lists;
    });
  }

  /**
   * A vector for each image.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { pooling?: 'auto' | 'cls' | 'mean', normalize?: boolean }} [options] auto: what the model's
   *   own head takes; cls: its first token; mean: the mean of the others. normalize (default): length 1
   * @returns {Promise<I extends any[] ? Tensor[] : Tensor>} dims [B, D]
   */
  async embed(input, options) {
    return this.#each(input, this.#options(options, ['pooling', 'normalize'], 'embed'), async (wire, asked) => {
      const [{ data, dims }] = await this.#host.call('run', wire, { embed: asked });
      return { data, dims };
    });
  }

  /**
   * What the layers attend to.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { layers?: 'all' | number | number[], heads?: 'mean' | 'all' | number | number[], rollout?:
   *   boolean }} [options] indices are from the end if negative; layers: default -1, for a rollout 'all'; heads: their
   *   mean (default), all, or some; rollout: the layers multiplied (Abnar and Zuidema 2020) instead of side by side
   * @returns {Promise<I extends any[] ? Attention[] : Attention>}
   */
  async attention(input, options) {
    return this.#each(
      input,
      this.#options(options, ['layers', 'heads', 'rollout'], 'attention'),
      async (wire, asked) => {
        const [{ name, kind, ...rest }, layers, map] = await this.#host.call('run', wire, { attention: asked });
        return { ...rest, layers: [...layers.data], map: map?.data ?? null };
      },
    );
  }

  /**
   * The model's output, and any values inside it.
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { capture?: string | string[], options?: Record<string, any>, inputs?: Record<string, Tensor>
   *   }} [options] capture: names of taps (info.taps), * for any characters; options and inputs: the architecture's own
   * @returns {Promise<I extends any[] ? { output: Tensor, captures: Record<string, Capture> }[] : { output: Tensor,
   *   captures: Record<string, Capture> }>}
   */
  async forward(input, options) {
    const {
      capture = [],
      options: own,
      inputs = {},
      ...rest
    } = this.#options(options, ['capture', 'options', 'inputs'], 'forward');
    const patterns = Array.isArray(capture) ? capture : [capture];
    if (!patterns.every((pattern) => typeof pattern === 'string'))
      throw argumentError('forward: capture must be a list of tap names');
    /** @type {Record<string, any>} */
    const extra = {};
    for (const [name, tensor] of Object.entries(inputs)) extra[name] = tensorOf(tensor);
    return this.#run(
      input,
      rest,
      { capture: patterns, options: own },
      ([output, ...taken]) => ({
        output: { data: output.data, dims: output.dims },
        captures: Object.fromEntries(taken.map((/** @type {any} */ { name, ...capture }) => [name, capture])),
      }),
      extra,
    );
  }

  /**
   * The image with some patches hidden and predicted by the model, which must be one that predicts pixels
   * (info.output.kind 'image': mae, simmim).
   * @template {Input | Input[]} I @param {I} input
   * @param {CallOptions & { mask?: ArrayLike<number>, ratio?: number, seed?: number }} [options] mask: a number for
   *   each patch, rows first, 1 hides it; or else the share to be hidden (default: as trained) and a seed (0) that
   *   chooses which
   * @returns {Promise<I extends any[] ? Reconstruction[] : Reconstruction>}
   */
  async reconstruct(input, options) {
    const { mask, ...rest } = checkOptions(options, ['mask', 'ratio', 'seed', 'signal'], 'reconstruct');
    const {
      output: { kind },
      arch,
      preprocess,
    } = this.info;
    if (kind !== 'image') throw argumentError(`reconstruct: ${arch} gives ${kind}, no picture; it has no decoder`);
    const inputs = mask ? { mask: tensorOf({ data: Float32Array.from(mask), dims: [1, mask.length] }) } : {};
    return this.#each(input, rest, async (wire, own) => {
      const [{ data, dims, grid }, hidden, loss] = await this.#host.call(
        'run',
        wire,
        { capture: ['mask', 'loss'], options: own },
        inputs,
      );
      const { mean, std } = preprocess ?? { mean: [], std: [] };
      for (let i = 0, plane = dims[2] * dims[3]; i < data.length; i++) {
        const c = Math.floor(i / plane) % dims[1];
        data[i] = data[i] * (std[c] ?? 1) + (mean[c] ?? 0);
      }
      return { data, dims, mask: hidden.data, loss: loss.data[0], grid };
    });
  }

  /**
   * The model's input for an image, or for a frame.
   * @template {Input | Input[]} I @param {I} input no tensor
   * @param {CallOptions} [options]
   * @returns {Promise<I extends any[] ? Preprocessed[] : Preprocessed>}
   */
  async preprocess(input, options) {
    return this.#each(input, checkOptions(options, ['signal'], 'preprocess'), (wire) =>
      this.#picture('preprocess', wire),
    );
  }

  /** @param {string} where @param {any} wire @returns {Promise<any>} */
  async #picture(where, wire) {
    if (wire.type === 'tensor') throw argumentError(`${where}: a tensor skips preprocessing; give a picture`);
    return this.#host.call('preprocess', wire);
  }

  /**
   * The image, or a frame, cut into the model's patches: one RGBA tile for each cell of its grid, rows first.
   * @template {Input | Input[]} I @param {I} input no tensor
   * @param {CallOptions} [options]
   * @returns {Promise<I extends any[] ? Patches[] : Patches>}
   */
  async patches(input, options) {
    // the grid of the attention's tokens; feature maps before it may be finer
    const withGrid = this.info.taps.filter((tap) => tap.grid && !tap.windows);
    const grid = (withGrid.find(({ kind }) => /^(attention|tokens)$/.test(kind)) ?? withGrid[0])?.grid?.slice(-2);
    if (!grid) throw argumentError(`patches: ${this.info.title} has no grid of patches`);
    return this.#each(input, checkOptions(options, ['signal'], 'patches'), async (wire) => {
      const { fitted } = await this.#picture('patches', wire); // an image of its own size has fewer cells
      return cut(
        fitted,
        grid.map((cells, i) => (cells * [fitted.height, fitted.width][i]) / this.info.preprocess.size[i]),
      );
    });
  }

  /**
   * Memory in bytes, as of the last call: in use by the core, at most so far, and the WebAssembly memory as a whole.
   * @returns {import('./types.js').MemoryUse}
   */
  memory() {
    return { ...this.#host.memory };
  }

  /**
   * Frees everything. Running and later calls reject with ERR_DISPOSED. It may be called twice.
   * @returns {Promise<void>}
   */
  async dispose() {
    await this.#host.close();
  }
}

// `await using` needs this name; engines that lack it lack the syntax too
const asyncDispose = /** @type {any} */ (Symbol).asyncDispose;
if (asyncDispose) /** @type {any} */ (Model.prototype)[asyncDispose] = Model.prototype.dispose;

/** @param {Required<Pixels>} picture @param {number[]} grid */
function cut({ data, width, height, channels }, grid) {
  const [rows, columns] = grid;
  const patchSize = [Math.floor(height / rows), Math.floor(width / columns)];
  const [ph, pw] = patchSize;
  const out = new Uint8ClampedArray(rows * columns * ph * pw * 4).fill(255);
  for (let i = 0; i < out.length; i++) {
    if (i % 4 === 3) continue;
    const at = i >> 2;
    const cell = Math.floor(at / (ph * pw));
    const y = Math.floor(cell / columns) * ph + (Math.floor(at / pw) % ph);
    out[i] = data[(y * width + (cell % columns) * pw + (at % pw)) * channels + (channels === 1 ? 0 : i % 4)];
  }
  return { data: out, dims: [rows * columns, ph, pw, 4], grid, patchSize };
}
