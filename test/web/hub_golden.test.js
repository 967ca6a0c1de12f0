// Tiny checkpoints as transformers and timm write them, against what the libraries answered. Alone:
//   node --test test/web/hub_golden.test.js      after `make wasm`
//
// The golden files come from scripts/parity/hub_golden.py, which says what they hold.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { check, F32_TOLERANCE, inputsOf, tiny } from '../parity/cases.js';
import { uniform } from '../parity/weights.js';
import { tensorsFile } from './checkpoints.js';

const FOLDER = new URL('../golden/hub/', import.meta.url);
// sums in another order than the library's: 2e-6 is the most that was seen; a wrong eps shows from 1e-4 on
const TOLERANCE = 1e-5;
const product = (dims) => dims.reduce((a, b) => a * b, 1);

const cases = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, FOLDER))))
  .filter(({ tensors }) => tensors);

test('there are golden checkpoints', () => assert.ok(cases.length > 9));

for (const golden of cases) {
  test(`${golden.name}: as the library that wrote it`, async () => {
    const model = await loadModel(
      {
        'config.json': new Blob([JSON.stringify(golden.config)]),
        'model.safetensors': new Blob([tensorsFile(golden.name, golden.tensors, () => undefined)]),
      },
      { worker: false, threads: 1 },
    );
    const data = Float32Array.from(uniform(`${golden.name}/pixels`, product(golden.dims)));
    const { mask } = golden;
    const inputs = mask && { mask: { data: Float32Array.from(mask), dims: [1, mask.length] } };
    const { output } = await model.forward({ data, dims: golden.dims }, { inputs });
    assert.equal(output.data.length, golden.expected.length);
    const top = Math.max(...golden.expected.map(Math.abs));
    const off = golden.expected.map((value, i) => Math.abs(value - output.data[i]) / top);
    assert.ok(Math.max(...off) < TOLERANCE, `off by ${Math.max(...off)} of the largest value`);
    assert.equal(model.info.output.kind, golden.kind);
    if (golden.kind === 'logits' && golden.config.id2label) {
      for (const [index, label] of Object.entries(golden.config.id2label))
        assert.equal(model.info.labels[index], label);
    }
    await model.dispose();
  });
}

for (const name of ['gcvit_tiny', 'gcvit_odd'])
  test(`${name}, whose weights have timm's names, as a folder of timm's`, async () => {
    const reference = tiny(name);
    // what shapes do not tell
    const { img_size, window_size, window_ratio } = reference.config;
    const config = { architecture: 'gcvit_xxtiny', model_args: { img_size, window_size, window_ratio } };
    for (const headless of [false, true]) {
      const tensors = reference.tensors.filter(([tensor]) => !headless || !tensor.startsWith('head.'));
      const model = await loadModel(
        {
          'config.json': new Blob([JSON.stringify(config)]),
          'model.safetensors': new Blob([tensorsFile(name, tensors)]),
        },
        { worker: false, threads: 1 },
      );
      const { output } = await model.forward(...inputsOf(reference));
      check(reference, headless ? 'embedding' : 'output', output, F32_TOLERANCE);
      assert.deepEqual([model.info.output.kind, model.info.unused], [headless ? 'embedding' : 'logits', []]);
      await model.dispose();
    }
  });

test("the size of Swin's windows follows its config, not the preprocessing's size", async () => {
  const block = 'swin.encoder.layers.0.blocks.0';
  const linear = (name, rows, columns) => [
    [`${name}.weight`, [rows, columns]],
    [`${name}.bias`, [rows]],
  ];
  const norm = (name) => ['weight', 'bias'].map((end) => [`${name}.${end}`, [8]]);
  const tensors = [
    ['swin.embeddings.patch_embeddings.projection.weight', [8, 3, 4, 4]],
    ['swin.embeddings.patch_embeddings.projection.bias', [8]],
    ...norm('swin.embeddings.norm'),
    ...norm(`${block}.layernorm_before`),
    ...norm(`${block}.layernorm_after`),
    ...['query', 'key', 'value'].flatMap((one) => linear(`${block}.attention.self.${one}`, 8, 8)),
    [`${block}.attention.self.relative_position_bias_table`, [49, 1]],
    ...linear(`${block}.attention.output.dense`, 8, 8),
    ...linear(`${block}.intermediate.dense`, 32, 8),
    ...linear(`${block}.output.dense`, 8, 32),
    ...norm('swin.layernorm'),
    ...linear('classifier', 3, 8),
  ];
  const config = {
    model_type: 'swin',
    image_size: 32,
    patch_size: 4,
    embed_dim: 8,
    depths: [1],
    num_heads: [1],
    window_size: 4,
  };
  const json = (value) => new Blob([JSON.stringify(value)]);
  const model = await loadModel(
    {
      'config.json': json(config),
      'preprocessor_config.json': json({ image_processor_type: 'ViTImageProcessor', size: { height: 48, width: 48 } }),
      'model.safetensors': new Blob([tensorsFile('swin', tensors)]),
    },
    { worker: false, threads: 1 },
  );
  assert.deepEqual([model.info.config.image_size, model.info.preprocess.size], [32, [48, 48]]);
  await model.dispose();
});
