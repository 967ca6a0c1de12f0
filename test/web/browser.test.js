// The package in Chromium, under a strict Content-Security-Policy: worker, inputs of every kind, decoding, cache.
// Alone: node --test test/web/browser.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, before, test } from 'node:test';
import { serve } from '../../scripts/dev/serve.mjs';
import { launchChromium } from '../helpers/chromium.js';
import { drawTensors, safetensors } from '../parity/weights.js';
import { png } from './png.js';

const root = new URL('../../', import.meta.url);
const folder = new URL(`build/test-browser-${process.pid}/`, root);
const path = folder.pathname.slice(root.pathname.length);
const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
const FILE = safetensors(drawTensors(golden), golden);

/** @type {Awaited<ReturnType<typeof serve>>} */
let server;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
/** What the page's console and its Content-Security-Policy complained about. @type {string[]} */
const complaints = [];

before(async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL('index.html', folder), '<!doctype html><title>test</title><link rel="icon" href="data:,">');
  writeFileSync(new URL('m.safetensors', folder), FILE);
  writeFileSync(new URL('huge.png', folder), png(10, 10, 8193));
  server = await serve({ port: 0, root: root.pathname });
  browser = await launchChromium();
  page = await browser.newPage();
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(`${server.url}${path}`);
  // what every test below begins with
  await page.evaluate(async () => {
    const { loadModel } = await import('/web/index.js');
    /** @param {any} [options] */
    globalThis.load = (options) => loadModel(new URL('m.safetensors', location.href), { cache: false, ...options });
    globalThis.codeOf = (promise) =>
      promise.then(
        () => 'no error',
        (error) => `${error.name} ${error.message}`,
      );
    globalThis.bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  });
});

after(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('runs in a worker, with relaxed SIMD, under a strict policy', async () => {
  const runtime = await page.evaluate(async () => {
    const model = await globalThis.load();
    await model.classify({ data: new Uint8Array(12), width: 2, height: 2 });
    await model.dispose();
    return model.runtime;
  });
  const threads = Math.min(4, availableParallelism());
  assert.deepEqual(runtime, {
    simd: true,
    relaxedSimd: true,
    threads,
    threadsReason: threads > 1 ? null : 'unsupported',
    worker: true,
    workerReason: null,
  });
  assert.deepEqual(complaints, []);
});

test('every kind of picture gives the same answer', async () => {
  const got = await page.evaluate(async () => {
    const model = await globalThis.load();
    const bytes = await globalThis.bytes('/demos/samples/cat_1.png');
    const blob = new Blob([bytes]);
    const img = new Image();
    img.src = '/demos/samples/cat_1.png';
    await img.decode();
    const bitmap = await createImageBitmap(blob);
    const canvas = Object.assign(document.createElement('canvas'), { width: bitmap.width, height: bitmap.height });
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const offscreen = new OffscreenCanvas(bitmap.width, bitmap.height);
    offscreen.getContext('2d').drawImage(bitmap, 0, 0);
    const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    const { data, width, height } = image;
    const inputs = {
      bytes,
      buffer: bytes.buffer,
      blob,
      file: new File([bytes], 'a.png'),
      address: '/demos/samples/cat_1.png',
      url: new URL('/demos/samples/cat_1.png', location.href),
      img,
      bitmap,
      canvas,
      offscreen,
      image,
      frame,
      pixels: { data, width, height, channels: 4 },
    };
    const answers = {};
    for (const [name, input] of Object.entries(inputs)) answers[name] = await model.classify(input);
    frame.close();
    const exact = await globalThis.load({ decode: 'wasm', worker: false });
    answers.wasm = await exact.classify(bytes);
    await model.dispose();
    await exact.dispose();
    return answers;
  });
  assert.equal(Object.keys(got).length, 14);
  for (const [name, answer] of Object.entries(got)) assert.deepEqual(answer, got.wasm, name);
});

test("EXIF orientation and transparency are as in the core's own decoder", async () => {
  const far = await page.evaluate(async () => {
    const [browser, core] = [await globalThis.load(), await globalThis.load({ decode: 'wasm' })];
    const worst = {};
    for (const name of [
      'exif6.jpg',
      'exif3.jpg',
      'base444.jpg',
      'grey.jpg',
      'exif6.png',
      'rgba8.png',
      'rgb16.png',
      'palette8.png',
    ]) {
      const bytes = await globalThis.bytes(`/test/golden/image/${name}`);
      const [a, b] = [await browser.preprocess(bytes), await core.preprocess(bytes)];
      worst[name] = Math.max(...a.fitted.data.map((v, i) => Math.abs(v - b.fitted.data[i])));
    }
    await browser.dispose();
    await core.dispose();
    return worst;
  });
  // two JPEG decoders differ by their inverse DCT and chroma filter; a wrong orientation differs by more than 100
  for (const [name, worst] of Object.entries(far))
    assert.ok(worst <= (name.endsWith('.png') ? 0 : 12), `${name}: ${worst}`);
});

test('a format that only the browser knows', async () => {
  const length = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(20, 10);
    canvas.getContext('2d').fillRect(0, 0, 10, 10);
    const webp = await canvas.convertToBlob({ type: 'image/webp' });
    const model = await globalThis.load();
    const list = await model.classify(webp);
    await model.dispose();
    return webp.type === 'image/webp' ? list.length : -1;
  });
  assert.equal(length, 5);
});

test('bad pictures', async () => {
  const got = await page.evaluate(async () => {
    const model = await globalThis.load();
    const huge = await globalThis.bytes('huge.png');
    const jpeg = (await globalThis.bytes('/demos/samples/photo_cat.jpg')).slice(0, 3000);
    const errors = [];
    for (const input of [
      new TextEncoder().encode('text'),
      huge,
      jpeg,
      new Image(),
      document.createElement('video'),
      document.body,
      '/none.png',
    ]) {
      errors.push(await globalThis.codeOf(model.classify(input)));
    }
    const { length } = await model.classify({ data: new Uint8Array(3), width: 1, height: 1 });
    await model.dispose();
    return { errors: errors.map((text) => text.split(':')[0]), length };
  });
  assert.deepEqual(got.errors, [
    'TesseraeError ERR_IMAGE_FORMAT',
    'TesseraeError ERR_IMAGE_TOO_LARGE',
    'TesseraeError ERR_IMAGE_CORRUPT',
    'TesseraeError ERR_ARGUMENT',
    'TesseraeError ERR_ARGUMENT',
    'TesseraeError ERR_ARGUMENT',
    'TesseraeError ERR_FETCH_HTTP',
  ]);
  assert.equal(got.length, 5);
});

test('the cache: stored when it loaded, used, healed when spoilt, refreshed, and left alone when told', async () => {
  const got = await page.evaluate(async () => {
    await caches.delete('tesserae-models');
    const url = new URL('m.safetensors', location.href).href;
    let requests = 0;
    const counted = (/** @type {any[]} */ ...args) => {
      if (String(args[0]) === url) requests++;
      return fetch(.../** @type {[any]} */ (args));
    };
    const once = async (/** @type {any} */ options) => {
      requests = 0;
      let last;
      const model = await globalThis.load({
        cache: 'auto',
        fetch: counted,
        onProgress: (event) => {
          last = event;
        },
        ...options,
      });
      await model.dispose();
      const stored = await (await caches.open('tesserae-models')).match(url);
      return {
        requests,
        fromCache: last.fromCache,
        ratio: last.ratio,
        stored: stored ? (await stored.arrayBuffer()).byteLength : 0,
      };
    };
    const results = {
      without: await once({ cache: false }),
      first: await once({}),
      second: await once({}),
      reload: await once({ cache: 'reload' }),
    };
    await (await caches.open('tesserae-models')).put(url, new Response('<html>a login page</html>'));
    results.spoilt = await once({});
    const whole = await globalThis.bytes(url);
    await (await caches.open('tesserae-models')).put(url, new Response(whole.slice(0, -100)));
    results.cut = await once({});
    results.wrong = await globalThis.codeOf(once({ integrity: `sha256-${'A'.repeat(43)}=` }));
    results.after = await once({ cache: false });
    return results;
  });
  const { length } = FILE;
  assert.deepEqual(got.without, { requests: 1, fromCache: false, ratio: 1, stored: 0 });
  assert.deepEqual(got.first, { requests: 1, fromCache: false, ratio: 1, stored: length });
  assert.deepEqual(got.second, { requests: 0, fromCache: true, ratio: 1, stored: length });
  assert.deepEqual(got.reload, { requests: 1, fromCache: false, ratio: 1, stored: length });
  assert.deepEqual(got.spoilt, { requests: 1, fromCache: false, ratio: 1, stored: length });
  assert.deepEqual(got.cut, { requests: 1, fromCache: false, ratio: 1, stored: length });
  assert.match(got.wrong, /ERR_INTEGRITY/);
  assert.equal(got.after.stored, 0, 'a file with the wrong hash is not kept');
});

test('no worker, by request and by policy', async () => {
  const { reason, code } = await page.evaluate(async () => {
    const Original = globalThis.Worker;
    globalThis.Worker = /** @type {any} */ (
      class {
        constructor() {
          throw new Error('blocked');
        }
      }
    );
    const model = await globalThis.load();
    globalThis.Worker = Original;
    const list = await model.classify('/demos/samples/cat_1.png');
    await model.dispose();
    return { reason: model.runtime.workerReason, code: list.length };
  });
  assert.equal(reason, 'failed: blocked');
  assert.equal(code, 5);
});

test('an abort leaves no worker behind', async () => {
  const workers = await page.evaluate(async () => {
    const controller = new AbortController();
    const reason = new Error('left');
    const error = await globalThis
      .load({ signal: controller.signal, onProgress: ({ loaded }) => loaded && controller.abort(reason) })
      .catch((e) => e);
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    return error === reason;
  });
  assert.equal(workers, true);
  assert.equal(page.workers().length, 0);
});
