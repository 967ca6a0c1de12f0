// @ts-check
/**
 * Folders of checkpoints as transformers and timm write them: config.json says what the model is, the files beside it
 * have labels, preprocessing and tensors. A family (families.js) translates names; the result is read as one file in
 * our own format. Fetched only when a folder is loaded.
 */
import { core, fetched, refuse } from './core.js';
import { isMissing } from './files.js';
import { families } from './families.js';
import { labelsOf } from './labels.js';
import { allOf, INDEX, json, notThere, openTensors } from './open.js';
import { placeOf } from './place.js';
import { preprocessOf } from './preprocess.js';
import { compile, dataOf, headerOf, parseHeader, piecesOf, planOf, rangesOf } from './stream.js';

/** The weights' file of open_clip. */
const CLIP = 'open_clip_model.safetensors';

/** @typedef {import('./files.js').Folder} Folder */
/** @typedef {import('./files.js').TensorFile} TensorFile */
/** @typedef {import('./open.js').Open} Open */
/** @typedef {import('./place.js').Place} Place */

/** What wrappers put in front of all names: DataParallel, torch.compile, Lightning and the like. */
const WRAPPERS = /^(?:(?:timm_model|module|_orig_mod|model|net|network)\.)+/;

/**
 * Tensors by names without a wrapper's prefix.
 * @param {[string, import('./stream.js').Stored][]} all
 * @returns {{ tensors: Map<string, import('./stream.js').Stored>, prefix: string }}
 */
function unwrap(all) {
  const tensors = new Map();
  let prefix = '';
  for (const [name, stored] of all) {
    const [front = ''] = WRAPPERS.exec(name) ?? [];
    const bare = name.slice(front.length);
    prefix ||= front;
    if (tensors.has(bare))
      refuse(
        `${name} is there twice${front === prefix ? '' : `, behind "${prefix}" and "${front}"`}; ` +
          'save one of them alone',
      );
    tensors.set(bare, stored);
  }
  return { tensors, prefix };
}

/**
 * The family, and what it is to read.
 * @param {any} outer config.json @param {import('./open_clip.js').Adapted} [adapted] it is not of the folder
 */
async function familyOf(outer, adapted) {
  const { model_type: type } = outer;
  const pretrained = outer.pretrained_cfg ?? outer;
  const timm = outer.architecture ?? (type === 'timm_wrapper' ? pretrained.architecture : null) ?? null;
  const config = timm ? (outer.model_args ?? {}) : (outer.vision_config_dict ?? outer.vision_config ?? outer);
  const family = families.find((one) => (timm ? one.timm?.test(timm) : one.types?.includes(type)));
  if (!family) throw (await fetched(import('./reasons.js'))).noFamily(core.TesseraeError, timm, type, families);
  const { module } = family;
  return {
    read: async () => {
      const { read } = await fetched(module());
      return adapted ? adapted.wrap(read) : read;
    },
    adapted,
    timm,
    config,
    pretrained: timm ? pretrained : {},
  };
}

/**
 * What a family makes of the tensors: the header of a file in our own format, and how its data comes.
 * @param {any} outer config.json @param {any} found by familyOf, and what was asked for
 * @param {any} processor of its preprocessing, if there is a file of it
 * @param {[string, import('./stream.js').Stored][]} all tensors @param {string} [source] its address
 */
async function translate(outer, { read, adapted, encoderOnly, timm, config, pretrained }, processor, all, source) {
  /** @type {string[]} */
  const others = [];
  const { tensors, prefix } = unwrap(adapted?.rename(all, others) ?? all);
  /** @type {any} */
  let preprocess;
  let translation;
  try {
    preprocess = preprocessOf({ config: outer, type: outer.model_type, processor, timm: timm ? pretrained : null });
    translation = (await read())({
      config,
      outer,
      timm,
      pretrained,
      encoderOnly,
      names: [...tensors.keys()],
      shape: (/** @type {string} */ name) => tensors.get(name)?.shape,
      compile,
    });
  } catch (error) {
    if (error instanceof core.TesseraeError) throw error;
    const { name, message } = /** @type {Error} */ (error);
    // a family's own sentence, or what it stumbled over
    return refuse(
      name === 'Error' ? message : `config.json does not fit ${timm ?? outer.model_type} (${message})`,
      error,
    );
  }
  const { made, unused } = planOf(tensors, translation);
  if (preprocess && translation.anySize) translation.config.image_size = preprocess.size;
  const labels = labelsOf(outer, pretrained, translation.config.num_classes ?? 0);
  const header = headerOf(made, {
    arch: translation.arch,
    config: translation.config,
    ...(labels && { labels }),
    ...(preprocess && { preprocess }),
    ...(outer.problem_type && { problem_type: outer.problem_type }),
    ...(source && { source }),
    ...(pretrained.license && { license: pretrained.license }),
  });
  return { made, header, more: { unused: [...unused, ...others], ...(prefix && { prefix }) } };
}

/**
 * Opens what the folder has: config.json first, because it may refuse all the rest; the tensors last.
 * @param {Folder} folder @param {Place['weights']} weights @param {Open} open @param {TensorFile[]} files takes them
 */
async function partsOf(folder, weights, open, files) {
  let configFile = open('config.json');
  /** @type {import('./open_clip.js').Adapted | undefined} */
  let adapted;
  /** Reads open_clip's in its place, if it is there. */
  const ofClip = async () => {
    const file = open('open_clip_config.json');
    const given = await json(file, true);
    if (!given) return null;
    configFile.keep?.([], []);
    configFile = file;
    adapted = (await fetched(import('./open_clip.js'))).adapt(given, refuse);
    return adapted.outer;
  };
  /** @type {any} */
  let outer;
  /** @type {any} */
  let found;
  /** Why there is nothing to translate by; a file of our own needs nothing. @type {unknown} */
  let failure;
  try {
    if (weights === CLIP) outer = await ofClip();
    outer ??= await json(configFile).catch(
      async (error) =>
        (isMissing(error) && weights !== CLIP && (await ofClip())) || notThere(error, { noConfig: folder.where }),
    );
    found = await familyOf(outer, adapted);
  } catch (/** @type {any} */ error) {
    if (!weights || !(outer || error.detail?.noConfig)) throw error;
    failure = error;
  }
  const commit = configFile.commit?.() ?? '';
  folder.pin?.(commit);
  const asks = found && !found.timm;
  const [preprocessor, processor] = await allOf(
    asks ? ['preprocessor_config.json', 'processor_config.json'].map((name) => json(open(name), true)) : [],
  );
  const index = await openTensors(folder.where, open, files, outer, weights ?? (adapted && CLIP));
  return { name: configFile.name, outer, found, failure, commit, index, preprocessor, processor };
}

/** @param {TensorFile} file */
async function* bytesOf(file) {
  for await (const [, chunk] of file.read([[0, Infinity]])) yield chunk;
}

/**
 * @param {Folder} folder @param {Place['weights']} weights @param {any} options integrity: digests by name, or one
 * @returns {Promise<any>} something to read, as source.js has it, and what info tells besides
 */
async function openIn(folder, weights, { integrity, encoderOnly }) {
  const { TesseraeError } = core;
  const checks = integrity && (await fetched(import('./integrity.js')));
  const isOne = typeof integrity === 'string';
  if (checks && !isOne) checks.checkFormat(TesseraeError, integrity);
  /** @type {Open} */
  const open = (name, alone) => {
    const digest = isOne ? alone && integrity : integrity?.[name];
    return { ...folder.open(name), ...(digest && { check: checks.checkOf(TesseraeError, name, digest) }) };
  };
  /** @type {TensorFile[]} */
  const files = [];
  const close = () => allOf(files.map((file) => file.close()));
  try {
    const { name, outer, found, failure, commit, index, preprocessor, processor } = await partsOf(
      folder,
      weights,
      open,
      files,
    );
    const names = files.map(({ file: { name } }) => name);
    const others = {
      [name]: outer,
      'preprocessor_config.json': preprocessor,
      'processor_config.json': processor,
    };
    const all = Object.entries({ ...others, [INDEX]: index }).flatMap(([name, value]) => (value ? [name] : []));
    checks?.checkNames(TesseraeError, integrity, [...all, ...names], names.length);
    const headers = files.map(({ head }, i) => parseHeader(head, i));
    // as it is: a file of ours, and what is no file of tensors, of which the core says what it is
    const verbatim = files.find((_, i) => !headers[i] || (headers[i].own && names.length < 2));
    if (!verbatim && failure) throw failure;
    const tensors = headers.flatMap((header) => header?.tensors ?? []);
    /** @type {any} */
    const { made, header, more } = verbatim
      ? {}
      : await translate(
          outer,
          { ...found, encoderOnly },
          processor?.image_processor ?? preprocessor ?? null,
          tensors,
          folder.href,
        );
    const ranges = rangesOf(made ?? []);
    return {
      async *read() {
        try {
          yield* verbatim ? bytesOf(verbatim) : dataOf(header, made, piecesOf(ranges, files));
        } finally {
          await close();
        }
      },
      url: null,
      total: () =>
        verbatim
          ? Math.max(0, ...tensors.map(([, { end }]) => end)) || null
          : ranges.reduce((sum, { begin, end }) => sum + end - begin, header.length),
      verbatim: verbatim?.file.name,
      more: { ...more, commit: commit || null, files: names },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Loads a folder; once more without the cache, if what came from there does not load.
 * @param {any} source @param {any} options settled @param {import('./core.js').Core} lent
 * @param {(from: any, fromCache: () => boolean) => Promise<any>} read feeds something to read, and returns the
 *   model's info
 * @param {any} [error] why the source could not be read as a file of ours
 */
export async function load(source, options, lent, read, error) {
  Object.assign(core, lent);
  const { retries, signal } = options;
  const { TesseraeError } = core;
  signal.throwIfAborted();
  const place = placeOf(source, error);
  if (!place) throw (await fetched(import('./reasons.js'), error)).explain(TesseraeError, error, false, { source });
  options.digest = undefined; // because the core gets other bytes
  let { cache } = options;
  for (let attempt = 0; ; attempt++) {
    const folder = place.at({ ...options, cache });
    /** @type {any} */
    let from;
    try {
      from = await openIn(folder, place.weights, options);
      const info = await read(from, () => Boolean(folder.cached?.()));
      await folder.store?.();
      return { ...info, ...from.more };
    } catch (/** @type {any} */ failure) {
      signal.throwIfAborted();
      const { code, detail, stage } = failure ?? {};
      const isStale = folder.cached?.() && /^(model|fetch)$/.test(stage);
      if (!isStale && !(detail?.changed && attempt < retries)) {
        const { bare, explain } = await fetched(import('./reasons.js'), failure);
        const isFile = error && !place.isFolder && (detail?.noConfig || code === 'ERR_FETCH_NETWORK');
        if (!isFile) throw explain(TesseraeError, failure, true, { name: from?.verbatim });
        throw error.code === 'ERR_CONFIG'
          ? bare(TesseraeError, error)
          : explain(TesseraeError, error, false, { source });
      }
      await folder.forget?.();
      cache &&= 'reload';
    }
  }
}

/**
 * A folder, or a file in one, for the command line program.
 * @param {any} source @param {any} options as loadModel settles them @param {import('./core.js').Core} lent
 */
export async function openFolder(source, options, lent) {
  Object.assign(core, lent);
  const { at, weights } = /** @type {Place} */ (placeOf(source));
  try {
    return await openIn(at(options), weights, options);
  } catch (error) {
    throw (await fetched(import('./reasons.js'), error)).explain(core.TesseraeError, error, true);
  }
}
