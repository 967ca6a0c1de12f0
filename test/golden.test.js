// Every architecture against its reference, at tiny configurations with every tap, through the public API. Alone:
//   node --test test/golden.test.js      after `make wasm`; one case: --test-name-pattern=cct_tails
//
// The golden files come from scripts/parity/golden_models.py; make them again with
//   ~/.cache/tesserae/venv/bin/python scripts/parity/golden_models.py
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { F32_TOLERANCE, Q8_TOLERANCE, NOT_GIVEN, cases, check, run } from './parity/cases.js';
import { tapFaults } from './parity/golden.js';
import { drawInput, drawTensors } from './parity/weights.js';

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
    // a merger alone has no matrices; of some networks of batch norms all stay floats (src/graph/graph.h)
    const matrices = golden.tensors.some(([name, dims]) => name.endsWith('weight') && dims.length > 1);
    const floats = /^(efficient_former_v2|mobile_vit_v2|timm_levit|timm_mobile_vit|tiny_vit)_/.test(golden.name);
    if (!floats || !matrices) assert.equal(info.dtype, matrices ? 'q8' : 'f32');
    check(golden, 'output', output, Q8_TOLERANCE);
  });
}
