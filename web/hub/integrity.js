// @ts-check
/** The option `integrity` for folders: digests by the names of files. Fetched when it is given. */
import { Sha256 } from './sha256.js';

/** @typedef {import('./core.js').Core['TesseraeError']} ErrorClass */

/** What the option may be, before anything is read. @param {ErrorClass} TesseraeError @param {any} integrity */
export function checkFormat(TesseraeError, integrity) {
  for (const [name, text] of Object.entries(integrity)) {
    if (/^sha256-[A-Za-z0-9+/]{43}=$/.test(text)) continue;
    const said = `loadModel: integrity has ${JSON.stringify(text)} for "${name}"`;
    throw new TesseraeError('ERR_ARGUMENT', `${said}; give "sha256-" and 44 characters of base64`);
  }
}

/**
 * Refuses digests that would check nothing.
 * @param {ErrorClass} TesseraeError @param {any} integrity
 * @param {string[]} names of the files that are read @param {number} files of tensors among them
 */
export function checkNames(TesseraeError, integrity, names, files) {
  const isOne = typeof integrity === 'string';
  const stranger = isOne ? undefined : Object.keys(integrity).find((name) => !names.includes(name));
  if (stranger === undefined && !(isOne && files > 1)) return;
  const said = isOne
    ? 'is one digest; give an object of digests by name'
    : `names "${stranger}", which is none of the files read`;
  throw new TesseraeError('ERR_ARGUMENT', `loadModel: integrity ${said}: ${names.join(', ')}`);
}

/**
 * Hashes a file while it comes.
 * @param {ErrorClass} TesseraeError @param {string} name @param {string} digest "sha256-..."
 */
export function checkOf(TesseraeError, name, digest) {
  const hash = new Sha256();
  return {
    /** @param {Uint8Array} bytes the next of them */
    update: (bytes) => hash.update(bytes),
    end() {
      const own = `sha256-${hash.digest()}`;
      if (own !== digest) throw new TesseraeError('ERR_INTEGRITY', `${name} has ${own}; integrity says ${digest}`);
    },
  };
}
