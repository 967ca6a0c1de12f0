// @ts-check
/** MobileViTv2: transformers' `mobilevitv2`, timm's `mobilevitv2_*`. */
import { mobile, rulesOf } from './mobilevit.js';

/** @type {import('./family.js').Read} */
export const read = (given) => {
  const { rules, config } = mobile(
    given,
    rulesOf('Tattention.(qkv|out)_proj Tattn.$3_proj, Tffn.conv# Tmlp.fc$3', '.convolution'),
  );
  const more = { mlp_ratio: given.config.ffn_multiplier, uneven: given.timm ? 'resize' : 'cut' };
  return { arch: 'mobile_vit_v2', config: { ...config, ...more }, rules, anySize: true };
};
