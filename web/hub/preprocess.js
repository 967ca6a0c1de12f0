// @ts-check
/** Preprocessing; comes with the branch of that name. */
/** @param {any} given @returns {any} */
export function preprocessOf(given) {
  void given;
  return undefined;
}
