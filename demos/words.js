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

/**
 * What there is to know about a model: [name, value, further words].
 * @param {any} model @param {{ ms: number, loaded: number, fromCache: boolean }} loading
 * @param {{ prepare: number, run: number } | null} last the times of the last answer
 * @returns {[string, string, string?][]}
 */
export function factsOf(model, loading, last) {
  const { info, runtime } = model;
  const use = model.memory();
  const [, ...input] = info.input.dims;
  return [
    ['Model', info.title, `${info.arch}, ${info.paper}`],
    ['Parameters', plain.format(info.parameters), `${size(info.weights_bytes)} in memory, ${info.dtype}`],
    ['Input', input.join(' × ')],
    ['Operations', `${rough.format(info.operations / 1e6)} million`, 'multiplications with addition, for one picture'],
    [
      'Download',
      size(loading.loaded),
      `${loading.fromCache ? 'from the cache' : 'from the network'}, ready after ${time(loading.ms)}`,
    ],
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
