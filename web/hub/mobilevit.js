// @ts-check
/** MobileViT as Apple published it: transformers' `mobilevit`, timm's `mobilevit_*`. */

/**
 * Rules from rows of transformers' name and timm's, both without the last word. L is a layer or a stage, T a layer of
 * the transformer in it, # a number. `from` and `to` are added to every row.
 * @param {string} rows @param {string} [from] @param {string} [to]
 */
export const rulesOf = (rows, from = '', to = '') =>
  rows.split(', ').map((row) => {
    const [theirs, ours] = row.split(' ');
    const name = theirs.replace('T', 'Ltransformer.layer.#.').replace('L', 'encoder.layer.#.').replace(/#/g, '(\\d+)');
    const put = ours.replace('T', () => 'L1.transformer.$2.').replace('L', () => 'stages.$1.');
    /** @type {[RegExp, string]} */
    const rule = [
      RegExp(`(?:mobilevit\\w*.)?${name}${from}.(?<word>\\w+)`),
      put.replace(/@.|$/, (part) => `${to}.$<word>${part}`),
    ];
    return rule;
  });

const CONVOLUTIONS =
  'conv_stem stem, conv_1x1_exp final_conv, Llayer.#.expand_1x1 L$2.conv1_1x1, Llayer.#.conv_3x3 L$2.conv2_kxk, ' +
  'Llayer.#.reduce_1x1 L$2.conv3_1x1, Ldownsampling_layer.expand_1x1 L0.conv1_1x1, ' +
  'Ldownsampling_layer.conv_3x3 L0.conv2_kxk, Ldownsampling_layer.reduce_1x1 L0.conv3_1x1, Lconv_kxk L1.conv_kxk, ' +
  'Lconv_projection L1.conv_proj, Lfusion L1.conv_fusion';

/** @type {[RegExp, string]} */
const TIMMS = [/(stem|stages|final_conv|head)\..+/, '$&'];
/** What both versions have, and norms in the transformer, whatever kind they are. */
const RULES = [
  TIMMS,
  ...rulesOf(CONVOLUTIONS, '.convolution', '.conv'),
  ...rulesOf(CONVOLUTIONS, '.normalization', '.bn'),
  ...rulesOf(
    'Lconv_1x1.convolution L1.conv_1x1, Llayernorm L1.norm, Tlayernorm_before Tnorm1, Tlayernorm_after Tnorm2, ' +
      'classifier head.fc',
  ),
];

// Settings that no tensor's shape tells and that the core lacks: of transformers, and all that timm has besides these.
const LACKED = /^(hidden_act=(?!silu$|swish$)|output_stride=(?!32$))/;
const TIMM_LACKED =
  /^(?!act_layer=(silu|swish)$|output_stride=32$|global_pool=avg$|(num|drop)_|in_chans|img_size|stem_chs|width_factor)/;

/**
 * The rules, and the part of the config that both versions have.
 * @param {import('./family.js').Checkpoint} given @param {[RegExp, string][]} inside
 */
export function mobile({ config, timm, shape, names }, inside) {
  const wrong =
    names.find((name) => /^segmentation_head/.test(name)) ??
    Object.entries(config)
      .map(([key, value]) => `${key}=${value}`)
      .find((setting) => (timm ? TIMM_LACKED : LACKED).test(setting));
  if (wrong)
    throw new Error(`MobileViT with ${wrong} does not run here; take a checkpoint that classifies, as published`);

  const rules = [...RULES, ...inside];
  /** @type {Record<string, number[] | undefined>} */
  const shapes = {};
  for (const name of names)
    for (const [from, to] of rules)
      if (RegExp(`^${from.source}$`).test(name)) shapes[name.replace(from, to)] = shape(name);
  /** @type {(name: string) => number[]} */
  const at = (name) => shapes[`${name}.weight`] ?? [];
  const [stem, in_chans] = at('stem.conv');
  const [wide, narrow] = at('stages.0.0.conv1_1x1.conv');
  return {
    rules,
    config: {
      in_chans,
      image_size: config.image_size,
      num_classes: at('head.fc')[0] ?? 0,
      neck_hidden_sizes: [
        stem,
        ...[0, 1, 2, 3, 4].map((s) => at(`stages.${s}.0.conv3_1x1.conv`)[0]),
        ...at('final_conv.conv').slice(0, 1),
      ],
      hidden_sizes: [2, 3, 4].map((s) => at(`stages.${s}.1.conv_1x1`)[0]),
      depths: config.n_attn_blocks,
      expand_ratio: timm ? wide / narrow : config.expand_ratio,
      conv_kernel_size: at('stages.2.1.conv_kxk.conv')[2],
      patch_size: config.patch_size,
      layer_norm_eps: config.layer_norm_eps,
    },
  };
}

/** @type {import('./family.js').Read} */
export const read = (given) => {
  const { num_attention_heads: num_heads, mlp_ratio, qkv_bias } = given.config;
  const { rules, config } = mobile(
    given,
    rulesOf(
      'Tattention.attention.query Tattn.qkv@0, Tattention.attention.key Tattn.qkv@1, ' +
        'Tattention.attention.value Tattn.qkv@2, Tattention.output.dense Tattn.proj, ' +
        'Tintermediate.dense Tmlp.fc1, Toutput.dense Tmlp.fc2',
    ),
  );
  return { arch: 'timm_mobile_vit', config: { ...config, num_heads, mlp_ratio, qkv_bias }, rules, anySize: true };
};
