// One measurement in a Chromium of its own, on a cross-origin isolated page under the strict policy of
// scripts/dev/serve.mjs: takes a job (work.mjs) as JSON, prints one JSON line. A worker starts threads here as it does
// for users.
//   node in_chromium.mjs '{"what":"turns",...}'
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { launchChromium } from '../../test/helpers/chromium.js';
import { serve } from '../dev/serve.mjs';
import { root } from './files.mjs';
import { command, family, peak, watch } from './machine.mjs';

/**
 * A browser that has just started keeps both cores busy for a second; a user's page opens in one that has been running.
 */
const SETTLE_MS = 1500;

const job = JSON.parse(process.argv[2]);
mkdirSync(join(root, 'build'), { recursive: true });
const folder = mkdtempSync(join(root, 'build', 'bench-page-')); // what lies outside the tree, where the server finds it
const { url, close } = await serve({ root });

/** The URL of a file of the tree. @param {string} path */
const address = (path) => url + relative(root, path);

/** The URL of a file from outside the tree. @param {string} path */
function publish(path) {
  const here = join(folder, basename(path));
  try {
    linkSync(path, here);
  } catch {
    // on another disk
    copyFileSync(path, here);
  }
  return address(here);
}

/** The most memory that a page's process had resident, in bytes, or null. */
const resident = () =>
  Math.max(
    0,
    ...family()
      .filter((pid) => command(pid).includes('--type=renderer'))
      .map((pid) => peak(pid) ?? 0),
  ) || null;

const { peer, ours: own } = job.sides;
const sides = {
  // the build with nothing but the wasm backend, which fetches its wasm; in Node there is only one build
  peer: { module: publish(join(peer.wasm, 'ort.wasm.min.mjs')), wasm: '', model: publish(peer.model) },
  ours: { ...own, module: address(own.module), model: publish(own.model) },
};
for (const name of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm']) publish(join(peer.wasm, name));
sides.peer.wasm = `${address(folder)}/`;
const task = {
  ...job,
  sides,
  inputs: publish(job.inputs),
  outputs: publish(job.outputs),
  limit: job.limit && address(job.limit),
};

const browser = await launchChromium();
try {
  const page = await browser.newPage();
  await page.goto(address(join(root, 'scripts', 'bench', 'page.html')));
  if (!(await page.evaluate(() => globalThis.crossOriginIsolated)))
    throw new Error('the page is not cross-origin isolated');
  if (job.what === 'cold') await page.waitForTimeout(SETTLE_MS);
  const idle = resident();
  const others = watch();
  const result = await page.evaluate(
    async ([work, given]) => {
      const { cold, turns } = await import(work);
      return given.what === 'cold' ? cold(given.side, given) : turns(given);
    },
    /** @type {[string, any]} */ ([address(join(root, 'scripts', 'bench', 'work.mjs')), task]),
  );
  console.log(
    JSON.stringify({ ...result, engine: `Chromium ${browser.version()}`, peak: resident(), idle, others: others() }),
  );
} finally {
  await browser.close();
  await close();
  rmSync(folder, { recursive: true, force: true });
}
