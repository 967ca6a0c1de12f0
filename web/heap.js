// @ts-check
/**
 * Strings and arrays in and out of wasm memory. Views are made anew after each growth of the memory, because growth
 * detaches them. Pointers are made unsigned, because above 2 GB wasm returns them as negative numbers.
 */
import { TesseraeError } from './errors.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class Heap {
  /** @param {any} exports the wasm instance's @param {number} context */
  constructor(exports, context) {
    this.exports = exports;
    this.context = context;
  }

  /** @type {Uint8Array} */
  view = new Uint8Array(0);

  /** All bytes of the memory, as it is now. */
  get bytes() {
    const { buffer } = this.exports.memory;
    if (this.view.buffer !== buffer) this.view = new Uint8Array(buffer);
    return this.view;
  }

  /** The zero-terminated UTF-8 string at `pointer`. @param {number} pointer */
  string(pointer) {
    const begin = pointer >>> 0;
    return begin ? decoder.decode(this.bytes.slice(begin, this.bytes.indexOf(0, begin))) : '';
  }

  /** A view of `count` floats; use it before the next call into wasm. @param {number} pointer @param {number} count */
  floats(pointer, count) {
    return new Float32Array(this.bytes.buffer, pointer >>> 0, count);
  }

  /**
   * A view of `count` unsigned words; use it before the next call into wasm.
   * @param {number} pointer @param {number} count
   */
  words(pointer, count) {
    return new Uint32Array(this.bytes.buffer, pointer >>> 0, count);
  }

  /**
   * Runs `work` with a frame: blocks of memory that live for one call, freed when it ends, however it ends.
   * @template T @param {(frame: Frame) => T} work @returns {T}
   */
  frame(work) {
    const { exports, context } = this;
    /** @type {number[]} */
    const blocks = [];
    const adopt = (/** @type {number} */ block) => {
      if (block) blocks.push(block >>> 0);
      return block >>> 0;
    };
    const alloc = (/** @type {number} */ bytes) => {
      // a size_t has 32 bits here: a larger number would wrap around, not fail
      const block = bytes > 0xffffffff ? 0 : adopt(exports.tsr_wasm_context_alloc(context, Math.max(bytes, 1)));
      if (block) return block;
      exports.tsr_wasm_context_clear(context);
      throw new TesseraeError('ERR_OUT_OF_MEMORY', `no room for ${bytes} more bytes`);
    };
    const copy = (/** @type {ArrayBufferView} */ array) => {
      const block = alloc(array.byteLength);
      this.bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), block);
      return block;
    };
    try {
      return work({ adopt, alloc, copy, string: (text) => copy(encoder.encode(`${text}\0`)) });
    } finally {
      for (const block of blocks) exports.tsr_wasm_context_free(context, block);
    }
  }
}

/**
 * @typedef {object} Frame
 * @property {(bytes: number) => number} alloc memory; throws ERR_OUT_OF_MEMORY
 * @property {(block: number) => number} adopt a block that something else allocated is freed with the frame too
 * @property {(array: ArrayBufferView) => number} copy a copy of an array's bytes
 * @property {(text: string) => number} string a copy of a text
 */
