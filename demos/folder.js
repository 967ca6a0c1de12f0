// Files of a folder that was dropped.

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
 * The files at the top of the first folder among the things dropped; null: there is none.
 * @param {DataTransfer | null} dropped @returns {Promise<File[]> | null}
 */
export function folderOf(dropped) {
  // asked for before anything is awaited: afterwards the list is empty
  const folder = [...(dropped?.items ?? [])]
    .map((item) => item.webkitGetAsEntry?.())
    .find((entry) => entry?.isDirectory);
  if (!folder) return null;
  return entriesOf(folder).then((entries) =>
    Promise.all(
      entries
        .filter(({ isFile }) => isFile)
        .map(
          (entry) =>
            new Promise((resolve, reject) => {
              entry.file(resolve, reject);
            }),
        ),
    ),
  );
}
