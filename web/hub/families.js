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
  { types: ['swin'], timm: /^swin_/, module: () => import('./swin.js') },
  { types: ['swinv2'], timm: /^swinv2_/, module: () => import('./swin_v2.js') },
  { types: ['mobilevit'], timm: /^mobilevit_/, module: () => import('./mobilevit.js') },
  { types: ['mobilevitv2'], timm: /^mobilevitv2_/, module: () => import('./mobilevitv2.js') },
  { types: ['levit'], timm: /^levit_/, module: () => import('./levit.js') },
  { timm: /^cait_/, module: () => import('./cait.js') },
  { timm: /^xcit_/, module: () => import('./xcit.js') },
  { timm: /^pit_/, module: () => import('./pit.js') },
  { types: ['cvt'], module: () => import('./cvt.js') },
  { timm: /^crossvit_/, module: () => import('./cross_vit.js') },
  { timm: /^(?:maxx?vit|coatne[tx]t?)/, module: () => import('./max_vit.js') },
  { timm: /^gcvit_/, module: () => import('./gcvit.js') },
  { timm: /^tiny_vit_/, module: () => import('./tiny_vit.js') },
  { timm: /^fastvit_/, module: () => import('./fast_vit.js') },
  { types: ['hiera'], timm: /^hiera_/, module: () => import('./hiera.js') },
  { timm: /^efficientformerv2_/, module: () => import('./efficient_former_v2.js') },
];
