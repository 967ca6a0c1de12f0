// A local HTTP server that answers as a test says, and counts what it was asked. Not a test itself.
import { createServer } from 'node:http';

/**
 * @param {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, n: number) =>
 *   void} answer n: 0 for the first request
 * @param {(base: string, requests: import('node:http').IncomingMessage[]) => Promise<void>} work
 */
export async function withServer(answer, work) {
  /** @type {import('node:http').IncomingMessage[]} */
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response, requests.length - 1);
  });
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(undefined));
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  try {
    await work(`http://127.0.0.1:${port}`, requests);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  }
}

/** Sends `bytes` but breaks the connection after `cut` of them. */
export function sendCut(response, bytes, cut, headers = {}) {
  response.writeHead(200, { 'content-length': bytes.length, ...headers });
  response.write(bytes.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
}

/** Answers as a server that knows ranges does. */
export function sendRanged(request, response, bytes, etag) {
  const [, first] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  if (first === undefined || request.headers['if-range'] !== etag) {
    response.writeHead(200, { etag, 'content-length': bytes.length });
    return response.end(bytes);
  }
  response.writeHead(206, { etag, 'content-range': `bytes ${first}-${bytes.length - 1}/${bytes.length}` });
  return response.end(bytes.subarray(Number(first)));
}
