// What ships: sizes within the budgets, WebAssembly that imports next to nothing, and the package's list of files.
// Run alone, after make wasm types: node --test test/dist.test.js
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cellsOf, partOf } from '../scripts/build/docs_marks.mjs';
import { root, run } from './helpers/make.js';
import { node24 } from './helpers/node24.js';

const read = (/** @type {string} */ path) => readFileSync(join(root, path));

// Run in another Node too, hence as text: imports, exports and the first memory's bytes, as JSON. The builds with
// threads take a memory as large as web/wasm.js makes, and grow it themselves.
const DESCRIBE = `
  const module = new WebAssembly.Module(require('node:fs').readFileSync(process.argv[1]));
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
  const env = { memory, emscripten_notify_memory_growth() {}, tsr_now: () => 0 };
  const instance = new WebAssembly.Instance(module, { env });
  console.log(JSON.stringify({
    imports: WebAssembly.Module.imports(module).map((i) => i.module + '.' + i.name),
    exports: WebAssembly.Module.exports(module).map((e) => e.name).sort(),
    bytes: (instance.exports.memory ?? memory).buffer.byteLength,
  }));`;

/** @param {string} node @param {string} file */
async function describe(node, file) {
  const { code, output } = await run(node, ['-e', DESCRIBE, file]);
  assert.equal(code, 0, output);
  return JSON.parse(output);
}

/** What only the builds with threads have. */
const OF_THREADS = ['tsr_wasm_context_admit_thread', 'tsr_wasm_context_serve_thread', 'tsr_wasm_context_stop'];

function check(
  /** @type {{ imports: string[], exports: string[], bytes: number }} */ { imports, exports, bytes },
  threads = false,
) {
  // No file system, no exit: a clock is all that a page has to provide.
  assert.deepEqual([...imports].sort(), [
    'env.emscripten_notify_memory_growth',
    ...(threads ? ['env.memory'] : []),
    'env.tsr_now',
  ]);
  const own = exports.filter((name) => name.startsWith('tsr_wasm_'));
  assert.ok(own.length > 5, `${own}`);
  assert.deepEqual(
    own.filter((name) => OF_THREADS.includes(name)),
    threads ? OF_THREADS : [],
  );
  assert.deepEqual(
    exports.filter((name) => !own.includes(name)),
    [
      '__indirect_function_table',
      '_emscripten_stack_restore',
      '_initialize',
      'emscripten_stack_get_current',
      ...(threads ? [] : ['memory']),
    ],
  );
  assert.ok(bytes <= 4 << 20, `starts with ${bytes} bytes of memory`);
}

/**
 * Cells of a table of sizes that are further from what was built than `share` of it, and rows of other files.
 * @param {string[][]} written rows of name, raw, gzip, brotli @param {string[][]} built @param {number} share
 */
function sizeFaults(written, built, share) {
  const names = (/** @type {string[][]} */ rows) => rows.map(([name]) => name).join(', ');
  if (names(written) !== names(built)) return [`the table has ${names(written)}; built are ${names(built)}`];
  return built.flatMap(([name, ...bytes], row) =>
    bytes
      .map((is, i) => ({ is, said: written[row][1 + i], what: ['raw', 'gzip', 'brotli'][i] }))
      .filter(({ is, said }) => !(Math.abs(Number(said) - Number(is)) <= share * Number(is)))
      .map(({ is, said, what }) => `${name}, ${what}: ${said}, but it has ${is}; make size writes the table`),
  );
}

test('sizes are within the budgets', async (t) => {
  const { code, output } = await run(process.execPath, ['scripts/build/size.mjs']);
  for (const line of output.trim().split('\n')) t.diagnostic(line);
  assert.equal(code, 0, output);
  assert.equal(output.match(/\.wasm .*% of 94208\)/g)?.length, 4, 'the common architectures');
  assert.equal(output.match(/-all\.wasm .*% of 163840\)/g)?.length, 4, 'all');
  const written = partOf(read('docs/hosting.md').toString(), 'size');
  const here = /^made by (.*)$/m.exec(output)?.[1] ?? '';
  const compiler = here.split(',')[0];
  // another Node compresses a little differently, another Emscripten compiles differently
  const share = written.includes(`Bytes; ${here}.`) ? 0 : written.includes(`Bytes; ${compiler},`) ? 0.01 : 0.1;
  if (share)
    t.diagnostic(`docs/hosting.md was written with other tools than ${here}: compared within ${100 * share} %`);
  const rows = [...output.matchAll(/^(\S.*\S) +(\d+) raw +(\d+) gzip +(\d+) brotli/gm)].map((row) => row.slice(1));
  assert.equal(rows.length, 10);
  assert.deepEqual(sizeFaults(cellsOf(written).slice(2), rows, share), [], 'docs/hosting.md');
});

for (const [threads, all] of [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
]) {
  const build = (/** @type {string} */ name) =>
    `dist/tesserae-${name}${threads ? '-threads' : ''}${all ? '-all' : ''}.wasm`;
  const what = `${threads ? 'with threads ' : ''}${all ? 'with all architectures ' : ''}`;
  test(`the SIMD build ${what}imports next to nothing`, async () => {
    check(await describe(process.execPath, build('simd')), threads);
  });

  test(`the relaxed build ${what}is the same from outside`, { skip: node24.skip }, async () => {
    const relaxed = await describe(node24.path, build('relaxed'));
    check(relaxed, threads);
    assert.deepEqual(relaxed, await describe(process.execPath, build('simd')));
  });
}

test('the package holds what its exports name, and no tests or sources', async () => {
  const { code, output } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error']);
  assert.equal(code, 0, output);
  /** @type {string[]} */
  const files = [JSON.parse(output.slice(output.search(/^[[{]/m)))]
    .flat()[0]
    .files.map((/** @type {{path: string}} */ file) => file.path);
  const manifest = JSON.parse(read('package.json').toString());
  const named = [
    manifest.types,
    Object.values(manifest.bin),
    Object.values(manifest.exports).map((value) => (typeof value === 'string' ? value : Object.values(value))),
  ]
    .flat(2)
    .map((path) => path.replace(/^\.\//, ''));
  for (const path of [...named, 'LICENSE']) assert.ok(files.includes(path), `${path} is not in the package`);
  const model = 'models/cct_4_cifar10.safetensors'; // the command line program's default
  if (existsSync(join(root, model))) assert.ok(files.includes(model));
  assert.deepEqual(
    files.filter(
      (path) => !/^(web|dist)\/|^models\/cct_4_cifar10\.safetensors$|^(package\.json|LICENSE|README\.md)$/.test(path),
    ),
    [],
  );
  assert.equal(manifest.dependencies, undefined, 'the package has no dependencies');
});

test('the lock file names no registry', () => {
  assert.doesNotMatch(read('package-lock.json').toString(), /https?:/);
});

test('the check itself: a cell that is off, or a row of another file, is found', () => {
  const built = [
    ['a.wasm', '1000', '500', '400'],
    ['b.wasm', '2000', '900', '800'],
  ];
  assert.deepEqual(sizeFaults(built, built, 0), []);
  for (let cell = 1; cell < 4; cell++) {
    const other = (/** @type {number} */ by) => [
      built[0].map((text, i) => (i === cell ? String(Number(text) * by) : text)),
      built[1],
    ];
    for (const by of [0.985, 1.015, NaN]) assert.equal(sizeFaults(other(by), built, 0.01).length, 1, `${cell} ${by}`);
    assert.deepEqual(sizeFaults(other(1.009), built, 0.01), []);
    assert.equal(sizeFaults(other(1.009), built, 0).length, 1);
  }
  assert.match(sizeFaults([built[0]], built, 0.01).join(), /^the table has a.wasm; built are/);
  assert.equal(sizeFaults([built[1], built[0]], built, 0.01).length, 1);
});
