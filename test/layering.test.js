// The core's layers point one way, and its rules that a reader of the sources can check: who includes whom, who may
// allocate, that the library never ends the program or prints, who may read weights, and that files stay short.
// Run alone: node --test test/layering.test.js
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';
import { root } from './helpers/make.js';

const MAX_LINES = 700; // a file has fewer

// What the files of a layer may include from src/: `only` these, or anything but `never`. Paths are relative to src/.
const LAYERS = [
  { files: /^arch\//, only: /^build\.h$/, why: 'a model file includes "../build.h" and nothing else' },
  { files: /^build\.h$/, never: /^(kernels|ops|wasm|image)\/|^exec\./, why: 'build.h shows models nn and graph, not how they run' },
  { files: /^(vit|cct)_parts\./, only: /^(nn|build|vit_parts|cct_parts|elementary)\./, why: 'shared parts of model files stand on what these stand on' },
  { files: /^max_vit_parts\./, only: /^(nn_map|build|max_vit_parts)\./, why: 'shared parts of model files stand on what these stand on' },
  { files: /^masking\./, only: /^(config|masking|nn|nn_loss|random|vit_parts)\./, why: 'shared parts of model files stand on what these stand on' },
  { files: /^nn(_map)?\./, never: /^(kernels|ops|wasm|image)\/|^exec\.|^build\.h$/, why: 'nn builds graphs: arch -> nn -> graph' },
  { files: /^graph\./, never: /^(kernels|wasm|image)\/|^exec\.|^nn\.|^build\.h$/, why: 'the graph knows no kernel and no model' },
  { files: /^plan\./, only: /^(plan|arena|status|tensor)\./, why: 'the planner is pure: sizes and lifetimes in, offsets out' },
  { files: /^ops[./]/, never: /^(wasm|image)\/|^exec\.|^nn\.|^build\.h$|^graph\./, why: 'exec -> ops -> kernels' },
  { files: /^kernels\//, only: /^kernels\//, why: 'kernels take plain pointers and sizes' },
  { files: /^image\//, only: /^image\/|^(arena|elementary|format|status|tensor|kernels\/simd)\./, why: 'images know no model' },
  { files: /^(arena|decimal|elementary|format|status|tensor)\./, only: /^(arena|decimal|elementary|format|status|tensor)\./, why: 'the foundation stands on nothing' },
  { files: /^(json|safetensors)\./, only: /^(arena|decimal|format|status|tensor|text|json|safetensors)\./, why: 'file formats know no model' },
  { files: /^wasm\//, only: /^wasm\/|^tesserae\.h$/, why: 'the exports stand on the public header, as any other program' },
  { files: /^(?!wasm\/)/, never: /^wasm\//, why: 'the core does not know that it is WebAssembly' },
  { files: /^/, never: /^arch\//, why: 'nothing includes a model: the registry is generated' },
];

const STANDARD = new Set(('assert ctype errno float inttypes limits math stdalign stdarg stdatomic stdbool stddef stdint stdio ' +
  'stdlib string').split(' ').map((name) => `${name}.h`));

// Headers from outside that only some files may use.
const OUTSIDE = [
  { header: /^emscripten(\/|\.h$)/, files: /^wasm\// },
  { header: /^wasm_simd128\.h$/, files: /^kernels\// },
  { header: /^stb_image\.h$/, files: /^image\// },
  { header: /^(pthread|sched|unistd|semaphore)\.h$/, files: /^threads\.|^wasm\// },
];

// Calls that the library does not make. The name is looked for as a whole word before a parenthesis.
const CALLS = [
  { names: 'malloc calloc realloc free aligned_alloc posix_memalign strdup strndup alloca', except: /^arena\.c$/, why: 'only src/arena.c allocates' },
  { names: 'abort exit _Exit quick_exit assert raise longjmp', why: 'library code never ends the program' },
  { names: 'printf fprintf vprintf vfprintf puts fputs putchar perror', why: 'library code never prints' },
  { names: 'sprintf snprintf vsnprintf sscanf atof strtod strtof', why: 'src/format.h and src/decimal.h do that in a tenth of the bytes' },
  { names: 'sin cos tan exp exp2 log pow tanh erf sinf cosf tanf expf exp2f logf powf tanhf erff', except: /^kernels\/\w+_ref\.c$/, why: 'src/elementary.h does that in a tenth of the bytes' },
  { names: 'fopen getenv system setlocale rand srand time', why: 'the core reads nothing but its arguments' },
];

/** The text with comments blanked out, and with `strings` also what stands in quotes; lines stay where they are. */
function blank(/** @type {string} */ text, strings = false) {
  return text.replace(/\/\*[^]*?\*\/|\/\/[^\n]*|"(?:\\[^]|[^"\\\n])*"|'(?:\\[^]|[^'\\\n])*'/g,
    (part) => (part[0] === '/' || strings ? part.replace(/[^\n]/g, ' ') : part));
}

/** Lines of `text` with their numbers from 1. @returns {[number, string][]} */
const numbered = (/** @type {string} */ text) => text.split('\n').map((line, index) => [index + 1, line]);

/** @param {string} file relative to src/ @param {string} text @param {Set<string>} all */
function* includeFaults(file, text, all) {
  for (const [line, code] of numbered(blank(text))) {
    const quoted = /^\s*#\s*include\s*"([^"]+)"/.exec(code)?.[1];
    const angled = /^\s*#\s*include\s*<([^>]+)>/.exec(code)?.[1];
    if (quoted) {
      const beside = posix.normalize(posix.join(posix.dirname(file), quoted));
      const target = all.has(beside) || !all.has(posix.normalize(quoted)) ? beside : posix.normalize(quoted);
      if (posix.basename(target) === 'arch_list.inc') continue; // generated into build/gen
      for (const { files, only, never, why } of LAYERS) {
        if (files.test(file) && (only ? !only.test(target) : never?.test(target))) yield { line, text: `includes "${target}": ${why}` };
      }
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

// What src/format.c knows, after the %.
const CONVERSION = /^(?:(?:0\d)?(?:ll?|z)?[dux]|(?:\.(?:\d+|\*))?s|(?:\.\d+)?g|\.\d+f|c|%)/;

/** @param {string} text */
function* formatFaults(text) {
  for (const [line, code] of numbered(text.replace(/\/\*[^]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')))) {
    for (const [literal] of code.matchAll(/"(?:\\.|[^"\\])*"/g)) {
      for (let at = literal.indexOf('%'); at >= 0; at = literal.indexOf('%', at)) { // "%PDF" begins a file
        const known = CONVERSION.exec(literal.slice(++at));
        if (!known && !literal.startsWith('PDF', at)) yield { line, text: `%${literal.slice(at, at + 4)}: src/format.h lists the conversions there are` };
        at += known ? known[0].length : 0;
      }
    }
  }
}

// Files that build graphs; numbers of weights are there for ops alone, so that weights may change and gradients pass.
const BUILDERS = /^arch\/|^nn(_\w+)?\.|_parts\.|^(build|masking|pictures|teacher)\./;

/** @param {string} file @param {string} text */
function* numberFaults(file, text) {
  if (!BUILDERS.test(file)) return;
  for (const [line, code] of numbered(blank(text, true))) {
    const read = /(?:->|\.)\s*(values|panels)\b|\]\s*(?:->|\.)\s*(data)\b/.exec(code);
    if (read) yield { line, text: `reads ${read[1] ?? read[2]}: what weights hold goes through ops` };
  }
}

/** All faults of a set of C files, as "src/file:line: what". @param {Map<string, string>} sources paths relative to src/ */
function faults(sources) {
  const all = new Set(sources.keys());
  const found = [];
  for (const [file, text] of sources) {
    for (const fault of [...includeFaults(file, text, all), ...callFaults(file, text), ...formatFaults(text), ...numberFaults(file, text)]) {
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
    if (pattern.test(name) && statSync(path).isFile()) files.set(name.replaceAll('\\', '/'), readFileSync(path, 'utf8'));
  }
  return files;
}

/** @param {string} folder @param {Map<string, string>} files */
const tooLong = (folder, files) => [...files].filter(([, text]) => text.trimEnd().split('\n').length >= MAX_LINES)
  .map(([name, text]) => `${folder}/${name}:${text.trimEnd().split('\n').length}: a file has fewer than ${MAX_LINES} lines`);

test('the sources keep the rules', () => {
  const sources = readTree('src', /\.(c|h|inc)$/);
  assert.ok(sources.has('status.h'), 'src/ was not read');
  assert.deepEqual(faults(sources), []);
});

test('files are short', () => {
  const long = [...tooLong('src', readTree('src', /\.(c|h|inc)$/)), ...tooLong('web', readTree('web', /\.js$/))];
  assert.deepEqual(long, []);
});

test('the checks themselves: every rule finds its fault, and names file and line', () => {
  /** @type {[string, string, RegExp | null][]} file, text, the fault expected on line 2 */
  const cases = [
    ['arch/vit.c', '#include "../nn.h"', /model file includes/],
    ['arch/vit.c', '#include "cct.h"', /model file includes/],
    ['arch/vit.c', '#include "../build.h"', null],
    ['build.h', '#include "exec.h"', /build\.h shows/],
    ['nn.c', '#include "kernels/kernels.h"', /arch -> nn -> graph/],
    ['graph.h', '#include "kernels/kernels.h"', /knows no kernel/],
    ['graph.c', '#include "nn.h"', /knows no kernel/],
    ['plan.c', '#include "graph.h"', /planner is pure/],
    ['ops/softmax.c', '#include "../exec.h"', /exec -> ops/],
    ['ops/softmax.c', '#include "../kernels/kernels.h"', null],
    ['kernels/gelu_simd.c', '#include "../arena.h"', /plain pointers/],
    ['kernels/gelu_simd.c', '#include "simd.h"', null],
    ['exec.c', '#include "ops/ops.h"', null],
    ['exec.c', '#include "arch/vit.h"', /nothing includes a model/],
    ['registry.c', '#include "arch_list.inc"', null],
    ['image/resize.c', '#include "../graph.h"', /images know/],
    ['tensor.c', '#include "json.h"', /foundation/],
    ['json.c', '#include "weights.h"', /file formats/],
    ['wasm/exports.c', '#include "../arena.h"', /public header/],
    ['model.c', '#include "wasm/exports.h"', /WebAssembly/],
    ['exec.c', '#include <emscripten.h>', /<emscripten\.h>/],
    ['wasm/exports.c', '# include <emscripten/threading.h>', null],
    ['ops/softmax.c', '#include <wasm_simd128.h>', /<wasm_simd128\.h>/],
    ['json.c', '#include <stb_image.h>', /<stb_image\.h>/],
    ['json.c', '#include <sys/mman.h>', /not of the C standard/],
    ['json.c', '// #include <sys/mman.h>', null],
    ['json.c', '  char *p = malloc (3);', /calls malloc: only src\/arena\.c/],
    ['json.c', '  free(p);', /calls free/],
    ['arena.c', '  free(p);', null],
    ['json.c', '  tsr_heap_free(p); heap->free(p); /* free(p) */ "free(p)";', null],
    ['json.c', '  if (x) abort();', /calls abort/],
    ['json.c', '  assert(x);', /calls assert/],
    ['json.c', '  static_assert(1, ""); _Static_assert(1, "");', null],
    ['json.c', '  printf("x");', /calls printf/],
    ['json.c', '  tsr_print(text, n, "exit(1)");', null],
    ['json.c', '  snprintf(text, n, "%d", i);', /calls snprintf: src\/format\.h/],
    ['nn.c', '  x = expf(y);', /calls expf: src\/elementary\.h/],
    ['kernels/norm_ref.c', '  x = exp(y);', null],
    ['json.c', '  tsr_print(text, n, "%5d", i);', /%5d/],
    ['json.c', '  tsr_print(text, n, "%d%% %04x %.*s %.9g %llu %zu %f", i);', /%f/],
    ['json.c', '  tsr_print(text, n, "%d%% %04x %.*s %.9g %llu %zu", i); /* "%5d" */', null],
    ['json.c', '  getenv("HOME");', /calls getenv/],
    ['arch/rvt.c', '  const float *scale = w->values;', /reads values/],
    ['nn_map.c', '  x = b->graph.values[v].data[0];', /reads values/],
    ['cct_parts.c', '  x = infos[v].data;', /reads data/],
    ['arch/rvt.c', '  input.data = x; /* w->values */ values = tsr_nn_slice(b, v, 2, 0, 4);', null],
    ['exec.c', '  const float *scale = w->values;', null],
  ];
  for (const [file, text, expected] of cases) {
    const found = faults(new Map([[file, '/* malloc(1) */\n' + text + '\n']]));
    if (!expected) assert.deepEqual(found, [], `${file}: ${text}`);
    else {
      assert.ok(found.some((fault) => fault.startsWith(`src/${file}:2: `) && expected.test(fault)), `${file}: ${text}: ${found}`);
    }
  }
  assert.equal(tooLong('src', new Map([['a.c', 'x\n'.repeat(700)], ['b.c', 'x\n'.repeat(699)]])).length, 1);
});
