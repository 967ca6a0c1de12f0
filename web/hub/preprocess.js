// @ts-check
/** stub until merged */
export function preprocessOf({ processor, timm, config }) {
  return undefined;
}
