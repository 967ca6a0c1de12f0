// @ts-check
/** PiT: timm's `pit_*`. */

/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape, names }) => {
  const rows = (/** @type {string} */ name) => shape(name)?.[0] ?? 0;
  const size = /^pit_([a-z]+)/.exec(timm ?? '')?.[1] ?? '';
  const base = { ti: 32, b: 64 }[size] ?? 48;
  const [first, in_chans, ...patch_size] = shape('patch_embed.conv.weight') ?? [];
  const embed_dim = [first];
  for (let s = 1, dim; (dim = rows(`transformers.${s}.pool.fc.weight`) || rows(`pools.${s - 1}.fc.weight`)); s++)
    embed_dim.push(dim);
  const depths = embed_dim.map(
    (_, s) =>
      names.filter((name) => name.startsWith(`transformers.${s}.blocks.`) && name.endsWith('.norm1.bias')).length,
  );
  return {
    arch: 'timm_pit',
    config: {
      image_size: config.img_size ?? 224,
      patch_size,
      stride: config.stride ?? (size === 'b' ? 7 : 8),
      in_chans,
      num_classes: rows('head.weight'),
      embed_dim,
      depths,
      num_heads: config.heads ?? embed_dim.map((dim, s) => dim / (config.base_dims?.[s] ?? base)),
      mlp_ratio: config.mlp_ratio ?? 4,
      distilled: (shape('cls_token')?.[1] ?? 1) > 1,
      global_pool: config.global_pool,
    },
    rules: [
      [/pools\.0\.(.+)/, 'transformers.1.pool.$1'],
      [/pools\.1\.(.+)/, 'transformers.2.pool.$1'],
      [/(.+)/, '$1'],
    ],
  };
};
