// @ts-check
/** What whoever loads a folder has already, lent so that this module does not bring it a second time. */

/** @typedef {{ TesseraeError: typeof import('../errors.js').TesseraeError, fromNetwork: typeof import('../source.js').fromNetwork }} Core */

export const core = /** @type {Core} */ ({});

/**
 * @param {string} code @param {string} message @param {import('../errors.js').ErrorFields} [fields]
 * @returns {never}
 */
export const fail = (code, message, fields) => {
  throw new core.TesseraeError(code, message, fields);
};
