// @ts-check
/** Hiera: transformers' `hiera`, timm's `hiera_*`. */
/** @type {Record<string, number>} heads of the first stage, which no shape tells, where they are not 1 */
const HEADS = { base_plus: 2, large: 2, huge: 4 };
const BLOCK = /^(hiera\.)?(blocks|encoder\.stages\.\d+\.layers)\.\d+\.(norm1|layernorm_before)\.weight$/;

/**
 * How many blocks each stage has, and how wide they are: a stage begins where the width changes.
 * @param {{ timm: string | null, shape: (name: string) => number[] | undefined, names: string[] }} file
 * @param {[RegExp, string][]} rules gets those of transformers' blocks
 */
function stagesOf({ timm, shape, names }, rules) {
  const [depths, dims] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  const norms = timm ? ['norm1', 'norm2'] : ['layernorm_before', 'layernorm_after'];
  names
    .filter((name) => BLOCK.test(name))
    .map((name) => name.replace(/\w+\.weight$/, ''))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .forEach((block, i) => {
      const dotted = block.replaceAll('.', '\\.');
      const [before, after] = norms.map((norm) => shape(`${block}${norm}.weight`)?.[0] ?? 0);
      if (!timm) {
        norms.forEach((norm, n) => rules.push([RegExp(`${dotted}${norm}(.+)`), `blocks.${i}.norm${n + 1}$1`]));
        rules.push([RegExp(`${dotted}(.+)`), `blocks.${i}.$1`]);
      }
      if (!i || before !== after) (dims.push(after), depths.push(0));
      depths[depths.length - 1]++;
    });
  return { depths, dims };
}

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
  const { depths, dims } = stagesOf({ timm, shape, names }, rules);
  const [, size = '', side = 224] = /^hiera_([a-z_]*?)(?:_abswin)?_(\d+)$/.exec(timm ?? '') ?? [];
  const heads = timm ? [c.num_heads ?? HEADS[size] ?? 1] : (c.num_heads ?? [1, 2, 4, 8]);
  while (heads.length < dims.length) heads.push(Math.trunc(heads.at(-1) * (c.head_mul ?? 2)));
  const [stages, q_pool] = [dims.length, c.q_pool ?? c.num_query_pool ?? 3];
  const flags = (c.mask_unit_attn ?? c.masked_unit_attention ?? [1, 1, 0, 0]).slice(0, stages).map(Boolean);
  const mask_unit_attn = [...flags, false].indexOf(false);
  const unit = c.mask_unit_size ?? c.masked_unit_size ?? [8, 8];
  if (
    !norm ||
    String(c.q_stride ?? c.query_stride ?? [2, 2]) !== '2,2' ||
    unit.some((/** @type {number} */ one) => one !== 2 ** (stages - 1)) ||
    flags.includes(true, mask_unit_attn) ||
    (!timm && mask_unit_attn < stages && mask_unit_attn > q_pool) ||
    (c.hidden_act ?? 'gelu') !== 'gelu' ||
    (c.global_pool ?? 'avg') !== 'avg'
  ) {
    throw new Error(
      'this Hiera differs from the published ones; it takes a norm behind the last layer, strides of 2, ' +
        'mask units of 2^(stages - 1), attention within these in the first stages alone, hidden_act "gelu" and ' +
        'global_pool "avg"',
    );
  }
  const window = shape('pos_embed_win');
  const [, in_chans, ...patch_kernel] = shape(`${patch}.weight`) ?? [];
  const { mlp_ratio, patch_stride, patch_padding, layer_norm_eps } = c;
  return {
    arch: 'hiera',
    config: {
      ...{ depths, in_chans, mlp_ratio, q_pool, mask_unit_attn, patch_kernel, patch_stride, patch_padding },
      image_size: c.img_size ?? c.image_size ?? Number(side),
      num_classes: (shape('head.fc.weight') ?? shape('classifier.weight'))?.[0] ?? 0,
      embed_dims: dims,
      num_heads: heads,
      use_expand_proj: !timm || names.some((name) => /^blocks\.\d+\.proj\./.test(name)),
      layer_scale: names.some((name) => name.endsWith('ls1.gamma')),
      abs_win_pos_embed: Boolean(window),
      global_pos_size: window && shape('pos_embed')?.slice(2),
      norm_eps: layer_norm_eps,
    },
    rules,
  };
};
