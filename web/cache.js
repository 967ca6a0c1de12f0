// @ts-check
/**
 * Models in the browser's Cache API under the name below; Node has none. Only whole files that loaded are stored, and a
 * copy that does not load is dropped. An error of the cache (quota, private mode) never fails a load.
 */
const NAME = 'tesserae-models';

/**
 * @template T @param {(cache: Cache) => Promise<T>} use @returns {Promise<T | undefined>}
 */
async function withCache(use) {
  try {
    return await use(await caches.open(NAME));
  } catch {
    return undefined;
  }
}

/** Whether there is a cache, and the model has an address to store it under. @param {URL | null} [url] */
export const cacheable = (url) => typeof caches === 'object' && /^https?:$/.test(url?.protocol ?? '');

/** The stored file, if any. @param {URL} url @returns {Promise<Response | undefined>} */
export const cacheMatch = (url) => withCache((cache) => cache.match(url.href));

/** @param {URL} url */
export const cacheDrop = (url) => withCache((cache) => cache.delete(url.href));

/** @param {URL} url @param {Blob} file @param {Record<string, string>} [more] headers to keep with it */
export const cachePut = (url, file, more) =>
  withCache((cache) =>
    cache.put(
      url.href,
      new Response(file, {
        headers: { 'content-type': 'application/octet-stream', 'content-length': String(file.size), ...more },
      }),
    ),
  );
