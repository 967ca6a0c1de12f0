// @ts-check
/** LeViT: transformers' `levit`, timm's `levit_*`. */

/**
 * timm's name of a tensor that has transformers' name.
 * @param {string} name @param {number[]} depths
 */
const renamed = (name, depths) =>
  name
    .replace(/^levit\./, '')
    .replace('batch_norm', 'bn')
    .replace(/^patch_embeddings\.embedding_layer_(\d)(?:\.(convolution))?/, (_, i, conv) =>
      conv ? `stem.conv${i}.linear` : `stem.conv${i}`,
    )
    .replace(/^encoder\.stages\.(\d+)\.layers\.(\d+)/, (_, s, l) =>
      l < 2 * depths[s] ? `stages.${s}.blocks.${l >> 1}` : `stages.${+s + 1}.downsample`,
    )
    .replace(/\.module\.linear_(up|down)/, (_, way) => `.mlp.ln${way === 'up' ? 1 : 2}`)
    .replace('.module.', '.attn.')
    .replace(/downsample\.([^m])/, 'downsample.attn_downsample.$1')
    .replace('.queries_keys_values', '.qkv')
    .replace('.keys_values', '.kv')
    .replace('.queries', '.q.ln')
    .replace('.projection', '.proj.ln')
    .replace(/^classifier(_dist)?(?:ill)?/, 'head$1');

/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape, names }) => {
  const { kernel_size = 3, stride = 2, padding = 1 } = config;
  if (kernel_size !== 3 || stride !== 2 || padding !== 1)
    throw new Error('this LeViT has other convolutions in front than 3x3 with stride 2; no published one has');
  const ours = (/** @type {string} */ name) => (timm ? name : renamed(name, config.depths ?? [4, 4, 4]));
  /** @type {Record<string, number[]>} */
  const at = Object.fromEntries(names.map((name) => [ours(name), shape(name) ?? []]));
  /**
   * Heads, and per head the width of keys and of values over it. @param {string} name @param {string} q @param
   * {number} keys
   */
  const heads = (name, q, keys) => {
    const [n] = at[`${name}.attention_biases`];
    const values = at[`${name}.proj.ln.linear.weight`][1];
    const key = (at[`${name}.${q}.linear.weight`][0] - (keys - 1) * values) / keys;
    return [n, key / n, values / key];
  };
  const widen = (/** @type {string} */ name) => {
    const [hidden, dim] = at[`${name}.mlp.ln1.linear.weight`];
    return hidden / dim;
  };
  /** @type {Record<string, any[]>} */
  const stages = {
    embed_dim: [],
    depths: [],
    num_heads: [],
    key_dim: [],
    attn_ratio: [],
    mlp_ratio: [],
    down_ops: [],
  };
  for (let s = 0; at[`stages.${s}.blocks.0.attn.attention_biases`]; s++) {
    const block = `stages.${s}.blocks.`;
    const way = `stages.${s}.downsample`;
    const [n, key, ratio] = heads(`${block}0.attn`, 'qkv', 2);
    stages.embed_dim.push(at[`${block}0.attn.proj.ln.linear.weight`][0]);
    stages.depths.push(
      Object.keys(at).filter((name) => name.startsWith(block) && /\.attention_biases$/.test(name)).length,
    );
    stages.num_heads.push(n);
    stages.key_dim.push(key);
    stages.attn_ratio.push(ratio);
    stages.mlp_ratio.push(widen(`${block}0`));
    if (s) {
      const [m, width, wider] = heads(`${way}.attn_downsample`, 'q.ln', 1);
      stages.down_ops.push([width, m, wider, widen(way)]);
    }
  }
  const act_layer = config.act_layer ?? (/_s8$|_512|256d/.test(timm ?? '') ? 'silu' : 'hard_swish');
  return {
    arch: 'timm_levit',
    config: {
      ...stages,
      image_size: config.img_size ?? config.image_size ?? 224,
      in_chans: at['stem.conv1.linear.weight'][1],
      num_classes: at['head.linear.weight']?.[0] ?? 0,
      stem_type: at['stem.conv4.linear.weight'] ? 's16' : 's8',
      act_layer,
      attn_act_layer: config.attn_act_layer ?? act_layer,
      use_conv: at['stages.0.blocks.0.attn.qkv.linear.weight'].length > 2,
      distilled: 'head_dist.linear.weight' in at,
      global_pool: config.global_pool,
    },
    rules: names.map((name) => [new RegExp(name), ours(name)]),
  };
};
