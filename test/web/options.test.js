// Options, suggestions, errors across a worker's border. Alone: node --test test/web/options.test.js (needs no build)
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fromWire, TesseraeError, toWire } from '../../web/errors.js';
import { abortable, checkOptions, nearest } from '../../web/options.js';

test('an unknown option is refused with the one that was meant', () => {
  assert.throws(() => checkOptions({ topk: 3 }, ['topK', 'threshold'], 'classify'), {
    name: 'TesseraeError',
    code: 'ERR_ARGUMENT',
    stage: 'call',
    message: 'ERR_ARGUMENT: classify: unknown option "topk", did you mean "topK"?; known: topK, threshold',
  });
  assert.throws(
    () => checkOptions({ entirelyDifferent: 1 }, ['topK', 'threshold'], 'classify'),
    /known: topK, threshold/,
  );
  assert.deepEqual(checkOptions({ topK: 1 }, ['topK'], 'f'), { topK: 1 });
  assert.deepEqual(checkOptions(undefined, [], 'f'), {});
  for (const wrong of [null, 5, 'topK', ['topK']])
    assert.throws(() => checkOptions(wrong, ['topK'], 'f'), { code: 'ERR_ARGUMENT' });
  assert.throws(() => checkOptions({ signal: 'now' }, ['signal'], 'f'), /signal must be an AbortSignal/);
});

test('the nearest word is near', () => {
  assert.equal(nearest('onprogress', ['onProgress', 'cache']), 'onProgress');
  assert.equal(nearest('wasmURL', ['wasmUrl', 'wasmBinary']), 'wasmUrl');
  assert.equal(nearest('treads', ['threads', 'retries']), 'threads');
  assert.equal(nearest('banana', ['threads', 'retries']), undefined);
  assert.equal(nearest('x', []), undefined);
});

test('errors keep everything on their way out of a worker', () => {
  const cause = new Error('underneath');
  const error = new TesseraeError('ERR_FETCH_HTTP', 'HTTP 503', { detail: { status: 503 }, retryable: true, cause });
  assert.equal(error.message, 'ERR_FETCH_HTTP: HTTP 503');
  assert.equal(error.cause, cause);
  const copy = /** @type {any} */ (fromWire(structuredClone(toWire(error))));
  assert.ok(copy instanceof TesseraeError);
  assert.deepEqual({ ...copy }, { ...error });
  assert.equal(copy.message, error.message);
  assert.match(String(copy.cause), /underneath/);
  const other = fromWire(structuredClone(toWire(new RangeError('no'))));
  assert.equal(other.name, 'RangeError');
  assert.equal(other.message, 'no');
});

test('stages follow from codes, as in the core', () => {
  const stages = {
    ERR_ARGUMENT: 'call',
    ERR_SHAPE: 'call',
    ERR_DISPOSED: 'call',
    ERR_FETCH_RANGE: 'fetch',
    ERR_INTEGRITY: 'fetch',
    ERR_CONFIG: 'model',
    ERR_MODEL_DTYPE: 'model',
    ERR_IMAGE_FORMAT: 'image',
    ERR_OUT_OF_MEMORY: 'memory',
    ERR_NO_SIMD: 'environment',
    ERR_WASM_COMPILE: 'environment',
    ERR_WORKER_FAILED: 'environment',
    ERR_INTERNAL_TRAP: 'environment',
  };
  const rows = [
    ...readFileSync(new URL('../../src/base/status.inc', import.meta.url), 'utf8').matchAll(/"(ERR_\w+)",\s*"(\w+)"/g),
  ];
  assert.ok(rows.length > 15, `${rows.length} rows`);
  for (const [, code, stage] of rows) assert.equal(new TesseraeError(code, '').stage, stage, code);
  for (const [code, stage] of Object.entries(stages)) assert.equal(new TesseraeError(code, '').stage, stage, code);
});

test('abortable rejects at once, with the reason, and leaves no listener', async () => {
  const controller = new AbortController();
  const never = abortable(new Promise(() => {}), controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(never, (error) => error === reason);
  await assert.rejects(abortable(new Promise(() => {}), controller.signal), (error) => error === reason);
  assert.equal(await abortable(Promise.resolve(1)), 1);
});
