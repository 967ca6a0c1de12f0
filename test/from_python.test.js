// docs/from-python.md without Python: for each of its recipes a tiny checkpoint as the recipe writes it loads and gives
// the answer that the plain one gives, and its lines of sh and of JavaScript run as they stand.
// scripts/parity/from_python.py (`make parity`) runs the blocks of Python themselves.
// Run alone, after make wasm: node --test test/from_python.test.js
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { loadModel } from '../web/index.js';
import { root } from './helpers/make.js';
import { difference, Q8_TOLERANCE, tiny } from './parity/cases.js';
import { drawInput, drawTensors, safetensors } from './parity/weights.js';
import { DIMS, renamed, timm, vit } from './web/checkpoints.js';
import { withServer } from './web/server.js';

const page = readFileSync(join(root, 'docs/from-python.md'), 'utf8');
/** The page's blocks in a language, each with its heading. @param {string} language @returns {[string, string][]} */
const blocks = (language) =>
  page
    .split(/^## /m)
    .slice(1)
    .flatMap((part) =>
      [...part.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(
        ([, code]) => /** @type {[string, string]} */ ([part.split('\n')[0], code]),
      ),
    );

/** @type {string} */
let home;
before(() => {
  home = mkdtempSync(join(tmpdir(), 'tesserae-recipes-'));
});
after(() => rmSync(home, { recursive: true }));

/** Writes a folder. @param {string} name @param {Record<string, any>} files @returns {string} its path */
function folder(name, files) {
  const path = join(home, name);
  mkdirSync(path, { recursive: true });
  for (const [file, content] of Object.entries(files))
    writeFileSync(join(path, file), content instanceof Uint8Array ? content : JSON.stringify(content));
  return path;
}

/** @param {string} source @param {any} [options] */
async function answer(source, options) {
  const model = await loadModel(source, { worker: false, threads: 1, ...options });
  const { output } = await model.forward({ data: drawInput('recipe', 'image', DIMS), dims: DIMS });
  await model.dispose();
  return { logits: [...output.data], info: model.info };
}

const VIT = tiny('vit_tiny');
const LABELS = Array.from({ length: VIT.config.num_classes }, (_, i) => `label ${i}`);

/**
 * By the heading of a recipe: what it writes, what the names there have in front, and the same without that.
 * @type {Record<string, [files: Record<string, any>, prefix: string, plain: Record<string, any>]>}
 */
const RECIPES = {
  transformers: [vit(), '', vit()],
  timm: [timm(), '', timm()],
  Lightning: [renamed(vit(), 'model.'), 'model.', vit()],
  'torch.compile': [renamed(timm(), '_orig_mod.'), '_orig_mod.', timm()],
  'DataParallel, named below torch.compile': [renamed(timm(), 'module.'), 'module.', timm()],
};

test('each recipe of the page is among these', () =>
  assert.deepEqual(
    blocks('python').map(([heading]) => heading),
    ['transformers', 'timm', 'vit-pytorch', 'Lightning', 'torch.compile'],
  ));

for (const [name, [files, prefix, plain]] of Object.entries(RECIPES))
  test(`${name}: the folder loads${prefix && `, with ${prefix} in front of all names`}`, async () => {
    const { logits, info } = await answer(folder(name, files));
    const { logits: wanted } = await answer(folder(`${name} plain`, plain));
    assert.deepEqual(logits, wanted);
    assert.ok(new Set(logits).size > 1);
    assert.deepEqual([info.prefix ?? '', info.unused, info.output.kind], [prefix, [], 'logits']);
  });

test('vit-pytorch: the file says itself what it is, and may name fewer labels than classes', async () => {
  const [, code] = blocks('python').find(([heading]) => heading === 'vit-pytorch') ?? [];
  const [, metadata] = /^metadata = \{(.*)\}$/m.exec(code ?? '') ?? [];
  const keys = [...metadata.matchAll(/"(\w+)":/g)].map(([, key]) => key);
  const about = { arch: 'vit', config: VIT.config, labels: LABELS.slice(0, 2) };
  assert.deepEqual(keys, Object.keys(about), "the page's keys are those tried here");
  const path = join(home, 'vit.safetensors');
  writeFileSync(path, safetensors(drawTensors(VIT), about));
  const model = await loadModel(path, { worker: false, threads: 1 });
  assert.deepEqual([model.info.arch, model.info.labels?.slice(0, 2)], ['vit', LABELS.slice(0, 2)]);
  await model.dispose();
});

test('the lines of sh make one file of a quarter, with labels and preprocessing in it', async () => {
  const [[, code]] = blocks('sh');
  folder('my-model', vit());
  let said = '';
  for (const line of code.trim().split('\n')) {
    const [npx, tesserae, ...args] = line.split(' ');
    assert.deepEqual([npx, tesserae], ['npx', 'tesserae'], line);
    const program = [join(root, 'web/cli/cli.js'), ...args];
    ({ stdout: said } = await promisify(execFile)(process.execPath, program, { cwd: home }));
  }
  assert.match(said, /^labels +5: ant one, bee one/m);
  const { logits, info } = await answer(join(home, 'my-model.safetensors'));
  const wide = await answer(join(home, 'my-model'));
  assert.deepEqual([info.dtype, wide.info.dtype], ['q8', 'f32']);
  assert.ok(difference(logits, wide.logits) < Q8_TOLERANCE);
  assert.deepEqual(info.preprocess, wide.info.preprocess);
  assert.deepEqual(info.preprocess?.size, [16, 16]);
  const sizes = ['my-model/model.safetensors', 'my-model.safetensors'].map((name) => statSync(join(home, name)).size);
  assert.ok(sizes[1] < 0.6 * sizes[0], `${sizes}`); // headers are half of so small a file
});

test('the lines of JavaScript run', async () => {
  const code = blocks('js')
    .map(([, one]) => one)
    .join('\n');
  const path = folder('page', vit());
  const answers = (/** @type {any} */ { url }, /** @type {any} */ response) => {
    try {
      response.end(readFileSync(join(path, url.replace('/my-model/', ''))));
    } catch {
      response.writeHead(404).end();
    }
  };
  await withServer(answers, async (base, requests) => {
    const { constructor: AsyncFunction } = Object.getPrototypeOf(async () => {});
    const run = new AsyncFunction('loadModel', 'image', `${code}; await model.dispose(); return { label, score };`);
    const image = { width: 20, height: 16, data: new Uint8ClampedArray(20 * 16 * 4).fill(99) };
    const load = (/** @type {string} */ address) => loadModel(base + address, { worker: false, threads: 1 });
    const { label, score } = await run(load, image);
    assert.match(label, /^(ant|bee|cat|dog|eel) one$/);
    assert.ok(score > 0.2 && score <= 1);
    const [, listed] = /loadModel\('\/my-model\/'\); \/\/ (.*)/.exec(code) ?? [];
    const found = requests.map(({ url }) => url?.replace('/my-model/', ''));
    for (const name of listed.split(', ')) assert.ok(found.includes(name), `${name} is asked for`);
  });
});
