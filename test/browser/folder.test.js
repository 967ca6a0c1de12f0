// The demo page opens models: by an address, by a picker of folders, by drag and drop. What it says where it cannot,
// and what stays then. Alone: node --test test/browser/folder.test.js (after `make dist/tesserae-simd-all.wasm js`)
//
// What the page should show is worked out here by the same library in Node, from the same folder.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../web/index.js';
import { drawTensors, safetensors } from '../parity/weights.js';
import { clip, tensorsFile, timm, vit } from '../web/checkpoints.js';
import { startHub } from '../web/hub_server.js';
import { accessible, drop, fits, PATIENCE, root, sample, start } from './harness.js';

/** @param {string} path */
const goldenOf = (path) => JSON.parse(readFileSync(new URL(`test/golden/${path}.json`, root), 'utf8'));
const golden = goldenOf('hub/vit_labels');
const video = goldenOf('models/vit_3d_tiny');
const [config, weights] = ['config.json', 'model.safetensors'];
const good = vit();

/** Folders by their paths. @type {Record<string, Record<string, any>>} */
const FOLDERS = {
  one: good,
  two: vit('two'),
  timm: timm(),
  golden: { [config]: golden.config, [weights]: tensorsFile(golden.name, golden.tensors) },
  clip: clip(4),
  'outer/inner': good,
  'outer/other/notes': { 'notes.txt': 'no model' },
  bare: { [weights]: good[weights], 'README.md': 'a model' },
  pickle: { [config]: good[config], 'pytorch_model.bin': 'PK' },
  text: { [config]: { model_type: 'bert' }, [weights]: good[weights] },
  torn: { ...good, [weights]: good[weights].subarray(0, -9) },
};
const folder = new URL(`build/test-folder-${process.pid}/`, root);
/** @param {string} name */
const pathOf = (name) => fileURLToPath(new URL(name, folder));

/** @type {Awaited<ReturnType<typeof start>>} */
let site;
/** @type {Awaited<ReturnType<typeof startHub>>} */
let hub;
/** @type {import('playwright-core').Page} may read the local Hub, which has no https */
let page;
/** @type {string[]} exceptions; refused requests reach the console by themselves */
const uncaught = [];
/** What Node answers for the first sample. @type {Record<string, import('../../web/index.js').Classification[]>} */
const want = {};

before(
  async () => {
    for (const [name, files] of Object.entries(FOLDERS)) {
      const path = new URL(`${name}/`, folder);
      mkdirSync(path, { recursive: true });
      for (const [file, content] of Object.entries(files))
        writeFileSync(
          new URL(file, path),
          content instanceof Uint8Array || typeof content === 'string' ? content : JSON.stringify(content),
        );
    }
    hub = await startHub();
    site = await start();
    for (const name of ['own', 'one', 'two', 'timm', 'golden']) {
      const source = name === 'own' ? site.tiny : new URL(`${name}/`, folder);
      const model = await loadModel(source, { worker: false, threads: 1 });
      want[name] = await model.classify(new Uint8Array(sample('cat_1.png')));
      await model.dispose();
    }
    ({ page } = await site.open(`demos/classify.html?model=../${site.model}`, { bypassCSP: true }));
    page.on('pageerror', (error) => uncaught.push(String(error)));
    await opened('tiny.safetensors', 'own');
  },
  { timeout: 4 * PATIENCE },
);
beforeEach(() => hub.forget());
after(async () => {
  await site?.close();
  await hub?.close();
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(uncaught, []);
});

// ---- helpers ----

/** @param {string} name @param {string} [revision] */
const at = (name, revision = 'main') => `${hub.url}/org/${name}/resolve/${revision}/`;
/** @param {string} selector */
const text = (selector, on = page) => on.locator(selector).innerText();
const hidden = (/** @type {string} */ selector) => page.locator(selector).isHidden();

/** Types an address and sends it. @param {string} address */
async function type(address, on = page) {
  await on.locator('#address').fill(address);
  await on.locator('#open button').click();
}

/**
 * Waits until a model is there, and compares its answer with Node's.
 * @param {string} name as the page calls it @param {string} of which answer
 */
async function opened(name, of, on = page) {
  await on.waitForFunction(
    ([wanted, first]) =>
      document.getElementById('model-name')?.textContent === wanted &&
      document.querySelector('main')?.dataset.state === 'ready' &&
      document.querySelector('#bars .name')?.firstChild?.textContent === first,
    [name, want[of][0].label],
  );
  assert.ok(await on.locator('#load').isHidden());
  assert.ok(await on.locator('#alert').isHidden());
  const names = await on.locator('#bars .name').evaluateAll((all) => all.map((one) => one.firstChild?.textContent));
  assert.deepEqual(
    names,
    want[of].map(({ label }) => label),
  );
  const scores = await on.locator('#bars .score').allInnerTexts();
  // rounded there to one digit; relaxed SIMD differs in the last bits
  scores.forEach((words, i) => assert.ok(Math.abs(parseFloat(words) - 100 * want[of][i].score) < 0.051, words));
  assert.equal(await text('#answer', on), `${want[of][0].label}, ${scores[0]}`);
}

/** Waits for what the alert says. @param {RegExp} words @param {string} code */
async function refused(words, code) {
  await page.locator('#alert-code', { hasText: code }).waitFor();
  await page.locator('#load').waitFor({ state: 'hidden' });
  assert.match(await text('#alert'), words);
}

/** Drops files and folders of this machine on an element, as a person does. @param {string[]} paths */
async function drag(paths, selector = '#frame') {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const box = /** @type {any} */ (await page.locator(selector).boundingBox());
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  const [x, y] = [box.x + box.width / 2, Math.max(1, box.y) + Math.min(box.height, 40) / 2];
  for (const type of /** @type {const} */ (['dragEnter', 'dragOver', 'drop'])) {
    await session.send('Input.dispatchDragEvent', { type, x, y, data });
    if (type === 'dragOver') {
      await page.locator('.drop-hint').waitFor();
      assert.match(await text('.drop-hint'), /picture.*folder/);
    }
  }
  assert.ok(await hidden('.drop-hint'));
  await session.detach();
}

/** The page with its own model again. */
async function again() {
  await page.reload();
  await opened('tiny.safetensors', 'own');
}

/** Starts a load that does not end by itself. */
async function stall(name = 'slow') {
  hub.add(`org/${name}`, good);
  hub.fail('model.safetensors', { hang: 9000 });
  await type(at(name));
  await page.waitForFunction(() => Number(document.getElementById('progress')?.getAttribute('value')) > 0.1);
}

// ---- by address ----

test("the name of a repository on the Hub, under the server's own policy", async () => {
  const { page: strict, complaints } = await site.open(`demos/classify.html?model=../${site.model}`);
  hub.add('org/vit.tiny', good);
  const asked = /** @type {string[]} */ ([]);
  await strict.route('https://huggingface.co/**', async (route) => {
    const { pathname } = new URL(route.request().url());
    asked.push(pathname);
    const response = await fetch(hub.url + pathname);
    const headers = {
      'access-control-allow-origin': '*',
      'x-repo-commit': response.headers.get('x-repo-commit') ?? '',
    };
    const body = Buffer.from(await response.arrayBuffer());
    await route.fulfill({ status: response.status, headers, body });
  });
  await opened('tiny.safetensors', 'own', strict);
  for (const address of [
    'org/vit.tiny',
    ' huggingface.co/org/vit.tiny/tree/main',
    'https://huggingface.co/org/vit.tiny',
  ])
    for (const fetched of [true, false]) {
      if (fetched) await strict.evaluate(() => caches.delete('tesserae-models'));
      asked.length = 0;
      await type(address, strict);
      await strict.locator('#model-name', { hasText: /^org\/vit\.tiny$/ }).waitFor();
      await strict.locator('#facts', { hasText: fetched ? 'from the network' : 'from the cache' }).waitFor();
      await opened('org/vit.tiny', 'one', strict);
      assert.equal(asked[0], fetched ? '/org/vit.tiny/resolve/main/config.json' : undefined);
    }
  assert.deepEqual(await strict.evaluate(() => globalThis.violations), []);
  assert.deepEqual(
    complaints.filter((words) => !/404/.test(words)),
    [],
  );
  await strict.context().close();
});

test('a folder of another origin that leads to a third: its answer, its name, and what was understood', async () => {
  hub.add('org/one', good);
  hub.add('org/timm', FOLDERS.timm);
  await type(at('one'));
  await opened('org/one', 'one');
  assert.ok(hub.asked().some(({ host }) => host === 'store'));
  assert.match(await text('#model-about'), /^Vision Transformer.*, 5 classes$/);
  const facts = await text('#facts');
  for (const part of ['stretched\nto 16 × 16; bilinear; mean 0.5, deviation 0.5', '5\nant one, bee one, cat one, …'])
    assert.ok(facts.includes(part), `no "${part}" in: ${facts}`);
  await page.locator('#address').fill(at('timm'));
  await page.keyboard.press('Enter');
  await opened('org/timm', 'timm');
  assert.match(
    await text('#facts'),
    /cropped\nshorter side to 18, the middle 16 × 16; bicubic; mean 0\.485 0\.456 0\.406/,
  );
  assert.match(await text('#facts'), /Classes\n5\nwithout names/);
});

test('an address can be pasted and dropped into its field', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.evaluate(() => navigator.clipboard.writeText('org/pasted'));
  await page.locator('#address').fill('');
  await page.keyboard.press('Control+v');
  assert.equal(await page.locator('#address').inputValue(), 'org/pasted');
  assert.ok(await hidden('#alert'), 'it was not taken for a picture');
  const kept = await page.evaluate(() => {
    const transfer = new DataTransfer();
    transfer.setData('text/uri-list', 'https://example.com/model/');
    const fired = (/** @type {string} */ id, /** @type {string} */ type) =>
      document
        .getElementById(id)
        ?.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    return [fired('address', 'dragover'), fired('address', 'drop'), fired('frame', 'dragover')];
  });
  assert.deepEqual(kept, [true, true, false], 'the browser puts it into the field, and does not leave the page');
});

// ---- from this device ----

test('a picker of folders', async () => {
  for (const name of ['golden', 'timm']) {
    await page.locator('#folder').setInputFiles(pathOf(name));
    await opened(name, name);
    assert.match(await text('#facts'), /from this device/);
  }
  await page.locator('#folder').setInputFiles(pathOf('outer'));
  await opened('outer', 'one');
});

test('a folder dropped, one in another, and files without a folder', async () => {
  await drag([pathOf('two')]);
  await opened('two', 'two');
  await drag([pathOf('outer')], '#open-title');
  await opened('outer', 'one');
  await drag([`${pathOf('golden')}/${weights}`, `${pathOf('golden')}/${config}`]);
  await opened('2 files', 'golden');
  await drag([fileURLToPath(new URL(site.model, root))], '#address');
  await opened('tiny.safetensors', 'own');
});

test('a picture dropped is a picture still', async () => {
  await drag([fileURLToPath(new URL('demos/samples/ship_1.png', root))]);
  await page.locator('#frame[aria-label^="Picture: ship_1.png"]').waitFor();
  assert.equal(await text('#model-name'), 'tiny.safetensors');
  await again();
});

test('a model that gives embeddings says so, and has no bars', async () => {
  await page.locator('#folder').setInputFiles(pathOf('clip'));
  await page.locator('#answer', { hasText: 'No classes: this model gives an embedding of 12 numbers' }).waitFor();
  await page.locator('main[data-state="ready"]').waitFor();
  assert.equal(await page.locator('#bars li').count(), 0);
  assert.match(await text('#facts'), /Classes\nnone/);
  assert.match(await text('#facts'), /Not used\n\d tensors/);
  assert.doesNotMatch(await text('#facts'), /NaN|undefined|Last answer\n0\.0/);
  assert.ok(await hidden('#photos-tag'), 'photographs are out of the domain of the model that ships alone');
  await again();
});

// ---- what it says when something is wrong ----

test('each error says what mends it, and the model before answers on', async () => {
  for (const name of ['bare', 'pickle', 'text', 'torn']) hub.add(`org/${name}`, FOLDERS[name]);
  hub.add('org/gated', good, { token: 'hf_x', gated: true });
  const noConfig = /There is no config\.json in .*is it the folder of a model\?/;
  const pickle =
    /pytorch_model\.bin alone \(a pickle, which can run code\)\. Save it as safetensors: .*save_pretrained/;
  const textModel = /not a model the page can run\. Model_type "bert" is no vision model.*it runs .*vit/i;
  const drops = /This page sends no token: download the folder with your account, and drop it here/;
  const noAddress = /is no address\. Give that of a folder, which begins with https:\/\/, or the name of a model/;
  const label = await page.locator('#frame').getAttribute('aria-label');
  const facts = await text('#facts');
  for (const [address, words, code] of /** @type {[string, RegExp, string][]} */ ([
    [at('bare'), noConfig, 'ERR_FETCH_HTTP'],
    [at('vit-tny'), new RegExp(`There is no such repository.*|Is the name right\\? ${drops.source}`), 'ERR_FETCH_HTTP'],
    [at('gated'), new RegExp(`accept its terms on its page.*\\. ${drops.source}`), 'ERR_FETCH_HTTP'],
    [at('pickle'), pickle, 'ERR_CONFIG'],
    [at('text'), textModel, 'ERR_CONFIG'],
    [at('torn'), /model\.safetensors: \d+ of \d+ bytes came\. The file is not whole/, 'ERR_FETCH_TRUNCATED'],
    ['../none.safetensors', /none\.safetensors: HTTP 404/, 'ERR_FETCH_HTTP'],
    ['classify.html', /a page \(text\/html.*is the address right/, 'ERR_FETCH_CONTENT_TYPE'],
    ['vit', noAddress, 'ERR_ARGUMENT'],
    ['https://', noAddress, 'ERR_ARGUMENT'],
    ['ftp://example.com/vit/', noAddress, 'ERR_ARGUMENT'],
    ['C:\\models\\vit', noAddress, 'ERR_ARGUMENT'],
  ])) {
    await type(address);
    await refused(words, code);
    assert.doesNotMatch(await text('#alert'), /headers:/, "the library's options are nothing for a visitor");
    if (!/is no address/.test(words.source)) assert.match(await text('#alert'), /tiny\.safetensors stays open/);
    assert.equal(await text('#model-name'), 'tiny.safetensors');
    assert.equal(await page.locator('#frame').getAttribute('aria-label'), label, 'the picture stays');
    assert.equal(await text('#facts'), facts, 'and so do the facts');
    await page.locator('#dismiss').click();
    assert.ok(await hidden('#alert'));
  }
  for (const [name, words, code] of /** @type {[string, RegExp, string][]} */ ([
    ['bare', noConfig, 'ERR_ARGUMENT'],
    ['pickle', pickle, 'ERR_CONFIG'],
    ['text', textModel, 'ERR_CONFIG'],
    ['torn', /was not opened.*The file is not whole: copy or download it again/s, 'ERR_FETCH_TRUNCATED'],
  ]))
    for (const give of [
      () => page.locator('#folder').setInputFiles(pathOf(name)),
      () => drag([pathOf(name)]),
      () => drag(Object.keys(FOLDERS[name]).map((file) => `${pathOf(name)}/${file}`)),
    ]) {
      await give();
      await refused(words, code);
      await page.locator('#dismiss').click();
    }
  await page.locator('[data-file="ship_1.png"]').click();
  await page.locator('[data-file="cat_1.png"]').click();
  await opened('tiny.safetensors', 'own');
  assert.doesNotMatch(await text('#facts'), /NaN|undefined/);
});

test('files that are alone: weights without a config, a config, a pickle, a model of films', async () => {
  const bytes = safetensors(drawTensors(video), video);
  for (const [name, contents, words, code] of /** @type {[string, any, RegExp, string][]} */ ([
    ['model.safetensors', good[weights], /no __metadata__\.tesserae/, 'ERR_CONFIG'],
    ['config.json', JSON.stringify(good[config]), /There is no model\.safetensors in the files given/, 'ERR_CONFIG'],
    ['model.pth', 'PK\x03\x04 and so on', /./, 'ERR_'],
    ['film.safetensors', bytes, /was not opened.*takes no single picture/s, 'ERR_ARGUMENT'],
  ])) {
    await drop(page, [name, '', contents]);
    await refused(words, code);
    assert.doesNotMatch(await text('#alert'), /not a picture/);
    assert.equal(await text('#model-name'), 'tiny.safetensors');
  }
  await again();
});

test('a server that cannot be reached', async () => {
  await page.route('**/away/**', (route) => route.abort());
  await type('/away/');
  await refused(
    /could not be reached.*Is the address right.*CORS.*download the folder, and drop it here/s,
    'ERR_FETCH_NETWORK',
  );
  await page.locator('#dismiss').click();
});

// ---- while it loads ----

test('progress in sight, a cancel, and the model before works all the while', async () => {
  await page.setViewportSize({ width: 320, height: 640 });
  await stall();
  assert.match(await text('#load-text'), /^Loading org\/slow$/);
  assert.match(await text('#load-size'), /KB of .* KB$/);
  assert.ok(
    await page.evaluate(() => {
      const { top, bottom } = /** @type {Element} */ (document.getElementById('load')).getBoundingClientRect();
      return scrollY > 500 && top >= 0 && bottom <= innerHeight;
    }),
    'beside the controls, although they are far down the page',
  );
  await page.locator('[data-file="ship_1.png"]').click();
  await page.locator('#frame[aria-label^="Picture: ship 1"]').waitFor();
  await page.locator('main[data-state="loading"]').waitFor();
  await page.locator('#cancel').click();
  await page.locator('#open-note', { hasText: 'Loading was cancelled. tiny.safetensors stays open.' }).waitFor();
  assert.ok((await hidden('#load')) && (await hidden('#alert')), 'who cancels needs no alert');
  assert.equal(await page.locator('main').getAttribute('data-state'), 'ready');
  await page.locator('[data-file="cat_1.png"]').click();
  await opened('tiny.safetensors', 'own');
  assert.match(await text('#facts'), /from the (network|cache), ready/);
  await page.setViewportSize({ width: 1280, height: 900 });
});

test('of two loads the second counts', async () => {
  await stall();
  await drag([pathOf('two')]);
  await opened('two', 'two');
  const deadline = Date.now() + PATIENCE;
  const isOpen = () => hub.log.some(({ status }) => status === undefined);
  while (isOpen() && Date.now() < deadline)
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  assert.ok(!isOpen(), 'the first is not read on');
  // the same at once, in every order
  const [first, second] = [pathOf('golden'), pathOf('one')];
  for (const [paths, name] of /** @type {[string[], string][]} */ ([
    [[first, second], 'one'],
    [[second, first], 'golden'],
  ])) {
    for (const path of paths) await page.locator('#folder').setInputFiles(path);
    await opened(name, name);
  }
  await stall();
  await drag([pathOf('text')]);
  await refused(/"bert" is no vision model.*golden stays open/s, 'ERR_CONFIG');
  await page.locator('[data-file="ship_1.png"]').click();
  await page.locator('[data-file="cat_1.png"]').click();
  await opened('golden', 'golden');
  await again();
});

test('no model yet: a folder dropped takes the place of one that did not come', async () => {
  await page.goto(`${site.url}demos/classify.html?model=../none.safetensors`);
  await page.locator('#alert').waitFor();
  assert.equal(await text('#answer'), 'There is no model yet');
  assert.doesNotMatch(await text('#alert'), /stays open/);
  assert.ok(await page.locator('#retry').isVisible());
  await drag([pathOf('one')]);
  await opened('one', 'one');
  await page.goto(`${site.url}demos/classify.html?model=../${site.model}`);
  await opened('tiny.safetensors', 'own');
});

// ---- for everybody ----

test('with the keyboard alone', async () => {
  hub.add('org/one', good);
  await page.locator('#paste').focus();
  /** Tab until an element has the focus; what has it must show it. @param {string} selector */
  const reach = async (selector, key = 'Tab') => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press(key);
      const [there, outline] = await page.evaluate((wanted) => {
        const focused = /** @type {HTMLElement} */ (document.activeElement);
        const shown = focused.closest('label.button') ?? focused;
        return [focused.matches(wanted), getComputedStyle(shown).outlineStyle];
      }, selector);
      if (there) return assert.notEqual(outline, 'none', `${selector} does not show its focus`);
    }
    return assert.fail(`${selector} is not reached by ${key}`);
  };
  const focus = () => page.evaluate(() => document.activeElement?.id);
  await reach('#address');
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#address:invalid').count(), 1, 'an empty field is refused by the browser');
  assert.ok((await hidden('#load')) && (await hidden('#alert')));
  await page.keyboard.type(at('vit-tny'));
  await reach('#open button');
  await reach('#folder');
  await reach('#address', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await refused(/Is the name right/, 'ERR_FETCH_HTTP');
  await reach('#dismiss', 'Shift+Tab');
  await page.keyboard.press('Enter');
  assert.equal(await focus(), 'address', 'back where it was');
  await page.keyboard.press('Control+a');
  hub.add('org/slow', good);
  hub.fail('model.safetensors', { hang: 9000 });
  await page.keyboard.type(at('slow'));
  await page.keyboard.press('Enter');
  await page.locator('#cancel').waitFor();
  await reach('#cancel', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.locator('#open-note', { hasText: 'cancelled' }).waitFor();
  assert.equal(await focus(), 'address', 'back where it was');
  await page.keyboard.press('Control+a');
  await page.keyboard.type(at('one'));
  await page.keyboard.press('Enter');
  await opened('org/one', 'one');
  assert.equal(await page.locator('#open-note').innerText(), '');
});

test('what is read out: names, descriptions, states', async () => {
  const { root: tree } = /** @type {any} */ ({ root: await page.locator('main').ariaSnapshot() });
  for (const part of [
    'textbox "Open another: the address of its folder or file"',
    'button "Open"',
    'button "Choose a folder"',
    'heading "Model" [level=2]',
  ])
    assert.ok(tree.includes(part), `no ${part} in ${tree}`);
  for (const selector of ['#address', '#folder']) {
    const described = await page.locator(selector).getAttribute('aria-describedby');
    assert.match(await text(`#${described}`), /google\/vit-base-patch16-224.*drop a folder anywhere/s);
  }
  for (const selector of ['#load-text', '#open-note'])
    assert.equal(await page.locator(selector).getAttribute('role'), 'status');
  assert.match(String(await page.locator('#address').getAttribute('placeholder')), /owner\/name.*https:/);
  await page.locator('a', { hasText: 'with your own' }).click();
  assert.ok(await page.locator('#address').isVisible());
});

test('narrow and wide, light and dark, loading and refused: nothing overflows, and axe finds nothing', async () => {
  hub.add('org/text', FOLDERS.text);
  for (const [width, colorScheme] of /** @type {const} */ ([
    [320, 'light'],
    [320, 'dark'],
    [1440, 'dark'],
  ])) {
    await page.setViewportSize({ width, height: 640 });
    await page.emulateMedia({ colorScheme });
    await stall();
    await fits(page, `${width}, loading`);
    await accessible(page, `${width}, ${colorScheme}, loading`);
    await page.locator('#cancel').click();
    await page.locator('#open-note', { hasText: 'cancelled' }).waitFor();
    await fits(page, `${width}, cancelled`);
    await type(at('text'));
    await refused(/bert/, 'ERR_CONFIG');
    await fits(page, `${width}, refused`);
    await accessible(page, `${width}, ${colorScheme}, refused`);
    assert.ok(
      await page.evaluate(() => {
        const { top, bottom } = /** @type {Element} */ (document.getElementById('dismiss')).getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
      }),
      'the message can be dismissed without scrolling',
    );
    if (width !== 320) continue;
    await page.locator('#photos .sample').last().focus();
    for (let i = 0; i < 30; i++) {
      await page.keyboard.press('Shift+Tab');
      const behind = await page.evaluate(() => {
        const focused = /** @type {HTMLElement} */ (document.activeElement);
        const { top } = (focused.closest('label') ?? focused).getBoundingClientRect();
        const message = /** @type {Element} */ (document.getElementById('alert'));
        return !message.contains(focused) && top < message.getBoundingClientRect().bottom ? focused.outerHTML : '';
      });
      assert.equal(behind, '', 'the focus is hidden by the message');
    }
  }
});
