// @ts-check
/**
 * `tesserae quantize`: a model file with its matrices in 8 bits; those that an architecture keeps as floats take 16.
 * Written beside the target first, then renamed.
 */
import { randomBytes } from 'node:crypto';
import { realpath, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isFloat, quantizeRows, weightsOf } from '../engine.js';
import { argumentError, TesseraeError } from '../errors.js';
import { bareEngine } from '../start.js';
import { choice, headersOf } from './args.js';
import { grouped, openFile, openModel, print, readHeader } from './files.js';

/**
 * A tensor [n,k], whether it is quantized, and whether it is halved (F32 to F16).
 * @typedef {{ entry: import('./files.js').Entry, quantized: boolean, halved: boolean, n: number, k: number }} Step
 */

const LARGEST_HALF = 65504;
const word = new Float32Array(1);
const bitsOf = new Uint32Array(word.buffer);

/** The bits of the nearest half float; ties to even. @param {number} value at most LARGEST_HALF @returns {number} */
export function narrowHalf(value) {
  word[0] = Math.abs(value);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  if (word[0] < 2 ** -14) {
    // steps of 2^-24: added to 2^-1, whose last bit that is, they are rounded by the addition
    word[0] += 0.5;
    return sign | (bitsOf[0] & 0x7fff);
  }
  const bits = bitsOf[0];
  return sign | ((bits - (112 << 23) + 0xfff + ((bits >>> 13) & 1)) >>> 13);
}

/** @param {import('./files.js').Entry} entry @param {Uint8Array} bytes of F32 numbers @returns {Uint8Array} */
function halve({ name }, bytes) {
  const numbers = new Float32Array(bytes.slice().buffer);
  const large = numbers.find((value) => !(Math.abs(value) <= LARGEST_HALF));
  if (large !== undefined)
    throw argumentError(`${name} has the number ${large}; 16 bits reach ${LARGEST_HALF}, so this model stays in f32`);
  return new Uint8Array(Uint16Array.from(numbers, narrowHalf).buffer);
}

/**
 * Refuses to write over what is read: the file itself, or tensors of the folder.
 * @param {string} from @param {string} to
 */
async function keepSource(from, to) {
  const target = await realpath(to).catch(() => null);
  const source = await realpath(from).catch(() => null);
  if (!target || !source) return;
  if (target === source || (dirname(target) === source && /\.safetensors$/.test(target)))
    throw argumentError(`${to} is read, and cannot be written at the same time; give the new file another name`);
}

/** @param {string[]} names @param {import('./args.js').Flags} flags */
export async function quantize([from, to], flags) {
  choice('dtype', flags.dtype, ['q8']);
  await keepSource(from, to);
  const engine = await bareEngine();
  const input = await openModel(from, true, headersOf(flags.header));
  const temporary = `${to}.${randomBytes(4).toString('hex')}.part`;
  /** @type {import('node:fs/promises').FileHandle | undefined} */
  let output;
  try {
    const read = await readHeader(engine, input);
    const plan = planOf(engine, read, from);
    const { head, starts, size } = layOut(plan, read.metadata);
    output = await openFile(temporary, 'wx');
    await output.write(head, 0, head.length, 0);
    await convert(engine, plan, { input, dataStart: read.dataStart, dataBytes: read.dataBytes, output, starts });
    await output.sync();
    await output.close();
    output = undefined;
    await rename(temporary, to);
    const narrow = plan.filter(({ quantized }) => quantized).length;
    const halves = plan.filter(({ halved }) => halved).length;
    print(
      `${to}: ${narrow} of ${plan.length} tensors in 8 bits,${halves ? ` ${halves} in 16,` : ''} ` +
        `${grouped(read.size)} -> ${grouped(size)} bytes`,
    );
  } catch (error) {
    await output?.close();
    await unlink(temporary).catch(() => {});
    throw error;
  } finally {
    await input.close();
  }
}

/**
 * What becomes of each tensor.
 * @param {import('../engine.js').Engine} engine has read the header @param {import('./files.js').Header} header
 * @param {string} path
 * @returns {Step[]}
 */
function planOf(engine, { entries, dataStart, dataBytes, size }, path) {
  if (size !== dataStart + dataBytes) {
    throw new TesseraeError(
      'ERR_FETCH_TRUNCATED',
      `${path} has ${size} bytes, its header says ${dataStart + dataBytes}`,
    );
  }
  // the model's own shapes: those of the file may have dims of 1 in front
  const weights = new Map(weightsOf(engine).map((weight) => [weight.name, weight]));
  engine.abandon();
  const plan = entries.map((entry) => {
    const { role = '', shape: [n, ...others] = [0] } = weights.get(entry.name) ?? {};
    const quantized = role === 'matrix' && n > 0 && isFloat(entry.dtype);
    const halved = role === 'float' && entry.dtype === 'F32';
    return { entry, quantized, halved, n, k: others.reduce((a, b) => a * b, 1) };
  });
  if (plan.some(({ quantized, halved }) => quantized || halved)) return plan;
  throw argumentError(`${path} has no matrix to quantize; is it quantized already?`);
}

/**
 * The new file's header, and where each of its tensors starts.
 * @param {Step[]} plan @param {Record<string, string> | undefined} metadata
 * @returns {{ head: Uint8Array, starts: Map<string, number>, size: number }} offsets in the file; size of the whole
 *   file
 */
function layOut(plan, metadata) {
  /** @type {Record<string, any>} */
  const header = { ...(metadata && { __metadata__: metadata }) };
  const starts = new Map();
  let end = 0;
  /** @param {string} name @param {string} dtype @param {number[]} shape @param {number} bytes */
  const place = (name, dtype, shape, bytes) => {
    starts.set(name, end);
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes)] };
  };
  // widest numbers first, as writers of the format do: every tensor then starts at a multiple of its number's size
  const wide = plan.filter(({ quantized, halved }) => !quantized && !halved);
  const halves = plan.filter(({ halved }) => halved);
  const narrow = plan.filter(({ quantized }) => quantized);
  for (const { entry, n } of narrow) place(`${entry.name}_scale`, 'F32', [n, 1], 4 * n);
  for (const {
    entry: {
      name,
      dtype,
      shape,
      data_offsets: [begin, stop],
    },
  } of wide)
    place(name, dtype, shape, stop - begin);
  for (const {
    entry: { name, shape },
    n,
    k,
  } of halves)
    place(name, 'F16', shape, 2 * n * k);
  for (const { entry, n, k } of narrow) place(entry.name, 'I8', entry.shape, n * k);
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const head = Buffer.alloc(8 + Buffer.byteLength(text));
  head.writeBigUInt64LE(BigInt(head.length - 8));
  head.write(text, 8);
  for (const [name, start] of starts) starts.set(name, head.length + start);
  return { head, starts, size: head.length + end };
}

/**
 * Copies every tensor, the planned ones in 8 or 16 bits.
 * @param {import('../engine.js').Engine} engine @param {Step[]} plan
 * @param {{ input: import('node:fs/promises').FileHandle, dataStart: number, dataBytes: number,
 *   output: import('node:fs/promises').FileHandle, starts: Map<string, number> }} files
 */
async function convert(engine, plan, { input, dataStart, dataBytes, output, starts }) {
  const tell = (/** @type {string} */ text) => process.stderr.isTTY && process.stderr.write(text);
  let done = 0;
  for (const { entry, quantized, halved, n, k } of plan) {
    const {
      name,
      dtype,
      data_offsets: [begin, stop],
    } = entry;
    const bytes = new Uint8Array(stop - begin);
    await input.read(bytes, 0, bytes.length, dataStart + begin);
    const [body, scale] = quantized ? quantizeRows(engine, dtype, bytes, n, k) : [halved ? halve(entry, bytes) : bytes];
    await output.write(body, 0, body.length, starts.get(name));
    if (scale) await output.write(scale, 0, scale.length, starts.get(`${name}_scale`));
    done += bytes.length;
    tell(`\r${Math.floor((100 * done) / dataBytes)} %`);
  }
  tell('\r');
}
