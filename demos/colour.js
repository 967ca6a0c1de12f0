// The colours of the heat map: dark violet over green to yellow, computed in OKLCH so that lightness rises evenly from
// the first step to the last. The order of the values is seen without a legend, in grey, and with any colour vision.
//
//   const [r, g, b] = colourOf(0.5);

const STEPS = 256;
const FROM = { lightness: 0.24, chroma: 0.115, hue: 305 };
const TO = { lightness: 0.93, chroma: 0.15, hue: 103 };

/** Linear light to an sRGB byte. @param {number} x */
const encode = (x) => {
  const c = Math.min(1, Math.max(0, x));
  return Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055));
};

/**
 * OKLCH to sRGB; the matrices are Björn Ottosson's (2020).
 * @param {number} lightness 0 to 1 @param {number} chroma @param {number} hue degrees
 * @returns {[number, number, number]}
 */
export function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    encode(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

const table = Array.from({ length: STEPS }, (_, i) => {
  const t = i / (STEPS - 1);
  const mix = (/** @type {'lightness' | 'chroma' | 'hue'} */ key) => FROM[key] + (TO[key] - FROM[key]) * t;
  return oklch(mix('lightness'), mix('chroma'), mix('hue'));
});

/** The colour of a value from 0 to 1. @param {number} value @returns {[number, number, number]} */
export const colourOf = (value) => table[Math.min(STEPS - 1, Math.max(0, Math.round(value * (STEPS - 1))))];
