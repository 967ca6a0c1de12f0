// Parts of pages that a command writes: what stands between `<!-- NAME: written by COMMAND -->` and `<!-- /NAME -->`.
//
//   import { partOf, writeParts } from './docs_marks.mjs';
//   writeParts({ 'README.md': { size: 'A page downloads ...' } });      // paths from the repository's root
//   partOf(readFileSync('README.md', 'utf8'), 'size');                  // 'A page downloads ...'
//
// Other languages hand the same object in as JSON:
//   echo '{"README.md": {"size": "..."}}' | node scripts/build/docs_marks.mjs
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Where the part begins and ends. @param {string} page @param {string} name @returns {[number, number]} */
function find(page, name) {
  const begin = [...page.matchAll(new RegExp(`^<!-- ${name}(: .*)? -->$`, 'gm'))];
  const end = [...page.matchAll(new RegExp(`^<!-- /${name} -->$`, 'gm'))];
  if (begin.length !== 1 || end.length !== 1 || end[0].index < begin[0].index) {
    throw new Error(`the page needs one line <!-- ${name}: ... --> and, below it, one line <!-- /${name} -->`);
  }
  return [begin[0].index + begin[0][0].length, end[0].index];
}

/** The part's text. @param {string} page @param {string} name */
export const partOf = (page, name) => page.slice(...find(page, name)).trim();

/** The page with another text in this part. @param {string} page @param {string} name @param {string} text */
export function replacePart(page, name, text) {
  const [begin, end] = find(page, name);
  return `${page.slice(0, begin)}\n${text.trim()}\n${page.slice(end)}`;
}

/** The cells of a text's tables, the lines of heads and rules included. @param {string} text @returns {string[][]} */
export const cellsOf = (text) => text.split('\n').filter((line) => line.startsWith('|'))
  .map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()));

/**
 * Writes parts of several pages; all marks are found before the first page is written.
 * @param {Record<string, Record<string, string>>} pages
 */
export function writeParts(pages) {
  const texts = Object.entries(pages).map(([path, parts]) => {
    const before = readFileSync(join(root, path), 'utf8');
    try {
      const after = Object.entries(parts).reduce((page, [name, text]) => replacePart(page, name, text), before);
      return { path, before, after };
    } catch (error) {
      throw new Error(`${path}: ${/** @type {Error} */ (error).message}`);
    }
  });
  for (const { path, before, after } of texts) {
    if (after !== before) writeFileSync(join(root, path), after);
    console.error(`${path}: ${after === before ? 'up to date' : 'written'} (${Object.keys(pages[path]).join(', ')})`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeParts(JSON.parse(readFileSync(0, 'utf8')));
