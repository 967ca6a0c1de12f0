// @ts-check
/** The names of classes, from config.json. */

/** @param {any} value @returns {value is Record<string, any>} */
const isTable = (value) => Boolean(value) && typeof value === 'object';

/**
 * @param {any} config config.json @param {any} pretrained timm's pretrained_cfg @param {number} classes
 * @returns {string[] | null}
 */
export function labelsOf(config, pretrained, classes) {
  const { id2label, label2id } = config;
  const names = config.label_names ?? pretrained.label_names;
  const texts = config.label_descriptions ?? pretrained.label_descriptions;
  if (!classes) return null;
  /** @type {Record<string, any> | null} */
  let table = null;
  if (isTable(names)) table = names;
  else if (isTable(id2label)) table = id2label;
  else if (isTable(label2id)) table = Object.fromEntries(Object.entries(label2id).map(([name, id]) => [id, name]));
  if (!table && config.model_type) table = {}; // transformers' own names, which it does not write
  if (!table) return null;
  const found = table;
  return Array.from({ length: classes }, (_, i) => {
    const name = String(found[i] ?? `LABEL_${i}`);
    return isTable(texts) ? String(texts[name] ?? name) : name;
  });
}
