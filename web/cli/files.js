// @ts-check
/** What the commands share: printing a line, numbers for people, a model file's header; each lays out its own table. */
import { randomBytes } from 'node:crypto';
import { open, stat, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { argumentError, TesseraeError } from '../errors.js';
import { sendHeaders } from '../hub/headers.js';
import { openFolder } from '../hub/index.js';
import { isFolder } from '../load.js';
import { fromNetwork, openSource, resolve, versionOf } from '../source.js';

/** @param {string} line */
export const print = (line) => process.stdout.write(`${line}\n`);

/** A whole number in groups of three digits. @param {number} n */
export const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ' ');

/** @param {string} path @param {string} mode */
export async function openFile(path, mode) {
  try {
    return await open(path, mode);
  } catch (error) {
    throw argumentError(`cannot open ${path}: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * A tensor in the header.
 * @typedef {{ name: string, dtype: string, shape: number[], data_offsets: [number, number] }} Entry
 */
/**
 * @typedef {object} Header
 * @property {Record<string, string> | undefined} metadata
 * @property {Entry[]} entries in the order of their bytes
 * @property {number} dataStart where the first tensor's bytes begin in the file
 * @property {number} dataBytes how many the header speaks of
 * @property {number} size of the file
 */

/**
 * A safetensors file's header, which the core has read and found right; the core then waits for the tensors' bytes.
 * @param {import('../engine.js').Engine} engine @param {import('node:fs/promises').FileHandle} file
 * @returns {Promise<Header>}
 */
export async function readHeader(engine, file) {
  const { size } = await file.stat();
  engine.call('begin', [{ dtype: 'auto' }]);
  const length = new Uint8Array(8);
  await file.read(length, 0, 8, 0);
  const bytes = Number(new DataView(length.buffer).getBigUint64(0, true));
  // the core names what is no header at all; the bounds here only keep the buffer below within reason
  const text = new Uint8Array(Math.min(bytes, 8 << 20, Math.max(0, size - 8)));
  await file.read(text, 0, text.length, 8);
  engine.call('feed', [length.subarray(0, Math.min(8, size))]);
  engine.call('feed', [text]);
  if (text.length < bytes || size < 8) engine.call('finish', []); // says what was cut
  const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(text));
  /** @type {Entry[]} */
  const entries = Object.entries(tensors).map(([name, entry]) => ({ name, ...entry }));
  entries.sort((a, b) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  return { metadata, entries, dataStart: 8 + bytes, dataBytes: entries.at(-1)?.data_offsets[1] ?? 0, size };
}

const NET = {
  fetch: globalThis.fetch,
  signal: new AbortController().signal,
  retries: 3,
  cache: false,
};
const LENT = { TesseraeError, fromNetwork, resolve, versionOf };

/** Whether a file of tensors has none of our metadata. @param {string} path */
async function isBare(path) {
  const file = await openFile(path, 'r');
  try {
    const head = Buffer.alloc(8);
    await file.read(head, 0, 8, 0);
    const length = Number(head.readBigUInt64LE());
    if (length > 1 << 27) return false;
    const text = Buffer.alloc(length);
    await file.read(text, 0, length, 8);
    return !JSON.parse(text.toString()).__metadata__?.tesserae;
  } catch {
    return false; // whoever reads it says what is wrong
  } finally {
    await file.close();
  }
}

/**
 * Something to read that is no file of ours on disk: a folder, an address, or a file with a config.json beside it.
 * @param {string} from @param {Record<string, string>} [headers] sent to the address's own server
 */
async function sourceOf(from, headers) {
  const net = { ...NET, headers };
  if (headers) sendHeaders(from, net, LENT);
  if (isFolder(from)) return openFolder(from, net, LENT);
  if (/^https?:/.test(from))
    return openFolder(from, net, LENT).catch((error) => {
      if (!error.detail?.noConfig) throw error;
      return openSource(from, net);
    });
  const isDirectory = await stat(from).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isDirectory) return openFolder(from, net, LENT);
  const isThere = await stat(join(dirname(from), 'config.json')).then(
    () => true,
    () => false,
  );
  return isThere && (await isBare(from)) ? openFolder(from, net, LENT) : null;
}

/**
 * A model as one file of ours, opened for reading. What is not one on disk becomes one among the temporary files, which
 * goes when it is closed.
 * @param {string} from a file, a folder or an address @param {boolean} whole with the tensors' bytes
 * @param {Record<string, string>} [headers] sent to the address's own server
 */
export async function openModel(from, whole, headers) {
  const source = await sourceOf(from, headers);
  if (!source) return openFile(from, 'r');
  const path = join(tmpdir(), `tesserae-${randomBytes(6).toString('hex')}`);
  const file = await openFile(path, 'wx+');
  const tell = (/** @type {string} */ text) => process.stderr.isTTY && process.stderr.write(text);
  try {
    let written = 0;
    for await (const chunk of source.read()) {
      if (!chunk) {
        await file.truncate(0);
        written = 0;
        continue;
      }
      await file.write(chunk, 0, chunk.length, written);
      written += chunk.length;
      const total = source.total();
      if (total) tell(`\r${Math.floor((100 * written) / total)} %`);
      if (!whole && 'more' in source) {
        await file.truncate(Number(total)); // the header is enough; the rest is a hole
        break;
      }
    }
    tell('\r');
  } catch (error) {
    await file.close();
    await unlink(path);
    throw error;
  }
  const close = file.close.bind(file);
  return Object.assign(file, {
    async close() {
      await close();
      await unlink(path);
    },
  });
}
