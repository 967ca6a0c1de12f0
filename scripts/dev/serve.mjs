// A small static server for the demos and the browser tests, not for production. `make serve`, or PORT=9000 node
// scripts/dev/serve.mjs It serves a folder (the repository) with the headers under which Tesserae can use everything:
// cross-origin isolation, so that threads work, and on pages the strict Content-Security-Policy that the library
// promises to run under.
//
//   const server = await serve({ port: 0, root: '.' });   // port 0: any free one
//   await fetch(server.url + 'demos/index.html');
//   await server.close();
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.md': 'text/plain; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.safetensors': 'application/octet-stream',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.svg': 'image/svg+xml',
  '.ico': 'image/x-icon',
};

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
};

// No eval, no inline script, no blob worker, nothing from elsewhere but models, by https or from this machine; images
// may come from a file that the user picked.
export const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "connect-src 'self' https: http://localhost:* http://127.0.0.1:*",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "img-src 'self' blob: data:",
  "style-src 'self'",
].join('; ');

/**
 * The file that a request path names inside `root`, or null: outside it (also through a symbolic link), hidden, or not
 * a file. A folder means its index.html.
 * @param {string} root real path
 * @param {string} pathname the URL's path, still percent-encoded
 */
async function find(root, pathname) {
  let name;
  try {
    name = decodeURIComponent(pathname);
  } catch {
    return null;
  }
  if (name.includes('\0') || name.includes('\\')) return null;
  if (name.split('/').some((part) => part.startsWith('.'))) return null; // .., and .git and its like
  try {
    let path = await realpath(join(root, name));
    let info = await stat(path);
    if (info.isDirectory()) {
      if (!name.endsWith('/')) return null; // relative links in the page would miss the folder
      path = await realpath(join(path, 'index.html'));
      info = await stat(path);
    }
    if (!info.isFile() || !path.startsWith(root + sep)) return null;
    return { path, size: info.size, modified: info.mtime };
  } catch {
    return null;
  }
}

/**
 * One byte range of a Range header: null when there is none to honour (absent, several ranges, another unit: the whole
 * file is the right answer then), 'unsatisfiable', or the first and last byte.
 * @param {string | undefined} header
 * @param {number} size
 * @returns {null | 'unsatisfiable' | { start: number, end: number }}
 */
export function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (!match[1] && !match[2])) return null;
  if (!match[1]) {
    // the last n bytes
    const count = Math.min(Number(match[2]), size);
    return count ? { start: size - count, end: size - 1 } : 'unsatisfiable';
  }
  const start = Number(match[1]);
  const end = match[2] ? Math.min(Number(match[2]), size - 1) : size - 1;
  if (match[2] && Number(match[2]) < start) return null; // malformed, to be ignored (RFC 9110, 14.1.1)
  return start < size ? { start, end } : 'unsatisfiable';
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 * @param {string} text
 * @param {Record<string, string>} [headers]
 */
function refuse(response, status, text, headers = {}) {
  response.writeHead(status, { ...ISOLATION, 'Content-Type': 'text/plain; charset=utf-8', ...headers });
  response.end(text + '\n');
}

/**
 * @param {string} root real path
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function answer(root, request, response) {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return refuse(response, 405, 'Only GET and HEAD', { Allow: 'GET, HEAD' });
  }
  const pathname = (request.url ?? '/').split(/[?#]/)[0]; // not new URL(): that would resolve .. before it is seen
  const file = await find(root, pathname);
  if (!file && pathname === '/' && (await find(root, '/demos/')))
    return refuse(response, 302, 'The pages are in /demos/', { Location: '/demos/' });
  if (!file) return refuse(response, 404, `Not found: ${pathname}`);
  const type =
    TYPES[/** @type {keyof typeof TYPES} */ (extname(file.path).toLowerCase())] ?? 'application/octet-stream';
  const etag = `"${file.size.toString(16)}-${file.modified.getTime().toString(16)}"`;
  /** @type {Record<string, string | number>} */
  const headers = {
    ...ISOLATION,
    'Content-Type': type,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'no-cache',
    ETag: etag,
    'Last-Modified': file.modified.toUTCString(),
  };
  if (type.startsWith('text/html')) headers['Content-Security-Policy'] = CONTENT_SECURITY_POLICY;
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers);
    return response.end();
  }
  // If-Range: a range of a file that has changed since would be glued to the wrong beginning.
  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, file.size) : null;
  if (range === 'unsatisfiable')
    return refuse(response, 416, 'Range not satisfiable', { 'Content-Range': `bytes */${file.size}` });
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  headers['Content-Length'] = end - start + 1;
  if (range) headers['Content-Range'] = `bytes ${start}-${end}/${file.size}`;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === 'HEAD' || !file.size) return response.end();
  // A file that fails half-way must cut the connection: a short body that ends well would look complete.
  createReadStream(file.path, { start, end })
    .on('error', () => response.destroy())
    .pipe(response);
}

/**
 * Serves `root` until closed, on this machine only.
 * @param {{ port?: number, root?: string }} [options] port 0 (default): any free one; root: default the repository
 * @returns {Promise<{ url: string, close: () => Promise<void> }>} url ends in a slash
 */
export async function serve({ port = 0, root = join(dirname(fileURLToPath(import.meta.url)), '..', '..') } = {}) {
  const real = await realpath(resolve(root));
  const server = createServer((request, response) => {
    answer(real, request, response).catch(() => response.destroy());
  });
  await new Promise((ready, failed) => {
    server.once('error', failed);
    server.listen(port, 'localhost', () => ready(undefined));
  });
  const { port: actual } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://localhost:${actual}/`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

if (process.argv[1] && import.meta.url === pathToFileURL(await realpath(process.argv[1])).href) {
  const { url } = await serve({ port: Number(process.env.PORT || 8080) });
  console.log(`Tesserae at ${url} (demos: ${url}demos/)`);
}
