// Tiny checkpoints as transformers and timm write them, against what the libraries answered. Alone:
//   node --test test/web/hub_golden.test.js      after `make wasm`
//
// The golden files come from scripts/parity/hub_golden.py, which says what they hold.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { draw, uniform } from '../parity/weights.js';

const FOLDER = new URL('../golden/hub/', import.meta.url);
// sums in another order than the library's: 2e-6 is the most that was seen; a wrong eps shows from 1e-4 on
const TOLERANCE = 1e-5;
const product = (dims) => dims.reduce((a, b) => a * b, 1);

/** A safetensors file of drawn numbers. */
function fileOf({ name, tensors }) {
  const header = { __metadata__: { format: 'pt' } };
  const parts = [];
  let end = 0;
  for (const [key, shape] of tensors) {
    const bytes = new Uint8Array(draw(name, key, shape).buffer);
    header[key] = { dtype: 'F32', shape, data_offsets: [end, (end += bytes.length)] };
    parts.push(bytes);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return new Blob([length, text, ...parts]);
}

const cases = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(new URL(file, FOLDER))))
  .filter(({ tensors }) => tensors);

test('there are golden checkpoints', () => assert.ok(cases.length > 9));

for (const golden of cases) {
  test(`${golden.name}: as the library that wrote it`, async () => {
    const model = await loadModel(
      { 'config.json': new Blob([JSON.stringify(golden.config)]), 'model.safetensors': fileOf(golden) },
      { worker: false, threads: 1 },
    );
    const data = Float32Array.from(uniform(`${golden.name}/pixels`, product(golden.dims)));
    const { output } = await model.forward({ data, dims: golden.dims });
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
