// Our side of scripts/parity/hub.py and hub_q8.py: loads a folder or a file and runs it on pixels.
//   node scripts/parity/hub_run.mjs REQUEST
//   REQUEST: '{ "folder", "pixels": path of f32 numbers, "dims", "dtype", "out": folder, "mask", "rows" }'
//     mask  of MAE's patches, 1 where one is hidden
//     rows  whether every capture whose last dim is a token's or a pixel's numbers is wanted
// Writes <out>/<n>.f32, and prints { kind, outputs: [[name, dims]] }; without pixels info.input.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../../web/index.js';

const { folder, pixels, dims, dtype, out, mask, rows } = JSON.parse(process.argv[2]);
const model = await loadModel(folder, { worker: false, threads: 1, dtype });
if (!pixels) {
  console.log(JSON.stringify(model.info.input));
  process.exit();
}
const data = new Float32Array(new Uint8Array(readFileSync(pixels)).buffer);
const taps = model.info.taps.filter(({ name, kind }) =>
  rows ? kind === 'tokens' || kind === 'features' : name === 'tokens',
);
const capture = taps.map(({ name }) => name);
const masks = mask && { data: Float32Array.from(Array(dims[0]).fill(mask).flat()), dims: [dims[0], mask.length] };
const { output, captures } = await model.forward({ data, dims }, { capture, inputs: masks ? { mask: masks } : {} });
const outputs = Object.entries({ output, ...captures });
outputs.forEach(([, value], i) => writeFileSync(join(out, `${i}.f32`), new Uint8Array(value.data.buffer)));
console.log(
  JSON.stringify({ kind: model.info.output.kind, outputs: outputs.map(([name, value]) => [name, value.dims]) }),
);
