// The page that classifies a picture and shows where the model looked. Everything about the model comes through the
// public API.
//   classify.html?model=../models/other.safetensors&dtype=q8    another model of this origin
import { loadModel } from '../web/index.js';
import { colourOf } from './colour.js';
import { $, choice, choices, element } from './dom.js';
import { addressOf, atAddress, isPart, ofDrop, ofFiles } from './folder.js';
import { band } from './mosaic.js';
import { CLASSES, groups, photos } from './samples.js';
import { meanColours, Stage } from './stage.js';
import { attentionTaps, viewOf, viewsOf } from './views.js';
import { aboutKind, aboutOf, factsOf, measure, mendOf, noteOf, score, share, size } from './words.js';

const DEFAULT_MODEL = '../models/cct_4_cifar10.safetensors';
const query = new URLSearchParams(location.search);

const main = $('main');
const frame = $('frame');
const stage = new Stage({ frame, picture: $('picture'), overlay: $('overlay'), mark: $('mark') });
const layBand = band($('band'));

/** @type {import('../web/index.js').Model | null} */
let model = null;
/** @type {AbortController | null} */
let loading = null;
/** @type {any} what loading took, for the facts */
let loaded = null;
/** @typedef {{ name: string, truth?: string | null, photo?: boolean, sample?: HTMLElement }} About */
/** @type {{ blob: Blob, about: About } | null} the last picture that was chosen */
let chosen = null;
/** @type {any} the picture on the stage */
let shown = null;
/** @type {number | null} the patch whose attention is shown */
let cell = null;
let turn = 0; // counts choices and drawings: an answer that comes late belongs to none of them
let drawing = 0;

// ---- messages ----

/** What to tell people, beside the library's own words. @type {[RegExp, string][]} */
const TITLES = [
  [/^ERR_IMAGE_FORMAT/, 'This is not a picture the page can read.'],
  [/^ERR_IMAGE_TOO_LARGE/, 'This picture is too large.'],
  [/^ERR_IMAGE/, 'This picture is damaged.'],
  [/^ERR_FETCH_NETWORK/, 'The model could not be reached.'],
  [/^ERR_FETCH|^ERR_INTEGRITY/, 'The model could not be downloaded.'],
  [/^ERR_MODEL|^ERR_CONFIG/, 'This is not a model the page can run.'],
  [/^ERR_OUT_OF_MEMORY/, 'There is not enough memory.'],
  [/^ERR_(NO_SIMD|WASM)/, 'This browser cannot run the model.'],
  [/^ERR_(WORKER|INTERNAL)/, 'The model has stopped. Load it again.'],
];

/** @param {any} error @param {string} [title] where its code says none @param {string[]} [more] sentences after it */
function complain(error, title = 'Something went wrong.', more = []) {
  const code = typeof error?.code === 'string' ? error.code : '';
  const message = String(error?.message ?? error);
  const found = opened.here && /^ERR_FETCH/.test(code) ? null : TITLES.find(([pattern]) => pattern.test(code));
  $('alert-title').textContent = found?.[1] ?? title;
  const bare = code && message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
  // a library's words are a part of a sentence, and speak of its options
  const words = bare
    .replace(/^[a-z]+ /, (one) => one[0].toUpperCase() + one.slice(1))
    .replace(/: headers: \{.*?\}/, '');
  $('alert-text').textContent = [words.replace(/(?<![.?!])$/, more.length ? '.' : ''), ...more].join(' ');
  $('alert-code').textContent = code;
  $('alert').hidden = false;
}

/** @param {string} code @param {string} message */
const refusal = (code, message) => Object.assign(new Error(`${code}: ${message}`), { code });

/** @param {string} text @param {boolean} [waiting] a state, no answer */
function answer(text, waiting = false) {
  $('answer').textContent = text;
  $('answer').classList.toggle('waiting', waiting);
}

/** @param {'loading' | 'ready' | 'busy' | 'failed'} state */
function enter(state) {
  main.dataset.state = state;
  frame.setAttribute('aria-busy', String(state === 'busy'));
}

// ---- the model ----

/**
 * Shows how far a load is. Bytes stand outside the words that are read out.
 * @param {import('./folder.js').Opening} opening @param {import('../web/index.js').Progress} progress
 */
function showProgress({ name, here }, { phase, loaded: bytes, total, ratio, fromCache }) {
  $('progress').setAttribute('value', String(ratio));
  const words = {
    wasm: `Opening ${name}`,
    weights: `${here ? 'Reading' : 'Loading'} ${name}${fromCache ? ' from the cache' : ''}`,
    compile: 'Preparing the model',
    warmup: 'Warming up',
    ready: 'Ready',
  }[phase];
  if ($('load-text').textContent !== words) $('load-text').textContent = words;
  $('load-size').textContent = phase === 'weights' ? `${size(bytes)}${total ? ` of ${size(total)}` : ''}` : '';
}

/** The address that the page was asked for. Other origins are refused here, where it can be said in words. */
function modelAddress() {
  const url = new URL(query.get('model') ?? DEFAULT_MODEL, location.href);
  if (url.origin !== location.origin)
    throw refusal('ERR_ARGUMENT', `the model must come from this site (${location.origin}), not from ${url.origin}`);
  return url;
}

/** @type {import('./folder.js').Opening} what was opened last */
let opened = {
  name: /** @type {string} */ ((query.get('model') ?? DEFAULT_MODEL).split('/').pop()),
  here: false,
  source: modelAddress,
};

/** Hides elements of which one may have the focus; who has it goes on where he was. @param {...string} ids */
function hide(...ids) {
  const lost = ids.some((id) => $(id).contains(document.activeElement));
  for (const id of ids) $(id).hidden = true;
  if (lost) (back?.isConnected ? back : frame).focus();
}
/** @type {HTMLElement | null} where the focus was when a load began, if it was at its controls */
let back = null;

/**
 * A model that the page can show, and what it took.
 * @param {import('./folder.js').Opening} opening @param {AbortSignal} signal
 */
async function modelOf(opening, signal) {
  const began = performance.now();
  const took = { ...opening, loaded: 0, fromCache: false, ms: 0 };
  const stopped = new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  const next = await loadModel(await Promise.race([opening.source(), stopped]), {
    dtype: /** @type {any} */ (query.get('dtype') ?? 'auto'),
    signal,
    onProgress(progress) {
      showProgress(opening, progress);
      took.loaded = progress.loaded;
      took.fromCache = progress.fromCache;
    },
  });
  took.ms = performance.now() - began;
  const { preprocess, input } = next.info;
  if (!signal.aborted && preprocess && input.dims.length === 4) return { next, took };
  next.dispose();
  signal.throwIfAborted();
  throw refusal('ERR_ARGUMENT', `${next.info.title} takes no single picture, as this page has them.`);
}

/** Loads a model in place of the one there is, which goes on until the new one is there. */
async function load(opening = opened) {
  loading?.abort();
  const mine = new AbortController();
  loading = mine;
  opened = opening;
  back = $('open').contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : back;
  enter('loading');
  $('alert').hidden = true;
  $('open-note').textContent = '';
  $('load-text').textContent = `Opening ${opening.name}`;
  $('load-size').textContent = '';
  $('progress').setAttribute('value', '0');
  $('load').hidden = false;
  $('cancel').hidden = false;
  $('progress').hidden = false;
  if (document.activeElement === $('retry')) $('cancel').focus();
  $('retry').hidden = true;
  try {
    const { next, took } = await modelOf(opening, mine.signal);
    model?.dispose();
    model = next;
    loaded = took;
    loading = null;
    hide('load');
    meet();
    enter('ready');
    const { blob, about } =
      chosen ?? (await sampleOf(/** @type {HTMLElement} */ (document.querySelector('[data-file="cat_1.png"]'))));
    await show(blob, about);
  } catch (error) {
    if (loading === mine) giveUp(error, mine.signal.aborted);
    else if (model && !loading) complain(error);
  }
}

/** What is left of a load that failed: the model before it, if there is one. @param {any} error */
function giveUp(error, cancelled = false) {
  loading = null;
  const words = cancelled ? 'Loading was cancelled' : 'The model was not loaded';
  $('load-text').textContent = words;
  $('load-size').textContent = '';
  $('retry').hidden = Boolean(model);
  const stays = `${$('model-name').textContent} stays open.`;
  if (model) {
    if (cancelled) $('open-note').textContent = `${words}. ${stays}`;
    hide('load');
  } else if (document.activeElement === $('cancel')) {
    $('retry').focus();
  }
  $('cancel').hidden = true;
  $('progress').hidden = true;
  if (!model) answer('There is no model yet', true);
  enter(model ? 'ready' : 'failed');
  if (!cancelled) complain(error, 'The model was not opened.', [...mendOf(error), ...(model ? [stays] : [])]);
}

/** Whether these are the classes of the model that ships. @param {string[] | null} labels */
const isCifar = (labels) => String(labels) === String(CLASSES);

/** The controls that fit the model. */
function meet() {
  const { info } = /** @type {import('../web/index.js').Model} */ (model);
  const views = viewsOf(info);
  const taps = attentionTaps(info);
  const last = taps[taps.length - 1]?.dims;
  const heads = last ? last[taps[0].dims.length - 3] : 0;
  /** @param {number} n @returns {[string, string][]} */
  const numbers = (n) => Array.from({ length: n }, (_, i) => [String(i), String(i + 1)]);
  choices('views', 'view', views, views[0][0]);
  choices('layers', 'layer', numbers(taps.length), String(taps.length - 1));
  choices('heads', 'head', [['mean', 'Mean'], ...numbers(heads)], 'mean', 3);
  $('model-name').textContent = loaded.name;
  $('model-about').textContent = aboutOf(info);
  $('photos-tag').hidden = !isCifar(info.labels); // photographs are what most other models were made for
  const [rows, columns] = info.preprocess.size;
  $('as-model-text').textContent = `As the model sees it: ${columns} × ${rows}`;
  stage.shape(columns, rows);
  shown?.bitmap?.close();
  shown = null;
  stage.bare();
  $('bars').replaceChildren();
  $('note').hidden = true;
  answer('Looking at the picture', true);
  $('looking').hidden = false;
  showFacts(null);
}

/** @param {{ prepare: number, run: number } | null} last */
function showFacts(last) {
  $('facts').replaceChildren(
    ...factsOf(model, loaded, last).map(([name, value, more]) =>
      element(
        'div',
        {},
        element('dt', { textContent: name }),
        element('dd', {}, value, ...(more ? [element('small', { textContent: more })] : [])),
      ),
    ),
  );
}

// ---- a picture ----

/** @param {Blob} blob @returns {Promise<ImageBitmap | null>} */
const bitmapOf = (blob) => createImageBitmap(blob, { imageOrientation: 'from-image' }).catch(() => null);

/** @param {Blob} blob @param {About} about */
async function show(blob, about) {
  const mine = ++turn;
  chosen = { blob, about };
  if (!model) {
    answer(loading ? 'Waiting for the model' : 'There is no model yet', true);
    return;
  }
  enter('busy');
  try {
    const began = performance.now();
    // resized once; the tensor then goes in again for every layer and head that is looked at
    const { data, dims, fitted } = await model.preprocess(blob);
    const tensor = { data, dims };
    const prepared = performance.now();
    const { kind } = model.info.output;
    const scores = kind === 'logits' ? await model.classify(tensor) : null;
    if (!scores) await model.forward(tensor); // for its time
    const last = { prepare: prepared - began, run: performance.now() - prepared };
    const bitmap = await bitmapOf(blob);
    if (mine !== turn) return bitmap?.close();
    shown?.bitmap?.close();
    shown = { about, tensor, fitted, bitmap, scores, memo: new Map() };
    cell = null;
    $('alert').hidden = true;
    $('empty').hidden = true;
    layBand(meanColours(fitted, 8));
    for (const button of document.querySelectorAll('.sample'))
      button.setAttribute('aria-pressed', String(button === about.sample));
    showAnswer();
    showPicture();
    await draw();
    showFacts(last);
  } catch (error) {
    if (mine !== turn) return;
    if (!shown) answer('Waiting for a picture', true);
    complain(error);
  } finally {
    if (mine === turn) enter(loading ? 'loading' : 'ready');
  }
}

function showPicture() {
  if (shown)
    stage.show(
      shown.bitmap,
      shown.fitted,
      model?.info.preprocess,
      /** @type {HTMLInputElement} */ ($('as-model')).checked,
    );
}

/**
 * The bars of the scores; of a regression the numbers alone, which have no length.
 * @param {{ label: string, score: number }[]} list @param {string | null} truth the image's label, if known
 * @param {boolean} numbers
 */
function showBars(list, truth, numbers) {
  const bars = $('bars');
  while (bars.children.length > list.length) bars.lastElementChild?.remove();
  while (bars.children.length < list.length) {
    const bar = element('span', { className: 'bar' }, element('span', { className: 'fill' }));
    bars.append(
      element('li', {}, element('span', { className: 'name' }), bar, element('span', { className: 'score' })),
    );
  }
  list.forEach(({ label, score: value }, i) => {
    const [name, bar, number] = bars.children[i].children;
    const mark = label === truth ? [element('span', { className: 'truth', textContent: '✓ its label' })] : [];
    name.replaceChildren(label, ...mark);
    bar.setAttribute('aria-hidden', 'true');
    /** @type {HTMLElement} */ (bar.firstElementChild).style.setProperty('--score', String(value));
    bar.classList.toggle('none', numbers);
    number.textContent = (numbers ? measure : score)(value);
  });
}

function showAnswer() {
  const { info } = /** @type {import('../web/index.js').Model} */ (model);
  const { about, scores } = shown;
  const list = scores ?? [];
  const labels = info.labels ?? [];
  const numbers = info.problem_type === 'regression';
  showBars(list, labels.includes(about.truth) ? about.truth : null, numbers);
  $('bars').setAttribute('aria-label', numbers ? 'Numbers' : 'Likeliest classes');
  const [best] = list;
  if (best) answer(`${best.label}, ${(numbers ? measure : score)(best.score)}`);
  else answer(`No classes: this model gives ${aboutKind(info.output.kind, info.output.dims)}`, true);
  const note = best && isCifar(labels) ? noteOf(about, best.label) : '';
  $('note').textContent = note;
  $('note').hidden = !note;
}

// ---- what is drawn over it ----

/** What the slider says, for CSS. */
const opacity = () => String(Number(/** @type {HTMLInputElement} */ ($('opacity')).value) / 100);

async function draw() {
  if (!shown || !model) return;
  const mine = ++drawing;
  const on = turn;
  const view = choice('view') ?? 'none';
  const layer = choice('layer') ?? '0';
  const head = choice('head') ?? 'mean';
  /** @type {HTMLFieldSetElement} */ ($('layers')).disabled = view !== 'attention';
  /** @type {HTMLFieldSetElement} */ ($('heads')).disabled = view !== 'attention';
  try {
    const { values, grid, patches, words } = await viewOf(model, shown, { view, layer, head, cell });
    if (mine !== drawing || on !== turn) return;
    frame.classList.toggle('cut', Boolean(patches));
    shown.grid = values ? grid : null;
    shown.pickable = values && view !== 'pooling';
    if (values && grid) {
      const { min, max } = stage.heat(values, grid);
      $('legend-min').textContent = share(min);
      $('legend-max').textContent = share(max);
    } else if (patches) stage.patches(patches);
    else stage.bare();
    stage.mark(shown.pickable ? cell : null, grid ?? [1, 1]);
    $('legend').classList.toggle('idle', !values);
    $('overlay').style.opacity = patches ? '1' : opacity();
    $('explain').replaceChildren(...words);
    frame.setAttribute('aria-label', `Picture: ${shown.about.name}. ${$('explain').textContent}`);
    main.dataset.drawn = [view, choice('layer'), choice('head'), cell].join(' ');
  } catch (error) {
    if (mine === drawing && on === turn) complain(error);
  }
}

/** @param {number | null} next */
function pick(next) {
  if (!shown?.pickable) return;
  cell = next;
  draw();
}

// ---- where pictures come from ----

/**
 * A file that was chosen, dropped or pasted.
 * @param {File | Blob | null | undefined} file @param {string} from in words, if there is none
 */
function take(file, from) {
  if (!file) return complain(refusal('ERR_ARGUMENT', `${from} holds no picture file.`));
  const name = /** @type {File} */ (file).name || 'pasted picture';
  if (isPart({ name })) return void load(ofFiles([/** @type {File} */ (file)]));
  show(file, { name });
}

/** @param {HTMLElement} button */
async function sampleOf(button) {
  const item = [...groups.flatMap(({ items }) => items), ...photos].find(({ file }) => file === button.dataset.file);
  if (!item) throw new Error(`no sample ${button.dataset.file}`);
  const response = await fetch(`samples/${item.file}`);
  if (!response.ok) throw refusal('ERR_FETCH_HTTP', `samples/${item.file}: HTTP ${response.status}`);
  return { blob: await response.blob(), about: { ...item, sample: button } };
}

/** @param {import('./samples.js').Sample} item */
function sampleButton({ file, name }) {
  const button = element(
    'button',
    { type: 'button', className: 'sample', title: name },
    element('img', { src: `samples/${file}`, alt: name, loading: 'lazy' }),
  );
  button.dataset.file = file;
  button.setAttribute('aria-pressed', 'false');
  button.addEventListener('click', async () => {
    const mine = ++turn;
    try {
      const { blob, about } = await sampleOf(button);
      if (mine === turn) await show(blob, about);
    } catch (error) {
      complain(error);
    }
  });
  return button;
}

function listSamples() {
  $('samples').replaceChildren(
    ...groups.map(({ title, items }) => {
      const group = element(
        'div',
        {},
        element('h3', { textContent: title, id: `class-${title}` }),
        element('div', { className: 'trio' }, ...items.map(sampleButton)),
      );
      group.setAttribute('role', 'group');
      group.setAttribute('aria-labelledby', `class-${title}`);
      return group;
    }),
  );
  $('photos').replaceChildren(...photos.map(sampleButton));
}

async function pasteFromClipboard() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((name) => name.startsWith('image/'));
      if (type) return take(await item.getType(type), 'the clipboard');
    }
    take(null, 'The clipboard');
  } catch {
    complain(
      refusal(
        'ERR_ARGUMENT',
        'The browser does not let the page read the clipboard by this button. Press Ctrl+V (on a Mac ⌘V) instead.',
      ),
    );
  }
}

/** Files that are chosen, pasted or dropped. */
function listenForFiles() {
  const file = /** @type {HTMLInputElement} */ ($('file'));
  file.addEventListener('change', () => {
    if (file.files?.length) take(file.files[0], '');
    file.value = ''; // the same file again is a change too
  });
  $('paste').addEventListener('click', pasteFromClipboard);
  /** Whether text is meant, for the field of the address. @param {Event} event @param {DataTransfer | null} data */
  const isText = ({ target }, data) => target === $('address') && !data?.types.includes('Files');
  document.addEventListener('paste', (event) => {
    if (isText(event, event.clipboardData)) return;
    event.preventDefault();
    take([...(event.clipboardData?.files ?? [])][0], 'The clipboard');
  });
  document.addEventListener('dragover', (event) => {
    if (isText(event, event.dataTransfer)) return;
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  for (const name of ['dragleave', 'drop', 'dragend']) {
    document.addEventListener(name, () => document.body.classList.remove('dropping'));
  }
  document.addEventListener('drop', (event) => {
    if (isText(event, event.dataTransfer)) return;
    event.preventDefault();
    const opening = ofDrop(event.dataTransfer);
    if (opening) load(opening);
    else take(event.dataTransfer?.files[0], 'What was dropped');
  });
}

/** Another model: by its address, or a folder on this device. */
function listenForModels() {
  $('open').addEventListener('submit', (event) => {
    event.preventDefault();
    try {
      load(atAddress(addressOf(/** @type {HTMLInputElement} */ ($('address')).value)));
    } catch (error) {
      back = $('address');
      complain(error, 'The model was not opened.');
    }
  });
  const folder = /** @type {HTMLInputElement} */ ($('folder'));
  folder.addEventListener('change', () => {
    load(ofFiles([...(folder.files ?? [])]));
    folder.value = '';
  });
}

/** The buttons beside progress and messages. */
function listenForAnswers() {
  $('cancel').addEventListener('click', () => loading?.abort());
  $('retry').addEventListener('click', () => load());
  $('dismiss').addEventListener('click', () => hide('alert'));
  // nothing that gets the focus may lie behind them
  new ResizeObserver(([{ target }]) => {
    document.documentElement.style.scrollPaddingTop = `${target.clientHeight + 16}px`;
  }).observe($('messages'));
  addEventListener('pagehide', (event) => {
    if (!event.persisted) model?.dispose();
  });
}

/** The controls of the view. */
function listenForViews() {
  $('looking').addEventListener('change', ({ target }) => {
    if (/** @type {HTMLInputElement} */ (target).type === 'radio') draw();
  });
  $('opacity').addEventListener('input', () => {
    if (choice('view') !== 'patches') $('overlay').style.opacity = opacity();
  });
  $('as-model').addEventListener('change', showPicture);
}

/** The image itself: a click or the arrow keys choose a patch. */
function listenForPatches() {
  frame.addEventListener('click', (event) => {
    if (!shown?.grid) return;
    const at = stage.cellAt(event, shown.grid);
    pick(at === cell ? null : at);
  });
  frame.addEventListener('keydown', (event) => {
    if (!shown?.grid) return;
    const [rows, columns] = shown.grid;
    if (event.key === 'Escape') return pick(null);
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    if (cell === null) return pick(Math.floor(rows / 2) * columns + Math.floor(columns / 2));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(cell / columns) + step[0]));
    const column = Math.min(columns - 1, Math.max(0, (cell % columns) + step[1]));
    pick(row * columns + column);
  });
}

/** The legend's colours. */
function paintScale() {
  const context = /** @type {CanvasRenderingContext2D} */ (
    /** @type {HTMLCanvasElement} */ ($('scale')).getContext('2d')
  );
  for (let i = 0; i < 256; i++) {
    context.fillStyle = `rgb(${colourOf(i / 255)})`;
    context.fillRect(i, 0, 1, 1);
  }
}

layBand();
paintScale();
listSamples();
listenForFiles();
listenForModels();
listenForAnswers();
listenForViews();
listenForPatches();
load();
