// Our side of scripts/train/accuracy.py: classifies raw RGB pictures, one wasm thread, through the public API.
//   node scripts/train/accuracy_run.mjs MODEL PIXELS WIDTH HEIGHT WINNERS
// PIXELS: uint8 [N, HEIGHT, WIDTH, 3]. WINNERS is written: int32 [N], the index of each picture's best class.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadModel } from '../../web/index.js';

const BATCH = 20;
const [modelPath, pixelsPath, width, height, winnersPath] = process.argv
  .slice(2)
  .map((a) => (/^\d+$/.test(a) ? Number(a) : a));
const pixels = readFileSync(pixelsPath);
const size = width * height * 3;
const count = pixels.length / size;
if (!Number.isInteger(count)) throw new Error(`${pixelsPath} does not hold whole pictures of ${width}x${height}`);

const model = await loadModel(readFileSync(modelPath), { worker: false, threads: 1 });
const winners = new Int32Array(count);
const began = performance.now();
for (let i = 0; i < count; i += BATCH) {
  const pictures = Array.from({ length: Math.min(BATCH, count - i) }, (_, j) => ({
    data: pixels.subarray((i + j) * size, (i + j + 1) * size),
    width,
    height,
    channels: 3,
  }));
  const answers = await model.classify(pictures, { topK: 1 });
  answers.forEach(([best], j) => {
    winners[i + j] = best.index;
  });
  const done = i + pictures.length;
  if (done % 2000 === 0 || done === count) {
    console.log(`  ${done} of ${count}, ${((performance.now() - began) / done).toFixed(2)} ms an image`);
  }
}
writeFileSync(winnersPath, winners);
await model.dispose();
