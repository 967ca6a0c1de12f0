// The targets of docs/performance.md against what was measured (build/bench.json, build/scaling.json). Pure;
// test/bench.test.js.
import { markdown, share } from './table.mjs';

/** @typedef {import('./table.mjs').Row} Row */
/** @typedef {import('./scaling.mjs').Point} Point */
/**
 * @typedef {{ name: string, wanted: string, values: { of: string, value: number, good: boolean }[], show: (value:
 *   number) => string }} Target
 */

const times = (/** @type {number} */ x) => `${x.toFixed(2)}x`;
const percent = (/** @type {number} */ x) => `${Math.round(100 * x)} %`;

/**
 * @param {Row[]} rows @param {Point[]} points @returns {Target[]}
 */
export function targets(rows, points) {
  const inNode = rows.filter(({ engine }) => engine.startsWith('Node'));
  const label = (/** @type {Row} */ { model, dtype, threads, engine }) =>
    `${model} ${dtype}, ${threads} thread${threads > 1 ? 's' : ''}${engine.startsWith('Node') ? '' : `, ${engine.split(' ')[0]}`}`;
  const each = (
    /** @type {Row[]} */ list,
    /** @type {(row: Row) => number | null} */ value,
    /** @type {(value: number) => boolean} */ good,
  ) =>
    list.flatMap((row) => {
      const found = value(row);
      return found === null || !Number.isFinite(found) ? [] : [{ of: label(row), value: found, good: good(found) }];
    });
  /** One thread's median over two threads'. @param {Row} row */
  const speedup = (row) => {
    const two = inNode.find(({ model, dtype, threads }) => model === row.model && dtype === row.dtype && threads === 2);
    return row.threads === 1 && two && two.ours.threads === 2 ? row.ours.median / two.ours.median : null;
  };
  /** @param {'median' | 'activations'} what @param {number} limit */
  const growth = (what, limit) =>
    ['f32', 'q8'].flatMap((dtype) => {
      const [base, large] = [224, 448].map((side) =>
        points.find((point) => point.series === 'sides' && point.dtype === dtype && point.side === side),
      );
      return base && large
        ? [{ of: `vit_s ${dtype}`, value: large[what] / base[what], good: large[what] / base[what] <= limit }]
        : [];
    });
  const only = (/** @type {RegExp} */ models, dtype = '') =>
    inNode.filter((row) => models.test(row.model) && row.dtype.includes(dtype));
  return [
    ...['f32', 'q8'].map((dtype) => ({
      name: `${dtype} against the peer's ${dtype === 'f32' ? 'f32' : 'int8'}`,
      wanted: '2.00x',
      show: times,
      values: each(
        rows.filter((row) => row.dtype === dtype),
        ({ ratio }) => ratio,
        (x) => x >= 2,
      ),
    })),
    ...['f32', 'q8'].map((dtype) => ({
      name: `share of the limit, ViT-B ${dtype}`,
      wanted: dtype === 'f32' ? '80 %' : '46 %: 80 % of 92 of 160 Gop/s',
      show: percent,
      values: each(only(/^vit_b$/, dtype), share, (x) => x >= (dtype === 'f32' ? 0.8 : 0.46)),
    })),
    {
      name: '2 threads over 1, ViT-S and ViT-B',
      wanted: '1.80x',
      show: times,
      values: each(only(/^vit_[sb]$/), speedup, (x) => x >= 1.8),
    },
    {
      name: 'cold start, ViT-Ti q8, against the peer',
      wanted: '5x',
      show: times,
      values: each(
        rows.filter(({ model, dtype }) => model === 'vit_ti' && dtype === 'q8'),
        ({ peer, ours }) => (peer.cold && ours.cold ? peer.cold / ours.cold : null),
        (x) => x >= 5,
      ),
    },
    {
      name: 'first inference over the median',
      wanted: 'at most 1.50x',
      show: times,
      values: each(
        rows,
        ({ ours }) => (ours.first ? ours.first / ours.median : null),
        (x) => x <= 1.5,
      ),
    },
    {
      name: 'peak of the core over the packed weights, ViT-B q8 from an f32 file',
      wanted: 'at most 1.50x',
      show: times,
      values: each(
        only(/^vit_b$/, 'q8'),
        ({ ours }) => (ours.fromF32 ? ours.memory.peak / ours.weightsBytes : null),
        (x) => x <= 1.5,
      ),
    },
    {
      name: 'time, 4 times the pixels (ViT-S, 224 to 448)',
      wanted: 'at most 5.20x',
      show: times,
      values: growth('median', 5.2),
    },
    { name: 'activation memory, the same', wanted: 'at most 4.50x', show: times, values: growth('activations', 4.5) },
  ];
}

/** @param {Row[]} rows @param {Point[]} points */
export const targetTable = (rows, points) =>
  markdown(
    [
      ['target', ({ name }) => name],
      ['wanted', ({ wanted }) => wanted],
      [
        'measured',
        ({ values, show }) => {
          const sorted = values.map(({ value }) => value).sort((a, b) => a - b);
          return sorted.length
            ? [...new Set([sorted[0], sorted[sorted.length - 1]].map(show))].join(' to ')
            : 'not yet';
        },
      ],
      [
        'missed by',
        ({ values, show }) =>
          values
            .filter(({ good }) => !good)
            .map(({ of, value }) => `${of} (${show(value)})`)
            .join('; ') || '-',
      ],
    ],
    targets(rows, points),
  );
