// @ts-check
/** MobileViTv2: transformers' `mobilevitv2`, timm's `mobilevitv2_*`. */
import { layers, mobile } from './mobilevit.js';

/** @type {import('./family.js').Family} */
export const mobilevitv2 = {
  types: ['mobilevitv2'],
  timm: /^mobilevitv2_/,
  read(given) {
    const { rules, config } = mobile(
      given,
      layers([
        [String.raw`attention\.qkv_proj\.convolution`, 'attn.qkv_proj'],
        [String.raw`attention\.out_proj\.convolution`, 'attn.out_proj'],
        [String.raw`ffn\.conv1\.convolution`, 'mlp.fc1'],
        [String.raw`ffn\.conv2\.convolution`, 'mlp.fc2'],
        ['layernorm_before', 'norm1'],
        ['layernorm_after', 'norm2'],
      ]),
    );
    return {
      arch: 'mobile_vit_v2',
      config: { ...config, mlp_ratio: given.config.ffn_multiplier, uneven: given.timm ? 'resize' : 'cut' },
      rules,
    };
  },
};
