// The tree's format: C as clang-format lays it out, JavaScript as Prettier does, and no line of a source over 120
// columns. `make format` mends the first two. Run alone: node --test test/format.test.js (needs node_modules, no build)
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { make, root, run } from './helpers/make.js';

const COLUMNS = 120; // as .editorconfig, .clang-format and .prettierrc say
const SOURCES =
  /(\.([ch]|inc|[cm]?[jt]s|py|sh|toml|mk|ya?ml|html|css)|(^|\/)Makefile|^(scripts|\.ci)\/([^/]+\/)*[^./]+)$/;
const C = /\.([ch]|inc)$/;

// Where parts of a file are laid out by hand, because they are tables; how often in each.
/** @type {Record<string, number>} */
const BY_HAND = {
  'src/base/status.inc': 1,
  'src/base/tensor.h': 1,
  'src/kernels/kernels.h': 1,
  'test/c/safetensors_cases.inc': 1,
  'web/wasm.js': 1,
  'scripts/bench/limit.mjs': 2,
};

// What cannot be broken in a line of JavaScript: strings, templates, which may go on below, and regular expressions.
const quoted = ["'", '"', '`'].map((mark) => `${mark}(?:\\\\.|[^${mark}\\\\])*${mark}`);
const unbreakable = [...quoted, '(?<=[(,=:[]\\s*|^\\s*)/(?:\\\\.|[^/\\\\])+/[a-z]*', '`[^`]*$'];
const comment = ['//.*', '/\\*.*?(?:\\*/|$)'];
const parts = new RegExp([...comment, ...unbreakable].join('|'), 'g');

/** A line of JavaScript without these; in a comment, all can be broken. @param {string} line */
const bare = (line) =>
  /^\s*\*/.test(line)
    ? line
    : line.replace(parts, (part) => (/^\/[/*]/.test(part) ? part : part.length > 1 ? part[0] + part[0] : part));

/** Lines that are too long, as "file:line". @param {string} file @param {string} text */
const wide = (file, text) =>
  text.split('\n').flatMap((line, i) => {
    let seen = line;
    if (/\.[cm]?[jt]s$/.test(file)) seen = bare(line);
    // a page's description and policy are strings, too
    if (/\.html$/.test(file)) seen = line.replace(/(?<=<meta\b.* content=)"[^"]*"/, '""');
    return [...seen].length > COLUMNS ? [`${file}:${i + 1}: over ${COLUMNS} columns`] : [];
  });

/** C under names that no check looks at, and settings of the layout that are not the root's. @param {string[]} files */
const strangers = (files) =>
  files.filter((file) =>
    /\.(cc|cpp|cxx|hh|hpp|hxx|c\+\+|mm?|C|H)$|\/[._]clang-format(-ignore)?$|\/\.prettierrc/.test(file),
  );

/** Where a file asks not to be laid out oftener than BY_HAND says. @param {string} file @param {string} text */
const unlisted = (file, text) => {
  const found = [...text.matchAll(/^\s*(?:\/\*|\/\/|\*)\s*(?:clang-format\s+off|prettier-ignore)/gm)].length;
  return found > (BY_HAND[file] ?? 0)
    ? [`${file}: is laid out by hand, which BY_HAND in test/format.test.js lists`]
    : [];
};

/** Lines that ask git for files without -z; it writes names with letters such as ö in quotes. */
const unzeroed = (/** @type {string} */ file, /** @type {string} */ text) =>
  text
    .split('\n')
    .flatMap((line, i) => (/\bls-files\b(?!['"]?,? ['"]?-z\b)/.test(line) ? [`${file}:${i + 1}: without -z`] : []));

/** The files git knows that match. @param {RegExp} pattern @param {string} folder a repository */
async function tracked(pattern, folder = root) {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const { output } = await run('git', ['-C', folder, ...list]);
  return output.split('\0').filter((file) => pattern.test(file) && existsSync(join(folder, file)));
}

const read = (/** @type {string} */ file) => readFileSync(join(root, file), 'utf8');

test('C is laid out as clang-format does it (make format)', async () => {
  const files = await tracked(C);
  assert.ok(files.length > 150, 'the sources were not found');
  const { code, output } = await run('node_modules/.bin/clang-format', ['--dry-run', '--Werror', ...files]);
  const faults = [...new Set([...output.matchAll(/^(\S+?:\d+):\d+: error/gm)].map(([, place]) => place))];
  assert.deepEqual(faults, [], 'run `make format`');
  assert.equal(code, 0, output);
});

test('JavaScript is laid out as Prettier does it (make format)', async () => {
  const { code, output } = await run('node_modules/.bin/prettier', ['--check', '.']);
  assert.equal(code, 0, `run \`make format\`\n${output}`);
});

test('no file is left out', async () => {
  assert.deepEqual(strangers(await tracked(/./)), []);
  const files = (await tracked(SOURCES)).filter((file) => file !== 'test/format.test.js');
  assert.deepEqual(
    files.flatMap((file) => unlisted(file, read(file))),
    [],
  );
  assert.deepEqual(
    files.filter((file) => !/\.(c|h|inc)$/.test(file)).flatMap((file) => unzeroed(file, read(file))),
    [],
  );
  const { output } = await make('-n', 'format');
  assert.match(
    output,
    /git ls-files -z --cached --others --exclude-standard .*\*\.\[ch\]' '\*\.inc'/,
    'the files above',
  );
});

test(`no line of a source has more than ${COLUMNS} columns`, async () => {
  const files = await tracked(SOURCES);
  assert.ok(files.length > 300, 'the sources were not found');
  assert.deepEqual(
    files.flatMap((file) => wide(file, read(file))),
    [],
  );
});

test('the check itself: the 121st column is found', () => {
  assert.deepEqual(wide('a.c', `${'x'.repeat(120)}\n${'ö'.repeat(121)}\n`), ['a.c:2: over 120 columns']);
  const text = 'y'.repeat(121);
  assert.deepEqual(wide('a.js', `f('${text}');\n  /${text}/,\n// '${text}'\n${text}('');\n`), [
    'a.js:3: over 120 columns',
    'a.js:4: over 120 columns',
  ]);
  const over = ['a.js:1: over 120 columns'];
  assert.deepEqual(wide('a.js', `f('x'); // '${text}'`), over);
  assert.deepEqual(wide('a.js', `f('x'); /* '${text}' */ g();`), over);
  assert.deepEqual(wide('a.js', `f('x'); // it's \`${text}`), over);
  assert.deepEqual(wide('a.js', `f('https://${text}', \`${text}\n${'x'}`), []);
  assert.deepEqual(wide('a.html', `<meta name="x" content="${text}">\n<p title="${text}">`), [
    'a.html:2: over 120 columns',
  ]);
});

test('the check itself: which files are read', () => {
  const read =
    'a.c a.h src/a.inc a.cjs a.ts a.mts a.mk a.yml a.yaml a.html a.css .ci/run scripts/a scripts/dev/a Makefile';
  for (const file of read.split(' ')) assert.match(file, SOURCES);
  for (const file of ['LICENSE', 'a.png', 'docs/a.md', 'test/golden/a']) assert.doesNotMatch(file, SOURCES);
  for (const file of ['src/a.inc', 'scripts/a.c', 'demos/a.h']) assert.match(file, C);
  const refused = ['src/a.cpp', 'scripts/a.hpp', 'a.cc', 'src/.clang-format', 'web/.prettierrc'];
  assert.deepEqual(strangers([...refused, 'a.c', 'a.h', 'a.css', '.clang-format', '.prettierrc', 'a.mjs']), refused);
  const off = '/* clang-format off */\n';
  assert.equal(unlisted('src/base/status.inc', off).length, 0);
  assert.equal(unlisted('src/base/status.inc', off + off).length, 1);
  assert.equal(unlisted('src/base/text.h', `int x;\n  // clang-format off`).length, 1);
  assert.equal(unlisted('web/model.js', '  // prettier-ignore').length, 1);
  assert.equal(unzeroed('a.sh', `git ls-files -z\n['ls-files', '-z']`).length, 0);
  assert.equal(unzeroed('a.sh', `git ls-files --cached\n['ls-files', '--cached']`).length, 2);
});

test('the check itself: names of any letters are found', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'format-'));
  try {
    await run('git', ['init', '--quiet', folder]);
    for (const name of ['größe.c', 'two words.c', 'other.txt']) writeFileSync(join(folder, name), '');
    assert.deepEqual((await tracked(C, folder)).sort(), ['größe.c', 'two words.c']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
