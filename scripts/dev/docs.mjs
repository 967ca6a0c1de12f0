// Writes the pages that are made from the program and from the sources: the tables of docs/models.md and of
// docs/models/*.md, the number of architectures in the README, and docs/map.md (`make docs`).
//   node scripts/dev/docs.mjs [--check]
// What the program knows (title, paper, reference, presets, parameters, multiply-adds, taps) comes from the library
// itself, as `tesserae list --json` shows it. What was measured comes from docs/models/measured.json, which
// scripts/parity/parity.py --docs and scripts/bench/rows.mjs --docs write. A table stands between <!-- name --> and
// <!-- /name -->; all else on these pages is written by hand. docs/map.md is written as a whole (map.mjs).
// --check writes nothing and fails if a page is out of date.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '../../web/engine.js';
import { compile } from '../../web/wasm.js';
import { replacePart } from '../build/docs_marks.mjs';
import { mapOf } from './map.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

// ---- what the program says ----

/** An engine without a model. @param {boolean} all with every architecture, or with those of the first file */
async function engineOf(all) {
  const { module } = await compile({ deterministic: true, all, fetch, signal: new AbortController().signal });
  const engine = new Engine();
  engine.call('open', [module]);
  return engine;
}

/** Every architecture, the names in the first file, and what a config gives: parameters, operations, taps, keys, ... */
export async function askProgram() {
  const engine = await engineOf(true);
  const describe = (arch, config) =>
    engine.heap.frame((frame) => {
      const text = engine.wasm.tsr_wasm_describe(engine.context, frame.string(JSON.stringify({ arch, config })));
      return text ? JSON.parse(engine.heap.string(text)) : engine.fail();
    });
  const first = (await engineOf(false)).architectures().map(({ arch }) => arch);
  return { architectures: engine.architectures(), first, describe };
}

// ---- cells ----

const code = (text) => `\`${text}\``;
const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');
const line = (cells) => `| ${cells.join(' | ')} |`;
const table = (heads, rows) => [line(heads), `|${heads.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');

/** Numbers of arXiv become links. */
const linked = (paper) => paper.replace(/arXiv (\d{4}\.\d{4,5})/g, '[arXiv $1](https://arxiv.org/abs/$1)');

/** "vit-pytorch 1.26.11, vit.ViT": names of modules, classes and files as code. */
const referenceOf = (reference) =>
  reference
    .replace(/(?<=, | and |; )([A-Za-z_]\w*(?:\.\w+)+|[A-Z]\w+)(?=$|[,; ])/g, '`$1`')
    .replace(/scripts\/[\w/]+\.py/g, '`$&`');

/** Kinds of taps besides tokens and attention, in words. */
const kindsOf = (taps) =>
  [...new Set(taps.map(({ kind }) => kind))]
    .filter((kind) => kind !== 'tokens' && kind !== 'attention')
    .map((kind) => kind.replaceAll('_', ' '))
    .join(', ');

/** A result of 8 bits on random inputs. */
function counted({ counted: of }) {
  if (!of) return '';
  return of.cosine ? `cosine ${of.cosine} or more on ${of.inputs}` : `${of.same} of ${of.inputs}`;
}

const casesOf = ({ cases }, arch) => Object.entries(cases).filter(([, one]) => one.arch === arch);
const rowOf = ({ architectures, cases }, arch) => cases[architectures[arch]?.row];

// ---- tables ----

function tableOfArchitectures({ architectures, describe }, measured) {
  const heads = [
    'architecture',
    'title',
    'paper',
    'reference',
    'look into',
    'parameters',
    'multiply-adds',
    'ms, f32 / q8',
  ];
  return table(
    heads,
    architectures.map(({ arch, title, paper, reference }) => {
      const taps = casesOf(measured, arch).flatMap(([, { config }]) => describe(arch, config).taps);
      const row = rowOf(measured, arch);
      const { parameters = '', operations = '' } = row ? describe(arch, row.config) : {};
      const { f32, q8 } = measured.milliseconds[arch] ?? {};
      return [
        `[${arch}](models/${arch}.md)`,
        title,
        linked(paper),
        referenceOf(reference),
        kindsOf(taps),
        grouped(parameters),
        grouped(operations),
        f32 ? `${f32} / ${q8}` : '',
      ];
    }),
  );
}

const firstFile = ({ first }) =>
  `The first .wasm file has ${first.map(code).join(', ')}. ` +
  'For a model of another architecture a page loads the second file, by itself ' +
  '([decisions.md](decisions.md) says how).';

function tableOf8Bits({ cases }) {
  const heads = ['case', 'architecture', 'required', 'same class', 'off by', 'near ties', 'core', 'why less than 95 %'];
  return table(
    heads,
    Object.entries(cases)
      .filter(([, { q8 }]) => q8 === 'top1')
      .map(([name, one]) => {
        const { off, near, commit } = one.counted ?? {};
        return [
          name,
          `[${one.arch}](models/${one.arch}.md)`,
          `${Math.round(100 * one.least)} %`,
          counted(one),
          one.counted ? `${off} %` : '',
          one.counted ? `${near} %` : '',
          commit ?? '',
          one.why ?? '',
        ];
      }),
  );
}

/** What stands on an architecture's own page. */
function factsOf({ first, describe }, measured, { arch, title, paper, reference, presets }) {
  const file = first.includes(arch)
    ? 'In the first .wasm file.'
    : 'In the second .wasm file, which a page loads by itself.';
  const facts = [`${title}: ${linked(paper)}. Reference: ${referenceOf(reference)}. ${file}`];
  const named = presets
    .filter((name) => name !== 'tiny')
    .map((name) => {
      const { parameters, operations, input } = describe(arch, { preset: name });
      return [code(name), `[${input.dims}]`, grouped(parameters), grouped(operations)];
    });
  if (named.length) facts.push(table(['preset', 'input', 'parameters', 'multiply-adds'], named));
  const row = rowOf(measured, arch);
  if (!row) return facts.join('\n\n');
  const config = JSON.stringify(row.config).replaceAll(',"', ', "').replaceAll('":', '": ');
  facts.push(`The document's config: ${code(config)}`);
  facts.push(
    'Full-size cases against the reference. f32: max |difference| / max |value| of the output and of the ' +
      'taps.\nq8: random inputs with the same class.',
  );
  facts.push(
    table(
      ['case', 'parameters', 'multiply-adds', 'f32', 'f32, taps', 'q8'],
      casesOf(measured, arch).map(([name, one]) => {
        const { parameters, operations } = describe(arch, one.config);
        const { output = '', taps = '' } = one.f32 ?? {};
        return [code(name), grouped(parameters), grouped(operations), output, taps, counted(one)];
      }),
    ),
  );
  return facts.join('\n\n');
}

// ---- pages ----

/** A page with one part written anew. @param {string} text @param {string} name @param {string} path for the message */
function fill(text, name, content, path) {
  try {
    return replacePart(text, name, content);
  } catch (error) {
    throw new Error(`${path}: ${/** @type {Error} */ (error).message}`);
  }
}

/** Every page that is made, as it should be: path -> text. @param {(path: string) => string} read */
export function pagesOf(read, program, files) {
  const measured = JSON.parse(read('docs/models/measured.json'));
  const pages = new Map();
  const tables = {
    architectures: tableOfArchitectures(program, measured),
    first: firstFile(program),
    q8: tableOf8Bits(measured),
  };
  let models = read('docs/models.md');
  for (const [name, content] of Object.entries(tables)) models = fill(models, name, content, 'docs/models.md');
  pages.set('docs/models.md', models);
  for (const known of program.architectures) {
    const path = `docs/models/${known.arch}.md`;
    if (!files.includes(path)) throw new Error(`${path} is missing; CONTRIBUTING.md says what it holds`);
    pages.set(path, fill(read(path), 'facts', factsOf(program, measured, known), path));
  }
  const count = `There are ${program.architectures.length} architectures.`;
  pages.set('README.md', fill(read('README.md'), 'models', count, 'README.md'));
  pages.set('docs/map.md', mapOf(files, read));
  return pages;
}

/** Which pages are out of date, each with the command that mends it. @param {Map<string, string>} pages */
export const staleOf = (pages, read) =>
  [...pages].filter(([path, text]) => read(path) !== text).map(([path]) => `${path} is out of date: run \`make docs\``);

/** A file of the repository; '' when there is none. @param {string} path */
export const readSource = (path) => (existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : '');

/** The files of the repository, without those that git ignores; without git, all but what builds leave. */
export function sourceFiles() {
  const others = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  try {
    const listed = execFileSync('git', others, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return [...new Set(listed.split('\0'))].filter((file) => file && existsSync(join(ROOT, file))).sort();
  } catch {
    return readdirSync(ROOT, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)).replaceAll('\\', '/'))
      .filter((file) => !/^(\.git|build|dist|node_modules)\/|(^|\/)__pycache__\//.test(file))
      .sort();
  }
}

async function main() {
  const pages = pagesOf(readSource, await askProgram(), sourceFiles());
  if (process.argv.includes('--check')) {
    const stale = staleOf(pages, readSource);
    for (const fault of stale) console.error(fault);
    process.exit(stale.length ? 1 : 0);
  }
  for (const [path, text] of pages) {
    if (readSource(path) === text) continue;
    writeFileSync(join(ROOT, path), text);
    console.log(path);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error) => {
    console.error(`docs: ${error.message}`);
    process.exit(1);
  });
}
