// @ts-check
/**
 * Folders of checkpoints as transformers and timm write them: config.json says what the model is, the files beside it have
 * labels, preprocessing and tensors. A family (families.js) translates names; the result is read as one file in our own
 * format. Fetched only when a folder is loaded.
 */
import { core, fail } from './core.js';
import { families } from './families.js';
import { AGAIN, atAddress, isMissing, ofBlobs, onDisk, TensorFile, whole } from './files.js';
import { labelsOf } from './labels.js';
import { preprocessOf } from './preprocess.js';
import { compile, dataOf, headerOf, parseHeader, planOf, rangesOf } from './stream.js';

/** What wrappers put in front of all names: DataParallel, torch.compile, Lightning and the like. */
const WRAPPERS = /^(?:(?:timm_model|module|_orig_mod|model|net|network)\.)+/;
const INDEX = 'model.safetensors.index.json';

/** @param {string} message @param {any} [cause] @returns {never} */
const refuse = (message, cause) => fail('ERR_CONFIG', message, { cause });

/** @param {any} source @param {any} net @returns {import('./files.js').Folder} */
function folderOf(source, net) {
  if (source instanceof URL) return atAddress(source, net);
  return typeof source === 'string' ? onDisk(source) : ofBlobs(source);
}

/** A JSON file; undefined where it is optional and not there. @param {import('./files.js').File} file @param {boolean} [optional] */
async function json(file, optional) {
  let text;
  try {
    text = new TextDecoder().decode(await whole(file));
  } catch (error) {
    if (optional && isMissing(error)) return undefined;
    throw error;
  }
  try {
    const value = JSON.parse(text.replace(/(?<=[:[,]\s*)-?(?:NaN|Infinity)(?=\s*[,\]}])/g, 'null'));
    if (value && typeof value === 'object') return value;
  } catch (cause) {
    refuse(`${file.name} is not JSON: ${/** @type {Error} */ (cause).message}`, cause);
  }
  return refuse(`${file.name} is not a JSON object`);
}

/**
 * config.json, or why there is none.
 * @param {import('./files.js').Folder} folder @param {import('./files.js').File} file
 */
async function configOf(folder, file) {
  try {
    return await json(file);
  } catch (error) {
    const { status, errorCode } = /** @type {any} */ (error).detail ?? {};
    const { message } = /** @type {Error} */ (error);
    const rest = message.slice(message.indexOf(': ') + 2);
    if (status === 401 || status === 403) {
      const why =
        errorCode === 'GatedRepo'
          ? 'the repository is gated: accept its terms on its page, then give a token'
          : 'there is no such repository, or it needs a token (gated or private)';
      fail('ERR_FETCH_HTTP', `${rest}; ${why}: headers: { Authorization: 'Bearer hf_...' }`, {
        detail: /** @type {any} */ (error).detail,
        cause: error,
      });
    }
    if (!isMissing(error)) throw error;
    fail(
      status ? 'ERR_FETCH_HTTP' : /** @type {any} */ (error).code,
      `there is no config.json in ${folder.where} (${rest}); is it the folder of a model?`,
      { detail: { .../** @type {any} */ (error).detail, noConfig: true }, cause: error },
    );
  }
}

/**
 * The files of tensors.
 * @param {import('./files.js').Folder} folder @param {string} [weights] their name, if the caller knows it
 * @returns {Promise<{ files: TensorFile[], heads: Uint8Array[] }>}
 */
async function openTensors(folder, weights) {
  const one = new TensorFile(folder.open(weights ?? 'model.safetensors'), true);
  try {
    return { files: [one], heads: [await one.open()] };
  } catch (error) {
    if (weights || !isMissing(error)) throw error;
  }
  const index = await json(folder.open(INDEX), true);
  if (index) {
    const names = [...new Set(/** @type {string[]} */ (Object.values(index.weight_map ?? {})))].sort();
    if (!names.length || names.some((name) => typeof name !== 'string' || /[/\\]/.test(name)))
      refuse(`${INDEX} names no files`);
    const files = names.map((name) => new TensorFile(folder.open(name), false));
    return { files, heads: await Promise.all(files.map((file) => file.open())) };
  }
  for (const name of ['pytorch_model.bin', 'pytorch_model.bin.index.json']) {
    const pickle = folder.open(name).read(0, 1);
    const there = await pickle.next().catch(() => null);
    await pickle.return(undefined);
    if (there && !there.done)
      refuse(
        `${folder.where} has its weights as ${name} alone (a pickle, which can run code). Save it as safetensors: ` +
          `AutoModel.from_pretrained(...).save_pretrained(...)`,
      );
  }
  return refuse(`there is no model.safetensors in ${folder.where}, nor ${INDEX}`);
}

/** Why a file is no safetensors. @param {Uint8Array} head @param {string} name */
function checkHead(head, name) {
  const text = new TextDecoder().decode(head.subarray(0, 40));
  if (text.startsWith('version https://git-lfs'))
    fail('ERR_MODEL_HEADER', `${name} is a Git LFS pointer, not the file; run \`git lfs pull\` in the repository`);
}

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
    if (tensors.has(bare)) refuse(`${name} is there twice, behind "${prefix}" and "${front}"; save one of them alone`);
    tensors.set(bare, stored);
  }
  return { tensors, prefix };
}

/** The family, and what it is to read. @param {any} outer config.json */
function familyOf(outer) {
  const { model_type: type, pretrained_cfg: pretrained = outer } = outer;
  const timm = outer.architecture ?? (type === 'timm_wrapper' ? pretrained.architecture : null) ?? null;
  const config = timm ? (outer.model_args ?? {}) : (outer.vision_config_dict ?? outer.vision_config ?? outer);
  const family = families.find((one) => (timm ? one.timm?.test(timm) : one.types?.includes(type)));
  if (!family) {
    const known = [...new Set(families.flatMap(({ types = [] }) => types))].sort().join(', ');
    refuse(
      timm
        ? `timm's architecture "${timm}" is none that this version runs; docs/models/hub.md lists them`
        : `model_type ${JSON.stringify(type ?? null)} is no vision model that this version runs; it runs ${known}, and timm's`,
    );
  }
  return {
    family: /** @type {import('./families.js').Family} */ (family),
    timm,
    config,
    pretrained: timm ? pretrained : {},
  };
}

/**
 * @param {any} source a URL, a folder's path in Node, files or Blobs by name
 * @param {any} options settled
 * @param {string} [weights] the file of tensors
 */
export async function openFolder(source, options, weights) {
  Object.assign(core, options.core);
  const folder = folderOf(source, options);
  const configFile = folder.open('config.json');
  const outer = await configOf(folder, configFile);
  const commit = configFile.headers?.()?.get('x-repo-commit') || null;
  folder.pin?.(commit);
  const { family, timm, config, pretrained } = familyOf(outer);
  const [opened, preprocessor, processor] = await Promise.all([
    openTensors(folder, weights),
    timm ? null : json(folder.open('preprocessor_config.json'), true),
    timm ? null : json(folder.open('processor_config.json'), true),
  ]);
  const { files, heads } = opened;
  const all = heads.flatMap((head, i) => {
    checkHead(head, files[i].file.name);
    return parseHeader(head, i, files[i].file.name);
  });
  const { tensors, prefix } = unwrap(all);
  /** @type {any} */
  let translation;
  /** @type {any} */
  let preprocess;
  try {
    preprocess = preprocessOf({
      config: outer,
      type: outer.model_type,
      processor: processor?.image_processor ?? preprocessor ?? null,
      timm: timm ? pretrained : null,
    });
    const { read } = await family.module();
    translation = read({
      config,
      outer,
      timm,
      pretrained,
      names: [...tensors.keys()],
      shape: (name) => tensors.get(name)?.shape,
      compile,
    });
  } catch (error) {
    if (error instanceof core.TesseraeError) throw error;
    refuse(/** @type {Error} */ (error).message, error);
  }
  const { made, unused } = planOf(tensors, translation);
  const size = preprocess?.size;
  if (size && translation.config.image_size !== null) translation.config.image_size = size;
  const labels = labelsOf(outer, pretrained, translation.config.num_classes ?? 0);
  const header = headerOf(made, {
    arch: translation.arch,
    config: translation.config,
    ...(labels && { labels }),
    ...(preprocess && { preprocess }),
    ...(outer.problem_type && { problem_type: outer.problem_type }),
    ...(folder.href && { source: folder.href }),
    ...(pretrained.license && { license: pretrained.license }),
  });
  const ranges = rangesOf(made);
  const total = ranges.reduce((sum, { begin, end }) => sum + end - begin, header.length);

  /** @returns {AsyncGenerator<[number, Uint8Array]>} */
  async function* pieces() {
    let at = 0;
    for (let i = 0; i < files.length; i++) {
      const own = ranges.filter(({ file }) => file === i);
      if (!own.length) continue;
      for await (const [place, chunk] of files[i].read(own.map(({ begin, end }) => [begin, end]))) {
        for (let from = place, to = place + chunk.length; at < ranges.length && ranges[at].file === i; at++) {
          const { begin, end } = ranges[at];
          const first = Math.max(from, begin);
          const last = Math.min(to, end);
          // copies, because a part of a buffer cannot be handed to the worker alone
          if (first < last)
            yield [at, last - first === chunk.length ? chunk : chunk.slice(first - place, last - place)];
          from = last;
          if (to < end || to <= begin) break;
        }
      }
    }
  }

  /** @returns {AsyncGenerator<Uint8Array | null>} */
  async function* read() {
    for (let attempt = 0; ; attempt++) {
      try {
        yield header.slice();
        yield* dataOf(made, pieces());
        return;
      } catch (error) {
        if (error !== AGAIN) throw error;
        if (attempt >= options.retries)
          fail('ERR_FETCH_RANGE', `${folder.where}: a file changed while it was read`, {
            retryable: true,
          });
        for (const file of files) file.skips = false; // it may have been asked for a part, which it does not serve
        yield null;
      }
    }
  }

  return {
    read,
    url: null,
    total: () => total,
    cached: folder.cached ?? (() => false),
    forget: folder.forget ?? (() => Promise.resolve()),
    /** What info tells besides. */
    more: { unused, commit, ...(prefix && { prefix }), files: files.map(({ file }) => file.name) },
  };
}

/**
 * Loads a folder; once more without the cache, if what came from there does not load.
 * @param {any} source @param {any} options settled, with `core`
 * @param {(from: any, fromCache: () => boolean) => Promise<any>} read feeds a source, and returns the model's info
 * @param {string} [weights]
 */
export async function readFolder(source, options, read, weights) {
  const from = await openFolder(source, options, weights);
  try {
    return { ...(await read(from, from.cached)), ...from.more };
  } catch (/** @type {any} */ error) {
    if (!from.cached() || !/^(model|fetch)$/.test(error?.stage) || options.signal.aborted) throw error;
    await from.forget();
    return readFolder(source, { ...options, cache: 'reload' }, read, weights);
  }
}
