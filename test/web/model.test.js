// The public Model over an engine that is made up: options, queueing, shapes of answers.
// Alone: node --test test/web/model.test.js (needs no build)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TesseraeError } from '../../web/errors.js';
import { Model } from '../../web/model.js';

const PICTURE = { data: new Uint8Array(12), width: 2, height: 2, channels: 3 };
const TENSOR = { data: new Float32Array(12), dims: [1, 3, 2, 2] };
const LOGITS = Float32Array.of(1, 3, 2, 3);

const INFO = /** @type {any} */ ({
  title: 'Toy',
  labels: ['ant', 'bee', 'cat', 'dog'],
  output: { kind: 'logits', dims: [1, 4] },
  input: { name: 'image', dims: [1, 3, 2, 2] },
  taps: [
    { name: 'tokens', kind: 'tokens', dims: [1, 5, 2], grid: [2, 2], prefix_tokens: 1 },
    ...[0, 1, 2].map((n) => ({
      name: `blocks.${n}.attn`,
      kind: 'attention',
      dims: [1, 2, 5, 5],
      grid: [2, 2],
      prefix_tokens: 1,
    })),
  ],
});

/** @param {(op: string, ...args: any[]) => any} answer @param {any} [info] */
function toy(answer, info = INFO) {
  const calls = [];
  const host = {
    memory: { bytes: 1, peak: 2, wasm: 3 },
    /** @type {unknown} */ closed: null,
    calls,
    async call(op, ...args) {
      calls.push([op, ...args]);
      return answer(op, ...args);
    },
    close() {
      this.closed ??= new TesseraeError('ERR_DISPOSED', 'gone');
    },
  };
  const model = new Model(host, info, /** @type {any} */ ({}), { decode: 'auto', fetch: globalThis.fetch });
  return { model, host };
}
const logits = () => [{ name: 'output', kind: 'logits', dims: [1, 4], data: LOGITS }];

test('classify: softmax, best first, ties in the order of the classes', async () => {
  const { model } = toy(logits);
  const list = await model.classify(PICTURE);
  assert.deepEqual(
    list.map(({ label }) => label),
    ['bee', 'dog', 'cat', 'ant'],
  );
  assert.deepEqual(
    list.map(({ index }) => index),
    [1, 3, 2, 0],
  );
  assert.ok(Math.abs(list.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-12);
  const sum = 2 * Math.exp(3) + Math.exp(2) + Math.exp(1);
  assert.ok(Math.abs(list[0].score - Math.exp(3) / sum) < 1e-12);
  assert.equal((await model.classify(PICTURE, { topK: 2 })).length, 2);
  assert.equal((await model.classify(PICTURE, { threshold: 0.3 })).length, 2);
  assert.deepEqual(await model.classify([]), []);
  assert.equal((await model.classify([PICTURE, TENSOR])).length, 2);
});

test('classify: no labels, huge logits, several images in one tensor', async () => {
  const { model } = toy(
    () => [{ name: 'output', kind: 'logits', dims: [2, 2], data: Float32Array.of(1e30, 0, 0, 5) }],
    { ...INFO, labels: null },
  );
  const [first, second] = await model.classify(TENSOR);
  assert.deepEqual(first, [
    { label: 'class 0', score: 1, index: 0 },
    { label: 'class 1', score: 0, index: 1 },
  ]);
  assert.equal(second[0].label, 'class 1');
});

test('classify: scores by sigmoid or raw, ranked by the outputs even where scores round to one', async () => {
  const output = Float32Array.of(-2, 50, 0, 60);
  const give = () => [{ name: 'output', kind: 'logits', dims: [1, 4], data: output }];
  const { model } = toy(give, { ...INFO, problem_type: 'multi_label_classification' });
  const list = await model.classify(PICTURE);
  assert.deepEqual(
    list.map(({ label }) => label),
    ['dog', 'bee', 'cat', 'ant'],
    'sigmoids of 50 and 60 are both 1',
  );
  assert.deepEqual(
    list.slice(0, 3).map(({ score }) => score),
    [1, 1, 0.5],
  );
  assert.ok(Math.abs(list[3].score - 1 / (1 + Math.exp(2))) < 1e-15);
  assert.equal((await model.classify(PICTURE, { threshold: 0.5 })).length, 3);
  assert.equal((await model.classify(PICTURE, { scores: 'softmax', threshold: 0.5 })).length, 1);
  const raw = await model.classify(PICTURE, { scores: 'raw' });
  assert.deepEqual(
    raw.map(({ score }) => score),
    [60, 50, 0, -2],
    'numbers below 0 too',
  );
  assert.equal((await model.classify(PICTURE, { scores: 'raw', threshold: 50 })).length, 2);
  assert.equal((await model.classify(PICTURE, { scores: 'raw', threshold: -1, topK: 2 })).length, 2);
  assert.equal((await model.classify(PICTURE, { topK: Infinity })).length, 4);
});

test('classify: a regression gives all its numbers in their order, unless asked otherwise', async () => {
  const numbers = Float32Array.of(3, -1, 4, 1, -5, 9, 2);
  const { model } = toy(() => [{ name: 'output', kind: 'logits', dims: [1, 7], data: numbers }], {
    ...INFO,
    problem_type: 'regression',
  });
  const list = await model.classify(PICTURE);
  assert.deepEqual(
    list.map(({ label, score, index }) => [label, score, index]),
    ['ant', 'bee', 'cat', 'dog', 'class 4', 'class 5', 'class 6'].map((label, i) => [label, numbers[i], i]),
  );
  assert.deepEqual(
    (await model.classify(PICTURE, { topK: 2, scores: 'raw' })).map(({ score }) => score),
    [3, -1],
  );
  assert.equal((await model.classify(PICTURE, { scores: 'softmax' }))[0].index, 5);
});

test('wrong options say what is right', async () => {
  const { model, host } = toy(logits);
  await assert.rejects(model.classify(PICTURE, /** @type {any} */ ({ topk: 1 })), /did you mean "topK"/);
  await assert.rejects(model.classify(PICTURE, { topK: 0 }), { code: 'ERR_ARGUMENT' });
  await assert.rejects(model.classify(PICTURE, { threshold: 2 }), { code: 'ERR_ARGUMENT' });
  await assert.rejects(model.classify(PICTURE, { scores: 'raw', threshold: NaN }), { code: 'ERR_ARGUMENT' });
  for (const scores of ['logits', 'toString', null]) {
    await assert.rejects(
      model.classify(PICTURE, /** @type {any} */ ({ scores })),
      /scores is \w+; give softmax, sigmoid, raw$/,
    );
  }
  await assert.rejects(model.embed(PICTURE, /** @type {any} */ ({ poling: 'mean' })), /did you mean "pooling"/);
  await assert.rejects(model.attention(PICTURE, /** @type {any} */ ({ layer: [1] })), /did you mean "layers"/);
  await assert.rejects(model.forward(PICTURE, /** @type {any} */ ({ capture: [1] })), { code: 'ERR_ARGUMENT' });
  await assert.rejects(model.forward(PICTURE, /** @type {any} */ ({ inputs: { levels: [1, 2] } })), {
    code: 'ERR_ARGUMENT',
  });
  await assert.rejects(model.preprocess(TENSOR), /a tensor skips preprocessing/);
  assert.equal(host.calls.length, 0, 'nothing has run');
  const features = toy(logits, { ...INFO, output: { kind: 'features', dims: [1, 4] } }).model;
  await assert.rejects(features.classify(PICTURE), /gives features, no class scores; call forward\(\)/);
  const bare = toy(logits, { ...INFO, taps: [] }).model;
  await assert.rejects(bare.patches(PICTURE), { code: 'ERR_ARGUMENT' });
});

test('inputs that are none are named', async () => {
  const { model } = toy(logits);
  for (const wrong of [
    null,
    undefined,
    5,
    {},
    () => {},
    new Map(),
    { data: [1, 2], dims: [2] },
    { data: new Uint8Array(5), width: 2, height: 2 },
    { data: new Uint8Array(8), width: 2, height: 2, channels: 2 },
    { data: new Float32Array(12), width: 2, height: 2 },
    { data: new Uint8Array(0), width: 0, height: 0 },
    { data: new Uint8Array(12), width: 1.5, height: 2 },
    new Float32Array(12),
  ]) {
    await assert.rejects(model.classify(/** @type {any} */ (wrong)), { code: 'ERR_ARGUMENT' }, String(wrong));
  }
  await assert.rejects(model.classify(/** @type {any} */ (null)), /cannot take Null as input; give a URL, Blob/);
  await assert.rejects(model.classify({ data: new Uint8Array(8193 * 3), width: 8193, height: 1 }), {
    code: 'ERR_IMAGE_TOO_LARGE',
    stage: 'image',
  });
  await assert.rejects(model.classify('/no/such/file.png'), /cannot read the file/);
});

test('attention and embed hand on what was asked, and the answers without the wrapping', async () => {
  const meaning = { dims: [1, 1, 2, 2], grid: [1, 1], prefixTokens: 1, windows: null };
  const { model, host } = toy(() => [
    { name: 'attention', kind: 'attention', ...meaning, data: Float32Array.of(1, 2, 3, 4) },
    { name: 'layers', dims: [1], data: Float32Array.of(2) },
    { name: 'map', dims: [1], data: Float32Array.of(2) },
  ]);
  assert.deepEqual(await model.attention(PICTURE, { layers: [-1], heads: 1 }), {
    ...meaning,
    data: Float32Array.of(1, 2, 3, 4),
    layers: [2],
    map: Float32Array.of(2),
  });
  assert.deepEqual(host.calls.at(-1)[2], { attention: { layers: [-1], heads: 1 } });
  const plain = toy(() => [
    { name: 'embedding', kind: 'tokens', dims: [1, 2], data: Float32Array.of(3, 4) },
    { name: 'layers', dims: [1], data: Float32Array.of(0) },
  ]);
  assert.deepEqual(await plain.model.embed(PICTURE, { normalize: false }), {
    data: Float32Array.of(3, 4),
    dims: [1, 2],
  });
  assert.deepEqual(plain.host.calls.at(-1)[2], { embed: { normalize: false } });
  assert.equal((await plain.model.attention(PICTURE)).map, null, 'no grid, no map');
});

test('patches are cut rows first, as RGBA', async () => {
  const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => i);
  // convolutions in front of the tokens may have a finer grid of their own
  const stem = { name: 'conv.0', kind: 'features', dims: [1, 4, 4, 2], grid: [4, 4], prefix_tokens: 0 };
  const windows = {
    name: 'blocks.0.attn',
    kind: 'attention',
    dims: [4, 1, 4, 4],
    grid: [1, 1],
    prefix_tokens: 0,
    windows: { grid: [2, 2], spread: false },
  };
  const { model } = toy(() => ({ fitted: { data, width: 4, height: 4, channels: 3 } }), {
    ...INFO,
    preprocess: { size: [4, 4] },
    taps: [stem, windows, ...INFO.taps],
  });
  const { data: out, dims, grid, patchSize } = await model.patches(PICTURE);
  assert.deepEqual({ dims, grid, patchSize }, { dims: [4, 2, 2, 4], grid: [2, 2], patchSize: [2, 2] });
  const patch = (n) => [...out.subarray(n * 16, (n + 1) * 16)];
  assert.deepEqual(patch(1), [6, 7, 8, 255, 9, 10, 11, 255, 18, 19, 20, 255, 21, 22, 23, 255]);
  assert.deepEqual(patch(2).slice(0, 4), [24, 25, 26, 255]);
});

test('calls run one at a time, in order; a failure does not stop the next', async () => {
  const order = [];
  let running = 0;
  const { model } = toy(async (op, wire) => {
    assert.equal(++running, 1, 'two at once');
    const n = wire.data[0];
    await new Promise((resolve) => {
      setTimeout(resolve, 20 - 5 * n);
    });
    running--;
    order.push(n);
    if (n === 1) throw new TesseraeError('ERR_SHAPE', 'no');
    return logits();
  });
  const call = (n) => model.classify({ data: new Uint8Array(12).fill(n), width: 2, height: 2 });
  const results = await Promise.allSettled([0, 1, 2, 3].map(call));
  assert.deepEqual(order, [0, 1, 2, 3]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
});

test('an abort rejects at once with the reason; what has not begun never runs', async () => {
  let finish = () => {};
  const { model, host } = toy(
    () =>
      new Promise((resolve) => {
        finish = () => resolve(logits());
      }),
  );
  const controller = new AbortController();
  const first = model.classify(PICTURE);
  const second = model.classify(PICTURE, { signal: controller.signal });
  const reason = new Error('changed my mind');
  controller.abort(reason);
  await assert.rejects(second, (error) => error === reason);
  finish();
  await first;
  const third = model.classify(PICTURE);
  await new Promise((resolve) => {
    setTimeout(resolve, 5);
  });
  finish();
  await third;
  assert.equal(host.calls.length, 2);
  await assert.rejects(model.classify(PICTURE, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
});

test('after dispose every call is refused; disposing twice is fine', async () => {
  const { model } = toy(logits);
  assert.deepEqual(model.memory(), { bytes: 1, peak: 2, wasm: 3 });
  await model.dispose();
  await model.dispose();
  for (const call of ['classify', 'embed', 'attention', 'forward', 'preprocess', 'patches']) {
    await assert.rejects(/** @type {any} */ (model)[call](PICTURE), { code: 'ERR_DISPOSED' }, call);
  }
  const asyncDispose = /** @type {any} */ (Symbol).asyncDispose;
  if (asyncDispose) assert.equal(typeof (/** @type {any} */ (model)[asyncDispose]), 'function');
});
