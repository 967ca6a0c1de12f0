// @ts-check
/** TinyViT: timm's `tiny_vit_*`. Shapes tell all but the activation and the picture's size. */
/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape }) => {
  const dim = (/** @type {string} */ name, at = 0) => shape(name)?.[at] ?? 0;
  const count = (/** @type {(i: number) => string} */ name, n = 0) => {
    while (shape(name(n))) n++;
    return n;
  };
  const wide = (/** @type {number} */ s) => `stages.${s}.downsample.conv1.conv.weight`;
  const stages = Array.from({ length: 1 + count((s) => wide(s + 1)) }, (_, s) => s);
  const first = 'patch_embed.conv1.conv.weight';
  const biases = stages.map((s) => `stages.${s}.blocks.0.attn.attention_biases`);
  if (!shape(first) || config.act_layer || (config.global_pool ?? 'avg') !== 'avg')
    throw new Error(
      `${timm} is supported without act_layer, with global_pool "avg", saved before its layers are fused`,
    );
  return {
    arch: 'tiny_vit',
    config: {
      image_size: +(/_(\d+)$/.exec(String(timm))?.[1] ?? 224),
      in_chans: dim(first, 1),
      num_classes: dim('head.fc.weight'),
      embed_dims: stages.map((s) => (s ? dim(wide(s)) : 2 * dim(first))),
      depths: stages.map((s) => count((i) => `stages.${s}.blocks.${i}.${s ? 'attn.qkv' : 'conv1.conv'}.weight`)),
      num_heads: biases.map((name) => dim(name) || 1),
      window_sizes: biases.map((name) => Math.sqrt(dim(name, 1)) || 1),
      mlp_ratio: config.mlp_ratio ?? 4,
      mbconv_expand_ratio: config.mbconv_expand_ratio ?? 4,
      local_conv_size: dim('stages.1.blocks.0.local_conv.conv.weight', 2) || 3,
    },
    rules: [[/(.*(?:weight|bias|biases|mean|var))/, '$1']],
  };
};
