// Checkpoints as transformers and timm write them, tiny and with random numbers, for the tests of what carries them.
// That their numbers come out right is tested with the libraries themselves. Not a test itself.
import { draw } from '../parity/weights.js';

const DIM = 16;
export const DIMS = [1, 3, 16, 16];

/** @typedef {[name: string, shape: number[]][]} Shapes */

/**
 * A folder whose tensors have this in front of their names, as a wrapper's state_dict has.
 * @param {Record<string, any>} files @param {string} prefix @returns {Record<string, any>}
 */
export function renamed({ 'model.safetensors': file, ...rest }, prefix) {
  const start = 8 + Number(file.readBigUInt64LE());
  const { __metadata__, ...tensors } = JSON.parse(file.subarray(8, start));
  const entries = Object.entries(tensors).map(([name, about]) => [prefix + name, about]);
  let text = JSON.stringify({ __metadata__, ...Object.fromEntries(entries) });
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(text.length));
  return { ...rest, 'model.safetensors': Buffer.concat([head, Buffer.from(text), file.subarray(start)]) };
}

/** @param {string} _ @param {number[]} shape */
function zerosIfLarge(_, shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  return count > 1e5 ? new Float32Array(count) : undefined;
}

/**
 * The bytes of a safetensors file as Python writes it: sorted by name, without metadata of ours.
 * @param {string} seed @param {Shapes} shapes
 * @param {(name: string, shape: number[]) => Float32Array | undefined} [values] nothing: drawn by the name; without
 *   this large tensors are zeros, because nobody reads them
 */
export function tensorsFile(seed, shapes, values = zerosIfLarge) {
  /** @type {Record<string, any>} */
  const header = { __metadata__: { format: 'pt' } };
  const parts = [...shapes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, shape]) => {
      const { buffer } = values(name, shape) ?? draw(seed, name, shape);
      return { name, shape, bytes: Buffer.from(buffer) };
    });
  let end = 0;
  for (const { name, shape, bytes } of parts) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const head = Buffer.alloc(8 + text.length);
  head.writeBigUInt64LE(BigInt(text.length));
  head.write(text, 8);
  return Buffer.concat([head, ...parts.map(({ bytes }) => bytes)]);
}

/** @param {string} name @param {number} rows @param {number} columns @returns {Shapes} */
const linear = (name, rows, columns) => [
  [`${name}.weight`, [rows, columns]],
  [`${name}.bias`, [rows]],
];
/** @param {string} name @returns {Shapes} */
const norm = (name) => [
  [`${name}.weight`, [DIM]],
  [`${name}.bias`, [DIM]],
];

/** transformers' ViTForImageClassification. @param {number} classes @returns {Shapes} */
export const vitShapes = (classes = 5) => [
  ['vit.embeddings.cls_token', [1, 1, DIM]],
  ['vit.embeddings.position_embeddings', [1, 5, DIM]],
  ['vit.embeddings.patch_embeddings.projection.weight', [DIM, 3, 8, 8]],
  ['vit.embeddings.patch_embeddings.projection.bias', [DIM]],
  ...[0, 1].flatMap((i) => {
    const at = `vit.encoder.layer.${i}`;
    return [
      ...norm(`${at}.layernorm_before`),
      ...norm(`${at}.layernorm_after`),
      ...['query', 'key', 'value'].flatMap((one) => linear(`${at}.attention.attention.${one}`, DIM, DIM)),
      ...linear(`${at}.attention.output.dense`, DIM, DIM),
      ...linear(`${at}.intermediate.dense`, 2 * DIM, DIM),
      ...linear(`${at}.output.dense`, DIM, 2 * DIM),
    ];
  }),
  ...norm('vit.layernorm'),
  ...linear('classifier', classes, DIM),
];

const VIT_CONFIG = {
  architectures: ['ViTForImageClassification'],
  model_type: 'vit',
  hidden_size: DIM,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 2 * DIM,
  image_size: 16,
  patch_size: 8,
};
const LABELS = ['ant', 'bee', 'cat', 'dog', 'eel'];

/**
 * A folder of transformers'. @param {string} [seed] other numbers @param {object} [config] more of it
 * @returns {Record<string, any>}
 */
export const vit = (seed = 'one', config = {}) => ({
  'config.json': { ...VIT_CONFIG, id2label: { ...LABELS.map((label) => `${label} ${seed}`) }, ...config },
  'preprocessor_config.json': { image_processor_type: 'ViTImageProcessor', size: { height: 16, width: 16 } },
  'model.safetensors': tensorsFile(seed, vitShapes()),
});

/**
 * transformers' ViTMAEForPreTraining, of which the decoder is by far the larger, and lies in front.
 * @returns {Record<string, any>}
 */
export function mae() {
  const [wide, hidden] = [256, 1024];
  const at = 'decoder.decoder_layers.0';
  const both = (/** @type {string} */ name, /** @type {number} */ rows) =>
    /** @type {Shapes} */ ([
      [`${name}.weight`, [rows]],
      [`${name}.bias`, [rows]],
    ]);
  return {
    'config.json': {
      ...VIT_CONFIG,
      architectures: ['ViTMAEForPreTraining'],
      model_type: 'vit_mae',
      decoder_num_hidden_layers: 1,
      decoder_num_attention_heads: 4,
      decoder_intermediate_size: hidden,
    },
    'model.safetensors': tensorsFile('mae', [
      ...vitShapes().filter(([name]) => !name.startsWith('classifier')),
      ...linear('decoder.decoder_embed', wide, DIM),
      ['decoder.mask_token', [1, 1, wide]],
      ['decoder.decoder_pos_embed', [1, 5, wide]],
      ...both(`${at}.layernorm_before`, wide),
      ...both(`${at}.layernorm_after`, wide),
      ...['query', 'key', 'value'].flatMap((one) => linear(`${at}.attention.attention.${one}`, wide, wide)),
      ...linear(`${at}.attention.output.dense`, wide, wide),
      ...linear(`${at}.intermediate.dense`, hidden, wide),
      ...linear(`${at}.output.dense`, wide, hidden),
      ...both('decoder.decoder_norm', wide),
      ...linear('decoder.decoder_pred', 3 * 8 * 8, wide),
    ]),
  };
}

/**
 * `vit` with tensors that nobody needs, of 800 KB of zeros each: too few to skip. @param {string} seed
 * @param {...string} names which say where they lie
 */
export const padded = (seed, ...names) => ({
  ...vit(seed),
  'model.safetensors': tensorsFile(seed, [
    ...names.map((name) => /** @type {[string, number[]]} */ ([name, [200, 1024]])),
    ...vitShapes(),
  ]),
});

/**
 * The same in two files and an index.
 * @param {string} [seed] @param {string} [pad] a tensor of 800 KB in the second @returns {Record<string, any>}
 */
export function sharded(seed = 'one', pad) {
  const { 'model.safetensors': _, ...rest } = vit(seed);
  const shapes = vitShapes();
  const name = (/** @type {number} */ i) => `model-0000${i + 1}-of-00002.safetensors`;
  // q, k and v of a layer lie in different files
  const parts = [0, 1].map((i) => shapes.filter((_one, at) => at % 2 === i));
  if (pad) parts[1].push([pad, [200, 1024]]);
  return {
    ...rest,
    'model.safetensors.index.json': {
      metadata: { total_size: 1 },
      weight_map: Object.fromEntries(parts.flatMap((part, i) => part.map(([one]) => [one, name(i)]))),
    },
    ...Object.fromEntries(parts.map((part, i) => [name(i), tensorsFile(seed, part)])),
  };
}

/** A folder of timm's: its name is its config. @param {object} [config] more of it @returns {Record<string, any>} */
export function timm(config = {}) {
  const shapes = /** @type {Shapes} */ ([
    ['cls_token', [1, 1, DIM]],
    ['pos_embed', [1, 5, DIM]],
    ['patch_embed.proj.weight', [DIM, 3, 8, 8]],
    ['patch_embed.proj.bias', [DIM]],
    ...[0, 1].flatMap((i) => [
      ...norm(`blocks.${i}.norm1`),
      ...linear(`blocks.${i}.attn.qkv`, 3 * DIM, DIM),
      ...linear(`blocks.${i}.attn.proj`, DIM, DIM),
      ...norm(`blocks.${i}.norm2`),
      ...linear(`blocks.${i}.mlp.fc1`, 2 * DIM, DIM),
      ...linear(`blocks.${i}.mlp.fc2`, DIM, 2 * DIM),
    ]),
    ...norm('norm'),
    ...linear('head', 5, DIM),
  ]);
  return {
    'config.json': {
      architecture: 'vit_tiny_patch16_224',
      num_classes: 5,
      model_args: { img_size: 16, num_heads: 2 },
      pretrained_cfg: { input_size: [3, 16, 16], num_classes: 5, license: 'apache-2.0' },
      ...config,
    },
    'model.safetensors': tensorsFile('timm', shapes),
  };
}

/**
 * A CLIP of which the text's half is by far the larger; it lies in one run before the picture's half.
 * @param {number} rows of 4 KB @returns {Record<string, any>}
 */
export function clip(rows) {
  const shapes = vitShapes()
    .filter(([name]) => !/classifier|projection|cls_token|position/.test(name))
    .map(
      ([name, shape]) =>
        /** @type {[string, number[]]} */ ([
          name
            .replace('vit.encoder.layer', 'vision_model.encoder.layers')
            .replace('layernorm_before', 'layer_norm1')
            .replace('layernorm_after', 'layer_norm2')
            .replace(/attention\.attention\.(query|key|value)/, (_, one) => `self_attn.${one[0]}_proj`)
            .replace('attention.output.dense', 'self_attn.out_proj')
            .replace('intermediate.dense', 'mlp.fc1')
            .replace('output.dense', 'mlp.fc2')
            .replace('vit.layernorm', 'vision_model.post_layernorm'),
          shape,
        ]),
    );
  return {
    'config.json': {
      model_type: 'clip',
      text_config: { hidden_size: 1024 },
      vision_config: {
        ...VIT_CONFIG,
        model_type: 'clip_vision_model',
        architectures: undefined,
      },
    },
    'preprocessor_config.json': { image_processor_type: 'CLIPImageProcessor', size: { shortest_edge: 16 } },
    'model.safetensors': tensorsFile('clip', [
      ...shapes,
      ...norm('vision_model.pre_layrnorm'),
      ['vision_model.embeddings.class_embedding', [DIM]],
      ['vision_model.embeddings.patch_embedding.weight', [DIM, 3, 8, 8]],
      ['vision_model.embeddings.position_embedding.weight', [5, DIM]],
      ['vision_model.embeddings.position_ids', [1, 5]],
      ['logit_scale', []],
      ['text_model.embeddings.token_embedding.weight', [rows, 1024]],
      ['vision_other.weight', [Math.max(300, rows / 8), 1024]], // a second gap
      ['text_projection.weight', [12, 12]],
      ['visual_projection.weight', [12, DIM]],
    ]),
  };
}
