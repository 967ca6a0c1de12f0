// @ts-check
/**
 * The files of a folder, wherever it lies: behind an address, on disk (Node), or Blobs by name. A file behind an address has
 * its own retries, is resumed where it broke, and goes to the cache under its address when all that is needed of it came.
 */
import { cacheable, cacheDrop, cacheMatch, cachePut } from '../cache.js';
import { builtin } from '../platform.js';
import { core, fail } from './core.js';

/** Bytes that are rather read than skipped by another request. */
const GAP = 1 << 20;

/** Thrown where a server starts a file anew. */
export const AGAIN = {};

/** @typedef {[number, number]} Run first byte, and the one behind the last */
/**
 * A file. read gives its bytes from `begin` on, to `end` or further; null among them: all that came before is void.
 * @typedef {object} File
 * @property {string} name
 * @property {(begin?: number, end?: number) => AsyncGenerator<Uint8Array | null>} read
 * @property {boolean} [distant] skipping bytes costs a request, and needs a server that names the file's version
 * @property {() => Headers | undefined} [headers] of its last answer
 * @property {(parts: Blob[], runs?: Run[]) => Promise<unknown>} [store] keeps these runs of it in the cache
 */
/**
 * @typedef {object} Folder
 * @property {string} where for messages
 * @property {string} [href] its address
 * @property {(name: string) => File} open
 * @property {(commit?: string | null) => void} [pin] later files are those of this commit
 * @property {() => Promise<unknown>} [forget] what came from the cache is dropped there
 * @property {() => boolean} [cached] whether anything came from it
 */

/** A file that is not there. @param {any} error */
export const isMissing = (error) =>
  error?.detail?.status === 404 || error?.code === 'ERR_FETCH_CONTENT_TYPE' || error?.code === 'ERR_ARGUMENT';

/** The address of a repository on the Hub, from that of one of its pages; or of a folder. @param {URL} url */
export function baseOf(url) {
  const base = new URL(url);
  const [, repository, revision = 'main', rest = ''] =
    (/^(www\.)?(huggingface\.co|hf\.co)$/.test(url.hostname) &&
      /^\/([^/]+\/[^/]+)(?:\/(?:tree|blob|resolve|raw)\/([^/]+))?(?:\/(.*))?$/.exec(url.pathname)) ||
    [];
  if (repository) base.pathname = `/${repository}/resolve/${revision}/${rest}`;
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

/** @param {Blob} blob @returns {AsyncGenerator<Uint8Array>} */
async function* chunksOf(blob) {
  const reader = blob.stream().getReader();
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Runs of a file that lie behind each other in a Blob. @param {Blob} blob @param {Run[]} runs */
async function* slices(blob, runs, begin = 0, end = Infinity) {
  let at = 0;
  for (const [first, last] of runs) {
    const [from, to] = [Math.max(begin, first), Math.min(end, last)];
    if (from < to) yield* chunksOf(blob.slice(at + from - first, at + to - first));
    at += last - first;
  }
}

/** @param {URL} address @param {any} net fetch, signal, retries, cache @returns {Folder} */
export function atAddress(address, net) {
  let base = baseOf(address);
  const keeps = net.cache !== false && cacheable(base);
  /** @type {URL[]} */
  const taken = [];
  return {
    where: base.href,
    href: base.href,
    open(name) {
      const url = Object.assign(new URL(name, base), { search: base.search });
      /** @type {Headers | undefined} */
      let headers;
      const source = core.fromNetwork(url, {
        ...net,
        fetch: async (/** @type {any} */ to, /** @type {any} */ init) => {
          // the Hub refuses pages of some hosts
          const response = await net.fetch(to, { ...init, referrerPolicy: 'no-referrer' });
          headers ??= response.ok ? response.headers : undefined;
          return response;
        },
      });
      const looking = keeps && net.cache === 'auto' ? cacheMatch(url) : undefined;
      return {
        name,
        distant: true,
        headers: () => headers,
        async *read(begin, end) {
          const stored = await looking;
          if (!stored) return yield* source.read(begin, end);
          headers = stored.headers;
          taken.push(url);
          const blob = await stored.clone().blob();
          yield* slices(blob, JSON.parse(headers.get('x-runs') ?? `[[0,${blob.size}]]`), begin, end);
        },
        ...(keeps && {
          async store(parts, runs) {
            if (await looking) return;
            const kept = { 'x-repo-commit': headers?.get('x-repo-commit') ?? '' };
            await cachePut(url, new Blob(parts), { ...kept, ...(runs && { 'x-runs': JSON.stringify(runs) }) });
          },
        }),
      };
    },
    pin(commit) {
      if (/^[0-9a-f]{40}$/.test(commit ?? ''))
        base = Object.assign(base, { pathname: base.pathname.replace(/\/resolve\/[^/]+\//, `/resolve/${commit}/`) });
    },
    forget: () => Promise.all(taken.splice(0).map(cacheDrop)),
    cached: () => taken.length > 0,
  };
}

/** @param {string} path of Node's @returns {Folder} */
export function onDisk(path) {
  const { createReadStream } = builtin('fs');
  return {
    where: path,
    open: (name) => ({
      name,
      async *read(begin = 0, end = Infinity) {
        try {
          if (end > begin) yield* createReadStream(builtin('path').join(path, name), { start: begin, end: end - 1 });
        } catch (cause) {
          fail('ERR_ARGUMENT', `cannot read ${name} in ${path}: ${/** @type {Error} */ (cause).message}`, {
            cause,
          });
        }
      },
    }),
  };
}

/** @param {Iterable<File> | Record<string, Blob>} given what a picker gives, or Blobs by name @returns {Folder} */
export function ofBlobs(given) {
  /** @type {[string, any][]} */
  const all =
    Symbol.iterator in given
      ? Array.from(/** @type {Iterable<any>} */ (given), (file) => [file.webkitRelativePath || file.name, file])
      : Object.entries(given);
  // the folder of the nearest config.json
  const [nearest = ''] = all
    .map(([name]) => name)
    .filter((name) => /(^|\/)config\.json$/.test(name))
    .sort((a, b) => a.length - b.length);
  const files = new Map(all.map(([name, file]) => [name.slice(nearest.length - 'config.json'.length), file]));
  return {
    where: 'the files given',
    open: (name) => ({
      name,
      async *read(begin = 0, end = Infinity) {
        const file = files.get(name);
        if (!(file instanceof Blob)) fail('ERR_ARGUMENT', `${name} is not among the files given`);
        yield* chunksOf(file.slice(begin, end));
      },
    }),
  };
}

/** All of a small file. @param {File} file @returns {Promise<Uint8Array>} */
export async function whole(file) {
  /** @type {Uint8Array[]} */
  let parts = [];
  for await (const chunk of file.read()) parts = chunk ? [...parts, chunk] : [];
  const blob = new Blob(/** @type {any} */ (parts));
  await file.store?.([blob]);
  return new Uint8Array(await blob.arrayBuffer());
}

/** A file of tensors that is read from its beginning: its header first, then runs of it. */
export class TensorFile {
  /** @param {File} file @param {boolean} alone whether to go on reading after the header */
  constructor(file, alone) {
    this.file = file;
    this.alone = alone;
    /** @type {Uint8Array<ArrayBuffer>} */
    this.head = new Uint8Array(0);
    this.skips = true;
    /** @type {AsyncGenerator<Uint8Array | null> | undefined} */
    this.stream;
  }

  /** Reads the header. @returns {Promise<Uint8Array>} the file's first bytes, with all of it */
  async open() {
    this.stream = this.file.read();
    this.head = new Uint8Array(0);
    for (;;) {
      /** @type {Uint8Array<ArrayBuffer>} */
      const { length, buffer } = this.head;
      const end = length > 7 ? 8 + new DataView(buffer).getUint32(0, true) : 8;
      if (length > 7 && (length >= end || end > 1 << 27 || this.head[8] !== 123)) break;
      /** @type {IteratorResult<Uint8Array | null>} */
      const { done, value } = await this.stream.next();
      if (done) break;
      /** @type {Uint8Array<ArrayBuffer>} */
      const joined = new Uint8Array(value ? length + value.length : 0);
      if (value) (joined.set(this.head), joined.set(value, length));
      this.head = joined;
    }
    if (!this.alone) await this.close();
    return this.head;
  }

  async close() {
    await this.stream?.return(undefined);
    this.stream = undefined;
  }

  /**
   * The bytes of runs, each with its place in the file.
   * @param {Run[]} runs in order @returns {AsyncGenerator<[number, Uint8Array]>}
   */
  async *read(runs) {
    const keep = this.file.store ? /** @type {Blob[]} */ ([]) : null;
    const near = /** @type {Run[]} */ ([[0, this.head.length]]);
    const { distant, headers } = this.file;
    const answer = headers?.();
    if (distant && !answer?.get('etag') && !answer?.get('last-modified')) this.skips = false;
    for (const [begin, end] of runs) {
      const last = near[near.length - 1];
      if (this.skips && begin - last[1] > (distant ? GAP : 0)) near.push([begin, end]);
      else last[1] = Math.max(last[1], end);
    }
    let at = 0;
    try {
      for (const [begin, end] of near) {
        let chunk = /** @type {Uint8Array | null | undefined} */ (at ? undefined : this.head);
        if (begin !== at) {
          await this.close();
          at = begin;
        }
        while (at < end) {
          if (!chunk) {
            this.stream ??= this.file.read(at, end);
            /** @type {IteratorResult<Uint8Array | null>} */
            const { done, value } = await this.stream.next();
            if (done) return;
            if (!value) throw AGAIN;
            chunk = value.subarray(0, end - at);
          }
          if (keep && chunk.length) keep.push(new Blob([/** @type {any} */ (chunk)]));
          yield [at, chunk];
          at += chunk.length;
          chunk = undefined;
        }
      }
      if (keep) await this.file.store?.(keep, near);
    } finally {
      await this.close();
    }
  }
}
