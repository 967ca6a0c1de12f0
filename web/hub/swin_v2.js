// @ts-check
/** Swin V2: transformers' `swinv2`, timm's `swinv2_*`. */
import { part, readSwin } from './swin.js';

/** @type {import('./family.js').Read} */
export const read = (file) => {
  const { timm, names } = file;
  if (timm?.startsWith('swinv2_cr') || names.some((name) => name.endsWith('position_embeddings')))
    throw new Error('a swinv2 with position embeddings, and swinv2_cr, which is another network, cannot run here');
  const { first, windows, config, rules } = readSwin(file);
  const [, from, to] = /window(\d+)(?:to(\d+))?/.exec(timm ?? '') ?? [];
  return {
    arch: 'swin_v2',
    config: {
      ...config,
      num_heads: first('logit_scale').map(([heads]) => heads),
      window_size: windows ?? +(to ?? from ?? 7),
      pretrained_window_sizes: file.config.pretrained_window_sizes ?? (to ? [12, 12, 12, 6] : 0),
    },
    rules: [
      part('attention.self.query(?=.bias)', 'attn.q_'),
      part('attention.self.value(?=.bias)', 'attn.v_'),
      part('attention.self.continuous_position_bias_mlp.0', 'attn.cpb_mlp.0.'),
      part('attention.self.continuous_position_bias_mlp.2', 'attn.cpb_mlp.2.'),
      ...rules,
    ],
  };
};
