// @ts-check
/**
 * Strings and arrays in and out of wasm memory. Views are made again after each growth of the memory (growth detaches them),
 * and pointers are unsigned: above 2 GB wasm hands them out as negative numbers.
 */
import { TesseraeError } from './errors.js';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class Heap {
  /** @param {any} exports the wasm instance's @param {number} context */
  constructor(exports, context) {
    this.exports = exports;
    this.context = context;
    /** @type {Uint8Array} */
    this.view = new Uint8Array(0);
  }

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

  /** A view of `count` unsigned words; use it before the next call into wasm. @param {number} pointer @param {number} count */
  words(pointer, count) {
    return new Uint32Array(this.bytes.buffer, pointer >>> 0, count);
  }

  /**
   * Runs `work` with a frame, whose blocks are freed when it ends, however it ends.
   * @template T @param {(frame: Frame) => T} work @returns {T}
   */
  frame(work) {
    const frame = new Frame(this);
    try {
      return work(frame);
    } finally {
      frame.free();
    }
  }
}

/** Blocks of wasm memory that live for one call. */
export class Frame {
  /** @param {Heap} heap */
  constructor(heap) {
    this.heap = heap;
    /** @type {number[]} */
    this.blocks = [];
  }

  /** `bytes` of memory. Throws ERR_OUT_OF_MEMORY. @param {number} bytes @returns {number} */
  alloc(bytes) {
    const { exports, context } = this.heap;
    // a size_t has 32 bits here: a larger number would wrap around, not fail
    const block = bytes > 0xffffffff ? 0 : exports.tsr_wasm_context_alloc(context, Math.max(bytes, 1)) >>> 0;
    if (!block) {
      exports.tsr_wasm_context_clear(context);
      throw new TesseraeError('ERR_OUT_OF_MEMORY', `no room for ${bytes} more bytes`);
    }
    this.blocks.push(block);
    return block;
  }

  /** A block that something else allocated is freed with the frame too. @param {number} block */
  adopt(block) {
    if (block) this.blocks.push(block >>> 0);
    return block >>> 0;
  }

  /** A copy of an array's bytes. @param {ArrayBufferView} array */
  copy(array) {
    const block = this.alloc(array.byteLength);
    this.heap.bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), block);
    return block;
  }

  /** @param {string} text */
  string(text) {
    return this.copy(encoder.encode(`${text}\0`));
  }

  free() {
    const { exports, context } = this.heap;
    while (this.blocks.length) exports.tsr_wasm_context_free(context, this.blocks.pop());
  }
}
