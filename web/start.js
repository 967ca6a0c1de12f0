// @ts-check
/**
 * Starts an engine: its host (a worker or the calling thread), the module compiled for it, memory that threads share,
 * and the threads. The rest of the package reaches hosts and builds through here.
 */
import { Engine } from './engine.js';
import { openHost } from './host.js';
import { builtin, isNode } from './platform.js';
import { compile, isThreaded, sharedMemory } from './wasm.js';

/** Threads that 'auto' starts at most: more than a phone's fast cores gain little. */
const AUTO_THREADS = 4;
/** What the core has room for (src/base/threads.h). */
const MAX_THREADS = 16;

/**
 * How many threads to run, and why not more.
 * @param {'auto' | number} wanted
 * @param {{ worker: boolean, reason?: string | null }} host where the engine will run, or does
 * @returns {[number, string | null]}
 */
function planThreads(wanted, { worker, reason }) {
  const scope = /** @type {any} */ (globalThis);
  if (wanted === 1) return [1, 'requested'];
  if (!isNode && scope.crossOriginIsolated === false) return [1, 'not-cross-origin-isolated'];
  if (!isNode && typeof scope.Worker !== 'function') return [1, 'unsupported'];
  if (reason?.startsWith('failed')) return [1, reason]; // where one worker did not start, others will not
  if (!isNode && !worker && scope.document) return [1, 'no-worker']; // a page's own thread may not wait for others
  const cores = isNode ? builtin('os').availableParallelism() : scope.navigator.hardwareConcurrency;
  const count = Math.min(...(wanted === 'auto' ? [cores, AUTO_THREADS] : [wanted, MAX_THREADS]));
  return [count, count > 1 && (wanted === 'auto' || count === wanted) ? null : 'unsupported'];
}

/**
 * An engine on its way: the worker starts beside the compilation.
 * @param {any} options of loadModel, settled; their signal ends everything that this starts
 */
export function startEngine(options) {
  const { threads, signal } = options;
  const [plan] = planThreads(threads, options);
  const hosting = openHost(options.worker, plan).then((host) => {
    // first, because workers take longest to start
    const end = () => host.close(signal.reason);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    return host;
  });
  /** @param {boolean} threaded @param {boolean} [all] */
  const build = (threaded, all = options.all) => compile({ ...options, threaded, all });
  let compiling = build(plan > 1);
  compiling.catch(() => {}); // whoever awaits the host reports it
  /** @type {string | null} */
  let threadsReason = null;
  /** What became of each thread: null, or why it did not start. @type {(string | null | Promise<string | null>)[]} */
  let starting = [];
  /** @param {boolean} [all] the build with every architecture; the engine continues with what it has been fed */
  const open = async (all) => {
    const host = await hosting;
    let count;
    [count, threadsReason] = planThreads(threads, host);
    if (all) compiling = build(count > 1, all);
    let { module } = await compiling;
    const threaded = isThreaded(module);
    const memory = threaded ? sharedMemory() : undefined;
    if (!threaded) threadsReason ??= 'unsupported';
    else if (!memory) {
      threadsReason = 'memory';
      ({ module } = await (compiling = build(false, all)));
    }
    const failed = await Promise.all(starting);
    const opening = host.call('open', module, memory);
    const more = memory ? count - 1 : 0;
    starting = Array.from(
      { length: more },
      (_, i) => failed[i] ?? host.addThread(i, module, /** @type {any} */ (memory)),
    );
    await opening;
    return host;
  };
  const opening = open();
  opening.catch(() => {}); // likewise
  /**
   * What the model runs on, and why, when every thread has started or failed.
   * @param {any} host @returns {Promise<import('./types.js').Runtime>}
   */
  const runtime = async ({ worker, reason: workerReason }) => {
    const failures = (await Promise.all(starting)).filter(Boolean);
    const { relaxedSimd } = await compiling;
    const count = 1 + starting.length - failures.length;
    return {
      simd: true,
      relaxedSimd,
      threads: count,
      threadsReason: failures.at(-1) ?? threadsReason,
      worker,
      workerReason,
    };
  };
  return { opening, open, runtime };
}

/**
 * An engine on the calling thread that has every architecture and no model.
 * @param {Pick<import('./types.js').LoadOptions, 'wasmUrl' | 'wasmBinary' | 'fetch'>} [options]
 */
export async function bareEngine({ wasmUrl, wasmBinary, fetch = globalThis.fetch } = {}) {
  const { signal } = new AbortController();
  const { module } = await compile({ deterministic: true, all: true, wasmUrl, wasmBinary, fetch, signal });
  const engine = new Engine();
  engine.call('open', [module]);
  return engine;
}
