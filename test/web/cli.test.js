// The command line program, as a user runs it. Alone: node --test test/web/cli.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../helpers/make.js';
import { loadModel, version } from '../../web/index.js';
import { drawInput, drawTensors, safetensors } from '../parity/weights.js';
import { png } from './png.js';

const root = new URL('../../', import.meta.url);
const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
const labels = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
const FILE = safetensors(drawTensors(golden), { ...golden, labels });
let folder = '';
let model = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-cli-'));
  model = join(folder, 'm.safetensors');
  writeFileSync(model, FILE);
});
after(() => rmSync(folder, { recursive: true }));

/** @param {...string} args */
const cli = (...args) => run(process.execPath, [join(root.pathname, 'web/cli/cli.js'), ...args]);
const sample = (/** @type {string} */ name) => join(root.pathname, 'demos/samples', name);

test('help, version and what is not understood', async () => {
  const help = await cli('--help');
  assert.equal(help.code, 0);
  for (const word of ['classify', 'inspect', 'quantize', 'list', '--model', '--top', '--dtype', '--json', '--threads'])
    assert.ok(help.output.includes(word), word);
  assert.deepEqual(await cli('--version'), { code: 0, signal: null, output: `${version}\n` });
  assert.equal((await cli()).code, 2);
  for (const [args, message] of /** @type {[string[], RegExp][]} */ ([
    [['clasify', 'x'], /unknown command "clasify"; did you mean "classify"\?/],
    [['classify', 'x', '--modle', 'y'], /unknown flag "--modle"; did you mean "--model"\?/],
    [['classify'], /classify takes 1 name or more, got 0/],
    [['classify', 'x', '--top', 'many'], /--top is "many"/],
    [['classify', 'x', '--model'], /--model takes a value/],
    [['classify', 'x', '--json=yes'], /--json takes no value/],
    [['classify', 'x', '--scores', 'logits'], /--scores is "logits"; give softmax, sigmoid, raw/],
    [['list', '--top', '3'], /list takes no --top/],
    [['quantize', 'a', 'b', '--dtype', 'f32'], /--dtype is "f32"/],
  ])) {
    const { code, output } = await cli(...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(output, message);
  }
});

test('classify --attention draws the rollout, darkest where the map is highest', async () => {
  const { code, output } = await cli('classify', sample('cat_1.png'), '--model', model, '--top', '1', '--attention');
  assert.equal(code, 0, output);
  const loaded = await loadModel(model, { worker: false });
  const { map, grid } = await loaded.attention(sample('cat_1.png'), { rollout: true });
  await loaded.dispose();
  const [rows, columns] = /** @type {[number, number]} */ (grid);
  const lines = output
    .split('\n')
    .slice(1, 1 + rows)
    .map((line) => line.slice('cat_1.png  '.length).padEnd(2 * columns));
  map.forEach((value, i) => {
    const drawn = lines[Math.floor(i / columns)][2 * (i % columns)];
    if (value === Math.max(...map)) assert.equal(drawn, '█');
    if (value === Math.min(...map)) assert.equal(drawn, ' ');
  });
  assert.equal(output.split('\n').length, 1 + rows + 1);
  const json = JSON.parse(
    (await cli('classify', sample('cat_1.png'), '--model', model, '--json', '--attention')).output,
  );
  assert.deepEqual(json.attention.grid, grid);
  assert.deepEqual(Float32Array.from(json.attention.map), map);
});

test('classify --attention where layers cannot be multiplied: the last one', async () => {
  const cait = JSON.parse(readFileSync(new URL('test/golden/models/cait_tiny.json', root), 'utf8'));
  const file = join(folder, 'cait.safetensors');
  writeFileSync(file, safetensors(drawTensors(cait), cait));
  const { code, output } = await cli('classify', sample('cat_1.png'), '--model', file, '--json', '--attention');
  assert.equal(code, 0, output);
  const loaded = await loadModel(file, { worker: false });
  const { map, grid } = await loaded.attention(sample('cat_1.png'));
  await loaded.dispose();
  assert.deepEqual(
    [JSON.parse(output).attention.grid, Float32Array.from(JSON.parse(output).attention.map)],
    [grid, map],
  );
});

test('classify --attention where there is none to draw: the classes, and a line that says why', async () => {
  for (const [name, picture, why] of /** @type {[string, string, RegExp][]} */ ([
    [
      'involution_cnn',
      sample('cat_1.png'),
      /^tesserae: .*\(involution\): this architecture has no attention; here are the classes alone$/m,
    ],
    [
      'max_vit_odd',
      sample('cat_1.png'),
      /^tesserae: .*\(max_vit\): the last attention is no single map .*; here are the classes alone$/m,
    ],
    [
      'crossformer_odd',
      sample('cat_1.png'),
      /^tesserae: .*\(crossformer\): the last attention is no single map .*; here are the classes alone$/m,
    ],
  ])) {
    const one = JSON.parse(readFileSync(new URL(`test/golden/models/${name}.json`, root), 'utf8'));
    const file = join(folder, `${name}.safetensors`);
    writeFileSync(file, safetensors(drawTensors(one), one));
    const { code, output } = await cli('classify', picture, picture, '--model', file, '--top', '2', '--attention');
    assert.equal(code, 0, output);
    assert.equal(output.match(why)?.length, 1, output);
    assert.equal(output.match(/^tesserae: /gm)?.length, 1, output);
    assert.equal(output.match(/\d\.\d %/g)?.length, 4, output);
    const json = (await cli('classify', picture, '--model', file, '--json', '--attention')).output
      .split('\n')
      .filter((line) => line.startsWith('{'));
    assert.equal(JSON.parse(json[0]).attention, null);
    assert.ok(JSON.parse(json[0]).classes.length > 1);
  }
});

test('classify prints file, label, score and time; --json one object a picture', async () => {
  const { code, output } = await cli('classify', sample('cat_1.png'), '--model', model, '--top', '2');
  assert.equal(code, 0, output);
  const lines = output.trimEnd().split('\n');
  assert.equal(lines.length, 2);
  assert.match(lines[0], /^cat_1\.png +[a-z]+ +\d+\.\d % +\d+\.\d ms$/);
  const json = await cli(
    'classify',
    sample('cat_1.png'),
    sample('photo_cat.jpg'),
    '--model',
    model,
    '--json',
    '--dtype',
    'q8',
    '--threads',
    '1',
  );
  const answers = json.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(answers.length, 2);
  assert.equal(answers[0].classes.length, 5);
  assert.ok(answers[0].ms > 0);
});

test('classify --scores, and what a file says of its labels', async () => {
  const file = join(folder, 'scores.safetensors');
  const printed = async (/** @type {string | undefined} */ type, /** @type {string[]} */ ...flags) => {
    writeFileSync(file, safetensors(drawTensors(golden), { ...golden, labels, problem_type: type }));
    const { code, output } = await cli('classify', sample('cat_1.png'), '--model', file, ...flags);
    assert.equal(code, 0, output);
    return output.trimEnd().split('\n');
  };
  // of the outputs themselves, by the definitions; which outputs are right: test/web/wrapped.test.js
  const loaded = await loadModel(model, { worker: false });
  const { output } = await loaded.forward(await loaded.preprocess(sample('cat_1.png')));
  await loaded.dispose();
  const logits = [...output.data];
  const order = logits.map((_, i) => i).sort((a, b) => logits[b] - logits[a]);
  const percents = order.map((i) => `${(100 / (1 + Math.exp(-logits[i]))).toFixed(1)} %`);
  for (const lines of [
    await printed('multi_label_classification'),
    await printed(undefined, '--scores', 'sigmoid'),
    await printed('regression', '--scores', 'sigmoid'),
  ]) {
    assert.equal(lines.length, 5);
    lines.forEach((line, i) => assert.ok(line.includes(`${labels[order[i]]} `) && line.includes(percents[i]), line));
  }
  const numbers = await printed('regression');
  assert.equal(numbers.length, 10, 'all, in their order');
  numbers.forEach((line, i) => {
    assert.match(line, new RegExp(`${labels[i]} +${logits[i].toPrecision(5)}( +\\d+\\.\\d ms)?$`));
  });
  assert.equal((await printed('regression', '--top', '3')).length, 3);
  const raw = await printed(undefined, '--scores', 'raw', '--top', '10');
  raw.forEach((line, i) => assert.ok(line.includes(logits[order[i]].toPrecision(5)), line));
  const inspected = (await cli('inspect', file)).output;
  assert.match(inspected, /^output +logits \[1,10\], single_label_classification$/m);
});

test('--expect-from-name counts what has a class in its name', async () => {
  // the library's own answer names one file rightly, another wrongly
  const loaded = await loadModel(model, { worker: false });
  const [[{ label }]] = await loaded.classify([sample('cat_1.png')]);
  await loaded.dispose();
  const right = join(folder, `${label}_1.png`);
  const wrong = join(folder, `${labels.find((name) => name !== label)}_2.png`);
  const none = join(folder, 'photo_of_it.png');
  for (const path of [right, wrong, none]) copyFileSync(sample('cat_1.png'), path);
  const { code, output } = await cli(
    'classify',
    right,
    wrong,
    none,
    '--model',
    model,
    '--top',
    '1',
    '--expect-from-name',
  );
  assert.equal(code, 0, output);
  const lines = output.trimEnd().split('\n');
  assert.match(lines.at(-1) ?? '', /^classified 3 photos, 1 correct, median \d+\.\d ms$/);
  assert.ok(!lines[0].includes('expected'));
  assert.match(lines[1], /expected [a-z]+$/);
  assert.ok(!lines[2].includes('expected'));
  assert.match(lines[3], /^1 of them has no class/);
});

test('errors are words and exit code 1', async () => {
  for (const [args, message] of /** @type {[string[], RegExp][]} */ ([
    [['classify', 'none.png', '--model', model], /^tesserae: none\.png: ERR_ARGUMENT: cannot read the file/],
    [['classify', model, '--model', model], /ERR_IMAGE_FORMAT/],
    [['classify', sample('cat_1.png'), '--model', sample('cat_1.png')], /ERR_/],
    [['inspect', sample('README.md')], /^tesserae: ERR_FETCH_CONTENT_TYPE/],
    [['inspect', 'none'], /^tesserae: ERR_ARGUMENT: cannot open none/],
    [['quantize', 'none', join(folder, 'out')], /cannot open none/],
  ])) {
    const { code, output } = await cli(...args);
    assert.equal(code, 1, `${args.join(' ')}: ${output}`);
    assert.match(output, message);
    assert.equal(output.trimEnd().split('\n').length, 1, 'one line, no stack');
  }
});

test('inspect works from the header alone', async () => {
  const short = join(folder, 'short.safetensors');
  const end = 8 + Number(new DataView(FILE.buffer).getBigUint64(0, true));
  writeFileSync(short, FILE.subarray(0, end));
  const { code, output } = await cli('inspect', short);
  assert.equal(code, 0, output);
  for (const word of [
    'Vision Transformer (vit)',
    'blocks.0.attn',
    'pos_embedding',
    '"patch_size"',
    'airplane',
    'bytes are missing',
  ])
    assert.ok(output.includes(word), `${word} in\n${output}`);
  assert.ok(!(await cli('inspect', model)).output.includes('missing'));
  const json = JSON.parse((await cli('inspect', model, '--json')).output);
  assert.equal(json.parameters, golden.parameters);
  assert.equal(json.tensors.length, golden.tensors.length);
});

test('inspect says how taps lie on the picture, and what a run may be given besides', async () => {
  const shown = async (/** @type {string} */ name) => {
    const tiny = JSON.parse(readFileSync(new URL(`test/golden/models/${name}.json`, root), 'utf8'));
    const file = join(folder, `${name}.safetensors`);
    writeFileSync(file, safetensors(drawTensors(tiny), { arch: tiny.arch, config: tiny.config }));
    return (await cli('inspect', file)).output;
  };
  const video = await shown('vit_3d_tiny');
  assert.match(video, /^input +video \[1,3,8,12,8\], pictures cropped to 8 wide and 12 high, bilinear$/m);
  assert.match(video, /^  blocks\.0\.attn +attention +\[1,2,25,25\]  grid 4 x 3 x 2, 1 in front$/m);
  assert.match(
    await shown('simple_vit_with_register_tokens_tiny'),
    /^  tokens +tokens +\[1,8,16\] +grid 2 x 2, 4 behind$/m,
  );
  assert.match(
    await shown('crossformer_tiny'),
    /^  stages\.0\.blocks\.0\.long_attn +attention +\[4,1,16,16\]  grid 4 x 4 in each of 2 x 2 windows, spread$/m,
  );
  assert.match(await shown('glom_tiny'), /^inputs +besides, if given: levels\noptions +iters, return_all$/m);
  assert.match(await shown('na_vit_tiny'), /pictures of any shape, up to 24 wide and 16 high/);
});

test('inspect and quantize take what a wrapper saved, with shapes of older vit-pytorch', async () => {
  const wrapped = join(folder, 'wrapped.safetensors');
  const out = join(folder, 'wrapped_q8.safetensors');
  const tensors = drawTensors(golden).map((tensor) => ({
    ...tensor,
    name: `model._orig_mod.${tensor.name}`,
    shape: [1, ...tensor.shape],
  }));
  writeFileSync(wrapped, safetensors(tensors, { ...golden, labels }));
  const { code, output } = await cli('inspect', wrapped);
  assert.equal(code, 0, output);
  assert.match(output, /^prefix +model\._orig_mod\.$/m);
  assert.match(output, /^  model\._orig_mod\.cls_token +F32 +\[1,1,16\]/m);
  assert.ok(!(await cli('inspect', model)).output.includes('prefix'));
  const made = await cli('quantize', wrapped, out);
  assert.equal(made.code, 0, made.output);
  await cli('quantize', model, join(folder, 'plain_q8.safetensors'));
  const image = { data: drawInput('vit_tiny', 'image', golden.inputs.image), dims: golden.inputs.image };
  const outputOf = async (/** @type {string} */ path) => {
    const loaded = await loadModel(path, { worker: false });
    const { output: tensor } = await loaded.forward(image);
    await loaded.dispose();
    assert.deepEqual([loaded.info.dtype, loaded.info.unused], ['q8', []]);
    return tensor.data;
  };
  assert.deepEqual(await outputOf(out), await outputOf(join(folder, 'plain_q8.safetensors')));
});

test('a model of one channel takes pictures in colour, made grey as Pillow does it', async () => {
  const grey = JSON.parse(readFileSync(new URL('test/golden/models/tutorial_vit_tiny.json', root), 'utf8'));
  const config = { ...grey.config, num_classes: 3 };
  const tensors = drawTensors(grey).filter(({ name }) => !name.startsWith('head.'));
  const head = drawTensors({
    name: 'grey',
    tensors: [
      ['head.weight', [3, 16]],
      ['head.bias', [3]],
    ],
  });
  const file = join(folder, 'grey.safetensors');
  writeFileSync(
    file,
    safetensors([...tensors, ...head], { arch: grey.arch, config, preprocess: { mean: 0.25, std: 0.75 } }),
  );
  const colours = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [10, 200, 30],
    [250, 128, 3],
    [77, 77, 77],
    [1, 2, 250],
    [190, 20, 120],
  ];
  const levels = [76, 150, 29, 124, 150, 77, 30, 82]; // Pillow 13's convert('L') of these
  const at = (/** @type {number} */ i) => (i * i + 3 * i) % 8;
  const [width, height] = [20, 12];
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => colours[at(Math.floor(i / 3))][i % 3]);
  const loaded = await loadModel(file, { worker: false });
  const tensor = {
    data: Float32Array.from({ length: width * height }, (_, i) => (levels[at(i)] / 255 - 0.25) / 0.75),
    dims: [1, 1, height, width],
  };
  const expected = await loaded.classify(tensor);
  const near = (/** @type {any[]} */ got) =>
    got.forEach((item, i) => {
      assert.equal(item.index, expected[i].index);
      assert.ok(Math.abs(item.score - expected[i].score) < 1e-6, `${item.score}, expected ${expected[i].score}`);
    });
  near(await loaded.classify({ data: rgb, width, height, channels: 3 }));
  assert.ok(
    (await loaded.preprocess({ data: rgb, width, height, channels: 3 })).data.every(
      (value, i) => Math.abs(value - tensor.data[i]) < 1e-6,
    ),
  );
  const picture = join(folder, 'colours.png');
  writeFileSync(picture, png(width, height, width, rgb));
  const { code, output } = await cli('classify', picture, '--model', file, '--json', '--attention');
  assert.equal(code, 0, output);
  near(JSON.parse(output).classes);
  assert.deepEqual(JSON.parse(output).attention.grid, [3, 5]);
  await loaded.dispose();
});

test('list counts parameters and operations of every preset from its graph alone', async () => {
  const { code, output } = await cli('list');
  assert.equal(code, 0, output);
  assert.match(
    output,
    /^vit +Vision Transformer; Dosovitskiy.*\n +preset +parameters +multiply-adds +input\n( +\w+.*\n)* +vit_b_16 +86 543 080 +17 563 828 224 +\[1,3,224,224\]$/m,
  );
  const listed = JSON.parse((await cli('list', '--json')).output);
  let compared = 0;
  for (const { arch, presets } of listed) {
    const page = readFileSync(new URL(`../../docs/models/${arch}.md`, import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `(\w+)` \| \[[\d,]+\] \| ([\d,]+) \| ([\d,]+) \|$/gm)];
    const documented = new Map(
      rows.map(([, name, ...numbers]) => [name, numbers.map((number) => Number(number.replaceAll(',', '')))]),
    );
    assert.ok(
      presets.some((/** @type {any} */ { name }) => name === 'tiny'),
      arch,
    );
    for (const { name, parameters, operations, input } of presets) {
      assert.ok(parameters > 0 && operations > 0 && input.dims.length >= 2, `${arch} ${name}`);
      if (name === 'tiny') continue; // for tests alone
      assert.deepEqual(
        [parameters, operations],
        documented.get(name),
        `${arch} ${name}, and its row in docs/models/${arch}.md`,
      );
      compared++;
    }
  }
  assert.ok(compared > 100, `${compared} presets were found`);
});

test('quantize writes what dtype q8 makes in memory, and leaves nothing behind', async () => {
  const out = join(folder, 'q8.safetensors');
  const { code, output } = await cli('quantize', model, out);
  assert.equal(code, 0, output);
  assert.match(output, /tensors in 8 bits/);
  const image = { data: drawInput('vit_tiny', 'image', golden.inputs.image), dims: golden.inputs.image };
  const [made, live] = [
    await loadModel(out, { worker: false }),
    await loadModel(model, { worker: false, dtype: 'q8' }),
  ];
  assert.equal(made.info.dtype, 'q8');
  assert.deepEqual(made.info.labels, labels);
  assert.deepEqual(made.info.unused, []);
  assert.deepEqual((await made.forward(image)).output.data, (await live.forward(image)).output.data);
  await made.dispose();
  await live.dispose();
  const again = await cli('quantize', out, join(folder, 'twice.safetensors'));
  assert.equal(again.code, 1);
  assert.match(again.output, /no matrix to quantize/);
  const cut = join(folder, 'cut.safetensors');
  writeFileSync(cut, FILE.subarray(0, FILE.length - 1));
  assert.match((await cli('quantize', cut, join(folder, 'never.safetensors'))).output, /ERR_FETCH_TRUNCATED/);
  const left = readdirSync(folder).filter((name) => /part|twice|never/.test(name));
  assert.deepEqual(left, []);
});
