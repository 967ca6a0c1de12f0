// Numbers and facts in words.

const percent = new Intl.NumberFormat('en', { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 });
const small = new Intl.NumberFormat('en', { style: 'percent', maximumSignificantDigits: 2 });
const plain = new Intl.NumberFormat('en');
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 5 });
const rough = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** A score. @param {number} x */
export const score = (x) => percent.format(x);
/** A number that a regression gives. @param {number} x */
export const measure = (x) => fine.format(x);
/** A share of attention; most are small. @param {number} x */
export const share = (x) => small.format(x);

/** @param {number} bytes */
export function size(bytes) {
  const units = [
    [1e9, 'GB'],
    [1e6, 'MB'],
    [1e3, 'KB'],
  ];
  const [unit, name] = /** @type {[number, string]} */ (
    units.find(([least]) => bytes >= Number(least)) ?? [1, 'bytes']
  );
  return `${rough.format(bytes / unit)} ${name}`;
}

/** @param {number} ms */
export const time = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${plain.format(Math.round(ms))} ms`);

/** @param {string | null} reason runtime.threadsReason */
const threadsWord = (reason) =>
  reason === null
    ? undefined
    : ({
        requested: 'one was asked for',
        unsupported: 'more cannot be had here',
        'not-cross-origin-isolated': 'the page is not cross-origin isolated',
        'no-worker': "the page's own thread may not wait for others",
        memory: 'there was no memory to share',
      }[reason] ?? reason);

/** What comes out of a model. @param {string} kind @param {number[]} dims */
export function aboutKind(kind, dims) {
  const count = plain.format(dims[dims.length - 1]);
  return (
    { logits: `${count} classes`, embedding: `an embedding of ${count} numbers` }[kind] ??
    `${kind} (${dims.slice(1).join(' × ')} numbers)`
  );
}

/** What a model is, in a few words, behind its name. @param {any} info */
export const aboutOf = ({ title, output: { kind, dims } }) => `${title}, ${aboutKind(kind, dims)}`;

/** How a picture becomes the model's input: in short, and more. @param {any} preprocess @returns {[string, string]} */
function preprocessing({ size: [rows, columns], resize, fit, mean, std, ...more }) {
  const whole = `${columns} × ${rows}`;
  const { crop_pct: part = 1, resize_size: [height, width] = [rows, columns] } = more;
  const side = more.shortest_edge ?? Math.floor(Math.min(rows, columns) / part);
  const middle = height === rows && width === columns ? '' : `, the middle ${whole}`;
  const [short, how] = /** @type {Record<string, [string, string]>} */ ({
    crop: ['cropped', `shorter side to ${side}, the middle ${whole}; ${resize}`],
    squash: ['stretched', `to ${width} × ${height}${middle}; ${resize}`],
    border: ['on a border', `all of it within ${whole}; ${resize}`],
    none: ['not resized', `the middle ${whole}`],
    native: ['of any shape', `at most ${whole}; ${resize}`],
  })[fit];
  const numbers = (/** @type {number[]} */ list) => [...new Set(list)].map((x) => Number(x.toFixed(3))).join(' ');
  return [short, `${how}; mean ${numbers(mean)}, deviation ${numbers(std)}${more.bgr ? '; blue first' : ''}`];
}

/** The classes a model tells apart: how many, and the first. @param {any} info @returns {[string, string?]} */
function classesOf({ labels, output: { kind, dims } }) {
  if (kind !== 'logits') return ['none', aboutKind(kind, dims)];
  if (!labels) return [plain.format(dims[dims.length - 1]), 'without names'];
  return [plain.format(labels.length), `${labels.slice(0, 3).join(', ')}${labels.length > 3 ? ', …' : ''}`];
}

/**
 * What somebody can do about a model that did not load, beside the library's own words.
 * @param {any} error @returns {string[]} sentences
 */
export function mendOf({ code, detail }) {
  if (/40[13]/.test(detail?.status))
    return [
      (detail.errorCode === 'GatedRepo' ? '' : 'Is the name right? ') +
        'This page sends no token: download the folder with your account, and drop it here.',
    ];
  if (code === 'ERR_FETCH_TRUNCATED') return ['The file is not whole: copy or download it again.'];
  if (code === 'ERR_FETCH_NETWORK')
    return [
      'Is the address right, and the network there? Some servers let no other site read their files (CORS): then ' +
        'download the folder, and drop it here.',
    ];
  return [];
}

/**
 * What there is to know about a model: [name, value, further words].
 * @param {any} model
 * @param {{ name: string, here: boolean, ms: number, loaded: number, fromCache: boolean }} loading
 * @param {{ prepare: number, run: number } | null} last the times of the last answer
 * @returns {[string, string, string?][]}
 */
export function factsOf(model, loading, last) {
  const { info, runtime } = model;
  const use = model.memory();
  const [, ...input] = info.input.dims;
  const origin = loading.here ? 'from this device' : loading.fromCache ? 'from the cache' : 'from the network';
  return [
    ['Model', info.title, `${info.arch}, ${info.paper}`],
    ['Parameters', plain.format(info.parameters), `${size(info.weights_bytes)} in memory, ${info.dtype}`],
    ['Input', input.join(' × ')],
    ['Preprocessing', ...preprocessing(info.preprocess)],
    ['Classes', ...classesOf(info)],
    ...(info.unused.length
      ? [/** @type {[string, string, string]} */ (['Not used', `${info.unused.length} tensors`, info.unused[0]])]
      : []),
    ['Operations', `${rough.format(info.operations / 1e6)} million`, 'multiplications with addition, for one picture'],
    [loading.here ? 'File' : 'Download', size(loading.loaded), `${origin}, ready after ${time(loading.ms)}`],
    ['SIMD', runtime.simd ? 'yes' : 'no'],
    ['Relaxed SIMD', runtime.relaxedSimd === null ? 'unknown' : runtime.relaxedSimd ? 'yes' : 'no'],
    ['Threads', String(runtime.threads), threadsWord(runtime.threadsReason)],
    ['Worker', runtime.worker ? 'yes' : 'no', runtime.workerReason ?? undefined],
    [
      'Last answer',
      last ? time(last.run) : 'none yet',
      last ? `after ${time(last.prepare)} for decoding and resizing` : undefined,
    ],
    ['Memory', size(use.wasm), `${size(use.bytes)} in use, ${size(use.peak)} at most so far`],
  ];
}

/**
 * What to say below an answer of the model of CIFAR-10; empty: nothing.
 * @param {{ name: string, truth?: string | null, photo?: boolean, sample?: HTMLElement }} about the image
 * @param {string} best the label that won
 */
export function noteOf({ name, truth, photo, sample }, best) {
  if (photo && !truth) {
    return `Out of domain: the model knows ten classes, and ${name} is none of them. Whatever it answers is wrong.`;
  }
  if (photo) {
    return 'Out of domain: a photograph, cropped and shrunk to 32 × 32; the model was trained on small pictures only.';
  }
  if (truth && truth !== best) return `The data set's label is ${truth}: the model is wrong here.`;
  return sample ? '' : 'The model knows ten classes and gives one of them to every picture.';
}
