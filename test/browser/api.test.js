// The package in Chromium against the package in Node: the same numbers from both builds, with and without a worker;
// and what happens to a load that never ends, to pages in place of models, and to what was disposed.
// Alone: node --test test/browser/api.test.js (after `make wasm`). Inputs, decoding and the cache:
// test/web/browser.test.js
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { drawInput } from '../parity/weights.js';
import { PATIENCE, start, withoutWorkers } from './harness.js';

const DIMS = [1, 3, 32, 32];
// Relaxed SIMD may round a multiplication and the addition after it once instead of twice. That moves a sum by no more
// than its own rounding error; the golden test holds such sums (up to 576 terms here) to 1e-5 of the largest value.
const RELAXED_TOLERANCE = 1e-5;

/** @type {Awaited<ReturnType<typeof start>>} */
let site;
/** @type {import('playwright-core').Page} */
let page;
/** @type {string[]} */
let complaints;
const input = drawInput('page', 'image', DIMS);
/**
 * Node's logits, and a map of its attention: from the build without relaxed SIMD, which is the only one Node 20 can
 * run.
 */
let want;

before(
  async () => {
    site = await start();
    ({ page, complaints } = await site.open('demos/index.html'));
    await page.evaluate((path) => {
      globalThis.tiny = path;
    }, `/${site.model}`);
    const model = await loadModel(site.tiny, { worker: false, deterministic: true });
    const tensor = { data: input, dims: DIMS };
    want = {
      logits: [...(await model.forward(tensor)).output.data],
      map: [...(await model.attention(tensor, { rollout: true })).map],
    };
    await model.dispose();
  },
  { timeout: 2 * PATIENCE },
);

after(() => site?.close());

/** Logits and rollout of the tiny model in the page. */
const run = (on, options) =>
  on.evaluate(
    async ([path, settings, data, dims]) => {
      const { loadModel: load } = await import('/web/index.js');
      const model = await load(path, { cache: false, ...settings });
      const tensor = { data: Float32Array.from(data), dims };
      const { output } = await model.forward(tensor);
      const { map } = await model.attention(tensor, { rollout: true });
      await model.dispose();
      return { logits: [...output.data], map: [...map], runtime: model.runtime };
    },
    [`/${site.model}`, options, [...input], DIMS],
  );

const off = (got, wanted) =>
  Math.max(...got.map((value, i) => Math.abs(value - wanted[i]))) / Math.max(...wanted.map(Math.abs));

for (const worker of [true, false]) {
  test(`the same bits as Node from the deterministic build, ${worker ? 'in a worker' : 'on the page'}`, async () => {
    const { logits, map, runtime } = await run(page, { worker, deterministic: true });
    assert.deepEqual([runtime.relaxedSimd, runtime.worker], [false, worker]);
    // WebAssembly without relaxed SIMD leaves nothing to the machine but the bits of NaN
    assert.deepEqual(logits, want.logits);
    assert.deepEqual(map, want.map);
  });

  test(`nearly the same numbers from relaxed SIMD, ${worker ? 'in a worker' : 'on the page'}`, async () => {
    const { logits, map, runtime } = await run(page, { worker });
    assert.deepEqual([runtime.relaxedSimd, runtime.worker], [true, worker]);
    assert.ok(off(logits, want.logits) <= RELAXED_TOLERANCE, `logits are off by ${off(logits, want.logits)}`);
    assert.ok(off(map, want.map) <= RELAXED_TOLERANCE, `rollout is off by ${off(map, want.map)}`);
  });
}

test('a page without isolation: one thread, and the reason', async () => {
  const { page: plain, complaints: told } = await site.open(`demos/classify.html?model=../${site.model}`, {
    isolated: false,
  });
  assert.equal(await plain.evaluate(() => crossOriginIsolated), false);
  await plain.locator('#facts', { hasText: 'the page is not cross-origin isolated' }).waitFor();
  await plain.locator('#bars li').first().waitFor();
  const { logits, runtime } = await run(plain, { deterministic: true });
  assert.deepEqual([runtime.threads, runtime.threadsReason, runtime.worker], [1, 'not-cross-origin-isolated', true]);
  assert.deepEqual(logits, want.logits);
  assert.deepEqual(told, []);
  await plain.context().close();
});

test('a download that stalls half-way can be aborted, and the next load works', async () => {
  const got = await page.evaluate(async () => {
    const { loadModel: load } = await import('/web/index.js');
    const whole = new Uint8Array(await (await fetch(globalThis.tiny)).arrayBuffer());
    let cancelled = false;
    /** Half of the model, then silence. */
    const stalling = async (url, init) => {
      if (!String(url).includes('tiny')) return fetch(url, init);
      const stream = new ReadableStream({
        start: (controller) => controller.enqueue(whole.slice(0, whole.length / 2)),
        cancel: () => {
          cancelled = true;
        },
      });
      init?.signal?.addEventListener('abort', () => {
        cancelled = true;
      });
      return new Response(stream);
    };
    const controller = new AbortController();
    const reason = new Error('the user went elsewhere');
    const seen = [];
    const promise = load(globalThis.tiny, {
      cache: false,
      fetch: stalling,
      signal: controller.signal,
      onProgress: (event) => {
        seen.push(event.ratio);
        if (event.phase === 'weights' && event.loaded > 0) setTimeout(() => controller.abort(reason), 50);
      },
    });
    const error = await promise.then(
      () => 'loaded',
      (e) => e,
    );
    const count = seen.length;
    const model = await load(globalThis.tiny, { cache: false });
    const { length } = await model.classify({ data: new Uint8Array(12), width: 2, height: 2 });
    await model.dispose();
    return {
      same: error === reason,
      cancelled,
      late: seen.length - count,
      grows: seen.every((ratio, i) => !i || ratio >= seen[i - 1]),
      length,
    };
  });
  assert.deepEqual(got, { same: true, cancelled: true, late: 0, grows: true, length: 5 });
  await withoutWorkers(page);
});

test('a page in place of the model is refused and not kept', async () => {
  const got = await page.evaluate(async () => {
    const { loadModel: load } = await import('/web/index.js');
    const told = (options) =>
      load('/page.safetensors', { retries: 0, ...options }).then(
        () => 'loaded',
        ({ code, stage }) => `${code} ${stage}`,
      );
    const answer = (type) => async (url, init) =>
      String(url).includes('page.safetensors')
        ? new Response('<!doctype html><title>Log in</title>', { headers: { 'content-type': type } })
        : fetch(url, init);
    const codes = [
      await told({ fetch: answer('text/html') }),
      await told({ fetch: answer('application/octet-stream') }),
    ];
    const stored = await (await caches.open('tesserae-models')).match(new URL('/page.safetensors', location.href));
    return { codes, stored: Boolean(stored) };
  });
  assert.deepEqual(got, { codes: ['ERR_FETCH_CONTENT_TYPE fetch', 'ERR_FETCH_CONTENT_TYPE fetch'], stored: false });
});

test('dispose ends the worker, and what was asked for', async () => {
  const got = await page.evaluate(async () => {
    const { loadModel: load } = await import('/web/index.js');
    const outcome = (promise) =>
      promise.then(
        () => 'done',
        ({ code }) => code,
      );
    const result = [];
    for (const worker of [true, false]) {
      const model = await load(globalThis.tiny, { cache: false, worker });
      const picture = { data: new Uint8Array(12), width: 2, height: 2 };
      await model.classify(picture);
      const used = model.memory();
      const pending = outcome(model.classify(picture));
      await model.dispose();
      await model.dispose();
      result.push({
        used: used.bytes > 0 && used.wasm > used.bytes,
        pending: await pending,
        later: await outcome(model.classify(picture)),
        memory: model.memory().wasm,
      });
    }
    return result;
  });
  assert.deepEqual(
    got,
    [true, false].map(() => ({ used: true, pending: 'ERR_DISPOSED', later: 'ERR_DISPOSED', memory: 0 })),
  );
  await withoutWorkers(page);
});

test('many loads one after another leave no worker behind', async () => {
  await page.evaluate(async () => {
    const { loadModel: load } = await import('/web/index.js');
    const models = await Promise.all([1, 2, 3].map(() => load(globalThis.tiny, { cache: false })));
    await Promise.all(models.map((model) => model.dispose()));
  });
  await withoutWorkers(page);
  assert.deepEqual(complaints, []);
});
