// Medians and comparisons: pure, also for pages; test/bench.test.js.

/** @param {number[]} values */
export function middle(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * Half the range of the middle half of the values, as a part of their median: how far a typical one is off.
 * @param {number[]} values
 */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))];
  return (at(0.75) - at(0.25)) / 2 / middle(values);
}

/** @typedef {ArrayLike<number>} Values */

/**
 * max |got - want| / max |want|; infinite where something is missing or not finite.
 * @param {Values} got @param {Values} want
 */
export function difference(got, want) {
  if (got.length !== want.length || !want.length) return Infinity;
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    if (!Number.isFinite(got[i]) || !Number.isFinite(want[i])) return Infinity;
    worst = Math.max(worst, Math.abs(got[i] - want[i]));
    largest = Math.max(largest, Math.abs(want[i]));
  }
  return worst ? worst / largest : 0;
}

/** @param {Values} values */
function winner(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * Over several pictures: the largest difference, and on how many the winner is the same.
 * @param {Values[]} got @param {Values[]} want
 */
export function compare(got, want) {
  const same = want.filter((x, i) => got[i] && winner(got[i]) === winner(x)).length;
  return {
    difference: got.length === want.length ? Math.max(...want.map((x, i) => difference(got[i], x))) : Infinity,
    same,
    of: want.length,
  };
}

export const F32_LIMIT = 1e-3; // of the largest logit, with the same winner
export const Q8_ALLOWANCE = 2; // times the peer's own int8 error: our activations have 7 bits, the peer's 8
export const Q8_FLOOR = 0.02; // of the largest output: an error below this is none, however small the peer's is

/**
 * What is wrong with the outputs, in words; empty when nothing is. f32 must agree with the peer and PyTorch. q8 must be
 * about as near to PyTorch's f32 as the peer's int8 is.
 * @param {'f32' | 'q8'} dtype @param {{ pytorch: Values[], peer: Values[], ours: Values[] }} outputs
 */
export function judge(dtype, { pytorch, peer, ours }) {
  const own = compare(ours, pytorch);
  const theirs = compare(peer, pytorch);
  const between = compare(ours, peer);
  /** @type {string[]} */
  const wrong = [];
  const limit = dtype === 'f32' ? F32_LIMIT : Math.max(Q8_FLOOR, Q8_ALLOWANCE * theirs.difference);
  if (!(own.difference <= limit))
    wrong.push(
      `off from PyTorch by ${own.difference.toExponential(1)} of the largest output, limit ${limit.toExponential(1)}`,
    );
  if (dtype === 'f32') {
    if (!(between.difference <= limit))
      wrong.push(`off from the peer by ${between.difference.toExponential(1)}, limit ${limit.toExponential(1)}`);
    if (between.same < between.of)
      wrong.push(`another winner than the peer's on ${between.of - between.same} of ${between.of} pictures`);
  }
  return { ours: own, peer: theirs, between, limit, wrong };
}
