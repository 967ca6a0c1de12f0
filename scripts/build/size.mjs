// Sizes of what a page downloads, against the budgets. `make size`, or after a link: node scripts/build/size.mjs
// dist/x.wasm Prints raw, gzip and brotli bytes; exits with 1 when a budget is exceeded. The JavaScript is what
// scripts/build/bundle.mjs makes.
// --docs  write the table of docs/hosting.md and README.md's sentence (`make size` does)
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync, constants } from 'node:zlib';
import { writeParts } from './docs_marks.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const FIRST_BUDGET = 92 * 1024; // bytes, brotli, of each wasm file with the common architectures
const ALL_BUDGET = 160 * 1024; // of each with all
const JS_BUDGET = 12.5 * 1024; // bytes, brotli, all chunks together that a page with one file as its model loads
const HUB_BUDGET = 8 * 1024; // of the loader of folders, and of each family's module
const WASM = ['simd', 'relaxed', 'simd-threads', 'relaxed-threads'].flatMap((build) => [
  `dist/tesserae-${build}.wasm`,
  `dist/tesserae-${build}-all.wasm`,
]);

/** @param {Uint8Array} bytes */
function sizes(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, { params }).length,
  };
}

const number = (/** @type {number} */ n) => String(n).padStart(8);

/** @param {string} name @param {{raw: number, gzip: number, brotli: number}} size @param {number} budget */
function report(name, size, budget) {
  const over = size.brotli > budget;
  console.log(
    `${name.padEnd(34)} ${number(size.raw)} raw ${number(size.gzip)} gzip ${number(size.brotli)} brotli` +
      `  (${Math.round((100 * size.brotli) / budget)} % of ${budget})${over ? '  OVER BUDGET' : ''}`,
  );
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

/** The compiler and the compressor: with others, sizes differ by some bytes. */
function tools() {
  const setup = join(root, 'build', 'setup.mk');
  const emcc = (existsSync(setup) && /^EMCC := (.+)$/m.exec(readFileSync(setup, 'utf8'))?.[1]) || 'emcc';
  const { stdout } = spawnSync(emcc, ['--version'], { encoding: 'utf8' });
  return `Emscripten ${/\d+\.\d+\.\d+/.exec(stdout ?? '')?.[0] ?? 'unknown'}, Node ${process.versions.node}`;
}

/** @param {number} bytes */
const kB = (bytes) => `${Math.round(bytes / 1000)} kB`;

/**
 * The texts for the pages: a table of all files, and a sentence.
 * @param {{ name: string, raw: number, gzip: number, brotli: number }[]} rows
 * @param {string} made by which tools
 */
function texts(rows, made) {
  const [first, all, script, loader] = [/(?<!-all)\.wasm$/, /-all\.wasm$/, /^JavaScript/, /^loader/].map((names) =>
    kB(Math.max(...rows.filter(({ name }) => names.test(name)).map(({ brotli }) => brotli))),
  );
  const lines = rows.map(({ name, raw, gzip, brotli }) => `| ${name} | ${raw} | ${gzip} | ${brotli} |`);
  return {
    table: ['| file | raw | gzip | brotli |', '|---|---|---|---|', ...lines, '', `Bytes; ${made}.`].join('\n'),
    sentence:
      `A page downloads ${script} of JavaScript and at most ${first} of WebAssembly (brotli);\n` +
      `at most ${all} more if its model's architecture is one of the rarer ones, and ${loader} more to open a folder.`,
  };
}

const files = process.argv.slice(2).filter((name) => name !== '--docs');
const rows = [];
for (const file of files.length ? files : WASM) {
  const path = files.length ? file : join(root, file);
  const size = sizes(readFileSync(path));
  const name = relative(root, join(process.cwd(), relative(process.cwd(), path)));
  report(name, size, path.endsWith('-all.wasm') ? ALL_BUDGET : FIRST_BUDGET);
  rows.push({ name, ...size });
}
if (!files.length) {
  const size = await scripts();
  report('JavaScript (bundled)', size, JS_BUDGET);
  rows.push({ name: 'JavaScript (bundled)', ...size });
  const { bundleLazy } = await import('./bundle.mjs');
  const [loader, ...families] = (await bundleLazy()).map(({ path, contents }) => ({ path, ...sizes(contents) }));
  for (const one of families) if (one.brotli > HUB_BUDGET) report(relative(root, one.path), one, HUB_BUDGET);
  report('loader of folders', loader, HUB_BUDGET);
  rows.push({ name: 'loader of folders', raw: loader.raw, gzip: loader.gzip, brotli: loader.brotli });
  const made = tools();
  console.log(`made by ${made}`);
  const { table, sentence } = texts(rows, made);
  const pages = { 'docs/hosting.md': { size: table }, 'README.md': { size: sentence } };
  if (process.argv.includes('--docs')) writeParts(pages);
}
