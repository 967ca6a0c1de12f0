// @ts-check
/** Every family of checkpoints: who they are, and the module that translates them, fetched when one is met. */

/**
 * @typedef {object} Family
 * @property {string[]} [types] transformers' model_type
 * @property {RegExp} [timm] timm's names of architectures
 * @property {() => Promise<{ read: import('./family.js').Read }>} module
 */

/** @type {Family[]} */
export const families = [
  {
    types: [
      ...['vit', 'deit', 'vit_mae', 'vit_msn', 'ijepa', 'dinov2', 'dinov2_with_registers', 'dinov3_vit', 'beit'],
      ...['data2vec-vision', 'clip', 'clip_vision_model', 'siglip', 'siglip_vision_model'],
    ],
    timm: /^(vit|deit3?|flexivit|eva|eva02|beit|beitv2)_|^test_vit\d?$/,
    module: () => import('./plain_vit.js'),
  },
];
