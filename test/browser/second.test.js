// The second .wasm in Chromium: fetched when a model needs it and then once, under the strict policy, with threads and
// without. In Node: test/web/second.test.js. Alone: node --test test/browser/second.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { drawInput, drawTensors, safetensors } from '../parity/weights.js';
import { PATIENCE, root, start, withoutWorkers } from './harness.js';

const golden = JSON.parse(readFileSync(new URL('test/golden/models/regionvit_tiny.json', root), 'utf8'));
const DIMS = golden.inputs.image;
const INPUT = drawInput('regionvit_tiny', 'image', DIMS);
const RARE = safetensors(drawTensors(golden), { arch: golden.arch, config: golden.config });
/** Node's output of the same. @type {number[]} */
let want;
/** @type {Awaited<ReturnType<typeof start>>} */
let site;
let path = '';

before(
  async () => {
    site = await start();
    path = site.model.replace('tiny', 'rare');
    writeFileSync(new URL(path, root), RARE);
    const model = await loadModel(RARE, { worker: false, deterministic: true, threads: 1 });
    want = [...(await model.forward({ data: INPUT, dims: DIMS })).output.data];
    await model.dispose();
  },
  { timeout: 2 * PATIENCE },
);

after(() => site?.close());

/**
 * Loads and runs in a page.
 * @param {import('playwright-core').Page} page @param {string} file @param {any} [options]
 */
const run = (page, file, options) =>
  page.evaluate(
    async ([from, settings, data, dims]) => {
      const { loadModel: load } = await import('/web/index.js');
      const model = await load(from, { deterministic: true, ...settings });
      const output = data && [...(await model.forward({ data: Float32Array.from(data), dims })).output.data];
      await model.dispose();
      return { output, runtime: model.runtime };
    },
    [`/${file}`, { cache: false, ...options }, file === path ? [...INPUT] : null, DIMS],
  );

/** The .wasm and model files that the page asks for. @param {import('playwright-core').Page} page */
function watch(page) {
  /** @type {string[]} */
  const asked = [];
  page.on(
    'request',
    (request) => /\.(wasm|safetensors)$/.test(request.url()) && asked.push(request.url().replace(/.*\//, '')),
  );
  return asked;
}

for (const worker of [true, false]) {
  for (const isolated of [true, false]) {
    test(`each file once, the second only when it is needed; ${worker ? 'worker' : 'no worker'}, ${isolated ? 'isolated' : 'not isolated'}`, async () => {
      const { page, complaints } = await site.open('demos/index.html', { isolated });
      const threads = worker && isolated ? 2 : 1;
      const build = `tesserae-simd${threads > 1 ? '-threads' : ''}`;
      let asked = watch(page);
      await run(page, site.model, { worker, threads: 2 });
      assert.deepEqual(asked.sort(), [`${build}.wasm`, 'tiny.safetensors'].sort());
      page.removeAllListeners('request');
      asked = watch(page);
      const { output, runtime } = await run(page, path, { worker, threads: 2 });
      assert.deepEqual([runtime.threads, runtime.worker], [threads, worker]);
      assert.deepEqual(output, want);
      assert.deepEqual(asked.sort(), [`${build}.wasm`, `${build}-all.wasm`, 'rare.safetensors'].sort());
      await withoutWorkers(page);
      assert.deepEqual(complaints, []);
      assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
      await page.context().close();
    });
  }
}

test('a stored model needs no network but for the .wasm', async () => {
  const { page } = await site.open('demos/index.html');
  await run(page, path, { cache: 'auto' });
  const asked = watch(page);
  assert.deepEqual((await run(page, path, { cache: 'auto' })).output, want);
  assert.ok(!asked.includes('rare.safetensors') && asked.some((name) => name.endsWith('-all.wasm')), `${asked}`);
  await page.context().close();
});

test('the second is missing: an error that names it, and no worker left', async () => {
  const { page } = await site.open('demos/index.html');
  await page.context().route('**/*-all.wasm', (route) => route.fulfill({ status: 404 }));
  await assert.rejects(run(page, path), /ERR_WASM_COMPILE: .*tesserae-simd-all\.wasm: HTTP 404/);
  await withoutWorkers(page);
  await page.context().close();
});
