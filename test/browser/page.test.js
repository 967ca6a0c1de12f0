// The demo page in Chromium: what people do with it, and what it says when something is wrong.
// Alone: node --test test/browser/page.test.js (after `make wasm`)
//
// Only the last test needs the model that ships; the others use one with random weights (harness.js). What the page
// should show is worked out here by the same library in Node, from the same file.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, before, test } from 'node:test';
import { colourOf } from '../../demos/colour.js';
import { CLASSES, groups, photos } from '../../demos/samples.js';
import { loadModel } from '../../web/index.js';
import { accessible, drop, fits, PATIENCE, root, sample, start, tinyModel } from './harness.js';

const SHIPPED = 'models/cct_4_cifar10.safetensors';

/** @type {Awaited<ReturnType<typeof start>>} */
let site;
/** @type {import('playwright-core').Page} the page that most tests share, each from where the one before left it */
let page;
/** @type {string[]} */
let complaints;
/** @type {import('playwright-core').Page} for what needs another page, each from its own address */
let other;
/** @type {import('../../web/index.js').Model} */
let node;

before(
  async () => {
    site = await start();
    node = await loadModel(site.tiny, { worker: false });
    ({ page, complaints } = await site.open(`demos/classify.html?model=../${site.model}`));
    await drawn(page, 'attention 2 mean');
  },
  { timeout: 2 * PATIENCE },
);

after(async () => {
  await node?.dispose();
  await site?.close();
});

// ---- helpers ----

/** Waits until the overlay shows this: view, layer, head, patch; after a head without a patch none must be chosen. */
const drawn = (on, what) =>
  on.waitForFunction((wanted) => {
    const { state, drawn: now = '' } = document.querySelector('main').dataset;
    const parts = now.split(' ');
    return state === 'ready' && wanted.every((part, i) => part === parts[i]) && (wanted.length !== 3 || !parts[3]);
  }, what.split(' '));
const overlay = (on = page) =>
  on.evaluate(() => /** @type {HTMLCanvasElement} */ (document.getElementById('overlay')).toDataURL());
const text = (selector, on = page) => on.locator(selector).innerText();
const radio = (name, value, on = page) => on.locator(`input[name="${name}"][value="${value}"]`);

/** Chooses a view, layer and head, and returns the overlay. */
async function look({ view = 'attention', layer, head }) {
  await radio('view', view).check();
  if (layer !== undefined) await radio('layer', layer).check();
  if (head !== undefined) await radio('head', head).check();
  await drawn(page, [view, layer, head].filter((part) => part !== undefined).join(' '));
  return overlay();
}

/** Clicks a sample and waits for its answer. */
async function choose(file, on = page) {
  await on.locator(`[data-file="${file}"]`).click();
  await on.locator(`[data-file="${file}"][aria-pressed="true"]`).waitFor();
  await on.locator('main[data-state="ready"]').waitFor();
}

/** Waits until the answer begins with the class that Node gives for this file. */
async function answers(file, on = page) {
  const [{ label }] = await node.classify(new Uint8Array(sample(file)));
  await on.locator('#answer', { hasText: `${label}, ` }).waitFor();
  await on.locator('main[data-state="ready"]').waitFor();
  return label;
}

/** The heat map's colour at the middle of each cell. */
const cellColours = (rows, columns) =>
  page.evaluate(
    ([r, c]) => {
      const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById('overlay'));
      const context = canvas.getContext('2d');
      const colours = [];
      for (let i = 0; i < r * c; i++) {
        const x = Math.floor(((i % c) + 0.5) * (canvas.width / c));
        const y = Math.floor((Math.floor(i / c) + 0.5) * (canvas.height / r));
        colours.push([...context.getImageData(x, y, 1, 1).data.slice(0, 3)]);
      }
      return colours;
    },
    [rows, columns],
  );

/** The overlay must show these values, from smallest to largest. */
async function showsMap(values, what) {
  const list = [...values];
  const [min, max] = [Math.min(...list), Math.max(...list)];
  const got = await cellColours(8, 8);
  list.forEach((value, i) => {
    const want = colourOf((value - min) / (max - min));
    // Node has no relaxed SIMD: sums differ in the last bits, which moves a value by one of 256 colours at most;
    // neighbouring colours are less than 6 apart in a channel
    const off = Math.max(...want.map((c, k) => Math.abs(c - got[i][k])));
    assert.ok(off <= 6, `${what}, cell ${i}: rgb(${got[i]}), expected rgb(${want})`);
  });
}

const pictureOf = async (file) => {
  const { data, dims } = await node.preprocess(new Uint8Array(sample(file)));
  return { data, dims };
};

// ---- what it does ----

test('opens with a sample classified: five bars, facts, nothing to complain about', async () => {
  await answers('cat_1.png');
  assert.equal(await page.locator('#bars li').count(), 5);
  const want = await node.classify(new Uint8Array(sample('cat_1.png')));
  const got = (await page.locator('#bars .name').allInnerTexts()).map((name) => name.split('\n')[0]);
  assert.deepEqual(
    got,
    want.map(({ label }) => label),
  );
  const facts = await text('#facts');
  for (const part of [
    'Compact Convolutional Transformer',
    'Relaxed SIMD\nyes',
    `Threads\n${Math.min(4, availableParallelism())}`,
    'Worker\nyes',
    'Last answer',
    'in use',
    node.info.parameters.toLocaleString('en'),
  ]) {
    assert.ok(facts.includes(part), `no "${part}" in: ${facts}`);
  }
  assert.ok(await page.locator('#load').isHidden());
  assert.ok(await page.locator('#alert').isHidden());
  assert.deepEqual(complaints, []);
  assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
});

test('every sample is there, with a name', async () => {
  const files = [...groups.flatMap(({ items }) => items), ...photos];
  assert.equal(await page.locator('.sample').count(), files.length);
  for (const { file } of files) assert.ok(existsSync(new URL(`demos/samples/${file}`, root)), file);
  const nameless = await page.evaluate(
    () =>
      [...document.querySelectorAll('.sample img')].filter((img) => !(/** @type {HTMLImageElement} */ (img).alt))
        .length,
  );
  assert.equal(nameless, 0);
});

test('a file dropped on the page is classified', async () => {
  await drop(page, ['my ship.png', 'image/png', sample('ship_1.png')]);
  const label = await answers('ship_1.png');
  assert.notEqual(
    label,
    (await node.classify(new Uint8Array(sample('cat_1.png'))))[0].label,
    'the test needs pictures with different answers',
  );
  assert.match(await page.locator('#frame').getAttribute('aria-label'), /^Picture: my ship\.png\./);
  assert.match(await text('#note'), /knows ten classes/);
});

test('samples: the label of the data set, and photographs as out of domain', async () => {
  assert.ok(await page.locator('#photos-tag').isVisible());
  await choose('deer_1.png');
  assert.match(await text('#bars'), /deer\s*✓ its label/);
  await choose('photo_astronaut.jpg');
  assert.match(await text('#note'), /Out of domain.*astronaut is none of them/);
  const size = await page.evaluate(() => /** @type {HTMLCanvasElement} */ (document.getElementById('picture')).width);
  assert.equal(size, 512, 'a photograph is shown sharp');
  await page.locator('#as-model').check();
  assert.equal(
    await page.evaluate(() => /** @type {HTMLCanvasElement} */ (document.getElementById('picture')).width),
    32,
  );
  await page.locator('#as-model').uncheck();
});

test('a pasted picture is classified, by key and by button', async () => {
  await choose('cat_1.png');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    return navigator.clipboard
      .write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })])
      .then(() => true, String);
  }, sample('ship_1.png').toString('base64'));
  assert.equal(copied, true);
  await page.keyboard.press('Control+v');
  await answers('ship_1.png');
  await choose('cat_1.png');
  await page.locator('#paste').click();
  await answers('ship_1.png');
  await page.evaluate(() => navigator.clipboard.writeText('words'));
  await page.keyboard.press('Control+v');
  assert.match(await text('#alert'), /clipboard holds no picture/i);
  await page.locator('#dismiss').click();
  assert.ok(await page.locator('#alert').isHidden());
});

test('the heat map shows the attention of the layer and head that were chosen', async () => {
  await choose('frog_2.png');
  const tensor = await pictureOf('frog_2.png');
  const seen = new Set();
  for (const layer of [0, 1, 2]) {
    for (const head of ['mean', 0, 1]) {
      seen.add(await look({ layer, head }));
      const { map } = await node.attention(tensor, { layers: [layer], heads: head });
      await showsMap(map, `layer ${layer}, head ${head}`);
    }
  }
  assert.equal(seen.size, 9, 'each layer and head looks different');
  assert.ok(seen.has(await look({ layer: 0, head: 'mean' })), 'and the same again when chosen again');
});

test('rollout, pooling weights and patches are other pictures', async () => {
  const tensor = await pictureOf('frog_2.png');
  const attention = await look({ view: 'attention', layer: 2, head: 'mean' });
  const rollout = await look({ view: 'rollout' });
  await showsMap((await node.attention(tensor, { rollout: true })).map, 'rollout');
  assert.ok(await radio('layer', 0).isDisabled(), 'a rollout has no one layer');
  const pooling = await look({ view: 'pooling' });
  await showsMap((await node.forward(tensor, { capture: 'pool.weights' })).captures['pool.weights'].data, 'pooling');
  const patches = await look({ view: 'patches' });
  assert.match(await text('#explain'), /8 × 8 patches/);
  // the first tile is the first 4 x 4 pixels of the picture, enlarged
  const { fitted } = await node.preprocess(new Uint8Array(sample('frog_2.png')));
  const corner = await page.evaluate(() => [
    .../** @type {HTMLCanvasElement} */ (document.getElementById('overlay'))
      .getContext('2d')
      .getImageData(8, 8, 1, 1)
      .data.slice(0, 3),
  ]);
  assert.deepEqual(corner, [...fitted.data.slice(0, 3)]);
  assert.equal(new Set([attention, rollout, pooling, patches, await look({ view: 'none' })]).size, 5);
  assert.equal(await look({ view: 'attention', layer: 2, head: 'mean' }), attention);
});

test('a click on a patch shows what it attends to', async () => {
  const before = await look({ view: 'attention', layer: 1, head: 1 });
  const { width, height } = await page.locator('#frame').boundingBox();
  await page.locator('#frame').click({ position: { x: width * (2.5 / 8), y: height * (4.5 / 8) } }); // row 5, column 3
  await drawn(page, `attention 1 1 ${4 * 8 + 2}`);
  const { data } = await node.attention(await pictureOf('frog_2.png'), { layers: [1], heads: 1 });
  await showsMap(data.slice((4 * 8 + 2) * 64, (4 * 8 + 3) * 64), 'row of the patch');
  assert.match(await text('#explain'), /the patch at row 5, column 3 attends most to row \d, column \d/);
  assert.ok(await page.locator('#mark').isVisible());
  await page.keyboard.press('Escape');
  await drawn(page, 'attention 1 1');
  assert.equal(await overlay(), before);
  assert.ok(await page.locator('#mark').isHidden());
});

test('the opacity slider', async () => {
  const opacity = () => page.evaluate(() => document.getElementById('overlay').style.opacity);
  await page.locator('#opacity').fill('20');
  assert.equal(await opacity(), '0.2');
  await page.locator('#opacity').fill('55');
  assert.equal(await opacity(), '0.55');
  const [min, max] = [await text('#legend-min'), await text('#legend-max')];
  assert.ok(parseFloat(min) < parseFloat(max), `${min} to ${max}`);
});

test('with the keyboard alone', async () => {
  await choose('cat_1.png');
  await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).blur());
  /** Tab until `selector` has the focus; what has it must show it. */
  const reach = async (selector) => {
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press('Tab');
      const [there, outline] = await page.evaluate((wanted) => {
        const focused = /** @type {HTMLElement} */ (document.activeElement);
        // a radio button and the file input are drawn by their label
        const shown = focused.matches('.tiles input')
          ? focused.nextElementSibling
          : focused.matches('#file')
            ? focused.parentElement
            : focused;
        return [focused.matches(wanted), getComputedStyle(shown).outlineStyle];
      }, selector);
      if (there) return assert.notEqual(outline, 'none', `${selector} does not show its focus`);
    }
    return assert.fail(`${selector} is not reached by Tab`);
  };
  await reach('#frame');
  await page.keyboard.press('ArrowRight');
  await drawn(page, 'attention 1 1 36');
  for (const [key, cell] of [
    ['ArrowUp', 28],
    ['ArrowRight', 29],
    ['ArrowDown', 37],
    ['ArrowLeft', 36],
  ]) {
    await page.keyboard.press(key);
    await drawn(page, `attention 1 1 ${cell}`);
  }
  await page.keyboard.press('Escape');
  await reach('#file');
  await reach('#paste');
  await reach('input[name="view"]');
  await page.keyboard.press('ArrowRight');
  await drawn(page, 'rollout');
  await page.keyboard.press('ArrowLeft');
  await drawn(page, 'attention');
  await reach('input[name="layer"]');
  await page.keyboard.press('ArrowRight');
  await drawn(page, 'attention 2 1');
  await reach('input[name="head"]');
  await page.keyboard.press('ArrowLeft');
  await drawn(page, 'attention 2 0');
  await reach('#opacity');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.locator('#opacity').inputValue(), '56');
  await reach('[data-file="ship_1.png"]');
  await page.keyboard.press('Enter');
  await answers('ship_1.png');
  await look({ layer: 2, head: 'mean' });
});

test('quick choices: the last one counts', async () => {
  for (const file of ['dog_1.png', 'bird_2.png', 'photo_rocket.jpg', 'cat_1.png'])
    await page.locator(`[data-file="${file}"]`).click({ noWaitAfter: true });
  await page.locator('[data-file="cat_1.png"][aria-pressed="true"]').waitFor();
  await answers('cat_1.png');
  assert.equal(await page.locator('[aria-pressed="true"]').count(), 1);
});

// ---- what it says when something is wrong ----

test('a text file is refused in words, and the page goes on', async () => {
  const frame = await page.locator('#frame').getAttribute('aria-label');
  await page
    .locator('#file')
    .setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture at all, but words') });
  await page.locator('#alert').waitFor();
  assert.equal(await page.locator('#alert').getAttribute('role'), 'alert');
  assert.equal(await text('#alert-code'), 'ERR_IMAGE_FORMAT');
  assert.match(await text('#alert'), /not a picture/);
  assert.equal(await page.locator('#frame').getAttribute('aria-label'), frame, 'the picture before stays');
  await accessible(page, 'the alert', { within: '#alert' });
  await choose('ship_1.png');
  await answers('ship_1.png');
  assert.ok(await page.locator('#alert').isHidden(), 'an answer takes the alert away');
});

test('damaged and empty files, and a drop without a file', async () => {
  for (const [contents, code] of [
    [sample('cat_1.png').subarray(0, 200), 'ERR_IMAGE_CORRUPT'],
    ['', 'ERR_IMAGE_FORMAT'],
  ]) {
    await drop(page, ['broken.png', 'image/png', contents]);
    await page.locator('#alert-code', { hasText: code }).waitFor();
  }
  await drop(page);
  await page.locator('#alert', { hasText: 'holds no picture file' }).waitFor();
  await page.locator('#file').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: sample('cat_1.png') });
  await answers('cat_1.png');
  assert.deepEqual(await page.evaluate(() => globalThis.violations), []);
  assert.deepEqual(complaints, [], 'nothing of all this reached the console');
});

test('no model at the address: said in words; a dropped model file takes its place', async () => {
  ({ page: other } = await site.open('demos/classify.html?model=../none.safetensors'));
  await other.locator('#alert').waitFor();
  assert.equal(await text('#alert-code', other), 'ERR_FETCH_HTTP');
  assert.match(await text('#alert', other), /could not be downloaded.*none\.safetensors.*404/s);
  assert.ok(await other.locator('#retry').isVisible());
  await other.locator('[data-file="ship_1.png"]').click();
  await other.locator('#answer', { hasText: 'There is no model yet' }).waitFor();
  await drop(other, ['mine.safetensors', '', site.tiny]);
  await answers('ship_1.png', other);
  assert.ok(await other.locator('#alert').isHidden());
  // a bad one leaves the good one
  await drop(other, ['bad.safetensors', '', new Uint8Array(100)]);
  await other.locator('#alert-code', { hasText: 'ERR_MODEL_HEADER' }).waitFor();
  await choose('cat_1.png', other);
  await answers('cat_1.png', other);
});

test('labels that do not exclude each other get sigmoids, a regression its numbers', async () => {
  const logits = await node.forward(await pictureOf('cat_1.png')).then(({ output }) => [...output.data]);
  await choose('cat_1.png', other);
  for (const [type, scores, wanted, bars, off] of /** @type {[string, number[], number[], number, number][]} */ ([
    [
      'multi_label_classification',
      logits.map((x) => 100 / (1 + Math.exp(-x))),
      logits.map((_, i) => i).sort((x, y) => logits[y] - logits[x]),
      5,
      0.051,
    ],
    ['regression', logits, logits.map((_, i) => i), 10, 1e-4], // of relaxed SIMD, and rounded to five digits
  ])) {
    await drop(other, [`${type}.safetensors`, '', tinyModel({ problem_type: type })]);
    await other.waitForFunction((count) => document.querySelectorAll('#bars li').length === count, bars);
    const first = other.locator('#answer', { hasText: `${CLASSES[wanted[0]]}, ` });
    await first.waitFor();
    await other.locator('main[data-state="ready"]').waitFor();
    const names = await other.locator('#bars .name').allInnerTexts();
    assert.deepEqual(
      names.map((name) => name.split(/\s/)[0]),
      wanted.slice(0, bars).map((i) => CLASSES[i]),
    );
    const shown = [await first.innerText(), ...(await other.locator('#bars .score').allInnerTexts())];
    shown.forEach((words, i) => {
      const want = scores[wanted[Math.max(0, i - 1)]];
      assert.equal(words.endsWith('%'), type !== 'regression', words);
      assert.ok(Math.abs(Number(/-?[\d.]+(?=%?$)/.exec(words)?.[0]) - want) <= off, `${words}, expected ${want}`);
    });
    assert.equal(await other.locator('#bars .bar:visible').count(), type === 'regression' ? 0 : 5);
  }
});

test('models from elsewhere, pages instead of models, and wrong options', async () => {
  for (const [query, code, words] of [
    ['?model=https://example.com/m.safetensors', 'ERR_ARGUMENT', /must come from this site/],
    ['?model=index.html', 'ERR_FETCH_CONTENT_TYPE', /a page \(text\/html.*is the address right/],
    [`?model=../${site.model}&dtype=q9`, 'ERR_ARGUMENT', /dtype/],
  ]) {
    await other.goto(`${site.url}demos/classify.html${query}`);
    await other.locator('#alert').waitFor();
    assert.equal(await text('#alert-code', other), code, query);
    assert.match(await text('#alert', other), words);
  }
});

test('loading shows its progress, can be cancelled, and started again', async () => {
  let stuck = true;
  await other.route(
    ({ pathname }) => pathname === '/slow.safetensors',
    (route) =>
      stuck ? undefined : route.fulfill({ body: Buffer.from(site.tiny), contentType: 'application/octet-stream' }),
  );
  await other.goto(`${site.url}demos/classify.html?model=../slow.safetensors&dtype=q8`);
  await other.locator('#cancel').waitFor();
  assert.ok(await other.locator('#progress').isVisible());
  await other.locator('[data-file="ship_1.png"]').click();
  await other.locator('#answer', { hasText: 'Waiting for the model' }).waitFor();
  await other.locator('#cancel').click();
  await other.locator('#load-text', { hasText: 'cancelled' }).waitFor();
  assert.ok(await other.locator('#alert').isHidden(), 'who cancels needs no alert');
  stuck = false;
  await other.locator('#retry').click();
  await other.locator('main[data-state="ready"]').waitFor();
  await other.locator('#bars li').first().waitFor();
  assert.match(await text('#facts', other), /q8/);
  assert.match(await other.locator('#frame').getAttribute('aria-label'), /ship 1/, 'the picture chosen meanwhile');
});

// ---- how it looks ----

test('reduced motion: nothing moves by itself', async () => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  const moving = await page.evaluate(
    () =>
      [...document.querySelectorAll('*')].filter(
        (element) =>
          getComputedStyle(element).transitionDuration !== '0s' || getComputedStyle(element).animationName !== 'none',
      ).length,
  );
  assert.equal(moving, 0);
  await page.emulateMedia({ reducedMotion: null });
});

test('a second visit takes the model from the cache', async () => {
  assert.match(await text('#facts'), /from the network/);
  await page.reload();
  await drawn(page, 'attention');
  assert.match(await text('#facts'), /from the cache/);
});

test('narrow and wide, light and dark: nothing overflows, and axe finds nothing', async () => {
  for (const path of ['classify.html', 'index.html']) {
    if (path === 'index.html') await page.goto(`${site.url}demos/${path}`);
    await page.setViewportSize({ width: 320, height: 640 });
    await fits(page, `${path} at 320`);
    await accessible(page, `${path}, light`);
    await page.emulateMedia({ colorScheme: 'dark' });
    await accessible(page, `${path}, dark`, { rules: ['color-contrast'] });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 1440, height: 900 });
    await fits(page, `${path} at 1440`);
  }
  assert.deepEqual(complaints, []);
});

test('the first page leads to the demo', async () => {
  await page.locator('a', { hasText: 'Look inside' }).first().click();
  await page.waitForURL('**/classify.html');
});

test(
  'the model that ships',
  { skip: existsSync(new URL(SHIPPED, root)) ? false : `${SHIPPED} is not there yet` },
  async () => {
    const told = [];
    const real = other;
    real.on('pageerror', (error) => told.push(String(error)));
    await real.goto(`${site.url}demos/classify.html`);
    await drawn(real, 'attention');
    const model = await loadModel(new Uint8Array(readFileSync(new URL(SHIPPED, root))), { worker: false });
    assert.deepEqual(model.info.labels, CLASSES);
    for (const file of ['cat_1.png', 'ship_1.png', 'photo_coffee.jpg']) {
      await choose(file, real);
      const [{ label }] = await model.classify(new Uint8Array(sample(file)));
      await real.locator('#answer', { hasText: `${label}, ` }).waitFor();
    }
    await model.dispose();
    assert.deepEqual(told, []);
  },
);
