// The tree's format: C as clang-format lays it out, JavaScript as Prettier does, and no line of a source over 120
// columns. `make format` mends the first two. Run alone: node --test test/format.test.js (needs node_modules, no build)
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, run } from './helpers/make.js';

const COLUMNS = 120; // as .editorconfig, .clang-format and .prettierrc say
const SOURCES = /(\.(c|h|inc|js|mjs|py|sh|toml)|(^|\/)Makefile)$/;

// What cannot be broken in a line of JavaScript: strings, templates and regular expressions.
const quoted = ["'", '"', '`'].map((mark) => `${mark}(?:\\\\.|[^${mark}\\\\])*${mark}`);
const unbreakable = new RegExp([...quoted, '(?<=[(,=:[]\\s*|^\\s*)/(?:\\\\.|[^/\\\\])+/[a-z]*'].join('|'), 'g');

/** A line of JavaScript without these. */
const bare = (/** @type {string} */ line) =>
  /^\s*(\/\/|\*|\/\*)/.test(line)
    ? line
    : line.replace(unbreakable, (part) => part[0] + part[0]).replace(/`[^`]*$/, '');

/** Lines that are too long, as "file:line". @param {string} file @param {string} text */
const wide = (file, text) =>
  text.split('\n').flatMap((line, i) => {
    const seen = /\.m?js$/.test(file) ? bare(line) : line;
    return [...seen].length > COLUMNS ? [`${file}:${i + 1}: over ${COLUMNS} columns`] : [];
  });

/** The files git knows that match. @param {RegExp} pattern */
async function tracked(pattern) {
  const { output } = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard']);
  return output.split('\n').filter((file) => pattern.test(file) && existsSync(join(root, file)));
}

test('C is laid out as clang-format does it (make format)', async () => {
  const files = await tracked(/^(src|test\/c)\/.*\.[ch]$/);
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

test(`no line of a source has more than ${COLUMNS} columns`, async () => {
  const files = await tracked(SOURCES);
  assert.ok(files.length > 300, 'the sources were not found');
  assert.deepEqual(
    files.flatMap((file) => wide(file, readFileSync(join(root, file), 'utf8'))),
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
});
