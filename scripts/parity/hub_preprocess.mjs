// Our side of scripts/parity/hub_preprocess.py.
//   node scripts/parity/hub_preprocess.mjs JOB.json
// Job: { pictures: [{ path, width, height }], cases: [what preprocessOf takes, or { open_clip: its config }], out:
// folder }. The pictures are uint8
// [height, width, 3]. Writes <out>/<n>.f32 for case n, one picture after the other, and prints a JSON array with
// { preprocess, dims } or { error } for each case.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pixelsOf } from '../../test/parity/pixels.js';
import { adapt } from '../../web/hub/open_clip.js';

const { pictures, cases, out } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const images = pictures.map(({ path, ...size }) => ({
  data: new Uint8Array(readFileSync(path)),
  channels: 3,
  ...size,
}));
const report = [];
for (const [n, from] of cases.entries()) {
  const adapted = from.open_clip && { timm: adapt(from.open_clip, assert.fail).outer.pretrained_cfg };
  const { error, info, results } = await pixelsOf(adapted || from, images);
  if (results)
    writeFileSync(join(out, `${n}.f32`), Buffer.concat(results.map(({ data }) => new Uint8Array(data.buffer))));
  report.push({ error, preprocess: info, dims: results?.map(({ dims }) => dims) });
}
console.log(JSON.stringify(report));
