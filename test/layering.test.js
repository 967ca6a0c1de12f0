// The core's layers point one way, and its rules that a reader of the sources can check: who includes whom, who may
// allocate, that the library never ends the program or prints, who may read weights, and that files stay short.
// Run alone: node --test test/layering.test.js
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';
import { root } from './helpers/make.js';

const MAX_LINES = 700; // a file has fewer

// The layers, from the ground up: a folder of src/ each, and what its files may include besides each other. A path that
// ends in a slash is a folder, others are files. The folders above a row are the only ones that its row can name, so
// that there are no circles.
/** @type {Record<string, { may: string[], why: string }>} */
const LAYERS = {
  base: { may: [], why: 'the foundation knows nothing of models' },
  kernels: { may: [], why: 'kernels take plain pointers and sizes' },
  files: { may: ['base/'], why: 'file formats know no model' },
  image: { may: ['base/'], why: 'images know no model' },
  weights: { may: ['base/', 'files/', 'kernels/'], why: 'weights know names and shapes, not who reads them' },
  ops: { may: ['base/', 'kernels/', 'weights/weight.h'], why: 'ops know tensors and kernels: exec -> ops -> kernels' },
  graph: { may: ['base/', 'files/json.h', 'weights/', 'ops/'], why: 'the graph knows no kernel and no model' },
  exec: { may: ['base/', 'kernels/', 'ops/', 'graph/'], why: 'what runs a graph knows no model' },
  nn: { may: ['base/', 'graph/'], why: 'nn builds graphs: arch -> nn -> graph' },
  parts: { may: ['base/', 'graph/', 'nn/'], why: 'shared parts of architectures stand on nn and graph' },
  arch: { may: [], why: 'a model file includes "arch.h" and nothing else' },
  model: {
    may: ['tesserae.h', 'base/', 'kernels/', 'files/', 'image/', 'weights/', 'ops/', 'graph/', 'exec/'],
    why: 'a model knows architectures by the registry alone',
  },
  wasm: { may: ['tesserae.h'], why: 'the exports stand on the public header, as any other program' },
};
// Files with a row of their own.
/** @type {Record<string, { may: string[], why: string }>} */
const FILES = {
  'tesserae.h': { may: [], why: 'the public header includes nothing of the inside' },
  'arch/arch.h': {
    may: ['base/', 'graph/', 'nn/', 'parts/'],
    why: 'arch.h shows models nn and graph, not how they run',
  },
  'exec/plan.c': { may: ['base/', 'exec/plan.h'], why: 'the planner is pure: sizes and lifetimes in, offsets out' },
  'exec/plan.h': { may: ['base/'], why: 'the planner is pure: sizes and lifetimes in, offsets out' },
};

const folderOf = (/** @type {string} */ file) => (file.includes('/') ? file.split('/')[0] : '');

/** Why `file` may not include `target`; null: it may. @param {string} file @param {string} target */
function forbidden(file, target) {
  const folder = folderOf(file);
  const row = FILES[file] ?? LAYERS[folder];
  const inside = FILES[file] ? [] : folder === 'arch' ? ['arch/arch.h'] : [`${folder}/`];
  return [...row.may, ...inside].some((path) => (path.endsWith('/') ? target.startsWith(path) : target === path))
    ? null
    : row.why;
}

const STANDARD = new Set(
  (
    'assert ctype errno float inttypes limits math stdalign stdarg stdatomic stdbool stddef stdint stdio ' +
    'stdlib string'
  )
    .split(' ')
    .map((name) => `${name}.h`),
);

// Headers from outside that only some files may use.
const OUTSIDE = [
  { header: /^emscripten(\/|\.h$)/, files: /^wasm\// },
  { header: /^wasm_simd128\.h$/, files: /^kernels\// },
  { header: /^stb_image\.h$/, files: /^image\// },
  { header: /^(pthread|sched|unistd|semaphore)\.h$/, files: /^base\/threads\.|^wasm\// },
];

// Calls that the library does not make. The name is looked for as a whole word before a parenthesis.
const CALLS = [
  {
    names: 'malloc calloc realloc free aligned_alloc posix_memalign strdup strndup alloca',
    except: /^base\/arena\.c$/,
    why: 'only src/base/arena.c allocates',
  },
  { names: 'abort exit _Exit quick_exit assert raise longjmp', why: 'library code never ends the program' },
  { names: 'printf fprintf vprintf vfprintf puts fputs putchar perror', why: 'library code never prints' },
  {
    names: 'sprintf snprintf vsnprintf sscanf atof strtod strtof',
    why: 'src/base/format.h and src/base/decimal.h do that in a tenth of the bytes',
  },
  {
    names: 'sin cos tan exp exp2 log pow tanh erf sinf cosf tanf expf exp2f logf powf tanhf erff',
    except: /^kernels\/\w+_ref\.c$/,
    why: 'src/base/elementary.h does that in a tenth of the bytes',
  },
  { names: 'fopen getenv system setlocale rand srand time', why: 'the core reads nothing but its arguments' },
];

/** The text with comments blanked out, and with `strings` also what stands in quotes; lines stay where they are. */
function blank(/** @type {string} */ text, strings = false) {
  return text.replace(/\/\*[^]*?\*\/|\/\/[^\n]*|"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'/g, (part) =>
    part[0] === '/' || strings ? part.replace(/[^\n]/g, ' ') : part,
  );
}

/** Lines of `text` with their numbers from 1. @returns {[number, string][]} */
const numbered = (/** @type {string} */ text) => text.split('\n').map((line, index) => [index + 1, line]);

/**
 * The file that `#include "quoted"` in `file` means.
 * @param {string} file @param {string} quoted @param {Set<string>} all
 */
function included(file, quoted, all) {
  const beside = posix.normalize(posix.join(posix.dirname(file), quoted));
  return all.has(beside) || !LAYERS[folderOf(quoted)] ? beside : posix.normalize(quoted);
}

/** @param {string} file relative to src/ @param {string} text @param {Set<string>} all */
function* includeFaults(file, text, all) {
  if (!FILES[file] && !LAYERS[folderOf(file)])
    yield { line: 1, text: 'lies in no layer: test/layering.test.js has a row for each folder of src/' };
  else
    for (const [line, code] of numbered(blank(text))) {
      const quoted = /^\s*#\s*include\s*"([^"]+)"/.exec(code)?.[1];
      const angled = /^\s*#\s*include\s*<([^>]+)>/.exec(code)?.[1];
      if (quoted) {
        const target = included(file, quoted, all);
        if (posix.basename(target) === 'arch_list.inc') continue; // generated into build/gen
        const why = forbidden(file, target);
        if (why) yield { line, text: `includes "${target}": ${why}` };
      }
      if (!angled || STANDARD.has(angled)) continue;
      const rule = OUTSIDE.find(({ header }) => header.test(angled));
      if (!rule) yield { line, text: `includes <${angled}>, which is not of the C standard library` };
      else if (!rule.files.test(file)) yield { line, text: `includes <${angled}>: not in this folder` };
    }
}

/** @param {string} file @param {string} text */
function* callFaults(file, text) {
  for (const [line, code] of numbered(blank(text, true))) {
    for (const { names, except, why } of CALLS) {
      if (except?.test(file)) continue;
      const call = new RegExp(`(?<![\\w.>])(${names.replaceAll(' ', '|')})\\s*\\(`).exec(code);
      if (call) yield { line, text: `calls ${call[1]}: ${why}` };
    }
  }
}

// What src/base/format.c knows, after the %.
const CONVERSION = /^(?:(?:0\d)?(?:ll?|z)?[dux]|(?:\.(?:\d+|\*))?s|(?:\.\d+)?g|\.\d+f|c|%)/;

/** @param {string} text */
function* formatFaults(text) {
  for (const [line, code] of numbered(text.replace(/\/\*[^]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')))) {
    for (const [literal] of code.matchAll(/"(?:\\.|[^"\\])*"/g)) {
      for (let at = literal.indexOf('%'); at >= 0; at = literal.indexOf('%', at)) {
        // "%PDF" begins a file
        const known = CONVERSION.exec(literal.slice(++at));
        if (!known && !literal.startsWith('PDF', at))
          yield { line, text: `%${literal.slice(at, at + 4)}: src/base/format.h lists the conversions there are` };
        at += known ? known[0].length : 0;
      }
    }
  }
}

/**
 * A way from a header back to itself, as "a.h -> b.h -> a.h"; null: there is none.
 * @param {Map<string, string>} sources
 */
function circle(sources) {
  const all = new Set(sources.keys());
  const next = (/** @type {string} */ file) =>
    [...(sources.get(file) ?? '').matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)]
      .map(([, quoted]) => included(file, quoted, all))
      .filter((target) => all.has(target));
  const done = new Set();
  /** @param {string[]} way @returns {string | null} */
  const walk = (way) => {
    const file = way[way.length - 1];
    if (way.indexOf(file) < way.length - 1) return way.slice(way.indexOf(file)).join(' -> ');
    if (done.has(file)) return null;
    for (const target of next(file)) {
      const found = walk([...way, target]);
      if (found) return found;
    }
    done.add(file);
    return null;
  };
  for (const file of all) {
    const found = walk([file]);
    if (found) return found;
  }
  return null;
}

// Files that build graphs; numbers of weights are there for ops alone, so that weights may change and gradients pass.
const BUILDERS = /^(arch|nn|parts)\//;

/** @param {string} file @param {string} text */
function* numberFaults(file, text) {
  if (!BUILDERS.test(file)) return;
  for (const [line, code] of numbered(blank(text, true))) {
    const read = /(?:->|\.)\s*(values|panels)\b|\]\s*(?:->|\.)\s*(data)\b/.exec(code);
    if (read) yield { line, text: `reads ${read[1] ?? read[2]}: what weights hold goes through ops` };
  }
}

// Passes over a graph; they ask an op's traits (ops/ops.h), so that a new op needs no change here.
const PASSES = /^graph\/(graph|refine)\.c$|^exec\//;

/** @param {string} file @param {string} text */
function* passFaults(file, text) {
  if (!PASSES.test(file)) return;
  for (const [line, code] of numbered(blank(text, true))) {
    const named = /\bTSR_OP_\w+/.exec(code);
    if (named) yield { line, text: `names ${named[0]}: a pass asks traits, ops/ops.h has them` };
  }
}

/**
 * All faults of a set of C files, as "src/file:line: what".
 * @param {Map<string, string>} sources paths relative to src/
 */
function faults(sources) {
  const all = new Set(sources.keys());
  const found = [];
  for (const [file, text] of sources) {
    for (const fault of [
      ...includeFaults(file, text, all),
      ...callFaults(file, text),
      ...formatFaults(text),
      ...numberFaults(file, text),
      ...passFaults(file, text),
    ]) {
      found.push(`src/${file}:${fault.line}: ${fault.text}`);
    }
  }
  return found;
}

/** @param {string} folder @param {RegExp} pattern @returns {Map<string, string>} */
function readTree(folder, pattern) {
  const files = new Map();
  for (const name of readdirSync(join(root, folder), { recursive: true }).map(String).sort()) {
    const path = join(root, folder, name);
    if (pattern.test(name) && statSync(path).isFile())
      files.set(name.replaceAll('\\', '/'), readFileSync(path, 'utf8'));
  }
  return files;
}

/** @param {string} folder @param {Map<string, string>} files */
const tooLong = (folder, files) =>
  [...files]
    .filter(([, text]) => text.trimEnd().split('\n').length >= MAX_LINES)
    .map(
      ([name, text]) =>
        `${folder}/${name}:${text.trimEnd().split('\n').length}: a file has fewer than ${MAX_LINES} lines`,
    );

test('the sources keep the rules', () => {
  const sources = readTree('src', /\.(c|h|inc)$/);
  assert.ok(sources.has('base/status.h'), 'src/ was not read');
  assert.deepEqual(faults(sources), []);
  assert.equal(circle(sources), null);
});

test('the layers stand on each other without circles', () => {
  const order = Object.keys(LAYERS);
  for (const [folder, { may }] of Object.entries(LAYERS)) {
    for (const path of may.filter((name) => name.includes('/'))) {
      assert.ok(
        order.indexOf(folderOf(path)) < order.indexOf(folder),
        `${folder} may include ${path}, which does not lie below it`,
      );
    }
  }
});

test('files are short', () => {
  const long = [...tooLong('src', readTree('src', /\.(c|h|inc)$/)), ...tooLong('web', readTree('web', /\.js$/))];
  assert.deepEqual(long, []);
});

test('the checks themselves: every rule finds its fault, and names file and line', () => {
  /** @type {[string, string, RegExp | null, number?][]} file, text, the fault expected, on which line (2) */
  const cases = [
    ['arch/vit.c', '#include "nn/layers.h"', /model file includes/],
    ['arch/vit.c', '#include "cct.h"', /model file includes/],
    ['arch/vit.c', '#include "arch.h"', null],
    ['arch/arch.h', '#include "exec/exec.h"', /arch\.h shows/],
    ['nn/layers.c', '#include "kernels/kernels.h"', /arch -> nn -> graph/],
    ['parts/vit.c', '#include "arch/arch.h"', /shared parts/],
    ['graph/graph.h', '#include "kernels/kernels.h"', /knows no kernel/],
    ['graph/graph.c', '#include "nn/layers.h"', /knows no kernel/],
    ['exec/plan.c', '#include "graph/graph.h"', /planner is pure/],
    ['ops/softmax.c', '#include "exec/exec.h"', /exec -> ops/],
    ['ops/softmax.c', '#include "../exec/exec.h"', /exec -> ops/],
    ['ops/softmax.c', '#include "weights/weights.h"', /exec -> ops/],
    ['ops/softmax.c', '#include "kernels/kernels.h"', null],
    ['kernels/gelu_simd.c', '#include "base/arena.h"', /plain pointers/],
    ['kernels/gelu_simd.c', '#include "simd.h"', null],
    ['exec/exec.c', '#include "ops/ops.h"', null],
    ['model/run.c', '#include "arch/vit.h"', /by the registry/],
    ['model/registry.c', '#include "arch_list.inc"', null],
    ['image/resize.c', '#include "graph/graph.h"', /images know/],
    ['base/tensor.c', '#include "files/json.h"', /foundation/],
    ['files/json.c', '#include "weights/weights.h"', /file formats/],
    ['wasm/exports.c', '#include "base/arena.h"', /public header/],
    ['model/run.c', '#include "wasm/exports.h"', /by the registry/],
    ['tesserae.h', '#include "base/status.h"', /nothing of the inside/],
    ['loose.c', '', /lies in no layer/, 1],
    ['more/thing.c', '', /lies in no layer/, 1],
    ['exec/exec.c', '#include <emscripten.h>', /<emscripten\.h>/],
    ['wasm/exports.c', '# include <emscripten/threading.h>', null],
    ['ops/softmax.c', '#include <wasm_simd128.h>', /<wasm_simd128\.h>/],
    ['files/json.c', '#include <stb_image.h>', /<stb_image\.h>/],
    ['files/json.c', '#include <sys/mman.h>', /not of the C standard/],
    ['files/json.c', '// #include <sys/mman.h>', null],
    ['files/json.c', '  char *p = malloc (3);', /calls malloc: only src\/base\/arena\.c/],
    ['files/json.c', '  free(p);', /calls free/],
    ['base/arena.c', '  free(p);', null],
    ['files/json.c', '  tsr_heap_free(p); heap->free(p); /* free(p) */ "free(p)";', null],
    ['files/json.c', '  if (x) abort();', /calls abort/],
    ['files/json.c', '  assert(x);', /calls assert/],
    ['files/json.c', '  static_assert(1, ""); _Static_assert(1, "");', null],
    ['files/json.c', '  printf("x");', /calls printf/],
    ['files/json.c', '  tsr_print(text, n, "exit(1)");', null],
    ['files/json.c', '  snprintf(text, n, "%d", i);', /calls snprintf: src\/base\/format\.h/],
    ['nn/layers.c', '  x = expf(y);', /calls expf: src\/base\/elementary\.h/],
    ['kernels/norm_ref.c', '  x = exp(y);', null],
    ['files/json.c', '  tsr_print(text, n, "%5d", i);', /%5d/],
    ['files/json.c', '  tsr_print(text, n, "%d%% %04x %.*s %.9g %llu %zu %f", i);', /%f/],
    ['files/json.c', '  tsr_print(text, n, "%d%% %04x %.*s %.9g %llu %zu", i); /* "%5d" */', null],
    ['files/json.c', '  getenv("HOME");', /calls getenv/],
    ['graph/refine.c', '  if (node->op == TSR_OP_linear) return 1;', /asks traits/],
    ['exec/fold.c', '  return !(node->op->traits & TSR_REPEATS); /* TSR_OP_expand */', null],
    ['nn/ops.c', '  return tsr_node_add(b, TSR_OP_add, in, 2, &attrs);', null],
    ['arch/rvt.c', '  const float *scale = w->values;', /reads values/],
    ['nn/map.c', '  x = b->graph.values[v].data[0];', /reads values/],
    ['parts/cct.c', '  x = infos[v].data;', /reads data/],
    ['arch/rvt.c', '  input.data = x; /* w->values */ values = tsr_nn_slice(b, v, 2, 0, 4);', null],
    ['exec/exec.c', '  const float *scale = w->values;', null],
  ];
  for (const [file, text, expected, line = 2] of cases) {
    const found = faults(new Map([[file, '/* malloc(1) */\n' + text + '\n']]));
    if (!expected) assert.deepEqual(found, [], `${file}: ${text}`);
    else {
      assert.ok(
        found.some((fault) => fault.startsWith(`src/${file}:${line}: `) && expected.test(fault)),
        `${file}: ${text}: ${found}`,
      );
    }
  }
  const round = /** @type {[string, string][]} */ ([
    ['nn/a.h', '#include "graph/b.h"\n'],
    ['graph/b.h', '#include "c.h"\n'],
    ['graph/c.h', ' # include "../nn/a.h"\n'],
  ]);
  assert.equal(circle(new Map(round)), 'nn/a.h -> graph/b.h -> graph/c.h -> nn/a.h');
  assert.equal(circle(new Map([...round.slice(0, 2), /** @type {[string, string]} */ (['graph/c.h', ''])])), null);
  assert.equal(
    tooLong(
      'src',
      new Map([
        ['a.c', 'x\n'.repeat(700)],
        ['b.c', 'x\n'.repeat(699)],
      ]),
    ).length,
    1,
  );
});
