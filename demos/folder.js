// What somebody opens as a model: an address that was typed, or files and folders that were dropped or picked.

/**
 * @typedef {object} Opening
 * @property {string} name in words
 * @property {boolean} here whether it lies on this device
 * @property {() => any} source what loadModel takes, or a promise of it
 */

/** What belongs to a model, and is no picture. */
const PART = /\.(safetensors|bin|pth?|ckpt)$|^(config|model\.safetensors\.index)\.json$/i;
const HUB = 'https://huggingface.co/';
/** Folders below the one that was dropped, of which one has the config.json. */
const DEPTH = 3;

/** @param {string} message */
const refusal = (message) => Object.assign(new Error(message), { code: 'ERR_ARGUMENT' });

// ---- an address ----

/** The address that somebody means; without https:// too, or a repository's name. @param {string} text */
export function addressOf(text) {
  const bare = text.trim();
  const isHost = /^[\w-]+(\.[\w-]+)*\.[a-z]{2,}(:\d+)?\//i.test(bare);
  const isName = /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(bare) && !PART.test(bare);
  const whole = `${isHost ? 'https://' : isName ? HUB : ''}${bare}`;
  const url = /[/.]/.test(bare) && URL.canParse(whole, location.href) && new URL(whole, location.href);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw refusal(
    `"${bare}" is no address. Give that of a folder, which begins with https://, or the name of a model on the ` +
      'Hugging Face Hub: its owner, a slash, its name.',
  );
}

/** @param {URL} url */
function nameOf({ origin, host, pathname }) {
  if (origin === location.origin) return /** @type {string} */ (pathname.replace(/\/$/, '').split('/').pop());
  const [, repository] = /^\/([^/]+\/[^/]+)(?:\/resolve\/|\/tree\/|\/blob\/|\/?$)/.exec(pathname) ?? [];
  return repository ?? host + pathname;
}

/** @param {URL} url @returns {Opening} */
export const atAddress = (url) => ({ name: nameOf(url), here: false, source: () => url });

// ---- files ----

/** Files that were picked, or dropped without a folder. @param {File[]} files @returns {Opening} */
export function ofFiles(files) {
  const [{ name, webkitRelativePath = '' } = new File([], '')] = files;
  const [folder] = webkitRelativePath.split('/');
  const single = files.length === 1 && !folder && !name.endsWith('.json');
  return {
    name: folder || (files.length === 1 ? name : `${files.length} files`),
    here: true,
    source: () => (single ? files[0] : files),
  };
}

/** @param {any} entry of a folder @returns {Promise<any[]>} what lies in it */
async function entriesOf(entry) {
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    // a reader gives a hundred at a time
    const some = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (!some.length) return all;
    all.push(...some);
  }
}

/**
 * The files of a folder by their paths; of those below it too, where it has no config.json itself.
 * @param {any} folder entry @param {string} [at] its path @param {number} [depth]
 * @returns {Promise<Record<string, File>>}
 */
async function filesIn(folder, at = '', depth = DEPTH) {
  const entries = await entriesOf(folder);
  const files = Object.fromEntries(
    await Promise.all(
      entries
        .filter(({ isFile }) => isFile)
        .map(async (entry) => [
          at + entry.name,
          await new Promise((resolve, reject) => {
            entry.file(resolve, reject);
          }),
        ]),
    ),
  );
  if (`${at}config.json` in files || !depth) return files;
  for (const entry of entries)
    if (entry.isDirectory) Object.assign(files, await filesIn(entry, `${at}${entry.name}/`, depth - 1));
  return files;
}

/**
 * A model among the things dropped: a folder, or files of one; null: there is none.
 * @param {DataTransfer | null} transfer @returns {Opening | null}
 */
export function ofDrop(transfer) {
  // asked for before anything is awaited: afterwards the lists are empty
  const files = [...(transfer?.files ?? [])];
  const folder = [...(transfer?.items ?? [])]
    .map((item) => item.webkitGetAsEntry?.())
    .find((entry) => entry?.isDirectory);
  if (folder) {
    const found = filesIn(folder);
    found.catch(() => {}); // whoever loads it hears of it
    return { name: folder.name, here: true, source: () => found };
  }
  return files.some(isPart) ? ofFiles(files) : null;
}

/** Whether a file belongs to a model, by its name. @param {{ name?: string }} file */
export const isPart = ({ name = '' }) => PART.test(name);
