// @ts-check
/**
 * The messages between a model and the engine in its worker; the types, and nothing that runs.
 *
 * The worker says `{ ready: true }` when its script has loaded. After that each Request is answered by one Reply with
 * its id.
 *
 * @typedef {'open' | 'admit' | 'stop' | 'begin' | 'feed' | 'finish' | 'size' | 'preprocess' | 'run'} Op a method of
 *   Engine
 * @typedef {{ id: number, op: Op, args: any[] }} Request
 * @typedef {{ id: number, result?: any, error?: any, memory: import('./types.js').MemoryUse }} Reply error as errors.js
 *   toWire makes it
 *
 * @typedef {{ type: 'tensor', data: Float32Array, dims: number[] }} TensorInput
 * @typedef {{ type: 'pixels', data: Uint8Array | Uint8ClampedArray, width: number, height: number, channels: number }}
 *   PixelsInput
 * @typedef {{ type: 'encoded', bytes: Uint8Array }} EncodedInput a JPEG or PNG file
 * @typedef {TensorInput | PixelsInput | EncodedInput} WireInput
 */

/**
 * The buffers of a value that we made and may give away, to be transferred with it.
 * @param {any} value result of an Engine method @returns {ArrayBuffer[]}
 */
export function buffersOf(value) {
  /** @type {Set<ArrayBuffer>} */
  const found = new Set();
  /** @param {any} v */
  const visit = (v) => {
    if (ArrayBuffer.isView(v)) found.add(/** @type {ArrayBuffer} */ (v.buffer));
    else if (v && typeof v === 'object') Object.values(v).forEach(visit);
  };
  visit(value);
  return [...found];
}
