// What `tesserae quantize` writes in 16 bits, what it refuses to write over, and models behind a token. Alone:
//   node --test test/web/cli_quantize.test.js      after `make wasm`
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { narrowHalf } from '../../web/cli/quantize.js';
import { run as start } from '../helpers/make.js';
import { difference, file, inputsOf, load, tiny } from '../parity/cases.js';
import { vit } from './checkpoints.js';
import { startHub } from './hub_server.js';

const root = new URL('../../', import.meta.url);
let folder = '';
before(() => (folder = mkdtempSync(join(tmpdir(), 'tesserae-quantize-'))));
after(() => rmSync(folder, { recursive: true }));

/** @param {...string} args */
const cli = (...args) => start(process.execPath, [join(root.pathname, 'web/cli/cli.js'), ...args]);

/** @param {number} h the bits of a half float */
const widen = (h) => (h >> 10 ? 2 ** ((h >> 10) - 15) * (1 + (h & 1023) / 1024) : (h & 1023) / 2 ** 24);

test('the nearest half of every half, and of what lies between two', () => {
  const LAST = 0x7bff; // 65504
  for (let h = 0; h <= LAST; h++) {
    const [low, high] = [widen(h), widen(h + 1)];
    const all = [low, -low, low + 0.49 * (high - low), (low + high) / 2, low + 0.51 * (high - low)].map(narrowHalf);
    if (h < LAST)
      assert.deepEqual(
        all,
        [h, h && h + 0x8000, h, h + (h % 2), h + 1].map((x, i) => (i === 1 && !h ? 0x8000 : x)),
      );
  }
});

for (const [name, eights] of [
  ['mobile_vit_v2_tiny', false], // every matrix stays a float
  ['fast_vit_tiny', true], // those in front of a batch norm do
]) {
  test(`${name}: what stays a float takes 16 bits`, async () => {
    const golden = tiny(name);
    const [from, to] = [join(folder, `${name}.safetensors`), join(folder, `${name}_q8.safetensors`)];
    writeFileSync(from, file(golden));
    const { code, output } = await cli('quantize', from, to);
    assert.equal(code, 0, output);
    const bytes = readFileSync(to);
    const { __metadata__, ...tensors } = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
    const kinds = Object.entries(tensors).map(([tensor, { dtype, shape }]) => ({
      tensor,
      dtype,
      matrix: shape.length > 1,
    }));
    const halves = kinds.filter(({ dtype }) => dtype === 'F16').length;
    assert.match(output, new RegExp(` ${halves} in 16, `));
    assert.ok(halves > 3);
    assert.equal(
      kinds.some(({ dtype }) => dtype === 'I8'),
      eights,
    );
    const answers = [];
    for (const [path, dtype] of [
      [from, 'f32'],
      [from, 'q8'],
      [to, 'auto'],
    ]) {
      const model = await load(readFileSync(path), { dtype, threads: 1 });
      const [image, inputs] = inputsOf(golden);
      answers.push((await model.forward(image, { inputs })).output.data);
      await model.dispose();
    }
    const [floats, live, made] = answers;
    // a half has 11 bits, so a product of halves is off by some 2^-12 of it, and the sums by less; numbers that are
    // then rounded to 8 bits fall to another side now and then
    if (!eights) assert.deepEqual(live, floats, 'dtype q8 changes nothing');
    assert.ok(difference(made, live) < (eights ? 2e-2 : 2e-3), `off by ${difference(made, live)}`);
    assert.ok(difference(made, floats) > 0, '16 bits are not 32');
  });
}

test('numbers beyond a half are refused, and nothing is left', async () => {
  const golden = tiny('mobile_vit_v2_tiny');
  const bytes = Buffer.from(file(golden));
  const start = 8 + Number(bytes.readBigUInt64LE());
  const { 'stem.conv.weight': stem } = JSON.parse(bytes.subarray(8, start).toString());
  bytes.writeFloatLE(7e4, start + stem.data_offsets[0]);
  const from = join(folder, 'large.safetensors');
  writeFileSync(from, bytes);
  const { code, output } = await cli('quantize', from, join(folder, 'large_q8.safetensors'));
  assert.equal(code, 1);
  assert.match(output, /stem\.conv\.weight has the number 70000; 16 bits reach 65504/);
  assert.throws(() => readFileSync(join(folder, 'large_q8.safetensors')), /ENOENT/);
});

test('quantize does not write over what it reads', async () => {
  const model = join(folder, 'model');
  mkdirSync(model);
  for (const [name, content] of Object.entries(vit())) {
    writeFileSync(join(model, name), content instanceof Uint8Array ? content : JSON.stringify(content));
  }
  const weights = join(model, 'model.safetensors');
  const bytes = readFileSync(weights);
  for (const from of [model, weights]) {
    const { code, output } = await cli('quantize', from, weights);
    assert.equal(code, 1);
    assert.match(output, /model\.safetensors is read, and cannot be written at the same time; give the new file/);
  }
  assert.deepEqual(readFileSync(weights), bytes);
  assert.equal((await cli('quantize', model, join(folder, 'other.safetensors'))).code, 0);
});

test('--header goes to a server that asks for a token', async () => {
  const hub = await startHub();
  try {
    hub.add('org/private', vit(), { token: 'hf_secret' });
    const address = `${hub.url}/org/private/resolve/main/`;
    const refused = await cli('inspect', address);
    assert.equal(refused.code, 1);
    assert.match(refused.output, /needs a token .*: --header 'Authorization: Bearer hf_\.\.\.'/);
    const header = 'Authorization: Bearer hf_secret';
    const { code, output } = await cli('inspect', address, '--header', header);
    assert.equal(code, 0, output);
    assert.match(output, /plain_vit/);
    const out = join(folder, 'private.safetensors');
    assert.equal((await cli('quantize', address, out, '--header', header)).code, 0);
    const photo = join(root.pathname, 'demos/samples/cat_1.png');
    const told = await cli('classify', photo, '--model', address, '--header', header);
    assert.equal(told.code, 0, told.output);
    assert.equal((await cli('inspect', address, '--header', 'hf_secret')).code, 2);
  } finally {
    await hub.close();
  }
});
