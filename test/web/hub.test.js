// Folders of checkpoints in Node: from a Hub on this machine (hub_server.js), from disk, as Blobs; what is asked of the
// network, in what order and how often; every way in which it fails.
// Alone: node --test test/web/hub.test.js (after `make dist/tesserae-simd-all.wasm`). In a page:
// test/browser/hub.test.js
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  openAsBlob,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Sha256 } from '../../web/hub/sha256.js';
import { loadModel, TesseraeError } from '../../web/index.js';
import { drawInput, drawTensors, safetensors } from '../parity/weights.js';
import { clip, DIMS, padded, sharded, tensorsFile, timm, vit, vitShapes } from './checkpoints.js';
import { startHub } from './hub_server.js';
import { withServer } from './server.js';

const root = new URL('../../', import.meta.url);
const wasmBinary = new WebAssembly.Module(readFileSync(new URL('dist/tesserae-simd-all.wasm', root)));
const INPUT = { data: drawInput('hub', 'image', DIMS), dims: DIMS };
const COMMIT = /^[0-9a-f]{40}$/;

/** @type {Awaited<ReturnType<typeof startHub>>} */
let hub;
/** A folder for this file's own. @type {string} */
let home;

/** @param {any} source @param {any} [options] */
const load = (source, options) => loadModel(source, { worker: false, threads: 1, retries: 1, wasmBinary, ...options });
/** @param {string} name @param {string} [revision] */
const at = (name, revision = 'main') => `${hub.url}/org/${name}/resolve/${revision}/`;

/** @param {any} source @param {any} [options] @returns {Promise<{ info: any, logits: number[] }>} */
async function outcome(source, options) {
  const model = await load(source, options);
  const { output } = await model.forward(INPUT);
  await model.dispose();
  return { info: model.info, logits: [...output.data] };
}

/** Writes a folder. @param {string} name @param {Record<string, any>} files @returns {string} its path */
function folder(name, files) {
  const path = join(home, name);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    const isText = typeof content === 'string' || content instanceof Uint8Array;
    writeFileSync(join(path, file), isText ? content : JSON.stringify(content));
  }
  return path;
}

/** The files as Blobs. @param {Record<string, any>} files @returns {Record<string, Blob>} */
const blobs = (files) =>
  Object.fromEntries(
    Object.entries(files).map(([name, file]) => [
      name,
      new Blob([typeof file === 'string' || file instanceof Uint8Array ? file : JSON.stringify(file)]),
    ]),
  );

/** The messages of errors. @type {string[]} */
const said = [];
/** What comes out right. @type {Record<string, number[]>} */
const want = {};

before(async () => {
  hub = await startHub();
  home = mkdtempSync(join(tmpdir(), 'tesserae-hub-'));
  for (const [name, files] of Object.entries({ one: vit('one'), two: vit('two'), timm: timm(), clip: clip(4) }))
    want[name] = (await outcome(folder(`want-${name}`, files))).logits;
  assert.notDeepEqual(want.one, want.two);
});
beforeEach(() => hub.forget());
after(async () => {
  await hub?.close();
  if (home) rmSync(home, { recursive: true });
});

/** @param {() => Promise<any>} work @param {any} expected fields, and `message` @returns {Promise<any>} the error */
async function fails(work, { message, ...fields }) {
  const error = await work().then(
    () => assert.fail('it loaded'),
    (thrown) => thrown,
  );
  assert.ok(error instanceof TesseraeError, `no TesseraeError: ${error?.stack ?? error}`);
  for (const [name, value] of Object.entries(fields))
    assert.deepEqual(error[name], value, `${name} of ${error.message}`);
  assert.match(error.message, message);
  said.push(error.message);
  assert.ok(error.message.startsWith(`${error.code}: `) && !/ERR_\w+: .*ERR_/.test(error.message), error.message);
  return error;
}

/** Requests as "host name" or "host name range". @param {RegExp} [names] */
const asked = (names) =>
  hub.asked(names).map(({ host, name, headers: { range } }) => [host, name, range].filter(Boolean).join(' '));

describe('what is asked of the network', () => {
  test('config.json first, weights last, each once; a missing file of preprocessing is neither fatal nor tried again', async () => {
    const commit = hub.add('org/order', vit());
    const { info, logits } = await outcome(at('order'), { retries: 3 });
    assert.deepEqual(logits, want.one);
    const names = hub.asked().map(({ host, name }) => `${host} ${name}`);
    assert.equal(names[0], 'hub config.json');
    assert.deepEqual(names.slice(1, 3).sort(), ['hub preprocessor_config.json', 'hub processor_config.json']);
    assert.deepEqual(names.slice(3), ['hub model.safetensors', 'store model.safetensors']);
    assert.deepEqual([info.commit, info.files, info.source], [commit, ['model.safetensors'], at('order')]);
    assert.deepEqual(info.labels, ['ant one', 'bee one', 'cat one', 'dog one', 'eel one']);
    assert.equal(info.arch, 'plain_vit');

    const { 'preprocessor_config.json': _, ...bare } = vit();
    hub.add('org/bare', bare);
    hub.forget();
    assert.deepEqual((await outcome(at('bare'), { retries: 3 })).logits, want.one);
    assert.equal(hub.asked(/processor/).length, 2);
  });

  test("timm's folders have no files of preprocessing to ask for", async () => {
    hub.add('org/timm', timm());
    const { info, logits } = await outcome(at('timm'));
    assert.deepEqual(logits, want.timm);
    assert.deepEqual(asked(), ['hub config.json', 'hub model.safetensors', 'store model.safetensors']);
    assert.deepEqual([info.license, info.labels], ['apache-2.0', null]);
  });

  test('what cannot run is refused before its weights are asked for', async () => {
    hub.add('org/bert', { ...vit(), 'config.json': { model_type: 'bert' } });
    await fails(() => load(at('bert')), {
      code: 'ERR_CONFIG',
      message: /model_type "bert" is no vision model that this version runs; it runs .*dinov2, .*vit, .*and timm's$/,
    });
    assert.deepEqual(asked(), ['hub config.json']);
  });

  test('no page is named as the referrer, and the two origins are asked for nothing else', async () => {
    hub.add('org/quiet', vit());
    /** @type {any[]} */
    const policies = [];
    await outcome(at('quiet'), {
      fetch: (/** @type {any} */ url, /** @type {any} */ init) => {
        policies.push(init.referrerPolicy);
        return fetch(url, init);
      },
    });
    assert.deepEqual([...new Set(policies)], ['no-referrer']);
    assert.ok(hub.log.every(({ method }) => method === 'GET'));
  });

  for (const cached of [false, true])
    test(`all files are of one commit, although main moves${cached ? '; the commit stands in an address alone' : ''}`, async () => {
      const commit = hub.add('org/moving', vit('one'), { cached });
      const { info, logits } = await outcome(at('moving'), {
        fetch: async (/** @type {string} */ url, /** @type {any} */ init) => {
          const response = await fetch(url, init);
          if (url.endsWith('/config.json')) hub.add('org/moving', vit('two'));
          return response;
        },
      });
      assert.deepEqual(logits, want.one);
      assert.deepEqual([info.commit, info.labels[0]], [commit, 'ant one']);
      const paths = hub.asked(/model|processor/).filter(({ host }) => host === 'hub');
      assert.ok(paths.length > 2 && paths.every(({ path }) => path.includes(commit)), 'asked for the commit');
      assert.deepEqual((await outcome(at('moving'))).logits, want.two, 'and the next load has the new one');
      assert.deepEqual((await outcome(at('moving', commit))).logits, want.one, 'a commit may be named');
    });
});

describe('what breaks on the way', () => {
  test('each file is tried again on its own', async () => {
    hub.add('org/weak', vit());
    for (const name of ['config.json', 'preprocessor_config.json']) hub.fail(name, { status: 503 });
    hub.fail('hub:model.safetensors', { status: 500 });
    hub.fail('model.safetensors', { silent: true });
    assert.deepEqual((await outcome(at('weak'), { retries: 2 })).logits, want.one);
    const counts = ['config.json', 'preprocessor_config.json', 'processor_config.json'].map(
      (name) => hub.asked().filter((one) => one.name === name).length,
    );
    assert.deepEqual(counts, [2, 2, 1]);
    assert.deepEqual(asked(/model/), [
      'hub model.safetensors',
      ...['hub model.safetensors', 'store model.safetensors'],
      ...['hub model.safetensors', 'store model.safetensors'],
    ]);
    const headers = { 'x-error-code': 'Overloaded', 'x-error-message': 'try later' };
    hub.fail('config.json', { status: 503, headers });
    await fails(() => load(at('weak'), { retries: 0 }), {
      code: 'ERR_FETCH_HTTP',
      retryable: true,
      message: /HTTP 503 Service Unavailable: try later$/,
    });
    hub.fail('config.json', { status: 503 }, { status: 503 });
    await fails(() => load(at('weak')), { code: 'ERR_FETCH_HTTP', retryable: true, message: /config\.json: HTTP 503/ });
  });

  test('a broken download goes on where it broke, from the first address: signed ones are good for one request', async () => {
    const files = vit();
    hub.add('org/cut', files);
    hub.fail('model.safetensors', { cut: 20_000 }, { cut: 5_000 });
    assert.deepEqual((await outcome(at('cut'), { retries: 2 })).logits, want.one);
    assert.deepEqual(asked(/^model\./), [
      ...['hub model.safetensors', 'store model.safetensors'],
      ...['hub model.safetensors bytes=20000-', 'store model.safetensors bytes=20000-'],
      ...['hub model.safetensors bytes=25000-', 'store model.safetensors bytes=25000-'],
    ]);
    const sent = hub.asked(/^model\./).reduce((sum, one) => sum + one.sent, 0);
    assert.equal(sent, files['model.safetensors'].length, 'no byte came twice');
  });

  test('shards: each is resumed by itself', async () => {
    hub.add('org/shards', sharded());
    hub.fail('model-00001-of-00002.safetensors', { cut: 10_000 });
    hub.fail('model-00002-of-00002.safetensors', { cut: 400 });
    const { info, logits } = await outcome(at('shards'), { retries: 1 });
    assert.deepEqual(logits, want.one);
    assert.deepEqual(info.files, ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']);
    assert.ok(asked().some((one) => one.startsWith('store model-00001-of-00002.safetensors bytes=10000-')));
    assert.ok(asked().includes('store model-00002-of-00002.safetensors bytes=400-'));
  });

  for (const [what, settings] of /** @type {[string, any][]} */ ([
    ['ranges', { ranges: false }],
    ['versions', { etag: false }],
    ['either, compressed', { gzip: true }],
  ]))
    test(`a server without ${what}: the file starts over, shards too`, async () => {
      hub.add('org/plain', vit(), settings);
      hub.fail('model.safetensors', { cut: 20_000 });
      assert.deepEqual((await outcome(at('plain'), { retries: 1 })).logits, want.one);
      hub.add('org/plain2', sharded(), settings);
      hub.fail('model-00001-of-00002.safetensors', { cut: 10_000 });
      assert.deepEqual((await outcome(at('plain2'), { retries: 1 })).logits, want.one);
    });

  // of one: the head is what tells; of the other: only the version
  for (const [what, make] of /** @type {[string, (seed: string) => any][]} */ ([
    ['from its beginning', sharded],
    ['far behind its beginning', (seed) => padded(seed, 'aaa.pad', 'mmm.pad')],
  ]))
    for (const settings of [{}, { etag: false }])
      test(`the file changes while it is read, ${what}: all is read anew, ${JSON.stringify(settings)}`, async () => {
        hub.add('org/changing', make('one'), settings);
        const first = what.startsWith('far') ? 'model.safetensors' : 'model-00001-of-00002.safetensors';
        let count = 0;
        hub.fail(first, { cut: what.startsWith('far') ? 1_200_000 : 30_000 });
        const { logits } = await outcome(at('changing'), {
          retries: 2,
          // no Hub: an address that names no revision
          fetch: async (/** @type {string} */ url, /** @type {any} */ init) => {
            const name = url.split('/').at(-1) ?? '';
            if (name === first && ++count === 2) hub.add('org/changing', make('two'));
            const response = await fetch(`${at('changing')}${name}`, init);
            const headers = new Headers([...response.headers].filter(([one]) => one !== 'x-repo-commit'));
            return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
          },
        });
        assert.deepEqual(logits, want.two, 'no mixture');
      });

  test('a file that changes, and no try is left', async () => {
    hub.add('org/changing', sharded('one', 'mmm.pad'));
    const name = 'model-00002-of-00002.safetensors';
    let count = 0;
    const moving = async (/** @type {string} */ url, /** @type {any} */ init) => {
      if (url.endsWith(name) && ++count === 2) hub.add('org/changing', sharded('two', 'mmm.pad'));
      const response = await fetch(`${at('changing')}${url.split('/').at(-1)}`, init);
      const headers = new Headers([...response.headers].filter(([one]) => one !== 'x-repo-commit'));
      return new Response(response.body, { status: response.status, headers });
    };
    await fails(() => load(at('changing'), { retries: 0, fetch: moving }), {
      code: 'ERR_FETCH_RANGE',
      retryable: true,
      message: /: model-00002-of-00002\.safetensors changed while it was read$/,
    });
  });

  test('429: as long as the server says', async () => {
    hub.add('org/busy', vit());
    for (const headers of /** @type {Record<string, string>[]} */ ([
      { 'retry-after': '1' },
      { ratelimit: '"resolvers";r=0;t=1' },
    ])) {
      hub.fail('config.json', { status: 429, headers });
      const start = performance.now();
      assert.deepEqual((await outcome(at('busy'))).logits, want.one);
      assert.ok(performance.now() - start >= 1000, `after ${performance.now() - start} ms`);
    }
    hub.fail('config.json', { status: 429, headers: { 'retry-after': '600' } });
    const controller = new AbortController();
    setTimeout(() => controller.abort('enough'), 200);
    await assert.rejects(load(at('busy'), { signal: controller.signal }), (error) => error === 'enough');
    hub.fail('config.json', { status: 429, headers: { 'retry-after': '600' } });
    await fails(() => load(at('busy'), { retries: 0 }), {
      code: 'ERR_FETCH_HTTP',
      retryable: true,
      message: /HTTP 429/,
    });
  });

  test('aborting ends every connection and rejects with the reason, whatever comes', async () => {
    hub.add('org/slow', sharded());
    for (const [name, fault] of /** @type {[string, any][]} */ ([
      ['config.json', { hang: 10 }],
      ['preprocessor_config.json', { hang: 0 }],
      ['model.safetensors.index.json', { hang: 100 }],
      ['model-00001-of-00002.safetensors', { hang: 100 }],
      ['model-00001-of-00002.safetensors', { hang: 20_000 }],
      ['model-00002-of-00002.safetensors', { hang: 300 }],
      ['config.json', { status: 503 }],
    ])) {
      hub.forget();
      hub.fail(name, ...Array.from({ length: 9 }, () => fault));
      const controller = new AbortController();
      const reason = new Error('the user left');
      const loading = load(at('slow'), { signal: controller.signal, retries: 9 });
      loading.catch(() => {});
      while (!hub.asked().some((one) => one.name === name && (one.sent || fault.hang === 0 || fault.status)))
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
      setTimeout(() => controller.abort(reason), 20);
      await assert.rejects(loading, (error) => error === reason);
      const deadline = Date.now() + 5000;
      while (hub.log.some(({ status }) => status === undefined) && Date.now() < deadline)
        await new Promise((resolve) => {
          setTimeout(resolve, 5);
        });
      assert.ok(
        hub.log.every(({ status }) => status !== undefined),
        `${name}: a connection is open`,
      );
    }
  });
});

describe('parts of files', () => {
  const ROWS = 8192;
  /** @type {Record<string, any>} */
  let files;
  before(() => {
    files = clip(ROWS);
  });

  test("the text's half of a CLIP is not read", async () => {
    hub.add('org/clip', files, { pause: 5 });
    const { info, logits } = await outcome(at('clip'));
    assert.deepEqual(logits, want.clip);
    assert.ok(info.unused.includes('text_model.embeddings.token_embedding.weight'));
    const sent = hub.asked(/^model/).reduce((sum, one) => sum + one.sent, 0);
    const { length } = files['model.safetensors'];
    assert.ok(length > ROWS * 4096 && sent < length / 4, `${sent} of ${length} bytes came`);
    const ranges = asked(/^model/).filter((text) => text.includes('bytes'));
    assert.deepEqual(
      ranges.map((text) => text.split(' ')[0]),
      ['hub', 'store', 'hub', 'store'],
      'a request more for each gap',
    );
  });

  test('a skipped part that breaks goes on where it broke, and not further than it must', async () => {
    hub.add('org/clip2', files, { pause: 5 });
    hub.fail('model.safetensors', { hang: 200_000 }, { cut: 9_000 });
    assert.deepEqual((await outcome(at('clip2'))).logits, want.clip);
    const [first, second] = asked(/^model/)
      .filter((text) => /store.*bytes/.test(text))
      .map((text) => /bytes=(\d+)-(\d+)$/.exec(text)?.slice(1).map(Number) ?? []);
    assert.deepEqual(second, [first[0] + 9_000, first[1]]);
  });

  for (const [what, settings] of /** @type {[string, any][]} */ ([
    ['has no ranges', { ranges: false }],
    ['names no versions', { etag: false }],
    ['compresses', { gzip: true }],
  ]))
    test(`a server that ${what}: all of it is read, and the answer is the same`, async () => {
      hub.add('org/clip3', files, settings);
      assert.deepEqual((await outcome(at('clip3'))).logits, want.clip);
      const requests = asked(/^model/).filter((text) => text.startsWith('hub'));
      assert.equal(requests.length, settings.ranges === false ? 2 : 1, 'it is not tried at each gap');
    });

  test('from disk and from Blobs', async () => {
    assert.deepEqual((await outcome(folder('clip', files))).logits, want.clip);
    assert.deepEqual((await outcome(blobs(files))).logits, want.clip);
  });
});

describe('progress', () => {
  for (const name of ['whole', 'sharded', 'clip', 'changing'])
    test(`never goes back over all files, and ends at 1: ${name}`, async () => {
      const files =
        { whole: vit(), sharded: sharded(), clip: clip(4096), changing: padded('one', 'mmm.pad') }[name] ?? {};
      hub.add(`org/${name}`, files, name === 'changing' ? { etag: false } : {});
      hub.fail('model.safetensors', { cut: name === 'changing' ? 700_000 : 20_000 });
      hub.fail('model-00001-of-00002.safetensors', { cut: 20_000 });
      /** @type {any[]} */
      const events = [];
      const model = await load(at(name), { onProgress: (/** @type {any} */ event) => events.push(event), retries: 3 });
      await model.dispose();
      events.forEach((event, i) => {
        assert.ok(!i || (event.ratio >= events[i - 1].ratio && event.loaded >= events[i - 1].loaded), `event ${i}`);
        assert.ok(event.total === null || event.loaded <= event.total, `event ${i} of ${event.total}`);
      });
      const { phase, ratio, loaded, total, fromCache } = events.at(-1);
      assert.deepEqual({ phase, ratio, fromCache }, { phase: 'ready', ratio: 1, fromCache: false });
      assert.equal(loaded, total);
      const totals = new Set(events.filter((event) => event.phase === 'weights').map((event) => event.total));
      assert.deepEqual([...totals], [total], 'the total is known from the start, over all files');
    });
});

describe('headers', () => {
  const headers = { Authorization: 'Bearer hf_secret', 'X-Team-Key': 'secret too' };

  test('reach the server that was named, on every request, and no other', async () => {
    for (const cached of [false, true]) {
      hub.forget();
      hub.add(`org/private${cached}`, vit(), { token: 'hf_secret', cached });
      hub.fail('model.safetensors', { cut: 10_000 });
      assert.deepEqual((await outcome(at(`private${cached}`), { headers })).logits, want.one);
      const [ours, theirs] = ['hub', 'store'].map((host) => hub.asked().filter((one) => one.host === host));
      assert.ok(ours.length >= 5 && theirs.length === 2);
      for (const one of ours) {
        const { authorization, 'x-team-key': key } = one.headers;
        assert.deepEqual([authorization, key], ['Bearer hf_secret', 'secret too'], `${one.name} to the Hub`);
      }
      for (const one of theirs)
        assert.ok(!/secret/.test(JSON.stringify(one.headers)), `to the store: ${JSON.stringify(one.headers)}`);
      assert.equal(theirs[1].headers.range, 'bytes=10000-', 'which is no secret');
    }
  });

  test('reach a file of ours as well; may be a Headers; and are checked', async () => {
    const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
    const own = safetensors(drawTensors(golden), golden);
    hub.add('org/own', { 'own.safetensors': own }, { token: 'hf_secret' });
    const model = await load(`${at('own')}own.safetensors`, { headers: new Headers(headers) });
    assert.equal(model.info.arch, 'vit');
    await model.dispose();
    assert.ok(!/secret/.test(JSON.stringify(hub.asked().filter(({ host }) => host === 'store'))));
    await fails(() => load(at('own'), { headers: { 'no name': 'x' } }), {
      code: 'ERR_ARGUMENT',
      message: /headers: .*no name/i,
    });
    const small = await load(own, { headers });
    await small.dispose();
    hub.forget();
    await fails(() => load(`${at('own')}own.safetensors`), {
      code: 'ERR_FETCH_HTTP',
      message:
        /HTTP 401 Unauthorized: Repository not found; .*it needs a token .*headers: \{ Authorization: 'Bearer hf_\.\.\.' \}/,
    });
  });

  test('addresses that lead in a circle', () =>
    withServer(
      (request, response) => response.writeHead(302, { location: '/config.json' }).end(),
      (base) =>
        fails(() => load(`${base}/`, { headers }), {
          code: 'ERR_FETCH_HTTP',
          message: /leads from one address to the next/,
        }).then(() => {}),
    ));
});

describe('errors, each with the sentence that mends it', () => {
  test('gated, private, misspelt, another revision, no model', async () => {
    hub.add('org/gated', vit(), { token: 'hf_x', gated: true });
    hub.add('org/private', vit(), { token: 'hf_x' });
    hub.add('org/empty', { 'README.md': '# nothing' });
    const token = /headers: \{ Authorization: 'Bearer hf_\.\.\.' \}$/;
    const gated = await fails(() => load(at('gated')), {
      code: 'ERR_FETCH_HTTP',
      stage: 'fetch',
      retryable: false,
      message:
        /Access to model org\/gated is restricted.*the repository is gated: accept its terms on its page, then give a token/,
    });
    assert.match(gated.message, token);
    const { status, errorCode, url } = gated.detail;
    assert.deepEqual([status, errorCode, url], [401, 'GatedRepo', `${at('gated')}config.json`]);
    for (const name of ['private', 'misspelt']) {
      const error = await fails(() => load(at(name)), {
        code: 'ERR_FETCH_HTTP',
        message: /HTTP 401 Unauthorized: Repository not found; there is no such repository, or it needs a token/,
      });
      assert.match(error.message, token);
      assert.equal(error.detail.errorCode, 'RepoNotFound');
    }
    await fails(() => load(at('gated', 'v9'), { headers: { authorization: 'Bearer hf_x' } }), {
      code: 'ERR_FETCH_HTTP',
      message:
        /there is no config\.json in .*\/v9\/ \(.*HTTP 404 Not Found: Invalid rev id: v9\); is it the folder of a model\?$/,
    });
    const empty = await fails(() => load(at('empty')), {
      code: 'ERR_FETCH_HTTP',
      message:
        /there is no config\.json in .*\/empty\/resolve\/main\/ \(.*Entry not found\); is it the folder of a model\?$/,
    });
    assert.equal(empty.detail.errorCode, 'EntryNotFound');
    assert.equal(hub.asked(/^config/).length, 5, 'one request each, nothing tried again');
    assert.equal(
      hub.asked(/^open_clip/).length,
      2,
      "nor what open_clip has in its place; it is asked for where there's none",
    );
    assert.equal(hub.asked().length, 7);
  });

  /** @type {[string, Record<string, any>, any][]} what, the folder with undefined for what it lacks, the error */
  const broken = [
    [
      'a pickle alone',
      { 'model.safetensors': undefined, 'pytorch_model.bin': Buffer.from('PK') },
      {
        code: 'ERR_CONFIG',
        message:
          /the weights in .* are pytorch_model\.bin alone \(a pickle, which can run code\)\. Save it as safetensors: ViTForImageClassification\.from_pretrained\(\.\.\.\)\.save_pretrained\(\.\.\.\)$/,
      },
    ],
    [
      'pickles in parts',
      { 'model.safetensors': undefined, 'pytorch_model.bin.index.json': {} },
      { code: 'ERR_CONFIG', message: /are pytorch_model\.bin\.index\.json alone/ },
    ],
    [
      'no weights',
      { 'model.safetensors': undefined },
      { code: 'ERR_CONFIG', message: /there is no model\.safetensors in .*, nor model\.safetensors\.index\.json$/ },
    ],
    [
      'a Git LFS pointer',
      { 'model.safetensors': 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 346284714\n' },
      {
        code: 'ERR_FETCH_CONTENT_TYPE',
        message: /: model\.safetensors is a Git LFS pointer, not the file; run `git lfs pull` where it was cloned$/,
      },
    ],
    [
      'text',
      { 'model.safetensors': 'Not Found' },
      { code: 'ERR_FETCH_CONTENT_TYPE', message: /: model\.safetensors: .*got text that starts with "Not Found"/ },
    ],
    [
      'a damaged header',
      { 'model.safetensors': Buffer.from(`\x10\0\0\0\0\0\0\0{"a":{"dtype":1}}`) },
      { code: 'ERR_MODEL_HEADER', message: /: model\.safetensors: / },
    ],
    [
      'weights that end early',
      { 'model.safetensors': vit()['model.safetensors'].subarray(0, -9) },
      { code: 'ERR_FETCH_TRUNCATED', retryable: true, message: /\d+ of \d+ bytes|ends inside tensor/ },
    ],
    [
      'a missing tensor',
      {
        'model.safetensors': tensorsFile(
          'one',
          vitShapes().filter(([name]) => !/layer\.1.*query/.test(name)),
        ),
      },
      { code: 'ERR_MODEL_TENSOR_MISSING', message: /blocks\.1\.attn\.qkv\.weight/ },
    ],
    [
      'config.json that is no JSON',
      { 'config.json': '{"model_type": ' },
      { code: 'ERR_CONFIG', message: /config\.json is not JSON: / },
    ],
    [
      'config.json that is a list',
      { 'config.json': '[]' },
      { code: 'ERR_CONFIG', message: /model_type null is no vision model/ },
    ],
    [
      'config.json that is a number',
      { 'config.json': '7' },
      { code: 'ERR_CONFIG', message: /config\.json is not a JSON object/ },
    ],
    [
      'config.json without a type',
      { 'config.json': {} },
      { code: 'ERR_CONFIG', message: /model_type null is no vision model/ },
    ],
    [
      'another architecture of timm',
      { 'config.json': { architecture: 'resnet50', num_classes: 5 } },
      {
        code: 'ERR_CONFIG',
        message: /timm's architecture "resnet50" is none that this version runs; docs\/models\/hub\.md lists them/,
      },
    ],
    [
      'preprocessing that is no JSON',
      { 'preprocessor_config.json': '<html>' },
      { code: 'ERR_CONFIG', message: /preprocessor_config\.json is not JSON/ },
    ],
  ];
  for (const [what, files, error] of broken)
    test(`${what}: from the Hub, from disk, as Blobs`, async () => {
      const all = Object.fromEntries(Object.entries({ ...vit(), ...files }).filter(([, file]) => file !== undefined));
      hub.add('org/broken', all);
      await fails(() => load(at('broken'), { retries: 0 }), error);
      await fails(() => load(folder(`broken ${what}`, all)), error);
      await fails(() => load(blobs(all)), error);
    });

  const withPooler = tensorsFile('one', [
    ...vitShapes().filter(([name]) => !name.startsWith('classifier')),
    ['vit.pooler.dense.weight', [16, 16]],
    ['vit.pooler.dense.bias', [16]],
  ]);
  /** What would come out wrong. @type {[string, Record<string, any>, RegExp][]} */
  const unread = [
    ['another pooling', timm({ model_args: { global_pool: 'max' } }), /"max" is none .*; it has token, avg/],
    ['a method of Object', timm({ model_args: { global_pool: 'constructor' } }), /"constructor" is none/],
    ['another activation', timm({ model_args: { act_layer: 'mish' } }), /"mish" is none .*; it has gelu/],
    ['another norm', timm({ model_args: { norm_layer: 'rmsnorm' } }), /with "norm_layer=rmsnorm" is none/],
    [
      'a setting of another kind',
      timm({ architecture: 'crossvit_tiny_240', model_args: { img_scale: 5 } }),
      /config\.json does not fit crossvit_tiny_240/,
    ],
    ['norms behind', timm({ model_args: { use_post_norm: true } }), /with "use_post_norm=true" is none/],
    [
      'a gate with another activation',
      vit('one', { model_type: 'dinov3_vit', use_gated_mlp: true }),
      /use_gated_mlp runs with hidden_act "silu" alone/,
    ],
    [
      'a pooler with another activation',
      { ...vit('one', { pooler_act: 'relu' }), 'model.safetensors': withPooler },
      /another pooler_act than "tanh"/,
    ],
    [
      'a processor without a name',
      { ...vit(), 'preprocessor_config.json': { image_processor_type: 5 } },
      /image processor 5 is none of vit/,
    ],
  ];
  for (const [what, files, message] of unread)
    test(`${what} is refused`, () => fails(() => load(blobs(files)), { code: 'ERR_CONFIG', message }));

  test('config.json of 20 MB, and timm without a pretrained_cfg', async () => {
    assert.deepEqual((await outcome(blobs(vit('one', { more: 'x'.repeat(2e7) })))).logits, want.one);
    await outcome(blobs(timm({ pretrained_cfg: null, model_args: { img_size: 16, num_heads: 2 } })));
  });

  /** @type {[string, Record<string, any>, any][]} */
  const indexes = [
    [
      'no JSON',
      { 'model.safetensors.index.json': '{"weight_map":' },
      { code: 'ERR_CONFIG', message: /index\.json is not JSON/ },
    ],
    ...[
      {},
      { weight_map: {} },
      { weight_map: { a: 7 } },
      { weight_map: { a: '../x' } },
      { weight_map: { a: '..' } },
      { weight_map: { a: '' } },
      { weight_map: { a: 'https:example.com' } },
      { weight_map: { a: null } },
    ].map(
      (index) =>
        /** @type {[string, any, any]} */ ([
          `damaged: ${JSON.stringify(index)}`,
          { 'model.safetensors.index.json': index },
          { code: 'ERR_CONFIG', message: /model\.safetensors\.index\.json is damaged: its weight_map names no files/ },
        ]),
    ),
  ];
  for (const [what, files, error] of indexes)
    test(`an index that is ${what}`, async () => {
      hub.add('org/index', { ...sharded(), ...files });
      await fails(() => load(at('index')), error);
      await fails(() => load(blobs({ ...sharded(), ...files })), error);
    });

  test('a shard that is missing', async () => {
    const { 'model-00002-of-00002.safetensors': _, ...rest } = sharded();
    const message =
      /the index names model-00002-of-00002\.safetensors, which is missing \(.*\); copy all files of the model$/;
    hub.add('org/lost', rest);
    const { detail } = await fails(() => load(at('lost')), { code: 'ERR_FETCH_HTTP', message });
    assert.deepEqual([detail.status, detail.errorCode], [404, 'EntryNotFound']);
    await fails(() => load(folder('lost', rest)), { code: 'ERR_ARGUMENT', message });
    await fails(() => load(blobs(rest)), { code: 'ERR_ARGUMENT', message });
  });

  test('pages in place of files', async () => {
    const page = { status: 200, headers: { 'content-type': 'text/html' }, body: '<!doctype html>' };
    hub.add('org/pages', vit());
    hub.fail('config.json', page);
    await fails(() => load(at('pages')), {
      code: 'ERR_FETCH_CONTENT_TYPE',
      message: /there is no config\.json in .* \(.*a page \(text\/html\) came.*\); is it the folder of a model\?/,
    });
    hub.fail('processor_config.json', page);
    hub.fail('preprocessor_config.json', page);
    assert.deepEqual((await outcome(at('pages'))).logits, want.one, 'pages for missing files are missing files');
    hub.fail('model.safetensors', page);
    await fails(() => load(at('pages')), { code: 'ERR_CONFIG', message: /there is no model\.safetensors/ });
    await withServer(
      (request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>'),
      (base) =>
        fails(() => load(`${base}/model`), { code: 'ERR_FETCH_CONTENT_TYPE', message: /\/model: a page/ }).then(
          () => {},
        ),
    );
  });

  test('stores that answer 403 for what is not there', async () => {
    const files = sharded();
    await withServer(
      (request, response) => {
        const file = /** @type {any} */ (files)[request.url?.split('/').at(-1) ?? ''];
        if (!file || request.url?.includes('processor'))
          return response.writeHead(403).end('<Error>AccessDenied</Error>');
        return response.end(file instanceof Uint8Array ? file : JSON.stringify(file));
      },
      async (base) => assert.deepEqual((await outcome(`${base}/bucket/`)).logits, want.one),
    );
    await withServer(
      (request, response) => response.writeHead(403).end(),
      (base) =>
        fails(() => load(`${base}/bucket/`), {
          code: 'ERR_FETCH_HTTP',
          message: /there is no config\.json in .*HTTP 403/,
        }).then(() => {}),
    );
  });

  test('files beside each other on disk: every error has a code', async () => {
    await fails(() => load(join(home, 'nowhere/')), {
      code: 'ERR_ARGUMENT',
      stage: 'call',
      message:
        /there is no config\.json in .*nowhere\/ \(cannot read config\.json in .*ENOENT.*\); is it the folder of a model\?/,
    });
    await fails(() => load('org/name'), {
      code: 'ERR_ARGUMENT',
      message:
        /cannot read the file org\/name: ENOENT.*; a repository of the Hub is https:\/\/huggingface\.co\/org\/name$/,
    });
    await fails(() => load(join(home, 'nowhere')), {
      code: 'ERR_ARGUMENT',
      message: /cannot read the file .*nowhere: ENOENT/,
    });
    const plain = folder('plain', { 'a.txt': 'x' });
    await fails(() => load(plain), { code: 'ERR_ARGUMENT', message: /there is no config\.json in .*plain/ });
    await fails(() => load(join(plain, 'a.txt', 'b')), { code: 'ERR_ARGUMENT', message: /ENOTDIR/ });
    await fails(() => load(join(plain, 'a.txt/')), { code: 'ERR_ARGUMENT', message: /no config\.json .*ENOTDIR/ });
    for (const name of Object.keys(vit())) {
      const path = folder(`dir ${name}`, vit());
      rmSync(join(path, name));
      mkdirSync(join(path, name));
      await fails(() => load(path), { code: 'ERR_ARGUMENT', message: new RegExp(`cannot read ${name} in .*EISDIR`) });
      rmSync(join(path, name), { recursive: true });
      symlinkSync(name, join(path, name));
      await fails(() => load(path), { code: 'ERR_ARGUMENT', message: new RegExp(`cannot read ${name} in .*ELOOP`) });
    }
    symlinkSync('loop', join(home, 'loop'));
    await fails(() => load(join(home, 'loop')), { code: 'ERR_ARGUMENT', message: /ELOOP/ });
  });

  test('Blobs of files that have changed since they were picked', async () => {
    const path = folder('changed', vit());
    const files = await Promise.all(readdirSync(path).map(async (name) => [name, await openAsBlob(join(path, name))]));
    const picked = Object.fromEntries(files);
    assert.deepEqual((await outcome(picked)).logits, want.one);
    writeFileSync(join(path, 'model.safetensors'), 'x');
    await fails(() => load(picked), {
      code: 'ERR_ARGUMENT',
      message: /cannot read model\.safetensors in the files given: /,
    });
    await fails(() => load(picked['model.safetensors']), { code: 'ERR_ARGUMENT', message: /cannot read the Blob: / });
  });

  test('nothing stays open on disk, whether it loads, fails or is aborted', async () => {
    const held = () =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith(home);
        } catch {
          return false;
        }
      });
    const paths = [
      folder('fine', sharded()),
      folder('wrong', { ...vit(), 'preprocessor_config.json': '{' }),
      folder('bert', { ...vit(), 'config.json': { model_type: 'bert' } }),
      folder('odd', { ...clip(4096), 'config.json': { model_type: 'clip', vision_config: { hidden_act: 'odd' } } }),
      folder('large', clip(4096)),
    ];
    for (const path of paths)
      await load(path).then(
        (model) => model.dispose(),
        () => {},
      );
    const controller = new AbortController();
    const loading = load(paths[4], {
      signal: controller.signal,
      onProgress: (/** @type {any} */ { loaded }) => loaded && controller.abort('enough'),
    });
    await assert.rejects(loading, (error) => error === 'enough');
    const broken = load(paths[4], {
      onProgress: (/** @type {any} */ { loaded }) => {
        if (loaded) throw new Error('of the caller');
      },
    });
    await assert.rejects(broken, /of the caller/);
    for (let i = 0; i < 100 && held().length; i++)
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
    assert.deepEqual(held(), []);
  });
});

describe('what a source may be', () => {
  test('paths, with and without a slash, file: addresses', async () => {
    const path = folder('a#b?c model', vit());
    for (const source of [
      path,
      `${path}/`,
      pathToFileURL(path),
      pathToFileURL(`${path}/`),
      `${pathToFileURL(path)}/`,
    ]) {
      const { info, logits } = await outcome(source);
      assert.deepEqual(logits, want.one, String(source));
      assert.deepEqual([info.commit, info.source], [null, null]);
    }
    assert.deepEqual((await outcome(folder('shards', sharded()))).logits, want.one);
  });

  test('what a picker of folders gives, an object of Blobs, the nearest config.json', async () => {
    const files = Object.entries({ ...blobs(vit('one')), 'old/config.json': new Blob(['{}']) }).map(([name, blob]) =>
      Object.assign(blob, { name: name.split('/').at(-1), webkitRelativePath: `my model/${name}` }),
    );
    /** Like a FileList. */
    const list = { length: files.length, [Symbol.iterator]: () => files.reverse()[Symbol.iterator]() };
    const named = Object.entries(blobs(vit('one'))).map(([name, blob]) => Object.assign(blob, { name }));
    for (const source of [files, list, named, blobs(vit('one')), blobs(sharded())])
      assert.deepEqual((await outcome(source)).logits, want.one);
    const nested = Object.fromEntries(Object.entries(blobs(vit('two'))).map(([name, blob]) => [`x/y/${name}`, blob]));
    assert.deepEqual((await outcome(nested)).logits, want.two);
    for (const [source, message] of /** @type {[any, RegExp][]} */ ([
      [[], /there is no config\.json in the files given/],
      [{}, /there is no config\.json in the files given \(config\.json is not among the files given\)/],
      [{ 'config.json': '{}' }, /there is no config\.json in the files given/],
      [new Map(), /there is no config\.json in the files given/],
      [[null, 7], /there is no config\.json in the files given/],
    ]))
      await fails(() => load(source), { code: 'ERR_ARGUMENT', message });
    for (const source of [null, undefined, 42])
      await fails(() => load(source), { code: 'ERR_ARGUMENT', message: /the model must be a URL/ });
  });

  test('a file of tensors without our metadata, beside a config.json', async () => {
    hub.add('org/bare', { ...vit('one'), 'other.safetensors': vit('two')['model.safetensors'] });
    assert.deepEqual((await outcome(`${at('bare')}model.safetensors`)).logits, want.one);
    const { info, logits } = await outcome(`${at('bare')}other.safetensors`);
    assert.deepEqual(logits, want.two, 'the file that was named');
    assert.deepEqual(info.files, ['other.safetensors']);
    const path = folder('bare', { ...vit('one'), 'other.safetensors': vit('two')['model.safetensors'] });
    assert.deepEqual((await outcome(join(path, 'other.safetensors'))).logits, want.two);
    assert.deepEqual((await outcome(pathToFileURL(join(path, 'other.safetensors')))).logits, want.two);
    const lone = join(folder('lone', { 'm.safetensors': vit()['model.safetensors'] }), 'm.safetensors');
    await fails(() => load(lone), {
      code: 'ERR_CONFIG',
      message: /no __metadata__\.tesserae; .*; nor is there a config\.json beside it$/,
    });
    await fails(() => load(readFileSync(lone)), { code: 'ERR_CONFIG', message: /no __metadata__\.tesserae/ });
    process.chdir(path);
    try {
      assert.deepEqual((await outcome('model.safetensors')).logits, want.one);
      assert.deepEqual((await outcome('.')).logits, want.one);
      assert.deepEqual((await outcome('./')).logits, want.one);
    } finally {
      process.chdir(root.pathname);
    }
  });

  test('an address without a dot: a file as before, without a request more; or a folder', async () => {
    const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
    const own = Buffer.from(safetensors(drawTensors(golden), golden));
    await withServer(
      (request, response) => response.end(own),
      async (base, requests) => {
        const model = await load(`${base}/model`);
        await model.dispose();
        assert.deepEqual([model.info.arch, requests.length], ['vit', 1]);
      },
    );
    const files = Object.entries(vit()).map(([name, file]) => [`/x/vit/${name}`, file]);
    const held = Object.fromEntries(files);
    await withServer(
      (request, response) => {
        const file = held[request.url ?? ''];
        if (!file) return response.writeHead(404).end();
        return response.end(file instanceof Uint8Array ? file : JSON.stringify(file));
      },
      async (base) => assert.deepEqual((await outcome(`${base}/x/vit`)).logits, want.one),
    );
    hub.add('org/dotless', vit());
    assert.deepEqual((await outcome(at('dotless').slice(0, -1))).logits, want.one);
    await withServer(
      (request, response) => response.writeHead(404).end(),
      (base) =>
        fails(() => load(`${base}/model`), { code: 'ERR_FETCH_HTTP', message: /\/model: HTTP 404 Not Found$/ }).then(
          () => {},
        ),
    );
    const silent = { code: 'ERR_FETCH_NETWORK', retryable: true, message: /127\.0\.0\.1:9\/model: / };
    await fails(() => load('http://127.0.0.1:9/model', { retries: 0 }), silent);
  });

  test("the Hub's pages, and revisions, and folders in it", async () => {
    hub.add('org/vit.tiny_patch8', {
      ...vit(),
      ...Object.fromEntries(Object.entries(timm()).map(([name, file]) => [`sub/${name}`, file])),
    });
    /** @type {string[]} */
    const hosts = [];
    const reroute = (/** @type {string} */ url, /** @type {any} */ init) => {
      hosts.push(new URL(url).origin);
      return fetch(url.replace('https://huggingface.co', hub.url), init);
    };
    const page = 'https://huggingface.co/org/vit.tiny_patch8';
    for (const [address, result] of /** @type {[string, number[]][]} */ ([
      [page, want.one],
      [`${page}/`, want.one],
      [`${page}?library=transformers#usage`, want.one],
      [`${page}/tree/main`, want.one],
      [`${page}/blob/main/model.safetensors`, want.one],
      [`${page}/resolve/main`, want.one],
      [`${page}/resolve/main/`, want.one],
      [`${page}/resolve/main/model.safetensors`, want.one],
      ['https://hf.co/org/vit.tiny_patch8', want.one],
      [`${page}/tree/main/sub`, want.timm],
      [`${page}/resolve/main/sub/`, want.timm],
    ])) {
      const { info, logits } = await outcome(address, { fetch: reroute });
      assert.deepEqual(logits, result, address);
      assert.match(info.commit, COMMIT, address);
    }
    assert.deepEqual([...new Set(hosts)], ['https://huggingface.co']);
    assert.ok(
      hub.log.every(({ host, search }) => host === 'store' || !search),
      "nothing of the page's query",
    );
    hub.forget();
    hub.add('org/closed', vit(), { token: 'hf_x' });
    const headers = { Authorization: 'Bearer hf_x' };
    for (const address of ['https://huggingface.co/org/closed', 'https://hf.co/org/closed'])
      assert.deepEqual((await outcome(address, { fetch: reroute, headers })).logits, want.one);
    assert.ok(hub.asked().every(({ host, headers: { authorization } }) => (host === 'hub') === Boolean(authorization)));
  });

  test('our own metadata is trusted before the files beside it', async () => {
    const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
    const own = safetensors(drawTensors(golden), golden);
    for (const config of [vit()['config.json'], { model_type: 'bert' }]) {
      const files = { 'config.json': config, 'own.safetensors': own };
      const model = await load(join(folder('trust', files), 'own.safetensors'));
      assert.equal(model.info.arch, 'vit');
      await model.dispose();
    }
    const model = await load(folder('trust', { ...vit(), 'model.safetensors': own }));
    assert.deepEqual([model.info.arch, model.info.config], ['vit', golden.config]);
    await model.dispose();
    hub.add('org/ours', { 'ours.safetensors': own });
    const reroute = (/** @type {string} */ url, /** @type {any} */ init) =>
      fetch(url.replace('https://huggingface.co', hub.url), init);
    const paged = await load('https://huggingface.co/org/ours/blob/main/ours.safetensors', { fetch: reroute });
    assert.equal(paged.info.arch, 'vit');
    await paged.dispose();
  });
});

describe('config.json', () => {
  test('labels in any order, with holes; NaN and Infinity; model_args', async () => {
    const { id2label: _, ...config } = vit()['config.json'];
    const labels = '"id2label": {"10": "k", "2": "NaN, c", "0": "a \\"Infinity\\"", "4": "e"}';
    const text = JSON.stringify({ ...config, num_labels: 5 }).replace(
      /\}$/,
      `, "initializer_range": NaN, "x": [-Infinity, Infinity], ${labels}}`,
    );
    const { info, logits } = await outcome(blobs({ ...vit(), 'config.json': text }));
    assert.deepEqual(info.labels, ['a "Infinity"', 'LABEL_1', 'NaN, c', 'LABEL_3', 'e']);
    assert.deepEqual(logits, want.one);
    const named = await outcome(
      blobs(timm({ label_names: ['n1', 'n2', 'n3', 'n4', 'n5'], label_descriptions: { n1: 'ant', n3: 'cat' } })),
    );
    assert.deepEqual(named.info.labels, ['ant', 'n2', 'cat', 'n4', 'n5']);
    assert.deepEqual(named.logits, want.timm);
    await fails(() => load(blobs(timm({ model_args: { img_size: 16, num_heads: 2, global_pool: 'odd' } }))), {
      code: 'ERR_CONFIG',
      message: /global_pool "odd" is none/,
    });
  });
});

describe('integrity', () => {
  /** @param {any} bytes */
  const sha256 = (bytes) => `sha256-${createHash('sha256').update(bytes).digest('base64')}`;
  /** @param {Record<string, any>} files @returns {Record<string, string>} */
  const digestsOf = (files) =>
    Object.fromEntries(
      Object.entries(files).map(([name, file]) => [
        name,
        sha256(file instanceof Uint8Array ? file : JSON.stringify(file)),
      ]),
    );
  const wrong = sha256('other');

  test('SHA-256 is that of others, however the bytes come', () => {
    for (const length of [...Array(300).keys(), 1000, 65_537]) {
      const bytes = randomBytes(length);
      const hash = new Sha256();
      for (let at = 0; at < length;) {
        const step = 1 + Math.floor(Math.random() * (length > 1000 ? 9000 : 90));
        hash.update(bytes.subarray(at, at + step));
        at += step;
      }
      assert.equal(`sha256-${hash.digest()}`, sha256(bytes), `${length} bytes: ${bytes.toString('hex', 0, 300)}`);
    }
  });

  test('of every file that is read, by name', async () => {
    for (const [name, files] of /** @type {[string, any][]} */ ([
      ['vit', vit()],
      ['shards', sharded()],
    ])) {
      const digests = digestsOf(files);
      hub.add(`org/${name}`, files);
      hub.fail('model.safetensors', { cut: 10_000 });
      const path = folder(`integrity ${name}`, files);
      for (const source of [at(name), path, blobs(files)]) {
        assert.deepEqual((await outcome(source, { integrity: digests })).logits, want.one);
        assert.deepEqual((await outcome(source, { integrity: {} })).logits, want.one);
        for (const file of Object.keys(files)) {
          assert.deepEqual((await outcome(source, { integrity: { [file]: digests[file] } })).logits, want.one);
          await fails(() => load(source, { integrity: { ...digests, [file]: wrong } }), {
            code: 'ERR_INTEGRITY',
            stage: 'fetch',
            message: new RegExp(`${file} has sha256-.{44}; integrity says sha256-.{44}$`),
          });
        }
      }
    }
  });

  test('a file that is checked is read whole', async () => {
    const files = clip(4096);
    hub.add('org/clip', files);
    const integrity = digestsOf({ 'model.safetensors': files['model.safetensors'] });
    assert.deepEqual((await outcome(at('clip'), { integrity })).logits, want.clip);
    assert.equal(
      hub.asked(/^model/).reduce((sum, one) => sum + one.sent, 0),
      files['model.safetensors'].length,
    );
    files['model.safetensors'][5_000_000] ^= 1; // of the text
    hub.add('org/clip', files);
    await fails(() => load(at('clip'), { integrity }), {
      code: 'ERR_INTEGRITY',
      message: /^ERR_INTEGRITY: model\.safetensors has/,
    });
  });

  test('one digest is that of the one file of tensors', async () => {
    const files = vit();
    const integrity = sha256(files['model.safetensors']);
    hub.add('org/one', files);
    for (const source of [at('one'), blobs(files), `${at('one')}model.safetensors`, folder('one', files)]) {
      assert.deepEqual((await outcome(source, { integrity })).logits, want.one);
      await fails(() => load(source, { integrity: wrong }), { code: 'ERR_INTEGRITY', message: /./ });
    }
    await fails(() => load(blobs(sharded()), { integrity }), {
      code: 'ERR_ARGUMENT',
      message:
        /integrity is one digest; give an object of digests by name: config\.json, preprocessor_config\.json, model\.safetensors\.index\.json, model-00001-of-00002\.safetensors, /,
    });
  });

  test('by name for a file of ours', async () => {
    const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_tiny.json', root), 'utf8'));
    const own = Buffer.from(safetensors(drawTensors(golden), golden));
    hub.add('org/alone', { 'own.safetensors': own });
    const path = join(folder('own', { 'own.safetensors': own }), 'own.safetensors');
    const file = Object.assign(new Blob([own]), { name: 'own.safetensors' });
    for (const source of [`${at('alone')}own.safetensors`, path, file]) {
      const model = await load(source, { integrity: { 'own.safetensors': sha256(own) } });
      assert.equal(model.info.arch, 'vit');
      await model.dispose();
      await fails(() => load(source, { integrity: { 'own.safetensors': wrong } }), {
        code: 'ERR_INTEGRITY',
        message: /own/,
      });
      await fails(() => load(source, { integrity: { 'model.safetensors': wrong } }), {
        code: 'ERR_ARGUMENT',
        message: /integrity names "model\.safetensors", which is none of the files read: own\.safetensors$/,
      });
    }
  });

  test('what checks nothing is refused', async () => {
    const source = blobs(vit());
    await fails(() => load(source, { integrity: { 'modle.safetensors': wrong } }), {
      code: 'ERR_ARGUMENT',
      message:
        /integrity names "modle\.safetensors", which is none of the files read: config\.json, preprocessor_config\.json, model\.safetensors$/,
    });
    for (const text of ['md5-x', 7, null, wrong.slice(0, -1)])
      await fails(() => load(source, { integrity: { 'config.json': text } }), {
        code: 'ERR_ARGUMENT',
        message: /integrity has .* for "config\.json"; give "sha256-" and 44 characters of base64$/,
      });
    for (const integrity of ['md5-x', 7, null])
      await fails(() => load(source, { integrity }), {
        code: 'ERR_ARGUMENT',
        message: /integrity is .*; give "sha256-"/,
      });
  });
});

test('messages about folders that docs/errors.md quotes are those that were given above', () => {
  const [, section] = readFileSync(new URL('docs/errors.md', root), 'utf8').split('## Messages about folders');
  const rows = [...section.matchAll(/^\| (?:`(ERR_\w+)`)? ?\| (`+)(.*)\2 \|$/gm)];
  assert.ok(rows.length > 12, 'the messages were not found');
  let code = '';
  for (const [, named, , message] of rows) {
    code = named ?? code;
    if (/leads elsewhere/.test(message)) continue; // in a page alone
    const pattern = `${code}: ${message}`
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replace(/https?:\/\/(?!huggingface\\\.co\/org\/name$)[^\s)]+?(?=:? |\)|$)/g, '\\S+')
      .replace(/org\/name is restricted/, '\\S+ is restricted')
      .replaceAll('\\.\\.\\.', '.*');
    assert.ok(
      said.some((one) => new RegExp(`^${pattern}$`).test(one)),
      `no load says ${code}: ${message} (${pattern})`,
    );
  }
});
