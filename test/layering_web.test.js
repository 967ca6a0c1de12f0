// The layers of the JavaScript point one way, as those of the core do (layering.test.js): who may import whom in web/
// and in demos/, Node's modules on the command line only, and no imports in a circle.
// Run alone: node --test test/layering_web.test.js (needs no build)
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';
import { build } from 'esbuild';
import { root } from './helpers/make.js';

// What the files of a row may import, as names of rows; `self`: each other too. A file belongs to one row.
// `starts`: scripts of workers that they may start by new URL(...).
const ROWS = [
  { row: 'types', files: /^web\/types\.js$/, may: '', why: 'types stand on nothing' },
  {
    row: 'base',
    files: /^web\/(errors|options|platform|rpc)\.js$/,
    may: '',
    self: true,
    why: 'the foundation stands on nothing',
  },
  {
    row: 'core',
    files: /^web\/(engine|heap)\.js$/,
    may: 'base',
    self: true,
    why: 'the engine takes plain data and knows no network, no host and no page',
  },
  { row: 'thread', files: /^web\/thread\.js$/, may: '', why: 'a thread loads one file' },
  { row: 'worker', files: /^web\/worker\.js$/, may: 'base core', why: 'a worker is an engine that answers messages' },
  {
    row: 'host',
    files: /^web\/(host|spawn)\.js$/,
    may: 'base core',
    self: true,
    starts: 'worker thread',
    why: 'a host knows where an engine lives, not what is loaded',
  },
  {
    row: 'wasm',
    files: /^web\/wasm\.js$/,
    may: 'base',
    why: 'a build is chosen and compiled before there is an engine',
  },
  {
    row: 'start',
    files: /^web\/start\.js$/,
    may: 'base core host wasm',
    why: 'start.js alone brings host and build together',
  },
  {
    row: 'bytes',
    files: /^web\/(cache|source)\.js$/,
    may: 'base',
    why: 'bytes come without knowing what they are for',
  },
  {
    row: 'hub',
    files: /^web\/hub\//,
    may: 'base bytes',
    self: true,
    why: 'a folder becomes a file of ours without knowing who loads it',
  },
  {
    row: 'inputs',
    files: /^web\/preprocess\.js$/,
    may: 'base bytes',
    why: 'inputs become plain data; the engine is reached through the host handed in',
  },
  { row: 'model', files: /^web\/model\.js$/, may: 'base inputs', why: 'a model has its host handed in' },
  {
    row: 'load',
    files: /^web\/load\.js$/,
    may: 'base core bytes hub model start',
    why: 'loading reaches host and wasm through start.js',
  },
  { row: 'public', files: /^web\/index\.js$/, may: 'base load model start', why: 'the entry says what is public' },
  {
    row: 'cli',
    files: /^web\/cli\//,
    may: 'base bytes core hub load start public node',
    self: true,
    why: 'the command line program stands on the package',
  },
  { row: 'demos', files: /^demos\//, may: 'public', self: true, why: 'pages use the public API alone' },
];

/** The text with comments blanked out; lines and strings stay where they are. @param {string} text */
const blank = (text) =>
  text.replace(
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[^]|[^`\\])*`|\/\*[^]*?\*\/|(?<![\\/])\/\/[^\n]*/g,
    (part) => (part[0] === '/' ? part.replace(/[^\n]/g, ' ') : part),
  );

const IMPORT =
  /^[ \t]*(?:import|export)\b(?:[\w\s{},*$]+\bfrom\b)?\s*['"]([^'"\n]+)['"]|\bimport\s*\(\s*['"]([^'"\n]+)['"]\s*\)/gm;
const START = /\bnew URL\(\s*['"](\.[^'"\n]*\.m?js)['"]\s*,\s*import\.meta\.url\s*\)/g;

/**
 * What a file imports, and the scripts that it starts; paths from the repository's root, or a package's name.
 * @param {string} file @param {string} text @returns {{ target: string, line: number, starts: boolean }[]}
 */
function importsOf(file, text) {
  const code = blank(text);
  const all = [IMPORT, START].flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => ({ match, starts: pattern === START })),
  );
  return all
    .map(({ match, starts }) => {
      const [, one, other] = match;
      const target = one ?? other;
      const line = code.slice(0, match.index + match[0].indexOf(target)).split('\n').length;
      return { target: /^\.\.?\//.test(target) ? posix.join(posix.dirname(file), target) : target, line, starts };
    })
    .sort((a, b) => a.line - b.line);
}

/**
 * What a page loads by its script and link elements, and what the scripts written into it import.
 * @param {string} file @param {string} text @returns {{ target: string, line: number, starts: boolean }[]}
 */
function pageImportsOf(file, text) {
  const html = text.replace(/<!--[^]*?-->/g, (part) => part.replace(/[^\n]/g, ' '));
  const lineOf = (/** @type {number} */ at) => html.slice(0, at).split('\n').length;
  return [...html.matchAll(/<(script|link)\b((?:"[^"]*"|'[^']*'|[^>"'])*)>(?:([^]*?)<\/script\s*>)?/gi)].flatMap(
    (match) => {
      const [all, element, attributes, inside = ''] = match;
      const line = lineOf(match.index);
      const loads =
        element.toLowerCase() === 'script' ? /\bsrc\s*=/i.test(attributes) : /modulepreload/i.test(attributes);
      const [, ...marks] = /\b(?:src|href)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/i.exec(attributes) ?? [];
      const target = marks.find(Boolean) ?? '';
      const own = /^\w+:|^\/\//.test(target)
        ? target
        : posix.join(target.startsWith('/') ? '' : posix.dirname(file), target);
      const before = lineOf(match.index + all.indexOf('>', attributes.length)) - 1;
      return [
        ...(loads ? [{ target: own.replace(/^\//, ''), line, starts: false }] : []),
        ...(element.toLowerCase() === 'script'
          ? importsOf(file, inside).map((found) => ({ ...found, line: found.line + before }))
          : []),
      ];
    },
  );
}

/** @param {string} file */
const rowsOf = (file) => ROWS.filter(({ files }) => files.test(file));

// The core's memory: heap.js looks into it, and engine.js says how large it is. Others are handed plain data.
const MEMORY = new RegExp(
  [
    /\bmemory\s*\)?\s*[!?]?\.\s*buffer\b/,
    /\bmemory\s*\)?\s*(?:\?\.)?\[\s*['"`]buffer['"`]\s*\]/,
    /\{[^{}=;]*\bbuffer\b[^{}=;]*\}\s*=[^=;]*\bmemory\b/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);
const SIZE = /\bmemory\.buffer\.byteLength\b/g;
const LOOKS = 'web/heap.js';
const MEASURES = 'web/engine.js';

/** What hides from the rules above, or from the layers. @param {string} file @param {string} text */
function spellingFaults(file, text) {
  const code = blank(text);
  const lineOf = (/** @type {number} */ at) => code.slice(0, at).split('\n').length;
  const found = [...code.matchAll(/\bimport\s*\((?!\s*(?:'[^'\n]+'|"[^"\n]+")\s*\))/g)].map(
    ({ index }) => `${file}:${lineOf(index)}: imports what is no literal, so that no rule can see what it is`,
  );
  const rest = file === MEASURES ? code.replace(SIZE, (part) => ' '.repeat(part.length)) : code;
  if (/^web\//.test(file) && file !== LOOKS) {
    for (const { index } of rest.matchAll(MEMORY))
      found.push(`${file}:${lineOf(index)}: looks into the core's memory, as ${LOOKS} alone does`);
  }
  return found;
}

/** Scripts that are no modules by their names, or that no rule reads. @param {Iterable<string>} files */
const strangers = (files) =>
  [...files]
    .filter((file) =>
      file.startsWith('web/') ? !/\.js$/.test(file) : /\.([cm]?[jt]sx?|wasm)$/.test(file) && !/\.m?js$/.test(file),
    )
    .map((file) => `${file}: scripts are .js files with import and export`);

/** @param {Map<string, string>} sources @returns {string[]} "file:line: what" */
function importFaults(sources) {
  const found = [];
  for (const [file, text] of sources) {
    const [own, another] = rowsOf(file);
    if (!own || another) {
      const rows = own ? `two rows, ${own.row} and ${another.row},` : 'no row';
      found.push(`${file}:1: belongs to ${rows} of ROWS in test/layering_web.test.js`);
      continue;
    }
    found.push(...spellingFaults(file, text));
    const page = file.endsWith('.html');
    for (const { target, line, starts } of page ? pageImportsOf(file, text) : importsOf(file, text)) {
      const row = target.startsWith('node:') ? 'node' : (rowsOf(target)[0]?.row ?? 'nothing here');
      const may = (starts ? own.starts : own.may) ?? '';
      if (may.split(' ').includes(row) || (own.self && row === own.row && !starts)) continue;
      found.push(`${file}:${line}: ${starts ? 'starts' : 'imports'} ${target} (${row}): ${own.why}`);
    }
  }
  return found;
}

/** Imports that go in a circle, each once. @param {Map<string, string>} sources @returns {string[]} */
function circles(sources) {
  const edges = new Map(
    [...sources].map(([file, text]) => [
      file,
      importsOf(file, text)
        .filter(({ starts }) => !starts)
        .map(({ target }) => target),
    ]),
  );
  /** @type {string[]} */
  const found = [];
  const done = new Set();
  /** @param {string} file @param {string[]} path */
  const visit = (file, path) => {
    const at = path.indexOf(file);
    if (at >= 0) found.push(`in a circle: ${[...path.slice(at), file].join(' -> ')}`);
    if (at >= 0 || done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return found;
}

/** @param {...string} folders */
const filesOf = (...folders) =>
  folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) =>
        posix.relative(root, posix.join(entry.parentPath ?? entry.path, entry.name).replaceAll('\\', '/')),
      ),
  );

/** @param {string[]} folders @param {RegExp} [pattern] @returns {Map<string, string>} */
function readTree(folders, pattern = /\.m?js$/) {
  return new Map(
    filesOf(...folders)
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => [name, readFileSync(join(root, name), 'utf8')]),
  );
}

test('web/ and demos/ import only what their layer may', () => {
  const sources = readTree(['web', 'demos'], /\.(m?js|html)$/);
  for (const file of ['web/index.js', 'demos/classify.js', 'demos/index.html'])
    assert.ok(sources.has(file), 'the sources were not found');
  assert.deepEqual(strangers(filesOf('web', 'demos')), []);
  assert.deepEqual(importFaults(sources), []);
});

test('no imports go in a circle', () => {
  assert.deepEqual(circles(readTree(['web', 'demos', 'scripts'])), []);
});

test('the imports found are those that the bundler finds', async () => {
  const sources = readTree(['web', 'demos', 'scripts']);
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...sources.keys()],
    bundle: true,
    write: false,
    outdir: 'build',
    metafile: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  });
  for (const [file, text] of sources) {
    const expected = metafile.inputs[file].imports.map(({ path }) => path);
    const found = importsOf(file, text)
      .filter(({ starts }) => !starts)
      .map(({ target }) => target);
    assert.deepEqual(new Set(found), new Set(expected), file);
  }
});

test('the checks themselves: every rule finds its fault, and names file and line', () => {
  /** @type {[string, string, RegExp | null][]} file, text, the fault expected on line 2 */
  const cases = [
    ['web/types.js', "import { x } from './errors.js';", /types stand on nothing/],
    ['web/errors.js', "import { x } from './options.js';", null],
    ['web/errors.js', "import { x } from './engine.js';", /foundation stands/],
    ['web/platform.js', "import { open } from 'node:fs';", /imports node:fs \(node\): the foundation/],
    ['web/heap.js', "import { x } from './wasm.js';", /engine takes plain data/],
    ['web/engine.js', "import { x } from './heap.js';", null],
    ['web/engine.js', "import { x } from './source.js';", /engine takes plain data/],
    ['web/thread.js', "import './platform.js';", /a thread loads one file/],
    ['web/worker.js', "import { x } from './host.js';", /a worker is an engine/],
    ['web/host.js', "new Worker(new URL('./thread.js', import.meta.url), {});", null],
    ['web/host.js', "import './thread.js';", /imports web\/thread\.js \(thread\): a host/],
    ['web/host.js', "new Worker(new URL('./index.js', import.meta.url));", /starts web\/index\.js \(public\): a host/],
    ['web/host.js', "import { x } from './wasm.js';", /a host knows/],
    ['web/wasm.js', "import { x } from './engine.js';", /before there is an engine/],
    ['web/start.js', "import { x } from './model.js';", /start\.js alone/],
    ['web/source.js', "import { x } from './host.js';", /bytes come/],
    ['web/hub/open.js', "import { x } from './files.js';", null],
    ['web/hub/open.js', "const { x } = await import('./reasons.js');", null],
    ['web/hub/open.js', "import { x } from '../errors.js';", null],
    ['web/hub/open.js', "import { x } from '../load.js';", /a folder becomes/],
    ['web/preprocess.js', "import { x } from './engine.js';", /inputs become/],
    ['web/model.js', "import { x } from './host.js';", /has its host handed in/],
    ['web/load.js', "import { x } from './host.js';", /through start\.js/],
    ['web/load.js', "import { x } from './wasm.js';", /through start\.js/],
    ['web/load.js', "const { x } = await import('./wasm.js');", /through start\.js/],
    ['web/index.js', "export { x } from './host.js';", /what is public/],
    ['web/index.js', "import { x } from 'some-package';", /imports some-package \(nothing here\)/],
    ['web/cli/list.js', "import { x } from '../start.js';", null],
    ['web/cli/list.js', "import { open } from 'node:fs/promises';", null],
    ['web/cli/list.js', "import { x } from '../host.js';", /command line program stands/],
    ['demos/classify.js', "import { x } from '../web/index.js';", null],
    ['demos/classify.js', "import { x } from '../web/heap.js';", /public API alone/],
    ['demos/classify.js', "// import { x } from '../web/heap.js';", null],
    ['demos/classify.js', "/** @type {import('../web/types.js').Info} */", null],
    ['demos/classify.js', "const text = `\nimport { x } from '../web/heap.js'`;", /public API alone/],
    ['web/new.js', 'export const x = 1;', /no row/],
    ['web/load.js', "const x = './wasm.js'; await import(x);", /imports what is no literal/],
    ['web/load.js', 'await import(`./wasm.js`);', /imports what is no literal/],
    ['web/load.js', "await import('./was' + 'm.js');", /imports what is no literal/],
    ['demos/classify.js', 'await import(\nx);', /imports what is no literal/],
    ['web/load.js', "await import ('./wasm.js');", /through start\.js/],
    ['web/load.js', 'fetch(import.meta.url); // import(x)', null],
    ['web/model.js', 'new Uint8Array(wasm.memory.buffer);', /looks into the core's memory/],
    ['web/model.js', 'new Uint8Array(wasm.memory\n?.buffer);', /looks into the core's memory/],
    ['web/model.js', "new Uint8Array(memory['buffer']);", /looks into the core's memory/],
    ['web/model.js', 'const { buffer } = this.exports.memory;', /looks into the core's memory/],
    ['web/engine.js', 'new Uint8Array(wasm.memory.buffer);', /looks into the core's memory/],
    ['web/engine.js', 'return { wasm: wasm.memory.buffer.byteLength };', null],
    ['web/heap.js', 'const { buffer } = this.exports.memory; // memory.buffer', null],
    ['web/model.js', 'const { buffer } = array; this.memory = memory; // memory.buffer', null],
    ['demos/x.html', '<script type="module" src="../web/heap.js"></script>', /imports web\/heap\.js \(core\): pages/],
    ['demos/x.html', "<script src='/web/heap.js'></script>", /public API alone/],
    ['demos/x.html', '<script src=https://example.org/x.js></script>', /nothing here/],
    ['demos/x.html', '<link rel="modulepreload" href="../web/heap.js">', /public API alone/],
    ['demos/x.html', '<script type="module">\nimport \'../web/heap.js\';\n</script>', /public API alone/],
    ['demos/x.html', '<script type="module">\nawait import(x);\n</script>', /imports what is no literal/],
    ['demos/x.html', '<script src="classify.js"></script><script src="../web/index.js"></script>', null],
    ['demos/x.html', "<!-- <script src='../web/heap.js'></script> --><link rel=icon href=icon.svg>", null],
  ];
  for (const [file, text, expected] of cases) {
    const found = importFaults(new Map([[file, `${file.endsWith('.html') ? '' : "// 'a' /* comment"}\n${text}\n`]]));
    if (!expected) assert.deepEqual(found, [], `${file}: ${text}`);
    else
      assert.ok(
        found.length === 1 && found[0].startsWith(`${file}:`) && expected.test(found[0]),
        `${file}: ${text}: ${found}`,
      );
  }
  assert.deepEqual(
    strangers(['web/a.cjs', 'web/b.mjs', 'web/cli/c.js', 'web/d', 'demos/e.js', 'demos/f.cjs', 'demos/g.css']).map(
      (fault) => fault.split(':')[0],
    ),
    ['web/a.cjs', 'web/b.mjs', 'web/d', 'demos/f.cjs'],
  );
  assert.match(
    importFaults(
      new Map([['demos/x.html', '<p>\n<script type="module">\n\nimport "../web/heap.js";</script>']]),
    ).join(),
    /^demos\/x\.html:4: imports web\/heap\.js/,
  );
  assert.match(
    importFaults(new Map([['web/load.js', "import {\n  x,\n} from './host.js';\n"]])).join(),
    /^web\/load\.js:3: imports web\/host\.js/,
  );

  const circle = circles(
    new Map([
      ['a/x.js', "import './y.js';"],
      ['a/y.js', "export * from '../b/z.js';"],
      ['b/z.js', "import { x } from '../a/x.js';"],
    ]),
  );
  assert.deepEqual(circle, ['in a circle: a/x.js -> a/y.js -> b/z.js -> a/x.js']);
  assert.deepEqual(circles(new Map([['a/x.js', "import './x.js';"]])), ['in a circle: a/x.js -> a/x.js']);
  assert.deepEqual(
    circles(
      new Map([
        ['x.js', "import './y.js';\nimport './z.js';"],
        ['y.js', "import './z.js';"],
        ['z.js', ''],
      ]),
    ),
    [],
  );
});
