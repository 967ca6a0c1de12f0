#!/usr/bin/env node
// @ts-check
/**
 * The command line program of the package; `tesserae --help` says what it does. Node only: the one file with node: imports.
 * Exit codes: 0 done, 1 it failed, 2 the command was not understood.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine } from '../engine.js';
import { argumentError, TesseraeError } from '../errors.js';
import { loadModel, version } from '../index.js';
import { nearest } from '../options.js';
import { compile } from '../wasm.js';

const MODEL = fileURLToPath(new URL('../../models/cct_4_cifar10.safetensors', import.meta.url));
const HELP = `tesserae ${version}: vision transformers on your own device

  tesserae classify <image...>       what each picture shows; or all of them together, as the frames of one clip, if the model takes video
      --model <path or URL>          default: the model that ships (CIFAR-10: ten classes)
      --top <n>                      how many classes for each picture (default 5)
      --dtype <auto|f32|q8>          how weights are kept (default auto: as the file has them)
      --threads <n>                  threads at work (default: the cores there are, four at most)
      --json                         one JSON object per picture
      --attention                    under each picture, where the answer draws from (attention rollout, or the last layer); a model that has
                                     none to draw says so, and prints its classes all the same
      --expect-from-name             compare with the class that a file's name starts with (cat_1.png: cat), and count
  tesserae inspect <model>           architecture, config, tensors, taps and labels, from the file's header alone
      --json                         as JSON
  tesserae quantize <in> <out>       write a model with its matrices in 8 bits
      --dtype <q8>                   the only kind there is
  tesserae list                      the architectures this version runs, their presets, and parameters and operations of each
      --json                         as JSON
  tesserae --help | --version
`;

/** A command line that was not understood: exit code 2. */
class UsageError extends Error {}

const FLAGS = /** @type {const} */ ({
  model: { type: 'string' }, top: { type: 'string' }, dtype: { type: 'string' }, threads: { type: 'string' },
  json: { type: 'boolean' }, attention: { type: 'boolean' }, 'expect-from-name': { type: 'boolean' }, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' },
});
/** What each command takes: flags, and how many names at least and at most. @type {Record<string, [string[], number, number]>} */
const COMMANDS = {
  classify: [['model', 'top', 'dtype', 'threads', 'json', 'attention', 'expect-from-name'], 1, Infinity],
  inspect: [['json'], 1, 1],
  quantize: [['dtype'], 2, 2],
  list: [['json'], 0, 0],
};

/** @param {string} what @param {string} word @param {readonly string[]} known @param {string} [dashes] */
function unknown(what, word, known, dashes = '') {
  const guess = nearest(word, known);
  return new UsageError(`unknown ${what} "${dashes}${word}"${guess ? `; did you mean "${dashes}${guess}"?` : ''}`);
}

/** @param {string[]} argv */
function understand(argv) {
  const { tokens } = parseArgs({ args: argv, options: FLAGS, strict: false, tokens: true, allowPositionals: true });
  /** @type {Record<string, any>} */
  const flags = {};
  const words = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = FLAGS[/** @type {keyof typeof FLAGS} */ (token.name)];
    if (!flag) throw unknown('flag', token.name, Object.keys(FLAGS), '--');
    if ((flag.type === 'string') !== (token.value !== undefined)) throw new UsageError(`--${token.name} takes ${flag.type === 'string' ? 'a value' : 'no value'}`);
    flags[token.name] = token.value ?? true;
  }
  const [command, ...names] = words;
  if (!flags.help && !flags.version && command !== undefined) {
    if (!COMMANDS[command]) throw unknown('command', command, Object.keys(COMMANDS));
    const [known, least, most] = COMMANDS[command];
    for (const name of Object.keys(flags)) {
      if (!known.includes(name)) throw new UsageError(`${command} takes no --${name}; it takes ${known.map((flag) => `--${flag}`).join(', ')}`);
    }
    if (names.length < least || names.length > most) {
      throw new UsageError(`${command} takes ${most === Infinity ? `${least} name or more` : `${least} name${least === 1 ? '' : 's'}`}, got ${names.length}`);
    }
  }
  return { command, names, flags };
}

/** @param {string} name @param {string | undefined} text @returns {number | undefined} */
function count(name, text) {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`--${name} is "${text}"; give a whole number from 1`);
  return Number(text);
}

/** @param {string | undefined} text @param {string[]} known */
function dtypeOf(text, known) {
  if (text === undefined || known.includes(text)) return text;
  throw new UsageError(`--dtype is "${text}"; give ${known.join(', ')}`);
}

const print = (/** @type {string} */ line) => process.stdout.write(`${line}\n`);
const median = (/** @type {number[]} */ values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** The class in a sample's name, "cat" for "cat_1.png"; null if there is none. @param {string} file */
const classInName = (file) => /^(.+)_\d+\.\w+$/.exec(basename(file))?.[1] ?? null;

/** From nothing to most: xterm's colours 17 to 227 as a ramp of rising lightness, and characters of rising ink. */
const RAMP = [17, 18, 24, 30, 36, 71, 149, 227];
const INK = ' ░▒▓█';

/**
 * A map of one value a cell as text lines: on a colour terminal two rows a line (half blocks), elsewhere a row a line.
 * @param {ArrayLike<number>} map @param {import('../model.js').Grid} grid frames stand one below the other @param {boolean} colour
 */
function drawMap(map, grid, colour) {
  const columns = /** @type {number} */ (grid.at(-1));
  const rows = map.length / columns;
  const values = Array.from(map);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  /** @param {number} y @param {number} x @param {number} levels */
  const level = (y, x, levels) => Math.min(levels - 1, Math.floor((levels * (values[y * columns + x] - low)) / span));
  const lines = [];
  for (let y = 0; y < rows; y += colour ? 2 : 1) {
    let line = '';
    for (let x = 0; x < columns; x++) {
      if (!colour) line += INK[level(y, x, INK.length)].repeat(2);
      else if (y + 1 < rows) line += `\x1b[38;5;${RAMP[level(y, x, RAMP.length)]};48;5;${RAMP[level(y + 1, x, RAMP.length)]}m▀`;
      else line += `\x1b[0;38;5;${RAMP[level(y, x, RAMP.length)]}m▀`;
    }
    lines.push(colour ? `${line}\x1b[0m` : line.trimEnd());
  }
  return lines;
}

/** Whether attention can be multiplied from layer to layer: all tokens look at all, in every layer, in no windows. @param {import('../model.js').Info} info */
function chains({ taps }) {
  const shapes = taps.filter(({ kind }) => kind === 'attention').map(({ dims }) => dims);
  return shapes.every((dims) => String(dims) === String(shapes[0]) && dims.at(-1) === dims.at(-2) && (dims.at(-4) ?? 1) === 1);
}

/** @param {string[]} files @param {Record<string, any>} flags */
async function classify(files, flags) {
  const topK = count('top', flags.top) ?? 5;
  const model = await loadModel(flags.model ?? MODEL, {
    worker: false, threads: count('threads', flags.threads) ?? 'auto', dtype: /** @type {any} */ (dtypeOf(flags.dtype, ['auto', 'f32', 'q8'])), warmup: true,
  });
  const times = [];
  let correct = 0;
  let without = 0;
  const width = Math.max(...files.map((file) => basename(file).length));
  const colour = Boolean(process.stdout.isTTY) && !process.env.NO_COLOR;
  const clip = model.info.input.dims.length > 4;
  const { arch, title, taps } = model.info;
  const attends = taps.some(({ kind }) => kind === 'attention');
  let drawn = Boolean(flags.attention);
  for (const input of clip ? [files] : files) {
    const file = clip ? files[0] : String(input);
    const began = performance.now();
    let answer;
    try {
      answer = /** @type {import('../model.js').Classification[]} */ (await model.classify(/** @type {any} */ (input), { topK }));
    } catch (error) {
      throw new Error(`${file}: ${/** @type {Error} */ (error).message}`, { cause: error });
    }
    const ms = performance.now() - began;
    times.push(ms);
    const named = flags['expect-from-name'] ? classInName(file) : null;
    const expected = named !== null && model.info.labels?.includes(named) ? named : null;
    if (expected === answer[0]?.label) correct++;
    if (expected === null) without++;
    const { map, grid } = flags.attention && attends
      ? await model.attention(/** @type {string} */ (input), { rollout: chains(model.info) }) : {};
    if (drawn && !map) {
      drawn = false; // said once
      const why = attends ? 'the last attention is no single map of the picture (windows, or tokens that are not its patches)' : 'this architecture has no attention';
      process.stderr.write(`tesserae: ${title} (${arch}): ${why}; here are the classes alone\n`);
    }
    if (flags.json) {
      const looked = flags.attention ? { attention: map ? { grid, map: Array.from(map) } : null } : {};
      print(JSON.stringify({ file: input, ms: Number(ms.toFixed(3)), ...(flags['expect-from-name'] ? { expected } : {}), classes: answer, ...looked }));
      continue;
    }
    const mark = expected === null || expected === answer[0].label ? '' : `   expected ${expected}`;
    answer.forEach(({ label, score }, i) => {
      const start = i ? ' '.repeat(width) : basename(file).padEnd(width);
      print(`${start}  ${label.padEnd(12)} ${(100 * score).toFixed(1).padStart(5)} %${i ? '' : `  ${ms.toFixed(1).padStart(7)} ms${mark}`}`);
    });
    if (map && grid) for (const line of drawMap(map, grid, colour)) print(`${' '.repeat(width)}  ${line}`.trimEnd());
  }
  await model.dispose();
  if (!flags['expect-from-name'] || flags.json) return;
  if (without) print(`${without} of them ${without === 1 ? 'has' : 'have'} no class of this model in the name: shown, never counted as correct`);
  print(`classified ${files.length} photos, ${correct} correct, median ${median(times).toFixed(1)} ms`);
}

/** An engine without a model. */
async function bareEngine() {
  const { module } = await compile({ deterministic: true, all: true, fetch, signal: new AbortController().signal });
  const engine = new Engine();
  engine.call('open', [module]);
  return engine;
}

/** What the header that was fed asks for (tsr_loader_weights). @param {Engine} engine @returns {{ name: string, shape: number[], role: string }[]} */
const weightsOf = ({ heap, wasm, loader }) => JSON.parse(heap.string(wasm.tsr_wasm_loader_weights(loader)) || '[]');

/** @param {string} path @param {string} mode */
async function openFile(path, mode) {
  try {
    return await open(path, mode);
  } catch (error) {
    throw argumentError(`cannot open ${path}: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * A safetensors file's header, which the core has read and found right.
 * @param {Engine} engine @param {import('node:fs/promises').FileHandle} file
 */
async function readHeader(engine, file) {
  const { size } = await file.stat();
  engine.call('begin', [{ dtype: 'auto' }]);
  const length = new Uint8Array(8);
  await file.read(length, 0, 8, 0);
  const bytes = Number(new DataView(length.buffer).getBigUint64(0, true));
  // what is no header at all is the core's to name; the bounds here only keep the buffer below sane
  const text = new Uint8Array(Math.min(bytes, 8 << 20, Math.max(0, size - 8)));
  await file.read(text, 0, text.length, 8);
  engine.call('feed', [length.subarray(0, Math.min(8, size))]);
  engine.call('feed', [text]);
  if (text.length < bytes || size < 8) engine.call('finish', []); // says what was cut
  const { __metadata__: metadata, ...tensors } = JSON.parse(new TextDecoder().decode(text));
  /** @type {{ name: string, dtype: string, shape: number[], data_offsets: [number, number] }[]} */
  const entries = Object.entries(tensors).map(([name, entry]) => ({ name, ...entry }));
  entries.sort((a, b) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  return { metadata, entries, dataStart: 8 + bytes, dataBytes: entries.at(-1)?.data_offsets[1] ?? 0, size };
}

/** @param {number} n */
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ' ');

/** Names, kinds and dims in columns, and how they lie on the picture: rows by columns. @param {import('../model.js').Tap[]} taps */
function printTaps(taps) {
  const rows = taps.map(({ name, kind, dims, grid, prefix_tokens: front, suffix = 0, windows }) => [name, kind, `[${dims}]`, [
    ...(grid ? [`grid ${grid.join(' x ')}${windows ? ` in each of ${windows.grid.join(' x ')} windows${windows.spread ? ', spread' : ''}` : ''}`] : []),
    ...(front ? [`${front} in front`] : []), ...(suffix ? [`${suffix} behind`] : []),
  ].join(', ')]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) print(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
}

/** @param {string[]} names @param {Record<string, any>} flags */
async function inspect([path], flags) {
  const engine = await bareEngine();
  const file = await openFile(path, 'r');
  let header;
  try {
    header = await readHeader(engine, file);
  } finally {
    await file.close();
  }
  // the core knows taps and parameters when it has every tensor; zeros will do, so that the file's own need not be read
  const zeros = new Uint8Array(1 << 20);
  for (let left = header.dataBytes; left > 0; left -= zeros.length) engine.call('feed', [zeros.subarray(0, Math.min(left, zeros.length))]);
  const info = engine.call('finish', []);
  const missing = header.dataStart + header.dataBytes - header.size;
  if (flags.json) {
    print(JSON.stringify({ file: path, missing_bytes: Math.max(0, missing), ...info, tensors: header.entries }, null, 2));
    return;
  }
  const { fit, size: [height, width] = [], resize } = info.preprocess ?? {};
  const pictures = fit === 'native' ? `of any shape, up to ${width} wide and ${height} high` : `${fit === 'crop' ? 'cropped' : 'squashed'} to ${width} wide and ${height} high`;
  print(`${basename(path)}: ${info.title} (${info.arch}), ${info.paper}`);
  print(`parameters  ${grouped(info.parameters)}, ${info.dtype}, ${grouped(info.weights_bytes)} bytes in memory`);
  print(`operations  ${grouped(info.operations)} multiply-adds a pass`);
  print(`input       ${info.input.name} [${info.input.dims}]${info.preprocess ? `, pictures ${pictures}, ${resize}` : ''}`);
  print(`output      ${info.output.kind} [${info.output.dims}]`);
  const more = info.inputs.filter((/** @type {string} */ name) => name !== info.input.name);
  if (more.length) print(`inputs      besides, if given: ${more.join(', ')}`);
  if (info.options.length) print(`options     ${info.options.join(', ')}`);
  for (const name of ['license', 'source']) if (info[name]) print(`${name.padEnd(12)}${info[name]}`);
  print(`config      ${JSON.stringify(info.config)}`);
  if (info.labels) print(`labels      ${info.labels.length}: ${info.labels.slice(0, 12).join(', ')}${info.labels.length > 12 ? ', ...' : ''}`);
  if (info.unused?.length) print(`unused      ${info.unused.join(', ')}`);
  if (missing > 0) print(`truncated   ${grouped(missing)} bytes are missing at the end of this file`);
  print('\ntaps');
  printTaps(info.taps);
  print(`\n${header.entries.length} tensors`);
  for (const { name, dtype, shape, data_offsets: [begin, end] } of header.entries) {
    print(`  ${name.padEnd(48)} ${dtype.padEnd(5)} ${`[${shape}]`.padEnd(18)} ${grouped(end - begin).padStart(12)} bytes`);
  }
}

/** Numbers of the dtypes that can be quantized, as f32. @type {Record<string, (bytes: Uint8Array) => Float32Array>} */
const WIDEN = {
  F32: (bytes) => new Float32Array(bytes.slice().buffer),
  BF16: (bytes) => new Float32Array(Uint32Array.from(new Uint16Array(bytes.slice().buffer), (half) => half << 16).buffer),
  F16: (bytes) => Float32Array.from(new Uint16Array(bytes.slice().buffer), (half) => {
    const sign = half >> 15 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  }),
};

/** Rows [n,k] as integers and their scales, by the core. @param {Engine} engine @param {Float32Array} rows @param {number} n @param {number} k */
function quantizeRows(engine, rows, n, k) {
  return engine.heap.frame((/** @type {import('../heap.js').Frame} */ frame) => {
    const q = frame.alloc(n * k);
    const scale = frame.alloc(4 * n);
    engine.wasm.tsr_wasm_quantize_rows(q, scale, frame.copy(rows), n, k);
    return [engine.heap.bytes.slice(q, q + n * k), engine.heap.bytes.slice(scale, scale + 4 * n)];
  });
}

/** @param {string[]} names @param {Record<string, any>} flags */
async function quantize([from, to], flags) {
  dtypeOf(flags.dtype, ['q8']);
  const engine = await bareEngine();
  const input = await openFile(from, 'r');
  const temporary = `${to}.${randomBytes(4).toString('hex')}.part`;
  /** @type {import('node:fs/promises').FileHandle | undefined} */
  let output;
  try {
    const { metadata, entries, dataStart, dataBytes, size } = await readHeader(engine, input);
    if (size !== dataStart + dataBytes) throw new TesseraeError('ERR_FETCH_TRUNCATED', `${from} has ${size} bytes, its header says ${dataStart + dataBytes}`);
    const matrices = new Set(weightsOf(engine).filter(({ role }) => role === 'matrix').map(({ name }) => name));
    engine.abandon();
    const plan = entries.map((entry) => {
      const n = entry.shape[0];
      const quantized = matrices.has(entry.name) && Boolean(WIDEN[entry.dtype]) && n >= 8;
      return { entry, quantized, n, k: entry.shape.slice(1).reduce((a, b) => a * b, 1) };
    });
    if (!plan.some(({ quantized }) => quantized)) throw argumentError(`${from} has no matrix to quantize; is it quantized already?`);
    /** @type {Record<string, any>} */
    const header = { ...(metadata && { __metadata__: metadata }) };
    let end = 0;
    const place = (/** @type {string} */ name, /** @type {string} */ dtype, /** @type {number[]} */ shape, /** @type {number} */ bytes) => {
      header[name] = { dtype, shape, data_offsets: [end, end += bytes] };
    };
    // widest numbers first, as writers of the format do: every tensor then starts at a multiple of its number's size
    const wide = plan.filter(({ quantized }) => !quantized);
    const narrow = plan.filter(({ quantized }) => quantized);
    for (const { entry, n } of narrow) place(`${entry.name}_scale`, 'F32', [n, 1], 4 * n);
    for (const { entry } of wide) place(entry.name, entry.dtype, entry.shape, entry.data_offsets[1] - entry.data_offsets[0]);
    for (const { entry, n, k } of narrow) place(entry.name, 'I8', entry.shape, n * k);
    let text = JSON.stringify(header);
    text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
    const head = Buffer.alloc(8 + Buffer.byteLength(text));
    head.writeBigUInt64LE(BigInt(head.length - 8));
    head.write(text, 8);
    output = await openFile(temporary, 'wx');
    await output.write(head, 0, head.length, 0);
    let done = 0;
    for (const { entry, quantized, n, k } of plan) {
      const [begin, stop] = entry.data_offsets;
      const bytes = new Uint8Array(stop - begin);
      await input.read(bytes, 0, bytes.length, dataStart + begin);
      /** @type {[string, Uint8Array][]} */
      let parts = [[entry.name, bytes]];
      if (quantized) {
        const [q, scale] = quantizeRows(engine, WIDEN[entry.dtype](bytes), n, k);
        parts = [[entry.name, q], [`${entry.name}_scale`, scale]];
      }
      for (const [name, part] of parts) await output.write(part, 0, part.length, head.length + header[name].data_offsets[0]);
      done += bytes.length;
      if (process.stderr.isTTY) process.stderr.write(`\r${Math.floor((100 * done) / dataBytes)} %`);
    }
    if (process.stderr.isTTY) process.stderr.write('\r');
    await output.sync();
    await output.close();
    output = undefined;
    await rename(temporary, to);
    print(`${to}: ${narrow.length} of ${entries.length} tensors in 8 bits, ${grouped(size)} -> ${grouped(head.length + end)} bytes`);
  } catch (error) {
    await output?.close();
    await unlink(temporary).catch(() => {});
    throw error;
  } finally {
    await input.close();
  }
}

/** What a model with this architecture and config would be, from its graph alone. @param {Engine} engine @param {string} arch @param {object} config */
function describe(engine, arch, config) {
  return engine.heap.frame((/** @type {import('../heap.js').Frame} */ frame) => {
    const text = engine.wasm.tsr_wasm_describe(engine.context, frame.string(JSON.stringify({ arch, config })));
    return text ? JSON.parse(engine.heap.string(text)) : engine.fail();
  });
}

/** @param {string[]} _ @param {Record<string, any>} flags */
async function list(_, flags) {
  const engine = await bareEngine();
  const all = engine.architectures().map(({ presets, ...known }) => ({
    ...known,
    presets: presets.map((/** @type {string} */ name) => {
      const { parameters, operations, input } = describe(engine, known.arch, { preset: name });
      return { name, parameters, operations, input };
    }),
  }));
  if (flags.json) {
    print(JSON.stringify(all, null, 2));
    return;
  }
  const heads = ['preset', 'parameters', 'multiply-adds', 'input'];
  const widest = Math.max(...all.map(({ arch }) => arch.length));
  for (const { arch, title, paper, presets } of all) {
    print(`${arch.padEnd(widest)}  ${title}; ${paper}`);
    const rows = presets.map((/** @type {any} */ { name, parameters, operations, input }) => [name, grouped(parameters), grouped(operations), `[${input.dims}]`]);
    for (const [name, parameters, operations, input] of [heads, ...rows]) {
      print(`  ${name.padEnd(22)}${parameters.padStart(14)} ${operations.padStart(17)}  ${input}`);
    }
    print('');
  }
}

/** @param {string[]} argv */
async function main(argv) {
  const { command, names, flags } = understand(argv);
  if (flags.version) return print(version);
  if (flags.help || command === undefined) {
    process.stdout.write(HELP);
    if (!flags.help) process.exitCode = 2;
    return;
  }
  /** @type {Record<string, (names: string[], flags: Record<string, any>) => Promise<void>>} */
  const commands = { classify, inspect, quantize, list };
  await commands[command](names, flags);
}

// a reader that stops early (head) is no failure
process.stdout.on('error', (error) => process.exit(/** @type {any} */ (error).code === 'EPIPE' ? 0 : 1));
main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`tesserae: ${error.message}\n`);
  if (error instanceof UsageError) process.stderr.write('tesserae --help says what there is\n');
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
