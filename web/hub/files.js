// @ts-check
/**
 * The files of a folder, wherever it lies: behind an address, on disk (Node), or Blobs by name. A file behind an
 * address has
 * its own retries and is resumed where it broke. What was read goes to the cache when the model has loaded: each file
 * under its own address, with the commit that all are of.
 */
import { cacheable, cacheDrop, cacheMatch, cachePut } from '../cache.js';
import { builtin } from '../platform.js';
import { core, fail } from './core.js';

/** Bytes that are rather read than skipped by another request. */
const GAP = 1 << 20;
const CHUNK = 1 << 20;

/** @typedef {[number, number]} Run first byte, and the one behind the last */
/**
 * A file.
 * @typedef {object} File
 * @property {string} name
 * @property {(begin?: number, end?: number) => AsyncGenerator<Uint8Array | null>} read its bytes from `begin` on, to
 *   `end` or further; null among them: from here on it comes anew, from its beginning
 * @property {() => boolean} skips whether bytes can be skipped, once the first have come
 * @property {() => boolean} same whether what comes anew is what came before
 * @property {{ update(bytes: Uint8Array): void, end(): void }} [check] takes all of it, and refuses it in the end
 * @property {() => string} [commit] that the answer named, or ''
 * @property {(parts: Blob[], runs: Run[]) => void} [keep] takes for the cache what was read; no runs: it is not there
 */
/**
 * @typedef {object} Folder
 * @property {string} where for messages
 * @property {string} [href] its address
 * @property {(name: string) => File} open
 * @property {(commit: string) => void} [pin] later files are those of this commit
 * @property {() => Promise<unknown>} [store] puts into the cache what was kept
 * @property {() => Promise<unknown>} [forget] drops from the cache what came from there
 * @property {() => boolean} [cached] whether anything did
 */

/** Whether a file is not there. 403 is what stores of objects answer that may not be listed. @param {any} error */
export const isMissing = ({ code, detail, cause }) =>
  detail?.missing ||
  detail?.status === 404 ||
  (detail?.status === 403 && !detail.headers['x-error-code']) ||
  code === 'ERR_FETCH_CONTENT_TYPE' ||
  /ENOENT|ENOTDIR/.test(cause?.code);

/** @param {string} name @param {string} where @param {any} cause @returns {never} */
const cannotRead = (name, where, cause) =>
  fail('ERR_ARGUMENT', `cannot read ${name} in ${where}: ${cause.message}`, { cause });

/** The address of a folder; of a repository on the Hub, from that of one of its pages. @param {URL} url */
export function baseOf(url) {
  const base = new URL(url);
  const [, repository, revision = 'main', rest = ''] =
    (/^(hf|huggingface)\.co$/.test(url.hostname) &&
      /^(\/[^/]+\/[^/]+)(?:\/(?:tree|blob|resolve|raw)\/([^/]+))?(?:\/(.*))?$/.exec(url.pathname)) ||
    [];
  if (repository) {
    base.hostname = 'huggingface.co'; // to where hf.co leads, but without what is for the Hub alone
    base.pathname = `${repository}/resolve/${revision}/${rest}`;
    base.search = '';
  }
  base.hash = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return base;
}

/** Waits as long as the server asks. @param {Response} response @param {AbortSignal} signal */
async function pause({ status, headers }, signal) {
  const isMuch = status === 429;
  const seconds = headers.get('retry-after') ?? (isMuch && /\bt=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);
  if ((isMuch || status === 503) && Number(seconds) > 0)
    await new Promise((done) => {
      const timer = setTimeout(done, 1000 * Number(seconds));
      signal.addEventListener('abort', () => done(clearTimeout(timer)));
    });
}

/** Runs of a file that lie behind each other in a Blob. @param {Blob} blob @param {Run[]} runs */
async function* slices(blob, runs, begin = 0, end = Infinity) {
  let at = 0;
  for (const [first, last] of runs) {
    const [from, to] = [Math.max(begin, first), Math.min(end, last)];
    const reader = blob
      .slice(at + from - first, Math.max(at, at + to - first))
      .stream()
      .getReader();
    try {
      for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
    } finally {
      reader.cancel().catch(() => {});
    }
    at += last - first;
  }
}

/** @param {URL} address @param {any} net fetch, signal, retries, cache @returns {Folder} */
export function atAddress(address, net) {
  const base = baseOf(address);
  const keeps = net.cache !== false && cacheable(base);
  /** Of names, once a commit is known. */
  let now = base;
  /** @type {string | undefined} */
  let pinned;
  /** @type {URL[]} */
  const taken = [];
  /** @type {(() => Promise<unknown>)[]} */
  const kept = [];

  /** @param {string} name @returns {File} */
  const open = (name) => {
    const [key, url] = [base, now].map((folder) => Object.assign(new URL(name, folder), { search: base.search }));
    let commit = '';
    /** The file's version by the first answer, and by the last. @type {string | null | undefined} */
    let first;
    /** @type {string | null | undefined} */
    let last;
    let pauses = net.retries;
    const source = core.fromNetwork(url, {
      ...net,
      fetch: async (/** @type {string} */ to, /** @type {RequestInit} */ init) => {
        // the Hub refuses pages of some hosts
        const response = await net.fetch(to, { ...init, referrerPolicy: 'no-referrer' });
        const { ok, headers } = response;
        if (!ok && pauses-- > 0) await pause(response, net.signal);
        if (!ok) return response;
        last = core.versionOf(response);
        if (first === undefined) first = last;
        commit ||= headers.get('x-repo-commit') ?? /\/([0-9a-f]{40})\//.exec(response.url)?.[1] ?? '';
        return response;
      },
    });
    /** @type {Response | undefined} */
    let stored;
    const looking =
      keeps &&
      net.cache === 'auto' &&
      cacheMatch(key).then((found) => {
        const { headers = new Headers() } = found ?? {};
        // one of another commit will be written over
        if (headers.has('x-runs') && [undefined, headers.get('x-commit')].includes(pinned)) stored = found;
      });
    return {
      name,
      skips: () => Boolean(stored || first),
      same: () => Boolean(first) && first === last,
      commit: () => stored?.headers.get('x-commit') ?? commit,
      async *read(begin, end) {
        await looking;
        if (!stored) return yield* source.read(begin, end);
        taken.push(key);
        const runs = JSON.parse(String(stored.headers.get('x-runs')));
        if (!runs.length) fail('ERR_FETCH_HTTP', `${key.href} was not there`, { detail: { missing: true } });
        try {
          yield* slices(await stored.clone().blob(), runs, begin, end);
        } catch (cause) {
          cannotRead(name, 'the cache', cause);
        }
      },
      ...(keeps && {
        keep(parts, runs) {
          const put = () =>
            cachePut(key, new Blob(parts), { 'x-commit': pinned ?? '', 'x-runs': JSON.stringify(runs) });
          if (!stored) kept.push(put);
        },
      }),
    };
  };
  return {
    where: base.href,
    href: base.href,
    open,
    pin(commit) {
      pinned = commit;
      now = new URL(base);
      if (/^[0-9a-f]{40}$/.test(commit))
        now.pathname = base.pathname.replace(/\/resolve\/[^/]+\//, `/resolve/${commit}/`);
    },
    store: () => Promise.all(kept.map((put) => put())),
    forget: () => Promise.all(taken.map(cacheDrop)),
    cached: () => taken.length > 0,
  };
}

const LOCAL = { skips: () => true, same: () => true };

/** @param {string} path of Node's @returns {Folder} */
export const onDisk = (path) => ({
  where: path,
  open: (name) => ({
    ...LOCAL,
    name,
    async *read(start = 0, end = Infinity) {
      const from = { start, end: end - 1, highWaterMark: CHUNK };
      try {
        for await (const chunk of builtin('fs').createReadStream(builtin('path').join(path, name), from))
          yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length); // a Buffer's slice() would not copy
      } catch (cause) {
        cannotRead(name, path, cause);
      }
    },
  }),
});

/** @param {Iterable<any> | Record<string, Blob>} given what a picker gives, or Blobs by name @returns {Folder} */
export function ofBlobs(given) {
  /** @type {[string, any][]} */
  const all =
    Symbol.iterator in given
      ? Array.from(/** @type {Iterable<any>} */ (given), (file) => [file?.webkitRelativePath || file?.name, file])
      : Object.entries(given);
  // the folder of the nearest config.json
  const [nearest = ''] = all
    .map(([name]) => name)
    .filter((name) => /(^|\/)config\.json$/.test(name))
    .sort((a, b) => a.length - b.length);
  const files = new Map(all.map(([name, file]) => [name, file]));
  const where = 'the files given';
  return {
    where,
    open: (name) => ({
      ...LOCAL,
      name,
      async *read(begin, end) {
        const file = files.get(nearest.slice(0, -'config.json'.length) + name);
        if (!(file instanceof Blob))
          fail('ERR_ARGUMENT', `${name} is not among ${where}`, { detail: { missing: true } });
        try {
          yield* slices(file, [[0, file.size]], begin, end);
        } catch (cause) {
          cannotRead(name, where, cause);
        }
      },
    }),
  };
}

/** All of a small file. @param {File} file @returns {Promise<Uint8Array>} */
export async function whole(file) {
  /** @type {any[]} */
  let parts = [];
  for await (const chunk of file.read()) parts = chunk ? [...parts, chunk] : [];
  const blob = new Blob(parts);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  file.check?.update(bytes);
  file.check?.end();
  file.keep?.([blob], [[0, bytes.length]]);
  return bytes;
}

/** A file of tensors that is read from its beginning: its header first, then runs of it. */
export class TensorFile {
  /** @type {Uint8Array<ArrayBuffer>} */
  head = new Uint8Array(0);
  /** @type {AsyncGenerator<Uint8Array | null> | undefined} */
  stream;

  /** @param {File} file */
  constructor(file) {
    this.file = file;
  }

  /** Reads the header. @returns {Promise<Uint8Array>} the file's first bytes, with all of it */
  async open() {
    this.stream = this.file.read();
    for (;;) {
      /** @type {Uint8Array<ArrayBuffer>} */
      const { length, buffer } = this.head;
      const end = length > 8 ? 8 + new DataView(buffer).getUint32(0, true) : Infinity;
      if (length >= end || (length > 8 && (end > 1 << 27 || this.head[8] !== 123))) break;
      const { done, value } = await this.stream.next();
      if (done) break;
      this.head = new Uint8Array(await new Blob(/** @type {any} */ (value ? [this.head, value] : [])).arrayBuffer());
    }
    return this.head;
  }

  async close() {
    const { stream } = this;
    this.stream = undefined;
    await stream?.return(undefined);
  }

  /**
   * The bytes of runs, and some that lie between them, each with its place in the file. A file that is checked is
   * read whole.
   * @param {Run[]} runs in order @returns {AsyncGenerator<[number, Uint8Array]>}
   */
  async *read(runs) {
    const { file, head } = this;
    /** @type {Blob[]} */
    const parts = [];
    const taken = /** @type {Run[]} */ ([[0, head.length]]);
    for (const [begin, end] of file.check ? /** @type {Run[]} */ ([[0, Infinity]]) : runs) {
      const last = taken[taken.length - 1];
      if (file.skips() && begin - last[1] > GAP) taken.push([begin, end]);
      else last[1] = Math.max(last[1], end);
    }
    let at = 0;
    /** Where the next bytes of the stream lie. */
    let next = 0;
    /** @type {Uint8Array | null | undefined} */
    let chunk = head;
    for (let i = 0; i < taken.length; i++) {
      if (taken[i][0] > at) {
        await this.close();
        [at] = taken[i];
      }
      while (at < taken[i][1]) {
        if (!this.stream && !chunk) {
          this.stream = file.read(at, taken[i][1]);
          next = at;
        }
        if (!chunk) {
          const { done, value } = await /** @type {any} */ (this.stream).next();
          if (done) {
            if (taken[i][1] < Infinity) return; // the core says what is cut short
            taken[i][1] = at;
            break;
          }
          chunk = /** @type {Uint8Array | null} */ (value);
        }
        if (!chunk) {
          // without ranges, or not closed behind the header but ended: all of the rest in one run
          if (at > head.length && !file.same()) changed(file);
          taken.splice(i, taken.length, [taken[i][0], taken[taken.length - 1][1]]);
          next = 0;
          continue;
        }
        const place = next;
        next += chunk.length;
        for (let j = place; j < head.length && j < next; j++) if (chunk[j - place] !== head[j]) changed(file);
        const piece = chunk.subarray(Math.max(0, at - place), Math.max(0, taken[i][1] - place));
        chunk = undefined;
        if (!piece.length) continue;
        file.check?.update(piece);
        if (file.keep) parts.push(new Blob([/** @type {any} */ (piece)]));
        yield [at, at ? piece : piece.slice()]; // the head is needed again
        at += piece.length;
      }
    }
    await this.close();
    file.check?.end();
    file.keep?.(parts, taken);
  }
}

/** @param {File} file @returns {never} */
const changed = ({ name }) =>
  fail('ERR_FETCH_RANGE', `${name} changed while it was read`, { retryable: true, detail: { changed: true } });
