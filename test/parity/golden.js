// Results against what a golden file keeps of them: all values, or 64 of them and sums of eight over all others. The
// format stands at the top of scripts/parity/golden_models.py.
//
//   assert.equal(mismatch(golden, 'blocks.0.attn', captures['blocks.0.attn'], 1e-5), '');
import { uniform } from './weights.js';

const PROBES = 64;
const GROUP = 8;

const decode = (base64 = '') => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);

/** All values of an output or tap that is kept whole: of at most 64. @param {{ data: string }} kept */
export const floats = ({ data }) => decode(data);

/** Positions of n values in the order that a seed gives, and a sign for each position. */
function drawn(/** @type {string} */ seed, /** @type {number} */ n) {
  const u = uniform(seed, 2 * n);
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((i, j) => u[i] - u[j]);
  return { order, sign: (/** @type {number} */ i) => (u[n + i] < 0 ? -1 : 1) };
}

/** Whether a name matches a pattern in which * stands for any characters, ? for one. */
const matches = (/** @type {string} */ name, /** @type {string} */ pattern) =>
  new RegExp(`^${pattern.replace(/[.\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name);

/**
 * What is wrong with the list of a case's taps: each tap of the program whose name matches one of the case's `keep`
 * must be in the file, and each pattern must match one.
 * @param {any} golden @param {string[]} listed the taps that the program has for the case's input and options
 * @returns {string[]}
 */
export function tapFaults(golden, listed) {
  const wanted = listed.filter((name) => golden.keep.some((/** @type {string} */ pattern) => matches(name, pattern)));
  const kept = Object.keys(golden.taps);
  return [
    ...wanted.filter((name) => !kept.includes(name)).map((name) => `${golden.name}: the file lacks the tap ${name}`),
    ...kept
      .filter((name) => !wanted.includes(name))
      .map((name) => `${golden.name}: ${name} is no tap that the case keeps`),
    ...golden.keep
      .filter((/** @type {string} */ pattern) => !listed.some((name) => matches(name, pattern)))
      .map((/** @type {string} */ pattern) => `${golden.name}: no tap is ${pattern}`),
  ];
}

/**
 * '' where `got` is the case's output, or its tap of this name; otherwise what is off, and where.
 *
 * A value may be off by `tolerance` of the largest value, and a sum of eight by the root of eight times that: errors by
 * rounding are independent of each other, and grow so. The largest value itself is compared too, because a wrong one in
 * the file would allow anything. Seen in f32: values off by 6.8e-6 at most, sums by 3.3e-6.
 * @param {any} golden @param {string} name @param {{ dims: ArrayLike<number>, data: ArrayLike<number> }} got
 * @param {number} tolerance
 */
export function mismatch(golden, name, got, tolerance) {
  const kept = name === 'output' ? golden.output : golden.taps[name];
  const what = `${golden.name}: ${name}`;
  const dims = Array.from(got.dims);
  const n = dims.reduce((a, b) => a * b, 1);
  if (String(dims) !== String(kept.dims)) return `${what} has dims [${dims}], expected [${kept.dims}]`;
  if (got.data.length !== n) return `${what} has ${got.data.length} values, expected ${n}`;

  const { order, sign } = n > PROBES ? drawn(`${golden.name}/golden/${name}`, n) : { order: null, sign: () => 1 };
  const values = decode(order ? kept.probes : kept.data);
  const sums = decode(kept.sums);
  const groups = Math.ceil((n - PROBES) / GROUP);
  const complete = order ? values.length === PROBES && sums.length === groups : values.length === n;
  if (!complete) return `${what}: the file is cut short`;

  const largest = order ? kept.largest : values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  /** What is wrong, if the difference is too large or NaN. */
  const off = (
    /** @type {string} */ where,
    /** @type {number} */ is,
    /** @type {number} */ want,
    allowed = tolerance,
  ) => {
    const d = Math.abs(is - want);
    return d <= allowed * largest
      ? ''
      : `${what}: ${where} ${is}, expected ${want}: off by ` +
          `${(d / largest).toExponential(2)} of the largest value, allowed ${allowed}`;
  };
  for (let k = 0; k < values.length; k++) {
    const at = order ? order[k] : k;
    const wrong = off(`value ${at} is`, got.data[at], values[k]);
    if (wrong) return wrong;
  }
  for (let k = 0; k < sums.length; k++) {
    const members = /** @type {Uint32Array} */ (order).subarray(PROBES + k * GROUP, PROBES + (k + 1) * GROUP);
    const sum = members.reduce((all, i) => all + sign(i) * got.data[i], 0);
    const wrong = off(`the signed sum of values ${members.join(', ')} is`, sum, sums[k], tolerance * Math.sqrt(GROUP));
    if (wrong) return wrong;
  }
  const own = Array.prototype.reduce.call(
    got.data,
    (most, x) => Math.max(/** @type {number} */ (most), Math.abs(x)),
    0,
  );
  return Math.abs(own - largest) <= tolerance * own
    ? ''
    : `${what}: the largest value is ${own}, in the file ${largest}: allowed ${tolerance} of it`;
}
