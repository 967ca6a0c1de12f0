// Downloads against servers that misbehave. Alone: node --test test/web/source.test.js (needs no build)
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openSource, RESTART } from '../../web/source.js';
import { safetensors } from '../parity/weights.js';
import { sendCut, sendRanged, withServer } from './server.js';

const FILE = Buffer.from(
  safetensors([{ name: 'w', dtype: 'F32', shape: [50_000], bytes: randomBytes(200_000) }], { arch: 'none' }),
);

/** Reads a source as loadModel does: what comes before RESTART does not count. */
async function readAll(source, { retries = 2, signal = new AbortController().signal, fetch = globalThis.fetch } = {}) {
  const opened = openSource(source, { fetch, signal, retries });
  let parts = [];
  let restarts = 0;
  for await (const chunk of opened.read()) {
    if (chunk === RESTART) {
      parts = [];
      restarts++;
    } else parts.push(chunk);
  }
  return { bytes: Buffer.concat(parts), restarts, total: opened.total() };
}
const same = (result) =>
  assert.ok(result.bytes.equals(FILE), `the bytes differ (${result.bytes.length} of ${FILE.length})`);

test('a plain answer', () =>
  withServer(
    (request, response) => response.end(FILE),
    async (base, requests) => {
      const result = await readAll(`${base}/m`);
      same(result);
      assert.equal(result.total, FILE.length, 'the length comes from the header: this answer has no Content-Length');
      assert.equal(requests[0].headers.range, undefined);
    },
  ));

test('404 is told at once and not tried again', () =>
  withServer(
    (request, response) => {
      response.writeHead(404).end('no');
    },
    async (base, requests) => {
      await assert.rejects(readAll(`${base}/m`), {
        code: 'ERR_FETCH_HTTP',
        stage: 'fetch',
        retryable: false,
        message: /\/m: HTTP 404 Not Found/,
      });
      assert.equal(requests.length, 1);
    },
  ));

test('503 is tried again', () =>
  withServer(
    (request, response, n) => {
      if (n) response.end(FILE);
      else response.writeHead(503).end();
    },
    async (base, requests) => {
      same(await readAll(`${base}/m`));
      assert.equal(requests.length, 2);
      await assert.rejects(
        withServer(
          (_, response) => response.writeHead(503).end(),
          (other) => readAll(`${other}/m`, { retries: 1 }),
        ),
        (error) => {
          assert.equal(error.code, 'ERR_FETCH_HTTP');
          assert.equal(error.detail.status, 503);
          return error.retryable;
        },
      );
    },
  ));

test('an HTML page with status 200', () =>
  withServer(
    (request, response) => {
      response
        .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
        .end('<!doctype html><title>Welcome</title>');
    },
    async (base, requests) => {
      await assert.rejects(readAll(`${base}/m`), { code: 'ERR_FETCH_CONTENT_TYPE', retryable: false });
      assert.equal(requests.length, 1);
    },
  ));

test('206 to a plain GET', () =>
  withServer(
    (request, response) => {
      response.writeHead(206, { 'content-range': `bytes 0-9/${FILE.length}` }).end(FILE.subarray(0, 10));
    },
    (base) => assert.rejects(readAll(`${base}/m`), { code: 'ERR_FETCH_RANGE', retryable: false }),
  ));

test('a Content-Length that is too small', () =>
  withServer(
    (request, response) => {
      response.writeHead(200, { 'content-length': 1000 }).end(FILE.subarray(0, 1000));
    },
    async (base, requests) => {
      await assert.rejects(readAll(`${base}/m`, { retries: 1 }), (error) => {
        assert.equal(error.code, 'ERR_FETCH_TRUNCATED');
        assert.equal(error.retryable, true);
        assert.equal(error.detail.total, FILE.length);
        return true;
      });
      assert.equal(requests.length, 2);
    },
  ));

test('a body cut in the middle of a tensor, without ranges: starts over', () =>
  withServer(
    (request, response, n) => {
      if (n) response.end(FILE);
      else sendCut(response, FILE, 50_000);
    },
    async (base, requests) => {
      const result = await readAll(`${base}/m`);
      same(result);
      assert.equal(result.restarts, 1);
      assert.equal(requests[1].headers.range, undefined, 'without a version there is nothing to go on with');
    },
  ));

test('a body cut in the middle, with ranges: goes on', () =>
  withServer(
    (request, response, n) => {
      if (n) sendRanged(request, response, FILE, '"v1"');
      else sendCut(response, FILE, 50_000, { etag: '"v1"' });
    },
    async (base, requests) => {
      const result = await readAll(`${base}/m`);
      same(result);
      assert.equal(result.restarts, 0);
      assert.equal(requests[1].headers['if-range'], '"v1"');
      assert.match(requests[1].headers.range, /^bytes=[1-9]\d*-$/);
    },
  ));

test('the file changed while it was cut: starts over with the new one', () =>
  withServer(
    (request, response, n) => {
      if (n) sendRanged(request, response, FILE, '"v2"');
      else sendCut(response, Buffer.from(FILE).fill(7, 1000), 50_000, { etag: '"v1"' });
    },
    async (base) => {
      const result = await readAll(`${base}/m`);
      same(result);
      assert.equal(result.restarts, 1);
    },
  ));

test('the file changed, and the server does not look at If-Range: starts over with the new one', () =>
  withServer(
    (request, response) => {
      const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
      if (first)
        response
          .writeHead(206, { etag: '"v2"', 'content-range': `bytes ${first}-${FILE.length - 1}/${FILE.length}` })
          .end(FILE.subarray(Number(first)));
      else if (request.headers['x-second']) response.end(FILE);
      else sendCut(response, Buffer.from(FILE).fill(7, 1000), 50_000, { etag: '"v1"' });
    },
    async (base, requests) => {
      const fetch = (/** @type {string} */ url, /** @type {any} */ init) =>
        globalThis.fetch(url, requests.length < 2 ? init : { ...init, headers: { ...init.headers, 'x-second': '1' } });
      same(await readAll(`${base}/m`, { fetch, retries: 3 }));
      assert.equal(requests.length, 3, 'cut, another version, whole');
    },
  ));

test('a weak ETag is no version', () =>
  withServer(
    (request, response, n) => {
      if (n) response.end(FILE);
      else sendCut(response, FILE, 50_000, { etag: 'W/"v1"' });
    },
    async (base, requests) => {
      same(await readAll(`${base}/m`));
      assert.equal(requests[1].headers.range, undefined);
    },
  ));

test('a server that sends another range than asked for', () =>
  withServer(
    (request, response, n) => {
      if (!n) sendCut(response, FILE, 50_000, { etag: '"v1"' });
      else if (request.headers.range)
        response
          .writeHead(206, { etag: '"v1"', 'content-range': `bytes 0-${FILE.length - 1}/${FILE.length}` })
          .end(FILE);
      else response.end(FILE);
    },
    async (base, requests) => {
      const result = await readAll(`${base}/m`, { retries: 3 });
      same(result);
      assert.equal(requests.length, 3, 'cut, wrong range, whole');
    },
  ));

test('always cut: gives up with the cause', () =>
  withServer(
    (request, response) => sendCut(response, FILE, 50_000),
    async (base, requests) => {
      await assert.rejects(readAll(`${base}/m`, { retries: 1 }), (error) => {
        assert.equal(error.code, 'ERR_FETCH_NETWORK');
        assert.equal(error.retryable, true);
        assert.ok(error.cause instanceof Error);
        return true;
      });
      assert.equal(requests.length, 2);
    },
  ));

test('nobody listens', () =>
  assert.rejects(readAll('http://127.0.0.1:9/m', { retries: 0 }), {
    code: 'ERR_FETCH_NETWORK',
    retryable: true,
    stage: 'fetch',
  }));

test('an abort in the middle ends the connection and rejects with the reason', () =>
  withServer(
    (request, response) => {
      response.writeHead(200, { 'content-length': FILE.length });
      response.write(FILE.subarray(0, 1000));
    },
    async (base, requests) => {
      const controller = new AbortController();
      const reason = new Error('the user left');
      const reading = readAll(`${base}/m`, { signal: controller.signal });
      setTimeout(() => controller.abort(reason), 100);
      await assert.rejects(reading, (error) => error === reason);
      await new Promise((resolve) => {
        requests[0].socket.once('close', resolve);
      });
      assert.equal(requests.length, 1);
    },
  ));

test('gzip on the way does not confuse lengths', () =>
  withServer(
    async (request, response) => {
      const { gzipSync } = await import('node:zlib');
      const packed = gzipSync(FILE);
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed);
    },
    async (base) => {
      const result = await readAll(`${base}/m`);
      same(result);
      assert.equal(result.total, FILE.length);
    },
  ));

test('Blobs, buffers, views, paths and file: addresses', async () => {
  const padded = Buffer.concat([Buffer.from('xx'), FILE]);
  same(await readAll(new Blob([FILE])));
  same(await readAll(new Uint8Array(FILE)));
  same(await readAll(new Uint8Array(FILE).buffer));
  same(await readAll(new Uint8Array(padded.buffer, padded.byteOffset + 2, FILE.length)));
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-'));
  try {
    const path = join(folder, 'm.safetensors');
    writeFileSync(path, FILE);
    same(await readAll(path));
    same(await readAll(pathToFileURL(path)));
    await assert.rejects(readAll(join(folder, 'none')), {
      code: 'ERR_ARGUMENT',
      message: /cannot read the file .*none/,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.throws(() => openSource(/** @type {any} */ (42), /** @type {any} */ ({})), { code: 'ERR_ARGUMENT' });
});

test('a caller keeps its buffer: chunks are copies', async () => {
  const mine = new Uint8Array([1, 2, 3]);
  const { value: chunk } = await openSource(mine, /** @type {any} */ ({}))
    .read()
    .next();
  assert.notEqual(chunk.buffer, mine.buffer);
});
