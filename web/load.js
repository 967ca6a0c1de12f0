// @ts-check
/** loadModel: compiles the wasm beside the download, feeds the engine as chunks arrive, reports progress, keeps the cache. */
import { cacheable, cacheDrop, cacheMatch, cachePut } from './cache.js';
import { lacksArch, product } from './engine.js';
import { argumentError } from './errors.js';
import { openHost } from './host.js';
import { Model } from './model.js';
import { abortable, checkOptions } from './options.js';
import { builtin, isNode } from './platform.js';
import { fromNetwork, openSource, RESTART } from './source.js';
import { compile, isThreaded, sharedMemory } from './wasm.js';

/** Chunks on their way to the worker at a time: enough to keep it busy, few enough not to pile up. */
const IN_FLIGHT = 3;

/**
 * @typedef {object} Progress
 * @property {'wasm' | 'weights' | 'compile' | 'warmup' | 'ready'} phase
 * @property {number} loaded bytes of the model so far; never goes back
 * @property {number | null} total bytes of the model, null while unknown
 * @property {number} ratio 0 to 1 over the whole load; never goes back
 * @property {boolean} fromCache
 */

/**
 * @typedef {object} LoadOptions
 * @property {'auto' | 'f32' | 'q8'} [dtype] how weights are kept: as the file has them, as f32, or quantized while loading
 * @property {boolean} [worker] run in a worker (default true)
 * @property {'auto' | number} [threads] threads at work (default 'auto': the cores there are, four at most)
 * @property {boolean} [deterministic] the same bits on every machine: the build without relaxed SIMD
 * @property {AbortSignal} [signal] gives up the load; it rejects with the signal's reason
 * @property {(progress: Progress) => void} [onProgress] what it throws ends the load
 * @property {'auto' | 'reload' | false} [cache] the browser's Cache API: use it, refresh it, or leave it alone. Node has none
 * @property {typeof globalThis.fetch} [fetch] used instead of the global one for everything this model fetches
 * @property {string} [integrity] 'sha256-' and the base64 digest that the file must have
 * @property {string | URL} [wasmUrl] where the .wasm lies: the file (one ending in -all, if the architecture is a rare one), or a folder (ending
 *   in /) that holds all builds
 * @property {BufferSource | WebAssembly.Module} [wasmBinary] the .wasm itself
 * @property {boolean} [warmup] run once on zeros before the model is handed out
 * @property {'auto' | 'wasm' | Decoder} [decode] who decodes image files: the browser (auto), the core (wasm; always in Node), or a function
 * @property {number} [retries] of a broken download (default 3)
 */
/** @typedef {(bytes: Uint8Array) => import('./model.js').Pixels | Promise<import('./model.js').Pixels>} Decoder */

/** What the options may be; others are checked where they are used. @type {Record<string, any[]>} */
const VALUES = {
  dtype: ['auto', 'f32', 'q8'],
  cache: ['auto', 'reload', false],
  worker: [true, false],
  deterministic: [false, true],
  warmup: [false, true],
};

/** The options, checked and complete. @param {any} given @returns {any} */
function settle(given) {
  /** @type {Record<string, any>} */
  const all = {
    threads: 'auto',
    decode: 'auto',
    retries: 3,
    onProgress() {},
    // not the function itself: it must be called as the global object's
    fetch: (/** @type {[any]} */ ...args) => globalThis.fetch(...args),
  };
  const known = [...Object.keys(VALUES), ...Object.keys(all), 'signal', 'integrity', 'wasmUrl', 'wasmBinary'];
  Object.assign(all, checkOptions(given, known, 'loadModel'));
  /** @param {string} name @param {boolean} fine @param {string} expected */
  const expect = (name, fine, expected) => {
    if (!fine) throw argumentError(`loadModel: ${name} is ${JSON.stringify(all[name])}; give ${expected}`);
  };
  for (const [name, allowed] of Object.entries(VALUES)) {
    expect(name, allowed.includes(all[name] ??= allowed[0]), allowed.map((one) => JSON.stringify(one)).join(' or '));
  }
  const { threads, retries, decode, integrity } = all;
  expect('threads', threads === 'auto' || (Number.isInteger(threads) && threads > 0), '"auto" or 1 and more');
  expect('retries', Number.isInteger(retries) && retries >= 0, '0 or more');
  expect('decode', ['auto', 'wasm'].includes(decode) || typeof decode === 'function', '"auto", "wasm" or a function');
  for (const name of ['onProgress', 'fetch']) expect(name, typeof all[name] === 'function', 'a function');
  if (integrity !== undefined) {
    const [, base64] = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(integrity) ?? [];
    expect('integrity', Boolean(base64), '"sha256-" and 44 characters of base64');
    all.digest = Uint8Array.from(atob(String(base64)), (c) => c.charCodeAt(0));
  }
  return all;
}

/** Threads that 'auto' starts at most: more than a phone's fast cores gain little. */
const AUTO_THREADS = 4;
/** What the core has room for (src/base/threads.h). */
const MAX_THREADS = 16;

/**
 * How many threads to run, and why not more.
 * @param {'auto' | number} wanted @param {{ worker: boolean, reason?: string | null }} host where the engine will run, or does
 * @returns {[number, string | null]}
 */
function planThreads(wanted, { worker, reason }) {
  const scope = /** @type {any} */ (globalThis);
  if (wanted === 1) return [1, 'requested'];
  if (!isNode && scope.crossOriginIsolated === false) return [1, 'not-cross-origin-isolated'];
  if (!isNode && typeof scope.Worker !== 'function') return [1, 'unsupported'];
  if (reason?.startsWith('failed')) return [1, reason]; // where one worker did not start, others will not
  if (!isNode && !worker && scope.document) return [1, 'no-worker']; // a page's own thread may not wait for others
  const cores = isNode ? builtin('os').availableParallelism() : scope.navigator.hardwareConcurrency;
  const count = Math.min(...(wanted === 'auto' ? [cores, AUTO_THREADS] : [wanted, MAX_THREADS]));
  return [count, count > 1 && (wanted === 'auto' || count === wanted) ? null : 'unsupported'];
}

/** Progress that never goes back. @param {(progress: Progress) => void} tell */
function progressOf(tell) {
  let last = { loaded: 0, ratio: 0 };
  return (/** @type {Progress['phase']} */ phase, /** @type {number} */ loaded, /** @type {number | null} */ total, fromCache = false) => {
    // most of the time goes into the weights; a length that nobody knows leaves the ratio where it is
    const done = { wasm: 0, weights: total ? Math.min(1, loaded / total) * 0.95 : 0, compile: 0.96, warmup: 0.98, ready: 1 }[phase];
    last = { loaded: Math.max(last.loaded, loaded), ratio: Math.max(last.ratio, done) };
    tell({ phase, loaded: last.loaded, total: total && Math.max(total, last.loaded), ratio: last.ratio, fromCache });
  };
}

/**
 * @param {any} source @param {any} options settled @param {AbortSignal} signal ends everything this load started
 */
async function load(source, options, signal) {
  const { dtype, digest, fetch, retries, cache, warmup, threads } = options;
  const net = { fetch, signal, retries };
  const report = progressOf((/** @type {Progress} */ progress) => {
    if (!signal.aborted) options.onProgress(progress);
  });
  const opened = openSource(source, net);
  const [plan] = planThreads(threads, options);
  const hosting = openHost(options.worker, plan).then((host) => { // first: workers take longest to start
    const end = () => host.close(signal.reason);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    return host;
  });
  report('wasm', 0, null);
  /** @param {boolean} threaded @param {boolean} [all] */
  const build = (threaded, all) => compile({ ...options, threaded, all, signal });
  let compiling = build(plan > 1);
  compiling.catch(() => {});
  /** @type {string | null} */
  let threadsReason = null;
  /** What became of each thread. @type {Promise<string | null>[]} */
  let starting = [];
  const url = cache !== false && cacheable(opened.url) ? opened.url : null;
  const stored = url && cache === 'auto' ? await cacheMatch(url) : undefined;
  /** @param {any} host @param {boolean} [all] */
  const open = async (host, all) => {
    let count;
    [count, threadsReason] = planThreads(threads, host);
    if (all) compiling = build(count > 1, all);
    let { module } = await compiling;
    /** @type {WebAssembly.Memory | undefined} */
    let memory;
    if (!isThreaded(module)) threadsReason ??= 'unsupported';
    else if (!(memory = sharedMemory())) {
      threadsReason = 'memory';
      compiling = build(false, all);
      ({ module } = await compiling);
    }
    const failed = await Promise.all(starting);
    const opening = host.call('open', module, memory);
    starting = Array.from({ length: memory ? count - 1 : 0 }, (_, i) => failed[i] ?? host.addThread(i, module, memory));
    await opening;
    return host;
  };
  const opening = hosting.then(open);
  opening.catch(() => {});
  /** One reading of the file. @param {import('./source.js').Source} from @param {boolean} fromCache */
  const attempt = async (from, fromCache) => {
    /** @type {Blob[]} */
    let parts = [];
    /** @type {Promise<any>[]} */
    let sent = [];
    let loaded = 0;
    const chunks = from.read();
    let step = chunks.next(); // the download starts now, beside the compilation
    step.catch(() => {});
    try {
      const host = await opening;
      const begin = () => host.call('begin', { dtype, digest });
      /** What has been fed lies in the engine: an instance with more architectures goes on with it. @param {any} error */
      const more = (error) => {
        if (!lacksArch(error)) throw error;
        return open(host, true);
      };
      for (await begin(); ; step = chunks.next()) {
        const { done, value: chunk } = await step;
        if (done) break;
        if (chunk === RESTART) {
          await Promise.all(sent);
          [parts, sent, loaded] = [[], [], 0];
          await begin();
          continue;
        }
        loaded += chunk.length;
        // a Blob's bytes lie outside the page's heap, on disk if there are many
        if (url && !fromCache) parts.push(new Blob([/** @type {any} */ (chunk)]));
        const fed = host.call('feed', chunk).catch(more);
        fed.catch(() => {}); // told by the await below
        sent.push(fed);
        if (sent.length >= IN_FLIGHT) await sent.shift();
        report('weights', loaded, from.total(), fromCache);
      }
      await Promise.all(sent);
      report('compile', loaded, loaded, fromCache);
      const info = await host.call('finish');
      if (url && !fromCache) await cachePut(url, new Blob(parts));
      return { info, loaded, fromCache };
    } finally {
      chunks.return(undefined).catch(() => {});
    }
  };

  const { info, loaded, fromCache } = await (stored && url ? attempt(fromNetwork(url, net, stored), true).catch(async (error) => {
    if (!/^(model|fetch)$/.test(error?.stage) || signal.aborted) throw error; // else what is stored is spoilt
    await cacheDrop(url);
    return attempt(opened, false);
  }) : attempt(opened, false));
  const { relaxedSimd } = await compiling;
  const host = await opening;
  const failures = (await Promise.all(starting)).filter(Boolean);
  if (warmup) {
    report('warmup', loaded, loaded, fromCache);
    const { dims } = info.input;
    const data = new Float32Array(product(dims));
    await host.call('run', { type: 'tensor', data, dims }, {});
  }
  const runtime = {
    simd: true,
    relaxedSimd,
    threads: 1 + starting.length - failures.length,
    threadsReason: failures.at(-1) ?? threadsReason,
    worker: host.worker,
    workerReason: host.reason,
  };
  const model = new Model(host, info, runtime, { decode: options.decode, fetch });
  report('ready', loaded, loaded, fromCache);
  return model;
}

/**
 * Loads a model file.
 *
 *   const model = await loadModel('/models/cct.safetensors', { onProgress: ({ ratio }) => { bar.value = ratio; } });
 *
 * @param {string | URL | Blob | ArrayBuffer | Uint8Array} source address or contents of a .safetensors file; in Node also a path
 * @param {LoadOptions} [options]
 * @returns {Promise<Model>}
 * @throws {import('./errors.js').TesseraeError} or the signal's reason
 */
export async function loadModel(source, options) {
  const settled = settle(options);
  const outer = settled.signal;
  outer?.throwIfAborted();
  const ours = new AbortController();
  const stop = () => ours.abort(outer.reason);
  outer?.addEventListener('abort', stop);
  try {
    return await abortable(load(source, settled, ours.signal), outer);
  } catch (error) {
    ours.abort(error);
    throw error;
  } finally {
    outer?.removeEventListener('abort', stop);
  }
}
