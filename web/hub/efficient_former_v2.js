// @ts-check
/** EfficientFormerV2: timm's `efficientformerv2_*`. */
/** @type {import('./family.js').Read} */
export const read = ({ config, shape, names }) => {
  const { act_layer: act = 'gelu', global_pool: pool = 'avg', norm_eps: eps = 1e-5 } = config;
  if (act !== 'gelu' || pool !== 'avg' || eps !== 1e-5)
    throw new Error('EfficientFormerV2 runs with act_layer "gelu", global_pool "avg" and norm_eps 1e-5 alone');
  /** How many indices follow in names. @param {RegExp} before */
  const count = (before) => 1 + Math.max(-1, ...names.map((name) => Number(before.exec(name)?.[1] ?? -1)));
  const stages = [...Array(count(/^stages\.(\d+)\./)).keys()];
  const depths = stages.map((s) => count(RegExp(`^stages\\.${s}\\.blocks\\.(\\d+)\\.`)));
  const mixers = names.filter((name) => name.endsWith('token_mixer.q.conv.weight'));
  return {
    arch: 'efficient_former_v2',
    config: {
      image_size: config.img_size ?? 224,
      in_chans: shape('stem.conv1.conv.weight')?.[1],
      num_classes: shape('head.weight')?.[0] ?? 0,
      embed_dims: stages.map(
        (s) => shape(s ? `stages.${s}.downsample.conv.conv.weight` : 'stem.conv2.conv.weight')?.[0],
      ),
      depths,
      num_vit: Math.max(0, ...stages.map((s) => mixers.filter((name) => name.startsWith(`stages.${s}.`)).length)),
      mlp_dims: depths.map((depth, s) =>
        // a stage without blocks has a list of one number all the same
        [...Array(depth || 1).keys()].map((i) => shape(`stages.${s}.blocks.${i}.mlp.fc1.conv.weight`)?.[0] ?? 1),
      ),
      layer_scale: names.some((name) => name.endsWith('ls2.gamma')),
      distillation: Boolean(shape('head_dist.weight')),
    },
    rules: [[/(.+)/, '$1']],
  };
};
