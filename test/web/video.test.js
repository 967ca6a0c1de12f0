// Models that take video, through the public API and the command line: what is one clip, what are several, and what is neither.
// Alone: node --test test/web/video.test.js (after `make wasm`). A <video> element: test/browser/video.test.js
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { run } from '../helpers/make.js';
import { drawTensors, safetensors } from '../parity/weights.js';
import { png } from './png.js';

const root = new URL('../../', import.meta.url);
const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_3d_tiny.json', root), 'utf8'));
const [F, H, W] = [8, 12, 8];
const FILE = safetensors(drawTensors(golden), { ...golden, labels: ['a', 'b', 'c', 'd', 'e'] });

/** Frame `f` of a clip: bytes that no other frame has. */
const rgb = (/** @type {number} */ f) => Uint8Array.from({ length: 3 * H * W }, (_, i) => (37 * f + 11 * i + (i % 3) * f * f) % 256);
const frames = Array.from({ length: F }, (_, f) => ({ data: rgb(f), width: W, height: H }));
/** The same as a tensor: (x / 255 - 0.5) / 0.5 without a preprocess in the file. */
const tensor = {
  dims: [1, 3, F, H, W],
  data: Float32Array.from({ length: 3 * F * H * W }, (_, i) => {
    const [pixel, f, c] = [i % (H * W), Math.floor(i / (H * W)) % F, Math.floor(i / (F * H * W))];
    return (rgb(f)[3 * pixel + c] / 255 - 0.5) / 0.5;
  }),
};

/** @type {import('../../web/model.js').Model} */
let model;
before(async () => { model = await loadModel(FILE, { worker: false }); });
after(() => model.dispose());

test('info says what the video is, and taps have frames in front', () => {
  assert.deepEqual(model.info.input, { name: 'video', dims: [1, 3, F, H, W], list: false });
  const of = (/** @type {string} */ name) => model.info.taps.find((tap) => tap.name === name);
  assert.deepEqual([of('blocks.0.attn').grid, of('blocks.0.attn').prefix_tokens], [[4, 3, 2], 1]);
  assert.deepEqual(of('patch_embed').dims, [1, 24, 8]);
});

test('an array of pictures is one clip, and the tensor that they make', async () => {
  const want = (await model.forward(tensor)).output;
  const got = (await model.forward(/** @type {any} */ (frames))).output;
  assert.deepEqual(got.dims, [1, 5]);
  got.data.forEach((value, i) => assert.ok(Math.abs(value - want.data[i]) < 1e-5, `${value}, expected ${want.data[i]}`));
  const reversed = (await model.forward(/** @type {any} */ (frames.toReversed?.() ?? [...frames].reverse()))).output;
  assert.notDeepEqual(reversed.data, got.data, 'the order of frames counts');
  const files = frames.map((frame) => new Uint8Array(png(W, H, W, frame.data)));
  assert.deepEqual((await model.forward(/** @type {any} */ (files))).output, got, 'of files');
  assert.deepEqual((await model.embed(/** @type {any} */ (frames))).dims, [1, 8]);
});

test('attention has a map of cells in space and time', async () => {
  const { dims, grid, prefixTokens, map } = await model.attention(/** @type {any} */ (frames));
  assert.deepEqual([dims, grid, prefixTokens, map.length], [[1, 1, 25, 25], [4, 3, 2], 1, 24]);
});

test('attention within frames and across them says which is which', async () => {
  const of = (/** @type {string} */ name) => JSON.parse(readFileSync(new URL(`test/golden/models/${name}.json`, root), 'utf8'));
  const clip = { data: new Float32Array(3 * 6 * 8 * 12).map((_, i) => Math.sin(i)), dims: [1, 3, 6, 8, 12] };
  const vivit = await loadModel(safetensors(drawTensors(of('vivit_tiny')), of('vivit_tiny')), { worker: false });
  const spatial = await vivit.attention(clip, { layers: 0 });
  assert.deepEqual([spatial.dims, spatial.grid, spatial.windows, spatial.prefixTokens], [[1, 3, 1, 7, 7], [1, 2, 3], { grid: [3, 1, 1], spread: false }, 1]);
  const temporal = await vivit.attention(clip);
  assert.deepEqual([temporal.dims, temporal.grid, temporal.windows, temporal.map.length], [[1, 1, 4, 4], [3, 1, 1], null, 3], 'a value a frame');
  await vivit.dispose();
  const other = await loadModel(safetensors(drawTensors(of('vivit_self_mean')), of('vivit_self_mean')), { worker: false });
  const places = await other.attention({ data: clip.data.subarray(0, 576), dims: [1, 1, 6, 8, 12] });
  assert.deepEqual([places.dims, places.grid, places.windows], [[1, 6, 1, 3, 3], [3, 1, 1], { grid: [1, 2, 3], spread: false }]);
  await other.dispose();
});

test('an array of arrays or tensors is several clips', async () => {
  const [one, two] = [await model.classify(/** @type {any} */ (frames)), await model.classify(tensor)];
  assert.deepEqual(await model.classify(/** @type {any} */ ([frames, frames])), [one, one]);
  assert.deepEqual(await model.classify([tensor, tensor]), [two, two]);
});

test('a wrong number of frames says how many are right', async () => {
  await assert.rejects(model.classify(/** @type {any} */ (frames.slice(1))), { code: 'ERR_ARGUMENT', message: /expected 8 frames, given 7/ });
  await assert.rejects(model.classify(/** @type {any} */ ([])), /expected 8 frames, given 0/);
  await assert.rejects(model.classify(frames[0]), /expected 8 frames, given 1/);
  await assert.rejects(model.classify(/** @type {any} */ (frames), { frames: 4 }), /expected 4 frames, given 8/);
  await assert.rejects(model.classify({ data: new Float32Array(3 * 10 * H * W), dims: [1, 3, 10, H, W] }), {
    code: 'ERR_SHAPE', message: /10 frames of 12 x 8 give 31 tokens; this model takes at most 25, as of 8 frames of 12 x 8/ });
  await assert.rejects(model.classify({ data: new Float32Array(3 * 7 * H * W), dims: [1, 3, 7, H, W] }), /7 frames are not a whole number of patches of 2/);
  await assert.rejects(model.classify({ data: new Float32Array(3 * H * W), dims: [1, 3, H, W] }), /expected \[B,C,F,H,W\]/);
  // fewer run when they are asked for, as the reference runs them: the first rows of the position table
  assert.equal((await model.classify(/** @type {any} */ (frames.slice(0, 4)), { frames: 4 })).length, 5);
});

test('models of pictures know no frames; of a video model preprocess and patches take one frame', async () => {
  const vit = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
  const plain = await loadModel(safetensors(drawTensors(vit), vit), { worker: false });
  await assert.rejects(plain.classify(frames[0], { frames: 4 }), /unknown option "frames"/);
  assert.equal((await plain.classify(frames)).length, F, 'an array is several inputs');
  await plain.dispose();
  const { data, dims } = await model.preprocess(frames[2]);
  assert.deepEqual(dims, [1, 3, H, W]);
  assert.ok(Math.abs(data[5] - (rgb(2)[15] / 255 - 0.5) / 0.5) < 1e-6);
  assert.deepEqual((await model.patches(frames[0])).grid, [3, 2]);
});

test('the command line takes pictures as frames', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-video-'));
  const cli = (/** @type {string[]} */ ...args) => run(process.execPath, [join(root.pathname, 'web/cli/cli.js'), ...args]);
  try {
    const file = join(folder, 'm.safetensors');
    writeFileSync(file, FILE);
    const names = frames.map((frame, f) => {
      writeFileSync(join(folder, `frame${f}.png`), png(W, H, W, frame.data));
      return join(folder, `frame${f}.png`);
    });
    const { code, output } = await cli('classify', '--model', file, '--json', '--attention', ...names);
    assert.equal(code, 0, output);
    const said = JSON.parse(output);
    assert.deepEqual(said.file, names);
    assert.deepEqual(said.classes, await model.classify(/** @type {any} */ (frames)));
    assert.deepEqual(said.attention.grid, [4, 3, 2]);
    const drawn = await cli('classify', '--model', file, '--attention', '--top', '1', ...names);
    assert.equal(drawn.output.split('\n').length, 1 + 4 * 3 + 1, 'a row a line, frames one below the other');
    const wrong = await cli('classify', '--model', file, ...names.slice(1));
    assert.equal(wrong.code, 1);
    assert.match(wrong.output, /expected 8 frames, given 7/);
    assert.match((await cli('inspect', file)).output, /grid 4 x 3 x 2/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
