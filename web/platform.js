// @ts-check
/**
 * The one place that knows Node. Built-in modules come from process.getBuiltinModule (Node >= 20.16), not from an
 * import, so that bundlers for the browser find nothing to resolve.
 */

const node = /** @type {any} */ (globalThis).process;

/** True in Node (and what behaves like it), false in browsers, workers and Electron's renderer. */
export const isNode = Boolean(node?.versions?.node && node.type !== 'renderer' && node.getBuiltinModule);

/**
 * A built-in module of Node. Call it only where `isNode`.
 * @param {string} name without the "node:" prefix @returns {any}
 */
export const builtin = (name) => node.getBuiltinModule(`node:${name}`);

/**
 * The file that `source` names in Node (a path, a file: URL), or undefined when it is a URL to fetch. A scheme has two
 * letters or more: "C:\photo.png" is a path.
 * @param {string | URL} source @returns {string | undefined}
 */
export function filePath(source) {
  if (!isNode) return undefined;
  const text = String(source);
  if (/^file:/i.test(text)) return builtin('url').fileURLToPath(text);
  return /^[a-z][a-z0-9+.-]+:/i.test(text) ? undefined : text;
}
