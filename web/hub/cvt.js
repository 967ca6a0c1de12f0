// @ts-check
/** CvT: transformers' `cvt`. */
const KEYS = [
  ...['num_channels', 'embed_dim', 'num_heads', 'depth', 'mlp_ratio', 'patch_sizes', 'patch_stride', 'patch_padding'],
  ...['kernel_qkv', 'stride_kv', 'padding_kv'],
];

/** @type {import('./family.js').Read} */
export const read = ({ config, shape, names }) => {
  const tokens = [config.cls_token ?? [false, false, true]].flat();
  if (tokens.slice(0, -1).some(Boolean))
    throw new Error('a CvT with class tokens before its last stage is not supported; cls_token may be true at its end');
  return {
    arch: 'hf_cvt',
    anySize: true,
    config: {
      ...Object.fromEntries(KEYS.filter((key) => key in config).map((key) => [key, config[key]])),
      cls_token: Boolean(tokens.at(-1)),
      qkv_bias: names.some((name) => name.endsWith('projection_query.bias')),
      norm: Boolean(shape('layernorm.weight')),
      num_classes: shape('classifier.weight')?.[0] ?? 0,
    },
    rules: [
      [/(?:cvt\.)?(encoder\..+)/, 'cvt.$1'],
      [/((?:layernorm|classifier)\..+)/, '$1'],
    ],
  };
};
