// @ts-check
/** MobileViT as Apple published it: transformers' `mobilevit`, timm's `mobilevit_*`. */

const LAYER = String.raw`(?:mobilevit\w*\.)?encoder\.layer\.(\d+)\.`;
/** @type {(from: string, to: string) => [RegExp, string]} */
const rule = (from, to) => [RegExp(from), to];

/**
 * The rules of transformers' layers of a transformer: `parts` has pairs of their name and timm's.
 * @param {string[][]} parts
 */
export const layers = (parts) =>
  parts.map(([from, to]) =>
    rule(
      `${LAYER}transformer\\.layer\\.(\\d+)\\.${from}\\.(\\w+)`,
      `stages.$1.1.transformer.$2.${to.replace(/(@|$)/, '.$$3$1')}`,
    ),
  );

/** The rules of what both versions of MobileViT have outside of their transformers. */
const OUTSIDE = [
  ...[
    ['convolution', 'conv'],
    ['normalization', 'bn'],
  ].flatMap(([a, b]) => [
    rule(String.raw`(?:mobilevit\w*\.)?conv_stem\.${a}\.(\w+)`, `stem.${b}.$1`),
    rule(String.raw`(?:mobilevit\w*\.)?conv_1x1_exp\.${a}\.(\w+)`, `final_conv.${b}.$1`),
    ...[
      ['expand_1x1', 'conv1_1x1'],
      ['conv_3x3', 'conv2_kxk'],
      ['reduce_1x1', 'conv3_1x1'],
    ].flatMap(([c, d]) => [
      rule(`${LAYER}layer\\.(\\d+)\\.${c}\\.${a}\\.(\\w+)`, `stages.$1.$2.${d}.${b}.$3`),
      rule(`${LAYER}downsampling_layer\\.${c}\\.${a}\\.(\\w+)`, `stages.$1.0.${d}.${b}.$2`),
    ]),
    ...[
      ['conv_kxk', 'conv_kxk'],
      ['conv_projection', 'conv_proj'],
      ['fusion', 'conv_fusion'],
    ].map(([c, d]) => rule(`${LAYER}${c}\\.${a}\\.(\\w+)`, `stages.$1.1.${d}.${b}.$2`)),
  ]),
  rule(`${LAYER}conv_1x1\\.convolution\\.(\\w+)`, 'stages.$1.1.conv_1x1.$2'),
  rule(`${LAYER}layernorm\\.(\\w+)`, 'stages.$1.1.norm.$2'),
  rule(String.raw`classifier\.(\w+)`, 'head.fc.$1'),
  rule(String.raw`(?:stem|stages|final_conv|head)\..+`, '$&'),
];

// What timm's own arguments may be; others change the network in ways that no tensor's shape tells.
const KNOWN =
  /^(num_classes|in_chans|img_size|output_stride|act_layer|global_pool|drop\w*|zero_init_last|num_features|stem_chs|width_factor)$/;

/**
 * The rules, and the part of the config that both versions have.
 * @param {Parameters<import('./family.js').Family['read']>[0]} given @param {[RegExp, string][]} inside
 */
export function mobile({ config, timm, shape, names }, inside) {
  const act = config.hidden_act ?? config.act_layer ?? 'silu';
  const stride = config.output_stride ?? 32;
  const pool = config.global_pool ?? 'avg';
  const unknown = timm && Object.keys(config).find((key) => !KNOWN.test(key));
  const refused = names.some((name) => name.startsWith('segmentation_head.'))
    ? 'a head for segmentation is'
    : stride !== 32
      ? `output_stride ${stride} is`
      : !/^(silu|swish)$/.test(act)
        ? `activation ${act} is`
        : pool !== 'avg'
          ? `global_pool "${pool}" is`
          : unknown && `timm's argument ${unknown} is`;
  if (refused)
    throw new Error(`MobileViT: ${refused} not supported; take a checkpoint for classification, as published`);

  const rules = [...inside, ...OUTSIDE];
  /** @type {Map<string, number[]>} */
  const shapes = new Map();
  for (const name of names)
    for (const [from, to] of rules) {
      const ours = name.replace(RegExp(`^${from.source}$`), to);
      if (ours !== name || to === '$&') {
        shapes.set(ours, shape(name) ?? []);
        break;
      }
    }
  const at = (/** @type {string} */ name) => shapes.get(`${name}.weight`) ?? [];
  const count = (/** @type {(i: number) => string} */ name) => {
    let i = 0;
    while (at(name(i)).length) i++;
    return i;
  };

  const [stem, channels] = at('stem.conv');
  const [widths, dims, depths, residuals] = [[stem], [], [], []];
  let kernel;
  for (let s = 0; at(`stages.${s}.0.conv3_1x1.conv`).length; s++) {
    widths.push(at(`stages.${s}.0.conv3_1x1.conv`)[0]);
    const [dim] = at(`stages.${s}.1.conv_1x1`);
    if (dim) {
      dims.push(dim);
      depths.push(count((i) => `stages.${s}.1.transformer.${i}.norm1`));
      kernel = at(`stages.${s}.1.conv_kxk.conv`)[2];
    } else residuals.push(count((i) => `stages.${s}.${i}.conv1_1x1.conv`));
  }
  const [last] = at('final_conv.conv');
  if (last) widths.push(last);
  const [wide, narrow] = at('stages.0.0.conv1_1x1.conv');
  return {
    rules,
    config: {
      image_size: config.image_size,
      in_chans: channels,
      num_classes: at('head.fc')[0] ?? 0,
      residuals,
      neck_hidden_sizes: widths,
      hidden_sizes: dims,
      depths,
      expand_ratio: config.expand_ratio ?? (timm ? wide / narrow : undefined),
      conv_kernel_size: kernel,
      patch_size: config.patch_size,
      layer_norm_eps: config.layer_norm_eps,
    },
  };
}

/** @type {import('./family.js').Family} */
export const mobilevit = {
  types: ['mobilevit'],
  timm: /^mobilevit_/,
  read(given) {
    const { num_attention_heads, mlp_ratio, qkv_bias } = given.config;
    const { rules, config } = mobile(
      given,
      layers([
        [String.raw`attention\.attention\.query`, 'attn.qkv@0'],
        [String.raw`attention\.attention\.key`, 'attn.qkv@1'],
        [String.raw`attention\.attention\.value`, 'attn.qkv@2'],
        [String.raw`attention\.output\.dense`, 'attn.proj'],
        [String.raw`intermediate\.dense`, 'mlp.fc1'],
        [String.raw`output\.dense`, 'mlp.fc2'],
        ['layernorm_before', 'norm1'],
        ['layernorm_after', 'norm2'],
      ]),
    );
    return {
      arch: 'timm_mobile_vit',
      config: { ...config, num_heads: num_attention_heads, mlp_ratio, qkv_bias },
      rules,
    };
  },
};
