// @ts-check
/** `tesserae inspect`: what a model holds, without its tensors' numbers. */
import { basename } from 'node:path';
import { bareEngine } from '../start.js';
import { headersOf } from './args.js';
import { grouped, openModel, print, readHeader } from './files.js';

/** @param {string[]} names @param {import('./args.js').Flags} flags */
export async function inspect([path], flags) {
  const engine = await bareEngine();
  const file = await openModel(path, false, headersOf(flags.header));
  let header;
  try {
    header = await readHeader(engine, file);
  } finally {
    await file.close();
  }
  // The core knows taps and parameters only when it has every tensor. Zeros will do, so that the file's bytes are not
  // read.
  const zeros = new Uint8Array(1 << 20);
  for (let left = header.dataBytes; left > 0; left -= zeros.length) {
    engine.call('feed', [zeros.subarray(0, Math.min(left, zeros.length))]);
  }
  const info = engine.call('finish', []);
  const missing = Math.max(0, header.dataStart + header.dataBytes - header.size);
  if (flags.json) {
    print(JSON.stringify({ file: path, missing_bytes: missing, ...info, tensors: header.entries }, null, 2));
    return;
  }
  printModel(basename(path), info);
  if (missing) print(`truncated   ${grouped(missing)} bytes are missing at the end of this file`);
  print('\ntaps');
  printTaps(info.taps);
  print(`\n${header.entries.length} tensors`);
  printTensors(header.entries);
}

/** How images are made to fit. @param {import('../types.js').Info['preprocess']} preprocess */
function fitInWords({ fit, size: [height, width], resize }) {
  if (fit === 'native') return `pictures of any shape, up to ${width} wide and ${height} high, ${resize}`;
  return `pictures ${fit === 'crop' ? 'cropped' : 'squashed'} to ${width} wide and ${height} high, ${resize}`;
}

/** @param {string} name the file's @param {import('../types.js').Info} info */
function printModel(name, info) {
  const { input, output, labels, unused } = info;
  print(`${name}: ${info.title} (${info.arch}), ${info.paper}`);
  print(`parameters  ${grouped(info.parameters)}, ${info.dtype}, ${grouped(info.weights_bytes)} bytes in memory`);
  print(`operations  ${grouped(info.operations)} multiply-adds a pass`);
  print(`input       ${input.name} [${input.dims}]${info.preprocess ? `, ${fitInWords(info.preprocess)}` : ''}`);
  print(`output      ${output.kind} [${output.dims}]${info.problem_type ? `, ${info.problem_type}` : ''}`);
  const more = info.inputs.filter((other) => other !== input.name);
  if (more.length) print(`inputs      besides, if given: ${more.join(', ')}`);
  if (info.options.length) print(`options     ${info.options.join(', ')}`);
  if (info.license) print(`license     ${info.license}`);
  if (info.source) print(`source      ${info.source}`);
  if (info.prefix) print(`prefix      ${info.prefix}`);
  print(`config      ${JSON.stringify(info.config)}`);
  if (labels)
    print(`labels      ${labels.length}: ${labels.slice(0, 12).join(', ')}${labels.length > 12 ? ', ...' : ''}`);
  if (unused?.length) print(`unused      ${unused.join(', ')}`);
}

/** How a tap's values lie on the image: rows by columns. @param {import('../types.js').Tap} tap */
function layoutInWords({ grid, prefix_tokens: front, suffix, windows }) {
  const parts = [];
  const cut = windows ? ` in each of ${windows.grid.join(' x ')} windows${windows.spread ? ', spread' : ''}` : '';
  if (grid) parts.push(`grid ${grid.join(' x ')}${cut}`);
  if (front) parts.push(`${front} in front`);
  if (suffix) parts.push(`${suffix} behind`);
  return parts.join(', ');
}

/** Names, kinds, dims and layouts in columns. @param {import('../types.js').Tap[]} taps */
function printTaps(taps) {
  const rows = taps.map((tap) => [tap.name, tap.kind, `[${tap.dims}]`, layoutInWords(tap)]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    print(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
  }
}

/** @param {import('./files.js').Entry[]} entries */
function printTensors(entries) {
  for (const {
    name,
    dtype,
    shape,
    data_offsets: [begin, end],
  } of entries) {
    const bytes = grouped(end - begin).padStart(12);
    print(`  ${name.padEnd(48)} ${dtype.padEnd(5)} ${`[${shape}]`.padEnd(18)} ${bytes} bytes`);
  }
}
