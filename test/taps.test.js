// What taps say of themselves, on the cases of test/golden/models: dims, grids, windows, prefix and suffix tokens, and
// what attention() and embed() make of them. Alone: node --test test/taps.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { F32_TOLERANCE, cases, tiny, difference, check, file, load, inputsOf, run } from './parity/cases.js';
import { floats } from './parity/golden.js';

test('taps carry what maps them back onto the picture', async () => {
  const { captures } = await run(tiny('vit_smaller_image'), 'f32', ['blocks.0.attn', 'blocks.0']);
  for (const name of ['blocks.0.attn', 'blocks.0']) {
    assert.deepEqual([captures[name].grid, captures[name].prefixTokens], [[2, 3], 1], name);
  }
  const cct = (await run(tiny('cct_two_convs'), 'f32', ['pool.weights'])).captures['pool.weights'];
  assert.deepEqual([cct.grid, cct.prefixTokens], [[3, 2], 0]);
});

test('every tap listed can be captured, and has the dims listed where the input does not decide them', async () => {
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
    ['timm_mobile_vit_tiny', 'stages.1.blocks.0.attn', [3, 3], { grid: [2, 2], spread: true }],
    ['mobile_vit_v2_tiny', 'stages.1.blocks.0.context_scores', [3, 3], { grid: [2, 2], spread: true }],
    ['crossformer_tiny', 'stages.0.blocks.0.short_attn', [2, 2], { grid: [4, 4], spread: false }],
    ['scalable_vit_tiny', 'stages.0.blocks.0.iwsa_attn', [4, 4], { grid: [2, 2], spread: false }],
    ['sep_vit_tiny', 'stages.0.blocks.0.attn', [7, 7], { grid: [2, 2], spread: false }],
    ['regionvit_tiny', 'stages.0.blocks.0.attn', [2, 2], { grid: [2, 2], spread: false }],
    ['swin_tiny', 'stages.0.blocks.0.attn', [4, 4], { grid: [2, 2], spread: false }],
    ['swin_tiny', 'stages.1.blocks.0.attn', [4, 4], null],
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

test('shifted windows, which go round the edges of the map, have no place on it', async () => {
  const { captures } = await run(tiny('swin_tiny'), 'f32', ['stages.0.blocks.1.attn']);
  const { dims, grid, windows } = captures['stages.0.blocks.1.attn'];
  assert.deepEqual([[...dims], grid, windows], [[8, 1, 16, 16], null, null]);
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
    message: new RegExp(
      String.raw`stages\.0\.blocks\.0\.attn is \[4,1,4,4\], stages\.1\.blocks\.0\.attn is \[1,2,4,4\]; ` +
        String.raw`ask for layers of one shape, or forward\(\) for these taps$`,
    ),
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

test('an embedding of two scales is both class tokens, of levels the mean over columns of the top one', async () => {
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
  // four patches, four registers
  const odd = { ...tiny('simple_vit_with_register_tokens_tiny'), inputs: { image: [1, 3, 16, 16] } };
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

test('tokens are sampled by splitmix64 of seed and layer, whatever the batch; other noise is refused', async () => {
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
