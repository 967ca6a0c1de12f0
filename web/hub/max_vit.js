// @ts-check
/** MaxViT: timm's `maxvit_*_tf_*`, the authors' weights. */
/** What shapes tell, what is read, and what counts in training alone; of all else the published settings are meant. */
const READ =
  /^(img_size|in_chans|num_classes|embed_dim|depths|stem_width|head_hidden_size|\w*drop\w*|transformer_(dim_head|window_size)|block_type=[M,]+$|global_pool=avg$|\w*act_layer=gelu_tanh$|weight_init)/;

/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape, names }) => {
  if (!/^maxvit_[a-z]+_tf_\d+$/.test(String(timm)))
    throw new Error(`${timm} is another network than MaxViT as published; timm's maxvit_*_tf_* are supported`);
  const option = Object.entries(config)
    .map(([key, value]) => `${key}=${value}`)
    .find((text) => !READ.test(text));
  if (option) throw new Error(`${timm} with "${option}" is none that this version runs`);
  /** How many indices follow in names. @param {RegExp} before */
  const count = (before) => 1 + Math.max(-1, ...names.map((name) => Number(before.exec(name)?.[1] ?? -1)));
  const stages = [...Array(count(/^stages\.(\d+)\./)).keys()];
  const dims = stages.map((s) => shape(`stages.${s}.blocks.0.conv.conv3_1x1.weight`)?.[0] ?? 0);
  const [heads, ...table] = shape('stages.0.blocks.0.attn_grid.attn.rel_pos.relative_position_bias_table') ?? [];
  const window = table.map((side) => (side + 1) / 2);
  return {
    arch: 'timm_max_vit',
    config: {
      image_size: config.img_size ?? window.map((side) => 32 * side),
      in_chans: shape('stem.conv1.weight')?.[1],
      num_classes: shape('head.fc.weight')?.[0] ?? 0,
      embed_dim: dims,
      depths: stages.map((s) => count(RegExp(`^stages\\.${s}\\.blocks\\.(\\d+)\\.`))),
      stem_width: [1, 2].map((i) => shape(`stem.conv${i}.weight`)?.[0]),
      window_size: window,
      dim_head: dims[0] / heads,
      head_hidden_size: shape('head.pre_logits.fc.weight')?.[0],
    },
    rules: [[/(.+)/, '$1']],
  };
};
