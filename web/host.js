// @ts-check
/**
 * Where an engine runs: in a worker that this file starts (`new Worker`), or on the calling thread. A worker is the
 * default, because the page stays responsive and ending the worker frees all its memory. The threads' workers are
 * started here too. Both have `call(op, ...args)`, `close()` and the last known
 * `memory`.
 */
import { Engine } from './engine.js';
import { fromWire, TesseraeError } from './errors.js';
import { builtin, isNode } from './platform.js';
import { started } from './spawn.js';

/** How long an engine may take to stop its threads before it is ended. */
const STOP_MS = 100;
const NOTHING = { bytes: 0, peak: 0, wasm: 0 };

/** @param {unknown} reason why it closed */
const disposed = (reason) => reason ?? new TesseraeError('ERR_DISPOSED', 'this model has been disposed; load it again');

/** @param {Worker[]} workers @returns {Promise<unknown>} Node's give a promise */
const terminate = (workers) => Promise.all(workers.map((worker) => worker.terminate()));

/**
 * What both have in common. The pool's threads are workers of this side, because Chromium may never end a worker that
 * has workers of its own.
 */
class Host {
  memory = NOTHING;
  /** @type {any[]} */
  threads = [];
  /** @type {unknown} */
  closed = null;

  /**
   * @param {boolean} worker @param {string | null} reason why there is no worker
   * @param {number} threads that the pool is to have
   */
  constructor(worker, reason, threads) {
    this.worker = worker;
    this.reason = reason;
    try {
      // Node loads their scripts now; in a browser that would delay the engine's worker
      for (; isNode && threads > 1; threads--) this.threads.push(spawnThread());
    } catch {
      /* addThread reports it */
    }
  }

  /**
   * Adds a thread to the pool, or reuses one whose core has stopped. A thread that does not start is not an error.
   * @param {number} i which @param {WebAssembly.Module} module @param {WebAssembly.Memory} memory
   * @returns {Promise<string | null>} why it did not start
   */
  async addThread(i, module, memory) {
    try {
      if (this.closed) throw this.closed;
      const thread = (this.threads[i] ??= spawnThread());
      await thread.loaded;
      thread.postMessage({ module, memory });
      await ready(thread);
      thread.postMessage(await /** @type {any} */ (this).call('admit'));
      return null;
    } catch (error) {
      return `failed: ${/** @type {Error} */ (error).message}`;
    }
  }
}

/** An engine on the calling thread. */
export class LocalHost extends Host {
  /** @type {Engine | null} */
  engine = new Engine();

  /** @param {string} reason @param {number} [threads] */
  constructor(reason, threads = 1) {
    super(false, reason, threads);
  }

  /** @param {import('./rpc.js').Op} op @param {any[]} args @returns {Promise<any>} */
  async call(op, ...args) {
    if (!this.engine) throw this.closed;
    try {
      return await this.engine.call(op, args);
    } finally {
      if (this.engine) this.memory = this.engine.memory();
    }
  }

  /** @param {unknown} [reason] what later calls reject with */
  close(reason) {
    this.closed ??= disposed(reason);
    this.memory = NOTHING;
    const { engine } = this;
    this.engine = null; // the instance is garbage now, its memory with it
    engine?.stop();
    return terminate(this.threads);
  }
}

/**
 * An input to be cloned to the worker. A view of a part of a buffer is copied first, because cloning a view clones its
 * whole buffer.
 * @param {any} input
 */
function alone(input) {
  const copy = { ...input };
  for (const [name, value] of Object.entries(copy)) {
    if (!ArrayBuffer.isView(value) || value.byteLength === value.buffer.byteLength) continue;
    copy[name] = value instanceof Float32Array ? value.slice() : new Uint8Array(/** @type {any} */ (value));
  }
  return copy;
}

/** An engine in a worker of the browser's or of Node's. */
export class WorkerHost extends Host {
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: unknown) => void }>} */
  waiting = new Map();
  lastId = 0;
  /** @type {Promise<unknown> | undefined} */
  ended;

  /** @param {any} port @param {number} threads */
  constructor(port, threads) {
    super(true, null, threads);
    this.port = port;
  }

  /** @param {import('./rpc.js').Reply} reply */
  receive({ id, result, error, memory }) {
    const call = this.waiting.get(id);
    this.waiting.delete(id);
    // an idle model must not keep a Node process alive
    if (!this.waiting.size) this.port.unref?.();
    if (!this.closed) this.memory = memory;
    if (error) call?.reject(fromWire(error));
    else call?.resolve(result);
  }

  /** @param {import('./rpc.js').Op} op @param {any[]} args @returns {Promise<any>} */
  call(op, ...args) {
    return new Promise((resolve, reject) => {
      if (this.closed) throw this.closed;
      const id = ++this.lastId;
      // a chunk of the file is transferred if it is a whole buffer
      const chunk = op === 'feed' ? args[0] : null;
      if (args[0]?.type) args[0] = alone(args[0]);
      this.port.postMessage(
        { id, op, args },
        chunk && chunk.byteLength === chunk.buffer.byteLength ? [chunk.buffer] : [],
      );
      this.port.ref?.();
      this.waiting.set(id, { resolve, reject });
    });
  }

  /** @param {unknown} [reason] what the calls under way and later ones reject with */
  close(reason) {
    this.closed ??= disposed(reason);
    this.memory = NOTHING;
    for (const { reject } of this.waiting.values()) reject(this.closed);
    this.waiting.clear();
    // the engine stops its threads first, because Chromium takes two seconds to end one that is in a loop
    return (this.ended ??= new Promise((resolve) => {
      const end = () => resolve(terminate([this.port, ...this.threads]));
      this.waiting.set(0, { resolve: end, reject: end });
      this.port.postMessage({ id: 0, op: 'stop', args: [] });
      setTimeout(end, STOP_MS);
    }));
  }
}

// Bundlers look for the literal forms below. execArgv is empty, because flags of the program such as --input-type stop
// a worker.

/** @returns {any} */
function spawn() {
  if (isNode) return new (builtin('worker_threads').Worker)(new URL('./worker.js', import.meta.url), { execArgv: [] });
  return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'tesserae' });
}

/** A thread's worker; its promise `loaded` resolves when its script runs. @returns {any} */
function spawnThread() {
  const thread = isNode
    ? new (builtin('worker_threads').Worker)(new URL('./thread.js', import.meta.url), { execArgv: [] })
    : new Worker(new URL('./thread.js', import.meta.url), { type: 'module', name: 'tesserae thread' });
  thread.loaded = ready(thread);
  thread.loaded.catch(() => {}); // addThread reports it
  return thread;
}

/** @param {any} thread */
function ready(thread) {
  const promise = started(thread);
  // A thread never ends by itself, and must not keep a Node process alive. A listener that is added undoes unref.
  thread.unref?.();
  return promise;
}

/**
 * A host. If the worker does not start, the engine runs on the calling thread, and `reason` says why.
 * @param {boolean} wanted @param {number} threads that the pool is to have @returns {Promise<LocalHost | WorkerHost>}
 */
export async function openHost(wanted, threads) {
  if (!wanted) return new LocalHost('requested', threads);
  try {
    const worker = spawn();
    const host = new WorkerHost(worker, threads);
    await started(
      worker,
      (reply) => host.receive(reply),
      (why) => {
        if (!host.closed)
          host.close(new TesseraeError('ERR_WORKER_FAILED', `the worker stopped: ${why}; load the model again`));
      },
    );
    return host;
  } catch (error) {
    return new LocalHost(`failed: ${/** @type {Error} */ (error).message}`);
  }
}
