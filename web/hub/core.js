// @ts-check
/** What whoever loads a folder has already, lent so that this module does not bring it a second time. */

/**
 * @typedef {object} Core
 * @property {typeof import('../errors.js').TesseraeError} TesseraeError
 * @property {typeof import('../source.js').fromNetwork} fromNetwork
 * @property {typeof import('../source.js').resolve} resolve
 * @property {typeof import('../source.js').versionOf} versionOf
 */

export const core = /** @type {Core} */ ({});

/**
 * @param {string} code @param {string} message @param {import('../errors.js').ErrorFields} [fields]
 * @returns {never}
 */
export const fail = (code, message, fields) => {
  throw new core.TesseraeError(code, message, fields);
};

/**
 * A module that is fetched only when it is needed: the network may have gone by then.
 * @template T @param {Promise<T>} module @param {unknown} [error] thrown without it @returns {Promise<T>}
 */
export const fetched = (module, error) =>
  module.catch((cause) => {
    throw error ?? new core.TesseraeError('ERR_FETCH_NETWORK', cause.message, { retryable: true, cause });
  });

/** @param {string} message @param {any} [cause] @returns {never} */
export const refuse = (message, cause) => fail('ERR_CONFIG', message, { cause });
