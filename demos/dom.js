// Short names for what pages do with elements.

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export const $ = (id) => /** @type {T} */ (document.getElementById(id));

/** @param {string} tag @param {Record<string, any>} [fields] @param {...(Node | string)} children */
export function element(tag, fields = {}, ...children) {
  const made = Object.assign(document.createElement(tag), fields);
  made.append(...children);
  return made;
}

/**
 * Fills a fieldset with radio buttons; with fewer than `least` it is hidden.
 * @param {string} id of the fieldset @param {string} name @param {[string, string][]} list value and label
 * @param {string} checked @param {number} [least]
 */
export function choices(id, name, list, checked, least = 2) {
  $(id).hidden = list.length < least;
  const buttons = list.map(([value, label]) => {
    const input = element('input', { type: 'radio', name, value, checked: value === checked });
    return element('label', {}, input, element('span', { textContent: label }));
  });
  /** @type {HTMLElement} */ ($(id).querySelector('.tiles')).replaceChildren(...buttons);
}

/** The value of the radio button that is chosen. @param {string} name */
export const choice = (name) =>
  /** @type {HTMLInputElement | null} */ (document.querySelector(`input[name="${name}"]:checked`))?.value;
