// @ts-check
/**
 * Which wasm build this machine can run, how it is fetched and compiled, and the memory that its threads share.
 */
import { TesseraeError } from './errors.js';
import { builtin, filePath } from './platform.js';

/**
 * Whether the engine accepts a function of these instructions that returns a v128. The module is put together by hand:
 * @param {number[]} code instructions
 */
// prettier-ignore
const accepts = (...code) => WebAssembly.validate(new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // "\0asm", version 1
  1, 5, 1, 0x60, 0, 1, 0x7b, // type section, 5 bytes: one type, a function () -> v128 (0x7b)
  3, 2, 1, 0, // function section, 2 bytes: one function of type 0
  10, code.length + 4, 1, code.length + 2, 0, ...code, 0x0b, // code section: one body, no locals, the code, end
]));

/** Which SIMD instructions the JavaScript engine has. */
export function detect() {
  return {
    // i32.const 0; i8x16.splat; i8x16.popcnt - an instruction that was in the last draft only
    simd: accepts(0x41, 0, 0xfd, 15, 0xfd, 98),
    // i32.const 1; i8x16.splat; i32.const 2; i8x16.splat; i8x16.relaxed_swizzle (0xfd 0x100)
    relaxedSimd: accepts(0x41, 1, 0xfd, 15, 0x41, 2, 0xfd, 15, 0xfd, 0x80, 2),
  };
}

/** @typedef {{ module: WebAssembly.Module, relaxedSimd: boolean | null }} Compiled */

/**
 * @param {string} url @param {AbortSignal} signal @param {typeof globalThis.fetch} fetch
 * @returns {Promise<WebAssembly.Module>}
 */
async function compileFrom(url, signal, fetch) {
  const path = filePath(url);
  if (path) return WebAssembly.compile(await builtin('fs').promises.readFile(path));
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  // compileStreaming requires the media type, which not every server sends
  const typed = response.headers.get('content-type')?.startsWith('application/wasm');
  return typed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

/** The builds, best first: they all run the same models. */
const BUILDS = ['relaxed-threads', 'simd-threads', 'relaxed', 'simd'];

/**
 * The compiled module.
 * @param {{ deterministic: boolean, threaded?: boolean, all?: boolean, wasmUrl?: string | URL, wasmBinary?: any, fetch:
 *   typeof globalThis.fetch, signal: AbortSignal }} options threaded: a build with threads, if there is one; all: with
 *   every architecture, not the common ones alone
 * @returns {Promise<Compiled>}
 */
export async function compile({ deterministic, threaded, all, wasmUrl, wasmBinary, fetch, signal }) {
  const can = detect();
  if (!can.simd) {
    throw new TesseraeError('ERR_NO_SIMD', 'no WebAssembly SIMD here; Chrome 91, Firefox 89, Safari 16.4 and Node 16.4 have it');
  }
  const relaxed = can.relaxedSimd && !deterministic;
  const given = String(wasmUrl ?? '');
  // the literals stay as they are, because bundlers look for this form
  const urls = [
    new URL('../dist/tesserae-relaxed-threads.wasm', import.meta.url),
    new URL('../dist/tesserae-simd-threads.wasm', import.meta.url),
    new URL('../dist/tesserae-relaxed.wasm', import.meta.url),
    new URL('../dist/tesserae-simd.wasm', import.meta.url),
    new URL('../dist/tesserae-relaxed-threads-all.wasm', import.meta.url),
    new URL('../dist/tesserae-simd-threads-all.wasm', import.meta.url),
    new URL('../dist/tesserae-relaxed-all.wasm', import.meta.url),
    new URL('../dist/tesserae-simd-all.wasm', import.meta.url),
  ];
  let choices = BUILDS.map((name, i) => ({ name, url: given ? `${given}tesserae-${name}${all ? '-all' : ''}.wasm` : urls[all ? i + 4 : i].href }))
    .filter(({ name }) => (relaxed || !/relaxed/.test(name)) && (threaded || !/threads/.test(name)));
  if (wasmBinary || /[^/]$/.test(given)) choices = [{ name: given, url: wasmBinary ? 'wasmBinary' : given }];
  /** @type {any} */
  let failure;
  let at;
  for (const { name, url } of choices) {
    at = url;
    try {
      if (!wasmBinary) return { module: await compileFrom(url, signal, fetch), relaxedSimd: /relaxed/.test(name) };
      return { module: wasmBinary instanceof WebAssembly.Module ? wasmBinary : await WebAssembly.compile(wasmBinary), relaxedSimd: null };
    } catch (error) {
      failure = error;
    }
  }
  signal.throwIfAborted();
  throw new TesseraeError(
    'ERR_WASM_COMPILE',
    `${at}: ${failure.message}; if the file lies elsewhere, pass wasmUrl; ` +
      "a Content-Security-Policy needs 'wasm-unsafe-eval'",
    { cause: failure },
  );
}

/**
 * Memory that a module shares with its threads. The maximum is as large as the machine grants, because phones refuse
 * large ones; undefined if it grants none.
 */
export function sharedMemory() {
  for (let maximum = 65536; maximum >= 8192; maximum /= 2) { // pages of 64 KB: 4 GB to 512 MB
    try {
      return new WebAssembly.Memory({ initial: 64, maximum, shared: true });
    } catch { /* try less */ }
  }
  return undefined;
}

/** Whether a module is one of the builds with threads. @param {WebAssembly.Module} module */
export const isThreaded = (module) => WebAssembly.Module.imports(module).some(({ kind }) => kind === 'memory');
