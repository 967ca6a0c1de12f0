// @ts-check
/**
 * The one error class of the library, and how it crosses from a worker to the caller.
 *
 *   throw new TesseraeError('ERR_ARGUMENT', 'topK is 0; give 1 or more');
 *
 * Codes of the C core keep the name and stage that src/base/status.inc gives them (engine.js reads names from the wasm, and
 * a test compares the stages); others exist in JavaScript only.
 */

/**
 * @typedef {object} ErrorFields
 * @property {string} [stage] where it happened: 'call', 'fetch', 'model', 'image', 'memory' or 'environment'
 * @property {any} [detail] facts for programs, for example `{ status: 404, url }`
 * @property {boolean} [retryable] whether the same call may succeed later
 * @property {unknown} [cause] the error underneath
 */

/** @param {string} code @returns {string} */
function stageOf(code) {
  if (/^ERR_(FETCH|INTEGRITY)/.test(code)) return 'fetch';
  if (/^ERR_(MODEL|CONFIG)/.test(code)) return 'model';
  if (/^ERR_IMAGE/.test(code)) return 'image';
  if (/^ERR_OUT/.test(code)) return 'memory';
  return /^ERR_(WASM|NO_|WORKER|INTERNAL)/.test(code) ? 'environment' : 'call';
}

export class TesseraeError extends Error {
  /**
   * @param {string} code for example 'ERR_SHAPE'; the message starts with it
   * @param {string} message what, where, the limit and the mend
   * @param {ErrorFields} [fields]
   */
  constructor(code, message, fields = {}) {
    super(`${code}: ${message}`, fields.cause ? fields : undefined);
    this.name = 'TesseraeError';
    /** @type {string} */
    this.code = code;
    /** @type {string} */
    this.stage = fields.stage ?? stageOf(code);
    /** @type {any} */
    this.detail = fields.detail ?? null;
    /** @type {boolean} */
    this.retryable = fields.retryable ?? false;
  }
}

/**
 * An error as plain data: structured cloning drops an error's own fields in some engines.
 * @param {any} error
 */
export function toWire(error) {
  if (!(error instanceof TesseraeError)) return { name: String(error?.name), message: String(error?.message ?? error) };
  const { code, stage, detail, retryable, cause } = error;
  return { code, message: error.message.slice(code.length + 2), stage, detail, retryable, cause: cause && String(cause) };
}

/** @param {any} wire @returns {Error} */
export function fromWire(wire) {
  if (wire.code) return new TesseraeError(wire.code, wire.message, wire);
  return Object.assign(new Error(wire.message), { name: wire.name });
}

/** @param {string} message */
export const argumentError = (message) => new TesseraeError('ERR_ARGUMENT', message);
