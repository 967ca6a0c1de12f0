// Rows of build/bench.json as text: a line while the bench runs, the tables of docs/performance.md. Pure; test/bench.test.js.
import { cellsOf } from '../build/docs_marks.mjs';

/** What others may have of the machine's time before a measurement says so: with less than two cores the peer's waiting threads cost it dearly. */
export const BUSY = 0.06;

/** @typedef {{ cold: number | null, first: number | null, peak: number | null }} Cold milliseconds, bytes */
/** @typedef {Cold & { median: number, min: number, spread: number, gops: number, threads: number }} Side */
/**
 * @typedef {object} Row
 * @property {string} model
 * @property {string} title
 * @property {'f32' | 'q8'} dtype
 * @property {number} threads asked for
 * @property {string} engine
 * @property {number} turns
 * @property {number} ratio the peer's median over ours
 * @property {number | null} limit Gop/s of one thread in a loop of registers only
 * @property {number | null} others the part of the machine's time that went to other programs meanwhile
 * @property {Side} peer
 * @property {Side & { memory: import('../../web/rpc.js').MemoryUse, weightsBytes: number, fromF32: Cold | null }} ours
 * @property {ReturnType<typeof import('./numbers.mjs').judge>} judged
 * @property {string} build which wasm: the beginning of its SHA-256
 */

const ms = (/** @type {number | null} */ x) => (x === null ? '-' : x < 10 ? x.toFixed(1) : x.toFixed(0));
const mb = (/** @type {number | null} */ x) => (x === null ? '-' : (x / 1e6).toFixed(0));
const both = (/** @type {(side: any) => string} */ cell) => (/** @type {Row} */ { peer, ours }) => `${cell(peer)} / ${cell(ours)}`;
const exponent = (/** @type {number} */ x) => x.toExponential(1);

/** The share of the limit that we reach, or null. @param {Row} row */
export const share = ({ ours, limit, threads }) => (limit ? ours.gops / (limit * threads) : null);
const percent = (/** @type {number | null} */ x) => (x === null ? '-' : `${Math.round(100 * x)} %`);

/** What a reader must know before comparing a row. @param {Row} row @returns {string[]} */
export function marks({ threads, ours, peer, judged, others }) {
  const got = [['ours', ours], ['peer', peer]].filter(([, side]) => /** @type {Side} */ (side).threads !== threads);
  return [
    ...got.map(([name, side]) => `${name} had ${/** @type {Side} */ (side).threads} of ${threads} threads`),
    ...(others !== null && others > BUSY ? [`${percent(others)} of the machine went to other programs`] : []),
    ...judged.wrong.map((what) => `WRONG: ${what}`),
  ];
}

/** @param {Row} row */
export function line(row) {
  const { model, dtype, threads, engine, peer, ours, ratio, judged } = row;
  const cold = ours.cold === null ? '' : `  cold ${both((side) => ms(side.cold))(row)} ms  peak ${both((side) => mb(side.peak))(row)} MB`;
  const notes = marks(row);
  return `${model.padEnd(7)} ${dtype.padEnd(3)} ${threads} thread${threads > 1 ? 's' : ' '}  ${engine.padEnd(13)} ${ratio.toFixed(2)}x (mins ${(peer.min / ours.min).toFixed(2)}x)`
    + `  peer ${ms(peer.median)} ms  ours ${ms(ours.median)} ms (min ${ms(ours.min)}, ±${percent(ours.spread)})`
    + `  ${ours.gops.toFixed(1)} Gop/s${row.limit ? ` ${percent(share(row))} of the limit` : ''}${cold}`
    + `  off ${exponent(judged.ours.difference)}${dtype === 'q8' ? ` (peer ${exponent(judged.peer.difference)})` : ''}${notes.length ? `  [${notes.join('; ')}]` : ''}`;
}

/** @typedef {[string, (row: Row) => string]} Column */

/** A table of a line for each row. @template T @param {[string, (row: T) => string][]} columns @param {T[]} rows */
export const markdown = (columns, rows) => [
  `| ${columns.map(([head]) => head).join(' | ')} |`,
  `|${columns.map(() => '---|').join('')}`,
  ...rows.map((row) => `| ${columns.map(([, cell]) => cell(row)).join(' | ')} |`),
].join('\n');

/** @type {Column[]} */
const NAMES = [
  ['model', ({ title }) => title], ['type', ({ dtype }) => dtype], ['engine', ({ engine }) => engine.replace(/\..*/, '')],
  ['threads', (row) => `${row.threads}${marks(row).length ? '*' : ''}`],
];
/** @type {Column[]} */
const SPEED = [
  ...NAMES,
  ['cold start', both(({ cold }) => ms(cold))], ['first', both(({ first }) => ms(first))], ['median', both(({ median }) => ms(median))],
  ['min', both(({ min }) => ms(min))], ['peak memory', both(({ peak }) => mb(peak))], ['Gop/s', both(({ gops }) => gops.toFixed(1))],
  ['of the limit', (row) => percent(share(row))], ['ratio', ({ ratio }) => `**${ratio.toFixed(2)}**`],
];
/** @type {Column[]} */
const AGREEMENT = [
  ...NAMES.slice(0, 2),
  ['off by, peer / ours', ({ judged }) => `${exponent(judged.peer.difference)} / ${exponent(judged.ours.difference)}`],
  ['same winner, peer / ours', ({ judged: { peer, ours } }) => `${peer.same} / ${ours.same} of ${ours.of}`],
];
/** @type {Column[]} */
const MEMORY = [
  ...NAMES.slice(0, 1),
  ['cold start, ms', ({ ours }) => ms(ours.fromF32?.cold ?? null)], ['peak of the process, MB', ({ ours }) => mb(ours.fromF32?.peak ?? null)],
  ['peak of the core, MB', ({ ours }) => mb(ours.memory.peak)], ['packed weights, MB', ({ ours }) => mb(ours.weightsBytes)],
  ['core over weights', ({ ours }) => (ours.memory.peak / ours.weightsBytes).toFixed(2)],
];

/**
 * The text between the markers of docs/performance.md.
 * @param {Row[]} rows @param {{ peer: string }} about its version
 */
export function report(rows, { peer }) {
  const one = rows.filter(({ threads, engine }) => threads === 1 && engine.startsWith('Node'));
  const notes = rows.flatMap((row) => marks(row).map((text) => `\\* ${row.model} ${row.dtype}, ${row.threads} threads, ${row.engine}: ${text}.`));
  const builds = new Set(rows.map(({ build }) => build));
  return [
    `Pairs are onnxruntime-web ${peer} / Tesserae; times in ms, memory in MB. ${[...new Set(rows.map(({ engine }) => engine))].join(', ')}.`,
    ...(builds.size > 1 ? [`Not one run: the rows are of ${builds.size} different builds.`] : []),
    '', markdown(SPEED, rows), '', ...(notes.length ? [...notes, ''] : []),
    "How far the outputs are off from PyTorch's f32, of the largest output:", '', markdown(AGREEMENT, one), '',
    'q8 quantized while an f32 file loads (above it comes from a q8 file, as the peer\'s int8 does):', '',
    markdown(MEMORY, one.filter(({ dtype, ours }) => dtype === 'q8' && ours.fromF32)),
  ].join('\n');
}

/** README.md's three figures: the first cells of a row (any version of the engine), the column, what that measures. */
const SUMMARY = [
  { row: ['ViT-S/16 at 224', 'f32', 'Node', '1'], column: 'median', what: 'one image' },
  { row: ['ViT-Ti/16 at 224', 'q8', 'Chromium', '2'], column: 'median', what: 'one image' },
  {
    row: ['ViT-Ti/16 at 224', 'q8', 'Chromium', '2'], column: 'cold start',
    what: 'from importing the module to the first answer',
  },
];

/**
 * README.md's part of the same name, from what docs/performance.md has between its marks: so the two cannot differ.
 * @param {string} text as `report` makes it
 */
export function summary(text) {
  const [, peer = 'peer'] = /^Pairs are (.*) \/ Tesserae;/m.exec(text) ?? [];
  const [head, , ...rows] = cellsOf(text.replaceAll('*', ''));
  const figures = SUMMARY.map(({ row, column, what }) => {
    const same = row.map((cell, i) => (/** @type {string} */ one) => (i === 2 ? one.startsWith(cell) : one === cell));
    const cells = rows.find((one) => same.every((is, i) => is(one[i]))) ?? [];
    const [theirs, ours] = cells[head.indexOf(column)]?.split(' / ') ?? [];
    if (!Number(theirs) || !Number(ours)) throw new Error(`the table lacks the ${column} of ${row} for README.md`);
    const [model, dtype, engine, threads] = cells;
    const label = `${model}, ${dtype}, ${engine}, ${threads} thread${threads === '1' ? '' : 's'}: ${what}`;
    return { label, theirs, ours, ratio: (Number(theirs) / Number(ours)).toFixed(1) };
  });
  return markdown([
    ['milliseconds', ({ label }) => label], [peer, ({ theirs }) => theirs],
    ['Tesserae', ({ ours }) => ours], ['ratio', ({ ratio }) => ratio],
  ], figures);
}
