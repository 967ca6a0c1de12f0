// @ts-check
/** Swin: transformers' `swin`, timm's `swin_*`; and what Swin V2 has in common with it. */

/** @typedef {[RegExp, string]} Rule */

/**
 * What a part of a block is called in transformers, of version 4 or 5, and in timm.
 * @param {string} from @param {string} to @returns {Rule}
 */
export const part = (from, to) => [
  RegExp(`.*(layers.\\d+.blocks.\\d+).${from}.(weight|bias|.*bias_table|.*scale)`),
  `$1.${to}$2`,
];

/** @type {Rule[]} */
const transformers = [
  part('layernorm_before', 'norm1.'),
  part('layernorm_after', 'norm2.'),
  ...['query', 'key', 'value'].map((name, i) => {
    const [from, to] = part(`attention.(?:self.${name}|${name[0]}_proj)`, 'attn.qkv.');
    return /** @type {Rule} */ ([from, `${to}@${i}`]);
  }),
  part('attention.(?:output.dense|o_proj)', 'attn.proj.'),
  part('attention.(?:self|relative_position_bias)', 'attn.'),
  part('(?:intermediate.dense|mlp.fc1)', 'mlp.fc1.'),
  part('(?:output.dense|mlp.fc2)', 'mlp.fc2.'),
  [/.*patch_embeddings.projection\.(.+)/, 'patch_embed.proj.$1'],
  [/.*embeddings.norm\.(.+)/, 'patch_embed.norm.$1'],
  [/.*(position_embeddings)/, '$1'],
  [/.*layernorm\.(.+)/, 'norm.$1'],
  [/classifier\.(.+)/, 'head.fc.$1'],
];

/** @type {Rule[]} */
const native = [
  [/head\.(?:fc\.)?(weight|bias)/, 'head.fc.$1'],
  [/((?:patch_embed|layers|norm)\..*(?:weight|bias|bias_table|scale))/, '$1'],
];

/** @param {import('./family.js').Checkpoint} file */
export function readSwin({ config, timm, shape, names }) {
  const { hidden_act: act = 'gelu', act_layer: layer = act, global_pool: pool = 'avg', window_size: windows } = config;
  if (layer !== 'gelu' || pool !== 'avg' || config.always_partition)
    throw new Error(
      `a Swin with act_layer "${layer}" and pooling "${pool}" cannot run here; ` +
        'it takes "gelu" and "avg", without always_partition',
    );
  const find = (/** @type {RegExp} */ name) => shape(names.find((n) => name.test(n)) ?? '') ?? [];
  /** @type {number[]} */
  const depths = [];
  for (const name of names) {
    const [, stage, block] = /layers\.(\d+)\.blocks\.(\d+)/.exec(name) ?? [];
    if (block) depths[+stage] = Math.max(depths[+stage] ?? 0, +block + 1);
  }
  const [dim, channels, ...patch] = find(/patch_embed.*proj.*weight$/);
  // a stage's last part in transformers, and in old files of timm, is the first part of our next
  const late = +(!timm || names.includes('layers.0.downsample.norm.weight'));
  return {
    /** Shapes of a tensor in the first block of each stage. @param {string} end */
    first: (end) => depths.map((_, i) => find(RegExp(`layers.${i}.blocks.0..*${end}$`))),
    // timm takes two numbers for the sides of all windows
    windows: windows?.length === 2 && !windows[0].length ? depths.map(() => windows) : windows,
    rules: [
      ...depths.map(
        (_, i) => /** @type {Rule} */ ([RegExp(`.*layers.${i}.downsample.(.+)`), `layers.${i + late}.downsample.$1`]),
      ),
      ...(timm ? native : transformers),
    ],
    config: {
      image_size: config.image_size ?? config.img_size ?? +(/\d+$/.exec(timm ?? '') ?? 224),
      patch_size: patch,
      in_chans: channels,
      num_classes: find(/^(classifier|head)\..*weight$/)[0] ?? 0,
      embed_dim: dim,
      depths,
      mlp_ratio: config.mlp_ratio ?? 4,
      qkv_bias: names.some((name) => /(qkv\.|query\.|q_proj\.|q_)bias$/.test(name)),
      layer_norm_eps: config.layer_norm_eps ?? 1e-5,
      rules: timm ? 'timm' : 'transformers',
    },
  };
}

/** @type {import('./family.js').Read} */
export const read = (file) => {
  const { first, windows, config, rules } = readSwin(file);
  const tables = first('bias_table');
  const sides = tables.map(([positions]) => (Math.sqrt(positions) + 1) / 2);
  const timm = file.timm ?? '';
  const side = timm.includes('s3_small') ? 14 : 7;
  // where a picture is smaller than its windows, and no square, no table tells what they were to be
  const named = timm.includes('_s3_') ? [side, side, 14, 7] : +(/window(\d+)/.exec(timm)?.[1] ?? 7);
  return {
    arch: 'swin',
    config: {
      ...config,
      num_heads: tables.map(([, heads]) => heads),
      window_size: windows ?? (timm && sides.every(Number.isInteger) ? sides : named),
      use_absolute_embeddings: file.names.some((name) => name.endsWith('position_embeddings')),
    },
    rules,
  };
};
