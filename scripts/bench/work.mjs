// What is timed, the same code in Node and in a page: the two sides behind one interface, a cold start, and turns.
//
// A job is plain data; its addresses are paths in Node and URLs in a page:
//   { sides: { peer, ours }, dtype, threads, input: dims, inputs, outputs, pictures, pause,
//     warm: { least, ms }, turns: { least, most, ms } }
//   peer: { module, wasm, model }
//   ours: { module, model, dtype, options }
//   limit: the address of limit.mjs, if the limit is to be measured
import { judge, middle } from './numbers.mjs';

const node = globalThis.process?.getBuiltinModule;
const sleep = (/** @type {number} */ ms) =>
  new Promise((done) => {
    setTimeout(done, ms);
  });

/** @param {string} address @returns {Promise<Float32Array>} */
async function floats(address) {
  const bytes = node
    ? new Uint8Array(node('node:fs').readFileSync(address)).buffer
    : await (await fetch(address)).arrayBuffer();
  return new Float32Array(bytes);
}

/** Pictures and what PyTorch says of them. @param {any} job */
async function examples({ input, inputs, outputs, pictures }) {
  const cut = (/** @type {Float32Array} */ all, /** @type {number} */ count) =>
    Array.from({ length: count }, (_, i) => all.subarray((i * all.length) / count, ((i + 1) * all.length) / count));
  const all = await floats(inputs);
  const count = all.length / input.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
  return {
    pictures: cut(all, count).slice(0, pictures),
    answers: cut(await floats(outputs), count).slice(0, pictures),
  };
}

/**
 * onnxruntime-web: its wasm backend (SIMD always, threads as asked), every graph optimization.
 * @param {any} side @param {any} job
 */
async function openPeer({ module, wasm, model }, { threads, input }) {
  const ort = await import(module);
  ort.env.wasm.wasmPaths = wasm;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  const imported = performance.now();
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
  return {
    imported,
    /** @param {Float32Array} data */
    async run(data) {
      const { output } = await session.run({ image: new ort.Tensor('float32', data, [1, ...input]) });
      return output.data;
    },
    about: () => ({ threads: ort.env.wasm.numThreads }),
  };
}

/** This package, as a user gets it: in its worker. @param {any} side @param {any} job */
async function openOurs({ module, model: file, dtype, options }, { threads, input }) {
  const { loadModel } = await import(module);
  const imported = performance.now();
  const model = await loadModel(file, { dtype, threads, cache: false });
  return {
    imported,
    /** @param {Float32Array} data */
    async run(data) {
      const { output } = await model.forward({ data, dims: [1, ...input] }, { options });
      return output.data;
    },
    about() {
      const { operations, weights_bytes: weightsBytes } = model.info;
      return {
        threads: model.runtime.threads,
        runtime: model.runtime,
        memory: model.memory(),
        operations,
        weightsBytes,
      };
    },
  };
}

const OPEN = { peer: openPeer, ours: openOurs };

/**
 * One side in a process or page of its own, from nothing to its first answer; then a few more runs, for the peak of
 * memory.
 * @param {'peer' | 'ours'} name @param {any} job
 */
export async function cold(name, job) {
  const {
    pictures: [picture],
  } = await examples(job);
  const began = performance.now();
  const side = await OPEN[name](job.sides[name], job);
  const loaded = performance.now();
  await side.run(picture);
  const answered = performance.now();
  for (let i = 0; i < 2; i++) await side.run(picture);
  return {
    cold: answered - began,
    import: side.imported - began,
    load: loaded - side.imported,
    first: answered - loaded,
    ...side.about(),
  };
}

/**
 * Both sides in one process, taking turns. Each answers every picture first: outputs to be compared, and the warm-up.
 * @param {any} job
 */
export async function turns(job) {
  const { pictures, answers } = await examples(job);
  /** @type {Record<'peer' | 'ours', Float32Array[]>} */
  const outputs = { peer: [], ours: [] };
  /** @type {Record<'peer' | 'ours', number[]>} */
  const times = { peer: [], ours: [] };
  /** @type {['peer' | 'ours', any][]} */
  const sides = [];
  for (const name of /** @type {const} */ (['peer', 'ours']))
    sides.push([name, await OPEN[name](job.sides[name], job)]);
  const took = { peer: 0, ours: 0 };
  for (const [name, side] of sides) {
    const { least, ms } = job.warm;
    const began = performance.now();
    let runs = 0;
    for (; runs < Math.max(least, pictures.length) || performance.now() - began < ms; runs++) {
      const output = await side.run(pictures[runs % pictures.length]);
      if (runs < pictures.length) outputs[name].push(output);
    }
    took[name] = (performance.now() - began) / runs;
  }
  const limits = job.limit ? await (await import(job.limit)).measureLimits() : {};
  const { least, most, ms } = job.turns;
  const count = Math.max(least, Math.min(most, Math.round(ms / (took.peer + took.ours + 2 * job.pause))));
  for (let i = 0; i < count; i++) {
    for (const [name, side] of i % 2 ? [...sides].reverse() : sides) {
      await sleep(job.pause); // what the other side's threads still do is over, or asleep
      const began = performance.now();
      await side.run(pictures[i % pictures.length]);
      times[name].push(performance.now() - began);
    }
  }
  const [about, ours] = sides.map(([, side]) => side.about());
  return {
    times,
    limit: limits[job.dtype] ?? null,
    ratio: middle(times.peer) / middle(times.ours),
    judged: judge(job.dtype, { pytorch: answers, ...outputs }),
    about: { peer: about, ours },
  };
}
