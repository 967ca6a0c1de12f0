// @ts-check
/**
 * The worker's script, for module workers of browsers and for Node's worker_threads: answers requests (rpc.js) with an
 * engine.
 */
import { Engine } from './engine.js';
import { toWire } from './errors.js';
import { builtin, isNode } from './platform.js';
import { buffersOf } from './rpc.js';

/** @type {any} */
const port = isNode ? builtin('worker_threads').parentPort : globalThis;
const engine = new Engine();

/** @param {import('./rpc.js').Request} request */
const answer = async ({ id, op, args }) => {
  /** @type {any} */
  let result;
  /** @type {any} */
  let error;
  try {
    result = await engine.call(op, args);
  } catch (thrown) {
    error = toWire(thrown);
  }
  port.postMessage({ id, result, error, memory: engine.memory() }, buffersOf(result));
};
// not onmessage in Node: its first event loads 40 ms of other modules
if (isNode) port.on('message', answer);
else port.onmessage = (/** @type {MessageEvent} */ { data }) => answer(data);
port.postMessage({ ready: true });
