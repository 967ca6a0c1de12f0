// @ts-check
/** Hiera: transformers' `hiera`, timm's `hiera_*`. */
/** @type {Record<string, number>} heads of the first stage, which no shape tells, where they are not 1 */
const HEADS = { base_plus: 2, large: 2, huge: 4 };

/** @type {import('./family.js').Read} */
export const read = ({ config: c, timm, shape, names }) => {
  const base = names.some((name) => name.startsWith('hiera.')) ? 'hiera.' : '';
  const norm = ['head.norm', `${base}pooler.layernorm`, 'encoder_norm'].find((name) => shape(`${name}.weight`));
  const patch = timm ? 'patch_embed.proj' : `${base}embeddings.patch_embeddings.projection`;
  /** @type {[RegExp, string][]} */
  const rules = timm
    ? [[/(.+)/, '$1']]
    : [
        [RegExp(`${patch}(.+)`), 'patch_embed.proj$1'],
        [RegExp(`${base}embeddings.position_embeddings`), 'pos_embed'],
        [RegExp(`${norm}(.+)`), 'head.norm$1'],
        [/classifier(.+)/, 'head.fc$1'],
      ];
  const [depths, dims] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  names
    .filter((name) =>
      /^(hiera\.)?(blocks|encoder\.stages\.\d+\.layers)\.\d+\.(norm1|layernorm_before)\.weight$/.test(name),
    )
    .map((name) => name.replace(/\w+\.weight$/, ''))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .forEach((block, i) => {
      const dotted = block.replaceAll('.', '\\.');
      const [before, after] = (timm ? ['norm1', 'norm2'] : ['layernorm_before', 'layernorm_after']).map((half, n) => {
        if (!timm) rules.push([RegExp(`${dotted}${half}(.+)`), `blocks.${i}.norm${n + 1}$1`]);
        return shape(`${block}${half}.weight`)?.[0] ?? 0;
      });
      if (!timm) rules.push([RegExp(`${dotted}(.+)`), `blocks.${i}.$1`]);
      if (!i || before !== after) (dims.push(after), depths.push(0));
      depths[depths.length - 1]++;
    });
  const [, size = '', side = 224] = /^hiera_([a-z_]*?)(?:_abswin)?_(\d+)$/.exec(timm ?? '') ?? [];
  const heads = timm ? [c.num_heads ?? HEADS[size] ?? 1] : (c.num_heads ?? [1, 2, 4, 8]);
  while (heads.length < dims.length) heads.push(Math.trunc(heads.at(-1) * (c.head_mul ?? 2)));
  const [stages, q_pool] = [dims.length, c.q_pool ?? c.num_query_pool ?? 3];
  const flags = (c.mask_unit_attn ?? c.masked_unit_attention ?? [1, 1, 0, 0]).slice(0, stages).map(Boolean);
  const units = [...flags, false].indexOf(false);
  if (
    !norm ||
    String(c.q_stride ?? c.query_stride ?? [2, 2]) !== '2,2' ||
    (c.mask_unit_size ?? c.masked_unit_size ?? [8, 8]).some((/** @type {number} */ one) => one !== 2 ** (stages - 1)) ||
    flags.includes(true, units) ||
    (!timm && units < stages && units > q_pool) ||
    (c.hidden_act ?? 'gelu') !== 'gelu'
  ) {
    throw new Error(
      'this Hiera differs from the published ones; it takes a norm behind the last layer, strides of 2, mask units of ' +
        '2^(stages - 1), attention within these in the first stages alone, and hidden_act "gelu"',
    );
  }
  const window = shape('pos_embed_win');
  const [, channels, ...kernel] = shape(`${patch}.weight`) ?? [];
  return {
    arch: 'hiera',
    config: {
      image_size: c.img_size ?? c.image_size ?? Number(side),
      in_chans: channels,
      num_classes: (shape('head.fc.weight') ?? shape('classifier.weight'))?.[0] ?? 0,
      depths,
      embed_dims: dims,
      num_heads: heads,
      mlp_ratio: c.mlp_ratio,
      q_pool,
      mask_unit_attn: units,
      patch_kernel: kernel,
      patch_stride: c.patch_stride,
      patch_padding: c.patch_padding,
      use_expand_proj: !timm || names.some((name) => /^blocks\.\d+\.proj\./.test(name)),
      layer_scale: names.some((name) => name.endsWith('ls1.gamma')),
      abs_win_pos_embed: Boolean(window),
      global_pos_size: window && shape('pos_embed')?.slice(2),
      norm_eps: c.layer_norm_eps,
    },
    rules,
  };
};
