// What an architecture adds agrees with itself: the program, its reference cases, golden files, pages and measurements.
// The program is asked; the reference cases stand in docs/models/measured.json. Alone, after `make wasm`:
//   node --test test/zoo.test.js
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { askProgram, pagesOf, readSource, sourceFiles, staleOf } from '../scripts/dev/docs.mjs';
import { firstSentence, mapOf } from '../scripts/dev/map.mjs';
import { root } from './helpers/make.js';

const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');
const files = (/** @type {string} */ folder, /** @type {string} */ ending) =>
  Object.fromEntries(
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(ending) && !name.startsWith('_'))
      .map((name) => [name.slice(0, -ending.length), read(`${folder}/${name}`)]),
  );
const hash = (/** @type {string} */ text) => createHash('sha256').update(text).digest('hex').slice(0, 16);

/** Names in the first cells of a text's tables. @param {string} text */
const named = (text) =>
  [...text.matchAll(/^\| (`[^|]*) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );

/** The parts of a page below its second headings, by anchor. @param {string} page */
const partsOf = (page) =>
  new Map(
    page
      .split(/^## /m)
      .slice(1)
      .map((part) => [
        part
          .split('\n', 1)[0]
          .toLowerCase()
          .replace(/[^\w\s-]/g, '')
          .replaceAll(' ', '-'),
        part,
      ]),
  );

/**
 * Keys and options in a part of a page, and in the parts of pages that it links to.
 * @param {Record<string, string>} pages @param {string} name @param {string} anchor @returns {string[]}
 */
function documented(pages, name, anchor) {
  const part = partsOf(pages[name] ?? '').get(anchor) ?? '';
  const links = [...part.matchAll(/\]\((\w+)\.md#([\w-]+)\)/g)];
  return [...named(part), ...links.flatMap(([, other, there]) => documented(pages, other, there))];
}

/** What the program reads of a config and of a run's options, over every config at hand. */
function keysOf(/** @type {any} */ zoo, /** @type {any} */ { arch, presets }) {
  const configs = [
    ...presets.map((/** @type {string} */ preset) => ({ preset })),
    ...Object.values(zoo.measured.cases)
      .filter((one) => one.arch === arch)
      .map(({ config }) => config),
  ];
  const told = configs.map((config) => zoo.program.describe(arch, config));
  const stage = (/** @type {string} */ key) => key.replace(/^s\d_/, 's1_');
  const keys = new Set(told.flatMap((one) => [...one.keys, ...one.options]));
  keys.delete('preset');
  return [...keys].map(stage);
}

/** Faults of one architecture. @param {any} zoo @param {any} known */
function faultsOf(zoo, known) {
  const { measured, references, golden, pages, requirements, program } = zoo;
  const { arch, reference } = known;
  /** @type {string[]} */
  const found = [];
  const need = (/** @type {unknown} */ holds, /** @type {string} */ fault) => {
    if (!holds) found.push(fault);
  };
  const kept = measured.architectures[arch] ?? { tiny: [] };
  const page = pages[arch] ?? '';
  need(references[arch], `scripts/parity/references/${arch}.py is missing`);
  need(
    !references[arch] || kept.reference === hash(references[arch]),
    `docs/models/measured.json is older than scripts/parity/references/${arch}.py: run ` +
      '`scripts/parity/parity.py --docs`',
  );
  need(page, `docs/models/${arch}.md is missing`);
  need(golden[`${arch}_tiny`] === arch, `test/golden/models/${arch}_tiny.json is missing`);
  for (const name of kept.tiny) {
    need(golden[name] === arch, `case ${name} has no golden file: run \`scripts/parity/golden_models.py ${name}\``);
  }
  const cases = Object.entries(measured.cases).filter(([, one]) => one.arch === arch);
  need(kept.row && measured.cases[kept.row], `${arch} has no case of its document's size`);
  need(
    !cases.length || cases.some(([, { q8 }]) => q8) || /8 bits are not compared: /.test(page),
    `no case of ${arch} is run in 8 bits, and its page does not say why ("8 bits are not compared: ...")`,
  );
  for (const [name, one] of cases) found.push(...caseFaults(name, one, page, program.describe(arch, one.config)));
  for (const [, name, version] of reference.matchAll(/(?:^|; )([A-Za-z-]+) (\d[\w.]*)(?=,)/g)) {
    const line = `${name.toLowerCase()}==${version}`;
    need(requirements.includes(`\n${line}\n`), `${arch}: scripts/parity/requirements.txt has no ${line}`);
  }
  const rows = ['config', 'inputs-and-options'].flatMap((anchor) => documented(pages, arch, anchor));
  for (const key of keysOf(zoo, known)) {
    need(rows.includes(key), `docs/models/${arch}.md has no row for the key or option ${key}`);
  }
  return found;
}

/**
 * Faults of a case of a document's size.
 * @param {string} name @param {any} one @param {string} page @param {any} told what the program says of its config
 */
function caseFaults(name, one, page, told) {
  /** @type {string[]} */
  const found = [];
  const need = (/** @type {unknown} */ holds, /** @type {string} */ fault) => {
    if (!holds) found.push(fault);
  };
  need(
    !one.parameters || told.parameters === one.parameters,
    `case ${name} has ${one.parameters} parameters in the reference, ${told.parameters} here`,
  );
  need(
    one.f32?.output && one.f32.taps !== undefined,
    `case ${name} was not compared in f32: run scripts/parity/parity.py ${name}, then with --docs, then make docs`,
  );
  need(one.least >= 0.95 || one.why, `case ${name} asks for less than 95 % in 8 bits and gives no reason (why)`);
  if (!one.counted) {
    const excuse = `8 bits of \`${name}\` are not counted: `;
    need(
      !one.q8 || one.q8 === 'cosine' || page.replace(/\s+/g, ' ').includes(excuse),
      `case ${name} is not counted in 8 bits, and its page does not say why ("${excuse}...")`,
    );
    return found;
  }
  const { same, inputs, commit } = one.counted;
  need(
    same === undefined || same >= one.least * inputs,
    `case ${name} has ${same} of ${inputs}, less than ${one.least}`,
  );
  need(/^(earlier|[0-9a-f]{7,})$/.test(commit), `case ${name} does not say with which core it was counted`);
  return found;
}

/** Every disagreement, each with the name of what is missing or differs. @param {any} zoo */
function faults(zoo) {
  const { program, measured, references, golden, pages, sources, common } = zoo;
  const archs = program.architectures.map((/** @type {any} */ { arch }) => arch);
  /** @type {string[]} */
  const found = [];
  const need = (/** @type {unknown} */ holds, /** @type {string} */ fault) => {
    if (!holds) found.push(fault);
  };
  const known = (/** @type {string} */ name, /** @type {string} */ fault) => need(archs.includes(name), fault);
  need(
    String(sources) === String(archs),
    'dist/tesserae-simd-all.wasm has other architectures than src/arch: run `make wasm`',
  );
  need(
    String(program.first) === String(common),
    'dist/tesserae-simd.wasm has not what COMMON of the Makefile names: run `make wasm`',
  );
  for (const name of common) known(name, `the Makefile's COMMON has ${name}, src/arch has no such file`);
  for (const name of Object.keys(references)) {
    known(name, `scripts/parity/references/${name}.py belongs to no file of src/arch`);
  }
  for (const name of Object.keys(measured.milliseconds)) known(name, `docs/models/measured.json has times of ${name}`);
  for (const name of Object.keys(pages)) {
    if (!/^(shared|hub)$/.test(name)) known(name, `docs/models/${name}.md is of no architecture`);
  }
  for (const [name, arch] of Object.entries(golden)) {
    const cases = measured.architectures[arch]?.tiny ?? [];
    need(cases.includes(name), `test/golden/models/${name}.json is of no tiny case of ${arch}`);
  }
  return [...found, ...program.architectures.flatMap((/** @type {any} */ known) => faultsOf(zoo, known))];
}

/** @type {any} */
let program;
before(async () => {
  program = await askProgram();
});

const zoo = () => ({
  program: { ...program, architectures: [...program.architectures] },
  sources: Object.keys(files('src/arch', '.c')).sort(),
  references: files('scripts/parity/references', '.py'),
  golden: Object.fromEntries(
    Object.entries(files('test/golden/models', '.json')).map(([name, text]) => [name, JSON.parse(text).arch]),
  ),
  pages: files('docs/models', '.md'),
  measured: JSON.parse(read('docs/models/measured.json')),
  requirements:
    read('scripts/parity/requirements.txt') + /\ntransformers==.*\n/.exec(read('scripts/parity/hub_requirements.txt')),
  common: /^COMMON := ((?:.*\\\n)*.*)$/m.exec(read('Makefile'))?.[1].match(/\w+/g) ?? [],
});

test('program, reference cases, golden files, pages and measurements agree', () => {
  const { measured } = zoo();
  assert.ok(program.architectures.length > 20 && Object.keys(measured.cases).length > 50, 'the zoo was not read');
  assert.deepEqual(faults(zoo()), []);
});

/** A change of a page. @param {string} name @param {string} from @param {string} to */
const edit =
  (name, from, to) =>
  (/** @type {any} */ { pages }) => {
    assert.ok(pages[name].includes(from), `${name}: ${from}`);
    pages[name] = pages[name].replace(from, to);
  };

test('each disagreement is found and named', () => {
  const breaks = /** @type {[string, (zoo: any) => void, RegExp][]} */ ([
    [
      'no reference',
      (z) => {
        delete z.references.cait;
      },
      /references\/cait\.py is missing/,
    ],
    [
      'a reference of nothing',
      (z) => {
        z.references.cat = '';
      },
      /cat\.py belongs to no file/,
    ],
    [
      'a changed reference',
      (z) => {
        z.references.cait += '#';
      },
      /cait\.py: run `scripts\/parity\/parity\.py --docs`/,
    ],
    [
      'one that is not built',
      (z) => {
        z.sources.push('zzz');
      },
      /other architectures than src\/arch: run `make wasm`/,
    ],
    [
      'no golden file',
      (z) => {
        delete z.golden.cait_tails;
      },
      /case cait_tails has no golden/,
    ],
    [
      'no tiny golden file',
      (z) => {
        delete z.golden.cait_tiny;
      },
      /cait_tiny\.json is missing/,
    ],
    [
      'a golden file of no case',
      (z) => {
        z.golden.cait_more = 'cait';
      },
      /cait_more\.json is of no tiny case of cait/,
    ],
    [
      'no case of the document',
      (z) => {
        delete z.measured.cases.cait_document;
      },
      /cait has no case of its document/,
    ],
    [
      'other parameters',
      (z) => {
        z.measured.cases.cait_document.parameters++;
      },
      /121839593 .*, 121839592 here/,
    ],
    [
      'no page',
      (z) => {
        delete z.pages.cait;
      },
      /docs\/models\/cait\.md is missing/,
    ],
    [
      'a page of nothing',
      (z) => {
        z.pages.cat = '';
      },
      /cat\.md is of no architecture/,
    ],
    ['no row of a key', edit('cait', '| `cls_depth` |', '| `depth` |'), /cait\.md has no row .* cls_depth/],
    ['keys without their page', edit('cait', '(shared.md#keys', '(#keys'), /cait\.md has no row .* mlp_dim/],
    ['no row of an option', edit('glom', '| `iters` |', '| `iter` |'), /glom\.md has no row .* iters/],
    ['no row of a stage key', edit('cvt', '| `s1_depth`', '| `depth`'), /cvt\.md has no row .* s1_depth/],
    [
      'another version',
      (z) => {
        z.requirements = z.requirements.replace('timm==', 'x');
      },
      /gcvit: .* has no timm==/,
    ],
    [
      'another second package',
      (z) => {
        z.requirements = z.requirements.replace('nystrom', 'x');
      },
      /no nystrom/,
    ],
    [
      'less in 8 bits, no reason',
      (z) => {
        z.measured.cases.cait_document.why = '';
      },
      /cait_document asks for less/,
    ],
    [
      'no figure in f32',
      (z) => {
        delete z.measured.cases.vit_std_mean.f32;
      },
      /vit_std_mean was not compared in f32/,
    ],
    [
      'too small a count',
      (z) => {
        z.measured.cases.vit_std.counted.same = 189;
      },
      /vit_std has 189 of 200, less than/,
    ],
    [
      'no count',
      (z) => {
        delete z.measured.cases.xcit_document.counted;
      },
      /xcit_document is not counted in 8 bits/,
    ],
    [
      'no count, and a reason elsewhere',
      (z) => {
        delete z.measured.cases.vivit_document_self.counted;
        z.pages.vit += '8 bits of `vivit_document_self` are not counted: why';
      },
      /vivit_document_self is not counted/,
    ],
    [
      'a count of some build',
      (z) => {
        z.measured.cases.vit_std.counted.commit = '5abc';
      },
      /vit_std does not say/,
    ],
    [
      'no 8 bits',
      (z) => {
        delete z.measured.cases.cait_document.q8;
      },
      /no case of cait is run in 8 bits/,
    ],
    [
      'another first file',
      (z) => {
        z.program.first = z.common.slice(1);
      },
      /has not what COMMON/,
    ],
    [
      'a common one that is not there',
      (z) => {
        z.common.push('cat');
      },
      /COMMON has cat/,
    ],
    [
      'times of nothing',
      (z) => {
        z.measured.milliseconds.cat = { f32: 1, q8: 1 };
      },
      /has times of cat/,
    ],
  ]);
  for (const [what, change, expected] of breaks) {
    const broken = zoo();
    change(broken);
    const found = faults(broken);
    assert.ok(
      found.some((fault) => expected.test(fault)),
      `${what}: ${JSON.stringify(found)}`,
    );
  }
});

test('the pages that `make docs` writes are up to date', () => {
  assert.deepEqual(staleOf(pagesOf(readSource, program, sourceFiles()), readSource), []);
});

test('a page that is out of date is named, with the command', () => {
  const list = sourceFiles();
  const fresh = pagesOf(readSource, program, list);
  const stale = (/** @type {Record<string, (text: string) => string>} */ changes, files = list) => {
    const broken = (/** @type {string} */ path) => (changes[path] ?? String)(fresh.get(path) ?? readSource(path));
    return staleOf(pagesOf(broken, program, files), broken);
  };
  const without = (/** @type {string} */ path) => list.filter((file) => file !== path);
  const first = (/** @type {string} */ from, /** @type {string} */ to) => (/** @type {string} */ text) => {
    assert.ok(text.includes(from), from);
    return text.replace(from, to);
  };
  const named = (/** @type {string} */ path) => [`${path} is out of date: run \`make docs\``];
  assert.deepEqual(stale({}), []);
  assert.deepEqual(stale({ 'docs/models.md': first('| 121,839,592 |', '| 121,839,593 |') }), named('docs/models.md'));
  assert.deepEqual(stale({ 'docs/models/cait.md': first('121,839,592', '1') }), named('docs/models/cait.md'));
  const slower = first('"vit":{"f32":', '"vit":{"f32":9');
  assert.deepEqual(stale({ 'docs/models/measured.json': slower }), named('docs/models.md'));
  const fewer = (/** @type {string} */ text) => text.replace(/There are \d+ arch/, 'There are 3 arch');
  assert.deepEqual(stale({ 'README.md': fewer }), named('README.md'));
  assert.deepEqual(stale({ 'src/arch/vit.c': first('/* ', '/* A ') }), named('docs/map.md'));
  assert.deepEqual(stale({}, without('src/arch/vit.c')), named('docs/map.md'));
  const unmarked = first('<!-- facts: written by make docs -->', '');
  assert.throws(() => stale({ 'docs/models/cait.md': unmarked }), /cait\.md: the page needs one line <!-- facts/);
  assert.throws(() => stale({}, without('docs/models/cait.md')), /docs\/models\/cait\.md is missing/);
});

test('the map takes the first sentence of a comment, and wants one for every file and folder', () => {
  for (const [path, text, expected] of [
    ['a.c', '/* One thing; see a.h. More. */\n#include "a.h"', 'One thing; see a.h.'],
    [
      'a.c',
      '/* CaiT: "Deeper", Touvron et al. 2021,\n * arXiv 2103.17239.\n * Reference: x. */',
      'CaiT: "Deeper", Touvron et al. 2021, arXiv 2103.17239.',
    ],
    ['a.h', '/* A tile. Both define before including:\n *   NAME  its name */', 'A tile.'],
    ['a.js', '// @ts-check\n/** The one class.\n * More. */\n', 'The one class.'],
    [
      'a.mjs',
      '#!/usr/bin/env node\n// Writes pages, of\n// all kinds:\n//   node a.mjs\n',
      'Writes pages, of all kinds.',
    ],
    ['a.py', '"""Every case (`make parity`).\n\n    python a.py\n"""\n', 'Every case (`make parity`).'],
    ['a.sh', '#!/bin/bash\n# Runs it.\n', 'Runs it.'],
    ['a.html', '<!doctype html>\n<!-- The list. -->\n<html>', 'The list.'],
    ['a.md', '# Title\n\n![x](y.png)\n\nA [page](b.md) of\nwords. More.\n', 'A page of words.'],
    ['a.c', 'int x; /* not at the top */', ''],
  ])
    assert.equal(firstSentence(path, text), expected, path);
  assert.throws(() => mapOf(['src/arch/x.c'], () => 'int x;'), /src\/arch\/x\.c has no comment at its top/);
  assert.throws(() => mapOf(['src/new/x.c'], () => '/* X. */'), /no row for the folder src\/new/);
  assert.match(
    mapOf(['src/arch/x.c'], () => '/* X. */'),
    /\n## src\/arch\n\n.*\n\n- `src\/arch\/x\.c`: X\.\n$/,
  );
});
