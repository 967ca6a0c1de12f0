// @ts-check
/** `tesserae quantize`: a model file with its matrices in 8 bits. Written beside the target first, then renamed. */
import { randomBytes } from 'node:crypto';
import { rename, unlink } from 'node:fs/promises';
import { isFloat, quantizeRows, weightsOf } from '../engine.js';
import { argumentError, TesseraeError } from '../errors.js';
import { bareEngine } from '../start.js';
import { choice } from './args.js';
import { grouped, openFile, openModel, print, readHeader } from './files.js';

/**
 * A tensor [n,k], and whether it is quantized.
 * @typedef {{ entry: import('./files.js').Entry, quantized: boolean, n: number, k: number }} Step
 */

/** @param {string[]} names @param {import('./args.js').Flags} flags */
export async function quantize([from, to], flags) {
  choice('dtype', flags.dtype, ['q8']);
  const engine = await bareEngine();
  const input = await openModel(from, true);
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
    print(`${to}: ${narrow} of ${plan.length} tensors in 8 bits, ${grouped(read.size)} -> ${grouped(size)} bytes`);
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
  const matrices = new Map(
    weightsOf(engine)
      .filter(({ role }) => role === 'matrix')
      .map(({ name, shape }) => [name, shape]),
  );
  engine.abandon();
  const plan = entries.map((entry) => {
    const [n, ...others] = matrices.get(entry.name) ?? [];
    const quantized = n > 0 && isFloat(entry.dtype);
    return { entry, quantized, n, k: others.reduce((a, b) => a * b, 1) };
  });
  if (plan.some(({ quantized }) => quantized)) return plan;
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
  const wide = plan.filter(({ quantized }) => !quantized);
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
 * Copies every tensor, the planned ones in 8 bits.
 * @param {import('../engine.js').Engine} engine @param {Step[]} plan
 * @param {{ input: import('node:fs/promises').FileHandle, dataStart: number, dataBytes: number,
 *   output: import('node:fs/promises').FileHandle, starts: Map<string, number> }} files
 */
async function convert(engine, plan, { input, dataStart, dataBytes, output, starts }) {
  const tell = (/** @type {string} */ text) => process.stderr.isTTY && process.stderr.write(text);
  let done = 0;
  for (const {
    entry: {
      name,
      dtype,
      data_offsets: [begin, stop],
    },
    quantized,
    n,
    k,
  } of plan) {
    const bytes = new Uint8Array(stop - begin);
    await input.read(bytes, 0, bytes.length, dataStart + begin);
    const [body, scale] = quantized ? quantizeRows(engine, dtype, bytes, n, k) : [bytes];
    await output.write(body, 0, body.length, starts.get(name));
    if (scale) await output.write(scale, 0, scale.length, starts.get(`${name}_scale`));
    done += bytes.length;
    tell(`\r${Math.floor((100 * done) / dataBytes)} %`);
  }
  tell('\r');
}
