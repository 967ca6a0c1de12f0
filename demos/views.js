// The views of the classify page: what of the model's inside is laid over the image, and the words that explain it.
import { element } from './dom.js';
import { share } from './words.js';

/** @typedef {import('../web/index.js').Model} Model */
/** @typedef {import('../web/index.js').Info} Info */
/**
 * @typedef {object} View
 * @property {ArrayLike<number>} [values] one a cell of the grid
 * @property {[number, number]} [grid]
 * @property {any} [patches] what Model.patches gives
 * @property {(Node | string)[]} words
 */
/**
 * @typedef {object} Wanted
 * @property {string} view
 * @property {string} layer
 * @property {string} head a number, or 'mean'
 * @property {number | null} cell the patch whose attention is shown
 */

/** Layers with attention. @param {Info} info */
export const attentionTaps = ({ taps }) => taps.filter(({ kind }) => kind === 'attention');

/** The views that a model has, as values and labels. @param {Info} info @returns {[string, string][]} */
export function viewsOf(info) {
  const shapes = attentionTaps(info).map(({ dims }) => dims);
  const square = shapes.every((dims) => dims.at(-1) === dims.at(-2) && String(dims) === String(shapes[0]));
  /** @type {[string, string][]} */
  const views = [];
  if (shapes.length) views.push(['attention', 'Attention']);
  if (shapes.length && square) views.push(['rollout', 'Rollout']);
  if (info.taps.some(({ name }) => name === 'pool.weights')) views.push(['pooling', 'Pooling']);
  if (info.taps.some(({ grid }) => grid)) views.push(['patches', 'Patches']);
  views.push(['none', 'Picture']);
  return views;
}

/**
 * What `work` gives, computed once for each key.
 * @param {Map<string, any>} memo @param {string} key @param {() => Promise<any>} work
 */
function once(memo, key, work) {
  if (!memo.has(key)) {
    const result = work();
    result.catch(() => memo.delete(key));
    memo.set(key, result);
  }
  return memo.get(key);
}

/** @param {string} text */
const strong = (text) => element('strong', { textContent: text });

/** @param {number} at @param {[number, number]} grid */
const place = (at, [, columns]) => `row ${Math.floor(at / columns) + 1}, column ${(at % columns) + 1}`;

/**
 * @param {Model} model @param {{ tensor: any, fitted: any, memo: Map<string, any> }} shown the image on the stage
 * @param {Wanted} wanted @returns {Promise<View>}
 */
export async function viewOf(model, shown, wanted) {
  const { view } = wanted;
  if (view === 'none') return { words: ['The picture alone, as far as the model sees it.'] };
  if (view === 'pooling') return poolingView(model, shown);
  if (view === 'patches') return patchesView(model, shown);
  return attentionView(model, shown, wanted);
}

/** @param {Model} model @param {{ tensor: any, memo: Map<string, any> }} shown @returns {Promise<View>} */
async function poolingView(model, { tensor, memo }) {
  const { captures } = await once(memo, 'pooling', () => model.forward(tensor, { capture: 'pool.weights' }));
  const { data, grid } = captures['pool.weights'];
  const words = [strong('Pooling: '), 'how much each patch counts in the answer, after the last layer.'];
  return { values: data, grid, words };
}

/** @param {Model} model @param {{ fitted: any, memo: Map<string, any> }} shown @returns {Promise<View>} */
async function patchesView(model, { fitted, memo }) {
  const patches = await once(memo, 'patches', () => model.patches(fitted));
  const [rows, columns] = patches.grid;
  const title = strong(`${rows} × ${columns} patches: `);
  const text = 'the tiles that look at each other. Each becomes a token, a vector of numbers.';
  return { patches, grid: patches.grid, words: [title, text] };
}

/**
 * Attention of a layer and head, or the rollout: of the whole, or of one patch.
 * @param {Model} model @param {{ tensor: any, memo: Map<string, any> }} shown @param {Wanted} wanted
 * @returns {Promise<View>}
 */
async function attentionView(model, { tensor, memo }, { view, layer, head, cell }) {
  const rollout = view === 'rollout';
  const heads = head === 'mean' ? 'mean' : Number(head);
  const attention = await once(memo, rollout ? 'rollout' : `${layer} ${head}`, () =>
    model.attention(tensor, rollout ? { rollout } : { layers: [Number(layer)], heads }));
  const { grid, map } = attention;
  const headInWords = head === 'mean' ? 'mean of the heads' : `head ${Number(head) + 1}`;
  const layerInWords = `Layer ${Number(layer) + 1} of ${attentionTaps(model.info).length}`;
  const title = strong(rollout ? 'Rollout of all layers: ' : `${layerInWords}, ${headInWords}: `);
  if (!grid || !map) return { words: [title, 'this attention cannot be laid over the picture.'] };
  const [queries, keys] = attention.dims.slice(-2);
  const each = queries === keys; // every patch has a row, not a class token alone, nor a finer grid
  if (cell !== null && each) {
    const values = rowOf(attention, cell);
    const best = values.indexOf(Math.max(...values));
    const most = `${place(best, grid)}, ${share(values[best])}`;
    const text = `the patch at ${place(cell, grid)} attends most to ${most}. Escape shows the whole.`;
    return { values, grid, words: [title, text] };
  }
  const text = rollout ? 'how much of each patch reaches the answer.' : 'what the answer draws on.';
  return { values: map, grid, words: [title, each ? `${text} Click a patch to see what it attends to.` : text] };
}

/** What one patch attends to: its row, a Float32Array. @param {any} attention @param {number} from */
function rowOf({ data, dims, prefixTokens }, from) {
  const n = dims.at(-1);
  const start = (prefixTokens + from) * n;
  return data.subarray(start + prefixTokens, start + n);
}
