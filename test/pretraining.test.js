// Models that hide patches or have a teacher, and lists of images: masks, losses, updates, labels, on the cases of
// test/golden/models. Alone: node --test test/pretraining.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { F32_TOLERANCE, tiny, difference, check, file, load, inputsOf, run } from './parity/cases.js';
import { floats } from './parity/golden.js';
import { drawInput, drawTensors, safetensors } from './parity/weights.js';

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
  await assert.rejects(other.reconstruct(picture), {
    code: 'ERR_ARGUMENT',
    message: /vit gives logits, no picture; it has no decoder/,
  });
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

test('a teacher follows its student from run to run, its centers what a forward found last', async () => {
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

test('a list of images of many sizes runs in one pass, in order, as one by one; wrong ones are named', async () => {
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
