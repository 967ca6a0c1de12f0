// @ts-check
/**
 * Tesserae: vision transformers on the user's own device.
 *
 *   import { loadModel } from 'tesserae';
 *   const model = await loadModel('/models/cct.safetensors');
 *   const [{ label, score }] = await model.classify(document.querySelector('img'));
 *
 * Importing this has no side effects: nothing is fetched, compiled or started before loadModel.
 */
import { bareEngine } from './start.js';

export { TesseraeError } from './errors.js';
export { loadModel } from './load.js';
export { Model } from './model.js';

/** @typedef {import('./types.js').LoadOptions} LoadOptions */
/** @typedef {import('./types.js').Progress} Progress */
/** @typedef {import('./types.js').ModelSource} ModelSource */
/** @typedef {import('./types.js').Input} Input */
/** @typedef {import('./types.js').Tensor} Tensor */
/** @typedef {import('./types.js').Pixels} Pixels */
/** @typedef {import('./types.js').Classification} Classification */
/** @typedef {import('./types.js').Attention} Attention */
/** @typedef {import('./types.js').Capture} Capture */
/** @typedef {import('./types.js').Info} Info */
/** @typedef {import('./types.js').Runtime} Runtime */
/** @typedef {import('./types.js').MemoryUse} MemoryUse */

/** This package's version; a test compares it with package.json. */
export const version = '0.1.0';

/**
 * Every architecture this version runs, or the given .wasm.
 * @param {Pick<LoadOptions, 'wasmUrl' | 'wasmBinary' | 'fetch'>} [options]
 * @returns {Promise<{ arch: string, title: string, paper: string, reference: string, presets: string[] }[]>}
 */
export async function listArchitectures(options) {
  return (await bareEngine(options)).architectures();
}
