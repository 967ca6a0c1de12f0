// @ts-check
/** Headers of the caller's, such as a token, that go to the model's own server and nowhere else. */
import { filePath, isNode } from '../platform.js';
import { core, fail } from './core.js';
import { baseOf } from './files.js';

const HOPS = 20;

/**
 * Has options.fetch send options.headers with what it fetches for this model. Fetch itself keeps Authorization from the
 * host that an answer leads to, and hands all others on. So in Node redirects are followed here. A page cannot see
 * where one leads: there others than Authorization refuse it.
 * @param {any} source @param {any} options settled @param {import('./core.js').Core} lent
 */
export function sendHeaders(source, options, lent) {
  Object.assign(core, lent);
  const { fetch, headers: given } = options;
  let all = new Headers();
  try {
    all = new Headers(given);
  } catch (cause) {
    fail('ERR_ARGUMENT', `loadModel: headers: ${/** @type {Error} */ (cause).message}`, { cause });
  }
  const names = [...all.keys()];
  if ((typeof source !== 'string' && !(source instanceof URL)) || filePath(source) !== undefined) return;
  const home = [core.resolve(source), baseOf(core.resolve(source))].map(({ origin }) => origin);
  const follows = !isNode && names.every((name) => name === 'authorization');
  /** @param {string} url @param {any} init */
  options.fetch = async (url, init) => {
    for (let to = url, hops = 0; hops < HOPS; hops++) {
      const headers = new Headers(init.headers);
      const isHome = home.includes(new URL(to).origin);
      if (isHome) all.forEach((value, name) => headers.has(name) || headers.set(name, value));
      const response = await fetch(to, { ...init, headers, redirect: isHome && !follows ? 'manual' : 'follow' });
      if (response.type === 'opaqueredirect')
        fail(
          'ERR_FETCH_HTTP',
          `${to} leads elsewhere, where a page would send ${names.join(', ')} too; name the address it leads to`,
          {
            detail: { url: to },
          },
        );
      const next = response.headers.get('location');
      if (!isHome || follows || !next || !/^30[12378]$/.test(String(response.status))) return response;
      response.body?.cancel().catch(() => {});
      to = new URL(next, to).href;
    }
    return fail('ERR_FETCH_HTTP', `${url} leads from one address to the next`, { detail: { url } });
  };
}
