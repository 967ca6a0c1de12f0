// @ts-check
/** CrossViT: timm's `crossvit_*`. */
/** @type {Record<string, number>} heads, which no shape tells */
const HEADS = { tiny: 3, small: 6, base: 12, 9: 4, 15: 6, 18: 7 };

/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape, names }) => {
  const [, size = '', usual = 240] = /^crossvit_([a-z\d]+)\w*?_(\d+)$/.exec(String(timm)) ?? [];
  /** How many indices follow in names. @param {RegExp} before */
  const count = (before) => 1 + Math.max(-1, ...names.map((name) => Number(before.exec(name)?.[1] ?? -1)));
  const blocks = [...Array(count(/^blocks\.(\d+)\./)).keys()];
  const heads = HEADS[size];
  const sides = [config.img_size ?? Number(usual)].flat();
  const image = [sides[0], sides.at(-1)];
  const scales = config.img_scale ?? [1, Number(usual) > 240 ? 384 / 408 : 224 / 240];
  const multi = shape('patch_embed.0.proj.0.weight');
  const dims = [0, 1].map((d) => shape(`norm.${d}.weight`)?.[0] ?? 0);
  return {
    arch: 'timm_cross_vit',
    config: {
      image_size: image,
      branch_sizes: scales.map((/** @type {number} */ scale) => image.map((side) => Math.trunc(side * scale))),
      in_chans: shape(`patch_embed.0.proj${multi ? '.0' : ''}.weight`)?.[1],
      num_classes: shape('head.0.weight')?.[0] ?? 0,
      patch_size: config.patch_size ?? [12, 16],
      embed_dim: dims,
      num_heads: config.num_heads ?? [heads, heads],
      depths: [
        ...[0, 1].map((d) => blocks.map((k) => count(RegExp(`^blocks\\.${k}\\.blocks\\.${d}\\.(\\d+)\\.`)))),
        blocks.map((k) => count(RegExp(`^blocks\\.${k}\\.fusion\\.0\\.(\\d+)\\.`))),
      ],
      mlp_ratio: dims.map((dim, d) => (shape(`blocks.0.blocks.${d}.0.mlp.fc1.weight`)?.[0] ?? 0) / dim),
      multi_conv: Boolean(multi),
      crop_scale: config.crop_scale,
      qkv_bias: Boolean(shape('blocks.0.fusion.0.attn.wq.bias') ?? shape('blocks.0.fusion.0.0.attn.wq.bias')),
      global_pool: config.global_pool,
    },
    rules: [
      [/(pos_embed|cls_token)\.(\d)/, '$1_$2'], // the authors' names
      [/(.+)/, '$1'],
    ],
  };
};
