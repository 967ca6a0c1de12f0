// Pictures of the demo page: 320 and 1440 pixels wide, light and dark, with a sample classified and looked into.
//
//   node scripts/dev/screenshots.mjs [--readme] [--model FILE]
//
// Writes build/screenshots/<page>-<width>-<scheme>.png; with --readme also docs/classify.png, the picture of the
// README.
// --model: a model file to show instead of models/cct_4_cifar10.safetensors. Needs `make wasm` and Chromium (make
// setup).
import { readFileSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { launchChromium } from '../../test/helpers/chromium.js';
import { root } from '../../test/helpers/make.js';
import { serve } from './serve.mjs';

const SAMPLE = 'airplane_2.png';
const README = join(root, 'docs', 'classify.png');
const README_LIMIT = 200_000;
const { values: options } = parseArgs({ options: { readme: { type: 'boolean' }, model: { type: 'string' } } });
const folder = join(root, 'build', 'screenshots');
mkdirSync(folder, { recursive: true });

const server = await serve();
const browser = await launchChromium();

/** Opens the page with the model, chooses a sample, a view, and waits until it is drawn. */
async function classify({ width, height, scheme, view = 'attention', readme = false }) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  page.on('pageerror', (error) => console.error(error));
  page.on('console', (message) => message.type() === 'error' && console.error(message.text()));
  if (options.model) {
    await page.route(
      ({ pathname }) => pathname.endsWith('.safetensors'),
      (route) => route.fulfill({ body: readFileSync(options.model), contentType: 'application/octet-stream' }),
    );
  }
  await page.goto(`${server.url}demos/classify.html`);
  await page.locator('main[data-state="ready"][data-drawn]').waitFor();
  await page.locator(`[data-file="${SAMPLE}"]`).click();
  await page.locator(`[data-file="${SAMPLE}"][aria-pressed="true"]`).waitFor();
  await page.locator(`input[name="view"][value="${view}"]`).check();
  await page.locator(`main[data-state="ready"][data-drawn^="${view}"]`).waitFor();
  await page.evaluate(() => {
    /** @type {HTMLElement} */ (document.activeElement)?.blur();
    scrollTo(0, 0);
    return Promise.all(
      [...document.images].map((image) => {
        image.loading = 'eager';
        return image.decode();
      }),
    );
  });
  await page.mouse.move(0, 0);
  await page.waitForTimeout(500); // bars and overlay come to rest
  if (!readme) await page.screenshot({ path: join(folder, `classify-${width}-${scheme}.png`), fullPage: true });
  else {
    // without the photographs, which PNG stores badly: half of the file would be theirs
    await page.evaluate(() =>
      ['photos', 'photos-title'].forEach((id) => {
        document.getElementById(id).hidden = true;
      }),
    );
    await page.locator('.columns').screenshot({ path: README });
  }
  await page.close();
}

async function home({ width, height, scheme }) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  await page.goto(`${server.url}demos/`);
  await page.waitForTimeout(200);
  await page.screenshot({ path: join(folder, `index-${width}-${scheme}.png`), fullPage: true });
  await page.close();
}

try {
  for (const [width, height] of [
    [320, 640],
    [1440, 900],
  ]) {
    for (const scheme of /** @type {const} */ (['light', 'dark'])) {
      await classify({ width, height, scheme });
      await home({ width, height, scheme });
    }
  }
  console.log(`screenshots in ${folder}`);
  if (options.readme) {
    await classify({ width: 1000, height: 1000, scheme: 'light', view: 'rollout', readme: true });
    const { size } = statSync(README);
    console.log(`docs/classify.png: ${size} bytes`);
    if (size > README_LIMIT) throw new Error(`docs/classify.png has ${size} bytes, over ${README_LIMIT}`);
  }
} finally {
  await browser.close();
  await server.close();
}
