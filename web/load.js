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
import { filePath, isDirectory } from './platform.js';
import { bytesOf, fromNetwork, openSource, resolve, RESTART } from './source.js';
import { startEngine } from './start.js';

/** Chunks on their way to the worker at a time: enough to keep it busy, few enough not to pile up. */
const IN_FLIGHT = 3;

/** A repository's page on the Hub. */
const HUB_PAGE = /^https:\/\/(huggingface\.co|hf\.co)\/[^/]+\/[^/]+(\/(tree|blob)\/.*)?$/;
/** @param {any} error */
export const lacksMetadata = (error) => error?.code === 'ERR_CONFIG' && /no __metadata__\.tesserae/.test(error.message);

/** @typedef {import('./types.js').LoadOptions} LoadOptions */
/** @typedef {import('./types.js').Progress} Progress */

/** The values that options may have, the default first. @type {Record<string, any[]>} */
const VALUES = {
  dtype: ['auto', 'f32', 'q8'],
  cache: ['auto', 'reload', false],
  worker: [true, false],
  deterministic: [false, true],
  warmup: [false, true],
};

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
  const known = [
    ...Object.keys(VALUES),
    ...Object.keys(all),
    'signal',
    'integrity',
    'headers',
    'wasmUrl',
    'wasmBinary',
  ];
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
  expect('headers', all.headers === undefined || Object(all.headers) === all.headers, 'an object of names and values');
  if (integrity !== undefined && typeof integrity !== 'object') {
    const [, base64] = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(integrity) ?? [];
    expect('integrity', Boolean(base64), '"sha256-" and 44 characters of base64');
    all.digest = Uint8Array.from(atob(String(base64)), (c) => c.charCodeAt(0));
  }
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
 * The folder that `source` names: an address without a file's name, a directory, files, or Blobs by name; else undefined.
 * @param {any} source @returns {any} for the loader of folders
 */
export function folderIn(source) {
  if (typeof source === 'string' || source instanceof URL) {
    const path = filePath(source);
    if (path !== undefined) return isDirectory(path) ? path : undefined;
    const url = resolve(source);
    const bare = /(\/|\/[^./]+)$/.test(url.pathname) && (!url.search || url.pathname.endsWith('/'));
    return /^http/.test(url.protocol) && (bare || HUB_PAGE.test(url.href)) ? url : undefined;
  }
  const isBytes = source instanceof Blob || bytesOf(source);
  return source && !isBytes && (Symbol.iterator in source || 'config.json' in source) ? source : undefined;
}

/** Options whose `fetch` sends `headers` to the model's own origin. @param {any} options @param {URL | null} url */
function withHeaders(options, url) {
  const { fetch, headers } = options;
  if (!headers || !url) return options;
  /** @param {string} to @param {any} init */
  const own = (to, init) => ({
    ...init,
    headers: { ...(new URL(to).origin === url.origin && headers), ...init?.headers },
  });
  return { ...options, fetch: (/** @type {string} */ to, /** @type {any} */ init) => fetch(to, own(to, init)) };
}

/**
 * @param {any} source @param {any} settled its signal ends everything that this load starts
 */
async function load(source, settled) {
  const { decode, fetch, signal, warmup } = settled;
  const folder = folderIn(source);
  const opened = folder ? null : openSource(source, settled);
  const options = withHeaders(settled, folder instanceof URL ? folder : (opened?.url ?? null));
  const report = progressOf(options);
  const { opening, open, runtime } = startEngine({ ...settled, all: Boolean(folder) });
  report('wasm', 0, null);
  /**
   * One reading of a source.
   * @param {import('./source.js').Source} from @param {() => boolean} fromCache @param {any} [keep] the bytes, at this
   *   address
   */
  const read = async (from, fromCache, keep) => {
    const own = { ...options, ...(!from.url && folder && { digest: undefined }) };
    const parts = await feed(from, opening, open, own, keep, (loaded) =>
      report('weights', loaded, from.total(), fromCache()),
    );
    report('compile');
    const info = await (await opening).call('finish');
    if (keep) await cachePut(keep, new Blob(parts));
    return info;
  };
  /** @param {any} from @param {string} [weights] */
  const readFolder = async (from, weights) =>
    (await import('./hub/index.js')).readFolder(
      from,
      { ...options, core: { TesseraeError, fromNetwork } },
      read,
      weights,
    );
  const readFile = async () => {
    const file = openSource(source, options);
    const { url } = file;
    const { cache } = options;
    const keep = url && cache !== false && cacheable(url) ? url : null;
    const stored = keep && cache === 'auto' ? await cacheMatch(keep) : undefined;
    if (keep && stored) {
      try {
        return await read(fromNetwork(keep, options, stored), () => true);
      } catch (/** @type {any} */ error) {
        if (!/^(model|fetch)$/.test(error?.stage) || signal.aborted) throw error; // else the stored copy is damaged
        await cacheDrop(keep);
      }
    }
    return read(file, () => false, keep);
  };
  const info = await (folder
    ? readFolder(folder).catch((error) => {
        // an address without a dot may be a file's
        if (!error?.detail?.noConfig || !(folder instanceof URL) || folder.pathname.endsWith('/')) throw error;
        return readFile();
      })
    : readFile().catch((error) => {
        // a file as transformers and timm write it: what it is stands beside it
        const [, where, name] =
          (!lacksMetadata(error) ? null : /^(.*?)([^/\\]+)$/.exec(String(opened?.url?.href ?? source))) ?? [];
        if (!name || (typeof source === 'object' && !opened?.url)) throw error;
        return readFolder(opened?.url ? new URL(where) : where || '.', name);
      }));
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
 * Loads a model file.
 *
 *   const model = await loadModel('/models/cct.safetensors', { onProgress: ({ ratio }) => { bar.value = ratio; } });
 *
 * @param {string | URL | Blob | ArrayBuffer | Uint8Array} source address or contents of a .safetensors file; in Node
 *   also a path
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
