// @ts-check
/** The parts of a folder, opened: JSON, and the headers of tensors. */
import { core, fetched, refuse } from './core.js';
import { isMissing, TensorFile, whole } from './files.js';

export const INDEX = 'model.safetensors.index.json';

/** @typedef {(name: string, alone?: boolean) => import('./files.js').File} Open alone: the one file of tensors */

/**
 * Like Promise.all, when all have ended: each may leave something open.
 * @template T @param {Promise<T>[]} promises @returns {Promise<T[]>}
 */
export async function allOf(promises) {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

/**
 * A JSON file; undefined where it is optional and not there.
 * @param {import('./files.js').File} file @param {boolean} [optional]
 */
export async function json(file, optional) {
  let text;
  try {
    text = new TextDecoder().decode(await whole(file));
  } catch (error) {
    if (!optional || !isMissing(error)) throw error;
    file.keep?.([], []);
    return undefined;
  }
  try {
    // Python writes NaN and Infinity; a string of megabytes is too long for a RegExp's stack
    const strict =
      text.length > 1 << 20
        ? text
        : text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (one) => (one[0] === '"' ? one : 'null'));
    const value = JSON.parse(strict);
    if (value && typeof value === 'object') return value;
  } catch (cause) {
    refuse(`${file.name} is not JSON: ${/** @type {Error} */ (cause).message}`, cause);
  }
  return refuse(`${file.name} is not a JSON object`);
}

/** @param {any} error @param {object} detail what is not there, if the error says so @returns {never} */
export function notThere(error, detail) {
  if (isMissing(error)) error.detail = { ...error.detail, ...detail };
  throw error;
}

/**
 * Reads the headers of the files of tensors.
 * @param {string} where @param {Open} open @param {TensorFile[]} files takes those that are opened
 * @param {any} config config.json, for the reason why there are none
 * @param {string} [weights] the name of the only one, if the caller knows it
 * @returns {Promise<any>} the index, if there is one
 */
export async function openTensors(where, open, files, config, weights) {
  /** @param {string} name @param {boolean} [alone] */
  const add = async (name, alone) => {
    const file = new TensorFile(open(name, alone));
    files.push(file);
    await file.open();
    if (file !== files[0]) await file.close(); // a browser has few connections for a host
  };
  try {
    return await add(weights ?? 'model.safetensors', true);
  } catch (error) {
    if (weights || !isMissing(error)) throw error;
    files.pop();
  }
  const index = await json(open(INDEX), true);
  if (!index) throw await (await fetched(import('./reasons.js'))).noTensors(core.TesseraeError, where, open, config);
  const names = [...new Set(Object.values(index.weight_map ?? {}))].sort();
  if (!names.length || names.some((name) => typeof name !== 'string' || !/^\w[\w.-]*$/.test(name)))
    refuse(`${INDEX} is damaged: its weight_map names no files of this folder`);
  await allOf(names.map((name) => add(name).catch((error) => notThere(error, { shard: name }))));
  return index;
}
