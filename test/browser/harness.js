// What the tests of this folder share: a model small enough to make in memory, the server, Chromium. Not a test itself.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { serve } from '../../scripts/dev/serve.mjs';
import { CLASSES } from '../../demos/samples.js';
import { launchChromium } from '../helpers/chromium.js';
import { draw, safetensors } from '../parity/weights.js';

/** For everything that waits: machines that test are slow and busy. */
export const PATIENCE = 30_000;

export const root = new URL('../../', import.meta.url);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const DIM = 16;
const LAYERS = 3;
const HEADS = 2;
const GRID = [8, 8]; // 32 x 32 halved twice

/** Names and shapes of a CCT that shows everything the page can draw: layers, heads, pooling weights, a grid. */
function shapes() {
  const list = [
    ['tokenizer.conv_layers.0.0.weight', [64, 3, 3, 3]],
    ['tokenizer.conv_layers.1.0.weight', [DIM, 64, 3, 3]],
    ['classifier.positional_emb', [1, GRID[0] * GRID[1], DIM]],
    ['classifier.attention_pool.weight', [1, DIM]],
    ['classifier.attention_pool.bias', [1]],
  ];
  for (let i = 0; i < LAYERS; i++) {
    const at = `classifier.blocks.${i}`;
    list.push(
      [`${at}.pre_norm.weight`, [DIM]],
      [`${at}.pre_norm.bias`, [DIM]],
      [`${at}.self_attn.qkv.weight`, [3 * DIM, DIM]],
      [`${at}.self_attn.proj.weight`, [DIM, DIM]],
      [`${at}.self_attn.proj.bias`, [DIM]],
      [`${at}.linear1.weight`, [2 * DIM, DIM]],
      [`${at}.linear1.bias`, [2 * DIM]],
      [`${at}.norm1.weight`, [DIM]],
      [`${at}.norm1.bias`, [DIM]],
      [`${at}.linear2.weight`, [DIM, 2 * DIM]],
      [`${at}.linear2.bias`, [DIM]],
    );
  }
  list.push(
    ['classifier.norm.weight', [DIM]],
    ['classifier.norm.bias', [DIM]],
    ['classifier.fc.weight', [CLASSES.length, DIM]],
    ['classifier.fc.bias', [CLASSES.length]],
  );
  return list;
}

/**
 * The bytes of a model file with random weights: 0.1 MB, three layers, two heads, 8 x 8 patches, the classes of
 * CIFAR-10.
 * @param {any} [more] of its metadata
 */
export function tinyModel(more) {
  const tensors = shapes().map(([name, shape]) => ({
    name,
    shape,
    dtype: 'F32',
    // three times as large as usual: heads and layers that attend to clearly different places
    bytes: new Uint8Array(draw('page', name, shape).map((x) => (/qkv|fc\.weight/.test(name) ? 3 * x : x)).buffer),
  }));
  return safetensors(tensors, {
    arch: 'cct',
    config: {
      img_size: 32,
      embedding_dim: DIM,
      n_conv_layers: 2,
      kernel_size: 3,
      stride: 1,
      padding: 1,
      num_layers: LAYERS,
      num_heads: HEADS,
      mlp_ratio: 2,
      num_classes: CLASSES.length,
      positional_embedding: 'learnable',
    },
    preprocess: { size: [32, 32], resize: 'bicubic', crop_pct: 1, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    labels: CLASSES,
    ...more,
  });
}

export const sample = (file) => readFileSync(new URL(`demos/samples/${file}`, root));

/** A DataTransfer in the page that holds files: [name, type, contents]. */
const transferOf = (on, ...files) =>
  on.evaluateHandle(
    (list) => {
      const transfer = new DataTransfer();
      for (const [name, type, base64] of list) {
        transfer.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
      }
      return transfer;
    },
    files.map(([name, type, contents]) => [name, type, Buffer.from(contents).toString('base64')]),
  );

/** Drops files on the picture. */
export const drop = async (on, ...files) =>
  on.locator('#frame').dispatchEvent('drop', { dataTransfer: await transferOf(on, ...files) });

/** Nothing wider than the window. */
export async function fits(on, what) {
  const wide = await on.evaluate(() =>
    [...document.querySelectorAll('body *')]
      .filter(
        (element) =>
          !element.matches('.out-of-sight') &&
          element.getBoundingClientRect().right > innerWidth + 0.5 &&
          !element.closest('pre'),
      )
      .map((element) => `${element.tagName}#${element.id}.${element.className}`),
  );
  assert.deepEqual(wide, [], `${what}: beyond the right edge`);
  assert.ok(await on.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth), `${what} scrolls sideways`);
}

/**
 * axe finds nothing.
 * @param {{ within?: string, rules?: string[] }} [limits] all rules and the whole page if not given: that takes seconds
 */
export async function accessible(on, what, limits = {}) {
  await on.evaluate(axe);
  const found = await on.evaluate(
    ({ within, rules }) =>
      globalThis.axe
        .run(
          within ?? document,
          rules ? { runOnly: rules } : { resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } },
        )
        .then(({ violations }) =>
          violations.map(
            ({ id, nodes }) =>
              `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 120)} ${any[0]?.message ?? ''}`).join(' | ')}`,
          ),
        ),
    limits,
  );
  assert.deepEqual(found, [], what);
}

/**
 * Waits until the page has no worker left: Chromium reports the end of one a little later.
 * @param {import('playwright-core').Page} page
 */
export async function withoutWorkers(page) {
  const deadline = Date.now() + PATIENCE;
  while (page.workers().length && Date.now() < deadline)
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  assert.equal(page.workers().length, 0, 'workers left');
}

/**
 * Server and browser, and the tiny model in a file: `model` is its path from the root, `tiny` its bytes.
 *
 * open: a page in a context of its own. isolated false: as from a server that does not send the headers of cross-origin
 * isolation. complaints: console errors (among them what the policy refused) and exceptions.
 */
export async function start() {
  const tiny = tinyModel();
  const model = `build/test-browser-${process.pid}/tiny.safetensors`;
  const folder = new URL('.', new URL(model, root));
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(model, root), tiny);
  const server = await serve();
  const browser = await launchChromium();
  return {
    url: server.url,
    model,
    tiny,
    /**
     * @param {string} path @param {import('playwright-core').BrowserContextOptions & { isolated?: boolean }} [options]
     */
    async open(path, { isolated = true, ...options } = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
      context.setDefaultTimeout(PATIENCE);
      const page = await context.newPage();
      /** @type {string[]} */
      const complaints = [];
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(String(error)));
      if (!isolated) {
        await page.route(
          ({ pathname }) => pathname.endsWith('.html'),
          async (route) => {
            const response = await route.fetch();
            const headers = Object.fromEntries(
              Object.entries(response.headers()).filter(([name]) => !name.startsWith('cross-origin-')),
            );
            await route.fulfill({ response, headers });
          },
        );
      }
      await page.addInitScript(() => {
        globalThis.violations = [];
        document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
          globalThis.violations.push(`${violatedDirective}: ${blockedURI}`),
        );
      });
      await page.goto(server.url + path);
      return { page, complaints };
    },
    async close() {
      await browser.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
