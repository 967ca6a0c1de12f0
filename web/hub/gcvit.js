// @ts-check
/** GC ViT: timm's `gcvit_*`. Tensors have timm's names; windows are a share of the picture, which no shape tells. */
/** @type {import('./family.js').Read} */
export const read = ({ config, timm, pretrained, shape, names }) => {
  const { img_size: size = pretrained.input_size?.slice(1) ?? 224, mlp_ratio: ratio, ...args } = config;
  const strange = Object.keys(args).find((key) => /^act_|^norm_/.test(key));
  if (strange) throw new Error(`${timm} with "${strange}" of its own is none that this version runs`);
  /** How many indices follow in names. @param {RegExp} before */
  const count = (before) => 1 + Math.max(-1, ...names.map((name) => Number(before.exec(name)?.[1] ?? -1)));
  const stages = [...Array(count(/^stages\.(\d+)\./)).keys()];
  const [dim, channels] = shape('stem.conv1.weight') ?? [0];
  const [hidden] = shape('stages.0.blocks.0.mlp.fc1.weight') ?? [0];
  return {
    arch: 'gcvit',
    config: {
      ...args,
      img_size: size,
      in_chans: channels,
      num_classes: shape('head.fc.weight')?.[0] ?? 0,
      embed_dim: dim,
      depths: stages.map((s) => count(RegExp(`^stages\\.${s}\\.blocks\\.(\\d+)\\.`))),
      num_heads: stages.map((s) => shape(`stages.${s}.blocks.0.attn.rel_pos.relative_position_bias_table`)?.[1]),
      mlp_ratio: ratio ?? hidden / dim,
      qkv_bias: names.includes('stages.0.blocks.0.attn.qkv.bias'),
      ...(names.includes('stages.0.blocks.0.ls1.gamma') && { layer_scale: 1 }),
    },
    rules: [[/(.+)/, '$1']],
  };
};
