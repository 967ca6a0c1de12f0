// Sizes of what a page downloads, against the budgets. `make size`, or after a link: node scripts/size.mjs dist/x.wasm
// Prints raw, gzip and brotli bytes; exits with 1 when a budget is exceeded. The JavaScript is every module of web/ that
// a page loads (not the command line program), bundled and minified; modules shared by page and worker count once.
import { readFileSync, existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync, constants } from 'node:zlib';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const WASM_BUDGET = 120 * 1024; // bytes, brotli, per file
const JS_BUDGET = 12 * 1024; // bytes, brotli, all chunks together
const WASM = ['simd', 'relaxed', 'simd-threads', 'relaxed-threads'].map((build) => `dist/tesserae-${build}.wasm`);
const ENTRIES = ['web/index.js', 'web/worker.js', 'web/thread.js', 'web/react.js'];

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

/** Brotli'd sizes of the bundled JavaScript, summed over its chunks. */
async function scripts() {
  const { build } = await import('esbuild');
  const entryPoints = ENTRIES.filter((file) => existsSync(join(root, file)));
  if (!entryPoints.length) return null;
  const result = await build({
    absWorkingDir: root, entryPoints, bundle: true, minify: true, splitting: true, format: 'esm', target: 'es2022',
    external: ['node:*', 'react'], write: false, outdir: 'build/size', legalComments: 'none', logLevel: 'warning',
  });
  const total = { raw: 0, gzip: 0, brotli: 0 };
  for (const file of result.outputFiles) {
    const size = sizes(file.contents);
    total.raw += size.raw;
    total.gzip += size.gzip;
    total.brotli += size.brotli;
  }
  return total;
}

const files = process.argv.slice(2);
for (const file of files.length ? files : WASM) {
  const path = files.length ? file : join(root, file);
  report(relative(root, join(process.cwd(), relative(process.cwd(), path))), sizes(readFileSync(path)), WASM_BUDGET);
}
if (!files.length) {
  const size = await scripts();
  if (size) report('JavaScript (bundled)', size, JS_BUDGET);
  else console.log('web/ holds no JavaScript yet');
}
