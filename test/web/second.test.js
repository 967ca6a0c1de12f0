// The second .wasm: an architecture that only the larger file has is loaded through the same call, in Node. In
// Chromium: test/browser/second.test.js
// Alone: node --test test/web/second.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { Engine } from '../../web/engine.js';
import { listArchitectures, loadModel } from '../../web/index.js';
import { compile } from '../../web/wasm.js';
import { drawInput, drawTensors, safetensors } from '../parity/weights.js';
import { sendCut, sendRanged, withServer } from './server.js';

const root = new URL('../../', import.meta.url);
const read = (/** @type {string} */ path) => readFileSync(new URL(path, root));
const ARCHS = readdirSync(new URL('src/arch/', root))
  .flatMap((name) => /^(.*)\.c$/.exec(name)?.[1] ?? [])
  .sort();
const COMMON = /^COMMON := ((?:.*\\\n)*.*)$/m.exec(read('Makefile').toString())?.[1].match(/\w+/g) ?? [];

/** A golden case: its file, input and output. @param {string} name */
function caseOf(name) {
  const golden = JSON.parse(read(`test/golden/models/${name}.json`).toString());
  const {
    arch,
    config,
    inputs: { image: dims },
  } = golden;
  return {
    arch,
    file: Buffer.from(safetensors(drawTensors(golden), { arch, config })),
    input: { data: drawInput(name, 'image', dims), dims },
    want: new Float32Array(Uint8Array.from(Buffer.from(golden.output.data, 'base64')).buffer),
  };
}
const RARE = ['nest_tiny', 'regionvit_tiny'].map(caseOf);
const [NEST, REGION] = RARE;
const VIT = caseOf('vit_tiny');

/** @param {ArrayLike<number>} got @param {Float32Array} want @param {number} [tolerance] */
const close = (got, want, tolerance = 1e-4) => {
  const largest = Math.max(...want.map(Math.abs));
  assert.equal(got.length, want.length);
  want.forEach((value, i) =>
    assert.ok(Math.abs(value - got[i]) <= tolerance * largest, `${i}: ${got[i]}, expected ${value}`),
  );
};

/** Loads, runs, disposes. @param {any} source @param {any} input @param {any} [options] */
async function outputOf(source, input, options) {
  const model = await loadModel(source, { deterministic: true, retries: 0, ...options });
  const { output } = await model.forward(input);
  await model.dispose();
  return { data: output.data, runtime: model.runtime, info: model.info };
}

test('the files have the architectures that the Makefile says, and both know all names', async () => {
  const of = async (/** @type {boolean} */ all) => {
    const { module } = await compile({ deterministic: true, all, fetch, signal: new AbortController().signal });
    const engine = new Engine();
    engine.call('open', [module]);
    return engine
      .architectures()
      .map(({ arch }) => arch)
      .sort();
  };
  assert.ok(COMMON.length > 10 && RARE.every(({ arch }) => !COMMON.includes(arch)) && COMMON.includes('vit'));
  assert.deepEqual(await of(false), COMMON);
  assert.deepEqual(await of(true), ARCHS);
  assert.deepEqual((await listArchitectures()).map(({ arch }) => arch).sort(), ARCHS);
});

for (const worker of [true, false]) {
  for (const threads of [1, 2]) {
    test(`rare ones load as others do; ${worker ? 'worker' : 'no worker'}, threads: ${threads}`, async () => {
      for (const { arch, file, input, want } of RARE) {
        /** @type {import('../../web/types.js').Progress[]} */
        const events = [];
        const { data, runtime, info } = await outputOf(file, input, {
          worker,
          threads,
          onProgress: (event) => events.push(event),
        });
        assert.deepEqual(
          [info.arch, runtime.worker, runtime.threads, runtime.relaxedSimd],
          [arch, worker, threads, false],
        );
        close(data, want);
        for (let i = 1; i < events.length; i++)
          assert.ok(events[i].ratio >= events[i - 1].ratio && events[i].loaded >= events[i - 1].loaded);
        assert.equal(events.at(-1)?.phase, 'ready');
        close((await outputOf(file, input, { worker, threads, dtype: 'q8' })).data, want, 0.2);
      }
    });
  }
}

test('any number of threads gives the same bits', async () => {
  const { file, input } = REGION;
  for (const dtype of ['f32', 'q8']) {
    const [one, three] = [
      await outputOf(file, input, { dtype, threads: 1 }),
      await outputOf(file, input, { dtype, threads: 3 }),
    ];
    assert.equal(three.runtime.threads, 3);
    assert.deepEqual(one.data, three.data);
  }
});

test('the threads that were started for the first serve the second', async () => {
  const module = process.getBuiltinModule('node:worker_threads');
  const { Worker } = module;
  let made = 0;
  module.Worker = class extends Worker {
    constructor(/** @type {[any]} */ ...args) {
      super(...args);
      made++;
    }
  };
  try {
    const { data, runtime } = await outputOf(REGION.file, REGION.input, { worker: false, threads: 3 });
    assert.deepEqual([runtime.threads, made], [3, 2]);
    close(data, REGION.want);
  } finally {
    module.Worker = Worker;
  }
});

describe('over the network', () => {
  const wasm = (/** @type {string | undefined} */ path) =>
    /^\/dist\/tesserae-[a-z-]+\.wasm$/.test(path ?? '') && read(`.${path}`);
  const headers = { 'content-type': 'application/wasm' };
  /** Sends a file in pieces so small that its header comes in several. @param {any} response @param {Buffer} file */
  const sendPieces = async (response, file) => {
    response.writeHead(200, { 'content-length': file.length });
    for (let at = 0; at < file.length; at += 1500) {
      response.write(file.subarray(at, at + 1500));
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    }
    response.end();
  };

  for (const worker of [true, false]) {
    for (const threads of [1, 2]) {
      test(`a file is fetched once, if needed; ${worker ? 'worker' : 'no worker'}, threads: ${threads}`, async () => {
        for (const { arch, file, input, want } of [VIT, NEST]) {
          await withServer(
            (request, response) => {
              const bytes = wasm(request.url);
              if (bytes) response.writeHead(200, headers).end(bytes);
              else sendPieces(response, file);
            },
            async (base, requests) => {
              const integrity = `sha256-${createHash('sha256').update(file).digest('base64')}`;
              const { data } = await outputOf(`${base}/m`, input, {
                worker,
                threads,
                integrity,
                wasmUrl: `${base}/dist/`,
              });
              close(data, want);
              const first = `/dist/tesserae-simd${threads > 1 ? '-threads' : ''}`;
              assert.deepEqual(
                requests.map(({ url }) => url).sort(),
                [`${first}.wasm`, ...(arch === 'vit' ? [] : [`${first}-all.wasm`]), '/m'].sort(),
              );
            },
          );
        }
      });
    }
  }

  test('a download that breaks goes on where it broke', async () => {
    const { file, input, want } = NEST;
    const etag = '"one"';
    await withServer(
      (request, response, n) =>
        n ? sendRanged(request, response, file, etag) : sendCut(response, file, file.length >> 1, { etag }),
      async (base, requests) => {
        close((await outputOf(`${base}/m`, input, { retries: 1 })).data, want);
        assert.ok(requests[1].headers.range);
      },
    );
    await withServer(
      (request, response, n) => (n ? response.end(file) : sendCut(response, file, file.length >> 1)),
      async (base) => {
        close((await outputOf(`${base}/m`, input, { retries: 1 })).data, want); // from its beginning
      },
    );
  });

  test('an abort while the second comes', async () => {
    for (const worker of [true, false]) {
      const controller = new AbortController();
      const reason = new Error('enough');
      await withServer(
        (request, response) => {
          const bytes = wasm(request.url);
          if (request.url?.endsWith('-all.wasm')) setTimeout(() => controller.abort(reason), 20);
          else if (bytes) response.writeHead(200, headers).end(bytes);
          else response.end(NEST.file);
        },
        async (base, requests) => {
          await assert.rejects(
            loadModel(`${base}/m`, { worker, threads: 2, wasmUrl: `${base}/dist/`, signal: controller.signal }),
            (error) => error === reason,
          );
          const held = requests.filter(({ url }) => url?.endsWith('-all.wasm'));
          assert.equal(held.length, 1);
          if (!held[0].socket.destroyed)
            await new Promise((resolve) => {
              held[0].socket.once('close', resolve);
            });
        },
      );
    }
  });

  test('the second is missing: an error that names it', async () => {
    await withServer(
      (request, response) => {
        const bytes = !request.url?.includes('-all') && wasm(request.url);
        if (bytes) response.writeHead(200, headers).end(bytes);
        else response.writeHead(404).end();
      },
      async (base) => {
        await assert.rejects(loadModel(NEST.file, { wasmUrl: `${base}/dist/`, deterministic: true }), {
          code: 'ERR_WASM_COMPILE',
          stage: 'environment',
          message: /dist\/tesserae-simd-all\.wasm: HTTP 404.*pass wasmUrl/s,
        });
        close((await outputOf(VIT.file, VIT.input, { wasmUrl: `${base}/dist/` })).data, VIT.want);
      },
    );
  });

  test('one with threads is missing: one thread', async () => {
    await withServer(
      (request, response) => {
        const bytes = !request.url?.includes('threads-all') && wasm(request.url);
        if (bytes) response.writeHead(200, headers).end(bytes);
        else response.writeHead(404).end();
      },
      async (base) => {
        const { data, runtime } = await outputOf(NEST.file, NEST.input, { wasmUrl: `${base}/dist/`, threads: 2 });
        assert.deepEqual([runtime.threads, runtime.threadsReason], [1, 'unsupported']);
        close(data, NEST.want);
      },
    );
  });
});

test("the caller's own file: the larger one has all, the other says so", async () => {
  const { file, input, want } = NEST;
  for (const given of [
    { wasmBinary: read('dist/tesserae-simd.wasm') },
    { wasmUrl: new URL('dist/tesserae-simd-threads.wasm', root) },
  ]) {
    for (const worker of [true, false]) {
      await assert.rejects(loadModel(file, { ...given, worker }), {
        code: 'ERR_WASM_ARCH',
        stage: 'environment',
        message: /arch "nest" is not in this \.wasm.* -all/,
      });
    }
  }
  for (const given of [
    { wasmBinary: read('dist/tesserae-simd-all.wasm') },
    { wasmUrl: new URL('dist/tesserae-simd-threads-all.wasm', root) },
  ]) {
    close((await outputOf(file, input, given)).data, want);
  }
});

test('a name that neither has, and a rare one with a wrong config', async () => {
  await assert.rejects(loadModel(safetensors([], { arch: 'regionvi', config: {} })), {
    code: 'ERR_CONFIG',
    message: /did you mean "regionvit"\?/,
  });
  await assert.rejects(loadModel(safetensors([], { arch: 'nest', config: { dim: -1 } })), {
    code: 'ERR_CONFIG',
    stage: 'model',
  });
});

describe('memory to share', () => {
  const { Memory } = WebAssembly;
  after(() => {
    WebAssembly.Memory = Memory;
  });

  test('there is none for the second: one thread', async () => {
    let shared = 0;
    /** @type {any} */ (WebAssembly).Memory = class {
      constructor(/** @type {any} */ about) {
        if (about.shared && shared++) throw new RangeError('could not allocate memory');
        return new Memory(about);
      }
    };
    const { data, runtime } = await outputOf(NEST.file, NEST.input, { worker: false, threads: 2 });
    assert.deepEqual([runtime.threads, runtime.threadsReason], [1, 'memory']);
    close(data, NEST.want);
  });
});
