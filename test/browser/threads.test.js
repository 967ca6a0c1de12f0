// Threads in Chromium: at work on an isolated page, under the strict policy and from a bundle, with the bits that Node gets from one;
// and one thread, with a reason, wherever they cannot be had. In Node: test/web/threads.test.js
// Alone: node --test test/browser/threads.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { drawInput } from '../parity/weights.js';
import { PATIENCE, root, start, withoutWorkers } from './harness.js';

const DIMS = [3, 3, 32, 32];
const input = drawInput('threads', 'image', DIMS);
/** Node's logits from one thread and the build without relaxed SIMD, by dtype. @type {Record<string, number[]>} */
const want = {};
/** @type {Awaited<ReturnType<typeof start>>} */
let site;

before(async () => {
  site = await start();
  for (const dtype of /** @type {const} */ (['f32', 'q8'])) {
    const model = await loadModel(site.tiny, { worker: false, deterministic: true, threads: 1, dtype });
    want[dtype] = [...(await model.forward({ data: input, dims: DIMS })).output.data];
    await model.dispose();
  }
}, { timeout: 2 * PATIENCE });

after(() => site?.close());

/** Logits of the tiny model in a page, and what it ran on. @param {import('playwright-core').Page} page @param {any} [options] */
const run = (page, options, library = '/web/index.js') => page.evaluate(async ([from, path, settings, data, dims]) => {
  const { loadModel: load } = await import(from);
  const began = performance.now();
  const model = await load(path, { cache: false, deterministic: true, ...settings });
  const ms = performance.now() - began;
  const { output } = await model.forward({ data: Float32Array.from(data), dims });
  await model.dispose();
  return { logits: [...output.data], runtime: model.runtime, ms };
}, [library, `/${site.model}`, { threads: 2, ...options }, [...input], DIMS]);

const facts = ({ runtime: { threads, threadsReason, worker } }) => [threads, threadsReason, worker];

test('an isolated page: 1 to 4 threads, the bits of Node, under a strict policy', async () => {
  const { page, complaints } = await site.open('demos/index.html');
  for (const dtype of ['f32', 'q8']) {
    for (const threads of [1, 2, 3, 4]) {
      const got = await run(page, { threads, dtype });
      assert.deepEqual(facts(got), [threads, threads === 1 ? 'requested' : null, true]);
      assert.deepEqual(got.logits, want[dtype], `${dtype}, ${threads} threads`);
    }
  }
  await withoutWorkers(page); // dispose ended the threads with the worker
  assert.deepEqual(complaints, []);
  assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
  await page.context().close();
});

test('a page without isolation: one thread, the build without threads, and the reason', async () => {
  const { page, complaints } = await site.open('demos/index.html', { isolated: false });
  /** @type {string[]} */
  const fetched = [];
  page.on('request', (request) => fetched.push(request.url()));
  const got = await run(page);
  assert.deepEqual(facts(got), [1, 'not-cross-origin-isolated', true]);
  assert.deepEqual(got.logits, want.f32);
  assert.deepEqual(fetched.filter((url) => url.endsWith('.wasm')), [`${site.url}dist/tesserae-simd.wasm`]);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('on the calling thread of a page, which may not wait: one thread, and the reason', async () => {
  const { page, complaints } = await site.open('demos/index.html');
  const got = await run(page, { worker: false });
  assert.deepEqual(facts(got), [1, 'no-worker', false]);
  assert.deepEqual(got.logits, want.f32);
  assert.deepEqual(complaints, []);
  await page.context().close();
});

test('a build with threads on the calling thread of a page runs with one', async () => {
  const { page } = await site.open('demos/index.html');
  const got = await run(page, { worker: false, wasmUrl: '/dist/tesserae-simd-threads.wasm' });
  assert.deepEqual(facts(got), [1, 'no-worker', false]);
  assert.deepEqual(got.logits, want.f32);
  await page.context().close();
});

test('the thread\'s script is missing, or says nothing: the load ends within 3 seconds', async () => {
  const { page } = await site.open('demos/index.html');
  for (const [script, reason] of /** @type {const} */ ([[null, 'its script did not load'], ['// silent', 'it did not start within 3000 ms']])) {
    await page.context().unrouteAll();
    await page.context().route('**/thread.js', async (route) => {
      if (script === null) return route.fulfill({ status: 404 });
      return route.fulfill({ response: await route.fetch(), body: script });
    });
    const got = await run(page, { threads: 4 });
    assert.deepEqual(facts(got), [1, `failed: ${reason}`, true]);
    assert.deepEqual(got.logits, want.f32);
    assert.ok(got.ms < 5000, `${got.ms} ms`);
  }
  await page.context().close();
});

/** Threads of workers in the browser, by the names that Chromium gives them on Linux: those below this process. */
function workerThreads() {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      parents.set(pid, readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) \S /, '').split(' ')[0]);
    } catch { /* gone */ }
  }
  const ours = (/** @type {string | undefined} */ pid) => pid !== undefined && (pid === String(process.pid) || ours(parents.get(pid)));
  let count = 0;
  for (const pid of [...parents.keys()].filter(ours)) {
    try {
      for (const task of readdirSync(`/proc/${pid}/task`)) count += Number(/^DedicatedWorker/.test(readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8')));
    } catch { /* gone */ }
  }
  return count;
}

test('dispose ends the threads, asleep or at work', { skip: process.platform !== 'linux' }, async () => {
  const { page } = await site.open('demos/index.html');
  const settled = async (/** @type {number} */ wanted) => {
    for (const deadline = Date.now() + PATIENCE; workerThreads() !== wanted && Date.now() < deadline;) await new Promise((resolve) => { setTimeout(resolve, 50); });
    return workerThreads();
  };
  assert.equal(await settled(0), 0);
  await page.evaluate(async (path) => {
    const { loadModel: load } = await import('/web/index.js');
    globalThis.models = await Promise.all([load(path, { threads: 4 }), load(path, { threads: 2 })]);
  }, `/${site.model}`);
  assert.equal(await settled(6), 6, 'two workers, and four threads of theirs');
  await page.evaluate(() => Promise.all(globalThis.models.map((model) => model.dispose())));
  assert.equal(await settled(0), 0);
  // at work, while they start, and several at once
  await page.evaluate(async (path) => {
    const { loadModel: load } = await import('/web/index.js');
    for (let round = 0; round < 6; round++) {
      const controller = new AbortController();
      const given = load(path, { threads: 3, signal: controller.signal, onProgress: ({ loaded }) => loaded && setTimeout(() => controller.abort(), 10 * round) });
      const [first, second] = await Promise.all([load(path, { threads: 4 }), load(path, { threads: 2 })]);
      await given.then((model) => model.dispose(), () => {});
      const pending = first.classify(Array.from({ length: 50 }, () => ({ data: new Uint8Array(12), width: 2, height: 2 }))).catch(() => {});
      await Promise.all([first.dispose(), second.dispose(), pending]);
    }
  }, `/${site.model}`);
  assert.equal(await settled(0), 0);
  await page.context().close();
});

test('one build is missing on the server: the next best is taken', async () => {
  const { page } = await site.open('demos/index.html');
  await page.context().route('**/*-threads.wasm', (route) => route.fulfill({ status: 404 }));
  const got = await run(page);
  assert.deepEqual(facts(got), [1, 'unsupported', true]);
  assert.deepEqual(got.logits, want.f32);
  await page.context().close();
});

test('bundled: worker, threads and wasm are found beside the bundle', async () => {
  const { build } = await import('esbuild');
  const folder = `build/test-bundle-${process.pid}/`;
  mkdirSync(new URL(`${folder}dist/`, root), { recursive: true });
  mkdirSync(new URL(`${folder}app/`, root));
  try {
    // as docs/hosting.md says for bundlers that do not follow new URL(): each script is an entry; dist/ lies where
    // ../dist/ points
    await build({
      absWorkingDir: fileURLToPath(root), entryPoints: ['web/index.js', 'web/worker.js', 'web/thread.js'], bundle: true, minify: true, splitting: true,
      format: 'esm', target: 'es2022', outdir: `${folder}app`, logLevel: 'error',
    });
    for (const name of ['simd', 'relaxed', 'simd-threads', 'relaxed-threads']) {
      copyFileSync(new URL(`dist/tesserae-${name}.wasm`, root), new URL(`${folder}dist/tesserae-${name}.wasm`, root));
    }
    writeFileSync(new URL(`${folder}app/index.html`, root), '<!doctype html><title>bundle</title><link rel="icon" href="data:,">');
    const { page, complaints } = await site.open(`${folder}app/index.html`);
    const got = await run(page, { threads: 3 }, `/${folder}app/index.js`);
    assert.deepEqual(facts(got), [3, null, true]);
    assert.deepEqual(got.logits, want.f32);
    assert.deepEqual(complaints, []);
    await page.context().close();
  } finally {
    rmSync(new URL(folder, root), { recursive: true });
  }
});
