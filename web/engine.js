// @ts-check
/**
 * The synchronous core: owns one wasm instance with one context and at most one model. It runs inside the worker, or on the
 * calling thread with `worker: false`. Everything it takes and returns is plain data (rpc.js).
 *
 * Memory: every block taken for a call is freed when the call ends, however it ends (heap.js frame); a trap poisons the instance.
 */
import { argumentError, TesseraeError } from './errors.js';
import { Heap } from './heap.js';
import { instantiate } from './wasm.js';

/** @typedef {import('./rpc.js').WireInput} WireInput */
/** @typedef {import('./rpc.js').TensorInput} TensorInput */
/** @typedef {import('./heap.js').Frame} Frame */
/** @typedef {{ name: string, kind: string, dims: number[], grid: number[] | null, prefixTokens: number, pointer: number, count: number }} Output */

/** Bytes handed to the loader at a time: the staging block's size. */
const STAGING = 1 << 20;
const DTYPES = ['auto', 'f32', 'q8'];

/** @param {number[]} dims */
const product = (dims) => dims.reduce((a, b) => a * b, 1);

/**
 * The core sees a pointer and dims only: that they fit the data is checked here. It looks for NaN and infinities itself.
 * @param {TensorInput} input @param {string} name
 */
function checkTensor({ data, dims }, name) {
  if (!dims.length || !dims.every((d) => Number.isInteger(d) && d > 0) || product(dims) !== data.length) {
    throw new TesseraeError('ERR_SHAPE', `${name}: dims [${dims}] do not describe ${data.length} values`);
  }
}

export class Engine {
  constructor() {
    /** @type {any} */
    this.wasm = null;
    /** @type {any} */
    this.heap = null;
    this.context = 0;
    this.loader = 0;
    this.model = 0;
    this.staging = 0;
    /** @type {any} */
    this.info = null;
    /** @type {unknown} */
    this.trap = null;
  }

  /**
   * Runs one of the methods below; the only way in. A trap leaves the instance in an unknown state, so that later calls fail fast.
   * @param {import('./rpc.js').Op} op @param {any[]} args @returns {any}
   */
  call(op, args) {
    try {
      if (this.trap) throw this.trap;
      return /** @type {any} */ (this)[op](...args);
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      if (error instanceof TesseraeError) throw error;
      // a stack that ran over is a RangeError or InternalError, and interrupts the core as a trap does
      if (error instanceof WebAssembly.RuntimeError || /call stack|recursion/.test(message)) {
        this.trap = error;
        throw new TesseraeError('ERR_INTERNAL_TRAP', `the core stopped in ${op}: ${message}; load it again`, { cause: error });
      }
      if (name === 'RangeError') throw new TesseraeError('ERR_OUT_OF_MEMORY', `${op}: ${message}`, { cause: error });
      throw error;
    }
  }

  /** @returns {import('./rpc.js').MemoryUse} */
  memory() {
    const { wasm, context } = this;
    if (!context) return { bytes: 0, peak: 0, wasm: 0 };
    return {
      bytes: wasm.tsr_wasm_context_bytes(context) >>> 0,
      peak: wasm.tsr_wasm_context_peak_bytes(context) >>> 0,
      wasm: wasm.memory.buffer.byteLength,
    };
  }

  /** Throws the failure that stands in the context, and clears it. @returns {never} */
  fail() {
    const { wasm, heap, context } = this;
    const status = wasm.tsr_wasm_context_status(context);
    const code = heap.string(wasm.tsr_wasm_status_name(status));
    const stage = heap.string(wasm.tsr_wasm_status_stage(status));
    const message = heap.string(wasm.tsr_wasm_context_message(context));
    wasm.tsr_wasm_context_clear(context);
    throw new TesseraeError(code, message, { stage, retryable: code === 'ERR_FETCH_TRUNCATED' });
  }

  /** @param {number} status 0, or a failure that stands in the context */
  check(status) {
    if (status) this.fail();
  }

  /** @param {WebAssembly.Module} module */
  open(module) {
    try {
      this.wasm = instantiate(module);
      this.context = this.wasm.tsr_wasm_context_create(1);
    } catch (error) {
      // no room for the first pages of memory is told as a RangeError
      if (error instanceof RangeError) throw error;
      throw new TesseraeError('ERR_WASM_COMPILE', /** @type {Error} */ (error).message, { cause: error });
    }
    if (!this.context) throw new RangeError('no room for a context');
    this.heap = new Heap(this.wasm, this.context);
  }

  /** Every architecture the core knows, parsed. @returns {any[]} */
  architectures() {
    return JSON.parse(this.heap.string(this.wasm.tsr_wasm_list_architectures(this.context)));
  }

  /** Starts a load, or starts it over. @param {{ dtype: string, digest?: Uint8Array }} options digest: SHA-256 the file must have */
  begin({ dtype, digest }) {
    this.abandon();
    this.loader = this.wasm.tsr_wasm_loader_create(this.context, DTYPES.indexOf(dtype), -1);
    if (!this.loader) this.fail();
    if (digest) {
      this.heap.frame((/** @type {Frame} */ frame) => {
        this.check(this.wasm.tsr_wasm_loader_expect_sha256(this.loader, frame.copy(digest)));
      });
    }
    this.staging = this.wasm.tsr_wasm_context_alloc(this.context, STAGING) >>> 0;
    if (!this.staging) this.fail();
  }

  /** The next bytes of the file. @param {Uint8Array} bytes */
  feed(bytes) {
    if (!this.loader) throw new TesseraeError('ERR_DISPOSED', 'no load is going on');
    try {
      for (let at = 0; at < bytes.length; at += STAGING) {
        const part = bytes.subarray(at, at + STAGING);
        this.heap.bytes.set(part, this.staging);
        this.check(this.wasm.tsr_wasm_loader_feed(this.loader, this.staging, part.length));
      }
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  /** JSON of the weights the header asks for (tsr_loader_weights), parsed. @returns {{ name: string, shape: number[], role: string }[]} */
  weights() {
    return JSON.parse(this.heap.string(this.wasm.tsr_wasm_loader_weights(this.loader)) || '[]');
  }

  /** The model's info, when every byte has been fed. @returns {any} */
  finish() {
    const { loader } = this;
    this.loader = 0; // finish frees it in either case
    this.model = this.wasm.tsr_wasm_loader_finish(loader);
    this.abandon();
    if (!this.model) this.fail();
    this.info = JSON.parse(this.heap.string(this.wasm.tsr_wasm_model_info(this.model)));
    return this.info;
  }

  /** Gives up what is being loaded. */
  abandon() {
    const { wasm, context, loader, staging } = this;
    this.loader = 0;
    this.staging = 0;
    if (loader) wasm.tsr_wasm_loader_destroy(loader);
    if (staging) wasm.tsr_wasm_context_free(context, staging);
  }

  /** Width and height from an image file's header; throws for what is no JPEG or PNG, or is too large. @param {Uint8Array} bytes */
  size(bytes) {
    return this.heap.frame((/** @type {Frame} */ frame) => {
      const out = frame.alloc(8);
      this.check(this.wasm.tsr_wasm_image_size(this.context, frame.copy(bytes), bytes.length, out));
      return [...this.heap.words(out, 2)];
    });
  }

  /** @param {Frame} frame @param {Uint8Array} bytes an image file @returns {number[]} [pixels, width, height, channels] */
  decode(frame, bytes) {
    const out = frame.alloc(16);
    this.heap.words(out, 4).fill(0);
    const status = this.wasm.tsr_wasm_image_decode(this.context, frame.copy(bytes), bytes.length, out);
    const [pixels, ...size] = this.heap.words(out, 4);
    frame.adopt(pixels);
    this.check(status);
    return [pixels, ...size];
  }

  /**
   * A picture made the model's input.
   * @param {Frame} frame @param {any} input @param {boolean} [keepFitted]
   * @returns {{ pointer: number, fitted: number, dims: number[] }}
   */
  image(frame, input, keepFitted) {
    const { preprocess, title } = this.info;
    if (!preprocess) throw argumentError(`${title} takes no pictures; give a tensor { data, dims }`);
    const { size: [height, width], channels } = preprocess;
    const pointer = frame.alloc(4 * channels * height * width);
    const fitted = keepFitted ? frame.alloc(channels * height * width) : 0;
    this.heap.frame((/** @type {Frame} */ inner) => {
      const [pixels, ...size] = input.type === 'encoded'
        ? this.decode(inner, input.bytes)
        : [inner.copy(input.data), input.width, input.height, input.channels];
      this.check(this.wasm.tsr_wasm_model_preprocess(this.model, pixels, ...size, pointer, fitted));
    });
    return { pointer, fitted, dims: [1, channels, height, width] };
  }

  /** @param {WireInput} input a picture */
  preprocess(input) {
    return this.heap.frame((/** @type {Frame} */ frame) => {
      const { pointer, fitted, dims } = this.image(frame, input, true);
      const [, channels, height, width] = dims;
      const count = channels * height * width;
      return {
        data: this.heap.floats(pointer, count).slice(),
        dims,
        fitted: { data: this.heap.bytes.slice(fitted, fitted + count), width, height, channels },
      };
    });
  }

  /**
   * One pass; then `read` sees the outputs where they lie.
   * @template T
   * @param {WireInput} input @param {{ capture?: string[], options?: any }} request @param {Record<string, TensorInput>} inputs
   * @param {(outputs: Output[], frame: Frame) => T} read @returns {T}
   */
  pass(input, request, inputs, read) {
    const { wasm, heap, model } = this;
    return heap.frame((/** @type {Frame} */ frame) => {
      /** @type {number[]} */
      const names = [];
      /** @param {string} name @param {number} pointer @param {number[]} dims */
      const hand = (name, pointer, dims) => {
        const text = frame.string(name);
        this.check(wasm.tsr_wasm_model_set_input(model, text, pointer, dims.length, frame.copy(Int32Array.from(dims))));
        names.push(text);
      };
      try {
        for (const [name, tensor] of [...Object.entries(inputs), [this.info.input.name, input]]) {
          if (tensor.type === 'tensor') {
            checkTensor(tensor, name);
            hand(name, frame.copy(tensor.data), tensor.dims);
          } else {
            const { pointer, dims } = this.image(frame, tensor);
            hand(name, pointer, dims);
          }
        }
        this.check(wasm.tsr_wasm_model_run(model, frame.string(JSON.stringify(request))));
        /** @type {any[]} */
        const entries = JSON.parse(heap.string(wasm.tsr_wasm_model_result(model)));
        const outputs = entries.map(({ prefix_tokens: prefixTokens, ...meaning }, i) => ({
          ...meaning,
          prefixTokens,
          pointer: wasm.tsr_wasm_model_output(model, i) >>> 0,
          count: product(meaning.dims),
        }));
        return read(/** @type {Output[]} */ (outputs), frame);
      } finally {
        // the core does not copy inputs: it must forget them before their blocks are freed
        for (const name of names) wasm.tsr_wasm_model_set_input(model, name, 0, 0, 0);
      }
    });
  }

  /** @param {WireInput} input @param {{ capture?: string[], options?: any }} request @param {Record<string, TensorInput>} [inputs] */
  run(input, request, inputs = {}) {
    return this.pass(input, request, inputs, (outputs) => outputs.map(({ pointer, count, ...meaning }) => (
      { ...meaning, data: this.heap.floats(pointer, count).slice() })));
  }

  /**
   * Attention of some layers. heads: 'mean', 'all' or indices; rollout multiplies the layers instead.
   * @param {WireInput} input @param {{ taps: string[], pool: string | null, heads: any, rollout: boolean }} request
   */
  attention(input, { taps, pool, heads, rollout }) {
    return this.pass(input, { capture: pool ? [...taps, pool] : taps }, {}, (outputs, frame) => {
      const layers = taps.map((tap) => /** @type {Output} */ (outputs.find((output) => output.name === tap)));
      const [{ dims: full, grid, prefixTokens }] = layers;
      const shape = full.slice(-3);
      for (const { name, dims, count } of layers) {
        if (count !== product(shape)) {
          throw argumentError(`attention: ${name} is [${dims}]; give one image at a time`
            + `${name === taps[0] ? '' : `, and ask for layers of one shape (${taps[0]} is [${full}])`}`);
        }
      }
      const [headCount, rows, columns] = shape;
      const kept = Array.isArray(heads) ? heads : Array.from({ length: headCount }, (_, i) => i);
      const wrong = kept.find((head) => !(head < headCount));
      if (wrong !== undefined) throw argumentError(`attention: head ${wrong} asked for; the layer has 0 to ${headCount - 1}`);
      const area = rows * columns;
      /** Mean over the kept heads of one layer. @param {Output} layer */
      const mean = ({ pointer, count }) => {
        const all = this.heap.floats(pointer, count);
        const out = new Float32Array(area);
        for (let i = 0; i < area; i++) {
          let sum = 0;
          for (const head of kept) sum += all[head * area + i];
          out[i] = sum / kept.length;
        }
        return out;
      };
      /** @type {Float32Array} */
      let data;
      let dims;
      if (rollout) {
        if (rows !== columns) throw argumentError(`attention: rollout needs square attention, ${taps[0]} is [${full}]`);
        const table = frame.copy(Uint32Array.from(layers, (layer) => layer.pointer));
        const out = frame.alloc(4 * area);
        this.check(this.wasm.tsr_wasm_attention_rollout(this.context, out, table, layers.length, headCount, rows));
        data = this.heap.floats(out, area).slice();
        dims = [rows, columns];
      } else {
        const parts = layers.map((layer) => {
          if (heads === 'mean') return mean(layer);
          const all = this.heap.floats(layer.pointer, layer.count);
          const out = new Float32Array(kept.length * area);
          kept.forEach((head, i) => out.set(all.subarray(head * area, (head + 1) * area), i * area));
          return out;
        });
        dims = [layers.length, parts[0].length / area, rows, columns];
        data = new Float32Array(product(dims));
        parts.forEach((part, i) => data.set(part, i * part.length));
      }
      const weights = pool ? outputs.find((output) => output.name === pool) : undefined;
      const map = columns - prefixTokens === product(grid ?? []) && rows === columns
        ? look(rollout ? data : mean(layers[layers.length - 1]), rows, prefixTokens, weights && this.heap.floats(weights.pointer, weights.count))
        : null;
      return { data, dims, grid, prefixTokens, map };
    });
  }
}

/**
 * What the classification looks at, one value a cell: the class token's row where there is one, else the rows weighted as the
 * pooling weights them (equally where it has no weights of its own).
 * @param {Float32Array} attention [N,N] @param {number} n @param {number} prefix @param {Float32Array} [weights] [N]
 */
function look(attention, n, prefix, weights) {
  if (prefix) return attention.slice(prefix, n);
  const map = new Float32Array(n);
  for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += attention[i * n + j] * (weights?.length === n ? weights[i] : 1 / n);
    map[j] = sum;
  }
  return map;
}
