// A Hugging Face Hub on this machine, for the tests: it answers as the real one does, keeps a log of what it was asked,
// and misbehaves on demand. Not a test itself.
//
//   const hub = await startHub();
//   hub.add('org/name', { 'config.json': ..., 'model.safetensors': ... }, { token: 'hf_x' });
//   await loadModel(`${hub.url}/org/name/resolve/main/`);
//   hub.log                        // [{ host: 'hub', method: 'GET', path, name, headers, status, sent }, ...]
//   hub.fail('config.json', { status: 429, headers: { 'retry-after': '1' } });   // the next answer for that file
//   await hub.close();
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';

const SLICE = 1 << 16;
/** What the Hub lets pages see. */
const EXPOSED =
  'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,' +
  'X-Linked-Size,X-Linked-ETag,X-Xet-Hash';

/**
 * @typedef {object} Fault what is answered instead, once
 * @property {number} [status] of an empty answer
 * @property {Record<string, string>} [headers]
 * @property {string} [body]
 * @property {number} [cut] so many bytes come, then the connection breaks
 * @property {number} [hang] so many bytes come, then nothing
 * @property {boolean} [silent] the connection breaks before an answer
 */
/**
 * @typedef {object} Settings of a repository
 * @property {string} [token] that Authorization must carry
 * @property {boolean} [gated]
 * @property {boolean} [ranges] whether the store of large files serves them (default true)
 * @property {boolean} [etag] whether it names versions (default true)
 * @property {boolean} [gzip] whether it compresses
 * @property {boolean} [cached] small files lie behind a redirect on the same host, whose answer names no commit
 * @property {number} [pause] milliseconds between slices of 64 KB
 */
/**
 * @typedef {object} Asked
 * @property {'hub' | 'store'} host
 * @property {string} method @property {string} path @property {string} name of the file
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {number} [status] @property {number} sent bytes of the body
 */

/** @param {(request: any, response: any) => void} answer */
async function listen(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(undefined));
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

const waits = (/** @type {number} */ ms) =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

/** Writes no more than the other side takes. @param {any} response @param {Uint8Array} bytes @param {Asked} asked */
async function send(response, bytes, asked, pause = 0) {
  const gone = once(response, 'close');
  for (let at = 0; at < bytes.length && !response.destroyed; at += SLICE) {
    const slice = bytes.subarray(at, at + SLICE);
    const isFull = !response.write(slice);
    asked.sent += slice.length;
    if (isFull) await Promise.race([once(response, 'drain'), gone]);
    if (pause) await waits(pause);
  }
}

/** @param {Uint8Array} bytes @param {string | undefined} range @returns {[number, number] | null} */
function rangeOf(bytes, range) {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  if (first === undefined || Number(first) >= bytes.length) return null;
  return [Number(first), last ? Math.min(Number(last) + 1, bytes.length) : bytes.length];
}

export async function startHub() {
  /** @type {Asked[]} */
  const log = [];
  /** @type {Map<string, { settings: Settings, main: string, commits: Map<string, Record<string, Buffer>> }>} */
  const repositories = new Map();
  /** @type {Map<string, Fault[]>} */
  const faults = new Map();
  /**
   * What signed addresses name, each good for one request. @type {Map<string, { bytes: Buffer, settings: Settings }>}
   */
  const signed = new Map();

  /** @param {'hub' | 'store'} host @param {any} request @param {any} response @returns {Asked} */
  function note(host, { method, url, headers }, response) {
    const { pathname: path } = new URL(url, 'http://x');
    const asked = { host, method, path, name: path.split('/').at(-1) ?? '', headers, sent: 0 };
    log.push(asked);
    response.on('close', () => Object.assign(asked, { status: response.statusCode }));
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-expose-headers', EXPOSED);
    return asked;
  }

  /** @param {any} response @param {number} status @param {string} code @param {string} message */
  function refuse(response, status, code, message) {
    response.writeHead(status, { 'x-error-code': code, 'x-error-message': message, 'content-type': 'text/plain' });
    response.end(message);
  }

  /** @param {any} response @param {Fault} fault @param {Uint8Array} bytes @param {any} headers @param {Asked} asked */
  async function misbehave(response, fault, bytes, headers, asked) {
    const { status = 200, cut, hang, silent, body } = fault;
    if (silent) return response.destroy();
    if (cut === undefined && hang === undefined) return response.writeHead(status, fault.headers).end(body);
    response.writeHead(200, { ...headers, 'content-length': bytes.length, ...fault.headers });
    await send(response, bytes.subarray(0, cut ?? hang), asked);
    if (hang === undefined) setTimeout(() => response.destroy(), 30);
    return undefined;
  }

  /** A file, whole or in part. @param {any} request @param {any} response @param {Asked} asked */
  async function give(request, response, bytes, asked, { ranges = true, etag = true, gzip, pause }, more = {}) {
    const { range, 'if-range': same, 'accept-encoding': encodings } = request.headers;
    const version = `"${createHash('sha1').update(bytes).digest('hex')}"`;
    const headers = { ...more, ...(etag && { etag: version }), ...(ranges && { 'accept-ranges': 'bytes' }) };
    const [fault] = faults.get(asked.name)?.splice(0, 1) ?? [];
    const part = ranges && (!same || same === version) ? rangeOf(bytes, range) : null;
    const wanted = part ? bytes.subarray(...part) : bytes;
    if (fault) return misbehave(response, fault, wanted, headers, asked);
    if (gzip && /gzip/.test(encodings)) {
      const packed = gzipSync(bytes, { level: 1 });
      response.writeHead(200, { ...headers, 'content-encoding': 'gzip', 'content-length': packed.length });
      await send(response, packed, asked, pause);
      return response.end();
    }
    response.writeHead(part ? 206 : 200, {
      ...headers,
      'content-length': wanted.length,
      ...(part && { 'content-range': `bytes ${part[0]}-${part[1] - 1}/${bytes.length}` }),
    });
    await send(response, wanted, asked, pause);
    return response.end();
  }

  const store = await listen(async (request, response) => {
    const asked = note('store', request, response);
    // as the real one did in 2026: no answer to a preflight request
    if (request.method === 'OPTIONS') return response.writeHead(403).end();
    const key = new URL(request.url, 'http://x').searchParams.get('Signature') ?? '';
    const found = signed.get(key);
    signed.delete(key);
    if (!found) return response.writeHead(403, { 'content-type': 'application/xml' }).end('<Error>expired</Error>');
    return give(request, response, found.bytes, asked, found.settings);
  });

  const hub = await listen(async (request, response) => {
    const asked = note('hub', request, response);
    response.setHeader('ratelimit', '"resolvers";r=2998;t=172');
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-headers', request.headers['access-control-request-headers'] ?? '');
      return response.writeHead(204).end();
    }
    const [, cached, repository, revision, name] =
      /^\/(?:(api\/resolve-cache\/models)\/)?([^/]+\/[^/]+)(?:\/resolve)?\/([^/]+)\/(.+)$/.exec(asked.path) ?? [];
    const found = repositories.get(repository);
    if (/^\/[^/]+\/[^/]+(\/(tree|blob)\/.*)?$/.test(asked.path)) {
      response.removeHeader('access-control-allow-origin');
      return response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>a model</title>');
    }
    if (!found || (found.settings.token && request.headers.authorization !== `Bearer ${found.settings.token}`))
      return found?.settings.gated
        ? refuse(response, 401, 'GatedRepo', `Access to model ${repository} is restricted. Please log in.`)
        : refuse(response, 401, 'RepoNotFound', 'Repository not found');
    const commit = revision === 'main' ? found.main : revision;
    const files = found.commits.get(commit);
    if (!files) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    response.setHeader('x-repo-commit', commit);
    const bytes = files[name];
    if (!bytes) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
    const [fault] = faults.get(`hub:${name}`)?.splice(0, 1) ?? [];
    if (fault) return misbehave(response, fault, bytes, {}, asked);
    if (/\.(safetensors|bin)$/.test(name)) {
      const key = randomBytes(8).toString('hex');
      signed.set(key, { bytes, settings: found.settings });
      return response
        .writeHead(302, {
          location: `${store.url}/${commit}/${name}?Expires=1&Signature=${key}`,
          'x-linked-etag': `"${createHash('sha256').update(bytes).digest('hex')}"`,
          'x-linked-size': bytes.length,
        })
        .end();
    }
    if (found.settings.cached && !cached)
      return response.writeHead(307, { location: `/api/resolve-cache/models/${repository}/${commit}/${name}` }).end();
    if (cached) response.removeHeader('x-repo-commit');
    const type = name.endsWith('.json') ? 'text/plain; charset=utf-8' : 'application/octet-stream';
    return give(request, response, bytes, asked, found.settings, { 'content-type': type });
  });

  return {
    url: hub.url,
    store: store.url,
    log,
    /**
     * A repository, or what main is from now on. @param {string} repository @param {Record<string, any>} files texts,
     * bytes, or objects for JSON @param {Settings} [settings] @returns {string} the commit
     */
    add(repository, files, settings) {
      const held = Object.fromEntries(
        Object.entries(files).map(([name, file]) => [
          name,
          file instanceof Uint8Array
            ? Buffer.from(file)
            : Buffer.from(typeof file === 'string' ? file : JSON.stringify(file)),
        ]),
      );
      const hash = createHash('sha1');
      for (const [name, bytes] of Object.entries(held)) hash.update(name).update(bytes);
      const commit = hash.digest('hex');
      const { settings: before = {}, commits = new Map() } = repositories.get(repository) ?? {};
      commits.set(commit, held);
      repositories.set(repository, { settings: settings ?? before, main: commit, commits });
      return commit;
    },
    /**
     * Answers to come, in order. @param {string} name of a file; with "hub:" in front: of the Hub itself, where it
     * leads elsewhere
     * @param {...Fault} list
     */
    fail: (name, ...list) => faults.set(name, list),
    /** What was asked since, in order. @param {RegExp} [names] @returns {Asked[]} without preflight requests */
    asked: (names = /./) => log.filter(({ method, name }) => method === 'GET' && names.test(name)),
    forget() {
      log.length = 0;
      faults.clear();
    },
    close: () => Promise.all([hub.close(), store.close()]),
  };
}
