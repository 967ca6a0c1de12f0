// The package as it ships: the bundle that its exports name, in Node and in Chromium.
// Alone: node --test test/web/bundle.test.js (after `make wasm js`)
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import * as sources from '../../web/index.js';
import { serve } from '../../scripts/dev/serve.mjs';
import { launchChromium } from '../helpers/chromium.js';
import { drawInput, drawTensors, safetensors } from '../parity/weights.js';

const root = new URL('../../', import.meta.url);
const folder = new URL(`build/test-bundle-${process.pid}/`, root);
const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
const FILE = safetensors(drawTensors(golden), golden);
const INPUT = { data: drawInput('vit_tiny', 'image', golden.inputs.image), dims: golden.inputs.image };

after(() => rmSync(folder, { recursive: true, force: true }));

/** @param {typeof sources} tesserae @param {any} options */
async function answer({ loadModel }, options) {
  const model = await loadModel(FILE, { dtype: 'q8', deterministic: true, ...options });
  const { output } = await model.forward(INPUT);
  await model.dispose();
  return { data: output.data, runtime: model.runtime };
}

test('Node: the package is the bundle, with all that web/index.js exports, and gives the same bits', async () => {
  const name = 'tesserae'; // the package, by its own name: what its exports say
  const bundle = await import(name);
  assert.match(import.meta.resolve(name), /\/dist\/index\.js$/);
  assert.deepEqual(Object.keys(bundle).sort(), Object.keys(sources).sort());
  const expected = await answer(sources, { worker: false, threads: 1 });
  for (const options of [
    { worker: false, threads: 1 },
    { worker: true, threads: 1 },
    { worker: true, threads: 2 },
  ]) {
    const { data, runtime } = await answer(bundle, options);
    assert.deepEqual(data, expected.data);
    assert.deepEqual(
      [runtime.worker, runtime.threads, runtime.threadsReason],
      [options.worker, options.threads, options.threads > 1 ? null : 'requested'],
    );
  }
});

test('Chromium: page, worker and threads take four files of JavaScript, all of the bundle, under a strict policy', async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL('index.html', folder), '<!doctype html><title>test</title><link rel="icon" href="data:,">');
  writeFileSync(new URL('m.safetensors', folder), FILE);
  const server = await serve({ port: 0, root: root.pathname });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    /** @type {Set<string>} */
    const scripts = new Set();
    page.on('request', (request) => request.url().endsWith('.js') && scripts.add(new URL(request.url()).pathname));
    await page.goto(server.url + folder.pathname.slice(root.pathname.length));
    const { data, runtime } = await page.evaluate(
      async ({ values, dims }) => {
        const { loadModel } = await import(String('/dist/index.js'));
        const model = await loadModel(new URL('m.safetensors', location.href), {
          dtype: 'q8',
          deterministic: true,
          threads: 2,
        });
        const { output } = await model.forward({ data: Float32Array.from(values), dims });
        await model.dispose();
        return { data: [...output.data], runtime: model.runtime };
      },
      { values: [...INPUT.data], dims: INPUT.dims },
    );
    assert.deepEqual([runtime.worker, runtime.workerReason], [true, null]);
    assert.deepEqual(Float32Array.from(data), (await answer(sources, { worker: false, threads: 1 })).data);
    const threads = runtime.threads > 1 ? ['/dist/thread.js'] : []; // on a machine of one core there are none
    assert.deepEqual([...scripts].map((path) => path.replace(/shared-\w+/, 'shared')).sort(), [
      '/dist/index.js',
      '/dist/shared.js',
      ...threads,
      '/dist/worker.js',
    ]);
  } finally {
    await browser.close();
    await server.close();
  }
});
