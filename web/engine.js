// @ts-check
/**
 * The synchronous engine: one wasm instance with one context and at most one model. It runs inside the worker, or on
 * the calling thread with `worker: false`. Arguments and results are plain data (rpc.js).
 *
 * Memory: a block that a call allocates is freed when the call ends, also by an error (Heap.frame). After a trap the
 * instance is never called again.
 */
import { argumentError, TesseraeError } from './errors.js';
import { Heap } from './heap.js';

/** @typedef {import('./rpc.js').WireInput} WireInput */
/** @typedef {import('./rpc.js').TensorInput} TensorInput */
/** @typedef {import('./heap.js').Frame} Frame */

/** Size of the staging block: the bytes that the loader gets at a time. */
const STAGING = 1 << 20;
const DTYPES = ['auto', 'f32', 'q8'];

/** Whether the file is of an architecture that only the larger .wasm has. @param {any} error */
export const lacksArch = (error) => error?.code === 'ERR_WASM_ARCH';

/** @param {number[]} dims */
export const product = (dims) => dims.reduce((a, b) => a * b, 1);

/**
 * The core gets a pointer and dims only, so the check that dims fit the data is here. The core itself refuses NaN and
 * infinities.
 * @param {TensorInput} input @param {string} name
 */
function checkTensor({ data, dims }, name) {
  if (!dims.every((d) => Number.isInteger(d) && d > 0) || product(dims) !== data.length) {
    throw new TesseraeError('ERR_SHAPE', `${name}: dims [${dims}] do not describe ${data.length} values`);
  }
}

/**
 * An instance's exports, ready for calls, `memory` among them. The builds are stand-alone: no JavaScript of
 * Emscripten's is involved.
 * @param {WebAssembly.Module} module @param {WebAssembly.Memory} [memory] @returns {any}
 */
export function instantiate(module, memory) {
  // nothing to do when the memory grows, because views are checked on each use
  const imports = { env: { memory, emscripten_notify_memory_growth() {}, tsr_now: () => performance.now() } };
  const { exports } = /** @type {any} */ (new WebAssembly.Instance(module, /** @type {any} */ (imports)));
  exports._initialize?.();
  return { memory, ...exports };
}

export class Engine {
  /** @type {any} */
  wasm = null;
  /** @type {any} */
  heap = null;
  context = 0;
  loader = 0;
  model = 0;
  staging = 0;
  /**
   * The bytes fed until the header is complete, because an instance with more architectures starts with them.
   * @type {Uint8Array[] | null}
   */
  head = null;
  /** @type {any} */
  asked = null;
  /** @type {any} */
  info = null;
  /** @type {unknown} */
  trap = null;

  /**
   * Runs one of the methods below; callers use nothing else. After a trap the state of the instance is unknown, so
   * later calls fail at once.
   * @param {import('./rpc.js').Op} op @param {any[]} args @returns {any}
   */
  call(op, args) {
    try {
      if (this.trap) throw this.trap;
      return /** @type {any} */ (this)[op](...args);
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      if (error instanceof TesseraeError) throw error;
      // a stack overflow is a RangeError or InternalError, and interrupts the core as a trap does
      if (error instanceof WebAssembly.RuntimeError || /call stack|recursion/.test(message)) {
        this.trap = error;
        throw new TesseraeError('ERR_INTERNAL_TRAP', `the core stopped in ${op}: ${message}; load it again`, {
          cause: error,
        });
      }
      if (name === 'RangeError') throw new TesseraeError('ERR_OUT_OF_MEMORY', `${op}: ${message}`, { cause: error });
      throw error;
    }
  }

  /** @returns {import('./types.js').MemoryUse} */
  memory() {
    const { wasm, context } = this;
    if (!context) return { bytes: 0, peak: 0, wasm: 0 };
    return {
      bytes: wasm.tsr_wasm_context_bytes(context) >>> 0,
      peak: wasm.tsr_wasm_context_peak_bytes(context) >>> 0,
      wasm: wasm.memory.buffer.byteLength,
    };
  }

  /** Throws the context's error, and clears it. @returns {never} */
  fail() {
    const { wasm, heap, context } = this;
    const status = wasm.tsr_wasm_context_status(context);
    const code = heap.string(wasm.tsr_wasm_status_name(status));
    const message = heap.string(wasm.tsr_wasm_context_message(context));
    wasm.tsr_wasm_context_clear(context);
    throw new TesseraeError(code, message, { retryable: code === 'ERR_FETCH_TRUNCATED' });
  }

  /** @param {number} status 0, or the context has an error */
  check(status) {
    if (status) this.fail();
  }

  /**
   * Makes an instance. A second one continues the load for which the first lacks the architecture.
   * @param {WebAssembly.Module} module @param {WebAssembly.Memory} [memory] for a build with threads
   */
  open(module, memory) {
    this.stop();
    try {
      this.wasm = instantiate(module, memory);
      this.context = this.wasm.tsr_wasm_context_create(1);
    } catch (error) {
      // a RangeError means that the first pages of memory cannot be allocated
      if (error instanceof RangeError) throw error;
      throw new TesseraeError('ERR_WASM_COMPILE', /** @type {Error} */ (error).message, { cause: error });
    }
    if (!this.context) throw new RangeError('no room for a context');
    this.heap = new Heap(this.wasm, this.context);
    const { head } = this;
    if (head) {
      this.begin(this.asked);
      head.forEach((bytes) => this.feed(bytes));
    }
  }

  /** Adds a started thread to the pool; the result is the message for web/thread.js. */
  admit() {
    const { wasm, context } = this;
    const stack = wasm.tsr_wasm_context_admit_thread(context) >>> 0;
    if (!stack) throw new RangeError('no memory for its stack');
    return { context, thread: wasm.tsr_wasm_context_threads(context) - 1, stack };
  }

  /** Ends the core's loop in every thread. */
  stop() {
    this.wasm?.tsr_wasm_context_stop?.(this.context);
  }

  /** Every architecture the core knows, parsed. @returns {any[]} */
  architectures() {
    return JSON.parse(this.heap.string(this.wasm.tsr_wasm_list_architectures(this.context)));
  }

  /**
   * Starts a load, or starts it over.
   * @param {{ dtype: string, digest?: Uint8Array }} options digest: SHA-256 the file must have
   */
  begin({ dtype, digest }) {
    this.abandon();
    this.asked = { dtype, digest };
    this.head = [];
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

  /** The next bytes of the file. After ERR_WASM_ARCH another `open` continues. @param {Uint8Array} bytes */
  feed(bytes) {
    const { wasm, head } = this;
    head?.push(bytes);
    if (!this.loader) return; // another instance continues, or the load has failed
    try {
      for (let at = 0; at < bytes.length; at += STAGING) {
        const part = bytes.subarray(at, at + STAGING);
        this.heap.bytes.set(part, this.staging);
        this.check(wasm.tsr_wasm_loader_feed(this.loader, this.staging, part.length));
      }
      if (wasm.tsr_wasm_loader_has_header(this.loader)) this.head = null;
    } catch (error) {
      this.abandon();
      if (lacksArch(error)) this.head = head;
      throw error;
    }
  }

  /** The model's info, when every byte has been fed. @returns {any} */
  finish() {
    const { loader } = this;
    this.loader = 0; // finish frees it, also when it fails
    this.model = this.wasm.tsr_wasm_loader_finish(loader);
    this.abandon();
    if (!this.model) this.fail();
    this.info = JSON.parse(this.heap.string(this.wasm.tsr_wasm_model_info(this.model)));
    return this.info;
  }

  /** Frees what is being loaded. */
  abandon() {
    const { wasm, context, loader, staging } = this;
    this.loader = 0;
    this.staging = 0;
    this.head = null;
    if (loader) wasm.tsr_wasm_loader_destroy(loader);
    if (staging) wasm.tsr_wasm_context_free(context, staging);
  }

  /**
   * Width and height from an image file's header. Throws if the file is no JPEG or PNG, or too large.
   * @param {Uint8Array} bytes
   */
  size(bytes) {
    return this.heap.frame((/** @type {Frame} */ frame) => {
      const out = frame.alloc(8);
      this.check(this.wasm.tsr_wasm_image_size(this.context, frame.copy(bytes), bytes.length, out));
      return [...this.heap.words(out, 2)];
    });
  }

  /**
   * @param {Frame} frame @param {Uint8Array} bytes an image file @returns {number[]} [pixels, width, height, channels]
   */
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
   * Fits an image to the model's input.
   * @param {Frame} frame @param {any} input @param {boolean} [keepFitted]
   * @returns {{ pointer: number, fitted: number, dims: number[] }}
   */
  image(frame, input, keepFitted) {
    const { preprocess, title } = this.info;
    if (!preprocess) throw argumentError(`${title} takes no pictures; give a tensor { data, dims }`);
    const {
      size: [most, widest],
      channels,
    } = preprocess;
    const pointer = frame.alloc(4 * channels * most * widest);
    const fitted = keepFitted ? frame.alloc(channels * most * widest) : 0;
    const fit = frame.alloc(8);
    this.heap.frame((/** @type {Frame} */ inner) => {
      const [pixels, ...size] =
        input.type === 'encoded'
          ? this.decode(inner, input.bytes)
          : [inner.copy(input.data), input.width, input.height, input.channels];
      this.check(this.wasm.tsr_wasm_model_preprocess(this.model, pixels, ...size, pointer, fitted, fit));
    });
    const [width, height] = this.heap.words(fit, 2);
    return { pointer, fitted, dims: [1, channels, height, width] };
  }

  /** @param {WireInput} input an image */
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
   * One pass. Returns copies of its outputs, each with its meaning.
   * @param {WireInput | WireInput[]} input a list, where info.input.list is true, gives a list of answers
   * @param {{ capture?: string[], options?: any, attention?: any, embed?: any }} request as tsr_model_run takes it
   * @param {Record<string, TensorInput>} [inputs]
   * @returns {any[]}
   */
  run(input, request, inputs = {}) {
    if (Array.isArray(input)) {
      // images of many sizes: joined to one input, and the results separated again
      const parts = input.map((one) => (one.type === 'tensor' ? one : this.preprocess(one)));
      const data = new Float32Array(parts.reduce((at, part) => at + part.data.length, 0));
      parts.reduce((at, part) => (data.set(part.data, at), at + part.data.length), 0);
      const options = { ...request.options, sizes: parts.map(({ dims }) => dims.slice(-2)) };
      const [
        {
          data: rows,
          dims: [, n],
        },
        ...taken
      ] = this.run({ type: 'tensor', data, dims: [data.length] }, { ...request, options }, inputs);
      return input.map((_, i) => [
        { data: rows.slice(i * n, i * n + n), dims: [1, n] },
        ...taken.filter(({ image = 0 }) => image === i),
      ]);
    }
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
        const outputs = JSON.parse(heap.string(wasm.tsr_wasm_model_result(model)));
        return outputs.map(({ prefix_tokens: prefixTokens, ...meaning }, i) => ({
          ...meaning,
          prefixTokens,
          data: heap.floats(wasm.tsr_wasm_model_output(model, i), product(meaning.dims)).slice(),
        }));
      } finally {
        // the core does not copy inputs, so they are taken back before their blocks are freed
        for (const name of names) wasm.tsr_wasm_model_set_input(model, name, 0, 0, 0);
      }
    });
  }
}

// ---- what the command line program needs beside a model ----
// These are functions, not methods, because a bundle leaves out a function that it does not call.

/**
 * What a model of this architecture and config would be, from its graph alone.
 * @param {Engine} engine @param {string} arch @param {object} config
 */
export function describe(engine, arch, config) {
  return engine.heap.frame((/** @type {Frame} */ frame) => {
    const text = engine.wasm.tsr_wasm_describe(engine.context, frame.string(JSON.stringify({ arch, config })));
    return text ? JSON.parse(engine.heap.string(text)) : engine.fail();
  });
}

/**
 * The weights that the model needs, once the header has been fed.
 * @param {Engine} engine @returns {{ name: string, shape: number[], role: string }[]}
 */
export const weightsOf = ({ heap, wasm, loader }) =>
  JSON.parse(heap.string(wasm.tsr_wasm_loader_weights(loader)) || '[]');

/** @param {number} half the bits of a half float */
function widenHalf(half) {
  const sign = half >> 15 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

/** Numbers of the dtypes that can be quantized, as f32. @type {Record<string, (bytes: Uint8Array) => Float32Array>} */
const WIDEN = {
  F32: (bytes) => new Float32Array(bytes.slice().buffer),
  BF16: (bytes) =>
    new Float32Array(Uint32Array.from(new Uint16Array(bytes.slice().buffer), (half) => half << 16).buffer),
  F16: (bytes) => Float32Array.from(new Uint16Array(bytes.slice().buffer), widenHalf),
};

/** Whether quantizeRows takes it. @param {string} dtype as the file names it */
export const isFloat = (dtype) => Object.hasOwn(WIDEN, dtype);

/**
 * Rows in 8 bits, computed by the core. When it quantizes while loading, a convolution's rows are in the kernel's order
 * by then, and a scale, which bounds sums of neighbours, may be another.
 * @param {Engine} engine @param {string} dtype @param {Uint8Array} bytes [n,k] of that dtype @param {number} n
 * @param {number} k
 * @returns {[Uint8Array, Uint8Array]} integers [n,k] as i8, and their scales [n] as f32
 */
export function quantizeRows(engine, dtype, bytes, n, k) {
  return engine.heap.frame((/** @type {Frame} */ frame) => {
    const q = frame.alloc(n * k);
    const scale = frame.alloc(4 * n);
    engine.wasm.tsr_wasm_quantize_rows(q, scale, frame.copy(WIDEN[dtype](bytes)), n, k);
    return [engine.heap.bytes.slice(q, q + n * k), engine.heap.bytes.slice(scale, scale + 4 * n)];
  });
}
