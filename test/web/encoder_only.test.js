// loadModel's encoderOnly: MAE without its decoder, in bytes that come from a Hub on this machine and in the model.
// Alone: node --test test/web/encoder_only.test.js (after `make dist/tesserae-simd-all.wasm`)
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { drawInput } from '../parity/weights.js';
import { DIMS, mae, vit } from './checkpoints.js';
import { startHub } from './hub_server.js';

const INPUT = { data: drawInput('mae', 'image', DIMS), dims: DIMS };
const FILES = mae();
const { length } = FILES['model.safetensors'];

/** @type {Awaited<ReturnType<typeof startHub>>} */
let hub;
before(async () => {
  hub = await startHub();
});
beforeEach(() => hub.forget());
after(() => hub?.close());

/** @param {any} source @param {any} [options] */
async function outcome(source, options) {
  const model = await loadModel(source, { worker: false, threads: 1, retries: 0, ...options });
  try {
    const embedding = [...(await model.embed(INPUT)).data];
    const reconstruction = await model.reconstruct(INPUT).catch((/** @type {any} */ { code }) => code);
    return { embedding, reconstruction, info: model.info };
  } finally {
    await model.dispose();
  }
}
const sent = () => hub.asked(/^model/).reduce((sum, one) => sum + one.sent, 0);
const blobs = (/** @type {Record<string, any>} */ files) =>
  Object.fromEntries(
    Object.entries(files).map(([name, file]) => [
      name,
      new Blob([file instanceof Uint8Array ? file : JSON.stringify(file)]),
    ]),
  );

test('the decoder is neither fetched nor kept, and embeddings are the same', async () => {
  hub.add('org/mae', FILES, { pause: 5 });
  const at = `${hub.url}/org/mae/resolve/main/`;
  const all = await outcome(at);
  assert.ok(sent() >= length, `${sent()} of ${length} bytes came`);
  assert.equal(all.info.output.kind, 'image');
  assert.equal(typeof all.reconstruction, 'object');
  hub.forget();
  const encoder = await outcome(at, { encoderOnly: true });
  assert.ok(sent() < length / 4, `${sent()} of ${length} bytes came`);
  assert.deepEqual(encoder.embedding, all.embedding);
  assert.deepEqual([encoder.info.output.kind, encoder.reconstruction], ['embedding', 'ERR_ARGUMENT']);
  assert.ok(encoder.info.parameters < all.info.parameters / 20, `${encoder.info.parameters} parameters`);
  assert.equal(encoder.info.config.decoder, undefined);
  const left = encoder.info.unused.filter((/** @type {string} */ name) => name.startsWith('decoder.'));
  assert.equal(left.length, 24);
  assert.equal(left.length, encoder.info.unused.length);
  const local = await outcome(blobs(FILES), { encoderOnly: true });
  assert.deepEqual(local.embedding, all.embedding);
});

test('where the server has no ranges all of it comes, and the model is the same', async () => {
  hub.add('org/whole', FILES, { ranges: false });
  const { info } = await outcome(`${hub.url}/org/whole/resolve/main/`, { encoderOnly: true });
  assert.deepEqual([info.output.kind, sent() >= length], ['embedding', true]);
});

test('what the cache has of the encoder alone is no whole model, but the other way round it is enough', async () => {
  /** @type {Map<string, Response>} */
  const held = new Map();
  const cache = {
    match: async (/** @type {string} */ url) => held.get(url)?.clone(),
    put: async (/** @type {string} */ url, /** @type {Response} */ response) => held.set(url, response),
    delete: async (/** @type {string} */ url) => held.delete(url),
  };
  hub.add('org/kept', FILES);
  const at = `${hub.url}/org/kept/resolve/main/`;
  const wanted = await outcome(blobs(FILES));
  /** @type {any} */ (globalThis).caches = { open: async () => cache };
  try {
    await outcome(at, { encoderOnly: true });
    hub.forget();
    assert.deepEqual((await outcome(at, { encoderOnly: true })).embedding, wanted.embedding);
    assert.equal(hub.log.length, 0, 'nothing is asked for');
    const all = await outcome(at);
    assert.deepEqual([all.embedding, typeof all.reconstruction], [wanted.embedding, 'object']);
    assert.ok(sent() >= length);
    hub.forget();
    for (const encoderOnly of [false, true])
      assert.deepEqual((await outcome(at, { encoderOnly })).embedding, wanted.embedding);
    assert.equal(hub.log.length, 0, 'nothing is asked for');
  } finally {
    delete (/** @type {any} */ (globalThis).caches);
  }
});

test('other models are as without it', async () => {
  const [one, other] = await Promise.all([{}, { encoderOnly: true }].map((options) => outcome(blobs(vit()), options)));
  assert.deepEqual(other.embedding, one.embedding);
  assert.deepEqual(other.info, one.info);
});

test('true and false are all that it may be', () =>
  assert.rejects(loadModel(blobs(FILES), /** @type {any} */ ({ encoderOnly: 'yes' })), {
    code: 'ERR_ARGUMENT',
    message: 'ERR_ARGUMENT: loadModel: encoderOnly is "yes"; give false or true',
  }));
