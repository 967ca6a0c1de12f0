// Our side of scripts/parity/parity.py: loads a model file and runs it on inputs that lie in raw f32 files, through the
// public API.
//   node scripts/parity/run.mjs JOB.json
// Job: { model: path, dtype, runs: [{ inputs: { name: { path, dims } }, options, capture: [tap], out: folder }] }
// Writes <out>/<n>.f32 for the output (n = 0) and each captured tap, and prints one JSON object:
//   { runtime, memory, parameters, loadMs, runs: [{ ms, results: [{ name, dims, path }] }] }
// or, when it fails, { error }.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../../web/index.js';

process.on('uncaughtException', (error) => {
  console.log(JSON.stringify({ error: String(error) }));
  process.exit(1);
});
const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tensor = ({ path, dims }) => ({ data: new Float32Array(new Uint8Array(readFileSync(path)).buffer), dims });

let began = performance.now();
const model = await loadModel(readFileSync(job.model), { worker: false, threads: 1, dtype: job.dtype });
const report = {
  runtime: model.runtime,
  parameters: model.info.parameters,
  loadMs: performance.now() - began,
  runs: [],
};
for (const { inputs, options, capture, out } of job.runs) {
  const { [model.info.input.name]: main, ...others } = Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [name, tensor(input)]),
  );
  began = performance.now();
  const { output, captures } = await model.forward(main, { capture, options, inputs: others });
  const ms = performance.now() - began;
  const results = Object.entries({ output, ...captures }).map(([name, { data, dims }], n) => {
    const path = join(out, `${n}.f32`);
    writeFileSync(path, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { name, dims: [...dims], path };
  });
  report.runs.push({ ms, results });
}
report.memory = model.memory();
await model.dispose();
console.log(JSON.stringify(report));
