// The cases of test/golden/models: their files, inputs and runs through the public API.
//
//   const model = await load(file(tiny('vit_tiny')), { dtype: 'f32' });
//   check(tiny('vit_tiny'), 'output', (await run(tiny('vit_tiny'), 'f32')).output, F32_TOLERANCE);
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { loadModel } from '../../web/index.js';
import { mismatch } from './golden.js';
import { drawInput, drawTensors, safetensors } from './weights.js';

// f32 against a reference in double precision. Seen: at most 2.6e-6 of the largest value in any case and tap but those
// of what teaches, whose losses and centers are differences of larger numbers: 6.8e-6. The sums here are short. The
// project promises 1e-4 for models of any size; a tenth of it also catches a wrong epsilon of a norm or the tanh form
// of GELU, which 1e-4 would let pass at these sizes.
export const F32_TOLERANCE = 1e-5;
// 8-bit weights per row and activations of 7 bits per token: either is off by up to 1/250 of its largest value, in each
// of the ten or so products that follow each other here. Seen: at most 4.5e-2. So a class that wins in q8 trails the
// reference's winner by at most twice this.
export const Q8_TOLERANCE = 0.1;

// Taps that a case's patterns name and its reference does not give: dino.py looks inside a network for tokens only.
export const NOT_GIVEN = { dino_update: /\.pos_embedding$/ };

const root = new URL('../..', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
export const cases = readdirSync(new URL('test/golden/models/', root))
  .sort()
  .map((f) => JSON.parse(read(`test/golden/models/${f}`)));
export const tiny = (name) => cases.find((golden) => golden.name === name);

/** max |got - want| over max |want|; NaN anywhere gives Infinity. */
export function difference(got, want) {
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    largest = Math.max(largest, Math.abs(want[i]));
    const d = Math.abs(got[i] - want[i]);
    if (!(d <= worst)) worst = Number.isNaN(d) ? Infinity : d;
  }
  return worst === 0 ? 0 : worst / largest;
}

/** got, dims and data, is the case's output, or its tap of this name. */
export function check(golden, name, got, tolerance) {
  assert.equal(mismatch(golden, name, got, tolerance), '');
}

export const file = (golden, change = {}) =>
  safetensors(change.tensors ?? drawTensors(golden), {
    arch: change.arch ?? golden.arch,
    config: change.config ?? golden.config,
  });
export const load = (bytes, options) => loadModel(bytes, { worker: false, ...options });

/** A case's input: [image or video tensor, the other inputs]. */
export function inputsOf(golden) {
  const { image, video, tokens, ...others } = Object.fromEntries(
    Object.entries(golden.inputs).map(([name, dims]) => [
      name,
      { data: drawInput(golden.name, name, dims), dims: dims.dims ?? dims },
    ]),
  );
  return [image ?? video ?? tokens, others];
}

export async function run(golden, dtype, capture) {
  const model = await load(file(golden), { dtype });
  try {
    const [image, inputs] = inputsOf(golden);
    return { ...(await model.forward(image, { capture, options: golden.options, inputs })), info: model.info };
  } finally {
    await model.dispose();
  }
}
