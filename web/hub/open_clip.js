// @ts-check
/**
 * Folders of open_clip: open_clip_config.json and open_clip_model.safetensors, of which the picture's tower is run. It
 * is timm's (`visual.trunk.`) or open_clip's own ViT (`visual.`), and told to the loader as a folder of timm's.
 * Fetched when there is no config.json, or such a file is named.
 */

/** @typedef {import('./stream.js').Stored} Stored */
/** @typedef {import('./family.js').Read} Read */

const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

/** open_clip's own ViT in timm's words; the norm at the end has its name from the config. @type {[RegExp, string][]} */
const OWN = [
  [/^conv1\./, 'patch_embed.proj.'],
  [/^class_embedding$/, 'cls_token'],
  [/^positional_embedding$/, 'pos_embed'],
  [/^ln_pre\./, 'norm_pre.'],
  [/^proj$/, 'head.weight'],
  [/^transformer\.resblocks\./, 'blocks.'],
  [/\.attn\.in_proj_/, '.attn.qkv.'],
  [/\.attn\.out_proj\./, '.attn.proj.'],
  [/\.ln_([12])\./, '.norm$1.'],
  [/\.ls_([12])\./, '.ls$1.'],
  [/\.c_fc\./, '.fc1.'],
  [/\.c_proj\./, '.fc2.'],
];

/**
 * A matrix [rows,columns] the other way round, because `visual.proj` is [in,out].
 * @param {Stored} stored @returns {Stored}
 */
function transposed(stored) {
  const [rows, columns] = stored.shape;
  const bytes = stored.end - stored.begin;
  const size = bytes / (rows * columns);
  async function* change(/** @type {AsyncGenerator<Uint8Array>} */ chunks) {
    const to = new Uint8Array(bytes);
    let at = 0;
    for await (const chunk of chunks)
      for (const byte of chunk) {
        const i = Math.floor(at / size);
        to[((i % columns) * rows + Math.floor(i / columns)) * size + (at++ % size)] = byte;
      }
    yield to;
  }
  return { ...stored, shape: [columns, rows], change };
}

/** @param {any} value one number or [height, width] @returns {[number, number]} */
const pair = (value) => (Array.isArray(value) ? [value[0], value.at(-1)] : [value, value]);

/**
 * The tower's options as timm's.
 * @param {any} vision vision_cfg @param {boolean} quick quick_gelu @param {(what: string) => never} refuse
 */
function ownTower(vision, quick, refuse) {
  const { layers, attentional_pool: pooler, width = 768, head_width: head = 64, pool_type: pool = 'tok' } = vision;
  const { eps = 1e-5, ...norm } = vision.norm_kwargs ?? {};
  const { approximate = 'none', ...act } = vision.act_kwargs ?? {};
  if (Array.isArray(layers)) refuse('is a ResNet');
  if (pooler || pool === 'none') refuse('has an attentional pooler, as CoCa has');
  if (Object.keys({ ...norm, ...act })[0]) refuse('has norms or activations of its own');
  return {
    architecture: `vit_open_clip_${quick ? 'quickgelu' : ''}`,
    model_args: { num_heads: width / head, global_pool: pool === 'avg' ? 'avg' : 'token' },
    options: { eps, ...(approximate === 'tanh' && { activation: 'gelu_tanh' }) },
  };
}

/** @param {any} vision vision_cfg @param {(what: string) => never} refuse */
function timmTower(vision, refuse) {
  const pool = vision.timm_pool ?? 'avg';
  if (/_attn$/.test(pool)) refuse(`has the pool "${pool}"`);
  return { architecture: vision.timm_model_name, model_args: pool ? { global_pool: pool } : {}, options: {} };
}

/**
 * @typedef {object} Adapted
 * @property {any} outer a config.json as timm writes it
 * @property {(all: [string, Stored][], others: string[]) => [string, Stored][]} rename the tower's tensors by timm's
 *   names; others takes the names of all else
 * @property {(read: Read) => Read} wrap what the tower's family reads, with what is behind the tower
 */

/**
 * @param {any} given open_clip_config.json @param {(message: string) => never} fail of the loader
 * @returns {Adapted}
 */
export function adapt({ model_cfg: model, preprocess_cfg: preprocess }, fail) {
  const refuse = (/** @type {string} */ what) =>
    fail(`open_clip's picture tower ${what}, which this version does not run`);
  const vision = model?.vision_cfg ?? {};
  const isTimm = Boolean(vision.timm_model_name);
  const { architecture, model_args, options } = isTimm
    ? timmTower(vision, refuse)
    : ownTower(vision, model?.quick_gelu, refuse);
  const { mean = MEAN, std = STD, interpolation, resize_mode: mode } = preprocess ?? {};
  if (mode === 'longest') refuse('takes pictures with resize_mode "longest"');
  const last = vision.final_ln_after_pool ? 'fc_norm.' : 'norm.';
  /** @param {string} name without "visual." */
  const rename = (name) =>
    isTimm
      ? name.replace(/^trunk\./, '').replace(/^head\.proj\./, 'head.')
      : OWN.reduce((text, [from, to]) => text.replace(from, to), name.replace(/^ln_post\./, last));
  return {
    outer: {
      architecture,
      model_args,
      pretrained_cfg: {
        input_size: [3, ...pair(vision.image_size ?? 224)],
        mean,
        std,
        interpolation: interpolation === 'bilinear' ? interpolation : 'bicubic',
        crop_pct: 1,
        crop_mode: mode === 'squash' ? mode : 'center',
      },
    },
    rename: (all, others) =>
      all.flatMap(([name, stored]) => {
        const [, own] = /^visual\.(.+)/.exec(name) ?? [];
        if (own) return [[rename(own), own === 'proj' ? transposed(stored) : stored]];
        others.push(name);
        return [];
      }),
    wrap: (read) => (checkpoint) => {
      const { names, shape } = checkpoint;
      const translation = read(checkpoint);
      const [width] = shape('head.weight') ?? [];
      const isPlain = translation.arch === 'plain_vit';
      if (names.some((name) => /^head\.(mlp|pool)\./.test(name)) || (width && !isPlain))
        refuse('has a head behind the network');
      /** @type {Record<string, any>} */
      const config = { ...translation.config, ...options };
      if (!width) return { ...translation, config: { ...config, ...(config.num_classes && { projection: true }) } };
      const head = { projection: width, projection_bias: names.includes('head.bias'), num_classes: 0 };
      const rules = /** @type {import('./family.js').Rules} */ ([['head.*', 'projection.$1'], ...translation.rules]);
      return { ...translation, config: { ...config, ...head }, rules };
    },
  };
}
