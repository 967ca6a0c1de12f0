// The bench's judgement and its tables: wrong outputs are refused, threads that were not given are marked, pages keep what is theirs.
// Nothing is timed here, and neither the peer nor Python is needed. Run alone: node --test test/bench.test.js
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cellsOf, partOf, replacePart } from '../scripts/build/docs_marks.mjs';
import { compare, difference, judge, middle, spread } from '../scripts/bench/numbers.mjs';
import { section } from '../scripts/bench/scaling.mjs';
import { targets, targetTable } from '../scripts/bench/targets.mjs';
import { line, marks, report, share, summary } from '../scripts/bench/table.mjs';

test('medians and spreads', () => {
  assert.equal(middle([3, 1, 2]), 2);
  assert.equal(middle([4, 1, 3, 2]), 2.5);
  assert.equal(spread([1, 2, 3, 4, 5]), 1 / 3); // 2 to 4 around 3
  assert.equal(spread([7]), 0);
});

test('differences are relative to the largest value, and infinite where they cannot be', () => {
  assert.equal(difference([1, -4], [1, -5]), 0.2);
  assert.equal(difference([0, 0], [0, 0]), 0);
  for (const got of [[1], [], [1, NaN], [1, Infinity]]) assert.equal(difference(got, [1, 2]), Infinity, `${got}`);
  assert.equal(difference([], []), Infinity);
  assert.deepEqual(compare([[1, 2], [2, 1]], [[1, 2], [1, 2]]), { difference: 0.5, same: 1, of: 2 });
  assert.equal(compare([[1, 2]], [[1, 2], [1, 2]]).difference, Infinity);
});

test('wrong f32 outputs are refused', () => {
  const right = [[1, 2, 3], [3, 2, 1]];
  const bent = (/** @type {number} */ by) => [[1, 2 + by, 3], [3, 2, 1]];
  assert.deepEqual(judge('f32', { pytorch: right, peer: right, ours: right }).wrong, []);
  assert.deepEqual(judge('f32', { pytorch: right, peer: bent(0.001), ours: bent(-0.001) }).wrong, []);
  assert.equal(judge('f32', { pytorch: right, peer: right, ours: bent(0.01) }).wrong.length, 2);
  assert.match(judge('f32', { pytorch: bent(0.01), peer: right, ours: right }).wrong.join(), /PyTorch/);
  assert.match(judge('f32', { pytorch: right, peer: bent(0.01), ours: right }).wrong.join(), /peer/);
  assert.match(judge('f32', { pytorch: [[1, 1.0001]], peer: [[1, 1.0001]], ours: [[1.0001, 1]] }).wrong.join(), /winner/);
  assert.equal(judge('f32', { pytorch: right, peer: right, ours: [[1, 2, 3]] }).wrong.length, 3, 'one picture has no answer');
});

test("q8 may be off as far as the peer's int8 is, and a bit", () => {
  const off = (/** @type {number} */ by) => [[100, 50 + 100 * by]];
  const wrong = (/** @type {number} */ peer, /** @type {number} */ ours) => judge('q8', { pytorch: off(0), peer: off(peer), ours: off(ours) }).wrong.length;
  assert.equal(wrong(0.03, 0.05), 0);
  assert.equal(wrong(0.03, 0.07), 1);
  assert.equal(wrong(0, 0.015), 0);
  assert.equal(wrong(0, 0.03), 1);
});

/** @param {any} [change] @returns {any} */
function row({ ours, ...change } = {}) {
  const side = { cold: 100, first: 20, peak: 5e7, median: 10, min: 9, spread: 0.1, gops: 20, threads: 2 };
  const outputs = [[1, 2]];
  return {
    model: 'vit_ti', title: 'ViT-Ti', dtype: 'f32', threads: 2, engine: 'Node 24.1.0', turns: 9, ratio: 2, limit: 50, others: 0.01, peer: side,
    ours: { ...side, median: 5, gops: 40, memory: { peak: 2e6 }, weightsBytes: 1e6, fromF32: null, ...ours },
    judged: judge('f32', { pytorch: outputs, peer: outputs, ours: outputs }), build: 'abc', ...change,
  };
}

test('rows say what they are, and what was not as asked', () => {
  assert.equal(share(row()), 0.4);
  assert.equal(share(row({ limit: null })), null);
  assert.match(line(row()), /vit_ti +f32 2 threads .*2\.00x \(mins 1\.00x\).*40\.0 Gop\/s 40 % of the limit/);
  assert.deepEqual(marks(row()), []);
  assert.deepEqual(marks(row({ ours: { threads: 1 } })), ['ours had 1 of 2 threads']);
  assert.match(line(row({ ours: { threads: 1 } })), /\[ours had 1 of 2 threads\]/);
  assert.deepEqual(marks(row({ others: 0.3 })), ['30 % of the machine went to other programs']);
  assert.deepEqual(marks(row({ others: null })), []);
  const judged = judge('f32', { pytorch: [[1, 2]], peer: [[1, 2]], ours: [[2, 1]] });
  assert.match(line(row({ judged })), /WRONG/);
});

test('the report has a line for each row, with every column filled', () => {
  const cold = { cold: 70, first: 8, peak: 6e7 };
  const text = report([row(), row({ threads: 1, ours: { threads: 1 }, dtype: 'q8' }), row({ threads: 1, dtype: 'q8', ours: { fromF32: cold } })], { peer: '1.2.3' });
  assert.match(text, /onnxruntime-web 1\.2\.3/);
  assert.match(text, /^\| ViT-Ti \| f32 \| Node 24 \| 2 \| 100 \/ 100 \| 20 \/ 20 \| 10 \/ 5\.0 \|.*\*\*2\.00\*\* \|$/m);
  assert.match(text, /^\| ViT-Ti \| 70 \| 60 \| 2 \| 1 \| 2\.00 \|$/m);
  assert.match(report([row({ ours: { threads: 1 } })], { peer: '1' }), /^\\\* vit_ti f32, 2 threads.*ours had 1 of 2/m);
  assert.match(report([row(), row({ build: 'other' })], { peer: '1' }), /2 different builds/);
});

test('growth is told against one picture of 224, and what was not measured is left open', () => {
  const point = (/** @type {any} */ given) => ({ series: 'sides', dtype: 'f32', threads: 1, side: 224, batch: 1, operations: 2e9, median: 100, min: 90, activations: 2e6, runs: 5, ...given });
  const four = { side: 448, operations: 9e9, median: 500, activations: 8e6 };
  const text = section([point({}), point(four), point({ dtype: 'q8' }), point({ ...four, dtype: 'q8', median: 450 }), point({ series: 'batches' }), point({ series: 'batches', batch: 2, median: 210 })]);
  assert.match(text, /^\| 448 \| 4\.00x \| 9\.00 \(4\.50x\) \| 500 \(5\.00x\) \| 450 \(4\.50x\) \| 8\.0 \(4\.00x\) \| 8\.0 \(4\.00x\) \|$/m);
  assert.match(text, /^\| 2 \| 2\.00x \|.*\| 210 \(2\.10x\) \| - \|/m);
});

test('targets name the rows that miss them', () => {
  const rows = [row({ model: 'vit_b', ratio: 2.1 }), row({ model: 'vit_b', ratio: 1.9, threads: 1, ours: { threads: 1, median: 9.5 } }), row({ dtype: 'q8', ratio: 2.5 })];
  const found = Object.fromEntries(targets(rows, []).map(({ name, values }) => [name, values]));
  assert.deepEqual(found["f32 against the peer's f32"].filter(({ good }) => !good), [{ of: 'vit_b f32, 1 thread', value: 1.9, good: false }]);
  assert.deepEqual(found['2 threads over 1, ViT-S and ViT-B'], [{ of: 'vit_b f32, 1 thread', value: 1.9, good: true }]);
  assert.deepEqual(found['cold start, ViT-Ti q8, against the peer'].map(({ value, good }) => [value, good]), [[1, false]]);
  const text = targetTable(rows, []);
  assert.match(text, /^\| f32 against the peer's f32 \| 2\.00x \| 1\.90x to 2\.10x \| vit_b f32, 1 thread \(1\.90x\) \|$/m);
  assert.match(text, /^\| time, 4 times the pixels.* \| not yet \| - \|$/m);
});

test("README's figures are those of the table, and one that is missing is named", () => {
  const peer = { cold: 1500, first: 20, peak: 5e7, median: 60, min: 9, spread: 0.1, gops: 20, threads: 2 };
  const rows = [row({ title: 'ViT-S/16 at 224', engine: 'Node 24.21.0', threads: 1, ours: { threads: 1 } }),
    row({ title: 'ViT-Ti/16 at 224', dtype: 'q8', engine: 'Chromium 156.0.1', peer, ours: { cold: 200, median: 25 } })];
  const [head, , ...lines] = cellsOf(summary(report(rows, { peer: '1.2.3' })));
  const of = 'ViT-Ti/16 at 224, q8, Chromium 156, 2 threads';
  assert.deepEqual(head, ['milliseconds', 'onnxruntime-web 1.2.3', 'Tesserae', 'ratio']);
  assert.deepEqual(lines, [
    ['ViT-S/16 at 224, f32, Node 24, 1 thread: one image', '10', '5.0', '2.0'],
    [`${of}: one image`, '60', '25', '2.4'],
    [`${of}: from importing the module to the first answer`, '1500', '200', '7.5']]);
  assert.throws(() => summary(report(rows.slice(1), { peer: '1.2.3' })), /lacks the median of ViT-S/);
});

test('only what stands between the marks is replaced', () => {
  const page = 'a\n<!-- x: written by y -->\nold\n<!-- /x -->\nb\n';
  assert.equal(replacePart(page, 'x', 'new\n'), 'a\n<!-- x: written by y -->\nnew\n<!-- /x -->\nb\n');
  assert.equal(partOf(page, 'x'), 'old');
  assert.throws(() => replacePart(page, 'y', 'new'), /<!-- y: \.\.\. -->/);
  assert.throws(() => replacePart(page + page, 'x', 'new'), /one line <!-- x/);
  const own = readFileSync(new URL('../docs/performance.md', import.meta.url), 'utf8');
  for (const name of ['bench', 'scaling', 'kernels', 'targets']) {
    assert.equal(replacePart(own, name, partOf(own, name)), own);
  }
});
