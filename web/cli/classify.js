// @ts-check
/** `tesserae classify`: the classes of images, or of one clip, and a map of where the answer draws from. */
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../index.js';
import { choice, count, headersOf } from './args.js';
import { print } from './files.js';

/** @typedef {import('../model.js').Model} Model */
/** @typedef {import('../types.js').Classification} Classification */
/** @typedef {{ ms: number, expected: string | null, classes: Classification[], drawn: Map }} Answer */
/** @typedef {{ map?: Float32Array | null, grid?: import('../types.js').Grid | null }} Map */

const MODEL = fileURLToPath(new URL('../../models/cct_4_cifar10.safetensors', import.meta.url));

/** From nothing to most: xterm's colours 17 to 227 as a ramp of rising lightness, and characters of rising ink. */
const RAMP = [17, 18, 24, 30, 36, 71, 149, 227];
const INK = ' ░▒▓█';

/** @param {string[]} files @param {import('./args.js').Flags} flags */
export async function classify(files, flags) {
  const asked = {
    topK: count('top', flags.top),
    scores: choice('scores', flags.scores, ['softmax', 'sigmoid', 'raw']),
  };
  const model = await loadModel(flags.model ?? MODEL, {
    worker: false,
    threads: count('threads', flags.threads) ?? 'auto',
    dtype: /** @type {any} */ (choice('dtype', flags.dtype, ['auto', 'f32', 'q8'])),
    warmup: true,
    headers: headersOf(flags.header),
  });
  const isVideo = model.info.input.dims.length > 4;
  const raw = asked.scores ? asked.scores === 'raw' : model.info.problem_type === 'regression';
  const width = Math.max(...files.map((file) => basename(file).length));
  const tally = { times: /** @type {number[]} */ ([]), correct: 0, without: 0 };
  const apologize = once(() => {
    const { title, arch } = model.info;
    process.stderr.write(`tesserae: ${title} (${arch}): ${whyNoMap(model)}; here are the classes alone\n`);
  });
  for (const input of isVideo ? [files] : files) {
    const file = isVideo ? files[0] : String(input);
    const { classes, ms } = await ask(model, input, file, asked);
    const expected = flags['expect-from-name'] ? classInName(file, model.info.labels) : null;
    tally.times.push(ms);
    if (expected === classes[0]?.label) tally.correct++;
    if (expected === null) tally.without++;
    const drawn = flags.attention ? await mapOf(model, input) : {};
    if (flags.attention && !drawn.map) apologize();
    if (flags.json) print(asJson({ input, ms, expected, classes, drawn }, flags));
    else printAnswer({ file, width, raw, ms, expected, classes, drawn });
  }
  await model.dispose();
  if (flags['expect-from-name'] && !flags.json) printTally(files.length, tally);
}

/** `act`, the first time alone. @param {() => void} act */
function once(act) {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}

/**
 * @param {Model} model @param {string | string[]} input @param {string} file its name for an error
 * @param {any} options of classify
 */
async function ask(model, input, file, options) {
  const began = performance.now();
  try {
    // an array is the frames of one clip here, and gives one answer
    const classes = /** @type {Classification[]} */ (await model.classify(/** @type {any} */ (input), options));
    return { classes, ms: performance.now() - began };
  } catch (error) {
    throw new Error(`${file}: ${/** @type {Error} */ (error).message}`, { cause: error });
  }
}

/**
 * The class in a sample's name, "cat" for "cat_1.png"; null if there is none.
 * @param {string} file @param {string[] | null} labels
 */
function classInName(file, labels) {
  const named = /^(.+)_\d+\.\w+$/.exec(basename(file))?.[1] ?? null;
  return named !== null && labels?.includes(named) ? named : null;
}

// ---- attention ----

/** @param {Model} model */
const hasAttention = ({ info }) => info.taps.some(({ kind }) => kind === 'attention');

/**
 * Whether attention can be multiplied from layer to layer: all tokens attend to all, in every layer, without windows.
 * @param {import('../types.js').Info} info
 */
function canRollOut({ taps }) {
  const shapes = taps.filter(({ kind }) => kind === 'attention').map(({ dims }) => dims);
  return shapes.every(
    (dims) => String(dims) === String(shapes[0]) && dims.at(-1) === dims.at(-2) && (dims.at(-4) ?? 1) === 1,
  );
}

/**
 * Attention rollout, or the last layer.
 * @param {Model} model @param {string | string[]} input @returns {Promise<Map>}
 */
async function mapOf(model, input) {
  if (!hasAttention(model)) return {};
  return model.attention(/** @type {string} */ (input), { rollout: canRollOut(model.info) });
}

/** @param {Model} model */
const whyNoMap = (model) =>
  hasAttention(model)
    ? 'the last attention is no single map of the picture (windows, or tokens that are not its patches)'
    : 'this architecture has no attention';

/**
 * A map of one value a cell as text lines: on a colour terminal two rows a line (half blocks), elsewhere a row a line.
 * @param {ArrayLike<number>} map @param {import('../types.js').Grid} grid frames stand one below the other
 * @param {boolean} colour
 */
function drawMap(map, grid, colour) {
  const columns = /** @type {number} */ (grid.at(-1));
  const rows = map.length / columns;
  const values = Array.from(map);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  /** @param {number} y @param {number} x @param {number} levels */
  const level = (y, x, levels) => Math.min(levels - 1, Math.floor((levels * (values[y * columns + x] - low)) / span));
  const ramp = (/** @type {number} */ y, /** @type {number} */ x) => RAMP[level(y, x, RAMP.length)];
  const lines = [];
  for (let y = 0; y < rows; y += colour ? 2 : 1) {
    let line = '';
    for (let x = 0; x < columns; x++) {
      if (!colour) line += INK[level(y, x, INK.length)].repeat(2);
      else if (y + 1 < rows) line += `\x1b[38;5;${ramp(y, x)};48;5;${ramp(y + 1, x)}m▀`;
      else line += `\x1b[0;38;5;${ramp(y, x)}m▀`;
    }
    lines.push(colour ? `${line}\x1b[0m` : line.trimEnd());
  }
  return lines;
}

// ---- output ----

/** @param {Answer & { input: string | string[] }} answer @param {import('./args.js').Flags} flags */
function asJson({ input, ms, expected, classes, drawn: { map, grid } }, flags) {
  return JSON.stringify({
    file: input,
    ms: Number(ms.toFixed(3)),
    ...(flags['expect-from-name'] && { expected }),
    classes,
    ...(flags.attention && { attention: map ? { grid, map: Array.from(map) } : null }),
  });
}

/** @param {Answer & { file: string, width: number, raw: boolean }} answer width: of the column of names */
function printAnswer({ file, width, raw, ms, expected, classes, drawn: { map, grid } }) {
  const mark = expected === null || expected === classes[0].label ? '' : `   expected ${expected}`;
  const inWords = (/** @type {number} */ score) => (raw ? score.toPrecision(5) : `${(100 * score).toFixed(1)} %`);
  classes.forEach(({ label, score }, i) => {
    const start = (i ? '' : basename(file)).padEnd(width);
    const end = i ? '' : `  ${ms.toFixed(1).padStart(7)} ms${mark}`;
    print(`${start}  ${label.padEnd(12)} ${inWords(score).padStart(7)}${end}`);
  });
  if (!map || !grid) return;
  const colour = Boolean(process.stdout.isTTY) && !process.env.NO_COLOR;
  for (const line of drawMap(map, grid, colour)) print(`${' '.repeat(width)}  ${line}`.trimEnd());
}

/**
 * @param {number} files
 * @param {{ times: number[], correct: number, without: number }} tally without: a class in the name
 */
function printTally(files, { times, correct, without }) {
  if (without) {
    const have = without === 1 ? 'has' : 'have';
    print(`${without} of them ${have} no class of this model in the name: shown, never counted as correct`);
  }
  print(`classified ${files} photos, ${correct} correct, median ${median(times).toFixed(1)} ms`);
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
