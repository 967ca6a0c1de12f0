// The picture and what is drawn over it: heat map, patches, the mark of the chosen patch. Knows pixels, not models.
import { colourOf } from './colour.js';

/** @typedef {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number, channels: number }} Pixels */

const SIDE = 640; // drawn this large at least, so that tiles have sharp edges
const SMALL = 96; // up to this many pixels a side a picture is shown as the pixels it has

/** @param {HTMLCanvasElement} canvas @returns {CanvasRenderingContext2D} */
const contextOf = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));

/** A canvas of RGBA or fewer channels. @param {Pixels} pixels */
function canvasOf({ data, width, height, channels }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[i * channels + (channels < 3 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  contextOf(canvas).putImageData(image, 0, 0);
  return canvas;
}

/**
 * The part of a picture that preprocessing keeps: its centre, or the whole. null: what the model sees has a border.
 * @param {{ width: number, height: number }} source
 * @param {any} preprocess
 */
function keptPart({ width, height }, { size, fit, crop_pct: share, shortest_edge, longest_edge, resize_size = size }) {
  const [rows, columns] = size;
  const across = width / (shortest_edge ?? Math.floor(columns / share));
  const down = height / (shortest_edge ?? Math.floor(rows / share));
  const ratio = Math.max(Math.min(across, down), longest_edge ? Math.max(width, height) / longest_edge : 0);
  const [x, y] = {
    crop: [ratio, ratio],
    squash: [width / resize_size[1], height / resize_size[0]],
    native: [width / columns, height / rows],
    none: [1, 1],
    border: [Infinity, Infinity],
  }[/** @type {'crop'} */ (fit)];
  if ((columns - 1) * x > width || (rows - 1) * y > height) return null;
  const kept = { width: Math.min(width, columns * x), height: Math.min(height, rows * y) };
  return { x: (width - kept.width) / 2, y: (height - kept.height) / 2, ...kept };
}

export class Stage {
  /**
   * @param {{ frame: HTMLElement, picture: HTMLCanvasElement, overlay: HTMLCanvasElement, mark: HTMLElement }} parts
   */
  constructor(parts) {
    this.parts = parts;
  }

  /** The frame takes the shape of the model's input. @param {number} width @param {number} height */
  shape(width, height) {
    this.parts.frame.style.aspectRatio = `${width} / ${height}`;
  }

  /**
   * @param {ImageBitmap | null} bitmap the picture as it came; null: only `fitted` is there
   * @param {Pixels} fitted what the model sees of it
   * @param {any} preprocess @param {boolean} asModel show `fitted`
   */
  show(bitmap, fitted, preprocess, asModel) {
    const { picture } = this.parts;
    const context = contextOf(picture);
    const sharp = bitmap && !asModel ? keptPart(bitmap, preprocess) : null;
    if (sharp && Math.max(sharp.width, sharp.height) > SMALL) {
      const scale = Math.min(1, 1200 / Math.max(sharp.width, sharp.height));
      Object.assign(picture, { width: Math.round(sharp.width * scale), height: Math.round(sharp.height * scale) });
      context.imageSmoothingQuality = 'high';
      context.drawImage(
        /** @type {ImageBitmap} */ (bitmap),
        sharp.x,
        sharp.y,
        sharp.width,
        sharp.height,
        0,
        0,
        picture.width,
        picture.height,
      );
    } else {
      const source = canvasOf(fitted);
      Object.assign(picture, { width: source.width, height: source.height });
      context.drawImage(source, 0, 0);
    }
    picture.classList.toggle('pixelated', Math.max(picture.width, picture.height) <= SMALL);
  }

  /** An empty overlay of whole pixels a cell. @param {number} rows @param {number} columns */
  #clear(rows, columns) {
    const { overlay } = this.parts;
    const cell = Math.max(1, Math.ceil(SIDE / Math.max(rows, columns)));
    Object.assign(overlay, { width: columns * cell, height: rows * cell });
    return { context: contextOf(overlay), cell };
  }

  /**
   * @param {ArrayLike<number>} values one a cell, rows first @param {[number, number]} grid
   * @returns {{ min: number, max: number }} what the ends of the colours stand for
   */
  heat(values, [rows, columns]) {
    const { context, cell } = this.#clear(rows, columns);
    const list = Array.from(values);
    const min = list.reduce((a, b) => Math.min(a, b));
    const max = list.reduce((a, b) => Math.max(a, b));
    const joint = cell >= 12 ? Math.max(1, Math.round(cell / 40)) : 0;
    list.forEach((value, i) => {
      context.fillStyle = `rgb(${colourOf(max > min ? (value - min) / (max - min) : 0)})`;
      context.fillRect(
        (i % columns) * cell + joint,
        Math.floor(i / columns) * cell + joint,
        cell - 2 * joint,
        cell - 2 * joint,
      );
    });
    return { min, max };
  }

  /**
   * The patches laid out as tiles.
   * @param {{ data: Uint8ClampedArray, grid: [number, number], patchSize: [number, number] }} patches
   */
  patches({ data, grid: [rows, columns], patchSize: [height, width] }) {
    const { context, cell } = this.#clear(rows, columns);
    const joint = Math.max(1, Math.round(cell / 14));
    context.imageSmoothingEnabled = false;
    const area = height * width * 4;
    for (let i = 0; i < rows * columns; i++) {
      const tile = canvasOf({ data: data.subarray(i * area, (i + 1) * area), width, height, channels: 4 });
      context.drawImage(
        tile,
        (i % columns) * cell + joint,
        Math.floor(i / columns) * cell + joint,
        cell - 2 * joint,
        cell - 2 * joint,
      );
    }
  }

  /** Nothing over the picture. */
  bare() {
    this.#clear(1, 1);
  }

  /** @param {number | null} cell @param {[number, number]} grid */
  mark(cell, [rows, columns]) {
    const { mark } = this.parts;
    mark.hidden = cell === null;
    if (cell === null) return;
    const percent = (/** @type {number} */ x) => `${100 * x}%`;
    mark.style.left = percent((cell % columns) / columns);
    mark.style.top = percent(Math.floor(cell / columns) / rows);
    mark.style.width = percent(1 / columns);
    mark.style.height = percent(1 / rows);
  }

  /** The cell under a pointer. @param {{ clientX: number, clientY: number }} event @param {[number, number]} grid */
  cellAt({ clientX, clientY }, [rows, columns]) {
    const box = this.parts.overlay.getBoundingClientRect();
    const column = Math.min(columns - 1, Math.max(0, Math.floor(((clientX - box.left) / box.width) * columns)));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(((clientY - box.top) / box.height) * rows)));
    return row * columns + column;
  }
}

/** Mean colours of a coarse grid of a picture, for the band. @param {Pixels} pixels @param {number} side */
export function meanColours(pixels, side) {
  const { data, width, height, channels } = pixels;
  const colours = [];
  for (let cell = 0; cell < side * side; cell++) {
    const x0 = Math.floor(((cell % side) * width) / side);
    const y0 = Math.floor((Math.floor(cell / side) * height) / side);
    const sum = [0, 0, 0];
    let count = 0;
    for (let y = y0; y < y0 + Math.max(1, Math.floor(height / side)); y++) {
      for (let x = x0; x < x0 + Math.max(1, Math.floor(width / side)); x++, count++) {
        for (let c = 0; c < 3; c++) sum[c] += data[(y * width + x) * channels + (channels < 3 ? 0 : c)];
      }
    }
    colours.push(sum.map((total) => total / count));
  }
  return colours;
}
