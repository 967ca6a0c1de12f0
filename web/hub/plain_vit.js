// @ts-check
/**
 * Plain ViTs: transformers' ViT, DeiT, DINOv2 and v3, BEiT, CLIP, SigLIP and MAE's encoder; timm's vit_*, deit*,
 * eva*, beit*.
 */

/** @typedef {import('./family.js').Checkpoint} Checkpoint */
/** @typedef {import('./family.js').Rules} Rules */
/** @typedef {ReturnType<typeof look>} Seen */

/** @type {Record<string, string>} */
const ACTIVATIONS = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  quick_gelu: 'quick_gelu',
};
for (const name of ['gelu_new', 'gelu_pytorch_tanh', 'gelu_fast', 'gelu_accurate', 'gelu_tanh'])
  ACTIVATIONS[name] = 'gelu_tanh';

/** What stands in front of transformers' names: vit., vision_model., clip.vision_model. */
const FRONT = '(?:(?!decoder|text)\\w+\\.){0,2}';

/** A layer's names. @param {string} layer theirs @param {string} to ours @param {boolean} [gated] @returns {Rules} */
function layerRules(layer, to, gated) {
  const attention = `${layer}(?:attention.attention|attention|self_attn).`;
  return [
    [`${layer}(?:layernorm_before|norm1|layer_norm1).*`, `${to}.norm1.$2`],
    [`${layer}(?:layernorm_after|norm2|layer_norm2).*`, `${to}.norm2.$2`],
    [`${attention}(?:query|q_proj).*`, `${to}.attn.qkv.$2@0`],
    [`${attention}(?:key|k_proj).*`, `${to}.attn.qkv.$2@1`],
    [`${attention}(?:value|v_proj).*`, `${to}.attn.qkv.$2@2`],
    [`${layer}(?:attention.output.dense|attention.o_proj|self_attn.out_proj).*`, `${to}.attn.proj.$2`],
    [`${layer}mlp.gate_proj.*`, `${to}.mlp.fc1.$2@0`],
    [`${layer}mlp.up_proj.*`, `${to}.mlp.fc1.$2${gated ? '@1' : ''}`],
    [`${layer}(?:intermediate.dense|mlp.fc1|mlp.weights_in).*`, `${to}.mlp.fc1.$2`],
    [`${layer}(?:output.dense|mlp.fc2|mlp.weights_out|mlp.down_proj).*`, `${to}.mlp.fc2.$2`],
    [`${layer}(?:layer_scale|lambda_)([12])(?:.lambda1)?`, `${to}.ls$2.gamma`],
    [`${attention}(?:relative_position_bias.)?(relative_position_bias_table)`, `${to}.attn.$2`],
  ];
}

/**
 * transformers' names.
 * @param {boolean} [gated] a gated MLP @param {string} [post] what post_layernorm is here @returns {Rules}
 */
const rulesOf = (gated, post) => [
  ...layerRules(`${FRONT}(?:encoder.|model.)?layers?.#.`, 'blocks.$1', gated),
  ...layerRules('decoder.decoder_(?:encoder.layer|layers).#.', 'decoder.blocks.$1'),
  [`${FRONT}embeddings.patch_embeddings?(?:.projection)?.*`, 'patch_embed.proj.$1'],
  [`${FRONT}embeddings.cl(?:s_token|ass_embedding)`, 'cls_token'],
  [`${FRONT}embeddings.distillation_token`, 'dist_token'],
  [`${FRONT}embeddings.register_tokens`, 'reg_token'],
  [`${FRONT}embeddings.position_embeddings?(?:.weight)?`, 'pos_embed'],
  [`${FRONT}encoder.relative_position_bias.(relative_position_bias_table)`, 'rel_pos_bias.$1'],
  [`${FRONT}pooler.layernorm.*`, 'fc_norm.$1'],
  [`${FRONT}pooler.dense.*`, 'pooler.$1'],
  [`${FRONT}pre_layrnorm.*`, 'norm_pre.$1'],
  [`${FRONT}post_layernorm.*`, `${post}.$1`],
  [`${FRONT}head.probe`, 'attn_pool.latent'],
  [`${FRONT}head.attention.in_proj_*`, 'attn_pool.q.$1:0-1/3 attn_pool.kv.$1:1-3/3'],
  [`${FRONT}head.attention.out_proj.*`, 'attn_pool.proj.$1'],
  [`${FRONT}head.layernorm.*`, 'attn_pool.norm.$1'],
  [`${FRONT}head.mlp.fc([12]).*`, 'attn_pool.mlp.fc$1.$2'],
  [`${FRONT}(?:layernorm|norm).*`, 'norm.$1'],
  ['visual_projection.weight', 'projection.weight'],
  ['(?:cls_)?classifier.*', 'head.$1'],
  ['distillation_classifier.*', 'head_dist.$1'],
  ['decoder.decoder_(embed|norm).*', 'decoder.$1.$2'],
  ['decoder.decoder_pred.*', 'to_pixels.$1'],
  ['decoder.(?:decoder_)?(pos_embed|mask_token)', 'decoder.$1'],
];

/** @type {Rules} */
const TIMM = [
  ['blocks.#.gamma_([12])', 'blocks.$1.ls$2.gamma'],
  ['blocks.#.attn.q_bias', 'blocks.$1.attn.qkv.bias@0'],
  ['blocks.#.attn.v_bias', 'blocks.$1.attn.qkv.bias@2'],
  ['blocks.#.attn.q_proj.*', 'blocks.$1.attn.qkv.$2@0'],
  ['blocks.#.attn.k_proj.*', 'blocks.$1.attn.qkv.$2@1'],
  ['blocks.#.attn.v_proj.*', 'blocks.$1.attn.qkv.$2@2'],
  ['blocks.#.mlp.fc1_g.*', 'blocks.$1.mlp.fc1.$2@0'],
  ['blocks.#.mlp.fc1_x.*', 'blocks.$1.mlp.fc1.$2@1'],
  [/(blocks\.\d+\.(?:norm[12]|attn\.(?:qkv|proj|norm)|mlp\.(?:fc[12]|norm)|ls[12])\.\w+)/, '$1'],
  [/(blocks\.\d+\.attn\.relative_position_bias_table)/, '$1'],
  [/((?:patch_embed\.proj|norm|norm_pre|fc_norm|head|head_dist|attn_pool(?:\.\w+)+|rel_pos_bias)\.\w+)/, '$1'],
  [/(cls_token|dist_token|reg_token|pos_embed|attn_pool\.latent)/, '$1'],
];

/** @param {any} value one number or [height, width] @returns {[number, number]} */
const pair = (value) => (Array.isArray(value) ? [value[0], value[1]] : [value, value]);

/**
 * What tensors tell: shapes by our names.
 * @param {Checkpoint} checkpoint @param {Rules} rules
 */
function look({ timm, names, shape, compile }, rules) {
  /** @type {Map<string, number[]>} */
  const ours = new Map();
  const rename = compile(rules);
  for (const name of names) for (const to of rename(name)) ours.set(to, /** @type {number[]} */ (shape(name)));
  const has = (/** @type {string} */ name) => ours.has(name);
  const rows = (/** @type {string} */ name) => ours.get(name)?.[0];
  const conv = ours.get('patch_embed.proj.weight');
  if (conv?.length !== 4) throw new Error('the file has no patch embedding; does config.json belong to it?');
  const [dim, channels, ...patch] = conv;
  let depth = 0;
  while (has(`blocks.${depth}.norm1.weight`)) depth++;
  const hidden = ours.get('blocks.0.mlp.fc2.weight')?.[1];
  const gated = has('blocks.0.mlp.fc1.weight@1') || rows('blocks.0.mlp.fc1.weight') === 2 * (hidden ?? 0);
  const [, registers = 0] = ours.get('reg_token') ?? [];
  const table = ours.get('pos_embed')?.at(-2);
  return {
    has,
    rows,
    patch: pair(patch),
    table,
    config: {
      patch_size: patch,
      channels,
      num_classes: rows('head.weight') ?? 0,
      embed_dim: dim,
      depth,
      mlp_dim: hidden,
      class_token: has('cls_token'),
      dist_token: has('dist_token'),
      reg_tokens: registers,
      patch_bias: has('patch_embed.proj.bias'),
      qkv_bias: ours.has('blocks.0.attn.qkv.bias') || ours.has('blocks.0.attn.qkv.bias@0'),
      layer_scale: has('blocks.0.ls1.gamma'),
      norm_pre: has('norm_pre.weight'),
      norm: has('norm.weight'),
      fc_norm: has('fc_norm.weight'),
      gated,
      attn_norm: has('blocks.0.attn.norm.weight'),
      mlp_norm: has('blocks.0.mlp.norm.weight'),
      relative_bias: has('blocks.0.attn.relative_position_bias_table')
        ? 'layers'
        : has('rel_pos_bias.relative_position_bias_table')
          ? 'shared'
          : 'none',
    },
    /** Of the translation. */
    rest: {
      arch: 'plain_vit',
      shapes: { cls_token: [1, 1, dim], ...(table && { pos_embed: [1, table, dim] }) },
      // transformers stretches BEiT's tables of biases, timm has done so before it saves
      anySize:
        !timm ||
        !(has('blocks.0.attn.relative_position_bias_table') || has('rel_pos_bias.relative_position_bias_table')),
    },
  };
}

/** @param {any} name of transformers, or of timm */
function activation(name) {
  if (!Object.hasOwn(ACTIVATIONS, name))
    throw new Error(
      `hidden_act "${name}" is none that this version has; it has ${Object.keys(ACTIVATIONS).join(', ')}`,
    );
  return ACTIVATIONS[name];
}

/** @param {any} c @param {Seen} seen */
const vit = (c, { has, rows, config }) => {
  const pooler = has('pooler.weight') && !config.num_classes;
  if (pooler && ((c.pooler_act ?? 'tanh') !== 'tanh' || rows('pooler.weight') !== config.embed_dim))
    throw new Error(
      'a pooler with another pooler_act than "tanh", or a pooler_output_size of its own, cannot run here',
    );
  return { pool: has('head_dist.weight') ? 'dist_cls' : config.class_token ? 'cls' : 'mean', pooler, norm: true };
};

/** Options that the name of a timm model tells. @param {Checkpoint} checkpoint @param {Seen} seen */
function timmOptions({ timm, config: args, outer, pretrained }, { has, rows, table, patch, config }) {
  const name = String(timm);
  const { embed_dim: dim, class_token: cls, dist_token: dist, reg_tokens: registers } = config;
  const prefix = Number(cls) + Number(dist) + registers;
  const bias = rows('blocks.0.attn.relative_position_bias_table');
  const sizes = args.img_size ?? outer.pretrained_cfg?.input_size?.slice(1) ?? pretrained.input_size?.slice(1) ?? 224;
  let grid = pair(sizes).map((length, i) => Math.floor(length / patch[i]));
  const side = bias && (2 * grid[0] - 1) * (2 * grid[1] - 1) + 3 !== bias ? (Math.sqrt(bias - 3) + 1) / 2 : 0;
  if (side) grid = [side, side];
  const cells = () => grid[0] * grid[1];
  if (table && table !== cells() && table !== cells() + prefix) {
    const square = [table, table - prefix].map(Math.sqrt).find(Number.isInteger);
    if (!square)
      throw new Error(`pos_embed has ${table} rows, the picture ${cells()} patches and ${prefix} other tokens`);
    grid = [square, square];
  }
  const isClip = /_clip_/.test(name);
  const given = args.global_pool ?? outer.global_pool;
  let pool =
    given ??
    (has('attn_pool.latent') ? 'map' : !cls || (/_gap_|^(eva|beit)|dinov3/.test(name) && !isClip) ? 'avg' : 'token');
  const all = args.pool_include_prefix;
  const known = { __proto__: null, token: 'cls', avg: all ? 'all' : 'mean', map: all && prefix ? undefined : 'map' };
  pool = dist ? 'dist' : known[/** @type {'avg'} */ (pool)];
  if (!pool)
    throw new Error(
      `global_pool "${given}" is none that this version has; it has token, avg, and map over the patches`,
    );
  const isTanh = /siglip/.test(name) && /patch32|so400m_patch16|giantopt|large_patch16_siglip_(gap_)?512/.test(name);
  const wide = /huge|giant|gigantic|so400m|base_patch16_gap/.test(name) && !/dino|giant.*radio/.test(name);
  const heads = wide ? 16 : /^vit_7b/.test(name) ? 32 : dim / (/^test_vit/.test(name) ? 32 : 64);
  const isRope = /^eva02|_rope_/.test(name) && (args.use_rot_pos_emb ?? true);
  return {
    grid,
    image_size: grid.map((length, i) => length * patch[i]),
    num_heads: args.num_heads ?? heads,
    eps: (isClip && !/^eva/.test(name)) || /dinov3/.test(name) ? 1e-5 : 1e-6,
    activation: args.act_layer
      ? activation(args.act_layer)
      : /quickgelu/.test(name)
        ? 'quick_gelu'
        : isTanh
          ? 'gelu_tanh'
          : 'gelu',
    positions: !table ? 'none' : table === cells() ? 'patches' : 'all',
    interpolate: 'antialias',
    pool,
    ...(isRope && { rope: 'pairs' }),
    ...(args.rope_temperature && { rope_theta: args.rope_temperature }),
    ...(/dinov3/.test(name) && { rope: 'halves' }),
  };
}

/** Options of timm that no tensor tells and that are not read. */
const UNREAD =
  /^(rope_(?!temp|type=cat$|grid_indexing=ij$)|ref_feat|use_post_norm|attn_(pool|only)|block_fn|(?!act)\w+_layer=(?!layernorm$))/;

/** @param {Checkpoint} checkpoint @returns {import('./family.js').Translation} */
function readTimm(checkpoint) {
  const { timm, names, compile, config: args } = checkpoint;
  const name = String(timm);
  const rename = compile(TIMM);
  const strange =
    names.find(
      (one) =>
        /^(blocks|rope|patch_embed)\./.test(one) &&
        !/k_bias|_index|rope.*(periods|bands)/.test(one) &&
        !rename(one).length,
    ) ??
    (names.includes('blocks.0.norm1.weight') && !names.includes('blocks.0.norm1.bias')
      ? 'blocks.0.norm1 without a bias'
      : '');
  const option = Object.entries(args)
    .map(([key, value]) => value && `${key}=${value}`)
    .find((text) => UNREAD.test(text));
  if (option) throw new Error(`${name} with "${option}" is none that this version runs`);
  if (strange || /_(xp|tipsv2|naflex|pe|rpn|s?relpos|enormous|lingbot|eupe|rope(?!_reg))_/.test(`${name}_`))
    throw new Error(
      `timm's architecture "${name}" has layers that this version lacks${strange ? ` ("${strange}")` : ''}`,
    );
  const seen = look(checkpoint, TIMM);
  const config = { ...seen.config, ...timmOptions(checkpoint, seen) };
  // CLIP's own heads are its projection
  if (
    /_clip_/.test(name) &&
    config.num_classes &&
    !/ft|in1k|in12k/.test(checkpoint.pretrained.tag ?? '') &&
    !checkpoint.outer.label_names
  ) {
    Object.assign(config, { projection: config.num_classes, projection_bias: true, num_classes: 0 });
    return { ...seen.rest, config, rules: [['head.*', 'projection.$1'], ...TIMM] };
  }
  return { ...seen.rest, config, rules: TIMM };
}

/** MAE: its decoder, if the file has one. @param {any} c @param {Seen} seen */
const mae = (c, seen) => ({
  ...vit(c, seen),
  ...(seen.has('decoder.pos_embed') && {
    decoder: {
      embed_dim: seen.rows('decoder.embed.weight'),
      depth: c.decoder_num_hidden_layers ?? 8,
      num_heads: c.decoder_num_attention_heads ?? 16,
      mlp_dim: c.decoder_intermediate_size ?? 2048,
      masking_ratio: c.mask_ratio || 0.75,
      norm_pix_loss: c.norm_pix_loss ?? false,
    },
  }),
});
const dinov2 = /** @type {const} */ ([
  { layer_norm_eps: 1e-6 },
  (/** @type {any} */ _, /** @type {Seen} */ { config }) => ({ pool: config.num_classes ? 'cls_mean' : 'cls' }),
]);
const beit = /** @type {const} */ ([
  { use_mean_pooling: true },
  (/** @type {any} */ c, /** @type {Seen} */ { config }) => ({
    pool: c.use_mean_pooling ? 'mean' : 'cls',
    fc_norm: Boolean(c.use_mean_pooling && config.fc_norm),
    norm: !c.use_mean_pooling,
  }),
]);
const clip = /** @type {const} */ ([
  { layer_norm_eps: 1e-5, hidden_act: 'quick_gelu' },
  (/** @type {any} */ _, /** @type {Seen} */ { rows, config }) => ({
    norm: false,
    fc_norm: !config.num_classes,
    pool: config.num_classes ? 'mean' : 'cls',
    projection: config.num_classes ? 0 : (rows('projection.weight') ?? 0),
  }),
  'fc_norm',
]);
const siglip = /** @type {const} */ ([
  { layer_norm_eps: 1e-6, hidden_act: 'gelu_pytorch_tanh' },
  (/** @type {any} */ _, /** @type {Seen} */ { has, config }) => ({
    pool: !config.num_classes && has('attn_pool.latent') ? 'map' : 'all',
  }),
]);
/**
 * By model_type: the class's own defaults of its config, options, and what post_layernorm is.
 * @type {Record<string, readonly [any, (c: any, seen: Seen) => Record<string, any>, string?]>}
 */
const TYPES = {
  vit: [{}, vit],
  deit: [{}, vit],
  vit_mae: [{}, mae],
  vit_msn: [{ layer_norm_eps: 1e-6 }, vit],
  ijepa: [{}, vit],
  dinov2,
  dinov2_with_registers: [
    dinov2[0],
    (c, seen) => ({ ...dinov2[1](c, seen), positions: 'class', interpolate: 'antialias' }),
  ],
  dinov3_vit: [
    { layer_norm_eps: 1e-5, num_attention_heads: 6 },
    (c) => ({ pool: 'cls', rope: 'halves', rope_theta: c.rope_theta ?? c.rope_parameters?.rope_theta ?? 100 }),
  ],
  beit,
  'data2vec-vision': beit,
  clip,
  clip_vision_model: clip,
  siglip,
  siglip_vision_model: siglip,
};

/** @param {Checkpoint} checkpoint @returns {import('./family.js').Translation} */
function readTransformers(checkpoint) {
  const [defaults, options, post = 'norm'] = TYPES[checkpoint.outer.model_type];
  const c = {
    hidden_act: 'gelu',
    layer_norm_eps: 1e-12,
    num_attention_heads: 12,
    image_size: 224,
    ...defaults,
    ...Object.fromEntries(Object.entries(checkpoint.config).filter(([, value]) => value !== null)),
  };
  if (c.use_gated_mlp && activation(c.hidden_act) !== 'silu')
    throw new Error(`use_gated_mlp runs with hidden_act "silu" alone, as published; this has "${c.hidden_act}"`);
  const rules = rulesOf(c.use_gated_mlp || c.use_swiglu_ffn, post);
  if (checkpoint.encoderOnly) rules.unshift([/decoder\..+/, '']);
  const seen = look(checkpoint, rules);
  const config = {
    image_size: pair(c.image_size),
    ...seen.config,
    grid: pair(c.image_size).map((side, i) => Math.floor(side / seen.patch[i])),
    num_heads: c.num_attention_heads,
    eps: c.layer_norm_eps,
    activation: activation(c.hidden_act),
    positions: seen.table ? 'all' : 'none',
    interpolate: 'bicubic',
    ...options(c, seen),
  };
  return { ...seen.rest, config, rules };
}

/** @param {Checkpoint} checkpoint */
export const read = (checkpoint) => (checkpoint.timm ? readTimm : readTransformers)(checkpoint);
