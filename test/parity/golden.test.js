// The comparison with golden files can fail: what it finds, and how small, on a result of the real core.
// Alone: node --test test/parity/golden.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { floats, mismatch } from './golden.js';
import { drawInput, drawTensors, safetensors } from './weights.js';

const golden = JSON.parse(readFileSync(new URL('../golden/models/twins_svt_tiny.json', import.meta.url), 'utf8'));
const TOLERANCE = 1e-5; // as in test/golden.test.js
const model = await loadModel(safetensors(drawTensors(golden), golden), { worker: false, dtype: 'f32' });
const image = { data: drawInput(golden.name, 'image', golden.inputs.image), dims: golden.inputs.image };
const { output, captures } = await model.forward(image, { capture: Object.keys(golden.taps) });
await model.dispose();
const SUMMED = Object.keys(golden.taps).find((name) => golden.taps[name].sums?.length > 200) ?? '';
const { data: right, dims } = captures[SUMMED];
const largest = right.reduce((/** @type {number} */ most, /** @type {number} */ x) => Math.max(most, Math.abs(x)), 0);

/** What is said of a result with `change` applied to a copy. @param {(data: Float32Array) => void} change */
function said(change, tolerance = TOLERANCE) {
  const data = Float32Array.from(right);
  change(data);
  return mismatch(golden, SUMMED, { dims, data }, tolerance);
}

test('the result as it is agrees, kept whole or in sums', () => {
  assert.ok(right.length > 200 && output.data.length <= 64);
  assert.equal(mismatch(golden, 'output', output, TOLERANCE), '');
  assert.equal(said(() => {}), '');
});

test('one wrong value is found wherever it stands, from four times the tolerance on', () => {
  for (const error of [4e-5, -4e-5, NaN, Infinity]) {
    for (let i = 0; i < right.length; i++) {
      const found = said((data) => { data[i] += error * largest; });
      assert.match(found, new RegExp(`\\b${i}\\b.*: off by`), `${error} at ${i}`);
    }
  }
});

test('errors everywhere, as a wrong epsilon makes them, are found from one and a half times the tolerance on', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const wave = (/** @type {number} */ i) => Math.sin(i * i * seed); // at most 1, without order
    const found = said((data) => data.forEach((_, i) => { data[i] += 1.5e-5 * largest * wave(i); }));
    assert.notEqual(found, '', `seed ${seed}`);
  }
});

test('values in another order, other dims, a length that is too small are found', () => {
  assert.notEqual(said((data) => data.reverse()), '');
  assert.notEqual(said((data) => data.set([data[1], data[0]])), '');
  const others = [dims[0] * 2, dims[1] / 2, ...dims.slice(2)];
  assert.match(mismatch(golden, SUMMED, { dims: others, data: right }, TOLERANCE), /has dims/);
  assert.match(mismatch(golden, SUMMED, { dims, data: right.subarray(1) }, TOLERANCE), /values, expected/);
});

test('a file that is cut short is no agreement', () => {
  const cut = { ...golden, taps: { [SUMMED]: { ...golden.taps[SUMMED], sums: '' } } };
  assert.match(mismatch(cut, SUMMED, captures[SUMMED], TOLERANCE), /cut short/);
  const empty = { ...golden, output: { ...golden.output, data: '' } };
  assert.match(mismatch(empty, 'output', output, TOLERANCE), /cut short/);
});

test('what is kept whole is compared value by value', () => {
  for (let i = 0; i < output.data.length; i++) {
    const data = Float32Array.from(output.data);
    data[i] += 1.3e-5 * floats(golden.output).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    assert.match(mismatch(golden, 'output', { dims: output.dims, data }, TOLERANCE), new RegExp(`value ${i} is`));
  }
});
