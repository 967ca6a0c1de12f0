// @ts-check
/** Options objects: unknown names are refused with the nearest known one; and the abort of a promise. */
import { argumentError } from './errors.js';

/**
 * Edits (insert, delete, exchange) between two short words.
 * @param {string} a @param {string} b
 */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

/**
 * The known word that `word` was probably meant to be, or undefined.
 * @param {string} word @param {readonly string[]} known
 */
export function nearest(word, known) {
  const lower = word.toLowerCase();
  const ranked = known.map((name) => ({ name, d: distance(lower, name.toLowerCase()) })).sort((a, b) => a.d - b.d);
  return ranked.length && ranked[0].d <= Math.max(2, word.length / 3) ? ranked[0].name : undefined;
}

/** The suggestion as part of a sentence, or nothing. @param {string} word @param {readonly string[]} known */
function meant(word, known) {
  const guess = nearest(word, known);
  return guess ? `, did you mean "${guess}"?` : '';
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
    throw argumentError(`${where}: unknown option "${name}"${meant(name, known)}; known: ${known.join(', ')}`);
  }
  const { signal } = options;
  if (signal != null && typeof signal.addEventListener !== 'function') {
    throw argumentError(`${where}: signal must be an AbortSignal`);
  }
  return options;
}

/**
 * Refuses a value that is not in the list.
 * @param {string} where @param {string} name @param {any} value @param {readonly any[]} allowed
 */
export function oneOf(where, name, value, allowed) {
  if (allowed.includes(value)) return value;
  const words = allowed.map((one) => JSON.stringify(one)).join(', ');
  throw argumentError(`${where}: ${name} is ${JSON.stringify(value)}${meant(String(value), allowed.map(String))}; give one of ${words}`);
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
