// loadModel and the model against the real core, in a worker and on the calling thread: results, and every kind of bad
// input.
// Alone: node --test test/web/load.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Engine } from '../../web/engine.js';
import { listArchitectures, loadModel, version } from '../../web/index.js';
import { compile } from '../../web/wasm.js';
import { drawInput, drawTensors, safetensors } from '../parity/weights.js';
import { png } from './png.js';
import { sendCut, sendRanged, withServer } from './server.js';

const root = new URL('../../', import.meta.url);
const golden = (name) => JSON.parse(readFileSync(new URL(`test/golden/models/${name}.json`, root), 'utf8'));
/** A golden case as a model file. */
function fileOf(name, about = {}) {
  const { arch, config, ...rest } = golden(name);
  return safetensors(drawTensors({ ...rest, arch, config }), { arch, config, ...about });
}
const VIT = golden('vit_tiny');
const CLASSES = VIT.config.num_classes;
const LABELS = Array.from({ length: CLASSES }, (_, i) => `label ${i}`);
const FILE = Buffer.from(fileOf('vit_tiny', { labels: LABELS }));
/** The golden inputs are a batch; one image of it is enough here. */
const DIMS = [1, ...VIT.inputs.image.slice(1)];
const BATCH = { data: drawInput('vit_tiny', 'image', VIT.inputs.image), dims: VIT.inputs.image };
const IMAGE = {
  data: BATCH.data.slice(
    0,
    DIMS.reduce((a, b) => a * b),
  ),
  dims: DIMS,
};
const EXPECTED = new Float32Array(Uint8Array.from(Buffer.from(VIT.output.data, 'base64')).buffer).slice(0, CLASSES);

const close = (got, want, tolerance = 1e-4) => {
  const largest = Math.max(...want.map(Math.abs));
  assert.equal(got.length, want.length);
  got.forEach((value, i) =>
    assert.ok(Math.abs(value - want[i]) <= tolerance * largest, `${i}: ${value}, expected ${want[i]}`),
  );
};

test("importing has no side effects, and the version is the package's", async () => {
  assert.equal(version, JSON.parse(readFileSync(new URL('package.json', root), 'utf8')).version);
  const list = await listArchitectures();
  assert.ok(list.some(({ arch }) => arch === 'vit'));
});

for (const worker of [true, false]) {
  describe(worker ? 'in a worker' : 'on the calling thread', () => {
    const load = (source, options = {}) => loadModel(source, { worker, retries: 0, ...options });
    /** @type {import('../../web/model.js').Model} */
    let model;
    let baseline = 0;
    before(async () => {
      model = await load(FILE);
      // the largest answer first: the core keeps its text buffers at the size they had
      await model.forward(IMAGE, { capture: '*' });
      await model.classify(IMAGE);
      baseline = model.memory().bytes;
    });
    after(() => model.dispose());

    /** After a failure: the right answer still comes, and the core holds as many bytes as before. */
    const stillFine = async () => {
      const { output } = await model.forward(IMAGE);
      close(output.data, EXPECTED);
      await model.classify(IMAGE);
      assert.equal(model.memory().bytes, baseline, 'bytes in use after the call');
    };

    test('the runtime says what it runs on', () => {
      const threads = Math.min(4, availableParallelism());
      assert.deepEqual(
        { ...model.runtime, relaxedSimd: null },
        {
          simd: true,
          relaxedSimd: null,
          threads,
          threadsReason: threads > 1 ? null : 'unsupported',
          worker,
          workerReason: worker ? null : 'requested',
        },
      );
      const { bytes, peak, wasm } = model.memory();
      assert.ok(bytes > 0 && peak >= bytes && wasm > bytes);
    });

    test("the reference's logits, as classes", async () => {
      const { output, captures } = await model.forward(IMAGE, { capture: 'blocks.0.attn' });
      close(output.data, EXPECTED);
      assert.deepEqual(output.dims, [1, CLASSES]);
      assert.deepEqual(Object.keys(captures), ['blocks.0.attn']);
      assert.equal(captures['blocks.0.attn'].kind, 'attention');
      const list = await model.classify(IMAGE, { topK: CLASSES });
      assert.equal(list.length, CLASSES);
      assert.equal(list[0].label, LABELS[EXPECTED.indexOf(Math.max(...EXPECTED))]);
      const lists = await model.classify(BATCH);
      assert.equal(lists.length, BATCH.dims[0], 'a list for each image of a batch');
      list.slice(0, 5).forEach(({ label, score }, i) => {
        assert.equal(lists[0][i].label, label);
        assert.ok(Math.abs(lists[0][i].score - score) < 1e-6);
      });
      await stillFine();
    });

    test('pictures: pixels, encoded, by path, as Blob; arrays give arrays', async () => {
      const picture = png(40, 30);
      const [h, w] = model.info.preprocess.size;
      const folder = mkdtempSync(join(tmpdir(), 'tesserae-'));
      try {
        const path = join(folder, 'a.png');
        writeFileSync(path, picture);
        const pixels = { data: new Uint8Array(40 * 30 * 3), width: 40, height: 30, channels: 3 };
        const lists = await model.classify([pixels, new Uint8Array(picture), new Blob([picture]), path]);
        for (const list of lists) assert.deepEqual(list, lists[0]);
        const { data, dims, fitted } = await model.preprocess(path);
        assert.deepEqual(dims, [1, 3, h, w]);
        assert.deepEqual({ length: data.length, fitted: fitted.data.length }, { length: 3 * h * w, fitted: 3 * h * w });
        const {
          patchSize,
          grid,
          dims: [n],
        } = await model.patches(path);
        assert.equal(n, grid[0] * grid[1]);
        assert.deepEqual(patchSize, [h / grid[0], w / grid[1]]);
      } finally {
        rmSync(folder, { recursive: true });
      }
      await stillFine();
    });

    test('a picture of 1 x 1 is a picture', async () => {
      assert.ok((await model.classify({ data: new Uint8Array([200, 100, 0]), width: 1, height: 1 })).length);
      assert.ok((await model.classify(new Uint8Array(png(1, 1)))).length);
      await stillFine();
    });

    test('attention: rows sum to 1; the mean, all heads and one head agree; rollout', async () => {
      const all = await model.attention(IMAGE, { heads: 'all', layers: 'all' });
      const [layers, heads, n] = all.dims;
      assert.deepEqual(
        all.layers,
        Array.from({ length: layers }, (_, i) => i),
      );
      for (let row = 0; row < layers * heads * n; row++) {
        const sum = all.data.subarray(row * n, (row + 1) * n).reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - 1) < 1e-5, `row ${row} sums to ${sum}`);
      }
      const last = await model.attention(IMAGE);
      assert.deepEqual(last.dims, [1, 1, n, n]);
      const one = await model.attention(IMAGE, { heads: heads - 1 });
      const area = n * n;
      for (let i = 0; i < area; i++) {
        let mean = 0;
        for (let h = 0; h < heads; h++) mean += all.data[((layers - 1) * heads + h) * area + i] / heads;
        assert.ok(Math.abs(last.data[i] - mean) < 1e-6);
        assert.equal(one.data[i], all.data[(layers * heads - 1) * area + i]);
      }
      assert.deepEqual(last.map, last.data.slice(last.prefixTokens, n), "the class token's row");
      assert.equal(last.map?.length, last.grid[0] * last.grid[1]);
      const rolled = await model.attention(IMAGE, { rollout: true });
      assert.deepEqual(rolled.dims, [n, n]);
      const means = await model.attention(IMAGE, { layers: 'all' });
      /** Abnar and Zuidema's product, the last layer on the left, as they write it. */
      let product = Array.from({ length: n * n }, (_, at) => Number(at % (n + 1) === 0));
      for (let layer = 0; layer < means.dims[0]; layer++) {
        const step = Array.from(
          means.data.subarray(layer * n * n, (layer + 1) * n * n),
          (v, at) => (v + Number(at % (n + 1) === 0)) / 2,
        ); // rows of A + I sum to 2
        product = product.map((_, at) =>
          step.slice(at - (at % n), at - (at % n) + n).reduce((sum, v, k) => sum + v * product[k * n + (at % n)], 0),
        );
      }
      close([...rolled.data], product, 1e-6);
      await stillFine();
    });

    test('attention of some layers and heads, in the order asked for', async () => {
      const all = await model.attention(IMAGE, { heads: 'all', layers: 'all' });
      const [layers, heads, n] = all.dims;
      const part = (layer, head) =>
        all.data.subarray((layer * heads + head) * n * n, (layer * heads + head + 1) * n * n);
      const some = await model.attention(IMAGE, { layers: [-1, 0, -layers], heads: [heads - 1, 0] });
      assert.deepEqual(some.layers, [layers - 1, 0, 0]);
      assert.deepEqual(some.dims, [3, 2, n, n]);
      assert.deepEqual(
        some.data,
        Float32Array.from(
          [
            part(layers - 1, heads - 1),
            part(layers - 1, 0),
            part(0, heads - 1),
            part(0, 0),
            part(0, heads - 1),
            part(0, 0),
          ].flatMap((p) => [...p]),
        ),
      );
      const first = await model.attention(IMAGE, { layers: 0, heads: 1 });
      assert.deepEqual(first.data, part(0, 1));
      assert.deepEqual((await model.attention(IMAGE, { layers: -layers, heads: 1 - heads })).data, first.data);
      assert.deepEqual(first.map, first.data.slice(1, n), 'the map is of these heads');
      await stillFine();
    });

    test('attention that is not there', async () => {
      const {
        attn: { length },
      } = { attn: model.info.taps.filter(({ kind }) => kind === 'attention') };
      for (const [options, message] of /** @type {[any, RegExp][]} */ ([
        [
          { layers: [length] },
          new RegExp(
            `attention option "layers" is \\[${length}\\]; expected "all", or indices from 0 to ${length - 1}, ` +
              `negative from the end$`,
          ),
        ],
        [{ layers: -length - 1 }, /"layers" is -\d; expected/],
        [{ layers: [0.5] }, /"layers" is \[0\.5\]; expected/],
        [{ layers: [] }, /"layers" is \[\]; expected/],
        [{ layers: 'last' }, /"layers" is "last"; expected/],
        [{ layers: ['0'] }, /"layers" is \["0"\]; expected/],
        [{ layers: Array.from({ length: 300 }, () => 0) }, /300 layers asked for; at most 255/],
        [
          { heads: 'most' },
          /attention option "heads" is "most"; expected "mean", "all", or indices from 0 to \d, negative from the end$/,
        ],
        [{ heads: [-99] }, /"heads" is \[-99\]; expected/],
        [{ heads: [0, 0.5] }, /"heads" is \[0,0\.5\]; expected/],
        [{ heads: NaN }, /"heads" is null; expected/],
        [{ rollout: 'yes' }, /"rollout" is neither true nor false/],
      ])) {
        await assert.rejects(model.attention(IMAGE, options), (/** @type {any} */ error) => {
          assert.equal(error.code, 'ERR_ARGUMENT');
          assert.match(error.message, message);
          return true;
        });
      }
      // 2^30 floats and a few: as many bytes as 32 bits hold none of
      const {
        dims: [, , n],
      } = await model.attention(IMAGE);
      const heads = Array.from({ length: Math.ceil(2 ** 30 / (250 * n * n)) }, () => 0);
      await assert.rejects(model.attention(IMAGE, { layers: Array.from({ length: 250 }, () => 0), heads }), {
        code: 'ERR_OUT_OF_MEMORY',
      });
      await assert.rejects(model.attention(BATCH, { rollout: true }), {
        code: 'ERR_ARGUMENT',
        message: /attention: rollout needs one square matrix a head, of one image; blocks\.0\.attn is \[2,.*\]$/,
      });
      await stillFine();
    });

    test('attention of several images in one tensor has a dim for them', async () => {
      const {
        data,
        dims: [batch, ...dims],
      } = BATCH;
      const whole = await model.attention(BATCH);
      const parts = [];
      for (let b = 0; b < batch; b++)
        parts.push(
          await model.attention({
            data: data.subarray((b * data.length) / batch, ((b + 1) * data.length) / batch),
            dims: [1, ...dims],
          }),
        );
      assert.deepEqual([whole.dims, whole.map], [[1, batch, ...parts[0].dims.slice(1)], null]);
      close(
        [...whole.data],
        parts.flatMap((part) => [...part.data]),
        1e-6,
      );
      await stillFine();
    });

    test('embed pools the tokens, of each image of a batch, to length 1', async () => {
      await assert.rejects(model.embed(BATCH, { pooling: /** @type {any} */ ('mena') }), {
        code: 'ERR_ARGUMENT',
        message: /"pooling" is mena; expected one of 'auto', 'cls', 'mean'/,
      });
      await assert.rejects(model.embed(BATCH, { normalize: /** @type {any} */ (2) }), {
        code: 'ERR_ARGUMENT',
        message: /"normalize" is neither true nor false/,
      });
      const { tokens, embedding } = (await model.forward(BATCH, { capture: ['tokens', 'embedding'] })).captures;
      const [batch, n, width] = tokens.dims;
      /** Rows [from, to) of the tokens of each image, averaged. */
      const pooled = (from, to) =>
        Array.from({ length: batch * width }, (_, i) => {
          let sum = 0;
          for (let row = from; row < to; row++)
            sum += tokens.data[(Math.floor(i / width) * n + row) * width + (i % width)];
          return sum / (to - from);
        });
      const wanted = { auto: [...embedding.data], cls: pooled(0, 1), mean: pooled(tokens.prefixTokens, n) };
      for (const [pooling, raw] of /** @type {['auto' | 'cls' | 'mean', number[]][]} */ (Object.entries(wanted))) {
        const { data, dims } = await model.embed(BATCH, { pooling, normalize: false });
        assert.deepEqual(dims, [batch, width]);
        close([...data], raw, 1e-6);
        const unit = await model.embed(BATCH, { pooling });
        for (let b = 0; b < batch; b++) {
          const [row, length] = [
            unit.data.subarray(b * width, (b + 1) * width),
            Math.hypot(...raw.slice(b * width, (b + 1) * width)),
          ];
          close(
            [...row],
            raw.slice(b * width, (b + 1) * width).map((v) => v / length),
            1e-6,
          );
        }
      }
      await stillFine();
    });

    const bad = /** @type {const} */ ([
      [
        'NaN in a tensor',
        () => ({
          ...IMAGE,
          data: IMAGE.data.with?.(7, NaN) ?? Float32Array.from(IMAGE.data, (v, i) => (i === 7 ? NaN : v)),
        }),
        'ERR_ARGUMENT',
        /index 7/,
      ],
      [
        'infinity in a tensor',
        () => ({ ...IMAGE, data: Float32Array.from(IMAGE.data, (v, i) => (i === 9 ? -Infinity : v)) }),
        'ERR_ARGUMENT',
        /index 9/,
      ],
      [
        "dims that are not the data's",
        () => ({ data: IMAGE.data, dims: [1, 3, 1, 1] }),
        'ERR_SHAPE',
        /do not describe/,
      ],
      [
        'dims that wrap',
        () => ({ data: IMAGE.data, dims: [-1, -3, ...IMAGE.dims.slice(2)] }),
        'ERR_SHAPE',
        /do not describe/,
      ],
      ['a tensor of the wrong shape', () => ({ data: new Float32Array(30), dims: [1, 3, 2, 5] }), 'ERR_SHAPE', /./],
      ['text as a picture', () => new TextEncoder().encode('This is no picture at all.'), 'ERR_IMAGE_FORMAT', /text/],
      ['an empty file', () => new Uint8Array(0), 'ERR_IMAGE_FORMAT', /./],
      ['a GIF', () => Buffer.from('GIF89a\x01\0\x01\0'), 'ERR_IMAGE_FORMAT', /GIF/],
      ['a truncated PNG', () => png(40, 30).subarray(0, 60), 'ERR_IMAGE_CORRUPT', /./],
      ['a PNG of 8193 pixels', () => png(10, 10, 8193), 'ERR_IMAGE_TOO_LARGE', /8193/],
      [
        'pixels of 8193',
        () => ({ data: new Uint8Array(8193 * 3), width: 8193, height: 1 }),
        'ERR_IMAGE_TOO_LARGE',
        /8193/,
      ],
    ]);
    for (const [what, input, code, message] of bad) {
      test(`bad input: ${what}`, async () => {
        await assert.rejects(model.classify(/** @type {any} */ (input())), (/** @type {any} */ error) => {
          assert.equal(error.name, 'TesseraeError');
          assert.equal(error.code, code, error.message);
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(`${code}: `));
          return true;
        });
        await stillFine();
      });
    }

    test('bad requests', async () => {
      await assert.rejects(model.forward(IMAGE, { capture: ['blocks.9.attn'] }), {
        code: 'ERR_ARGUMENT',
        message: /blocks/,
      });
      await stillFine();
      await assert.rejects(model.forward(IMAGE, { options: { iterations: 3 } }), { code: 'ERR_ARGUMENT' });
      await stillFine();
      await assert.rejects(model.forward(IMAGE, { inputs: { levels: IMAGE } }), {
        code: 'ERR_ARGUMENT',
        message: /levels/,
      });
      await stillFine();
    });

    test('many calls at once, and memory does not creep', async () => {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          i % 3
            ? model.classify(IMAGE)
            : model.classify(/** @type {any} */ (new Uint8Array([1, 2, 3]))).catch(({ code }) => code),
        ),
      );
      results.forEach((result, i) =>
        i % 3 ? assert.deepEqual(result, results[1]) : assert.equal(result, 'ERR_IMAGE_FORMAT'),
      );
      await stillFine();
    });

    test('progress never goes back and ends at 1', async () => {
      await withServer(
        (request, response) => response.end(FILE),
        async (base) => {
          const events = [];
          const loaded = await load(`${base}/m`, { warmup: true, onProgress: (event) => events.push(event) });
          await loaded.dispose();
          assert.deepEqual(
            [...new Set(events.map(({ phase }) => phase))],
            ['wasm', 'weights', 'compile', 'warmup', 'ready'],
          );
          for (let i = 1; i < events.length; i++) {
            assert.ok(events[i].ratio >= events[i - 1].ratio, 'ratio');
            assert.ok(events[i].loaded >= events[i - 1].loaded, 'loaded');
          }
          assert.deepEqual(events.at(-1), {
            phase: 'ready',
            loaded: FILE.length,
            total: FILE.length,
            ratio: 1,
            fromCache: false,
          });
          assert.ok(events.filter(({ phase }) => phase === 'weights').every(({ total }) => total === FILE.length));
        },
      );
    });

    test('progress does not go back when a download starts over', async () => {
      await withServer(
        (request, response, n) => (n ? response.end(FILE) : sendCut(response, FILE, FILE.length - 100)),
        async (base) => {
          const events = [];
          const loaded = await load(`${base}/m`, { retries: 2, onProgress: (event) => events.push(event) });
          close((await loaded.forward(IMAGE)).output.data, EXPECTED);
          await loaded.dispose();
          for (let i = 1; i < events.length; i++)
            assert.ok(events[i].ratio >= events[i - 1].ratio && events[i].loaded >= events[i - 1].loaded);
          assert.equal(events.at(-1).ratio, 1);
        },
      );
    });

    test('a download that goes on where it broke gives the same model', async () => {
      const etag = '"one"';
      await withServer(
        (request, response, n) =>
          n ? sendRanged(request, response, FILE, etag) : sendCut(response, FILE, FILE.length >> 1, { etag }),
        async (base, requests) => {
          const integrity = `sha256-${createHash('sha256').update(FILE).digest('base64')}`;
          const loaded = await load(`${base}/m`, { retries: 1, integrity });
          close((await loaded.forward(IMAGE)).output.data, EXPECTED);
          await loaded.dispose();
          assert.ok(requests[1].headers.range);
        },
      );
    });

    const files = /** @type {const} */ ([
      ['truncated', () => FILE.subarray(0, FILE.length - 10), 'ERR_FETCH_TRUNCATED'],
      ['cut in the header', () => FILE.subarray(0, 100), 'ERR_FETCH_TRUNCATED'],
      ['too long', () => Buffer.concat([FILE, Buffer.alloc(3)]), 'ERR_MODEL_OFFSETS'],
      [
        'an HTML page',
        () => Buffer.from('<!doctype html><html><body>Not found</body></html>'),
        'ERR_FETCH_CONTENT_TYPE',
      ],
      ['noise', () => Buffer.alloc(500, 255), 'ERR_MODEL_HEADER'],
      ['an unknown architecture', () => safetensors([], { arch: 'vti', config: {} }), 'ERR_CONFIG'],
      ['a missing tensor', () => safetensors(drawTensors(VIT).slice(1), VIT), 'ERR_MODEL_TENSOR_MISSING'],
    ]);
    for (const [what, file, code] of files) {
      test(`bad file: ${what}`, async () => {
        await assert.rejects(load(new Uint8Array(file())), (/** @type {any} */ error) => {
          assert.equal(error.code, code, error.message);
          return error.name === 'TesseraeError';
        });
      });
    }

    test('integrity', async () => {
      await assert.rejects(
        load(FILE, { integrity: `sha256-${createHash('sha256').update('other').digest('base64')}` }),
        { code: 'ERR_INTEGRITY', stage: 'fetch' },
      );
      await assert.rejects(load(FILE, { integrity: 'md5-abc' }), { code: 'ERR_ARGUMENT' });
    });

    test('servers that fail', async () => {
      await withServer(
        (request, response) => response.writeHead(404).end(),
        (base) => assert.rejects(load(`${base}/m`), { code: 'ERR_FETCH_HTTP' }),
      );
      await withServer(
        (request, response) => sendCut(response, FILE, FILE.length >> 1),
        (base) => assert.rejects(load(`${base}/m`), { code: 'ERR_FETCH_NETWORK', retryable: true }),
      );
      await withServer(
        (request, response) => response.end(FILE.subarray(0, 9000)),
        (base) => assert.rejects(load(`${base}/m`), { code: 'ERR_FETCH_TRUNCATED', retryable: true }),
      );
    });

    test('an abort while loading rejects at once with the reason', async () => {
      await withServer(
        (request, response) => {
          response.writeHead(200, { 'content-length': FILE.length });
          response.write(FILE.subarray(0, 10_000));
        },
        async (base, requests) => {
          const controller = new AbortController();
          const reason = new Error('enough');
          const loading = load(`${base}/m`, {
            signal: controller.signal,
            onProgress: ({ loaded }) => loaded && controller.abort(reason),
          });
          await assert.rejects(loading, (error) => error === reason);
          if (!requests[0].socket.destroyed)
            await new Promise((resolve) => {
              requests[0].socket.once('close', resolve);
            });
        },
      );
      await assert.rejects(load(FILE, { signal: AbortSignal.abort('no') }), (error) => error === 'no');
    });

    test('an abort of a call leaves the model usable', async () => {
      const controller = new AbortController();
      const call = model.classify([IMAGE, IMAGE, IMAGE], { signal: controller.signal });
      controller.abort();
      await assert.rejects(call, { name: 'AbortError' });
      await stillFine();
    });

    test('dispose', async () => {
      const other = await load(FILE);
      const pending = assert.rejects(other.classify(IMAGE), { code: 'ERR_DISPOSED' });
      await other.dispose();
      await pending;
      await assert.rejects(other.classify(IMAGE), { code: 'ERR_DISPOSED' });
      assert.deepEqual(other.memory(), { bytes: 0, peak: 0, wasm: 0 });
    });

    test('options', async () => {
      await assert.rejects(load(FILE, /** @type {any} */ ({ onprogress() {} })), /did you mean "onProgress"/);
      await assert.rejects(load(FILE, /** @type {any} */ ({ dtype: 'q4' })), {
        code: 'ERR_ARGUMENT',
        message: /loadModel: dtype is "q4"; give "auto" or "f32" or "q8"/,
      });
      await assert.rejects(load(FILE, { threads: 0 }), { code: 'ERR_ARGUMENT' });
      await assert.rejects(load(/** @type {any} */ (null)), { code: 'ERR_ARGUMENT' });
      await assert.rejects(load(FILE, { wasmBinary: new Uint8Array(8) }), {
        code: 'ERR_WASM_COMPILE',
        stage: 'environment',
      });
      await assert.rejects(load(FILE, { wasmUrl: new URL('no/such.wasm', root) }), {
        code: 'ERR_WASM_COMPILE',
        message: /such\.wasm.*pass wasmUrl/s,
      });
      const given = await load(FILE, {
        wasmBinary: readFileSync(new URL('dist/tesserae-simd.wasm', root)),
        threads: 1,
      });
      assert.deepEqual([given.runtime.relaxedSimd, given.runtime.threadsReason], [null, 'requested']);
      await given.dispose();
      const foldered = await load(FILE, { wasmUrl: new URL('dist/', root), deterministic: true });
      assert.equal(foldered.runtime.relaxedSimd, false);
      await foldered.dispose();
    });

    test("a caller's decoder", async () => {
      const other = await load(FILE, {
        decode: (bytes) => ({ data: new Uint8Array(12).fill(bytes[0]), width: 2, height: 2 }),
      });
      const list = await other.classify(new TextEncoder().encode('any format'));
      assert.deepEqual(list, await model.classify({ data: new Uint8Array(12).fill(97), width: 2, height: 2 }));
      await other.dispose();
    });

    test('8 bits: near the reference, and smaller', async () => {
      const small = await load(FILE, { dtype: 'q8' });
      assert.equal(small.info.dtype, 'q8');
      assert.ok(small.info.weights_bytes < model.info.weights_bytes);
      close((await small.forward(IMAGE)).output.data, EXPECTED, 0.1);
      await small.dispose();
    });
  });
}

/**
 * A tiny model of the golden data, and a picture for it.
 * @param {string} name @returns {Promise<[import('../../web/index.js').Model, any]>}
 */
async function tiny(name) {
  const dims = [1, ...golden(name).inputs.image.slice(1)];
  return [await loadModel(fileOf(name), { worker: false }), { data: drawInput(name, 'image', dims), dims }];
}

test('models without class token, head or tokens, attention that is not square: what there is instead', async () => {
  const [plain, input] = await tiny('simple_vit_tiny');
  await assert.rejects(plain.embed(input, { pooling: 'cls' }), {
    code: 'ERR_ARGUMENT',
    message: /embed: the model has no class token \(pooling "mean" needs none\); info\.taps lists/,
  });
  const { data, map } = await plain.attention(input);
  const n = Math.sqrt(data.length);
  const columns = Array.from(
    { length: n },
    (_, j) => Array.from({ length: n }, (__, i) => data[i * n + j]).reduce((a, b) => a + b) / n,
  );
  close([...map], columns, 1e-6); // no class token: all tokens alike
  await plain.dispose();
  for (const [name, pooling] of /** @type {[string, 'cls' | 'mean'][]} */ ([
    ['vit_headless', 'cls'],
    ['vit_headless_mean', 'mean'],
  ])) {
    const [model, picture] = await tiny(name);
    assert.deepEqual(await model.embed(picture), await model.embed(picture, { pooling }), name);
    await model.dispose();
  }
  const [cait, photo] = await tiny('cait_tiny');
  const [cls, behind] = [await cait.attention(photo), await cait.attention(photo, { layers: -2 })];
  assert.deepEqual([cls.dims[2], cls.map], [1, cls.data.slice(1)], 'a class token alone that looks');
  assert.equal(behind.map?.length, cls.map?.length);
  await cait.dispose();
  const [cvt, scene] = await tiny('cvt_tiny');
  const coarse = await cvt.attention(scene, { layers: 0 });
  const [rows, seen] = coarse.dims.slice(-2);
  assert.ok(rows > seen, 'keys on a coarser grid than queries');
  close(
    [...(coarse.map ?? [])],
    Array.from({ length: seen }, (_, j) =>
      Array.from({ length: rows }, (__, i) => coarse.data[i * seen + j] / rows).reduce((a, b) => a + b),
    ),
    1e-6,
  );
  await cvt.dispose();
  const [layer, parts] = await tiny('spt_tiny');
  await assert.rejects(layer.embed(parts), {
    code: 'ERR_ARGUMENT',
    message: /embed: the model has no tokens; info\.taps lists/,
  });
  await layer.dispose();
  const [glom, noise] = await tiny('glom_tiny');
  const last = glom.info.taps.filter(({ kind }) => kind === 'attention').at(-1)?.name ?? '';
  const consensus = (await glom.forward(noise, { capture: last })).captures[last];
  assert.deepEqual(
    (await glom.attention(noise, { heads: 'all' })).data,
    consensus.data,
    'attention between columns, levels as heads',
  );
  await glom.dispose();
});

test('a trap poisons the instance: later calls fail fast, with the same code', async () => {
  const { module } = await compile({ deterministic: true, fetch, signal: new AbortController().signal });
  const engine = new Engine();
  engine.call('open', [module]);
  engine.call('begin', [{ dtype: 'auto' }]);
  engine.call('feed', [FILE]);
  engine.call('finish', []);
  const run = () => engine.call('run', [{ type: 'tensor', ...IMAGE }, {}]);
  close(run()[0].data, EXPECTED);
  engine.wasm = {
    ...engine.wasm,
    tsr_wasm_model_run() {
      throw new WebAssembly.RuntimeError('unreachable');
    },
  };
  assert.throws(run, { code: 'ERR_INTERNAL_TRAP', stage: 'environment', message: /unreachable.*load it again/ });
  engine.wasm = { ...engine.wasm, tsr_wasm_model_run: () => assert.fail('a poisoned instance ran') };
  assert.throws(run, { code: 'ERR_INTERNAL_TRAP' });
});

describe('workers that fail', () => {
  const threads = process.getBuiltinModule('node:worker_threads');
  const { Worker } = threads;
  after(() => {
    threads.Worker = Worker;
  });
  /** A model loaded while Worker is `replacement`. */
  const loadWith = async (replacement) => {
    threads.Worker = replacement;
    try {
      return await loadModel(FILE);
    } finally {
      threads.Worker = Worker;
    }
  };
  const runs = async (model, reason) => {
    assert.equal(model.runtime.worker, false);
    assert.match(model.runtime.workerReason, reason);
    assert.equal(model.runtime.threadsReason, model.runtime.workerReason, 'and threads are not tried');
    close((await model.forward(IMAGE)).output.data, EXPECTED);
    await model.dispose();
  };

  test('it cannot be made: the calling thread takes over', async () => {
    await runs(
      await loadWith(
        class {
          constructor() {
            throw new Error('no workers here');
          }
        },
      ),
      /failed: no workers here/,
    );
  });
  test('its script throws', async () => {
    await runs(
      await loadWith(
        class extends Worker {
          constructor() {
            super('throw new Error("broken script")', { eval: true });
          }
        },
      ),
      /failed: broken script/,
    );
  });
  test('it never says a word: 3 seconds', async () => {
    await runs(
      await loadWith(
        class extends Worker {
          constructor() {
            super('setInterval(() => {}, 1000)', { eval: true });
          }
        },
      ),
      /did not start within 3000 ms/,
    );
  });
  test('it dies later: calls reject instead of hanging', async () => {
    let made; // the first; the others are threads
    const model = await loadWith(
      class extends Worker {
        constructor(...args) {
          super(.../** @type {[any]} */ (args));
          made ??= this;
        }
      },
    );
    const pending = model.classify(IMAGE);
    made.terminate();
    await assert.rejects(pending, { code: 'ERR_WORKER_FAILED', stage: 'environment' });
    await assert.rejects(model.classify(IMAGE), { code: 'ERR_WORKER_FAILED' });
    await model.dispose();
  });
});

test('a model that is never disposed does not keep the process alive', async () => {
  const { spawn } = await import('node:child_process');
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-'));
  try {
    const path = join(folder, 'm.safetensors');
    writeFileSync(path, FILE);
    const script = `import { loadModel } from ${JSON.stringify(new URL('web/index.js', root).href)};
      const model = await loadModel(${JSON.stringify(path)});
      await model.classify({ data: new Uint8Array(12), width: 2, height: 2 }); console.log(model.runtime.worker);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    let output = '';
    child.stdout.on('data', (text) => {
      output += text;
    });
    child.stderr.on('data', (text) => {
      output += text;
    });
    const timer = setTimeout(() => child.kill(), 10_000);
    const code = await new Promise((resolve) => {
      child.on('close', resolve);
    });
    clearTimeout(timer);
    assert.equal(code, 0, output);
    assert.equal(output, 'true\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
