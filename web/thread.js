// @ts-check
/**
 * The script of one thread of the pool (src/base/threads.c). It posts `ready`, gets module and memory, posts `ready` again,
 * gets its place in the pool, and from then on runs the core's loop.
 */

// not from platform.js, because that would be one more file to load
/** @type {any} */
const port = /** @type {any} */ (globalThis).process?.getBuiltinModule?.('node:worker_threads').parentPort ?? globalThis;
/** @type {any} */
let wasm;

/** @param {any} message `{ module, memory }`, later `{ context, thread, stack }` */
const take = ({ module, memory, context, thread, stack }) => {
  if (module) {
    // only the first thread calls these functions; no _initialize, because the memory is set up already
    wasm = new WebAssembly.Instance(module, { env: { memory, emscripten_notify_memory_growth() {}, tsr_now: Date.now } }).exports;
    port.postMessage({ ready: true });
    return;
  }
  wasm._emscripten_stack_restore(stack);
  try {
    wasm.tsr_wasm_context_serve_thread(context, thread);
  } catch {
    wasm.tsr_wasm_context_stop(context); // a trap: the run that waits for this thread must end
  }
};
// as in worker.js
if (port.on) port.on('message', take);
else port.onmessage = (/** @type {MessageEvent} */ { data }) => take(data);
port.postMessage({ ready: true });
