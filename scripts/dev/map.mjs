// docs/map.md: a line for every file, taken from the first sentence of its top comment, and a line for every folder.

/** What a folder is for, one row a folder; rows of folders that do not exist are left out. */
export const FOLDERS = Object.entries({
  '': 'What is built, how, and where to start reading.',
  '.ci': 'Continuous integration.',
  src: 'The core in C. `tesserae.h` is its one public header.',
  'src/base': 'Foundation that knows nothing of models: memory, tensors, errors, text, numbers, threads.',
  'src/files': 'Reading JSON and safetensors.',
  'src/image': 'Images: decoding, orientation, resizing, normalisation.',
  'src/kernels': 'Inner loops over plain pointers, each in portable C and in SIMD.',
  'src/weights': 'The weights of one model: names, checks against the file, packing.',
  'src/ops': 'Ops, one file each: shape rule, amount of work, run.',
  'src/graph': 'Graphs: nodes and values as data, the builder, settings, rewrites before a run.',
  'src/exec': 'Running a graph: memory planning, and the walk over the nodes.',
  'src/nn': 'Layers that three or more papers have in common.',
  'src/parts': 'Parts that families of architectures share, beyond layers.',
  'src/arch': "Architectures, one file each, with the paper's pseudo-code and the traps.",
  'src/model': 'Models: loading, requests, runs, what a model says of itself.',
  'src/wasm': 'What JavaScript may call.',
  web: 'The package in JavaScript.',
  'web/cli': 'The command line program.',
  'web/hub': 'Checkpoints of other libraries: what their files say, in our words.',
  demos: 'Pages, readable without a build.',
  scripts: 'Programs for whoever works on this repository.',
  'scripts/build': 'Setup, the JavaScript bundle, sizes.',
  'scripts/dev': 'Tools of daily work: pages, a development server, fuzzing, screenshots, samples.',
  'scripts/parity': 'Comparison with the reference implementations, and the golden files.',
  'scripts/parity/hub_cases': 'Checkpoints that transformers and timm write, a file for each group of families.',
  'scripts/parity/references': 'The reference implementations and their cases, one file per architecture.',
  'scripts/bench': 'Speed: beside onnxruntime-web, of each architecture, of each kernel.',
  'scripts/train': 'Training, and the accuracy of the model that ships.',
  'scripts/train/configs': 'A model to train each.',
  'scripts/train/tasks': 'What models learn: data, losses, what is measured.',
  test: 'Tests of the whole.',
  'test/c': 'Native tests and fuzzers of the core.',
  'test/web': 'Tests of the package.',
  'test/browser': 'Tests in Chromium.',
  'test/helpers': 'What tests share.',
  'test/parity': 'What the reference cases share with Python.',
  models: 'The trained models that ship, each with its card.',
  docs: 'Pages for readers.',
});

/** Folders of alike files, which have one line. @type {Record<string, string>} */
const ALIKE = {
  'demos/samples/': 'Sample images; their README.md has sources and licences.',
  'docs/models/': 'A page for each architecture, what the pages share, and what was measured.',
  'scripts/bench/peer/': "The peer's version and the hashes of its packages.",
  'test/golden/': 'What the references, Pillow and the safetensors library say; the golden_*.py scripts make it.',
};

/** Files that have no comment, or none that is of use here. @type {Record<string, string>} */
const SAID = {
  '.gitignore': 'What git leaves alone.',
  '.npmrc': 'Keeps registry addresses out of `package-lock.json`.',
  LICENSE: 'MIT.',
  'package.json': 'The npm package: exports, the command line program, development tools with exact versions.',
  'package-lock.json': 'These versions with their hashes.',
  'tsconfig.json': 'Strict checks of the JSDoc types in `web/`.',
  'demos/icon.svg': 'The icon.',
  'scripts/bench/models.json': 'The models of the bench, with their configs.',
};

const COMMENT = /^\s*(?:\/\*\*?([^]*?)\*\/|((?:\/\/.*\n)+)|"""([^]*?)"""|((?:#.*\n)+)|<!--([^]*?)-->)/;
const PARAGRAPH = /^((?!#|!|<|\|).+(?:\n.+)*)/m; // of a page: no heading, image, comment or table

/** The first sentence of a file's top comment, or of a page's first paragraph; '' when there is none. */
export function firstSentence(/** @type {string} */ path, /** @type {string} */ text) {
  const isPage = path.endsWith('.md');
  const body = text
    .replace(/^#!.*\n/, '')
    .replace(/^\s*<!doctype html>\s*/i, '')
    .replace(/^\/\/ @ts-check\s*/, '');
  const match = isPage ? PARAGRAPH.exec(body.replace(/^```[^]*?^```/gm, '')) : COMMENT.exec(body);
  const found = match?.slice(1).find((part) => part !== undefined) ?? '';
  const lines = isPage ? found : found.replace(/^[ \t]*(?:\/\/|#|\*)? ?/gm, '');
  const [paragraph] = lines.trim().split(/\n\s*\n|:\n(?=  )/); // what is indented below a colon is a list
  const whole = paragraph
    .split(/\s+/)
    .join(' ')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  const sentence = /^.*?(?<!\b(?:al|cf|e\.g|i\.e|vs))[.](?= |$)/.exec(whole)?.[0] ?? whole;
  return sentence && `${sentence.replace(/[:;,.]*$/, '')}.`;
}

/** A list item of at most 120 columns a line. */
function item(/** @type {string} */ text) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length > 117) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return `- ${lines.join('\n  ')}`;
}

/** What the map says of a file. */
function lineOf(/** @type {string} */ file, /** @type {(path: string) => string} */ read) {
  const said = file === 'docs/map.md' ? 'This page.' : (SAID[file] ?? firstSentence(file, read(file)));
  if (!said) throw new Error(`${file} has no comment at its top; docs/map.md takes the first sentence of it`);
  return item(`\`${file}\`: ${said}`);
}

/** The page. @param {string[]} files @param {(path: string) => string} read */
export function mapOf(files, read) {
  const lines = new Map(FOLDERS.map(([name]) => [name, /** @type {string[]} */ ([])]));
  const add = (/** @type {string} */ path, /** @type {string} */ text) => {
    const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
    const there = lines.get(folder);
    if (!there) throw new Error(`scripts/dev/map.mjs has no row for the folder ${folder} (FOLDERS)`);
    there.push(text);
  };
  const alike = Object.keys(ALIKE);
  for (const file of files) {
    if (alike.some((folder) => file.startsWith(folder)) || /\.(safetensors|png)$/.test(file)) continue;
    add(file, lineOf(file, read));
  }
  for (const folder of alike) {
    const there = files.some((file) => file.startsWith(folder));
    if (there) add(folder.slice(0, -1), item(`\`${folder}\`: ${ALIKE[folder]}`));
  }
  const parts = FOLDERS.filter(([name]) => lines.get(name)?.length).map(
    ([name, about]) => `## ${name || 'Top'}\n\n${about}\n\n${lines.get(name)?.join('\n')}`,
  );
  const head = '# Map\n\nA line for each file: the first sentence of its top comment. `make docs` writes this page.';
  return `${[head, ...parts].join('\n\n')}\n`;
}
