// Every architecture against its reference, at tiny configurations with every tap, through the public API; and what
// wrong model files are told. Alone: node --test test/golden.test.js (after `make wasm`). One case: node --test
// --test-name-pattern=cct_tails test/golden.test.js
//
// The golden files come from scripts/parity/golden_models.py; make them again with
//   ~/.cache/tesserae/venv/bin/python scripts/parity/golden_models.py
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { loadModel } from '../web/index.js';
import { Heap } from '../web/heap.js';
import { instantiate } from '../web/engine.js';
import { compile } from '../web/wasm.js';
import { floats, mismatch, tapFaults } from './parity/golden.js';
import { draw, drawInput, drawTensors, safetensors } from './parity/weights.js';

// f32 against a reference in double precision. Seen: at most 2.6e-6 of the largest value in any case and tap but those
// of what teaches, whose losses and centers are differences of larger numbers: 6.8e-6. The sums here are short. The
// project promises 1e-4 for models of any size; a tenth of it also catches a wrong epsilon of a norm or the tanh form
// of GELU, which 1e-4 would let pass at these sizes.
const F32_TOLERANCE = 1e-5;
// 8-bit weights per row and activations of 7 bits per token: either is off by up to 1/250 of its largest value, in each
// of the ten or so products that follow each other here. Seen: at most 4.5e-2. So a class that wins in q8 trails the
// reference's winner by at most twice this.
const Q8_TOLERANCE = 0.1;

// Taps that a case's patterns name and its reference does not give: dino.py looks inside a network for tokens only.
const NOT_GIVEN = { dino_update: /\.pos_embedding$/ };

const root = new URL('..', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
const cases = readdirSync(new URL('test/golden/models/', root))
  .sort()
  .map((f) => JSON.parse(read(`test/golden/models/${f}`)));
const tiny = (name) => cases.find((golden) => golden.name === name);

/** max |got - want| over max |want|; NaN anywhere gives Infinity. */
function difference(got, want) {
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    largest = Math.max(largest, Math.abs(want[i]));
    const d = Math.abs(got[i] - want[i]);
    if (!(d <= worst)) worst = Number.isNaN(d) ? Infinity : d;
  }
  return worst === 0 ? 0 : worst / largest;
}

/** got, dims and data, is the case's output, or its tap of this name. */
function check(golden, name, got, tolerance) {
  assert.equal(mismatch(golden, name, got, tolerance), '');
}

const file = (golden, change = {}) =>
  safetensors(change.tensors ?? drawTensors(golden), {
    arch: change.arch ?? golden.arch,
    config: change.config ?? golden.config,
  });
const load = (bytes, options) => loadModel(bytes, { worker: false, ...options });

/** A case's input: [image or video tensor, the other inputs]. */
function inputsOf(golden) {
  const { image, video, tokens, ...others } = Object.fromEntries(
    Object.entries(golden.inputs).map(([name, dims]) => [
      name,
      { data: drawInput(golden.name, name, dims), dims: dims.dims ?? dims },
    ]),
  );
  return [image ?? video ?? tokens, others];
}

async function run(golden, dtype, capture) {
  const model = await load(file(golden), { dtype });
  try {
    const [image, inputs] = inputsOf(golden);
    return { ...(await model.forward(image, { capture, options: golden.options, inputs })), info: model.info };
  } finally {
    await model.dispose();
  }
}

test('weights and inputs are drawn with the bits that the reference had', () => {
  assert.ok(cases.length > 0);
  for (const golden of cases) {
    const hash = createHash('sha256');
    for (const { bytes } of drawTensors(golden)) hash.update(bytes);
    for (const [name, dims] of Object.entries(golden.inputs))
      hash.update(new Uint8Array(drawInput(golden.name, name, dims).buffer));
    assert.equal(hash.digest('hex'), golden.sha256, golden.name);
  }
});

for (const golden of cases) {
  test(`${golden.name}: output and taps`, async () => {
    const { output, captures, info } = await run(golden, 'f32', Object.keys(golden.taps));
    check(golden, 'output', output, F32_TOLERANCE);
    assert.deepEqual(Object.keys(captures).sort(), Object.keys(golden.taps).sort());
    for (const name of Object.keys(golden.taps)) check(golden, name, captures[name], F32_TOLERANCE);
    assert.equal(info.parameters, golden.parameters, 'parameters');
    // In a run of its own: attention that is captured is computed in another way than attention that is not.
    const { captures: all } = await run(golden, 'f32', ['*']);
    const given = Object.keys(all).filter((name) => !NOT_GIVEN[golden.name]?.test(name));
    assert.deepEqual(tapFaults(golden, given), []);
  });

  test(`${golden.name}: 8 bits`, async () => {
    if (golden.options.update) {
      await assert.rejects(
        run(golden, 'q8', []),
        (error) => error.code === 'ERR_ARGUMENT' && /update.*f32/.test(error.message),
      );
      return;
    }
    const { output, info } = await run(golden, 'q8', []);
    // a merger alone has no matrices
    const matrices = golden.tensors.some(([name, dims]) => name.endsWith('weight') && dims.length > 1);
    assert.equal(info.dtype, matrices ? 'q8' : 'f32');
    check(golden, 'output', output, Q8_TOLERANCE);
  });
}

test('taps carry what maps them back onto the picture', async () => {
  const { captures } = await run(tiny('vit_smaller_image'), 'f32', ['blocks.0.attn', 'blocks.0']);
  for (const name of ['blocks.0.attn', 'blocks.0']) {
    assert.deepEqual([captures[name].grid, captures[name].prefixTokens], [[2, 3], 1], name);
  }
  const cct = (await run(tiny('cct_two_convs'), 'f32', ['pool.weights'])).captures['pool.weights'];
  assert.deepEqual([cct.grid, cct.prefixTokens], [[3, 2], 0]);
});

test('every tap that a model lists can be captured, and has the dims listed where they do not depend on the input', async () => {
  for (const arch of new Set(cases.map((golden) => golden.arch))) {
    const golden = tiny(`${arch}_tiny`);
    const model = await load(file(golden), { dtype: 'f32' });
    const [image, inputs] = inputsOf(golden);
    const names = model.info.taps.map((tap) => tap.name);
    const { captures } = await model.forward(image, { capture: ['*'], inputs });
    assert.deepEqual(Object.keys(captures).sort(), [...names].sort(), arch);
    for (const tap of model.info.taps) {
      assert.ok(captures[tap.name].data.every(Number.isFinite), `${arch} ${tap.name}`);
      assert.deepEqual([...captures[tap.name].dims].slice(1), tap.dims.slice(1), `${arch} ${tap.name}`);
    }
    await model.dispose();
  }
});

test('taps of windows say how the windows lie: put together, they are the map', async () => {
  for (const [name, tap, grid, windows] of [
    ['nest_tiny', 'stages.0.blocks.0', [2, 2], { grid: [2, 2], spread: false }],
    ['nest_tiny', 'stages.1.blocks.0', [2, 2], null],
    ['max_vit_tiny', 'blocks.0.block_attn', [4, 4], { grid: [2, 2], spread: false }],
    ['max_vit_tiny', 'blocks.0.grid_attn', [4, 4], { grid: [2, 2], spread: true }],
    ['max_vit_with_registers_tiny', 'blocks.0.grid_attn', [4, 4], { grid: [2, 2], spread: true }],
    ['twins_svt_tiny', 'stages.1.blocks.0.local_attn', [2, 2], { grid: [2, 2], spread: false }],
    ['mobile_vit_tiny', 'stages.0.blocks.0', [4, 4], { grid: [2, 2], spread: true }],
    ['crossformer_tiny', 'stages.0.blocks.0.short_attn', [2, 2], { grid: [4, 4], spread: false }],
    ['scalable_vit_tiny', 'stages.0.blocks.0.iwsa_attn', [4, 4], { grid: [2, 2], spread: false }],
    ['sep_vit_tiny', 'stages.0.blocks.0.attn', [7, 7], { grid: [2, 2], spread: false }],
    ['regionvit_tiny', 'stages.0.blocks.0.attn', [2, 2], { grid: [2, 2], spread: false }],
  ]) {
    const {
      info,
      captures: { [tap]: got },
    } = await run(tiny(name), 'f32', [tap]);
    assert.deepEqual([got.grid, got.windows], [grid, windows], `${name} ${tap}`);
    assert.equal(
      got.dims[0],
      tiny(name).inputs.image[0] * (windows ? windows.grid[0] * windows.grid[1] : 1),
      `${name} ${tap}`,
    );
    assert.ok('windows' in info.taps.find((t) => t.name === tap));
  }
  const {
    captures: { 'stages.0.blocks.0': cut, 'stages.0': whole },
  } = await run(tiny('nest_tiny'), 'f32', ['stages.0.blocks.0', 'stages.0']);
  const [[h, w], [rows, columns], [, height, width, c]] = [cut.grid, cut.windows.grid, whole.dims];
  for (let at = 0; at < cut.data.length / c; at++) {
    const [token, window] = [at % (h * w), Math.floor(at / (h * w)) % (rows * columns)];
    const [y, x] = [Math.floor(window / columns) * h + Math.floor(token / w), (window % columns) * w + (token % w)];
    const pixel = (Math.floor(at / (h * w * rows * columns)) * height + y) * width + x;
    assert.deepEqual(
      cut.data.subarray(at * c, at * c + c),
      whole.data.subarray(pixel * c, pixel * c + c),
      `token ${at}`,
    );
  }
});

test('attention of windows has a dim for them; layers of several shapes are told apart', async () => {
  const golden = tiny('nest_tiny');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image] = inputsOf({ ...golden, inputs: { image: [1, 3, 16, 16] } });
  const { 'stages.0.blocks.0.attn': first } = (await model.forward(image, { capture: 'stages.0.blocks.0.attn' }))
    .captures;
  const all = await model.attention(image, { layers: 0, heads: 'all' });
  assert.deepEqual(
    [all.dims, all.windows, all.map, all.data],
    [[1, 4, 1, 4, 4], { grid: [2, 2], spread: false }, null, first.data],
  );
  const last = await model.attention(image, { layers: [-1, -2] });
  assert.deepEqual([last.dims, last.windows, last.map?.length], [[2, 1, 4, 4], null, 4]);
  await assert.rejects(model.attention(image, { layers: 'all' }), {
    code: 'ERR_ARGUMENT',
    message:
      /stages\.0\.blocks\.0\.attn is \[4,1,4,4\], stages\.1\.blocks\.0\.attn is \[1,2,4,4\]; ask for layers of one shape, or forward\(\) for these taps$/,
  });
  await assert.rejects(model.attention(image, { layers: 0, rollout: true }), {
    code: 'ERR_ARGUMENT',
    message: /rollout needs one square matrix a head/,
  });
  await model.dispose();
});

test('a class token that alone asks draws its map from its one row', async () => {
  const golden = tiny('cait_tiny');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image] = inputsOf({ ...golden, inputs: { image: [1, 3, 16, 16] } });
  const { dims, map, grid, prefixTokens } = await model.attention(image);
  // [2,2,1,5]: of the first image the mean over two heads, without the class token
  const row = floats(golden.taps['cls.0.attn']);
  assert.deepEqual([[...dims], grid, prefixTokens], [[1, 1, 1, 5], [2, 2], 1]);
  const mean = Float32Array.from({ length: 4 }, (_, j) => (row[1 + j] + row[6 + j]) / 2);
  assert.ok(map && difference(map, mean) < F32_TOLERANCE, `${map}, expected ${mean}`);
  await assert.rejects(model.attention(image, { rollout: true }), { code: 'ERR_ARGUMENT' });
  await model.dispose();
});

test('an embedding of two scales is both class tokens side by side, of levels the mean over columns of the top one', async () => {
  for (const [name, tap] of [
    ['cross_vit_tiny', 'embedding'],
    ['glom_tiny', 'tokens'],
  ]) {
    const golden = tiny(name);
    const model = await load(file(golden), { dtype: 'f32' });
    const { dims, data } = await model.embed(inputsOf(golden)[0], { normalize: false });
    const {
      captures: { [tap]: captured },
    } = await model.forward(inputsOf(golden)[0], { capture: tap });
    check(golden, tap, captured, F32_TOLERANCE);
    const rows = captured.data;
    const n = rows.length / data.length; // 1, or the columns of the one picture
    assert.deepEqual([...dims], name === 'glom_tiny' ? [1, 8] : [2, 36]);
    const mean = data.map(
      (_, i) => Array.from({ length: n }, (__, row) => rows[row * data.length + i]).reduce((a, b) => a + b) / n,
    );
    assert.ok(difference(data, mean) < F32_TOLERANCE, `${name}: ${data}, expected ${mean}`);
    if (name === 'cross_vit_tiny')
      await assert.rejects(model.embed(inputsOf(golden)[0], { pooling: 'mean' }), {
        code: 'ERR_ARGUMENT',
        message: /no list of tokens \(pooling "auto"/,
      });
    await model.dispose();
  }
});

test('tokens behind the patches are told, and stay out of means and maps', async () => {
  const golden = tiny('distillable_vit_token');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, inputs] = inputsOf(golden);
  const { captures } = await model.forward(image, { inputs, capture: ['tokens', 'blocks.0.attn', 'patch_embed'] });
  assert.deepEqual(
    Object.values(captures).map((tap) => [tap.prefixTokens, tap.suffix]),
    [
      [0, undefined],
      [1, 1],
      [1, 1],
    ],
  );
  await model.dispose();
  const odd = { ...tiny('simple_vit_with_register_tokens_tiny'), inputs: { image: [1, 3, 16, 16] } }; // four patches, four registers
  const registers = await load(file(odd), { dtype: 'f32' });
  const [picture] = inputsOf(odd);
  const { data, dims, map, suffix } = await registers.attention(picture);
  assert.deepEqual([[...dims], suffix, map?.length], [[1, 1, 8, 8], 4, 4]);
  const seen = Float32Array.from({ length: 4 }, (_, j) =>
    [0, 1, 2, 3].reduce((sum, i) => sum + data[i * 8 + j] / 4, 0),
  );
  assert.ok(difference(map, seen) < 1e-6, `${map}, expected ${seen}`);
  const [mean, auto] = [await registers.embed(picture, { pooling: 'mean' }), await registers.embed(picture)];
  assert.ok(difference(mean.data, auto.data) < F32_TOLERANCE, 'the head sees the mean over patches, without registers');
  await registers.dispose();
});

test('adapters are handed in whole, and from the first on', async () => {
  const golden = tiny('learnable_memory_vit_adapters');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, inputs] = inputsOf(golden);
  const without = (pattern) => Object.fromEntries(Object.entries(inputs).filter(([name]) => !pattern.test(name)));
  const refused = (given, code, word) =>
    assert.rejects(
      model.forward(image, { inputs: given }),
      (error) => error.code === code && error.message.includes(word),
      word,
    );
  await refused(without(/0\.mlp_head\.1\.bias/), 'ERR_ARGUMENT', 'adapters.0.mlp_head.1.bias');
  await refused(without(/1\.memory_cls_token/), 'ERR_ARGUMENT', 'adapters.1.memories_per_layer');
  await refused(without(/\.0\.(mlp|mem)/), 'ERR_ARGUMENT', 'adapters.0');
  await refused(
    { ...inputs, 'adapters.1.mlp_head.1.bias': { data: new Float32Array(3), dims: [3] } },
    'ERR_SHAPE',
    'adapters.1.mlp_head.1.bias',
  );
  await refused({ 'adapters.4.memory_cls_token': inputs['adapters.0.memory_cls_token'] }, 'ERR_ARGUMENT', 'adapters.4');
  const backbone = await model.forward(image); // and it is as it was
  check(golden, 'logits', backbone.output, F32_TOLERANCE);
  await model.dispose();
});

test('tokens are sampled by a seed: splitmix64 of seed and layer, whatever the batch; noise of another size is refused', async () => {
  const golden = tiny('ats_vit_smaller'); // layer 1 keeps 4 of 6
  const model = await load(file(golden), { dtype: 'f32' });
  const [image] = inputsOf(golden);
  const sampled = async (input, options, inputs) =>
    (await model.forward(input, { options, inputs, capture: ['sampled_token_ids', 'tokens'] })).captures;
  let state = (77n << 32n) + 1n;
  const mask = (1n << 64n) - 1n;
  const noise = Float32Array.from({ length: 24 }, () => {
    state = (state + 0x9e3779b97f4a7c15n) & mask;
    let z = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    return Number((z ^ (z >> 31n)) >> 40n) / 2 ** 24;
  });
  const seeded = await sampled(image, { seed: 77 });
  assert.deepEqual(seeded, await sampled(image, {}, { 'noise.1': { data: noise, dims: [1, 4, 6] } }));
  const both = { data: new Float32Array(2 * image.data.length), dims: [2, ...image.dims.slice(1)] };
  both.data.set(image.data);
  both.data.set(image.data, image.data.length);
  const { data } = (await sampled(both, { seed: 77 })).sampled_token_ids;
  assert.deepEqual([...data], [...seeded.sampled_token_ids.data, ...seeded.sampled_token_ids.data]);
  const kinds = new Set();
  for (let seed = 0; seed < 20; seed++) kinds.add(String((await sampled(image, { seed })).sampled_token_ids.data));
  assert.ok(kinds.size > 3, `${kinds.size} different draws by 20 seeds`);
  await assert.rejects(sampled(image, {}, { 'noise.1': { data: new Float32Array(20), dims: [1, 4, 5] } }), {
    code: 'ERR_SHAPE',
  });
  await model.dispose();
});

test('hidden patches: a mask given is checked, and one of the same shape but other numbers is another', async () => {
  const golden = tiny('mae_tiny');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, { mask }] = inputsOf(golden);
  const run = (change, dims = mask.dims) =>
    model.forward(image, { inputs: { mask: { data: Float32Array.from(mask.data, change), dims } } });
  const refused = (code, word, ...args) =>
    assert.rejects(run(...args), (error) => error.code === code && error.message.includes(word), word);
  await refused('ERR_ARGUMENT', '0.5 at [1,4]', (v, i) => (i === 20 ? 0.5 : v));
  await refused('ERR_ARGUMENT', 'at [0,3]', (v, i) => (i === 3 ? NaN : v));
  await refused('ERR_ARGUMENT', '-1 at [0,0]', (v, i) => (i === 0 ? -1 : v));
  await refused('ERR_ARGUMENT', '16 of 16', () => 1);
  await refused('ERR_ARGUMENT', '0 of 16', () => 0);
  await refused('ERR_ARGUMENT', 'image 1', (v, i) => (i < 16 ? v : 1 - v));
  await refused('ERR_SHAPE', 'mask', (v) => v, [4, 8]);
  await refused('ERR_SHAPE', 'mask', (v) => v, [1, 32]);
  const first = await run((v) => v);
  check(golden, 'output', first.output, F32_TOLERANCE);
  const turned = await run((_, i) => mask.data[i % 16 === 15 ? i - 15 : i + 1]);
  assert.ok(difference(turned.output.data, first.output.data) > 0.01, 'another mask, another picture');
  check(golden, 'output', (await run((v) => v)).output, F32_TOLERANCE);
  await model.dispose();
});

test('hidden patches: what stands in place of one is a patch or the mask token', async () => {
  const golden = tiny('mpp_tiny');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, { mask, source }] = inputsOf(golden);
  const at = mask.data.indexOf(1);
  const run = async (value, where = at) => {
    const data = Float32Array.from(source.data);
    data[where] = value;
    return (await model.forward(image, { inputs: { mask, source: { data, dims: source.dims } } })).output;
  };
  for (const wrong of [-1, 17, 0.5, NaN, 1e30])
    await assert.rejects(run(wrong), { code: 'ERR_ARGUMENT', message: /source/ }, `${wrong}`);
  const first = await run(source.data[at]);
  check(golden, 'output', first, F32_TOLERANCE);
  check(golden, 'output', await run(3, mask.data.indexOf(0)), F32_TOLERANCE); // not read of those that are seen
  assert.ok(difference((await run(16 - source.data[at] || 15)).data, first.data) > 0.01);
  const [one, again, two] = await Promise.all(
    [5, 5, 6].map(async (seed) => (await model.forward(image, { options: { seed }, inputs: { mask } })).output.data),
  );
  assert.deepEqual(one, again);
  assert.notDeepEqual(one, two);
  await model.dispose();
});

test('hidden patches: ratio says how many, seed which, and any is as likely as any other', async () => {
  const golden = tiny('simmim_tiny');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image] = inputsOf(golden);
  const capture = ['mask'];
  const run = async (options) => (await model.forward(image, { capture, options })).captures.mask.data;
  const count = (mask) => mask.reduce((a, b) => a + b, 0);
  const first = await run({ seed: 7 });
  assert.deepEqual(await run({ seed: 7 }), first);
  assert.deepEqual(await run({}), await run({ seed: 0 }));
  assert.notDeepEqual([...first.subarray(0, 16)], [...first.subarray(16)], 'each picture has its own');
  assert.deepEqual([count(first.subarray(0, 16)), count(first.subarray(16))], [8, 8]);
  assert.equal(count(await run({ ratio: 0.99 })), 30);
  await assert.rejects(run({ ratio: 1 }), { code: 'ERR_ARGUMENT' });
  await assert.rejects(run({ ratio: 0.01 }), { code: 'ERR_ARGUMENT' });
  await assert.rejects(run({ seed: -1 }), { code: 'ERR_ARGUMENT' });
  const given = await model.forward(image, { inputs: { mask: { data: first, dims: [2, 16] } } });
  assert.deepEqual(given.output.data, (await model.forward(image, { options: { seed: 7 } })).output.data);
  const often = new Float64Array(16);
  const draws = 400; // of two pictures: 400 of 800 expected, standard deviation 14
  for (let seed = 0; seed < draws; seed++)
    (await run({ seed })).forEach((hidden, i) => {
      often[i % 16] += hidden;
    });
  for (const n of often)
    assert.ok(Math.abs(n - draws) < 5 * Math.sqrt(draws / 2), `hidden ${often} times of ${2 * draws}`);
  await model.dispose();
});

test('reconstruct: colours as they were, the mask, the loss', async () => {
  const golden = tiny('mae_tiny');
  const spec = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] };
  const bytes = safetensors(drawTensors(golden), { arch: 'mae', config: golden.config, preprocess: spec });
  const model = await load(bytes, { dtype: 'f32' });
  const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256);
  const picture = { data: pixels, width: 16, height: 16, channels: 3 };
  const { data, dims, mask, loss, grid } = await model.reconstruct(picture, { ratio: 0.5, seed: 3 });
  assert.deepEqual([[...dims], grid, mask.length, mask.reduce((a, b) => a + b, 0)], [[1, 3, 16, 16], [4, 4], 16, 8]);
  const input = await model.preprocess(picture);
  const { output } = await model.forward(input, { inputs: { mask: { data: mask, dims: [1, 16] } } });
  let squares = 0;
  for (let i = 0; i < data.length; i++) {
    const [c, y, x] = [Math.floor(i / 256), Math.floor(i / 16) % 16, i % 16];
    const hidden = mask[Math.floor(y / 4) * 4 + Math.floor(x / 4)];
    const want = hidden ? output.data[i] * spec.std[c] + spec.mean[c] : pixels[(y * 16 + x) * 3 + c] / 255;
    assert.ok(Math.abs(data[i] - want) < 1e-5, `${c} ${y} ${x}: ${data[i]}, expected ${want}`);
    if (hidden) squares += (output.data[i] - input.data[i]) ** 2;
  }
  assert.ok(Math.abs(loss / (squares / (8 * 48)) - 1) < 1e-4);
  assert.deepEqual((await model.reconstruct(picture, { mask })).data, data);
  assert.deepEqual((await model.reconstruct([picture, picture], { mask: [...mask] }))[1].data, data);
  await assert.rejects(model.reconstruct(picture, { mask: [1, 0] }), { code: 'ERR_SHAPE' });
  await assert.rejects(model.reconstruct(picture, { ration: 0.5 }), { code: 'ERR_ARGUMENT', message: /ratio/ });
  await model.dispose();
  const other = await load(file(tiny('vit_tiny')), { dtype: 'f32' });
  await assert.rejects(other.reconstruct(picture), { code: 'ERR_ARGUMENT', message: /mae and simmim/ });
  await other.dispose();
});

test('what teaches takes all its crops or one, whose embedding it gives, and what is forgotten is named', async () => {
  for (const [name, tap, tokens] of [
    ['dino_tiny', 'student.one.embedding', 1],
    ['es_vit_tiny', 'student.one.tokens', 1],
  ]) {
    const golden = tiny(name);
    const model = await load(file(golden), { dtype: 'f32' });
    const [image, inputs] = inputsOf(golden);
    const { global_image_two: last, ...fewer } = inputs;
    await assert.rejects(
      model.forward(image, { inputs: fewer }),
      (error) => error.code === 'ERR_ARGUMENT' && error.message.includes('global_image_two'),
      name,
    );
    await assert.rejects(model.forward(image, { options: { update: true } }), { code: 'ERR_ARGUMENT' }, name);
    await assert.rejects(
      model.forward(image, {
        inputs: { ...fewer, global_image_two: { data: last.data.subarray(0, 768), dims: [1, 3, 16, 16] } },
      }),
      { code: 'ERR_SHAPE' },
    );
    const { output } = await model.forward(image);
    const want = golden.taps[tap];
    const channels = want.dims.at(-1);
    const mean = new Float32Array(2 * channels); // over tokens, where there are any
    floats(want).forEach((x, i) => {
      mean[Math.floor((i * 2) / floats(want).length) * channels + (i % channels)] +=
        (x * 2 * channels) / floats(want).length;
    });
    assert.deepEqual([...output.dims], [2, channels]);
    assert.ok(difference(output.data, mean) < F32_TOLERANCE, `${name}: ${output.data}, expected ${mean}`);
    await model.dispose();
  }
});

test("attention and embeddings of what teaches are its student's, which sees one picture", async () => {
  for (const [name, layers] of [
    ['dino_tiny', 1],
    ['es_vit_tiny', 1],
  ]) {
    const golden = tiny(name);
    const model = await load(file(golden), { dtype: 'f32' });
    const [image] = inputsOf(golden);
    const one = { data: image.data.subarray(0, image.data.length / image.dims[0]), dims: [1, ...image.dims.slice(1)] };
    const last = model.info.taps
      .filter(({ kind, name: tap }) => kind === 'attention' && tap.startsWith('student.one.'))
      .at(-1);
    const { captures } = await model.forward(one, { capture: [last.name] });
    const heads = captures[last.name];
    const { data, dims, layers: seen, map } = await model.attention(one, { heads: 'all' });
    assert.deepEqual([seen, [...dims].slice(-3)], [[layers - 1], [...heads.dims].slice(-3)], name);
    assert.ok(difference(data, heads.data) < F32_TOLERANCE, name);
    if (name === 'dino_tiny') assert.equal(map.length, 4);
    assert.deepEqual(
      (await model.attention(one, { layers: 'all' })).layers,
      [...Array(layers).keys()],
      "no other crop's",
    );
    const { output } = await model.forward(one);
    const embedding = await model.embed(one, { normalize: false });
    assert.deepEqual([...embedding.dims], [...output.dims]);
    assert.ok(
      difference(embedding.data, output.data) < F32_TOLERANCE,
      `${name}: ${embedding.data}, expected ${output.data}`,
    );
    await model.dispose();
  }
});

test('a teacher follows its student from run to run, and what a forward found last is where its centers go', async () => {
  const golden = tiny('dino_update'); // its weights hold the centers that a forward before would have left
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, inputs] = inputsOf(golden);
  const teach = async (options) => await model.forward(image, { inputs, options, capture: ['*centers'] });
  const plain = await teach({});
  assert.deepEqual(await teach({}), plain, 'without update nothing changes');
  const before = plain.captures.teacher_centers.data;
  const found = plain.captures.last_teacher_centers.data;
  const centers = before.map((c, i) => c * 0.5 + found[i] * 0.5);
  const first = await teach({ update: true });
  assert.ok(
    difference(first.captures.teacher_centers.data, centers) < 1e-6,
    'centers go half the way to what the run before found',
  );
  const second = await teach({ update: true });
  assert.notEqual(second.output.data[0], first.output.data[0], 'the same request again is another step');
  for (let i = 0; i < 100; i++) await teach({ update: true });
  const there = await teach({ update: true });
  assert.ok(
    difference(there.captures.teacher_centers.data, there.captures.last_teacher_centers.data) < 1e-5,
    'in the end both stand where the student is',
  );
  await model.dispose();
});

test('an update that fails changes no weights', async () => {
  const golden = tiny('dino_update');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, inputs] = inputsOf(golden);
  const teach = (given = {}, more = {}) =>
    model.forward(image, { inputs: { ...inputs, ...given }, capture: ['*centers'], ...more });
  const [name, crop] = Object.entries(inputs).at(-1);
  const broken = { data: crop.data.slice(), dims: crop.dims };
  broken.data[5] = NaN;
  const half = crop.dims.map((d, i) => (i > 1 ? d - 1 : d));
  const before = await teach();
  for (const [what, given, more] of [
    ['a crop of a wrong size', { [name]: { data: new Float32Array(half.reduce((a, b) => a * b)), dims: half } }],
    ['a crop with a NaN', { [name]: broken }],
    ['a capture of nothing', {}, { capture: ['no.such.tap'] }],
    ['an unknown option', {}, { options: { update: true, iters: 3 } }],
  ]) {
    await assert.rejects(teach(given, { options: { update: true }, ...more }), { stage: 'call' }, what);
    assert.deepEqual(await teach(), before, what);
  }
  await teach({}, { options: { update: true } });
  assert.notDeepEqual(await teach(), before, 'one that succeeds does');
  await model.dispose();
});

test('labels are numbers of classes or shares of each, and go with what the teacher says', async () => {
  const golden = tiny('distill_soft');
  const model = await load(file(golden), { dtype: 'f32' });
  const [image, inputs] = inputsOf(golden);
  const numbers = { data: new Float32Array([3, 7]), dims: [2] };
  const shares = { data: new Float32Array(20).map((_, i) => (i === 3 || i === 17 ? 1 : 0)), dims: [2, 10] };
  const loss = async (labels) => (await model.forward(image, { inputs: { ...inputs, labels } })).output.data[0];
  const byNumber = await loss(numbers);
  assert.ok(Math.abs(byNumber - (await loss(shares))) < 1e-6 * byNumber);
  assert.ok(Number.isNaN(await loss({ data: new Float32Array([3, 10]), dims: [2] })), 'no class 10');
  assert.ok(Number.isNaN(await loss({ data: new Float32Array([3.5, 1]), dims: [2] })), 'no class 3.5');
  await assert.rejects(model.forward(image, { inputs: { labels: numbers } }), { code: 'ERR_ARGUMENT' });
  await assert.rejects(loss({ data: new Float32Array([1, 2, 3]), dims: [3] }), { code: 'ERR_SHAPE' });
  await model.dispose();
});

test('a list of pictures of many sizes runs in one pass: rows and taps in their order, as one by one; wrong ones are named', async () => {
  for (const name of ['na_vit_groups', 'na_vit_nested_tensor_list']) {
    const golden = tiny(name);
    const { sizes, ...options } = golden.options;
    const model = await load(file(golden), { dtype: 'f32' });
    const all = drawInput(golden.name, 'image', golden.inputs.image);
    let at = 0;
    const list = sizes.map(([h, w], i) => ({
      data: all.slice(at, (at += 3 * h * w)),
      dims: i % 2 ? [3, h, w] : [1, 3, h, w],
    }));
    const answers = await model.forward(list, { options, capture: ['*'] });
    check(
      golden,
      'output',
      { data: answers.flatMap(({ output }) => [...output.data]), dims: golden.output.dims },
      F32_TOLERANCE,
    );
    for (const tap of Object.keys(golden.taps))
      check(golden, tap, answers.at(tap === 'packing' ? 0 : -1).captures[tap], F32_TOLERANCE);
    for (const i of [0, 3]) {
      const { output, captures } = await model.forward(
        { ...list[i], dims: [1, ...list[i].dims.slice(-3)] },
        { capture: ['*'] },
      );
      assert.deepEqual([...answers[i].output.dims], [...output.dims]);
      assert.ok(difference(answers[i].output.data, output.data) <= F32_TOLERANCE, `row ${i}`);
      for (const [tap, { data, dims, grid }] of Object.entries(captures)) {
        if (tap === 'packing') continue;
        assert.deepEqual(answers[i].captures[tap].grid, grid, tap);
        assert.deepEqual([...answers[i].captures[tap].dims], [...dims], tap);
        assert.ok(difference(answers[i].captures[tap].data, data) <= F32_TOLERANCE, `${tap} of ${i}`);
      }
    }
    const classes = await model.classify([list[2]], { topK: 1 });
    assert.deepEqual(
      [classes.length, classes[0][0].index],
      [1, answers[2].output.data.indexOf(Math.max(...answers[2].output.data))],
    );
    const maps = await model.attention(
      list.slice(0, 2).map(({ data, dims }) => ({ data, dims: [1, ...dims.slice(-3)] })),
      { rollout: true },
    );
    assert.deepEqual(
      maps.map(({ map }) => map.length),
      [2, 1],
    );
    const wrong = { data: new Float32Array(3 * 8 * 12), dims: [3, 8, 12] };
    await assert.rejects(model.classify([list[0], wrong]), { code: 'ERR_SHAPE' });
    await assert.rejects(model.forward(list, { options: { groups: [2, 4] } }), { code: 'ERR_ARGUMENT' });
    // pixels keep their aspect ratio: 40 x 9 does not fit into 24 x 24, and becomes 24 x 8 (of patches: 3 x 1)
    const pixels = (width, height) => ({ data: new Uint8Array(3 * width * height).fill(99), width, height });
    const fitted = await model.preprocess([pixels(40, 9), pixels(16, 24), pixels(3, 2)]);
    assert.deepEqual(
      fitted.map(({ dims }) => dims),
      [
        [1, 3, 8, 24],
        [1, 3, 24, 16],
        [1, 3, 8, 8],
      ],
    );
    const { grid } = await model.patches(pixels(40, 9));
    assert.deepEqual(grid, [1, 3]);
    assert.equal((await model.classify([pixels(40, 9), list[1]])).length, 2);
    await model.dispose();
  }
});

// ---- wrong files ----

async function refuses(bytes, codes, parts, what) {
  await assert.rejects(
    load(bytes, { dtype: 'f32' }),
    (error) => {
      assert.ok([codes].flat().includes(error.code), `${what}: ${error.code ?? 'no code'}: ${error.message}`);
      for (const part of [parts].flat())
        assert.ok(error.message.includes(part), `${what}: no "${part}" in: ${error.message}`);
      assert.equal(error.stage, 'model', what);
      return true;
    },
    what,
  );
}

for (const name of [
  'mae_tiny',
  'simmim_tiny',
  'mpp_tiny',
  'mp3_tiny',
  'vit_tiny',
  'simple_vit_tiny',
  'cct_tiny',
  'cct_class_token',
  'glom_tiny',
  'max_vit_tiny',
  'max_vit_with_registers_tiny',
  'sep_vit_tiny',
  'distillable_vit_tiny',
  'cait_tiny',
  'deepvit_tiny',
  'parallel_vit_tiny',
  'vit_for_small_dataset_tiny',
  'vit_with_patch_merger_never',
  'xcit_tiny',
  'cross_vit_tiny',
  't2t_tiny',
  'learnable_memory_vit_tiny',
  'ats_vit_smaller',
  'gcvit_tiny',
  'involution_tiny',
  'patch_merger_tiny',
  'jumbo_vit_tiny',
  'rvt_tiny',
  'efficient_tiny',
  'efficient_x_tiny',
  'distill_tiny',
  'dino_tiny',
  'es_vit_tiny',
  'na_vit_tiny',
  'na_vit_nested_tensor_tiny',
]) {
  test(`${name}: a tensor that is missing or misshapen is named`, async () => {
    const golden = tiny(name);
    const tensors = drawTensors(golden);
    const whole = await load(file(golden), { dtype: 'f32' });
    const { unused } = whole.info;
    await whole.dispose();
    assert.ok(
      unused.every((path) => /num_batches_tracked|cls_token|_head\./.test(path)),
      `${unused}`,
    );
    for (const tensor of tensors.filter(({ name: path }) => !unused.includes(path))) {
      const others = tensors.filter((t) => t !== tensor);
      await refuses(
        file(golden, { tensors: others }),
        'ERR_MODEL_TENSOR_MISSING',
        tensor.name,
        `${tensor.name} left out`,
      );
      const shape = tensor.shape.length ? tensor.shape.map((n, i) => (i === tensor.shape.length - 1 ? n + 1 : n)) : [2];
      const grown = {
        name: tensor.name,
        dtype: 'F32',
        shape,
        bytes: new Uint8Array(draw('misshapen', tensor.name, shape).buffer),
      };
      await refuses(
        file(golden, { tensors: [...others, grown] }),
        'ERR_MODEL_TENSOR_SHAPE',
        tensor.name,
        `${tensor.name} grown`,
      );
    }
  });
}

// [what is wrong, case, change of its config (undefined removes a key), code(s), words that the message must have]
const CONFIGS = [
  ['a key is missing', 'vit_tiny', { depth: undefined }, 'ERR_CONFIG', 'depth'],
  ['an unknown key', 'vit_tiny', { dpeth: 2 }, 'ERR_CONFIG', 'dpeth'],
  ['no patches', 'vit_tiny', { image_size: 0 }, 'ERR_CONFIG', 'image_size'],
  ['patches larger than the image', 'vit_tiny', { patch_size: 32 }, 'ERR_CONFIG', 'patch_size'],
  ['patches that do not divide the image', 'vit_tiny', { patch_size: [8, 5] }, 'ERR_CONFIG', 'patch_size'],
  ['a million heads', 'vit_tiny', { heads: 1e6 }, ['ERR_CONFIG', 'ERR_MODEL_TENSOR_SHAPE'], []],
  ['heads that overflow', 'vit_tiny', { heads: 2147483647, dim_head: 2147483647 }, 'ERR_CONFIG', []],
  [
    'a layer without its number of tokens',
    'ats_vit_tiny',
    { max_tokens_per_depth: [16, 9, 5] },
    'ERR_CONFIG',
    'max_tokens_per_depth',
  ],
  [
    'more tokens than the layer before',
    'ats_vit_tiny',
    { max_tokens_per_depth: [9, 16, 5, 2] },
    'ERR_CONFIG',
    'max_tokens_per_depth',
  ],
  ['patches of a list that are not square', 'na_vit_tiny', { patch_size: [8, 4] }, 'ERR_CONFIG', 'patch_size'],
  ['a negative depth', 'vit_tiny', { depth: -1 }, 'ERR_CONFIG', 'depth'],
  ['a depth beyond reason', 'vit_tiny', { depth: 1e9 }, ['ERR_CONFIG', 'ERR_MODEL_TENSOR_MISSING'], []],
  ['more layers than the file has', 'vit_tiny', { depth: 3 }, 'ERR_MODEL_TENSOR_MISSING', 'transformer.layers.2.'],
  ['half a layer', 'vit_tiny', { depth: 1.5 }, 'ERR_CONFIG', 'depth'],
  ['a number in quotes', 'vit_tiny', { dim: '16' }, 'ERR_CONFIG', 'dim'],
  ['a pool that does not exist', 'vit_tiny', { pool: 'max' }, 'ERR_CONFIG', 'pool'],
  ['three sides', 'vit_tiny', { image_size: [16, 16, 16] }, 'ERR_CONFIG', 'image_size'],
  ['a key of another architecture', 'simple_vit_tiny', { pool: 'cls' }, 'ERR_CONFIG', 'pool'],
  ['a width that is no multiple of four', 'simple_vit_tiny', { dim: 18 }, 'ERR_CONFIG', 'dim'],
  ['a stride of 0', 'cct_tiny', { stride: 0 }, 'ERR_CONFIG', 'stride'],
  ['a kernel larger than the image', 'cct_tiny', { kernel_size: 99 }, ['ERR_CONFIG', 'ERR_MODEL_TENSOR_SHAPE'], []],
  ['a preset that does not exist', 'cct_preset', { preset: 'cct_3' }, 'ERR_CONFIG', 'cct_3'],
  [
    'an embedding of an unknown kind',
    'cct_tiny',
    { positional_embedding: 'rotary' },
    'ERR_CONFIG',
    'positional_embedding',
  ],
  ['no levels', 'glom_tiny', { levels: 0 }, 'ERR_CONFIG', 'levels'],
  ['a single level, whose top-down part is empty', 'glom_tiny', { levels: 1 }, 'ERR_CONFIG', 'levels'],
  ['an even window', 'xcit_tiny', { local_patch_kernel_size: 2 }, 'ERR_CONFIG', 'local_patch_kernel_size'],
  ['a scale without a width', 'cross_vit_tiny', { lg_dim: undefined }, 'ERR_CONFIG', 'lg_dim'],
  ['large patches that do not divide the image', 'cross_vit_tiny', { lg_patch_size: 5 }, 'ERR_CONFIG', 'lg_patch_size'],
  ['windows that are no pairs', 't2t_tiny', { t2t_layers: [7, 4] }, 'ERR_CONFIG', 't2t_layers'],
  ['windows that leave nothing', 't2t_tiny', { t2t_layers: [[63, 1]] }, 'ERR_CONFIG', 't2t_layers'],
  [
    'windows whose tokens are too wide',
    't2t_tiny',
    {
      t2t_layers: [
        [15, 1],
        [15, 1],
        [3, 1],
      ],
    },
    'ERR_CONFIG',
    't2t_layers',
  ],
  ['no class layers given', 'cait_tiny', { cls_depth: undefined }, 'ERR_CONFIG', 'cls_depth'],
  ['a key that this variant lacks', 'cait_tiny', { pool: 'mean' }, 'ERR_CONFIG', 'pool'],
  ['no classes, where a head is always there', 'deepvit_tiny', { num_classes: 0 }, 'ERR_CONFIG', 'num_classes'],
  ['frames that patches do not divide', 'vit_3d_tiny', { frames: 7 }, 'ERR_CONFIG', 'frame_patch_size'],
  ['rows that patches do not divide', 'vit_3d_tiny', { image_patch_size: 5 }, 'ERR_CONFIG', 'image_patch_size'],
  ['a width that has no sines', 'simple_vit_3d_tiny', { dim: 11 }, 'ERR_CONFIG', 'dim'],
  ['depths that differ', 'vivit_self', { spatial_depth: 2 }, 'ERR_CONFIG', 'temporal_depth'],
  ['a third variant', 'vivit_tiny', { variant: 'factorized_dot_product' }, 'ERR_CONFIG', 'variant'],
  ['padding beyond half a window of frames', 'cct_3d_tiny', { frame_pooling_padding: 1 }, 'ERR_CONFIG', []],
  ['no branches', 'parallel_vit_tiny', { num_parallel_branches: 0 }, 'ERR_CONFIG', 'num_parallel_branches'],
  ['patches that are not square', 'vit_for_small_dataset_tiny', { patch_size: [8, 4] }, 'ERR_CONFIG', 'patch_size'],
  [
    'nothing to merge into',
    'vit_with_patch_merger_tiny',
    { patch_merge_num_tokens: 0 },
    'ERR_CONFIG',
    'patch_merge_num_tokens',
  ],
  ['a list that is too short', 'mobile_vit_tiny', { dims: [8, 12] }, 'ERR_CONFIG', 'dims'],
  [
    'channels that do not fit',
    'mobile_vit_tiny',
    { channels: [4, 8, 8, 6, 8, 8, 6, 6, 8, 8, 16] },
    'ERR_CONFIG',
    'channels',
  ],
  [
    'blocks that do not divide the map',
    'nest_tiny',
    { num_hierarchies: 4, block_repeats: 1 },
    ['ERR_CONFIG'],
    'num_hierarchies',
  ],
  ['a picture that windows do not divide', 'twins_svt_tiny', { image_size: 20 }, 'ERR_CONFIG', 'image_size'],
  ['heads for another number of stages', 'sep_vit_tiny', { heads: [1, 2, 4] }, 'ERR_CONFIG', 'heads'],
  [
    'kernels that are no lists',
    'crossformer_tiny',
    { cross_embed_kernel_sizes: [4, 2, 2, 2] },
    'ERR_CONFIG',
    'cross_embed_kernel_sizes',
  ],
  [
    'a kernel below the stride',
    'crossformer_tiny',
    { cross_embed_kernel_sizes: [[2], [2], [2], [2]] },
    'ERR_CONFIG',
    'cross_embed_kernel_sizes',
  ],
  ['a side that is no multiple of 16', 'levit_tiny', { image_size: 40 }, 'ERR_CONFIG', 'image_size'],
  ['a picture that patches do not divide', 'tutorial_vit_tiny', { patch_size: 5 }, 'ERR_CONFIG', 'img_size'],
  ['heads that do not divide the width', 'tutorial_vit_tiny', { num_heads: 3 }, 'ERR_CONFIG', 'token_len'],
  ['a picture without channels', 'tutorial_vit_tiny', { img_size: [12, 20] }, 'ERR_CONFIG', 'img_size'],
  ['another patch than the transformer has', 'mpp_tiny', { patch_size: 8 }, 'ERR_CONFIG', 'patch_size'],
  ['more colours than can be told', 'mpp_tiny', { output_channel_bits: 8 }, 'ERR_CONFIG', 'channels'],
  ['a mean that is short of a channel', 'mpp_tiny', { mean: [0.5, 0.5] }, 'ERR_CONFIG', 'mean'],
  ['a mean that is no list', 'mpp_tiny', { std: 0.5 }, 'ERR_CONFIG', 'std'],
  ['a table that needs four columns', 'mp3_vit', { dim: 18 }, 'ERR_CONFIG', 'dim'],
  [
    'a key that MP3 lacks',
    'mp3_tiny',
    { vit: { ...tiny('mp3_tiny').config.vit, pool: 'mean' } },
    'ERR_CONFIG',
    'vit key "pool"',
  ],
  ['no encoder', 'mae_tiny', { encoder: undefined }, 'ERR_CONFIG', 'encoder'],
  ['an encoder that is no object', 'simmim_tiny', { encoder: 'vit' }, 'ERR_CONFIG', 'encoder'],
  [
    'a key that the encoder lacks',
    'mae_tiny',
    { encoder: { ...tiny('mae_tiny').config.encoder, depht: 2 } },
    'ERR_CONFIG',
    'depht',
  ],
  [
    'an encoder without width',
    'mae_tiny',
    { encoder: { ...tiny('mae_tiny').config.encoder, dim: undefined } },
    'ERR_CONFIG',
    'encoder key "dim"',
  ],
  ['everything hidden', 'mae_tiny', { masking_ratio: 1 }, 'ERR_CONFIG', 'masking_ratio'],
  ['nothing hidden', 'simmim_tiny', { masking_ratio: 0.05 }, 'ERR_CONFIG', '0 of 16'],
  ['a decoder without width', 'mae_tiny', { decoder_dim: undefined }, 'ERR_CONFIG', 'decoder_dim'],
  ['heads that do not divide a stage', 'gcvit_tiny', { num_heads: [1, 3] }, 'ERR_CONFIG', 'num_heads'],
  ['a stage without heads', 'gcvit_tiny', { num_heads: [1] }, 'ERR_CONFIG', 'num_heads'],
  ['windows that do not divide the map', 'gcvit_tiny', { window_size: [3, 2] }, 'ERR_CONFIG', 'window_size'],
  ['too few ratios', 'gcvit_tiny', { window_size: undefined, window_ratio: [8] }, 'ERR_CONFIG', 'window_ratio'],
  ['groups that do not divide the channels', 'involution_layer', { group_number: 4 }, 'ERR_CONFIG', 'group_number'],
  ['a stride that does not divide the picture', 'involution_layer', { stride: 4 }, 'ERR_CONFIG', 'stride'],
  [
    'nothing left between the convolutions',
    'involution_layer',
    { reduction_ratio: 6 },
    'ERR_CONFIG',
    'reduction_ratio',
  ],
  ['a key of the other network', 'involution_cnn', { kernel_size: 3 }, 'ERR_CONFIG', 'kernel_size'],
  ['a class that does not exist', 'spt_tiny', { class: 'STP' }, 'ERR_CONFIG', 'class'],
  ['a key of the whole model', 'spt_tiny', { depth: 2 }, 'ERR_CONFIG', 'depth'],
  ['a merger into nothing', 'patch_merger_tiny', { num_tokens_out: 0 }, 'ERR_CONFIG', 'num_tokens_out'],
  ['a probability above 1', 'vit_with_patch_dropout_tiny', { patch_dropout: 1.5 }, 'ERR_CONFIG', 'patch_dropout'],
  [
    'a jumbo layer beyond reason',
    'jumbo_vit_tiny',
    { jumbo_cls_k: 1024, jumbo_ff_mult: 64 },
    'ERR_CONFIG',
    'jumbo_ff_mult',
  ],
  ['a model of no layers', 'jumbo_vit_tiny', { depth: 0 }, 'ERR_CONFIG', 'depth'],
  ['pictures that are not square', 'rvt_tiny', { image_size: [12, 8] }, 'ERR_CONFIG', 'image_size'],
  ['heads whose numbers make no pairs', 'rvt_tiny', { dim_head: 7 }, 'ERR_CONFIG', 'dim_head'],
  [
    'a hidden layer that cannot be learned from',
    'dino_tiny',
    { hidden_layer: 'mlp_head' },
    'ERR_CONFIG',
    'hidden_layer',
  ],
  ['a network that cannot be taught', 'dino_tiny', { net: { arch: 'glom' } }, 'ERR_CONFIG', 'net key "arch"'],
  [
    'a network beside the keys of its wrapper',
    'dino_tiny',
    { net: 'vit' },
    'ERR_CONFIG',
    '"net" is missing; expected an object',
  ],
  ['an encoder of another kind', 'mae_tiny', { encoder: { arch: 'simple_vit' } }, 'ERR_CONFIG', 'encoder key "arch"'],
  [
    'pictures that the network inside does not take',
    'dino_tiny',
    { net: { ...tiny('dino_tiny').config.net, channels: 1 } },
    'ERR_CONFIG',
    'channels',
  ],
  [
    'a key of the network inside',
    'es_vit_tiny',
    { net: { ...tiny('es_vit_tiny').config.net, s4_depth: 1 } },
    'ERR_CONFIG',
    'net key "s4_depth"',
  ],
  ['a key of the student beside it', 'distill_tiny', { depth: 1 }, 'ERR_CONFIG', 'depth'],
  [
    'a student without classes',
    'distill_tiny',
    { student: { ...tiny('distill_tiny').config.student, num_classes: undefined } },
    'ERR_CONFIG',
    'student key "num_classes"',
  ],
  ['a temperature of 0', 'distill_tiny', { temperature: 0 }, 'ERR_CONFIG', 'temperature'],
  [
    'a kernel without a middle',
    'efficient_tiny',
    { attn_values_residual_conv_kernel: 4 },
    'ERR_CONFIG',
    'attn_values_residual_conv_kernel',
  ],
  ['a width of the MLP of another package', 'efficient_x_tiny', { mlp_dim: 32 }, 'ERR_CONFIG', 'mlp_dim'],
  [
    'small patches that do not divide the image',
    'look_vit_tiny',
    { highres_patch_size: 5 },
    'ERR_CONFIG',
    'highres_patch_size',
  ],
  [
    'small patches that are not smaller',
    'look_vit_tiny',
    { highres_patch_size: 8 },
    'ERR_CONFIG',
    'highres_patch_size',
  ],
  [
    'a convolution without a middle',
    'look_vit_tiny',
    { patch_conv_kernel_size: 4 },
    'ERR_CONFIG',
    'patch_conv_kernel_size',
  ],
  ['a factor that leaves nothing', 'look_vit_tiny', { highres_mlp_factor: 0.05 }, 'ERR_CONFIG', 'highres_mlp_factor'],
  ['a key of an option', 'glom_tiny', { iters: 3 }, 'ERR_CONFIG', 'iters'],
];

for (const [what, name, change, codes, parts] of CONFIGS) {
  test(`config: ${what}`, async () => {
    const golden = tiny(name);
    await refuses(file(golden, { config: { ...golden.config, ...change } }), codes, parts, what);
  });
}

test('config: an unknown architecture is named', async () => {
  await refuses(file(tiny('vit_tiny'), { arch: 'vitt' }), 'ERR_CONFIG', 'vitt', 'arch');
});

test('a file that is refused leaves nothing allocated behind', async () => {
  const { module } = await compile({ deterministic: true, fetch, signal: new AbortController().signal });
  const core = instantiate(module);
  const context = core.tsr_wasm_context_create(1);
  const heap = new Heap(core, context);
  const attempt = (bytes) =>
    heap.frame((frame) => {
      const loader = core.tsr_wasm_loader_create(context, 0, bytes.length);
      const failed = core.tsr_wasm_loader_feed(loader, frame.copy(bytes), bytes.length) !== 0;
      if (failed) core.tsr_wasm_loader_destroy(loader);
      const model = failed ? 0 : core.tsr_wasm_loader_finish(loader);
      if (model) core.tsr_wasm_model_destroy(model);
      core.tsr_wasm_context_clear(context);
      return Boolean(model);
    });
  const idle = core.tsr_wasm_context_bytes(context);
  assert.equal(attempt(file(tiny('vit_tiny'))), true, 'the good file loads');
  assert.equal(core.tsr_wasm_context_bytes(context), idle, 'after a model was destroyed');
  for (const [what, name, change] of CONFIGS) {
    const golden = tiny(name);
    assert.equal(attempt(file(golden, { config: { ...golden.config, ...change } })), false, what);
    assert.equal(core.tsr_wasm_context_bytes(context), idle, what);
  }
  for (const name of ['vit_tiny', 'cct_tiny', 'glom_tiny']) {
    const tensors = drawTensors(tiny(name));
    assert.equal(attempt(file(tiny(name), { tensors: tensors.slice(1) })), false);
    assert.equal(core.tsr_wasm_context_bytes(context), idle, `${name} without ${tensors[0].name}`);
    const whole = file(tiny(name));
    assert.equal(attempt(whole.subarray(0, whole.length - 1)), false);
    assert.equal(core.tsr_wasm_context_bytes(context), idle, `${name} cut short`);
  }
});
