// The kernels' bench: which rows it times, what words choose, its table; and that the limit's loops are made of the
// instructions they claim. Nothing is judged by its time.
// Run alone: node --test test/kernels_bench.test.js (after `make test` or `make bench-kernels`, which build what it
// calls)
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { choose, compare, filter, markdown } from '../scripts/bench/kernels.mjs';
import { ACCUMULATORS, instance, measureLimits, UNROLL } from '../scripts/bench/limit.mjs';
import { detect } from '../web/wasm.js';
import { root, run } from './helpers/make.js';
import { node24 } from './helpers/node24.js';

const { relaxedSimd } = detect();

/**
 * Rows of a build: "op isa" each; sizes are not timed.
 * @param {string} build @param {string[]} names @returns {any[]}
 */
const rows = (build, names) =>
  names.map((name) => {
    const [op, isa] = name.split(' ');
    return { op, isa, build, unit: op === 'bytes' ? '' : 'q8', shapes: [{ name: '8x16x4' }, { name: '8x16x4 of 5' }] };
  });
const named = (/** @type {any[]} */ list) => list.map(({ op, isa, build }) => `${op} ${isa} ${build}`);

test('each row is timed in the lowest build that has it, and where else it is the one in use', () => {
  const low = ['gelu ref', 'gemm ref', 'bytes ref', 'gelu simd', 'gemm simd'];
  const chosen = choose([rows('simd', low), rows('relaxed', [...low, 'gemm relaxed', 'gemm fused'])]);
  assert.deepEqual(named(chosen), [
    'gelu ref simd',
    'gemm ref simd',
    'gelu simd simd',
    'gemm simd simd',
    'gelu simd relaxed',
    'gemm relaxed relaxed',
    'gemm fused relaxed',
  ]);
});

test('words choose ops, isas and shapes; one that is none of these is refused', () => {
  const all = rows('simd', ['gemm ref', 'gemm simd', 'gemm_pack simd', 'gelu simd']);
  const left = (/** @type {string[]} */ ...words) =>
    all.flatMap((row) =>
      row.shapes
        .filter((/** @type {any} */ shape) => filter(all, words)(row, shape))
        .map((/** @type {any} */ s) => `${row.op} ${row.isa} ${s.name}`),
    );
  assert.equal(left().length, 8);
  assert.deepEqual(left('gemm', 'simd'), ['gemm simd 8x16x4', 'gemm simd 8x16x4 of 5']);
  assert.equal(left('gemm*').length, 6);
  assert.equal(left('gelu', 'gemm_pack', '8x16x4').length, 4);
  assert.throws(() => left('gem'), /no op, isa or shape gem;.*gemm_pack/);
  assert.throws(() => left('9x16x4'), /9x16x4/);
});

test('several sweeps: the best of each row and of its limit, wherever they came', () => {
  const row = (/** @type {string} */ isa, /** @type {number} */ best, /** @type {number} */ limit) => ({
    op: 'gemm',
    shape: '8x8',
    isa,
    build: 'simd',
    best,
    slower: 0,
    limit,
  });
  const [ref, simd] = compare([
    [row('ref', 2, 40), row('simd', 30, 40)],
    [row('ref', 3, 50), row('simd', 20, 50)],
  ]);
  assert.deepEqual([ref.best, ref.overRef, ref.share], [3, null, null]);
  assert.deepEqual([simd.best, simd.overRef, simd.share], [30, 10, 0.6]);
  assert.equal(compare([[{ ...row('simd', 1, 1), limit: null }]])[0].share, null);
});

test('the page has a line for each op and shape, a column for each build and for other isas', () => {
  const figure = (/** @type {string} */ isa, /** @type {string} */ build, /** @type {any} */ more) => ({
    op: 'gemm',
    shape: '8x8',
    isa,
    build,
    best: 1,
    slower: 0,
    limit: 1,
    overRef: null,
    share: null,
    ...more,
  });
  const text = markdown([
    figure('ref', 'simd', {}),
    figure('simd', 'simd', { overRef: 10.26, share: 0.5 }),
    figure('relaxed', 'relaxed', { overRef: 123.4, share: 0.915 }),
    figure('fused', 'relaxed', { overRef: 9, share: 1 }),
    figure('simd', 'relaxed', { op: 'gelu', overRef: 4, share: 0.1 }),
  ]);
  assert.deepEqual(text.split('\n'), [
    '| op | shape | simd build | relaxed build | fused |',
    '|---|---|---:|---:|---:|',
    '| gemm | 8x8 | 10.3x, 50 % | 123x, 92 % | 9.00x, 100 % |',
    '| gelu | 8x8 |  | 4.00x, 10 % |  |',
  ]);
});

test('the program: every variant of an op in kernels.inc, and an unknown word', async () => {
  const source = readFileSync(join(root, 'src/kernels/kernels.inc'), 'utf8');
  const isas = new Set([...source.matchAll(/^TSR_KERNEL\(gemm_f32_pack, (\w+)\)/gm)].map(([, isa]) => isa));
  const { code, output } = await run(process.execPath, ['scripts/bench/kernels.mjs', 'gemm_f32_pack']);
  assert.equal(code, 0, output);
  const found = [...output.matchAll(/^gemm_f32_pack +1x768x768 +(\w+) +(?:simd|relaxed) +([\d.]+) +\d+ %/gm)];
  assert.ok(isas.size > 1, 'the rows were not found');
  assert.deepEqual(new Set(found.map(([, isa]) => isa)), isas, output);
  assert.ok(
    found.every(([, , rate]) => Number(rate) > 0),
    output,
  );
  const wrong = await run(process.execPath, ['scripts/bench/kernels.mjs', 'gemm_f33']);
  assert.equal(wrong.code, 1);
  assert.match(wrong.output, /^kernels: no op, isa or shape gemm_f33;/);
});

// What a step makes of a lane, from the instructions' definitions: i lanes of the sum, the operands a and b as i8, i16,
// i32 or f32.
/** @type {Record<string, (s: any, a: any, b: any) => any>} */
const STEPS = {
  f32: (s, a, b) => a.f32.map((x, i) => Math.fround(x * b.f32[i] + s.f32[i])),
  f32_simd: (s, a, b) => s.f32.map((x, i) => Math.fround(Math.fround(x * a.f32[i]) + b.f32[i])),
  q8: (s, a, b) => b.i16.map((x, i) => x + s.i8[2 * i] * a.i8[2 * i] + s.i8[2 * i + 1] * a.i8[2 * i + 1]),
  q8_simd: (s, a, b) => b.i32.map((x, i) => x + s.i16[2 * i] * a.i16[2 * i] + s.i16[2 * i + 1] * a.i16[2 * i + 1]),
  q8_fused: (s, a, b) =>
    s.i32.map((x, i) => x + [0, 1, 2, 3].reduce((sum, j) => sum + b.i8[4 * i + j] * a.i8[4 * i + j], 0)),
};
const views = (/** @type {ArrayBuffer} */ buffer, at = 0) => ({
  f32: new Float32Array(buffer, at, 4),
  i8: new Int8Array(buffer, at, 16),
  i16: new Int16Array(buffer, at, 8),
  i32: new Int32Array(buffer, at, 4),
});

test('the limit: each loop is made of the instructions that it is named after', async () => {
  for (const [name, step] of Object.entries(STEPS)) {
    const made = await instance(name);
    assert.equal(made === null, !relaxedSimd && !name.endsWith('_simd'), name);
    if (!made) continue;
    const [a, b] = [views(made.memory, 0), views(made.memory, 16)];
    const sum = views(made.memory.slice(32, 48));
    for (let i = 0; i < 3 * UNROLL; i++) {
      const next = step(sum, a, b);
      (next instanceof Float32Array ? sum.f32 : next instanceof Int16Array ? sum.i16 : sum.i32).set(next);
    }
    made.run(3);
    assert.deepEqual(
      views(made.memory, 48).i32,
      sum.i32.map((x) => Math.imul(x, ACCUMULATORS)),
      name,
    );
  }
});

test('the limit: figures for the loops that the engine has', async () => {
  const limits = await measureLimits({ rounds: 1 });
  assert.deepEqual(Object.keys(limits).sort(), Object.keys(STEPS).sort());
  for (const [name, value] of Object.entries(limits)) {
    if (relaxedSimd || name.endsWith('_simd'))
      assert.ok(value !== null && value > 0.01 && value < 1e5, `${name}: ${value}`);
    else assert.equal(value, null, name);
  }
});

test('the limit in a Node with relaxed SIMD', { skip: relaxedSimd || node24.skip }, async () => {
  const { code, output } = await run(node24.path, [
    '--test',
    '--test-reporter=spec',
    '--test-name-pattern=the limit:',
    fileURLToPath(import.meta.url),
  ]);
  assert.equal(code, 0, output);
  assert.match(output, /pass 2/);
});
