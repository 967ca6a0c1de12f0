// Files as other programs saved them: shapes of older vit-pytorch, names behind the prefix of a wrapper, names of other
// libraries, labels that do not exclude each other. Expected values are PyTorch's, from the golden cases.
// Alone: node --test test/web/wrapped.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, F32_TOLERANCE, file, inputsOf, load, tiny } from '../parity/cases.js';
import { floats } from '../parity/golden.js';
import { drawTensors, safetensors } from '../parity/weights.js';

/** The case's tensors, each as `change` makes it. @param {string} name @param {(tensor: any) => any} change */
const changed = (name, change) => drawTensors(tiny(name)).map((tensor) => ({ ...tensor, ...change(tensor) }));
/** @param {string} prefix */
const behind =
  (prefix) =>
  (/** @type {any} */ { name }) => ({ name: `${prefix}${name}` });

/** Loads the case's tensors as they are given, and gives its output. */
async function outputOf(/** @type {string} */ name, /** @type {any[]} */ tensors, dtype = 'f32') {
  const golden = tiny(name);
  const model = await load(file(golden, { tensors }), { dtype });
  const [image, inputs] = inputsOf(golden);
  const { output } = await model.forward(image, { options: golden.options, inputs });
  await model.dispose();
  return { output, info: model.info };
}

// What vit-pytorch 1.16.0 saved with one dim more than 1.26, in DistillWrapper, Dino and the networks inside.
const LONGER = /(^|\.)(cls_token|pos_embedding|distillation_token)$/;

for (const name of ['vit_tiny', 'distillable_vit_tiny', 'distill_tiny', 'dino_tiny']) {
  test(`${name}: as vit-pytorch 1.16 saved it, and with dims of 1 in front of every shape`, async () => {
    for (const which of [LONGER, /^/]) {
      const tensors = changed(name, (tensor) => ({
        shape: which.test(tensor.name) ? [1, ...tensor.shape] : tensor.shape,
      }));
      assert.ok(
        tensors.some(({ shape }) => shape.length === 3),
        'there are some',
      );
      const { output, info } = await outputOf(name, tensors);
      check(tiny(name), 'output', output, F32_TOLERANCE);
      assert.equal(info.prefix, '');
      const plain = await outputOf(name, drawTensors(tiny(name)), 'q8');
      assert.deepEqual((await outputOf(name, tensors, 'q8')).output, plain.output);
    }
  });
}

test('a dim of 1 elsewhere, or another dim, is another shape', async () => {
  for (const [name, shape] of /** @type {[string, number[]][]} */ ([
    ['mlp_head.bias', [10, 1]],
    ['pos_embedding', [5, 1, 16]],
    ['pos_embedding', [2, 5, 8]],
    ['transformer.norm.weight', [2, 8]],
  ])) {
    const tensors = changed('vit_tiny', (tensor) => (tensor.name === name ? { shape } : {}));
    await assert.rejects(load(file(tiny('vit_tiny'), { tensors })), (/** @type {any} */ error) => {
      assert.equal(error.code, 'ERR_MODEL_TENSOR_SHAPE', error.message);
      assert.ok(error.message.includes(`"${name}" is [${shape}]`), error.message);
      return true;
    });
  }
});

test('vit-pytorch before 1.0, whose patch embedding has no norms, is named', async () => {
  // Linear, not LayerNorm, is module 1 of the embedding there; names of 0.40.2
  const bytes = new Uint8Array(4 * 16 * 192);
  const linear = { name: 'to_patch_embedding.1.weight', dtype: 'F32', shape: [16, 192], bytes };
  const bias = { name: 'to_patch_embedding.1.bias', dtype: 'F32', shape: [16], bytes: bytes.subarray(0, 64) };
  const rest = drawTensors(tiny('vit_tiny')).filter(({ name }) => !name.startsWith('to_patch_embedding'));
  for (const prefix of ['', 'module.']) {
    const tensors = [linear, bias, ...rest].map((tensor) => ({ ...tensor, ...behind(prefix)(tensor) }));
    await assert.rejects(load(file(tiny('vit_tiny'), { tensors })), {
      code: 'ERR_MODEL_TENSOR_SHAPE',
      message: new RegExp(
        `: tensor "${prefix}to_patch_embedding.1.weight" is \\[16,192\\] in the file, the config ` +
          'asks for \\[192\\]; vit-pytorch before 1\\.0 had no norm there: train the model with a newer one$',
      ),
    });
  }
});

for (const name of ['vit_tiny', 'dino_tiny', 'cct_tiny']) {
  test(`${name}: behind the prefix of a wrapper`, async () => {
    const plain = await outputOf(name, drawTensors(tiny(name)), 'q8');
    for (const prefix of ['module.', '_orig_mod.', 'model.', 'model._orig_mod.', 'model.module._orig_mod.', 'ö.']) {
      const tensors = changed(name, behind(prefix));
      // AveragedModel and EMA keep a counter of their own beside the weights
      const counter = { name: 'n_averaged', dtype: 'I64', shape: [], bytes: new Uint8Array(8) };
      const { output, info } = await outputOf(name, [counter, ...tensors]);
      check(tiny(name), 'output', output, F32_TOLERANCE);
      assert.equal(info.prefix, prefix);
      assert.equal(info.parameters, tiny(name).parameters);
      assert.deepEqual(info.unused, ['n_averaged', ...plain.info.unused.map((path) => prefix + path)]);
      assert.deepEqual((await outputOf(name, tensors, 'q8')).output, plain.output);
    }
  });
}

test('several copies: refused with their prefixes; the metadata says which', async () => {
  const golden = tiny('vit_tiny');
  const ours = changed('vit_tiny', behind('ema_model.'));
  const others = changed('vit_tiny', ({ bytes }) => ({
    bytes: new Uint8Array(new Float32Array(bytes.slice().buffer).map((x) => -0.5 * x).buffer),
  }));
  const theirs = others.map((tensor) => ({ ...tensor, name: `online_model.${tensor.name}` }));
  const twice = (/** @type {any} */ more) =>
    safetensors([...ours, ...theirs], { arch: golden.arch, config: golden.config, ...more });
  await assert.rejects(load(twice({})), {
    code: 'ERR_CONFIG',
    stage: 'model',
    message:
      'ERR_CONFIG: the file has the model\'s weights 2 times, behind "ema_model.", "online_model."; ' +
      'say which to take in __metadata__.tesserae: "prefix": "ema_model."',
  });
  const [image] = inputsOf(golden);
  const model = await load(twice({ prefix: 'ema_model.' }), { dtype: 'f32' });
  check(golden, 'output', (await model.forward(image)).output, F32_TOLERANCE);
  assert.equal(model.info.prefix, 'ema_model.');
  assert.deepEqual(
    model.info.unused,
    theirs.map(({ name }) => name),
  );
  await model.dispose();
  const second = await load(twice({ prefix: 'online_model.' }), { dtype: 'f32' });
  assert.deepEqual((await second.forward(image)).output, (await outputOf('vit_tiny', others)).output);
  assert.equal(second.info.prefix, 'online_model.');
  await second.dispose();
  await assert.rejects(load(twice({ prefix: 'ema.' })), {
    code: 'ERR_MODEL_TENSOR_MISSING',
    message: /^ERR_MODEL_TENSOR_MISSING: tensor "ema\.\w+.* among them ema_model\./,
  });
});

test('the whole of a learner, for the bare network: both of its networks are named', async () => {
  const dino = tiny('dino_tiny');
  const { arch, ...config } = dino.config.net;
  const about = { arch, config };
  await assert.rejects(load(safetensors(drawTensors(dino), about)), {
    code: 'ERR_CONFIG',
    message: /2 times, behind "net\.", "teacher_encoder\.net\."; .* "prefix": "net\."$/,
  });
  const student = await load(safetensors(drawTensors(dino), { ...about, prefix: 'net.' }));
  assert.equal(student.info.prefix, 'net.');
  assert.ok(student.info.unused.includes('teacher_encoder.net.mlp_head.bias'));
  await student.dispose();
  // of two that differ in their shapes it takes the one that the config fits
  const pair = [...changed('dino_tiny', behind('teacher.')), ...changed('vit_tiny', behind('student.'))];
  const nets = pair.map((tensor) => ({ ...tensor, name: tensor.name.replace('teacher.net.', 'teacher.') }));
  const { output, info } = await outputOf('vit_tiny', nets);
  check(tiny('vit_tiny'), 'output', output, F32_TOLERANCE);
  assert.equal(info.prefix, 'student.');
});

test('names of other libraries are said to be', async () => {
  const bytes = new Uint8Array(4);
  const holding = (/** @type {string[]} */ ...names) =>
    file(tiny('vit_tiny'), { tensors: names.map((name) => ({ name, dtype: 'F32', shape: [1], bytes })) });
  for (const [library, ...names] of [
    ['timm', 'cls_token', 'pos_embed', 'patch_embed.proj.weight', 'blocks.0.attn.qkv.weight', 'head.weight'],
    ['transformers', 'vit.embeddings.cls_token', 'vit.embeddings.patch_embeddings.projection.weight'],
    ['transformers', 'vision_model.embeddings.patch_embedding.weight'],
  ]) {
    await assert.rejects(load(holding(...names)), {
      code: 'ERR_MODEL_TENSOR_MISSING',
      message: new RegExp(`these are names of ${library}: load its folder with config\\.json instead$`),
    });
  }
  await assert.rejects(load(holding('transformer.layers.0.0.fn.to_qkv.weight')), /vit-pytorch before 1\.4/);
  // gcvit's own names are timm's: there a file that lacks one has lost it
  const gcvit = tiny('gcvit_tiny');
  await assert.rejects(load(file(gcvit, { tensors: drawTensors(gcvit).slice(1) })), /does the config belong to it\?$/);
});

// ---- scores ----

const sigmoid = (/** @type {number} */ x) => 1 / (1 + Math.exp(-x));
/** PyTorch's logits of the case's first picture. */
const LOGITS = [...floats(tiny('vit_tiny').output).slice(0, 10)];

/** The list that classify gives for the first picture. */
async function listOf(/** @type {any[]} */ tensors, /** @type {any} */ about, /** @type {any} */ options) {
  const golden = tiny('vit_tiny');
  const [{ data, dims }] = inputsOf(golden);
  const model = await load(safetensors(tensors, { arch: 'vit', config: golden.config, ...about }), { dtype: 'f32' });
  const [, ...rest] = dims;
  const one = {
    data: data.slice(
      0,
      rest.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b),
    ),
    dims: [1, ...rest],
  };
  const list = await model.classify(one, options);
  await model.dispose();
  return { list, info: model.info };
}

/** @param {any[]} list @param {number[]} want scores by index */
function scored(list, want) {
  for (const { index, score } of list)
    assert.ok(Math.abs(score - want[index]) < 1e-5, `${index}: ${score}, expected ${want[index]}`);
}

test('one output is a sigmoid of it, not 1 for every picture', async () => {
  // the head's first row alone: its logit is the first of the golden ten
  const tensors = changed('vit_tiny', ({ name, shape, bytes }) =>
    name.startsWith('mlp_head')
      ? { shape: [1, ...shape.slice(1)], bytes: bytes.slice(0, name.endsWith('bias') ? 4 : 64) }
      : {},
  );
  const config = { ...tiny('vit_tiny').config, num_classes: 1 };
  const { list, info } = await listOf(tensors, { config, labels: ['cat'] }, {});
  assert.equal(info.problem_type, 'multi_label_classification');
  assert.equal(list.length, 1);
  assert.equal(list[0].label, 'cat');
  scored(list, [sigmoid(LOGITS[0])]);
  const number = await listOf(tensors, { config, problem_type: 'regression' }, {});
  assert.equal(number.info.problem_type, 'regression');
  scored(number.list, [LOGITS[0]]);
});

test('several labels at once, and a regression: the file says so, an option overrides', async () => {
  const tensors = drawTensors(tiny('vit_tiny'));
  const labels = LOGITS.map((_, i) => `label ${i}`);
  const order = LOGITS.map((_, i) => i).sort((a, b) => LOGITS[b] - LOGITS[a]);
  const exps = LOGITS.map((x) => Math.exp(x));
  const softmax = exps.map((x) => x / exps.reduce((a, b) => a + b, 0));
  const want = { softmax, sigmoid: LOGITS.map(sigmoid), raw: LOGITS };
  for (const [type, own] of /** @type {[string | undefined, 'softmax' | 'sigmoid' | 'raw'][]} */ ([
    [undefined, 'softmax'],
    ['single_label_classification', 'softmax'],
    ['multi_label_classification', 'sigmoid'],
    ['regression', 'raw'],
  ])) {
    for (const scores of [undefined, 'softmax', 'sigmoid', 'raw']) {
      const { list, info } = await listOf(tensors, { problem_type: type, labels }, { scores });
      assert.equal(info.problem_type, type ?? 'single_label_classification');
      scored(list, want[/** @type {'raw'} */ (scores ?? own)]);
      const inOrder = type === 'regression' && (scores ?? own) === 'raw';
      assert.deepEqual(
        list.map(({ index }) => index),
        inOrder ? LOGITS.map((_, i) => i) : order.slice(0, 5),
        `${type} ${scores}`,
      );
      assert.equal(list[0].label, labels[list[0].index]);
    }
  }
  await assert.rejects(listOf(tensors, { problem_type: 'multi_label' }, {}), {
    code: 'ERR_CONFIG',
    message: /key "problem_type" is multi_label; expected one of 'single_label_classification'/,
  });
});
