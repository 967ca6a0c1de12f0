// The papers against the code: links lead somewhere, every error code is in the README's table, and the README's
// options are those that the code takes. test/zoo.test.js has the pages that `make docs` writes.
// Run alone: node --test test/docs.test.js (needs no build)
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { loadModel } from '../web/index.js';
import { root } from './helpers/make.js';

const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');
const papers = ['README.md', 'CONTRIBUTING.md', ...['docs', 'docs/models'].flatMap((folder) => readdirSync(join(root, folder))
  .filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`))];

// ---- the checks: text in, faults out, so that the last test can show that each finds its fault ----

/** Text without code: what looks like a link in there is none. @param {string} text */
const prose = (text) => text.replace(/^```[^]*?^```/gm, '').replace(/`[^`]*`/g, (code) => code.replace(/[[\]()]/g, ' '));

/** The anchors of a page's headings, as GitHub makes them. @param {string} text */
const anchors = (text) => [...text.replace(/^```[^]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)]
  .map(([, heading]) => heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replace(/\s/g, '-'));

/** @param {string} page its path @param {string} text @param {(path: string) => string | null} open a file's text, null: there is none */
function linkFaults(page, text, open) {
  const faults = [];
  for (const [, target] of prose(text).matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue; // elsewhere
    const [path, anchor] = target.split('#');
    const file = path ? posix.normalize(posix.join(dirname(page), path)) : page;
    const there = path ? open(file) : text;
    if (there === null) faults.push(`${page} links to ${target}, which does not exist`);
    else if (anchor && !anchors(there).includes(anchor)) faults.push(`${page} links to ${target}, but no heading there has that anchor`);
  }
  return faults;
}

/** First cells of table rows that are a name in backquotes or a link. @param {string} text @returns {string[]} */
const firstCells = (text) => [...text.matchAll(/^\| (?:`([^`]+)`|\[([^\]]+)\]\([^)]*\)) \|/gm)].map(([, code, link]) => code ?? link);

/** The part below a heading, up to the next of its level or above. @param {string} text @param {string} heading with its #s */
function section(text, heading) {
  const [, after] = text.split(`\n${heading}\n`);
  const level = heading.indexOf(' ');
  return after?.split(new RegExp(`^#{1,${level}} `, 'm'))[0] ?? '';
}

/** Two lists that should be equal as sets. @param {string[]} listed @param {string[]} real @param {string} where @param {string} what */
const listFaults = (listed, real, where, what) => [
  ...real.filter((name) => !listed.includes(name)).map((name) => `${where} has no row for ${what} ${name}`),
  ...listed.filter((name) => !real.includes(name)).map((name) => `${where} has a row for ${name}, which is no ${what}`),
];

/** Codes and stages of src/status.inc. @param {string} text @returns {Map<string, string>} */
const statusCodes = (text) => new Map([...text.matchAll(/^TSR_STATUS\(\w+,\s*"(ERR_\w+)",\s*"(\w+)"\)/gm)].map(([, code, stage]) => [code, stage]));

/** @param {string} text a JavaScript source @returns {string[]} codes in quotes */
const scriptCodes = (text) => [...text.matchAll(/'(ERR_[A-Z_]*[A-Z])'/g)].map(([, code]) => code);

// ---- the papers as they are ----

test('links in the papers lead somewhere', () => {
  const open = (/** @type {string} */ path) => (!existsSync(join(root, path)) ? null : path.endsWith('.md') ? read(path) : '');
  assert.deepEqual(papers.flatMap((page) => linkFaults(page, read(page), open)), []);
});

test("the README's table of errors has every code, with its stage", () => {
  const inCore = statusCodes(read('src/status.inc'));
  const inScripts = readdirSync(join(root, 'web')).filter((name) => name.endsWith('.js')).flatMap((name) => scriptCodes(read(`web/${name}`)));
  assert.ok(inCore.size > 10 && inScripts.length > 10, 'the codes were not found');
  const table = section(read('README.md'), '## Errors');
  assert.deepEqual(listFaults(firstCells(table), [...new Set([...inCore.keys(), ...inScripts])], "README's table of errors", 'code'), []);
  for (const [code, stage] of inCore) assert.match(table, new RegExp(`^\\| \`${code}\` \\| ${stage} \\|`, 'm'), `stage of ${code}`);
});

test("the README's options of loadModel are those that it takes, and its make targets exist", async () => {
  const readme = read('README.md');
  const refused = await loadModel('m', /** @type {any} */ ({ noSuchOption: 1 })).catch((error) => error.message);
  const names = /known: (.*)$/.exec(refused)?.[1].split(', ') ?? [];
  assert.ok(names.length > 5, 'the options were not found');
  assert.deepEqual(listFaults(firstCells(section(readme, '### loadModel(source, options)')), names, "README's options", 'option'), []);
  const targets = [...read('Makefile').matchAll(/^([a-z][a-z-]*):/gm)].map(([, name]) => name);
  const used = papers.flatMap((page) => [...read(page).matchAll(/`make ([a-z][a-z-]*)(?![\w/-])/g)].map(([, name]) => name));
  assert.ok(used.includes('demo') && used.includes('test'));
  assert.deepEqual(used.filter((name) => !targets.includes(name)), [], 'the Makefile has no such target');
});

test('the checks themselves: each finds its fault', () => {
  const open = (/** @type {string} */ path) => (path === 'docs/b.md' ? '# Two words, `code`\n' : null);
  for (const good of ['[b](b.md)', '[b](b.md#two-words-code)', '[x](https://example.org/x)', '`[b](c.md)`', '```\n[b](c.md)\n```\n', '# Here\n[h](#here)']) {
    assert.deepEqual(linkFaults('docs/a.md', good, open), [], good);
  }
  for (const bad of ['[b](c.md)', '![b](c.png)', '[b](../b.md)', '[b](b.md#other)', '[h](#here)']) assert.equal(linkFaults('docs/a.md', bad, open).length, 1, bad);

  assert.deepEqual(firstCells('| `A` | x |\n| [b](#b) | y |\n| c | z |\n|---|---|'), ['A', 'b']);
  assert.match(listFaults(['a'], ['a', 'b'], 'here', 'thing').join(), /no row for thing b/);
  assert.match(listFaults(['a', 'c'], ['a'], 'here', 'thing').join(), /row for c, which is no thing/);
  assert.equal(section('x\n## A\none\n### B\ntwo\n## C\nthree', '## A').trim(), 'one\n### B\ntwo');
  assert.deepEqual([...statusCodes('TSR_STATUS(OK, "OK", "none")\nTSR_STATUS(A,  "ERR_A",  "call")\n')], [['ERR_A', 'call']]);
  assert.deepEqual(scriptCodes("fail('ERR_A_B', x); /^ERR_C/; 'ERR_'"), ['ERR_A_B']);
});
