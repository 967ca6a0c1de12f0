// The examples of the papers run as they stand: README.md's ten lines in Node and in Chromium, those of docs/api.md and
// docs/errors.md in Node; and the messages that docs/errors.md quotes are what a load says.
// Run alone, after make wasm js: node --test test/examples.test.js
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadModel } from '../web/index.js';
import { serve } from '../scripts/dev/serve.mjs';
import { launchChromium } from './helpers/chromium.js';
import { root, run } from './helpers/make.js';
import { drawTensors, safetensors } from './parity/weights.js';

const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');
/** The page's JavaScript, block after block. @param {string} path */
const examples = (path) => [...read(path).matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => code).join('\n');
/** Runs code in the package's folder, whose own name leads to the bundle. @param {string} code */
const runInNode = (code) => run(process.execPath, ['--input-type=module', '-e', code]);

/** What README.md's lines print of this photo of a cat. */
const SAYS = /^cat \(\d+ %\), an embedding of 128 numbers\nit looked most at row [0-7] of 8, column [0-7] of 8$/;

test("README.md's lines are ten, and run in Node", async () => {
  const code = examples('README.md');
  assert.equal(code.trim().split('\n').filter(Boolean).length, 10);
  const { code: status, output } = await runInNode(code);
  assert.equal(status, 0, output);
  assert.match(output.trim(), SAYS);
});

test("README.md's lines run in Chromium", async () => {
  const server = await serve({ port: 0, root });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    /** @type {string[]} */
    const said = [];
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    // a page of its own in the root, without the server's policy, which allows no inline script
    await page.route('**/readme.html', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<!doctype html><title>ten lines</title><link rel="icon" href="data:,">
        <script type="importmap">{ "imports": { "tesserae": "/dist/index.js" } }</script>
        <script type="module">${examples('README.md')}console.log('end');</script>`,
      }),
    );
    await page.goto(`${server.url}readme.html`);
    const deadline = Date.now() + 30_000;
    while (Date.now() < deadline && !/end|Error/.test(said.join())) {
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
    assert.match(said.slice(0, 2).join('\n'), SAYS, said.join('\n'));
    assert.equal(said[2], 'end', said.join('\n'));
  } finally {
    await browser.close();
    await server.close();
  }
});

test("docs/api.md's examples run one after the other", async () => {
  const { code, output } = await runInNode(examples('docs/api.md'));
  assert.equal(code, 0, output);
  assert.match(output, /^ready 100 %$/m);
  assert.match(output, /^\[ 'dog 0\.\d+', /m); // the photo shows one
  assert.match(output, /^cosine similarity 0\.\d+$/m);
  assert.match(output, /^\[ 4, 2, 64, 64 \] \[ 8, 8 \] 64$/m); // four layers, two heads, 64 patches
  assert.match(output, /^blocks\.3\.attn attention \[ 1, 2, 64, 64 \] \[ 8, 8 \]\npool\.weights /m);
  assert.match(output, /^64 \[ 8, 8 \] 64$/m); // tiles of 4 x 4 RGBA
  const architectures = readdirSync(join(root, 'src/arch')).filter((name) => name.endsWith('.c'));
  assert.match(output, new RegExp(`^${architectures.length} .*\\bvit\\b`, 'm'));
});

test("docs/api.md has every field of a model's info and runtime", async () => {
  const model = await loadModel(join(root, 'models/cct_4_cifar10.safetensors'), { worker: false, threads: 1 });
  const page = read('docs/api.md');
  const [, about, runs] = /### model\.info\n([^]*?)### model\.runtime\n([^]*?)```/.exec(page) ?? [];
  const first = about
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1])
    .join();
  assert.deepEqual([...first.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort(), Object.keys(model.info).sort());
  assert.deepEqual([...runs.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort(), Object.keys(model.runtime).sort());
  const [, preprocess] = /`preprocess` \| `\{ (.*?) \}`/.exec(about) ?? [];
  assert.deepEqual(preprocess.split(', ').sort(), Object.keys(model.info.preprocess).sort());
  await model.dispose();
});

test("docs/errors.md's example prints what it says", async () => {
  const { code, output } = await runInNode(examples('docs/errors.md'));
  assert.equal(code, 0, output);
  const said = /\/\/ (ERR_\w+ \w+ \w+)$/m.exec(examples('docs/errors.md'))?.[1];
  assert.equal(output.split('\n')[0], said);
  assert.match(output.split('\n')[1], new RegExp(`^${said?.split(' ')[0]}: `));
});

test('messages that docs/errors.md quotes are those that a load gives', async () => {
  const golden = JSON.parse(read('test/golden/models/vit_tiny.json'));
  const tensors = drawTensors(golden);
  const about = { arch: golden.arch, config: golden.config };
  /** With another bias. @param {(bias: any) => any} change */
  const other = (change) => tensors.map((one) => (one.name === 'mlp_head.bias' ? { ...one, ...change(one) } : one));
  /** @param {(name: string, i: number) => string} change */
  const renamed = (change) => tensors.map((one, i) => ({ ...one, name: change(one.name, i) }));
  const linear = tensors.find(({ name }) => name === 'to_patch_embedding.2.weight');
  const bad = 'test/golden/safetensors/bad';
  const files = [
    ...readdirSync(join(root, bad)).map((name) => readFileSync(join(root, bad, name))),
    safetensors(
      tensors.filter(({ name }) => name !== 'mlp_head.bias'),
      about,
    ),
    safetensors(
      other(({ bytes }) => ({ shape: [3], bytes: bytes.slice(0, 12) })),
      about,
    ),
    safetensors(
      other(() => ({ dtype: 'I32' })),
      about,
    ),
    ...[
      renamed((name) => (name === 'mlp_head.bias' ? `module.head.${name}` : `module.${name}`)),
      renamed((_, i) => `blocks.${i}.attn.qkv.weight`),
      renamed((name) => name.replace('.to_qkv.', '.fn.to_qkv.')),
      tensors.map((one) => (/embedding\.1\.weight/.test(one.name) ? { ...linear, name: one.name } : one)),
      [...renamed((name) => `ema_model.${name}`), ...renamed((name) => `online_model.${name}`)],
    ].map((list) => safetensors(list, about)),
    safetensors(tensors, { ...about, problem_type: 'multi_label' }),
    safetensors(tensors, { ...about, config: { ...golden.config, deph: 2 } }),
    safetensors(tensors, { ...about, config: { ...golden.config, depth: 3000 } }),
  ];
  const said = [];
  for (const file of files) {
    said.push(
      await loadModel(file, { worker: false, threads: 1 }).then(
        () => '',
        (error) => error.message,
      ),
    );
  }
  let code = '';
  const [, section] = read('docs/errors.md').split(/^## Messages about .*$/m); // those about folders: web/hub.test.js
  const rows = [...section.matchAll(/^\| (?:`(ERR_\w+)`)? ?\| `(.*)` \|$/gm)];
  assert.ok(rows.length > 12, 'the messages were not found');
  for (const [, named, message] of rows) {
    code = named ?? code;
    assert.ok(
      said.some((one) => one.startsWith(`${code}: ${message}`)),
      `no load says ${code}: ${message}`,
    );
  }
});
