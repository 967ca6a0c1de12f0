// @ts-check
/**
 * Bytes of a model, wherever they lie, as an async sequence of chunks that the reader may keep or transfer. RESTART
 * among them says: discard what came before.
 *
 * Over the network: retries with backoff, and Range requests that continue where the connection broke, if the server
 * names a version (ETag, Last-Modified). Lengths that servers send are not trusted, because fetch accepts a shorter
 * body without an error, and Content-Length counts compressed bytes. A safetensors header gives the exact length of its
 * file.
 */
import { argumentError, TesseraeError } from './errors.js';
import { abortable } from './options.js';
import { builtin, filePath } from './platform.js';

export const RESTART = null;
const CHUNK = 1 << 20;
const MAX_HEADER = 8 << 20;

/**
 * @typedef {object} Source
 * @property {(begin?: number, end?: number) => AsyncGenerator<Uint8Array | typeof RESTART>} read
 * @property {() => number | null} total length of the file as far as it is known now
 * @property {URL | null} url where it comes from, if that is an address
 */
/** @typedef {typeof globalThis.fetch} Fetch */
/** @typedef {{ fetch: Fetch, signal: AbortSignal, retries: number }} Net */

/** The length of a safetensors file, from its first chunks. The core refuses what is no such file. */
function lengthFromHeader() {
  let head = new Uint8Array(0);
  /** @type {number | null} */
  let total = null;
  return (/** @type {Uint8Array} */ chunk) => {
    if (total !== null || head.length > MAX_HEADER) return total;
    const joined = new Uint8Array(head.length + chunk.length);
    joined.set(head);
    joined.set(chunk, head.length);
    head = joined;
    const end = head.length > 7 ? 8 + new DataView(head.buffer).getUint32(0, true) : Infinity;
    if (head.length < end) return null;
    total = end;
    for (const [, last] of new TextDecoder()
      .decode(head.subarray(8, end))
      .matchAll(/"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d+)/g)) {
      total = Math.max(total, end + Number(last));
    }
    return total;
  };
}

/**
 * One request. An answer that cannot be used becomes an error.
 * @param {string} url @param {Net} net @param {Record<string, string>} [headers] of a Range request
 * @returns {Promise<Response>}
 */
export async function request(url, { fetch, signal }, headers) {
  let response;
  try {
    response = await fetch(url, { signal, headers });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof TesseraeError) throw cause;
    throw new TesseraeError('ERR_FETCH_NETWORK', `${url}: ${reasonOf(cause)}`, {
      retryable: true,
      detail: { url },
      cause,
    });
  }
  const { status } = response;
  /** @param {string} code @param {string} message @param {boolean} [retryable] */
  const refuse = (code, message, retryable) => {
    response.body?.cancel().catch(() => {});
    const detail = { url, status, headers: Object.fromEntries(response.headers) };
    return new TesseraeError(code, `${url}: ${message}`, { retryable, detail });
  };
  if (!response.ok)
    throw refuse(
      'ERR_FETCH_HTTP',
      `HTTP ${status} ${response.statusText}`.trim(),
      [408, 425, 429, 500, 502, 503, 504].includes(status),
    );
  if (status === 206 && !headers) throw refuse('ERR_FETCH_RANGE', 'a part (206) came, not the file');
  const type = response.headers.get('content-type') ?? '';
  if (/^(text\/html|application\/xhtml)/i.test(type))
    throw refuse('ERR_FETCH_CONTENT_TYPE', `a page (${type}) came, not the file; is the address right?`);
  return response;
}

/**
 * What names the very bytes of a body. Not a weak ETag (W/), which does not promise the same ones; nothing with an
 * encoding, where ranges count encoded bytes.
 * @param {Response} response
 */
export function versionOf({ headers }) {
  const etag = headers.get('etag');
  if (headers.has('content-encoding')) return null;
  return etag && !etag.startsWith('W/') ? etag : headers.get('last-modified');
}

/** The innermost reason, because fetch wraps it as "fetch failed". @param {any} error */
const reasonOf = (error) => error?.cause?.message || error?.message || String(error);

/**
 * Chunks of a body; the stream is cancelled when the reader stops early.
 * @param {Response} response @returns {AsyncGenerator<Uint8Array>}
 */
async function* chunksOf(response) {
  const reader = (response.body ?? (await response.blob()).stream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {}); // a stream that has ended, well or not, stays as it is
  }
}

/**
 * The file at an address.
 * @param {URL} address @param {Net} net @param {Response} [stored] a cached answer to read instead
 * @returns {Source}
 */
export function fromNetwork(address, net, stored) {
  const { signal, retries } = net;
  const url = address.href;
  /** @type {number | null} */
  let exact = null;
  /** @type {string | null} */
  let version = null;
  let measure = lengthFromHeader();

  /**
   * Opens the body at byte `loaded`. The result's `loaded` is 0 if the server starts over.
   * @param {number} loaded @param {number} end
   */
  async function open(loaded, end) {
    if (stored) return { response: stored, loaded: 0 };
    if (!loaded || !version) return { response: await request(url, net), loaded: 0 };
    const Range = `bytes=${loaded}-${end < Infinity ? end - 1 : ''}`;
    // not to another origin from a page: it would cost a preflight request, which not all servers of files answer
    const response = await request(url, net, {
      Range,
      ...((globalThis.origin ?? address.origin) === address.origin && { 'If-Range': version }),
    });
    if (response.status !== 206) return { response, loaded: 0 };
    const isNext = response.headers.get('content-range')?.startsWith(`bytes ${loaded}-`);
    if (isNext && versionOf(response) === version) return { response, loaded };
    response.body?.cancel().catch(() => {});
    throw new TesseraeError('ERR_FETCH_RANGE', `${url}: other bytes came than those from ${loaded}`, {
      retryable: true,
      detail: { url },
    });
  }

  /** After a first reading from the start, also from `begin` on, up to `end` or further. */
  async function* read(begin = 0, end = Infinity) {
    let loaded = begin;
    for (let attempt = 0; ; attempt++) {
      let answered = false;
      try {
        const opened = await open(loaded, end);
        answered = true;
        if (loaded && !opened.loaded) yield RESTART;
        loaded = opened.loaded;
        if (!loaded) {
          measure = lengthFromHeader();
          version = versionOf(opened.response);
        }
        for await (const chunk of chunksOf(opened.response)) {
          exact = measure(chunk);
          loaded += chunk.length;
          yield chunk;
        }
        if (loaded >= Math.min(end, exact ?? loaded)) return;
        throw new TesseraeError('ERR_FETCH_TRUNCATED', `${url}: ${loaded} of ${exact} bytes came`, {
          retryable: true,
          detail: { url, loaded, total: exact },
        });
      } catch (cause) {
        signal.throwIfAborted();
        const error =
          cause instanceof TesseraeError
            ? cause
            : new TesseraeError('ERR_FETCH_NETWORK', `${url}: broke after ${loaded} bytes: ${reasonOf(cause)}`, {
                retryable: true,
                detail: { url, loaded },
                cause,
              });
        if (stored || !error.retryable || attempt >= retries) throw error;
        // a Range request without an answer (a preflight that failed, for example) is not tried again
        if (!answered) version = null;
        await abortable(
          new Promise((resolve) => {
            setTimeout(resolve, 250 * 2 ** attempt);
          }),
          signal,
        );
        if (loaded && !version) {
          yield RESTART;
          loaded = 0;
        }
      }
    }
  }
  return { read, url: address, total: () => exact };
}

/** @param {string} what @param {any} cause @returns {never} */
function cannotRead(what, cause) {
  throw new TesseraeError('ERR_ARGUMENT', `cannot read ${what}: ${cause.message}`, { cause });
}

/** A file of Node's. @param {string} path @returns {Promise<any>} */
export const wholeFile = (path) =>
  builtin('fs')
    .promises.readFile(path)
    .catch((/** @type {any} */ error) => cannotRead(`the file ${path}`, error));

/**
 * Chunks of what lies at hand.
 * @param {string} what @param {() => any} open gives something to iterate over
 */
export async function* reading(what, open) {
  try {
    yield* await open();
  } catch (error) {
    cannotRead(what, error);
  }
}

/** @param {string} path a file of Node's @returns {Source} */
function fromFile(path) {
  let total = 0;
  return {
    url: null,
    total: () => total,
    read: () =>
      reading(`the file ${path}`, async () => {
        const file = await builtin('fs').promises.open(path);
        total = (await file.stat()).size;
        return file.createReadStream({ highWaterMark: CHUNK }); // which closes the file, however it ends
      }),
  };
}

/** @param {Uint8Array} bytes the caller's own: chunks are copies @returns {Source} */
const fromBytes = (bytes) => ({
  url: null,
  total: () => bytes.length,
  async *read() {
    for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.slice(at, at + CHUNK);
  },
});

/** @param {Blob} blob @returns {Source} */
const fromBlob = (blob) => ({
  url: null,
  total: () => blob.size,
  read: () => reading('the Blob', () => chunksOf(new Response(blob))),
});

/** An address, seen from the page where there is one. @param {string | URL} text @returns {URL} */
export function resolve(text) {
  try {
    return new URL(
      text,
      /** @type {any} */ (globalThis).document?.baseURI ?? /** @type {any} */ (globalThis).location?.href,
    );
  } catch {
    throw argumentError(`"${text}" is no address`);
  }
}

/**
 * The bytes of a binary value, or undefined. Never a Buffer of Node's: its slice() does not copy.
 * @param {any} value @returns {Uint8Array | undefined}
 */
export function bytesOf(value) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : undefined;
}

/** @param {any} source what loadModel was given @param {Net} net @returns {Source} */
export function openSource(source, net) {
  if (typeof source === 'string' || source instanceof URL) {
    const path = filePath(source);
    return path === undefined ? fromNetwork(resolve(source), net) : fromFile(path);
  }
  if (source instanceof Blob) return fromBlob(source);
  const bytes = bytesOf(source);
  if (!bytes)
    throw argumentError('loadModel: the model must be a URL, Blob, ArrayBuffer or Uint8Array, or in Node a path');
  return fromBytes(bytes);
}
