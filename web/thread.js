// @ts-check
/**
 * The script of one thread of the pool (src/threads.c). It says that it is ready, is handed module and memory, says so
 * again, is handed its place in the pool, and from then on runs the core's own loop.
 */

// platform.js would be a file more to load, for this line
/** @type {any} */
const port = /** @type {any} */ (globalThis).process?.getBuiltinModule?.('node:worker_threads').parentPort ?? globalThis;
/** @type {any} */
let wasm;

/** @param {any} message `{ module, memory }`, later `{ context, thread, stack }` */
const take = ({ module, memory, context, thread, stack }) => {
  if (module) {
    // functions that only the first thread calls; and no _initialize: the memory is set up
    wasm = new WebAssembly.Instance(module, { env: { memory, emscripten_notify_memory_growth() {}, tsr_now: Date.now } }).exports;
    port.postMessage({ ready: true });
    return;
  }
  wasm._emscripten_stack_restore(stack);
  try {
    wasm.tsr_wasm_context_serve_thread(context, thread);
  } catch {
    wasm.tsr_wasm_context_stop(context); // a trap: the run that waits for this thread must hear of it
  }
};
// as in worker.js
if (port.on) port.on('message', take);
else port.onmessage = (/** @type {MessageEvent} */ { data }) => take(data);
port.postMessage({ ready: true });
