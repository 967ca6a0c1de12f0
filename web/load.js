// @ts-check
/**
 * loadModel: compiles the wasm beside the download, feeds the engine as chunks arrive, reports progress, keeps the
 * cache.
 */
import { cacheable, cacheDrop, cacheMatch, cachePut } from './cache.js';
import { lacksArch, product } from './engine.js';
import { argumentError, TesseraeError } from './errors.js';
import { Model } from './model.js';
import { abortable, checkOptions } from './options.js';
import { bytesOf, fromNetwork, openSource, resolve, RESTART, versionOf } from './source.js';
import { startEngine } from './start.js';

/** Chunks on their way to the worker at a time: enough to keep it busy, few enough not to pile up. */
const IN_FLIGHT = 3;

/** Addresses and paths that end in a slash (not data:, which have a comma), and the Hub's pages. */
const FOLDER = /^[^,]*[\\/]$|\/(huggingface|hf)\.co\/(?!.*\/resolve\/)/;

/** @typedef {import('./types.js').LoadOptions} LoadOptions */
/** @typedef {import('./types.js').Progress} Progress */

/** The values that options may have, the default first. @type {Record<string, any[]>} */
const VALUES = {
  dtype: ['auto', 'f32', 'q8'],
  cache: ['auto', 'reload', false],
  worker: [true, false],
  deterministic: [false, true],
  warmup: [false, true],
  encoderOnly: [false, true],
};

/** @param {any} value */
const isObject = (value) => Object(value) === value;

/** @param {any} integrity @returns {Uint8Array} */
function digestOf(integrity) {
  const [, base64] = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(integrity) ?? [];
  if (!base64)
    throw argumentError(
      `loadModel: integrity is ${JSON.stringify(integrity)}; give "sha256-" and 44 characters of base64`,
    );
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** The options, checked and with defaults. @param {any} given @returns {any} */
function settle(given) {
  /** @type {Record<string, any>} */
  const all = {
    threads: 'auto',
    decode: 'auto',
    retries: 3,
    onProgress() {},
    // not the function itself, because it must be called as a method of the global object
    fetch: (/** @type {[any]} */ ...args) => globalThis.fetch(...args),
  };
  const more = ['signal', 'integrity', 'headers', 'wasmUrl', 'wasmBinary'];
  const known = [...Object.keys(VALUES), ...Object.keys(all), ...more];
  Object.assign(all, checkOptions(given, known, 'loadModel'));
  /** @param {string} name @param {boolean} fine @param {string} expected */
  const expect = (name, fine, expected) => {
    if (!fine) throw argumentError(`loadModel: ${name} is ${JSON.stringify(all[name])}; give ${expected}`);
  };
  for (const [name, allowed] of Object.entries(VALUES)) {
    expect(name, allowed.includes((all[name] ??= allowed[0])), allowed.map((one) => JSON.stringify(one)).join(' or '));
  }
  const { threads, retries, decode, integrity } = all;
  expect('threads', threads === 'auto' || (Number.isInteger(threads) && threads > 0), '"auto" or 1 and more');
  expect('retries', Number.isInteger(retries) && retries >= 0, '0 or more');
  expect('decode', ['auto', 'wasm'].includes(decode) || typeof decode === 'function', '"auto", "wasm" or a function');
  for (const name of ['onProgress', 'fetch']) expect(name, typeof all[name] === 'function', 'a function');
  if (integrity !== undefined && !isObject(integrity)) all.digest = digestOf(integrity);
  return all;
}

/**
 * Progress that never goes back.
 * @param {any} options settled
 * @returns {(phase: Progress['phase'], loaded?: number, total?: number | null, fromCache?: boolean) => void} what is
 *   not given stays as it was
 */
function progressOf({ onProgress, signal }) {
  let last = { loaded: 0, ratio: 0, fromCache: false };
  return (phase, loaded = last.loaded, total = loaded, fromCache = last.fromCache) => {
    // most of the time goes into the weights; while the length is unknown the ratio stays where it is
    const done = {
      wasm: 0,
      weights: total ? Math.min(1, loaded / total) * 0.95 : 0,
      compile: 0.96,
      warmup: 0.98,
      ready: 1,
    }[phase];
    last = { loaded: Math.max(last.loaded, loaded), ratio: Math.max(last.ratio, done), fromCache };
    if (!signal.aborted) onProgress({ phase, ...last, total: total && Math.max(total, last.loaded) });
  };
}

/**
 * Feeds a source to the engine until its end.
 * @param {import('./source.js').Source} from
 * @param {Promise<any>} opening the host @param {(all: boolean) => Promise<any>} open has the host open another build
 * @param {any} options settled @param {any} keep whether to keep the bytes
 * @param {(loaded: number) => void} tell hears how many bytes came so far
 * @returns {Promise<Blob[]>} the file, if it was to be kept
 */
async function feed(from, opening, open, { dtype, digest }, keep, tell) {
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
    /** @param {any} error */
    const openMore = (error) => {
      if (!lacksArch(error)) throw error;
      return open(true);
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
      // Blobs, because their bytes lie outside the page's heap, on disk if there are many
      if (keep) parts.push(new Blob([/** @type {any} */ (chunk)]));
      const fed = host.call('feed', chunk).catch(openMore);
      fed.catch(() => {}); // the await below reports it
      sent.push(fed);
      if (sent.length >= IN_FLIGHT) await sent.shift();
      tell(loaded);
    }
    await Promise.all(sent);
    return parts;
  } finally {
    chunks.return(undefined).catch(() => {});
  }
}

/**
 * Whether a source is certainly a folder; another may turn out to be one. @param {any} source
 */
export const isFolder = (source) =>
  typeof source === 'string' || source instanceof URL
    ? FOLDER.test(String(source))
    : isObject(source) && !(source instanceof Blob || bytesOf(source));

/**
 * @param {any} source @param {any} options settled; their signal ends everything that this load starts
 */
async function load(source, options) {
  const { cache, decode, fetch, headers, integrity, signal, warmup } = options;
  const folder = isFolder(source);
  const opened = folder ? null : openSource(source, options);
  const report = progressOf(options);
  const { opening, open, runtime } = startEngine({ ...options, all: folder });
  report('wasm', 0, null);
  /**
   * One reading of a source.
   * @param {any} from a source @param {() => boolean} fromCache @param {any} [keep] the address to keep
   *   it under
   */
  const read = async (from, fromCache, keep) => {
    const parts = await feed(from, opening, open, options, keep, (loaded) =>
      report('weights', loaded, from.total(), fromCache()),
    );
    report('compile');
    const info = await (await opening).call('finish');
    if (keep) await cachePut(keep, new Blob(parts));
    return info;
  };
  const url = cache && cacheable(opened?.url) ? /** @type {any} */ (opened).url : null;
  const stored = url && cache === 'auto' ? await cacheMatch(url) : undefined;
  const readFile = async () => {
    if (!stored) return read(opened, () => false, url);
    try {
      return await read(fromNetwork(url, options, stored), () => true);
    } catch (/** @type {any} */ error) {
      if (!/^(model|fetch)$/.test(error?.stage) || signal.aborted) throw error; // else the stored copy is damaged
      await cacheDrop(url);
      return read(opened, () => false, url);
    }
  };
  const lent = { TesseraeError, fromNetwork, resolve, versionOf };
  /** What to do without a module. @param {any} [error] */
  const lack = (error) => (/** @type {Error} */ cause) => {
    throw error ?? new TesseraeError('ERR_FETCH_NETWORK', cause.message, { cause });
  };
  /** @param {any} [error] of readFile */
  const readFolder = async (error) =>
    (await import('./hub/index.js').catch(lack(error))).load(source, options, lent, read, error);
  if (headers) (await import('./hub/headers.js').catch(lack())).sendHeaders(source, options, lent);
  const isPart = folder || isObject(integrity) || stored?.headers.has('x-runs'); // a folder, or of one
  const info = await (isPart ? readFolder() : readFile().catch(readFolder));
  const host = await opening;
  const known = await runtime(host);
  if (warmup) {
    report('warmup');
    const { dims } = info.input;
    await host.call('run', { type: 'tensor', data: new Float32Array(product(dims)), dims }, {});
  }
  const model = new Model(host, info, known, { decode, fetch });
  report('ready');
  return model;
}

/**
 * Loads a model file, or a folder of a checkpoint.
 *
 *   const model = await loadModel('/models/cct.safetensors', { onProgress: ({ ratio }) => { bar.value = ratio; } });
 *
 * @param {import('./types.js').ModelSource} source
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
    return await abortable(load(source, { ...settled, signal: ours.signal }), outer);
  } catch (error) {
    ours.abort(error);
    throw error;
  } finally {
    outer?.removeEventListener('abort', stop);
  }
}
