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

/** @param {string} message @param {any} [cause] @returns {never} */
export const refuse = (message, cause) => fail('ERR_CONFIG', message, { cause });
