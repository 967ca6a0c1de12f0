// @ts-check
/**
 * Any input a model takes, as plain data for the engine (rpc.js WireInput): a tensor, pixels, or an image file's bytes.
 * The fitting to the model's size (resize, crop, normalise) is the core's, in src/image.
 *
 * In a browser, the browser decodes image files. The core reads their size first, because a small file can hold a huge
 * image. The core decodes PNGs everywhere, because a canvas has 8 bits and multiplies colours by alpha, and a lossless
 * file should give the pixels that Python reads.
 */
import { argumentError, TesseraeError } from './errors.js';
import { filePath, isNode } from './platform.js';
import { bytesOf, request, resolve, wholeFile } from './source.js';

/** The core's limits (src/image/image.h), for what never passes through its decoder. */
const MAX_SIDE = 8192;
const MAX_FILE = 32 << 20;

/** @typedef {import('./rpc.js').WireInput} WireInput */
/**
 * @typedef {{ decode: any, fetch: typeof globalThis.fetch, host: any, signal?: AbortSignal, frames?: number }} Context
 *   frames: the number of frames of a clip; undefined: the input is an image
 */

const LIST =
  'a URL, Blob, element, bitmap, frame, bytes of an image file, { data, width, height }, ' +
  'or a tensor { data: Float32Array, dims }';
/** What a page can draw, and the prefix of the names of its size. */
const DRAWABLE = {
  HTMLImageElement: 'natural',
  HTMLVideoElement: 'video',
  VideoFrame: 'display',
  HTMLCanvasElement: '',
  OffscreenCanvas: '',
  ImageBitmap: '',
};

/** @param {string} message @returns {never} */
const tooLarge = (message) => {
  throw new TesseraeError('ERR_IMAGE_TOO_LARGE', message);
};

/** @param {number} width @param {number} height */
function checkSide(width, height) {
  if (!(width > 0 && height > 0)) throw argumentError(`the picture is ${width} x ${height}; is it loaded?`);
  if (Math.max(width, height) > MAX_SIDE)
    tooLarge(`the picture is ${width} x ${height}; the limit is ${MAX_SIDE} a side`);
}

/** The fields of pixels, checked. @param {any} input @returns {WireInput} */
function fromPixels({ data, width, height, channels }) {
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw argumentError('pixels: data must be a Uint8Array or Uint8ClampedArray');
  }
  checkSide(width, height);
  const count = channels ?? data.length / (width * height);
  if (![1, 3, 4].includes(count) || !Number.isInteger(width) || data.length !== width * height * count) {
    throw argumentError(
      `pixels: ${data.length} bytes are not ${width} x ${height} of ${channels ?? '1, 3 or 4'} channels`,
    );
  }
  return { type: 'pixels', data, width, height, channels: count };
}

/**
 * The pixels of something that a page can draw.
 * @param {any} source @param {number} width @param {number} height @returns {WireInput}
 */
function draw(source, width, height) {
  checkSide(width, height);
  const canvas =
    typeof OffscreenCanvas === 'function'
      ? new OffscreenCanvas(width, height)
      : Object.assign(document.createElement('canvas'), { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { willReadFrequently: true }));
  context.drawImage(source, 0, 0, width, height);
  try {
    return fromPixels(context.getImageData(0, 0, width, height));
  } catch (cause) {
    if (/** @type {Error} */ (cause).name !== 'SecurityError') throw cause;
    throw argumentError('the picture is from another origin; it needs crossorigin and CORS');
  }
}

/** Whether `value` is an instance of a class that this place may not have. @param {any} value @param {string} name */
const is = (value, name) => {
  const type = /** @type {any} */ (globalThis)[name];
  return typeof type === 'function' && value instanceof type;
};

/** @param {Uint8Array} bytes an image file @param {Context} context @returns {Promise<WireInput>} */
async function fromFile(bytes, { decode, host }) {
  if (typeof decode === 'function') return fromPixels(await decode(bytes));
  if (decode === 'wasm' || isNode || bytes[0] === 0x89) return { type: 'encoded', bytes };
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  // the core cannot read the size of these kinds; it is checked after the browser has decoded the image
  if (!/^GIF8|^RIFF....WEBP|^....ftyp(avif|avis|heic|mif1)/s.test(head)) await host.call('size', bytes);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([/** @type {any} */ (bytes)]), {
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
    });
  } catch (cause) {
    throw new TesseraeError('ERR_IMAGE_CORRUPT', 'the browser cannot decode this image file', { cause });
  }
  try {
    return draw(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** @param {string | URL} source @param {Context} context @returns {Promise<any>} */
async function download(source, { fetch, signal = new AbortController().signal }) {
  const path = filePath(source);
  if (path === undefined) {
    return new Uint8Array(await (await request(resolve(source).href, { fetch, signal, retries: 0 })).arrayBuffer());
  }
  return bytesOf(await wholeFile(path));
}

/**
 * A tensor's fields, checked as far as that is cheap; the core checks the values.
 * @param {any} input @returns {import('./rpc.js').TensorInput}
 */
export function tensorOf(input) {
  if (!(input?.data instanceof Float32Array) || !Array.isArray(input.dims)) {
    throw argumentError('a tensor is { data: Float32Array, dims: [B, C, H, W] }');
  }
  return { type: 'tensor', data: input.data, dims: input.dims };
}

/** Whether a model that takes video takes this array as one input, its frames. @param {any[]} input */
export const isClip = ([first]) => !(Array.isArray(first) || first?.dims || is(first, 'HTMLVideoElement'));

/** @param {any} video @param {string} event what happens next to it @returns {Promise<void>} */
const next = (video, event) =>
  new Promise((resolve, reject) => {
    const fail = () => reject(argumentError('the video does not play'));
    video.addEventListener(event, resolve, { once: true });
    video.addEventListener('error', fail, { once: true });
    if (video.error) fail();
  });

/**
 * Frames as a tensor [1,C,F,H,W], each fitted as an image is. Those of a video lie in the middle of equal parts of it.
 * @param {any} input @param {Context} context @returns {Promise<WireInput>}
 */
async function toClip(input, { frames = 0, ...context }) {
  const video = is(input, 'HTMLVideoElement') && input;
  const given = video ? frames : Array.isArray(input) ? input.length : 1;
  if (given !== frames || !given) throw argumentError(`expected ${frames} frames, given ${given}`);
  // "seeked" may come before the frame is drawn. The callback comes with the frame, but some browsers lack it, and it
  // does not come while nothing is shown
  const look = (/** @type {Function} */ done) =>
    video.requestVideoFrameCallback?.(() => (video.seeking ? look(done) : done()));
  /** @param {number} time */
  const seek = (time) => {
    video.currentTime = time;
    return Promise.all([
      next(video, 'seeked'),
      new Promise((resolve) => {
        setTimeout(resolve, 250);
        look(resolve);
      }),
    ]);
  };
  const before = video.currentTime;
  /** @type {any} */
  let clip;
  try {
    if (video) {
      if (!video.readyState) await next(video, 'loadedmetadata');
      if (!video.seekable.length) throw argumentError('the video is live; give an array of frames');
      // recorders do not write the duration; a browser knows it after seeking to the end
      if (video.duration === Infinity) await seek(1e9);
    }
    for (let f = 0; f < frames; f++) {
      if (video) await seek(((f + 0.5) / frames) * video.duration);
      const {
        data,
        dims: [, channels, ...sides],
      } = await context.host.call('preprocess', await toInput(video || input[f], context));
      const plane = data.length / channels;
      clip ??= { type: 'tensor', data: new Float32Array(frames * data.length), dims: [1, channels, frames, ...sides] };
      for (let c = 0; c < channels; c++)
        clip.data.set(data.subarray(c * plane, (c + 1) * plane), (c * frames + f) * plane);
    }
  } finally {
    if (video) video.currentTime = before;
  }
  return clip;
}

/**
 * @param {any} input @param {Context} context @returns {Promise<WireInput>}
 */
export async function toInput(input, context) {
  if (context.frames !== undefined && !input?.dims) return toClip(input, context);
  if (typeof input === 'string' || input instanceof URL) return fromFile(await download(input, context), context);
  if (is(input, 'Blob')) {
    if (input.size > MAX_FILE) tooLarge(`the file has ${input.size} bytes; the limit is ${MAX_FILE}`);
    return fromFile(new Uint8Array(await input.arrayBuffer()), context);
  }
  if (input instanceof ArrayBuffer || input instanceof Uint8Array)
    return fromFile(/** @type {Uint8Array} */ (bytesOf(input)), context);
  for (const [name, prefix] of Object.entries(DRAWABLE)) {
    if (!is(input, name)) continue;
    if (input.complete === false) await input.decode(); // an img that is still loading
    return draw(input, input[`${prefix}Width`] ?? input.width, input[`${prefix}Height`] ?? input.height);
  }
  if (input?.dims !== undefined) return tensorOf(input);
  if (input?.data && input.width !== undefined) return fromPixels(input);
  throw argumentError(`cannot take ${Object.prototype.toString.call(input).slice(8, -1)} as input; give ${LIST}`);
}
