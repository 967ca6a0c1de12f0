// The development server: headers, MIME types, ranges, and that nothing outside its folder gets out.
// Run alone: node --test test/serve.test.js
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseRange, serve } from '../scripts/dev/serve.mjs';

const BODY = '0123456789';
let base = '',
  folder = '';
/** @type {Awaited<ReturnType<typeof serve>>} */
let server;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-serve-'));
  const root = join(folder, 'root');
  mkdirSync(join(root, 'sub'), { recursive: true });
  mkdirSync(join(root, '.git'));
  mkdirSync(join(folder, 'root-beside')); // shares the root's name as a prefix
  writeFileSync(join(folder, 'secret.txt'), 'secret');
  writeFileSync(join(folder, 'root-beside', 'secret.txt'), 'secret');
  writeFileSync(join(root, '.git', 'config'), 'secret');
  writeFileSync(join(root, 'sub', 'index.html'), '<!doctype html>');
  for (const name of ['a.wasm', 'a.safetensors', 'a.mjs', 'a.js', 'a b.bin', 'a.unknown', 'A.PNG']) {
    writeFileSync(join(root, name), BODY);
  }
  writeFileSync(join(root, 'empty.bin'), '');
  symlinkSync(join(folder, 'secret.txt'), join(root, 'link.txt'));
  symlinkSync(join(folder, 'root-beside'), join(root, 'beside'));
  server = await serve({ port: 0, root });
  base = server.url;
});

after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/**
 * A request whose path is sent as written: fetch would resolve `..` itself.
 * @returns {Promise<{status: number, body: string}>}
 */
function raw(path, options = {}) {
  return new Promise((done, failed) => {
    const { hostname, port } = new URL(base);
    request({ hostname, port, path, ...options }, (response) => {
      let body = '';
      response
        .setEncoding('utf8')
        .on('data', (part) => (body += part))
        .on('end', () => done({ status: response.statusCode, body }));
    })
      .on('error', failed)
      .end();
  });
}

test('every answer is cross-origin isolated', async () => {
  for (const path of ['sub/', 'a.js', 'missing.js']) {
    const response = await fetch(base + path);
    await response.arrayBuffer();
    assert.equal(response.headers.get('cross-origin-opener-policy'), 'same-origin', path);
    assert.equal(response.headers.get('cross-origin-embedder-policy'), 'require-corp', path);
    assert.equal(response.headers.get('cross-origin-resource-policy'), 'same-origin', path);
  }
});

test('pages carry the strict policy', async () => {
  const response = await fetch(base + 'sub/');
  assert.equal(response.status, 200);
  assert.equal(await response.text(), '<!doctype html>');
  const policy = response.headers.get('content-security-policy');
  assert.match(policy, /script-src 'self' 'wasm-unsafe-eval'(;|$)/);
  assert.match(policy, /worker-src 'self'(;|$)/);
  assert.doesNotMatch(policy, /'unsafe-(eval|inline)'/);
  assert.match(policy, /connect-src 'self' https: http:\/\/localhost:/, 'models come from other sites');
});

test('MIME types', async () => {
  const types = {
    'sub/': 'text/html',
    'a.wasm': 'application/wasm',
    'a.safetensors': 'application/octet-stream',
    'a.mjs': 'text/javascript',
    'a.js': 'text/javascript',
    'a%20b.bin': 'application/octet-stream',
    'a.unknown': 'application/octet-stream',
    'A.PNG': 'image/png',
  };
  for (const [path, type] of Object.entries(types)) {
    const response = await fetch(base + path);
    await response.arrayBuffer();
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get('content-type').split(';')[0], type, path);
  }
});

test('a query does not change the file; a missing one is a 404 in words', async () => {
  assert.equal(await (await fetch(base + 'a.js?v=1')).text(), BODY);
  const response = await fetch(base + 'missing.js');
  assert.equal(response.status, 404);
  assert.match(response.headers.get('content-type'), /^text\/plain/);
  assert.match(await response.text(), /Not found: \/missing\.js/);
});

test('ranges', async () => {
  const cases = [
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-30', 206, BODY, 'bytes 0-9/10'],
    ['bytes=8-100', 206, '89', 'bytes 8-9/10'],
    ['bytes=0-0', 206, '0', 'bytes 0-0/10'],
    ['bytes=0-1,4-5', 200, BODY, null],
    ['bytes=4-2', 200, BODY, null],
    ['lines=1-2', 200, BODY, null],
    ['bytes=10-', 416, null, 'bytes */10'],
    ['bytes=-0', 416, null, 'bytes */10'],
  ];
  for (const [range, status, body, contentRange] of cases) {
    const response = await fetch(base + 'a.safetensors', { headers: { range } });
    const text = await response.text();
    assert.equal(response.status, status, range);
    assert.equal(response.headers.get('content-range'), contentRange, range);
    if (body !== null) {
      assert.equal(text, body, range);
      assert.equal(response.headers.get('content-length'), String(body.length), range);
    }
  }
  assert.equal((await fetch(base + 'empty.bin', { headers: { range: 'bytes=0-' } })).status, 416);
  assert.equal(parseRange(undefined, 10), null);
});

test('a range is honoured only while the file is still the one it began with', async () => {
  const etag = (await fetch(base + 'a.safetensors', { method: 'HEAD' })).headers.get('etag');
  const same = await fetch(base + 'a.safetensors', { headers: { range: 'bytes=2-4', 'if-range': etag } });
  assert.deepEqual([same.status, await same.text()], [206, '234']);
  const changed = await fetch(base + 'a.safetensors', { headers: { range: 'bytes=2-4', 'if-range': '"other"' } });
  assert.deepEqual([changed.status, await changed.text()], [200, BODY]);
  const cached = await fetch(base + 'a.safetensors', { headers: { 'if-none-match': etag }, cache: 'no-store' });
  assert.equal(cached.status, 304);
});

test('HEAD has the length and no body; an empty file is empty; other methods are refused', async () => {
  const head = await fetch(base + 'a.js', { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), '10');
  assert.equal(await head.text(), '');
  assert.equal(await (await fetch(base + 'empty.bin')).text(), '');
  assert.equal((await raw('/a.js', { method: 'POST' })).status, 405);
});

test('nothing outside the folder, and nothing hidden, is served', async () => {
  const paths = [
    '/../secret.txt',
    '/sub/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/sub/%2e%2e%2f%2e%2e%2fsecret.txt',
    '/..\\secret.txt',
    '/%5c..%5csecret.txt',
    '/../root-beside/secret.txt',
    '/link.txt',
    '/beside/secret.txt',
    '/.git/config',
    '/%2egit/config',
    '//../secret.txt',
    '/a.js%00.html',
    '/%',
    '/%ff',
    'secret.txt',
    join(folder, 'secret.txt'),
  ];
  for (const path of paths) {
    const { status, body } = await raw(path);
    assert.ok(status === 404 || status === 400, `${path}: ${status}`);
    assert.notEqual(body, 'secret', path);
  }
});

test('close() ends it', async () => {
  const other = await serve({ port: 0, root: folder });
  assert.equal((await fetch(other.url + 'secret.txt')).status, 200);
  await other.close();
  await assert.rejects(fetch(other.url + 'secret.txt'));
});
