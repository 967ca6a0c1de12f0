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

/** The text with lines joined that end in a backslash, as the compiler joins them first; later lines stay in place. */
const joined = (/** @type {string} */ text) =>
  text.replace(/(?:[^\n]*\\[ \t]*\r?\n)+[^\n]*/g, (part) => {
    const parts = part.split(/\\[ \t]*\r?\n/);
    return parts.join('') + '\n'.repeat(parts.length - 1);
  });

/**
 * Where `pattern` matches, over line breaks too.
 * @param {string} code @param {RegExp} pattern @returns {{ line: number, match: RegExpExecArray }[]}
 */
const places = (code, pattern) =>
  [...code.matchAll(new RegExp(pattern, 'g'))].map((match) => ({
    line: code.slice(0, match.index).split('\n').length,
    match,
  }));

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

/**
 * The lines of a file that bring another in. `quoted` or `angled` is its name, if the line is a plain include.
 * @param {string} text
 */
function includesOf(text) {
  const found = numbered(blank(joined(text))).filter(([, code]) =>
    /^\s*(?:#|%:|\?\?=)\s*(?:include|include_next|import)\b/.test(code),
  );
  return found.map(([line, code]) => {
    const [, quoted, angled] = /^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)\s*$/.exec(code) ?? [];
    return { line, quoted, angled };
  });
}

/** @param {string} file relative to src/ @param {string} text @param {Set<string>} all */
function* includeFaults(file, text, all) {
  if (!FILES[file] && !LAYERS[folderOf(file)])
    yield { line: 1, text: 'lies in no layer: test/layering.test.js has a row for each folder of src/' };
  else
    for (const { line, quoted, angled } of includesOf(text)) {
      if (!quoted && !angled)
        yield { line, text: 'is no plain #include "file" or <file>, so no rule can see what it is' };
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
  const code = blank(text, true);
  for (const { names, except, why } of CALLS) {
    if (except?.test(file)) continue;
    for (const { line, match } of places(code, new RegExp(`(?<![\\w.>])(${names.replaceAll(' ', '|')})\\s*\\(`)))
      yield { line, text: `calls ${match[1]}: ${why}` };
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
    includesOf(sources.get(file) ?? '')
      .map(({ quoted }) => included(file, quoted ?? '', all))
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

// How the numbers of weights are not read while a graph is built: they are there for ops alone, so that weights may
// change between runs. A pattern's first group is what the message names. `may`: exact texts that are no fault.
/** @type {{ files: RegExp, pattern: RegExp, may?: string[] }[]} */
const NUMBERS = [
  { files: /^(arch|nn|parts)\//, pattern: /(?:->|\.)\s*(values|panels|sum|held|memory|(?:scale_)?entry|weight)\b/ },
  { files: /^(arch|nn|parts)\//, pattern: /(?:->|\.)\s*((?:scale|data)\s*\[)/ },
  { files: /^(arch|nn|parts)\//, pattern: /\]\s*(?:->|\.)\s*(data)\b/ },
  // the types themselves, so that no cast and no variable of them
  { files: /^(arch|nn|parts)\//, pattern: /\b(tsr_weights?)\b/ },
  {
    files: /^(arch|nn|parts)\//,
    pattern: /\b(tsr_weights_\w+)/,
    // whether there are 8-bit weights is no number of them; the other is the builder's, and is done at each run
    may: ['tsr_weights_any_q8', 'tsr_weights_follow'],
  },
  { files: /^graph\//, pattern: /(?:->|\.)\s*(panels|sum|held|memory|scale|(?:scale_)?entry|data\s*\[)/ },
  // a graph has values, too, which are no numbers; where a vector's lie is handed on to ops, unread
  { files: /^graph\//, pattern: /(?<!\bg\s*|\bgraph\s*)(?:->|\.)\s*(values)\b/, may: ['.data = w->values}'] },
  { files: /^graph\//, pattern: /\(\s*(?:const\s+)?(?:struct\s+)?(tsr_weights?)\s*(?:const\s*)?\*\s*\)/ },
  {
    files: /^graph\//,
    pattern: /\b(tsr_weights_\w+)/,
    // the builder declares weights
    may: 'vector depthwise matrix any_q8 follow average'.split(' ').map((name) => `tsr_weights_${name}`),
  },
];

/** @param {string} file @param {string} text */
function* numberFaults(file, text) {
  const whole = blank(joined(text), true);
  for (const { files, pattern, may = [] } of NUMBERS.filter((row) => row.files.test(file))) {
    // names that may be are matched as a whole, other texts are taken out
    const code = may.reduce(
      (rest, part) => (/\W/.test(part) ? rest.replaceAll(part, ' '.repeat(part.length)) : rest),
      whole,
    );
    for (const { line, match } of places(code, pattern))
      if (!may.includes(match[1])) yield { line, text: `reads ${match[1]}: what weights hold goes through ops` };
  }
}

// Passes over a graph and what runs one; they ask an op's traits (ops/ops.h), so that a new op needs no change here.
const PASSES = /^(graph|exec|model)\//;
const NAMES_OP = [
  /\b(TSR_OP\w*)/,
  /\b(tsr_op_\w+_(?:run|shape|work))\b/,
  // a function of an op may be called, not compared nor kept
  /\b(op\s*->\s*(?:run|work|shape))\b(?!\s*\()/,
  /(?:->|\.)\s*(run|work|shape)\s*[!=]=/,
  /[!=]=\s*[\w\s.>[\]&*(-]*(?:->|\.)\s*(run|work|shape)\b(?!\s*(?:[.([]|->))/,
];
// The attributes that a pass may read: those which a trait promises, asked for before.
const ATTRIBUTES = [
  { file: 'graph/refine.c', name: 'slice' }, // TSR_CUTS
  { file: 'graph/refine.c', name: 'linear' }, // TSR_14_BITS
];

/** @param {string} file @param {string} text */
function* passFaults(file, text) {
  if (!PASSES.test(file)) return;
  const code = blank(joined(text), true);
  for (const pattern of NAMES_OP) {
    for (const { line, match } of places(code, pattern))
      yield { line, text: `names ${match[1]}: a pass asks traits, ops/ops.h has them` };
  }
  // messages name ops
  const silent = code.replace(/\btsr_fail\s*\([^;]*;/g, (call) => call.replace(/[^\n]/g, ' '));
  for (const { line } of places(silent, /\bop\s*->\s*name\b/))
    yield { line, text: "reads an op's name for more than a message: a pass asks traits, ops/ops.h has them" };
  const variables = [...code.matchAll(/\btsr_attrs\s*(?:const\s*)?\**\s*(?:const\s+)?(\w+)/g)].map(([, name]) => name);
  for (const { line, match } of places(
    code,
    new RegExp(`\\b(?:${['attrs', ...variables].join('|')})\\s*(?:->|\\.)\\s*(\\w+)`),
  ))
    if (!ATTRIBUTES.some((row) => row.file === file && row.name === match[1]))
      yield { line, text: `reads attrs.${match[1]}: only what a trait promises, which ATTRIBUTES lists` };
}

// What may lie below src/; other files could hold code that no rule sees.
const SOURCES = /\.(c|h|inc)$/;
/** @param {Iterable<string>} files */
const strangers = (files) =>
  [...files].filter((file) => !SOURCES.test(file)).map((file) => `src/${file}: below src/ lie .c, .h and .inc alone`);

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
  const sources = readTree('src', SOURCES);
  assert.ok(sources.has('base/status.h'), 'src/ was not read');
  assert.deepEqual(strangers(readTree('src', /./).keys()), []);
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
  const long = [...tooLong('src', readTree('src', SOURCES)), ...tooLong('web', readTree('web', /\.js$/))];
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
    ['ops/softmax.c', '#define E "exec/exec.h"\n#include E', /no plain #include/, 3],
    ['ops/softmax.c', '#include_next "exec/exec.h"', /no plain #include/],
    ['ops/softmax.c', '#import "exec/exec.h"', /no plain #include/],
    ['ops/softmax.c', '%:include "exec/exec.h"', /no plain #include/],
    ['ops/softmax.c', '??=include "exec/exec.h"', /no plain #include/],
    ['ops/softmax.c', '#inc\\\nlude \\\n"exec/exec.h"', /exec -> ops/],
    ['ops/softmax.c', '\n#include \\\n <sys/mman.h>', /not of the C standard/, 3],
    ['ops/softmax.c', '/* */ # /* */ include "exec/exec.h" // ', /exec -> ops/],
    ['ops/softmax.c', '#define IMPORT(x) #x\n#error include "exec/exec.h"', null],
    ['files/json.c', '  char *p = malloc (3);', /calls malloc: only src\/base\/arena\.c/],
    ['files/json.c', '  free(p);', /calls free/],
    ['files/json.c', '  free\n(p);', /calls free/],
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
    ['graph/settings.c', '  if (node->op == TSR_OP_linear) return 1;', /asks traits/],
    ['model/run.c', '  if (node->op == TSR_OP_linear) return 1;', /asks traits/],
    ['model/run.c', '  return f == tsr_op_linear_run;', /names tsr_op_linear_run: a pass asks traits/],
    ['exec/exec.c', '  tsr_op_work work = node->op->work(&args); tsr_op_run_fn *f;', null],
    ['exec/exec.c', '  if (node->op->run == other) return 1;', /names op->run: a pass asks/],
    ['exec/exec.c', '  if (row->\n run != other) return 1;', /names run: a pass asks/],
    ['exec/exec.c', '  if (other == list[0]->work) return 1;', /names work: a pass asks/],
    ['graph/graph.c', '  f = op->shape;', /names op->shape: a pass asks/],
    ['graph/graph.c', '  if (!op->shape(&args, why) || n == info->shape.ndim) x = info->shape;', null],
    ['graph/graph.c', '  if (!strcmp(node->op->name, "linear")) return 1;', /an op's name for more/],
    ['graph/graph.c', '  const char *name = op\n->name;', /an op's name for more/],
    ['graph/graph.c', '  return tsr_fail(b, 1, "%s: ; %s",\n op->name, why);', null],
    ['graph/refine.c', '  node->attrs.slice.begin = attrs->linear.fine_first;', null],
    ['graph/refine.c', '  return node->attrs.softmax.scale > 0;', /reads attrs\.softmax/],
    ['graph/graph.c', '  return attrs->linear.has_bias;', /reads attrs\.linear/],
    ['exec/fold.c', '  const tsr_attrs *a = &node->attrs;\n  return a->linear.has_bias;', /reads attrs\.linear/, 3],
    ['exec/fold.c', '  tsr_op_args args = {.attrs = &node->attrs};', null],
    ['nn/ops.c', '  return tsr_node_add(b, TSR_OP_add, in, 2, &attrs);', null],
    ['arch/rvt.c', '  const float *scale = w->values;', /reads values/],
    ['nn/map.c', '  x = b->graph.values[v].data[0];', /reads values/],
    ['parts/cct.c', '  x = infos[v].data;', /reads data/],
    ['arch/rvt.c', '  input.data = x; /* w->values */ values = tsr_nn_slice(b, v, 2, 0, 4);', null],
    ['exec/exec.c', '  const float *scale = w->values;', null],
    ['arch/rvt.c', '  x = w->\n  values[0];', /reads values/],
    ['arch/rvt.c', '  x = w->scale[0];', /reads scale/],
    ['arch/rvt.c', '  x = c->scale + a.scale; (tsr_attention){.scale = 1}; /* w->scale[0] */', null],
    ['nn/map.c', '  x = w->sum;', /reads sum/],
    ['nn/map.c', '  x = w->held;', /reads held/],
    ['nn/map.c', '  x = b->weights->memory;', /reads memory/],
    ['nn/map.c', '  x = infos->data[0];', /reads data/],
    ['parts/cct.c', '  x = tsr_weights_take(b->weights);', /reads tsr_weights_take/],
    [
      'parts/cct.c',
      '  x = tsr_weights_any_q8(b->weights) ? tsr_weight_vector(b, "scale", s) : tsr_weights_follow(b);',
      null,
    ],
    ['parts/cct.c', '  x = ((tsr_weight *)p)->scale;', /reads tsr_weight:/],
    ['parts/cct.c', '  x = (*b->graph.nodes[0].weight).scale;', /reads weight/],
    ['graph/graph.c', '  g->values[v].data = x, b->graph.values[v].root = v;', null],
    ['graph/graph.c', '  add(b, (tsr_value_info){.weight = w, .data = w->values});', null],
    ['graph/graph.c', '  x = w->\n values[0];', /reads values/],
    ['graph/graph.c', '  x = g->values[v].weight->values[0];', /reads values/],
    ['graph/graph.c', '  x = g->values[v].weight->scale;', /reads scale/],
    ['graph/refine.c', '  x = g->values[v].data[0];', /reads data/],
    ['graph/refine.c', '  x = (tsr_weight *)info->weight;', /reads tsr_weight:/],
    ['graph/refine.c', '  tsr_weights_take(b->weights);', /reads tsr_weights_take/],
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
  assert.deepEqual(
    strangers(['base/sneak.def', 'grad/g.hpp', 'base/x', 'base/x.c', 'base/x.h', 'ops/x.inc']).map(
      (f) => f.split(':')[0],
    ),
    ['src/base/sneak.def', 'src/grad/g.hpp', 'src/base/x'],
  );
  const round = /** @type {[string, string][]} */ ([
    ['nn/a.h', '#include "graph/b.h"\n'],
    ['graph/b.h', '#include "c.h"\n'],
    ['graph/c.h', ' # include \\\n"../nn/a.h"\n'],
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
