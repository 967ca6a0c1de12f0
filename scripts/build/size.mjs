// Sizes of what a page downloads, against the budgets. `make size`, or after a link: node scripts/build/size.mjs dist/x.wasm
// Prints raw, gzip and brotli bytes; exits with 1 when a budget is exceeded. The JavaScript is what scripts/build/bundle.mjs makes.
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync, constants } from 'node:zlib';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const FIRST_BUDGET = 90 * 1024; // bytes, brotli, of each wasm file with the common architectures
const ALL_BUDGET = 128 * 1024; // of each with all
const JS_BUDGET = 12 * 1024; // bytes, brotli, all chunks together
const WASM = ['simd', 'relaxed', 'simd-threads', 'relaxed-threads']
  .flatMap((build) => [`dist/tesserae-${build}.wasm`, `dist/tesserae-${build}-all.wasm`]);

/** @param {Uint8Array} bytes */
function sizes(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes, { params }).length };
}

const number = (/** @type {number} */ n) => String(n).padStart(8);

/** @param {string} name @param {{raw: number, gzip: number, brotli: number}} size @param {number} budget */
function report(name, size, budget) {
  const over = size.brotli > budget;
  console.log(`${name.padEnd(34)} ${number(size.raw)} raw ${number(size.gzip)} gzip ${number(size.brotli)} brotli` +
    `  (${Math.round((100 * size.brotli) / budget)} % of ${budget})${over ? '  OVER BUDGET' : ''}`);
  if (over) process.exitCode = 1;
}

/** Brotli'd sizes of the bundled JavaScript, summed over its files: what page and worker share counts once. */
async function scripts() {
  const { bundle } = await import('./bundle.mjs'); // after a link of one wasm file it is not needed
  const total = { raw: 0, gzip: 0, brotli: 0 };
  for (const { contents } of await bundle()) {
    const size = sizes(contents);
    total.raw += size.raw;
    total.gzip += size.gzip;
    total.brotli += size.brotli;
  }
  return total;
}

const files = process.argv.slice(2);
for (const file of files.length ? files : WASM) {
  const path = files.length ? file : join(root, file);
  report(relative(root, join(process.cwd(), relative(process.cwd(), path))), sizes(readFileSync(path)), path.endsWith('-all.wasm') ? ALL_BUDGET : FIRST_BUDGET);
}
if (!files.length) {
  report('JavaScript (bundled)', await scripts(), JS_BUDGET);
}
