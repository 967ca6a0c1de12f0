// The colours of the demo's heat map. Alone: node --test test/browser/colour.test.js (needs no browser and no build)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { colourOf, oklch } from '../../demos/colour.js';

/** Relative luminance (WCAG 2.2). */
const luminance = (rgb) =>
  rgb
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);

test('OKLCH: colours with known sRGB values', () => {
  // CSS Color 4 gives these for sRGB's own corners
  assert.deepEqual(oklch(1, 0, 0), [255, 255, 255]);
  assert.deepEqual(oklch(0, 0, 0), [0, 0, 0]);
  for (const [lch, rgb] of [
    [
      [0.62796, 0.25768, 29.234],
      [255, 0, 0],
    ],
    [
      [0.86644, 0.29483, 142.495],
      [0, 255, 0],
    ],
    [
      [0.45201, 0.31321, 264.052],
      [0, 0, 255],
    ],
  ]) {
    oklch(...lch).forEach((c, i) => assert.ok(Math.abs(c - rgb[i]) <= 1, `${lch}: ${oklch(...lch)}`));
  }
});

test('a larger value is lighter: the order shows in grey too', () => {
  let last = -1;
  for (let i = 0; i < 256; i++) {
    const now = luminance(colourOf(i / 255));
    // bytes are rounded, so that neighbours may tie by a hair
    assert.ok(now > last - 1e-3, `step ${i}: ${now} after ${last}`);
    last = Math.max(last, now);
  }
  assert.ok(luminance(colourOf(0)) < 0.03 && luminance(colourOf(1)) > 0.75);
});

test('values outside 0 to 1 have the colours of the ends', () => {
  assert.deepEqual(colourOf(-1), colourOf(0));
  assert.deepEqual(colourOf(2), colourOf(1));
});
