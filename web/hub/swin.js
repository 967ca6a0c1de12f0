// @ts-check
/** Swin: transformers' `swin`, timm's `swin_*`; and what Swin V2 has in common with it. */

/**
 * What a part of a block is called in transformers, of version 4 or 5, and in timm.
 * @param {string} from @param {string} to @returns {[RegExp, string]}
 */
export const part = (from, to) => [
  RegExp(`.*(layers.\\d+.blocks.\\d+).${from}(weight|bias|.*bias_table|.*scale)`),
  `$1.${to}`,
];

/** @type {[RegExp, string][]} */
const transformers = [
  part('layernorm_before.', 'norm1.$2'),
  part('layernorm_after.', 'norm2.$2'),
  part('attention.(?:self.query|q_proj).', 'attn.qkv.$2@0'),
  part('attention.(?:self.key|k_proj).', 'attn.qkv.$2@1'),
  part('attention.(?:self.value|v_proj).', 'attn.qkv.$2@2'),
  part('attention.(?:output.dense|o_proj).', 'attn.proj.$2'),
  part('attention.(?:self|relative_position_bias).', 'attn.$2'),
  part('(?:intermediate.dense|mlp.fc1).', 'mlp.fc1.$2'),
  part('(?:output.dense|mlp.fc2).', 'mlp.fc2.$2'),
  [/.*patch_embeddings\.projection\.(.+)/, 'patch_embed.proj.$1'],
  [/.*embeddings\.norm\.(.+)/, 'patch_embed.norm.$1'],
  [/.*(position_embeddings)/, '$1'],
  [/.*layernorm\.(.+)/, 'norm.$1'],
  [/classifier\.(.+)/, 'head.fc.$1'],
];

/**
 * @param {import('./family.js').Checkpoint} file
 */
export function readSwin({ config, timm, shape, names }) {
  if (
    (config.hidden_act ?? config.act_layer ?? 'gelu') !== 'gelu' ||
    (config.global_pool ?? 'avg') !== 'avg' ||
    config.always_partition
  )
    throw new Error('this Swin has another activation, pooling or partition than those published: it cannot run here');
  const find = (/** @type {RegExp} */ name) => shape(names.find((n) => name.test(n)) ?? '') ?? [];
  /** @type {number[]} */
  const depths = [];
  for (const name of names) {
    const [, stage, block] = /layers\.(\d+)\.blocks\.(\d+)/.exec(name) ?? [];
    if (block) depths[+stage] = Math.max(depths[+stage] ?? 0, +block + 1);
  }
  /** Shapes of a tensor in the first block of each stage. @param {string} end */
  const first = (end) => depths.map((_, i) => find(RegExp(`layers\\.${i}\\.blocks\\.0\\..*${end}$`)));
  const [dim, channels, ...patch] = find(/patch_embed.*proj.*weight$/);
  const windows = config.window_size;
  /** @type {[RegExp, string][]} */
  const rules = timm
    ? [
        [/head\.(?:fc\.)?(weight|bias)/, 'head.fc.$1'],
        [/((?:patch_embed|layers|norm)\..*(?:weight|bias|bias_table|scale))/, '$1'],
      ]
    : transformers;
  // a stage's last part in transformers, and in old files of timm, is the first part of our next
  const late = !timm || names.includes('layers.0.downsample.reduction.weight');
  return {
    first,
    // timm takes two numbers for one window's sides
    windows: windows?.length === 2 && !windows[0].length ? depths.map(() => windows) : windows,
    rules: [
      ...depths.flatMap((_, i) =>
        late
          ? [
              /** @type {[RegExp, string]} */ ([
                RegExp(`.*layers.${i}.downsample.(.+)`),
                `layers.${i + 1}.downsample.$1`,
              ]),
            ]
          : [],
      ),
      ...rules,
    ],
    config: {
      image_size: config.image_size ?? config.img_size ?? +(/\d+$/.exec(timm ?? '')?.[0] ?? 224),
      patch_size: patch,
      in_chans: channels,
      num_classes: find(/^(classifier|head)\..*weight$/)[0] ?? 0,
      embed_dim: dim,
      depths,
      mlp_ratio: config.mlp_ratio ?? first('(fc1|intermediate.dense).weight')[0][0] / dim,
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
  return {
    arch: 'swin',
    config: {
      ...config,
      num_heads: tables.map(([, heads]) => heads),
      window_size: windows ?? (file.timm && sides.every(Number.isInteger) ? sides : 7),
      use_absolute_embeddings: file.names.some((name) => name.endsWith('position_embeddings')),
    },
    rules,
  };
};
