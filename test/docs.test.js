// The papers against the code: links lead somewhere, docs/errors.md has every error code, docs/api.md the calls and
// options that the code takes, src/graph/meaning.h every kind, README.md the figures of the pages they come from, and
// the model's card those of its files.
// test/zoo.test.js has the pages that `make docs` writes.
// Run alone: node --test test/docs.test.js (needs no build)
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { cellsOf, partOf } from '../scripts/build/docs_marks.mjs';
import { loadModel, Model, TesseraeError } from '../web/index.js';
import { root } from './helpers/make.js';

const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');
const papers = [
  'README.md',
  'CONTRIBUTING.md',
  ...['docs', 'docs/models'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
];

// ---- the checks: text in, faults out, so that the last test can show that each finds its fault ----

/** Text without code: what looks like a link in there is none. @param {string} text */
const prose = (text) =>
  text.replace(/^```[^]*?^```/gm, '').replace(/`[^`]*`/g, (code) => code.replace(/[[\]()]/g, ' '));

/** The anchors of a page's headings, as GitHub makes them. @param {string} text */
const anchors = (text) =>
  [...text.replace(/^```[^]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );

/**
 * @param {string} page its path @param {string} text
 * @param {(path: string) => string | null} open a file's text, null: there is none
 */
function linkFaults(page, text, open) {
  const faults = [];
  for (const [, target] of prose(text).matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue; // elsewhere
    const [path, anchor] = target.split('#');
    const file = path ? posix.normalize(posix.join(dirname(page), path)) : page;
    const there = path ? open(file) : text;
    if (there === null) faults.push(`${page} links to ${target}, which does not exist`);
    else if (anchor && !anchors(there).includes(anchor))
      faults.push(`${page} links to ${target}, but no heading there has that anchor`);
  }
  return faults;
}

/** The JavaScript files in a folder and below. @param {string} folder */
const scriptsOf = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.js'))
    .map((name) => `${folder}/${name}`);

/** First cells of table rows that are a name in backquotes or a link. @param {string} text @returns {string[]} */
const firstCells = (text) =>
  [...text.matchAll(/^\| (?:`([^`]+)`|\[([^\]]+)\]\([^)]*\)) \|/gm)].map(([, code, link]) => code ?? link);

/**
 * The part below a heading, up to the next of its level or above.
 * @param {string} text @param {string} heading with its #s
 */
function section(text, heading) {
  const [, after] = text.split(`\n${heading}\n`);
  const level = heading.indexOf(' ');
  return after?.split(new RegExp(`^#{1,${level}} `, 'm'))[0] ?? '';
}

/**
 * Two lists that should be equal as sets.
 * @param {string[]} listed @param {string[]} real @param {string} where @param {string} what
 */
const listFaults = (listed, real, where, what) => [
  ...real.filter((name) => !listed.includes(name)).map((name) => `${where} has no row for ${what} ${name}`),
  ...listed.filter((name) => !real.includes(name)).map((name) => `${where} has a row for ${name}, which is no ${what}`),
];

/** Codes and stages of src/base/status.inc. @param {string} text @returns {Map<string, string>} */
const statusCodes = (text) =>
  new Map([...text.matchAll(/^TSR_STATUS\(\w+,\s*"(ERR_\w+)",\s*"(\w+)"\)/gm)].map(([, code, stage]) => [code, stage]));

/** @param {string} text a JavaScript source @returns {string[]} codes in quotes */
const scriptCodes = (text) => [...text.matchAll(/'(ERR_[A-Z_]*[A-Z])'/g)].map(([, code]) => code);

/** Kinds that a C source gives to meanings, in its members, in arguments and in literals. @param {string} text */
const kindsGiven = (text) =>
  [...text.matchAll(/(?:\bkind = |meaning(?:_of)?\([^";]*|(?:\w = |tsr_meaning\))\{(?="\w+", ))"(\w+)"/g)].map(
    ([, kind]) => kind,
  );

// ---- the papers as they are ----

test('links in the papers lead somewhere', () => {
  const open = (/** @type {string} */ path) =>
    !existsSync(join(root, path)) ? null : path.endsWith('.md') ? read(path) : '';
  assert.deepEqual(
    papers.flatMap((page) => linkFaults(page, read(page), open)),
    [],
  );
});

test('docs/errors.md has every code, with its stage, what it means and what to do', () => {
  const inCore = statusCodes(read('src/base/status.inc'));
  const inScripts = scriptsOf('web').flatMap((name) => scriptCodes(read(name)));
  assert.ok(inCore.size > 10 && inScripts.length > 10, 'the codes were not found');
  const codes = [...new Set([...inCore.keys(), ...inScripts])];
  const table = section(read('docs/errors.md'), '## Codes');
  assert.deepEqual(listFaults(firstCells(table), codes, 'docs/errors.md', 'code'), []);
  for (const [code, stage, meaning, mend] of cellsOf(table).slice(2)) {
    const { stage: inScript } = new TesseraeError(code.replaceAll('`', ''), '');
    assert.deepEqual([stage, inCore.get(code.replaceAll('`', '')) ?? stage], [inScript, inScript], `stage of ${code}`);
    assert.ok(meaning.length > 9 && mend.length > 9, `meaning and mend of ${code}`);
  }
});

test('src/graph/meaning.h lists every kind that the core gives', () => {
  const sources = readdirSync(join(root, 'src'), { recursive: true })
    .map(String)
    .filter((name) => /^(?:arch|parts|nn|graph)\/.+\.c$|^model\/metadata\.c$/.test(name));
  const kinds = [...new Set(sources.flatMap((name) => kindsGiven(read(`src/${name}`))))];
  assert.ok(kinds.length > 20, 'the kinds were not found');
  const list = /kind, with the shape it implies:([^]*?)\n \* grid:/.exec(read('src/graph/meaning.h'))?.[1] ?? '';
  const listed = [...list.matchAll(/"(\w+)"/g)].map(([, kind]) => kind);
  assert.deepEqual(listFaults(listed, kinds, 'src/graph/meaning.h', 'kind'), []);
});

/** Names of options in a call's cell: "`topK` (5), `threshold` (0)". @param {string} cell */
const optionNames = (cell) => [...cell.replace(/\([^()]*\)/g, '').matchAll(/`(\w+)`/g)].map(([, name]) => name);

/** The names that a call says it knows, when it is given another. @param {(options: any) => Promise<any>} call */
async function known(call) {
  const message = await call({ noSuchOption: 1 }).catch((error) => error.message);
  return /known: (.*)$/.exec(message)?.[1].split(', ') ?? [];
}

test("docs/api.md's options of loadModel, calls and their options are those that the code takes", async () => {
  const api = read('docs/api.md');
  const names = await known((options) => loadModel('m', options));
  assert.ok(names.length > 5, 'the options were not found');
  const listed = firstCells(section(api, '## loadModel(source, options)'));
  assert.deepEqual(listFaults(listed, names, 'docs/api.md', 'option'), []);

  const calls = Object.getOwnPropertyNames(Model.prototype).filter((name) => name !== 'constructor');
  const rows = cellsOf(section(api, '### Calls'))
    .slice(2)
    .map(([call, options]) => [call.replace(/^`(\w+)\(.*/, '$1'), options]);
  assert.deepEqual(
    listFaults(
      rows.map(([name]) => name),
      calls,
      'docs/api.md',
      'call of a model',
    ),
    [],
  );
  const taps = [{ kind: 'tokens', grid: [4, 4], windows: null }];
  const info = { input: { dims: [1, 3, 32, 32] }, output: { kind: 'image' }, taps };
  const model = new /** @type {any} */ (Model)({ closed: null }, info, {}, { decode: 'auto', fetch });
  for (const [name, cell] of rows) {
    if (['memory', 'dispose'].includes(name)) continue; // which take none
    const taken = (await known((options) => model[name]('x', options))).filter((option) => option !== 'signal');
    assert.deepEqual(optionNames(cell).sort(), taken.sort(), `docs/api.md: options of ${name}`);
  }

  const scripts = scriptsOf('web').map(read).join('\n');
  const reasons = firstCells(section(api, '## Threads')).filter((cell) => cell.startsWith("'"));
  assert.ok(reasons.length > 5, 'the reasons were not found');
  for (const reason of reasons) {
    const text = /^'([\w-]+)/.exec(reason)?.[1];
    assert.match(scripts, new RegExp(`['\`]${text}[:'\`]`), `no script gives the threadsReason ${reason}`);
  }
});

/** Files and folders that a page names; of one with a part to be filled in, its folder. @param {string} text */
const pathsIn = (text) =>
  [...text.matchAll(/(?<![\w./-])(?:src|web|scripts|test|demos|models|docs)\/[\w./-]*\w\/?(?![\w<*{$])/g)].map(
    ([path]) => path,
  );

test('files that the papers for users and contributors name exist', () => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    ...['api', 'errors', 'format', 'hosting', 'words'].map((name) => `docs/${name}.md`),
  ];
  const faults = pages.flatMap((page) =>
    pathsIn(read(page))
      .filter((path) => ![root, join(root, dirname(page))].some((from) => existsSync(join(from, path))))
      .map((path) => `${page} names ${path}, which does not exist`),
  );
  assert.deepEqual(faults, []);
});

test('make targets that the papers name exist', () => {
  const targets = [...read('Makefile').matchAll(/^([a-z][a-z-]*):/gm)].map(([, name]) => name);
  const used = papers.flatMap((page) =>
    [...read(page).matchAll(/`make ([a-z][a-z-]*)(?![\w/-])/g)].map(([, name]) => name),
  );
  assert.ok(used.includes('demo') && used.includes('test'));
  assert.deepEqual(
    used.filter((name) => !targets.includes(name)),
    [],
    'the Makefile has no such target',
  );
});

/** What README.md's part `bench` says that docs/performance.md does not. @param {string} part @param {string} table */
function benchFaults(part, table) {
  const measured = cellsOf(table).filter((row) => row.length === 12);
  const rows = cellsOf(part).slice(2);
  const faults = rows.flatMap(([label, peer, ours, ratio]) => {
    const [, ...names] = /^(.*), (f32|q8), (.*), (\d) threads?: /.exec(label) ?? [];
    const row = measured.find((cells) => names.length && names.every((name, i) => cells[i].replace('*', '') === name));
    const cell = row?.[label.endsWith(': one image') ? 6 : 4]; // the median, or the cold start
    const fine = cell === `${peer} / ${ours}` && Math.abs(Number(ratio) - Number(peer) / Number(ours)) <= 0.051;
    return fine
      ? []
      : [`README.md: ${label}: ${peer} / ${ours}, ${ratio}; docs/performance.md: ${cell}; run make bench`];
  });
  return rows.length === 3 ? faults : [...faults, `README.md shows ${rows.length} figures of speed, not three`];
}

test("README.md's figures of speed are those of docs/performance.md", () => {
  assert.deepEqual(benchFaults(partOf(read('README.md'), 'bench'), partOf(read('docs/performance.md'), 'bench')), []);
});

test("README.md's accuracy is that of the model's card", () => {
  const [, , [pytorch, f32, q8]] = cellsOf(partOf(read('models/cct_4_cifar10.md'), 'accuracy'));
  const said = [...partOf(read('README.md'), 'accuracy').matchAll(/([\d.]+) %/g)].map(([, percent]) => percent);
  assert.deepEqual(
    said,
    [q8, f32, pytorch].map((share) => (100 * Number(share)).toFixed(2)),
  );
});

/** What stands in a page where a pattern with one group finds it. @param {string} text @param {RegExp} pattern */
const found = (text, pattern) => [...text.matchAll(pattern)].map(([, what]) => what);

/** Texts that do not say the same of how many images were tested. @param {Record<string, string>} texts by page */
function imageFaults(texts) {
  const counts = Object.entries(texts).map(([page, text]) => ({
    page,
    said: found(text, /\b(?:the|of) ([\d,]+) (?:test )?images\b/gi),
  }));
  return counts
    .filter(({ said }) => !said.length || said.some((count) => count !== '10,000'))
    .map(({ page, said }) => `${page} says ${said.join(', ') || 'nothing'} of CIFAR-10's 10,000 test images`);
}

test("README.md and the model's card count the test images alike", () => {
  const card = read('models/cct_4_cifar10.md');
  const texts = { 'README.md': partOf(read('README.md'), 'accuracy'), card: section(card, '## Accuracy') };
  assert.deepEqual(imageFaults(texts), []);
});

/** Versions of the peer in the papers that are not the one measured. @param {Record<string, string>} texts */
function peerFaults(texts, pinned = '') {
  return Object.entries(texts).flatMap(([page, text]) => {
    const said = found(text, /onnxruntime-web (\d[\w.-]*\w)/g);
    const fine = said.length > 0 && said.every((version) => version === pinned);
    return fine ? [] : [`${page} names onnxruntime-web ${said.join(', ') || 'without a version'}, not ${pinned}`];
  });
}

test('the peer in the papers has the version that is measured', () => {
  const { 'onnxruntime-web': pinned } = JSON.parse(read('scripts/bench/peer/package.json')).dependencies;
  const { packages } = JSON.parse(read('scripts/bench/peer/package-lock.json'));
  assert.equal(packages['node_modules/onnxruntime-web'].version, pinned, 'the lock file has another');
  const texts = {
    'README.md': partOf(read('README.md'), 'bench'),
    'docs/performance.md': partOf(read('docs/performance.md'), 'bench'),
  };
  assert.deepEqual(peerFaults(texts, pinned), []);
});

/**
 * A model file's size, the kind of its weights and its parameters: all numbers but the scales of 8-bit matrices.
 * @param {Buffer} bytes
 */
function measure(bytes) {
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
  const { __metadata__: _, ...tensors } = header;
  const parameters = Object.entries(tensors)
    .filter(([name]) => !name.endsWith('_scale'))
    .map(([, { shape }]) => shape.reduce((/** @type {number} */ all, /** @type {number} */ n) => all * n, 1));
  const q8 = Object.values(tensors).some(({ dtype }) => dtype === 'I8');
  return { bytes: bytes.length, kind: q8 ? 'q8' : 'f32', parameters: parameters.reduce((all, n) => all + n, 0) };
}

/**
 * What a model's card says of its files that is not so.
 * @param {string} card @param {Record<string, { bytes: number, kind: string, parameters: number }>} files
 */
function cardFaults(card, files) {
  const row = (/** @type {string} */ name) => cellsOf(card).find(([first]) => first === name)?.[1] ?? '';
  const number = (/** @type {number} */ n) => n.toLocaleString('en-US');
  const list = Object.entries(files)
    .map(([name, { kind, bytes }]) => `\`${name}\` (${kind === 'q8' ? 'q8, ' : ''}${number(bytes)} bytes)`)
    .join(', ');
  const counts = Object.values(files).map(({ parameters }) => number(parameters));
  return [
    ...(row('files') === list ? [] : [`the card has files ${row('files')}; they are ${list}`]),
    ...counts
      .filter((count) => row('parameters') !== count)
      .map((count) => `the card has ${row('parameters')} parameters; a file has ${count}`),
  ];
}

test("the model's card has its files' sizes and parameters", () => {
  const names = ['cct_4_cifar10.safetensors', 'cct_4_cifar10_f32.safetensors'];
  const files = Object.fromEntries(names.map((name) => [name, measure(readFileSync(join(root, 'models', name)))]));
  assert.deepEqual(cardFaults(read('models/cct_4_cifar10.md'), files), []);
});

test('sizes in the papers are within the budgets, and agree', () => {
  const source = read('scripts/build/size.mjs');
  const budgets = [...source.matchAll(/^const \w+_BUDGET = ([\d.]+) \* 1024;/gm)].map(([, kb]) => Number(kb) * 1024);
  const hosting = read('docs/hosting.md');
  const sentence = section(hosting, '## Sizes').split('The build fails')[1];
  assert.deepEqual([...sentence.matchAll(/\b\d{4,}\b/g)].map(Number), budgets, "docs/hosting.md's budgets");
  const rows = cellsOf(partOf(hosting, 'size')).slice(2);
  assert.equal(rows.length, 10);
  const largest = [/(?<!-all)\.wasm$/, /-all\.wasm$/, /^JavaScript/, /^loader/].map((names) =>
    Math.max(...rows.filter(([name]) => names.test(name)).map(([, , , brotli]) => Number(brotli))),
  );
  largest.forEach((bytes, i) => assert.ok(bytes > 0 && bytes <= budgets[i], `${bytes} bytes of ${budgets[i]}`));
  const said = [...partOf(read('README.md'), 'size').matchAll(/(\d+) kB/g)].map(([, kb]) => Number(kb));
  const [first, all, script, loader] = largest.map((bytes) => Math.round(bytes / 1000));
  assert.deepEqual(said, [script, first, all, loader], 'README.md; make size writes it');
});

test('README.md is for a person in a hurry', () => {
  const lines = read('README.md').split('\n');
  assert.ok(lines.length <= 121, `README.md has ${lines.length} lines`);
});

test('the checks themselves: each finds its fault', () => {
  const open = (/** @type {string} */ path) => (path === 'docs/b.md' ? '# Two words, `code`\n' : null);
  for (const good of [
    '[b](b.md)',
    '[b](b.md#two-words-code)',
    '[x](https://example.org/x)',
    '`[b](c.md)`',
    '```\n[b](c.md)\n```\n',
    '# Here\n[h](#here)',
  ]) {
    assert.deepEqual(linkFaults('docs/a.md', good, open), [], good);
  }
  for (const bad of ['[b](c.md)', '![b](c.png)', '[b](../b.md)', '[b](b.md#other)', '[h](#here)'])
    assert.equal(linkFaults('docs/a.md', bad, open).length, 1, bad);

  assert.deepEqual(firstCells('| `A` | x |\n| [b](#b) | y |\n| c | z |\n|---|---|'), ['A', 'b']);
  assert.match(listFaults(['a'], ['a', 'b'], 'here', 'thing').join(), /no row for thing b/);
  assert.match(listFaults(['a', 'c'], ['a'], 'here', 'thing').join(), /row for c, which is no thing/);
  assert.equal(section('x\n## A\none\n### B\ntwo\n## C\nthree', '## A').trim(), 'one\n### B\ntwo');
  assert.deepEqual(
    [...statusCodes('TSR_STATUS(OK, "OK", "none")\nTSR_STATUS(A,  "ERR_A",  "call")\n')],
    [['ERR_A', 'call']],
  );
  assert.deepEqual(
    kindsGiven(
      'm.kind = "a"; tsr_nn_map_meaning(b, x, "b"), "tap"; ' +
        'tsr_meaning t = {"c", 1}, u = {"d", 2}; (tsr_meaning){"e", 3}; ' +
        'const char *const pools[] = {"cls", NULL}; tsr_tap_add(b, x, meaning, "tap")',
    ),
    ['a', 'b', 'c', 'd', 'e'],
  );
  assert.deepEqual(scriptCodes("fail('ERR_A_B', x); /^ERR_C/; 'ERR_'"), ['ERR_A_B']);
  assert.deepEqual(pathsIn('`src/a.c`, [b](docs/b.md), `src/arch/<name>.c`, dist/web/c.js; run scripts/d.mjs'), [
    'src/a.c',
    'docs/b.md',
    'src/arch',
    'scripts/d.mjs',
  ]);
  assert.deepEqual(optionNames('`layers` (`-1`, the last; or `x`), `rollout` (false)'), ['layers', 'rollout']);
  const measured = '| M | f32 | Node 24 | 1* | 90 / 30 | x | 20 / 10 | x | x | x | x | x |';
  const one = 'M, f32, Node 24, 1 thread: one image';
  const figures = (/** @type {string} */ second) =>
    [
      '| ms | peer | ours | ratio |',
      '|---|---|---|---|',
      `| ${one} | 20 | 10 | 2.0 |`,
      second,
      '| M, f32, Node 24, 1 thread: a first answer | 90 | 30 | 3.0 |',
    ].join('\n');
  assert.deepEqual(benchFaults(figures(`| ${one} | 20 | 10 | 2.0 |`), measured), []);
  const others = [
    `| ${one} | 20 | 9 | 2.2 |`,
    `| ${one} | 20 | 10 | 2.2 |`,
    `| ${one.replace('f32', 'q8')} | 20 | 10 | 2.0 |`,
    '| x | 1 | 1 | 1 |',
    '',
  ];
  for (const bad of others) assert.equal(benchFaults(figures(bad), measured).length, 1, bad);
});

test('the checks themselves: figures of images, the peer and model files', () => {
  assert.deepEqual(
    imageFaults({ a: 'Of the 10,000 test images', b: 'on the 10,000 test images. Of the 10,000 images' }),
    [],
  );
  for (const bad of ['Of the 1,000 test images', 'the 10,000 images; of the 50,000 test images', 'images'])
    assert.equal(imageFaults({ bad }).length, 1, bad);

  assert.deepEqual(peerFaults({ a: '| onnxruntime-web 1.30.0 | x', b: 'onnxruntime-web 1.30.0 / T.' }, '1.30.0'), []);
  for (const bad of ['onnxruntime-web 1.31.0', 'onnxruntime-web', 'onnxruntime-web 1.30.0, onnxruntime-web 1.30.1'])
    assert.equal(peerFaults({ bad }, '1.30.0').length, 1, bad);

  const header = JSON.stringify({
    __metadata__: {},
    w: { dtype: 'I8', shape: [20, 60] },
    w_scale: { dtype: 'F32', shape: [20, 1] },
    t: { dtype: 'F32', shape: [] },
  });
  const bytes = Buffer.alloc(8 + header.length + 1284);
  bytes.writeBigUInt64LE(BigInt(header.length));
  bytes.write(header, 8);
  assert.deepEqual(measure(bytes), { bytes: bytes.length, kind: 'q8', parameters: 1201 });
  const files = {
    a: { bytes: 1234, kind: 'q8', parameters: 1201 },
    b: { bytes: 5678, kind: 'f32', parameters: 1201 },
  };
  const card = '| files | `a` (q8, 1,234 bytes), `b` (5,678 bytes) |\n| parameters | 1,201 |';
  assert.deepEqual(cardFaults(card, files), []);
  for (const [from, to] of [
    ['1,234', '1,235'],
    ['5,678', '5,670'],
    ['(q8, ', '('],
    ['`b` (', '`b` (q8, '],
  ])
    assert.equal(cardFaults(card.replace(from, to), files).length, 1, to);
  assert.equal(cardFaults(card.replace('1,201', '1,210'), files).length, 2);
});
