// @ts-check
/** XCiT: timm's `xcit_*`. */

/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape, names }) => {
  const rows = (/** @type {string} */ name) => shape(name)?.[0] ?? 0;
  const depth = (/** @type {string} */ blocks) =>
    names.filter((name) => name.startsWith(blocks) && name.endsWith('.gamma1')).length;
  const embed_dim = rows('norm.weight');
  return {
    arch: 'timm_xcit',
    config: {
      image_size: config.img_size ?? +(/\d+$/.exec(timm ?? '') ?? 224),
      patch_size: rows('patch_embed.proj.6.0.weight') ? 16 : 8,
      in_chans: shape('patch_embed.proj.0.0.weight')?.[1],
      num_classes: rows('head.weight'),
      embed_dim,
      depth: depth('blocks.'),
      num_heads: rows('blocks.0.attn.temperature'),
      mlp_ratio: rows('blocks.0.mlp.fc1.weight') / embed_dim,
      qkv_bias: rows('blocks.0.attn.qkv.bias') > 0,
      cls_attn_layers: depth('cls_attn_blocks.'),
      use_pos_embed: names.some((name) => name.startsWith('pos_embed')),
      tokens_norm: config.tokens_norm ?? !/nano/.test(timm ?? ''),
      global_pool: config.global_pool,
    },
    rules: [
      [/pos_embeder\.(.+)/, 'pos_embed.$1'],
      [/(.+)/, '$1'],
    ],
  };
};
