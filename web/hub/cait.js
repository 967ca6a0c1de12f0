// @ts-check
/** CaiT: timm's `cait_*`. */

/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape, names }) => {
  const rows = (/** @type {string} */ name) => shape(name)?.[0] ?? 0;
  const depth = (/** @type {string} */ blocks) =>
    names.filter((name) => name.startsWith(blocks) && name.endsWith('.gamma_1')).length;
  const [embed_dim, in_chans, ...patch_size] = shape('patch_embed.proj.weight') ?? [];
  return {
    arch: 'timm_cait',
    config: {
      image_size: config.img_size ?? +(/\d+$/.exec(timm ?? '') ?? 224),
      patch_size,
      in_chans,
      num_classes: rows('head.weight'),
      embed_dim,
      depth: depth('blocks.'),
      num_heads: rows('blocks.0.attn.proj_l.weight'),
      mlp_ratio: rows('blocks.0.mlp.fc1.weight') / embed_dim,
      qkv_bias: rows('blocks.0.attn.qkv.bias') > 0,
      depth_token_only: depth('blocks_token_only.'),
      mlp_ratio_token_only: rows('blocks_token_only.0.mlp.fc1.weight') / embed_dim || 4,
      global_pool: config.global_pool,
    },
    rules: [[/(.+)/, '$1']],
  };
};
