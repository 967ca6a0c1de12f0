// @ts-check
/**
 * A safetensors file in our own format, made from the files of a folder while they are read: tensors renamed, joined
 * (q, k and v to qkv), cut and left out. Nothing is converted: the core takes every dtype.
 */
import { fail } from './core.js';

/**
 * Of the file's bytes; change: makes others of them, as many.
 * @typedef {{ file: number, dtype: string, shape: number[], begin: number, end: number,
 *   change?: (chunks: AsyncGenerator<Uint8Array>) => AsyncGenerator<Uint8Array> }} Stored
 * @typedef {{ name: string, dtype: string, shape: number[], parts: (Stored | number)[] }} Made number: so many zeros
 */

const ZEROS = 1 << 16;

/**
 * The header of a safetensors file, of which `head` has at least the header; undefined if it is damaged.
 * @param {Uint8Array} head @param {number} file
 * @returns {{ own: boolean, tensors: [string, Stored][] } | undefined} own: with our own metadata
 */
export function parseHeader(head, file) {
  try {
    const start = 8 + new DataView(head.buffer, head.byteOffset).getUint32(0, true);
    const { __metadata__: metadata, ...header } = JSON.parse(new TextDecoder().decode(head.subarray(8, start)));
    const tensors = Object.entries(header).map(([name, { dtype, shape, data_offsets: offsets }]) => {
      const [begin, end] = offsets;
      if (!(begin >= 0 && end >= begin && Array.isArray(shape))) throw new Error(name);
      return /** @type {[string, Stored]} */ ([name, { file, dtype, shape, begin: start + begin, end: start + end }]);
    });
    return { own: Boolean(metadata?.tesserae), tensors };
  } catch {
    return undefined;
  }
}

/**
 * What rules call a tensor.
 * @param {import('./family.js').Rules} rules @returns {(name: string) => string[]} with "@i" and ":a-b/n"
 */
export function compile(rules) {
  const anchored = rules.map(([from, to]) => {
    const source = typeof from === 'string' ? from.replace(/(?<!\\)\./g, '\\.') : from.source;
    const pattern = typeof from === 'string' ? source.replace('#', '(\\d+)').replace('*', '(weight|bias)') : source;
    return /** @type {const} */ ([new RegExp(`^(?:${pattern})$`), to]);
  });
  return (name) => {
    const rule = anchored.find(([from]) => from.test(name));
    return rule
      ? name
          .replace(...rule)
          .split(' ')
          .filter(Boolean)
      : [];
  };
}

/**
 * The tensors to make from those that are there, in the order in which they can be made while files are read.
 * @param {Map<string, Stored>} tensors by their names in the file, without a wrapper's prefix
 * @param {import('./family.js').Translation} translation
 * @returns {{ made: Made[], unused: string[] }}
 */
export function planOf(tensors, { rules, shapes = {} }) {
  const rename = compile(rules);
  /** @type {Map<string, Stored[]>} */
  const found = new Map();
  const unused = [];
  for (const [name, stored] of tensors) {
    const ours = rename(name);
    if (!ours.length) unused.push(name);
    for (const one of ours) {
      const [, to, part = 0, first = 0, last = 1, of = 1] = /** @type {any} */ (
        /^([^@:]+)(?:@(\d))?(?::(\d)-(\d)\/(\d))?$/.exec(one)
      );
      const { shape, begin, end } = stored;
      const at = (/** @type {number} */ share) => begin + ((end - begin) / of) * share;
      const rows = [(shape[0] / of) * (last - first), ...shape.slice(1)];
      const list = found.get(to) ?? [];
      list[part] = { ...stored, begin: at(first), end: at(last), shape: shape.length ? rows : shape };
      found.set(to, list);
    }
  }
  const made = Array.from(found, ([name, list]) => {
    const [one] = Object.values(list); // the first that is there
    // only biases may be zeros; the core says that a weight is not there
    if (one.shape.length > 1 && Object.keys(list).length < list.length) return null;
    let rows = 0;
    const parts = Array.from(list, (part) => {
      rows += (part ?? one).shape[0];
      return part ?? one.end - one.begin;
    });
    const shape = parts.length > 1 ? [rows, ...one.shape.slice(1)] : one.shape;
    return { name, dtype: one.dtype, shape: shapes[name] ?? shape, parts };
  });
  const last = (/** @type {Made} */ { parts }) =>
    Math.max(...parts.map((part) => (typeof part === 'number' ? 0 : part.file * 2 ** 48 + part.begin)));
  return { made: made.filter((one) => one !== null).sort((a, b) => last(a) - last(b)), unused };
}

/** @param {Stored | number} part */
const sizeOf = (part) => (typeof part === 'number' ? part : part.end - part.begin);

/** @param {Made[]} made @returns {Stored[]} what is read of the files, in their order */
export const rangesOf = (made) =>
  made
    .flatMap(({ parts }) => /** @type {Stored[]} */ (parts.filter((part) => typeof part !== 'number' && sizeOf(part))))
    .sort((a, b) => a.file - b.file || a.begin - b.begin);

/**
 * The first bytes of our file.
 * @param {Made[]} made @param {object} tesserae its metadata @returns {Uint8Array}
 */
export function headerOf(made, tesserae) {
  /** @type {Record<string, any>} */
  const header = { __metadata__: { tesserae: JSON.stringify(tesserae) } };
  let end = 0;
  for (const { name, dtype, shape, parts } of made) {
    const begin = end;
    for (const part of parts) end += sizeOf(part);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(32);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(text, 8);
  return head;
}

/**
 * Our file. What comes before its turn waits.
 * @param {Uint8Array} header @param {Made[]} made
 * @param {AsyncGenerator<[number, Uint8Array]>} pieces the bytes of all of rangesOf, in their order, each with the
 *   index of its range
 * @returns {AsyncGenerator<Uint8Array>}
 */
export async function* dataOf(header, made, pieces) {
  const ranges = rangesOf(made);
  /** @type {Map<Stored, Uint8Array[]>} */
  const waiting = new Map();
  /** @param {Stored} part */
  async function* chunksOf(part) {
    let left = sizeOf(part);
    for (const chunk of waiting.get(part) ?? []) {
      left -= chunk.length;
      yield chunk;
    }
    waiting.delete(part);
    while (left > 0) {
      const { done, value } = await pieces.next();
      if (done) return; // the core says that the file is too short
      const [at, chunk] = value;
      if (ranges[at] === part) {
        left -= chunk.length;
        yield chunk;
      } else waiting.set(ranges[at], [...(waiting.get(ranges[at]) ?? []), chunk]);
    }
  }
  yield header;
  for (const part of made.flatMap(({ parts }) => parts)) {
    if (typeof part !== 'number') yield* part.change?.(chunksOf(part)) ?? chunksOf(part);
    else for (let left = part; left > 0; left -= ZEROS) yield new Uint8Array(Math.min(left, ZEROS));
  }
  while (!(await pieces.next()).done); // what comes behind the last of them may be checked, and kept
}

/**
 * The bytes of ranges.
 * @param {Stored[]} ranges in order @param {import('./files.js').TensorFile[]} files
 * @returns {AsyncGenerator<[number, Uint8Array]>} each with the index of its range
 */
export async function* piecesOf(ranges, files) {
  let at = 0;
  for (let i = 0; i < files.length; i++) {
    const own = ranges.filter(({ file }) => file === i);
    if (!own.length) continue;
    for await (const [place, chunk] of files[i].read(own.map(({ begin, end }) => [begin, end]))) {
      const end = place + chunk.length;
      for (let j = at; ranges[j]?.file === i && ranges[j].begin < end; j++) {
        const [from, to] = [Math.max(place, ranges[j].begin), Math.min(end, ranges[j].end)];
        // copies, because a part of a buffer cannot be handed to the worker alone, and another tensor may need the rest
        if (from < to) yield [j, chunk.slice(from - place, to - place)];
      }
      while (ranges[at]?.file === i && ranges[at].end <= end) at++;
    }
  }
}
