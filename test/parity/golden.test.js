// The comparison with golden files can fail: what it finds, and how small, on a result of the real core.
// And test/golden stays small.
// Alone: node --test test/parity/golden.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { floats, mismatch, tapFaults } from './golden.js';
import { drawInput, drawTensors, safetensors } from './weights.js';

const golden = JSON.parse(readFileSync(new URL('../golden/models/twins_svt_tiny.json', import.meta.url), 'utf8'));
const TOLERANCE = 1e-5; // as in test/parity/cases.js
const model = await loadModel(safetensors(drawTensors(golden), golden), { worker: false, dtype: 'f32' });
const image = { data: drawInput(golden.name, 'image', golden.inputs.image), dims: golden.inputs.image };
const { output, captures } = await model.forward(image, { capture: Object.keys(golden.taps) });
const listed = Object.keys((await model.forward(image, { capture: ['*'] })).captures);
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
  assert.equal(
    said(() => {}),
    '',
  );
});

test('one wrong value is found wherever it stands, from four times the tolerance on', () => {
  for (const error of [4e-5, -4e-5, NaN, Infinity]) {
    for (let i = 0; i < right.length; i++) {
      const found = said((data) => {
        data[i] += error * largest;
      });
      assert.match(found, new RegExp(`\\b${i}\\b.*: off by`), `${error} at ${i}`);
    }
  }
});

test('errors everywhere, as a wrong epsilon makes them, are found from one and a half times the tolerance on', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const wave = (/** @type {number} */ i) => Math.sin(i * i * seed); // at most 1, without order
    const found = said((data) =>
      data.forEach((_, i) => {
        data[i] += 1.5e-5 * largest * wave(i);
      }),
    );
    assert.notEqual(found, '', `seed ${seed}`);
  }
});

test('values in another order, other dims, a length that is too small are found', () => {
  assert.notEqual(
    said((data) => data.reverse()),
    '',
  );
  assert.notEqual(
    said((data) => data.set([data[1], data[0]])),
    '',
  );
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

test('a largest value that is wrong in the file, and so would allow anything, is found', () => {
  for (const [by, tolerance] of [
    [10, TOLERANCE],
    [1e6, TOLERANCE],
    [10, 0.1], // as for 8 bits
    [1e6, 0.1],
    [0.1, TOLERANCE],
    [1.0001, TOLERANCE],
  ]) {
    const tap = { ...golden.taps[SUMMED], largest: golden.taps[SUMMED].largest * by };
    const other = { ...golden, taps: { [SUMMED]: tap } };
    assert.match(mismatch(other, SUMMED, captures[SUMMED], tolerance), /the largest value is/, `${by}`);
  }
});

test('a tap that a file lacks or should not have, and a pattern without a tap, are found', () => {
  assert.deepEqual(tapFaults(golden, listed), []);
  for (const name of Object.keys(golden.taps)) {
    const { [name]: _, ...taps } = golden.taps;
    assert.deepEqual(tapFaults({ ...golden, taps }, listed), [`twins_svt_tiny: the file lacks the tap ${name}`]);
  }
  const left = listed.find((name) => !(name in golden.taps)) ?? '';
  assert.match(tapFaults({ ...golden, taps: { ...golden.taps, [left]: {} } }, listed).join(), /is no tap that/);
  assert.match(tapFaults({ ...golden, keep: [...golden.keep, 'blocks.?'] }, listed).join(), /no tap is blocks\.\?/);
});

const LIMIT = 2_000_000; // bytes of test/golden; scripts/parity/golden_models.py has the same
const ROOM = 50; // cases that must still fit

/**
 * What is wrong with the size of the golden files, '' if nothing is.
 * @param {number[]} models sizes of the files of test/golden/models, in bytes @param {number} others of all others
 */
function sizeFault(models, others) {
  const ours = models.reduce((all, bytes) => all + bytes, 0);
  const total = ours + others;
  const mean = ours / models.length;
  const mend = 'keep fewer taps of the largest cases (Case.keep, scripts/parity/references/), or use smaller inputs';
  if (total > LIMIT) return `test/golden has ${total} bytes of ${LIMIT}; ${mend}`;
  return total + ROOM * mean <= LIMIT
    ? ''
    : `test/golden has ${total} bytes of ${LIMIT}, no room for ${ROOM} more cases ` +
        `of ${Math.round(mean)} bytes; ${mend}`;
}

test('the golden files are small, and fifty more cases fit', (t) => {
  const folder = fileURLToPath(new URL('../golden/', import.meta.url));
  const files = readdirSync(folder, { recursive: true })
    .map(String)
    .map((name) => ({ name, stat: statSync(folder + name) }))
    .filter(({ stat }) => stat.isFile());
  const models = files.filter(({ name }) => name.startsWith('models/')).map(({ stat }) => stat.size);
  const others = files.filter(({ name }) => !name.startsWith('models/')).reduce((all, { stat }) => all + stat.size, 0);
  assert.ok(models.length > 100 && others > 0, 'the files were not found');
  t.diagnostic(`${models.reduce((all, bytes) => all + bytes, others)} bytes`);
  assert.equal(sizeFault(models, others), '');
});

test('files that are too large in all, or leave no room, are found', () => {
  assert.equal(sizeFault([6000, 4000], LIMIT - 10_000 - 50 * 5000), '');
  assert.match(sizeFault([6000, 4000], LIMIT - 10_000 - 50 * 5000 + 1), /no room for 50 more cases of 5000 bytes/);
  assert.match(sizeFault([6000, 4000], LIMIT), /of 2000000; keep fewer taps/);
});
