// @ts-check
/** What the commands share: printing a line, numbers for people, a model file's header; each lays out its own table. */
import { open } from 'node:fs/promises';
import { argumentError } from '../errors.js';

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
