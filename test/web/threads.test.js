// Threads in WebAssembly, in Node: the same bits from any number of them and from either build, what happens when they
// cannot be had, and that nothing of them stays. In Chromium: test/browser/threads.test.js
// Alone: node --test test/web/threads.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, describe, test } from 'node:test';
import { LocalHost } from '../../web/host.js';
import { loadModel } from '../../web/index.js';
import { compile, sharedMemory } from '../../web/wasm.js';
import { tinyModel } from '../browser/harness.js';
import { run } from '../helpers/make.js';
import { node24 } from '../helpers/node24.js';
import { drawInput } from '../parity/weights.js';

const MODEL = tinyModel();
const BATCH = 3; // more rows, so that every layer has several tasks
const INPUT = { data: drawInput('threads', 'image', [BATCH, 3, 32, 32]), dims: [BATCH, 3, 32, 32] };

/** Output and every value inside as one hash. @param {any} options */
async function bits(options) {
  const model = await loadModel(MODEL, { deterministic: true, ...options });
  const { output, captures } = await model.forward(INPUT, { capture: '*' });
  await model.dispose();
  const hash = createHash('sha256');
  for (const { data } of [output, ...Object.values(captures)])
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { hash: hash.digest('hex'), runtime: model.runtime };
}

/**
 * Loads while `thing[name]` is another.
 * @param {any} thing @param {string} name @param {any} value @param {any} [options]
 */
async function loadWith(thing, name, value, options) {
  const kept = thing[name];
  thing[name] = value;
  try {
    return await bits({ worker: false, threads: 2, ...options });
  } finally {
    thing[name] = kept;
  }
}

/** The bits that everything below is held to: one thread. */
const ONE = Object.fromEntries(
  await Promise.all(
    ['f32', 'q8'].map(async (dtype) => [dtype, (await bits({ dtype, threads: 1, worker: false })).hash]),
  ),
);

for (const worker of [false, true]) {
  for (const dtype of /** @type {const} */ (['f32', 'q8'])) {
    test(`${dtype}: 2 to 4 threads give the bits of one, ${worker ? 'in a worker' : 'on the calling thread'}`, async () => {
      for (const threads of [2, 3, 4]) {
        const { hash, runtime } = await bits({ dtype, threads, worker });
        assert.deepEqual([runtime.threads, runtime.threadsReason, runtime.worker], [threads, null, worker]);
        assert.equal(hash, ONE[dtype], `${threads} threads`);
      }
    });
  }
}

test('deterministic: the same bits in an engine that has relaxed SIMD', { skip: node24.skip }, async () => {
  const script = `import { createHash } from 'node:crypto';
    import { loadModel } from './web/index.js';
    import { tinyModel } from './test/browser/harness.js';
    import { drawInput } from './test/parity/weights.js';
    ${bits}
    const MODEL = tinyModel(), INPUT = { data: drawInput('threads', 'image', [${BATCH}, 3, 32, 32]), dims: [${BATCH}, 3, 32, 32] };
    const told = [];
    for (const dtype of ['f32', 'q8']) for (const threads of [1, 4]) told.push((await bits({ dtype, threads })).hash);
    console.log(JSON.stringify([...told, (await bits({ deterministic: false, threads: 2 })).runtime.relaxedSimd]));`;
  const { code, output } = await run(node24.path, ['--input-type=module', '-e', script]);
  assert.equal(code, 0, output);
  assert.deepEqual(JSON.parse(output), [ONE.f32, ONE.f32, ONE.q8, ONE.q8, true]);
});

test('by itself it takes the cores there are, four at most', async () => {
  const cores = Math.min(4, availableParallelism());
  const { hash, runtime } = await bits({});
  assert.deepEqual([runtime.threads, runtime.threadsReason], [cores, cores > 1 ? null : 'unsupported']);
  assert.equal(hash, ONE.f32);
});

test('one thread by request', async () => {
  const { runtime } = await bits({ threads: 1 });
  assert.deepEqual([runtime.threads, runtime.threadsReason], [1, 'requested']);
});

test('more than the core has room for', async () => {
  const { hash, runtime } = await bits({ threads: 99, worker: false });
  assert.deepEqual([runtime.threads, runtime.threadsReason], [16, 'unsupported']);
  assert.equal(hash, ONE.f32);
});

test("a .wasm of the caller's: with threads and without", async () => {
  const binary = (/** @type {string} */ name) =>
    readFileSync(new URL(`../../dist/tesserae-${name}.wasm`, import.meta.url));
  for (const [build, threads, wanted, reason] of /** @type {const} */ ([
    ['simd', 2, 1, 'unsupported'],
    ['simd', 1, 1, 'requested'],
    ['simd-threads', 2, 2, null],
    ['simd-threads', 1, 1, 'requested'],
  ])) {
    const { hash, runtime } = await bits({ wasmBinary: binary(build), threads, worker: false });
    assert.deepEqual([runtime.threads, runtime.threadsReason], [wanted, reason], `${build}, ${threads} threads`);
    assert.equal(hash, ONE.f32);
  }
});

describe('memory to share', () => {
  const { Memory } = WebAssembly;
  /** @param {number} most pages that this machine would reserve */
  const scarce = (most) => {
    const tried = [];
    const replacement = class {
      constructor(/** @type {any} */ about) {
        tried.push(about.maximum);
        if (about.shared && about.maximum > most) throw new RangeError('could not allocate memory');
        return new Memory(about);
      }
    };
    return { tried, replacement };
  };

  test('a large maximum is refused: a smaller one is taken', async () => {
    const { tried, replacement } = scarce(16384);
    const { hash, runtime } = await loadWith(WebAssembly, 'Memory', replacement);
    assert.deepEqual(tried, [65536, 32768, 16384]);
    assert.deepEqual([runtime.threads, runtime.threadsReason], [2, null]);
    assert.equal(hash, ONE.f32);
  });

  test('none is to be had: the build without threads', async () => {
    const { tried, replacement } = scarce(0);
    const { hash, runtime } = await loadWith(WebAssembly, 'Memory', replacement);
    assert.deepEqual(tried, [65536, 32768, 16384, 8192]);
    assert.deepEqual([runtime.threads, runtime.threadsReason], [1, 'memory']);
    assert.equal(hash, ONE.f32);
  });

  test('none, and the caller gave a build with threads: an error that says so', async () => {
    const wasmBinary = readFileSync(new URL('../../dist/tesserae-simd-threads.wasm', import.meta.url));
    await assert.rejects(loadWith(WebAssembly, 'Memory', scarce(0).replacement, { wasmBinary }), {
      code: 'ERR_WASM_COMPILE',
      message: /memory/,
    });
  });
});

describe('threads that do not start', () => {
  const module = process.getBuiltinModule('node:worker_threads');
  const { Worker } = module;
  after(() => {
    module.Worker = Worker;
  });
  const script = (/** @type {string} */ code) =>
    class extends Worker {
      constructor() {
        super(code, { eval: true });
      }
    };

  test('they cannot be made', async () => {
    const { hash, runtime } = await loadWith(
      module,
      'Worker',
      class {
        constructor() {
          throw new Error('no more workers');
        }
      },
    );
    assert.deepEqual([runtime.threads, runtime.threadsReason], [1, 'failed: no more workers']);
    assert.equal(hash, ONE.f32);
  });

  test('their script is broken, or is not there', async () => {
    const broken = await loadWith(module, 'Worker', script('throw new Error("broken script")'), { threads: 4 });
    assert.deepEqual([broken.runtime.threads, broken.runtime.threadsReason], [1, 'failed: broken script']);
    assert.equal(broken.hash, ONE.f32);
    const missing = class extends Worker {
      constructor(/** @type {any} */ url, /** @type {any} */ options) {
        super(new URL('nothing.js', url), options);
      }
    };
    const { runtime } = await loadWith(module, 'Worker', missing);
    assert.equal(runtime.threads, 1);
    assert.match(String(runtime.threadsReason), /^failed: Cannot find module/);
  });

  test('they never say a word: 3 seconds for all of them', async () => {
    const began = performance.now();
    const { hash, runtime } = await loadWith(module, 'Worker', script('setInterval(() => {}, 1000)'), { threads: 4 });
    assert.deepEqual([runtime.threads, runtime.threadsReason], [1, 'failed: it did not start within 3000 ms']);
    assert.ok(performance.now() - began < 4500, `${performance.now() - began} ms`);
    assert.equal(hash, ONE.f32);
  });

  test('one of three: the others work', async () => {
    let made = 0;
    const some = class extends Worker {
      constructor(/** @type {any} */ url, /** @type {any} */ options) {
        if (made++ === 1) super('throw new Error("broken script")', { eval: true });
        else super(url, options);
      }
    };
    const { hash, runtime } = await loadWith(module, 'Worker', some, { threads: 4 });
    assert.deepEqual([runtime.threads, runtime.threadsReason], [3, 'failed: broken script']);
    assert.equal(hash, ONE.f32);
  });

  test('one that dies while it has nothing to do is not missed', async () => {
    const made = [];
    const seen = class extends Worker {
      constructor(/** @type {[any]} */ ...args) {
        super(...args);
        made.push(this);
      }
    };
    module.Worker = seen;
    const model = await loadModel(MODEL, { deterministic: true, worker: false, threads: 3 });
    module.Worker = Worker;
    const { data } = (await model.forward(INPUT)).output;
    await made[0].terminate();
    assert.deepEqual((await model.forward(INPUT)).output.data, data);
    await model.dispose();
  });
});

test('a thread that traps: the run ends, and so does the instance', async () => {
  const { module } = await compile({
    deterministic: true,
    threaded: true,
    fetch,
    signal: new AbortController().signal,
  });
  const memory = /** @type {WebAssembly.Memory} */ (sharedMemory());
  const host = new LocalHost('requested');
  await host.call('open', module, memory);
  assert.equal(await host.addThread(0, module, memory), null);
  await host.call('begin', { dtype: 'auto' });
  await host.call('feed', MODEL);
  await host.call('finish');
  const pass = () => host.call('run', { type: 'tensor', ...INPUT }, {});
  await pass();
  await host.call('stop'); // what web/thread.js does when the core's loop traps
  await assert.rejects(pass, { code: 'ERR_INTERNAL_TRAP' });
  await host.close();
  assert.match(String(await host.addThread(0, module, memory)), /^failed: .*disposed/);
});

test('dispose ends the threads', { skip: process.platform !== 'linux' }, async () => {
  const threads = () => readdirSync('/proc/self/task').length;
  /** The ends of threads are told a little late. @param {number} most */
  const settled = async (most) => {
    for (const deadline = Date.now() + 5000; threads() > most && Date.now() < deadline;)
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
    return threads();
  };
  await bits({ threads: 4 }); // what Node keeps for later uses is there now
  await new Promise((resolve) => {
    setTimeout(resolve, 500);
  });
  const before = threads();
  for (const worker of [true, false]) {
    const model = await loadModel(MODEL, { threads: 4, worker });
    await model.forward(INPUT);
    assert.ok(threads() >= before + 3, `${threads()} threads at work, ${before} before`);
    await model.dispose();
    assert.equal(await settled(before), before, `threads left, worker: ${worker}`);
  }
});

test('threads of a model that is never disposed do not keep the process alive', async () => {
  for (const worker of [true, false]) {
    const script = `import { loadModel } from './web/index.js';
      import { tinyModel } from './test/browser/harness.js';
      const model = await loadModel(tinyModel(), { threads: 3, worker: ${worker} });
      await model.classify({ data: new Uint8Array(12), width: 2, height: 2 });
      console.log(model.runtime.threads);`;
    const { code, output } = await run('timeout', ['20', process.execPath, '--input-type=module', '-e', script]);
    assert.equal(code, 0, output);
    assert.equal(output, '3\n');
  }
});
