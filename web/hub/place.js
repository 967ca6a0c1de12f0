// @ts-check
/** Which folder a source names, or lies in. */
import { builtin, filePath } from '../platform.js';
import { core } from './core.js';
import { atAddress, baseOf, ofBlobs, onDisk } from './files.js';

/**
 * @typedef {{ at: (options: any) => import('./files.js').Folder, weights?: string }} Place weights: their file's name
 */

/**
 * The folder that a source names, or that a file lies in.
 * @param {any} source @param {any} [error] why it could not be read as a file of ours
 * @returns {Place | undefined} nothing: it is no folder
 */
export function placeOf(source, error) {
  const isBare = error?.code === 'ERR_CONFIG' && /no __metadata__\.tesserae/.test(error.message);
  if (typeof source !== 'string' && !(source instanceof URL)) {
    const isBytes = ArrayBuffer.isView(source) || source instanceof ArrayBuffer;
    if (!isBytes && !(source instanceof Blob)) return { at: () => ofBlobs(source) };
    const { name = 'the file given' } = /** @type {any} */ (source);
    return error
      ? undefined
      : { at: () => ofBlobs({ [name]: new Blob([/** @type {any} */ (source)]) }), weights: name };
  }
  const path = filePath(source);
  if (path !== undefined) {
    const { basename, dirname } = builtin('path');
    let isFile = true;
    try {
      isFile = !/[\\/]$/.test(path) && !builtin('fs').statSync(path).isDirectory();
    } catch {
      /* whoever reads it says why */
    }
    if (!isFile) return { at: () => onDisk(path) };
    return error && !isBare ? undefined : { at: () => onDisk(dirname(path)), weights: basename(path) };
  }
  const url = core.resolve(source);
  const base = baseOf(url);
  const [, name] = /([^/]+)\/$/.exec(base.pathname) ?? [];
  const isFile =
    name &&
    !url.pathname.endsWith('/') &&
    (isBare || (name.includes('.') && !/\/resolve\/[^/]+\/$/.test(base.pathname)));
  if (error && (isFile ? !isBare : !/^ERR_FETCH/.test(error.code))) return undefined;
  if (!isFile) return { at: (options) => atAddress(base, options) };
  const parent = Object.assign(new URL('..', base), { search: base.search });
  return { at: (options) => atAddress(parent, options), weights: name };
}
