// The band of tiles under the page's head: ornament only, laid in the colours of the picture that is being looked at.
const TILE = 13;
const ROWS = 3;
/** Before there is a picture: lapis, sea, gold, terracotta, stone. */
const PLAIN = [[31, 94, 168], [63, 134, 207], [47, 143, 134], [217, 163, 33], [189, 83, 51], [222, 211, 190], [28, 62, 110], [140, 184, 214]];

/**
 * A number in [0, 1) that belongs to a tile, so that the band does not flicker when it is drawn again.
 * @param {number} n
 */
const chance = (n) => {
  const x = Math.sin(n * 127.1 + 11.7) * 43758.5453;
  return x - Math.floor(x);
};

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {(colours?: number[][]) => void} lays the band in these colours
 */
export function band(canvas) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  let palette = PLAIN;
  const lay = () => {
    const ratio = globalThis.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = TILE * ROWS * ratio;
    context.scale(ratio, ratio);
    for (let row = 0; row < ROWS; row++) {
      // tiles laid by hand: of slightly different widths, none quite straight
      for (let x = -chance(row) * TILE, n = row * 5000; x < width; n += 4) {
        const wide = TILE * (0.8 + 0.5 * chance(n));
        const light = 0.86 + 0.28 * chance(n + 1);
        const colour = palette[Math.floor(chance(n + 2) * palette.length)].map((c) => Math.min(255, Math.round(c * light)));
        const lean = (chance(n + 3) - 0.5) * 1.4;
        const top = row * TILE + 0.8;
        context.fillStyle = `rgb(${colour})`;
        context.beginPath();
        context.moveTo(x + 0.8 + lean, top);
        context.lineTo(x + wide - 0.8 + lean, top + lean * 0.3);
        context.lineTo(x + wide - 0.8, top + TILE - 1.6);
        context.lineTo(x + 0.8, top + TILE - 1.6 - lean * 0.3);
        context.fill();
        x += wide;
      }
    }
  };
  new ResizeObserver(lay).observe(canvas);
  return (colours) => {
    palette = colours?.length ? colours : PLAIN;
    lay();
  };
}
