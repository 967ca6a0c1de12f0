// @ts-check
/** Options objects: unknown names are refused with the nearest known one; and the abort of a promise. */
import { argumentError } from './errors.js';

/**
 * Whether `a` becomes `b` with so many edits (insert, delete, exchange).
 * @param {string} a @param {string} b @param {number} edits @returns {boolean}
 */
function near(a, b, edits) {
  const [c, d] = [a.slice(1), b.slice(1)];
  if (a === b || !edits) return a === b;
  return a[0] === b[0] ? near(c, d, edits) : near(c, d, edits - 1) || near(c, b, edits - 1) || near(a, d, edits - 1);
}

/**
 * The known word that `word` was probably meant to be, or undefined.
 * @param {string} word @param {readonly string[]} known
 */
export function nearest(word, known) {
  for (const edits of [0, 1, 2]) {
    const found = known.find((name) => near(word.toLowerCase(), name.toLowerCase(), edits));
    if (found) return found;
  }
  return undefined;
}

/**
 * Returns `options` if it is an object with known names only.
 * @param {any} options @param {readonly string[]} known @param {string} where the function's name, for the message
 * @returns {any}
 */
export function checkOptions(options, known, where) {
  if (options === undefined) return {};
  if (Object(options) !== options || Array.isArray(options)) throw argumentError(`${where}: options must be an object`);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const guess = nearest(name, known);
    throw argumentError(
      `${where}: unknown option "${name}"${guess ? `, did you mean "${guess}"?` : ''}; known: ${known.join(', ')}`,
    );
  }
  const { signal } = options;
  if (signal != null && typeof signal.addEventListener !== 'function') {
    throw argumentError(`${where}: signal must be an AbortSignal`);
  }
  return options;
}

/**
 * `promise`, unless `signal` fires first: then it rejects at once with the signal's reason.
 * @template T @param {Promise<T>} promise @param {AbortSignal} [signal] @returns {Promise<T>}
 */
export function abortable(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
