// @ts-check
/** Why a folder does not load, and the mend. Fetched when one does not. */

/** @typedef {import('./core.js').Core['TesseraeError']} ErrorClass */

/** A message without its code. @param {any} error */
const reasonOf = ({ code, message }) => message.slice(code.length + 2);

/**
 * An error with what the server says of it, and the mend.
 * @param {ErrorClass} TesseraeError @param {any} error
 * @param {boolean} isFolder whether what was read is certainly a folder
 * @param {{ name?: string, source?: any }} [more] name: of the file that the core was reading; source: what was given
 */
export function explain(TesseraeError, error, isFolder, { name, source } = {}) {
  if (!(error instanceof TesseraeError)) return error;
  const { code, detail, retryable, stage } = error;
  const { headers = {}, status } = detail ?? {};
  const errorCode = headers['x-error-code'];
  const reason = reasonOf(error);
  let text = (name && /^(model|fetch)$/.test(stage) ? `${name}: ` : '') + reason;
  if (/version https:..git-lfs/.test(reason))
    text = `${name ?? 'this'} is a Git LFS pointer, not the file; run \`git lfs pull\` where it was cloned`;
  if (errorCode) text += `: ${headers['x-error-message'] ?? errorCode}`;
  if (/40[13]/.test(status) && (isFolder || errorCode)) {
    const why =
      errorCode === 'GatedRepo'
        ? 'the repository is gated: accept its terms on its page, then give a token'
        : 'there is no such repository, or it needs a token (gated or private)';
    text += `; ${why}: headers: { Authorization: 'Bearer hf_...' }`;
  }
  if (detail?.noConfig) text = `there is no config.json in ${detail.noConfig} (${text}); is it the folder of a model?`;
  if (detail?.shard) text = `the index names ${detail.shard}, which is missing (${text}); copy all files of the model`;
  if (
    /^[\w.-]+\/[\w.-]+$/.test(source) &&
    (detail?.status === 404 || /** @type {any} */ (error.cause)?.code === 'ENOENT')
  )
    text += `; a repository of the Hub is https://huggingface.co/${source}`;
  if (text === reason) return error;
  return new TesseraeError(code, text, { detail: { ...detail, errorCode }, retryable, cause: error });
}

/**
 * A file of tensors alone, without ours or a config.json to say what they are.
 * @param {ErrorClass} TesseraeError @param {any} error
 */
export const bare = (TesseraeError, error) =>
  new TesseraeError(error.code, `${reasonOf(error)}; nor is there a config.json beside it`, { cause: error });

/**
 * What is there in place of model.safetensors.
 * @param {ErrorClass} TesseraeError @param {string} where
 * @param {(name: string) => import('./files.js').File} open @param {any} config config.json
 */
export async function noTensors(TesseraeError, where, open, config) {
  for (const name of ['pytorch_model.bin', 'pytorch_model.bin.index.json']) {
    const pickle = open(name).read(0, 1);
    const { done } = await pickle.next().catch(() => ({ done: true }));
    await pickle.return(undefined);
    if (done) continue;
    const [model] = config?.architectures ?? [];
    const how = config?.architecture
      ? 'timm.models.save_for_hf(model, folder, safe_serialization=True)'
      : `${/^\w{1,80}$/.test(model) ? model : 'AutoModel'}.from_pretrained(...).save_pretrained(...)`;
    const text = `the weights in ${where} are ${name} alone (a pickle, which can run code). Save it as safetensors`;
    return new TesseraeError('ERR_CONFIG', `${text}: ${how}`);
  }
  const text = `there is no model.safetensors in ${where}, nor model.safetensors.index.json`;
  return new TesseraeError('ERR_CONFIG', text);
}

/**
 * config.json is of something else.
 * @param {ErrorClass} TesseraeError @param {string | null} timm @param {any} type
 * @param {import('./families.js').Family[]} families
 */
export function noFamily(TesseraeError, timm, type, families) {
  const known = [...new Set(families.flatMap(({ types = [] }) => types))].sort().join(', ');
  const given = JSON.stringify(type ?? null);
  return new TesseraeError(
    'ERR_CONFIG',
    timm
      ? `timm's architecture "${timm}" is none that this version runs; docs/models/hub.md lists them`
      : `model_type ${given} is no vision model that this version runs; it runs ${known}, and timm's`,
  );
}
