// Folders of checkpoints in Chromium, from a Hub on two other origins: CORS, redirects, the cache, tokens, a folder
// that the user picks. Alone: node --test test/browser/hub.test.js (after `make dist/tesserae-simd-all.wasm js`). What
// does not depend on the platform: test/web/hub.test.js
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { loadModel } from '../../web/index.js';
import { drawInput } from '../parity/weights.js';
import { clip, DIMS, sharded, vit } from '../web/checkpoints.js';
import { startHub } from '../web/hub_server.js';
import { PATIENCE, root, start, withoutWorkers } from './harness.js';

/** @type {Awaited<ReturnType<typeof start>>} */
let site;
/** @type {Awaited<ReturnType<typeof startHub>>} */
let hub;
/** @type {import('playwright-core').Page} */
let page;
/** What nobody caught. @type {string[]} */
const uncaught = [];
/** Logits of Node's, from the same build. @type {Record<string, number[]>} */
const want = {};
const folder = new URL(`build/test-hub-${process.pid}/`, root);
const data = [...drawInput('hub', 'image', DIMS)];

before(
  async () => {
    hub = await startHub();
    site = await start();
    // the page's policy allows its own origin alone; an application names the Hub there
    ({ page } = await site.open('demos/index.html', { bypassCSP: true }));
    page.on('pageerror', (error) => uncaught.push(String(error)));
    for (const [name, files] of Object.entries({ one: vit('one'), two: vit('two'), clip: clip(4) })) {
      const path = new URL(`${name}/`, folder);
      mkdirSync(path, { recursive: true });
      for (const [file, content] of Object.entries(files))
        writeFileSync(new URL(file, path), content instanceof Uint8Array ? content : JSON.stringify(content));
      const model = await loadModel(path, { worker: false, threads: 1, deterministic: true });
      want[name] = [...(await model.forward({ data: Float32Array.from(data), dims: DIMS })).output.data];
      await model.dispose();
    }
    await page.evaluate(([values, dims]) => {
      /** Loads, runs once, and says what happened. */
      globalThis.outcome = async (source, { module = '/web/index.js', headers, reroute, abortAt, ...options } = {}) => {
        const { loadModel: load } = await import(module);
        const events = [];
        const controller = new AbortController();
        const reason = new Error('the user left');
        try {
          const model = await load(source, {
            deterministic: true,
            threads: 1,
            retries: 1,
            signal: controller.signal,
            onProgress: (event) => {
              events.push(event);
              if (event.loaded > abortAt) controller.abort(reason);
            },
            ...(headers && { headers }),
            ...(reroute && { fetch: (url, init) => fetch(url.replace('https://huggingface.co', reroute), init) }),
            ...options,
          });
          const { output } = await model.forward({ data: Float32Array.from(values), dims });
          await model.dispose();
          return {
            logits: [...output.data],
            info: model.info,
            grows: events.every(
              (event, i) => !i || (event.ratio >= events[i - 1].ratio && event.loaded >= events[i - 1].loaded),
            ),
            last: events.at(-1),
          };
        } catch (error) {
          const { code, message, stage, detail } = error;
          return { code, message, stage, detail, isReason: error === reason };
        }
      };
      globalThis.entries = async () => {
        const cache = await caches.open('tesserae-models');
        return (await cache.keys()).map(({ url }) => new URL(url).pathname);
      };
    }, /** @type {any} */ ([data, DIMS]));
  },
  { timeout: 4 * PATIENCE },
);
beforeEach(async () => {
  hub.forget();
  await page.evaluate(() => caches.delete('tesserae-models'));
});
after(async () => {
  await site?.close();
  await hub?.close();
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(uncaught, []);
});

/** @param {any} source @param {any} [options] @returns {Promise<any>} */
const outcome = (source, options) =>
  page.evaluate(([from, settings]) => globalThis.outcome(from, settings), /** @type {any} */ ([source, options]));
const entries = () => page.evaluate(() => globalThis.entries());
/** @param {string} name @param {string} [revision] */
const at = (name, revision = 'main') => `${hub.url}/org/${name}/resolve/${revision}/`;
const preflights = () =>
  hub.log.filter(({ method }) => method === 'OPTIONS').map(({ host, name }) => `${host} ${name}`);
/** @param {RegExp} names */
const bytes = (names) => hub.asked(names).reduce((sum, { sent }) => sum + sent, 0);

for (const module of ['/web/index.js', '/dist/index.js'])
  test(`from two other origins, without preflight requests, to the same bits as in Node: ${module}`, async () => {
    hub.add('org/vit', vit());
    const { info, logits, grows, last } = await outcome(at('vit'), { module });
    assert.deepEqual(logits, want.one);
    assert.deepEqual([grows, last.ratio, last.fromCache, last.loaded], [true, 1, false, last.total]);
    assert.deepEqual(info.labels, ['ant one', 'bee one', 'cat one', 'dog one', 'eel one']);
    const names = hub.asked().map(({ host, name }) => `${host} ${name}`);
    assert.equal(names[0], 'hub config.json');
    assert.deepEqual(names.slice(-2), ['hub model.safetensors', 'store model.safetensors']);
    assert.deepEqual(preflights(), []);
    assert.ok(
      hub.log.every(({ headers }) => !headers.referer),
      'no page is named',
    );
  });

test('all files are of the commit that the first was of, also where an address alone says which', async () => {
  for (const cached of [false, true]) {
    const commit = hub.add('org/moving', vit('one'), { cached });
    const moving = page.evaluate(
      async ([source, name]) => {
        const moved = async (url, init) => {
          const response = await fetch(url, init);
          if (url.endsWith('/config.json')) await fetch(`${name}`);
          return response;
        };
        return globalThis.outcome(source, { cache: false, fetch: moved });
      },
      [at('moving'), `${hub.url}/move`],
    );
    while (!hub.log.some(({ path }) => path === '/move'))
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
    hub.add('org/moving', vit('two'));
    const { info, logits } = await moving;
    assert.deepEqual([info.commit, logits], [commit, want.one]);
    hub.forget();
  }
});

test('a broken download goes on where it broke, without a preflight request', async () => {
  hub.add('org/cut', vit());
  hub.fail('model.safetensors', { cut: 20_000 });
  hub.fail('preprocessor_config.json', { status: 503 });
  const { logits, grows, last } = await outcome(at('cut'));
  assert.deepEqual([logits, grows, last.ratio], [want.one, true, 1]);
  const ranges = hub.asked(/^model/).map(({ host, headers: { range, 'if-range': same } }) => [host, range, same]);
  assert.deepEqual(ranges.at(-1)?.[0], 'store');
  assert.match(String(ranges.at(-1)?.[1]), /^bytes=20000-$/);
  assert.ok(ranges.every(([, , same]) => !same));
  hub.add('org/cut', sharded());
  hub.fail('model-00002-of-00002.safetensors', { cut: 400 });
  assert.deepEqual((await outcome(at('cut'), { cache: false })).logits, want.one);
  assert.deepEqual(preflights(), []);
});

test("the text's half of a CLIP is not read, nor is it in the cache; a second load asks for nothing", async () => {
  const files = clip(16_384);
  const { length } = files['model.safetensors'];
  hub.add('org/clip', files, { pause: 5 });
  const first = await outcome(at('clip'));
  assert.deepEqual(first.logits, want.clip);
  assert.ok(bytes(/^model/) < length / 3, `${bytes(/^model/)} of ${length} bytes came`);
  assert.deepEqual(preflights(), []);
  const sizes = await page.evaluate(async () => {
    const cache = await caches.open('tesserae-models');
    return Promise.all((await cache.matchAll()).map(async (one) => (await one.blob()).size));
  });
  assert.ok(Math.max(...sizes) < 200_000, 'of the text nothing is kept');
  hub.forget();
  const second = await outcome(at('clip'));
  assert.deepEqual([second.logits, second.last.fromCache, second.last.ratio], [want.clip, true, 1]);
  assert.deepEqual(hub.log, []);
  for (const settings of [{ ranges: false }, { etag: false }, { gzip: true }]) {
    hub.add('org/clip', clip(1024), settings);
    assert.deepEqual((await outcome(at('clip'), { cache: 'reload' })).logits, want.clip);
    hub.forget();
    assert.deepEqual((await outcome(at('clip'))).logits, want.clip);
    assert.deepEqual(hub.log, []);
  }
});

test('the cache: used, healed, refreshed, left alone', async () => {
  hub.add('org/kept', vit('one'));
  const path = '/org/kept/resolve/main/';
  const all = ['config.json', 'model.safetensors', 'preprocessor_config.json', 'processor_config.json'].map(
    (name) => path + name,
  );
  assert.deepEqual((await outcome(at('kept'), { cache: false })).logits, want.one);
  assert.deepEqual(await entries(), []);
  const first = await outcome(at('kept'));
  assert.deepEqual((await entries()).sort(), all, 'that a file is missing is kept too');

  hub.forget();
  hub.add('org/kept', vit('two'));
  const second = await outcome(at('kept'));
  assert.deepEqual([second.logits, second.last.fromCache, second.info.commit], [want.one, true, first.info.commit]);
  assert.deepEqual(hub.log, [], 'nothing is asked');

  const third = await outcome(at('kept'), { cache: 'reload' });
  assert.deepEqual([third.logits, third.last.fromCache], [want.two, false]);
  assert.deepEqual((await entries()).sort(), all, 'nothing is left of the older commit');
  hub.forget();
  assert.deepEqual((await outcome(at('kept'))).logits, want.two);
  assert.deepEqual(hub.log, []);

  // one file of another commit than the rest, of which nothing comes from the cache then
  hub.add('org/kept', vit('one'));
  await page.evaluate(async (url) => (await caches.open('tesserae-models')).delete(url), `${at('kept')}config.json`);
  const mixed = await outcome(at('kept'));
  assert.deepEqual([mixed.logits, mixed.last.fromCache], [want.one, false]);
  hub.add('org/kept', vit('two'));
  assert.deepEqual((await outcome(at('kept'), { cache: 'reload' })).logits, want.two);

  // a copy that was spoilt: cut, of other bytes, of text; with and without what we write beside it
  for (const name of ['config.json', 'model.safetensors', 'preprocessor_config.json'])
    for (const how of ['text', 'cut', 'foreign']) {
      await page.evaluate(
        async ([url, way]) => {
          const cache = await caches.open('tesserae-models');
          const stored = await cache.match(url);
          const body = way === 'cut' ? (await stored.blob()).slice(0, -9) : '<html>a login page</html>';
          await cache.put(url, new Response(body, { headers: way === 'foreign' ? {} : stored.headers }));
        },
        [at('kept') + name, how],
      );
      hub.forget();
      const healed = await outcome(at('kept'));
      assert.deepEqual(healed.logits, want.two, `${name}: ${how}`);
      assert.ok(hub.asked(new RegExp(`^${name}$`)).length, 'it was read anew');
      hub.forget();
      assert.deepEqual((await outcome(at('kept'))).logits, want.two);
      assert.deepEqual(hub.log, [], `${name}: ${how}: healed for good`);
    }
  const wrong = `sha256-${'A'.repeat(43)}=`;
  const refused = await outcome(at('kept'), { integrity: { 'model.safetensors': wrong } });
  assert.equal(refused.code, 'ERR_INTEGRITY');
  assert.deepEqual(
    await entries().then((list) => list.filter((one) => one.endsWith('model.safetensors'))),
    [],
    'and is not kept',
  );
});

test('nothing is kept of a folder that does not load', async () => {
  hub.add('org/half', { ...vit(), 'model.safetensors': vit()['model.safetensors'].subarray(0, -9) });
  assert.equal((await outcome(at('half'))).code, 'ERR_FETCH_TRUNCATED');
  assert.deepEqual(await entries(), []);
  const aborted = await outcome(at('half'), { abortAt: 1000 });
  assert.equal(aborted.isReason, true, aborted.message);
  assert.deepEqual(await entries(), []);
  await withoutWorkers(page);
});

test('a file of tensors beside a config.json: a second load asks for nothing either', async () => {
  hub.add('org/bare', vit());
  for (const requests of [true, false]) {
    hub.forget();
    assert.deepEqual((await outcome(`${at('bare')}model.safetensors`)).logits, want.one);
    assert.equal(hub.log.length > 0, requests);
  }
});

test('a token reaches the Hub, and never the host that it leads to', async () => {
  const headers = { Authorization: 'Bearer hf_secret' };
  for (const cached of [false, true]) {
    hub.forget();
    hub.add(`org/private${cached}`, vit(), { token: 'hf_secret', cached });
    hub.fail('model.safetensors', { cut: 20_000 });
    const { logits, message } = await outcome(at(`private${cached}`), { headers });
    assert.deepEqual(logits, want.one, message);
    for (const { host, name, headers: given } of hub.asked())
      assert.equal(given.authorization, host === 'hub' ? 'Bearer hf_secret' : undefined, `${host} ${name}`);
    assert.ok(hub.asked().some(({ host }) => host === 'store'));
  }
});

test('other headers, which a page would send on, refuse to be led elsewhere', async () => {
  const headers = { 'X-Team-Key': 'secret' };
  hub.add('org/team', vit());
  const { code, message } = await outcome(at('team'), { headers });
  assert.equal(code, 'ERR_FETCH_HTTP');
  assert.match(message, /model\.safetensors leads elsewhere, where a page would send x-team-key too; name the address/);
  assert.ok(!hub.log.some(({ host }) => host === 'store'));
  hub.add('org/team', vit(), { direct: true });
  assert.deepEqual((await outcome(at('team'), { headers, cache: 'reload' })).logits, want.one);
  assert.ok(hub.asked().every(({ headers: given }) => given['x-team-key'] === 'secret'));
});

test('what the Hub says of an error can be read in a page', async () => {
  hub.add('org/gated', vit(), { token: 'hf_x', gated: true });
  const gated = await outcome(at('gated'));
  assert.match(
    gated.message,
    /Access to model org\/gated is restricted.*accept its terms on its page, then give a token/,
  );
  assert.deepEqual([gated.code, gated.detail.errorCode], ['ERR_FETCH_HTTP', 'GatedRepo']);
  const missing = await outcome(at('none'));
  assert.match(missing.message, /Repository not found; there is no such repository, or it needs a token/);
  const { code, message } = await outcome('http://127.0.0.1:9/x/');
  assert.deepEqual([code, /config\.json: /.test(message)], ['ERR_FETCH_NETWORK', true]);
});

test("the Hub's own pages", async () => {
  hub.add('org/vit.tiny', vit());
  for (const address of ['https://huggingface.co/org/vit.tiny', 'https://huggingface.co/org/vit.tiny/tree/main'])
    assert.deepEqual((await outcome(address, { reroute: hub.url })).logits, want.one);
  hub.forget();
  assert.deepEqual((await outcome('https://huggingface.co/org/vit.tiny', { reroute: hub.url })).logits, want.one);
  assert.deepEqual(hub.log, [], 'from the cache');
});

test('integrity, of files from the network and from the cache', async () => {
  const files = vit();
  hub.add('org/checked', files);
  const sha256 = (/** @type {any} */ file) =>
    `sha256-${createHash('sha256')
      .update(file instanceof Uint8Array ? file : JSON.stringify(file))
      .digest('base64')}`;
  const integrity = Object.fromEntries(Object.entries(files).map(([name, file]) => [name, sha256(file)]));
  for (let i = 0; i < 2; i++) assert.deepEqual((await outcome(at('checked'), { integrity })).logits, want.one);
  hub.add('org/checked', vit('two'));
  assert.deepEqual((await outcome(at('checked'), { integrity })).logits, want.one, 'the cached ones are right');
  const { code, message } = await outcome(at('checked'), { integrity, cache: 'reload' });
  assert.deepEqual([code, /config\.json has sha256-/.test(message)], ['ERR_INTEGRITY', true]);
});

test('a folder that the user picks', async () => {
  await page.evaluate(() => {
    const input = Object.assign(document.createElement('input'), { type: 'file', id: 'picker', webkitdirectory: true });
    document.body.append(input);
  });
  await page.setInputFiles('#picker', new URL('one', folder).pathname);
  const { logits, message } = await page.evaluate(() =>
    globalThis.outcome(/** @type {HTMLInputElement} */ (document.querySelector('#picker')).files),
  );
  assert.deepEqual(logits, want.one, message);
  const single = await page.evaluate(() =>
    globalThis.outcome({ 'config.json': new Blob(['{"model_type": "bert"}']), 'model.safetensors': new Blob([]) }),
  );
  assert.match(single.message, /model_type "bert" is no vision model/);
});

test('an abort while a folder loads leaves no worker and no connection', async () => {
  hub.add('org/slow', clip(16_384), { pause: 20, ranges: false });
  const loading = page.evaluate((source) => globalThis.outcome(source, { cache: false, abortAt: 0 }), at('slow'));
  const { isReason, message } = await loading;
  assert.equal(isReason, true, message);
  await withoutWorkers(page);
  const deadline = Date.now() + PATIENCE;
  while (hub.log.some(({ status }) => status === undefined) && Date.now() < deadline)
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  assert.ok(hub.log.every(({ status }) => status !== undefined));
});

test('modules that cannot be fetched any more: the error is that of the load, or says so', async () => {
  hub.add('org/gone', { 'config.json': { model_type: 'bert' } });
  const { page: other } = await site.open('demos/index.html', { bypassCSP: true });
  const load = () =>
    other.evaluate(async (source) => {
      const { loadModel: loads, TesseraeError } = await import('/web/index.js');
      return loads(source, { deterministic: true, threads: 1, retries: 0 }).catch((error) => [
        error instanceof TesseraeError && error.code,
        error.message,
      ]);
    }, `${hub.url}/org/none/resolve/main/`);
  await other.route('**/hub/reasons.js', (route) => route.abort());
  assert.deepEqual(await load(), [
    'ERR_FETCH_HTTP',
    `ERR_FETCH_HTTP: ${hub.url}/org/none/resolve/main/config.json: HTTP 401 Unauthorized`,
  ]);
  await other.reload();
  await other.route('**/hub/index.js', (route) => route.abort());
  const [code, message] = await load();
  assert.deepEqual([code, /hub\/index\.js/.test(message)], ['ERR_FETCH_NETWORK', true], message);
  await other.context().close();
});
