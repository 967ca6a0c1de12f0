// Folders of open_clip in Node: which files are asked for and read, and that its own ViT and timm's tower inside it are
// one network. That the numbers are open_clip's is tested by scripts/parity/hub.py (open_clip_*).
// Alone: node --test test/web/open_clip.test.js (after `make dist/tesserae-simd-all.wasm`)
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { loadModel, TesseraeError } from '../../web/index.js';
import { draw, drawInput } from '../parity/weights.js';
import { DIMS, tensorsFile, vit } from './checkpoints.js';
import { startHub } from './hub_server.js';

const DIM = 64;
const OUT = 12;
const INPUT = { data: drawInput('open_clip', 'image', DIMS), dims: DIMS };

/** @typedef {[name: string, shape: number[], values: Float32Array]} Tensor */
/** @param {string} name @param {number[]} shape @returns {Tensor} */
const drawn = (name, shape) => [name, shape, draw('open_clip', name, shape)];
/** @param {string} name @param {number} rows @param {number} [columns] @returns {Tensor[]} */
const layer = (name, rows, columns) => [
  drawn(`${name}.weight`, columns ? [rows, columns] : [rows]),
  drawn(`${name}.bias`, [rows]),
];

/** By the names of timm's ViT. @type {Tensor[]} */
const TENSORS = [
  drawn('cls_token', [1, 1, DIM]),
  drawn('pos_embed', [1, 5, DIM]),
  drawn('patch_embed.proj.weight', [DIM, 3, 8, 8]),
  ...layer('norm_pre', DIM),
  ...[0, 1].flatMap((i) => [
    ...layer(`blocks.${i}.norm1`, DIM),
    ...layer(`blocks.${i}.attn.qkv`, 3 * DIM, DIM),
    ...layer(`blocks.${i}.attn.proj`, DIM, DIM),
    ...layer(`blocks.${i}.norm2`, DIM),
    ...layer(`blocks.${i}.mlp.fc1`, 2 * DIM, DIM),
    ...layer(`blocks.${i}.mlp.fc2`, DIM, 2 * DIM),
  ]),
  ...layer('norm', DIM),
  drawn('head.weight', [OUT, DIM]),
];

/** open_clip's own names. @param {string} name */
const own = (name) =>
  name
    .replace('cls_token', 'class_embedding')
    .replace('pos_embed', 'positional_embedding')
    .replace('patch_embed.proj', 'conv1')
    .replace('norm_pre', 'ln_pre')
    .replace('blocks.', 'transformer.resblocks.')
    .replace('attn.qkv.', 'attn.in_proj_')
    .replace('attn.proj', 'attn.out_proj')
    .replace(/norm(\d)/, 'ln_$1')
    .replace(/^norm/, 'ln_post')
    .replace('fc1', 'c_fc')
    .replace('fc2', 'c_proj')
    .replace('head.weight', 'proj');

/** What its file holds besides. @type {Tensor[]} */
const TEXT = [
  drawn('logit_scale', []),
  drawn('text.token_embedding.weight', [6, 8]),
  drawn('positional_embedding', [4, 8]),
];

/** @param {Tensor[]} tensors @returns {Buffer} */
function file(tensors) {
  const values = new Map(tensors.map(([name, , value]) => [name, value]));
  return tensorsFile(
    'open_clip',
    tensors.map(([name, shape]) => [name, shape]),
    (name) => values.get(name),
  );
}

/** @param {object} vision @param {Tensor[]} tensors @param {object} [more] @returns {Record<string, any>} */
const folder = (vision, tensors, more) => ({
  'open_clip_config.json': {
    model_cfg: { embed_dim: OUT, vision_cfg: { image_size: 16, ...vision }, text_cfg: {}, ...more },
    preprocess_cfg: {
      mean: [0.125, 0.25, 0.5],
      std: [0.75, 0.5, 0.25],
      interpolation: 'bilinear',
      resize_mode: 'squash',
    },
  },
  'open_clip_model.safetensors': file([...TEXT, ...tensors]),
});

/** The matrix the other way round. @param {Tensor} tensor @returns {Tensor} */
const turned = ([name, [rows, columns], values]) => [
  name,
  [columns, rows],
  Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]),
];

const OWN = folder(
  { layers: 2, width: DIM, head_width: 64, patch_size: 8 },
  TENSORS.map((tensor) => {
    const [name, shape, values] = tensor[0] === 'head.weight' ? turned(tensor) : tensor;
    const flat = /cls|pos_embed/.test(name) ? shape.slice(name === 'cls_token' ? 2 : 1) : shape;
    return [`visual.${own(name)}`, flat, values];
  }),
);
const TRUNK = folder(
  { timm_model_name: 'vit_tiny_patch8_clip_16', timm_pool: 'token', timm_proj: 'linear' },
  TENSORS.map(([name, ...rest]) => [
    name.startsWith('head') ? 'visual.head.proj.weight' : `visual.trunk.${name}`,
    ...rest,
  ]),
);

/** @param {Record<string, any>} files */
const blobs = (files) =>
  Object.fromEntries(
    Object.entries(files).map(([name, content]) => [
      name,
      new Blob([content instanceof Uint8Array ? content : JSON.stringify(content)]),
    ]),
  );

/** @param {any} source @param {any} [options] @returns {Promise<{ info: any, values: number[] }>} */
async function outcome(source, options) {
  const model = await loadModel(source, { worker: false, threads: 1, retries: 0, ...options });
  const { output } = await model.forward(INPUT);
  await model.dispose();
  return { info: model.info, values: [...output.data] };
}

/** @type {Awaited<ReturnType<typeof startHub>>} */
let hub;
before(async () => {
  hub = await startHub();
});
beforeEach(() => hub.forget());
after(() => hub?.close());
/** @param {string} name */
const at = (name) => `${hub.url}/org/${name}/resolve/main/`;

test("its own ViT, and the same as timm's tower: an embedding, and the preprocessing of its file", async () => {
  const { info, values } = await outcome(blobs(OWN));
  assert.deepEqual([info.arch, info.output.kind, values.length], ['plain_vit', 'embedding', OUT]);
  assert.ok(new Set(values).size > 2);
  const trunk = await outcome(blobs(TRUNK));
  assert.deepEqual(trunk.values, values);
  for (const { preprocess } of [info, trunk.info]) {
    const { size, resize, fit, mean, std } = preprocess;
    assert.deepEqual([size, resize, fit, mean[2], std[0]], [[16, 16], 'bilinear', 'squash', 0.5, 0.75]);
  }
  assert.deepEqual(info.unused, ['logit_scale', 'positional_embedding', 'text.token_embedding.weight']);
  const quick = { ...OWN['open_clip_config.json'].model_cfg, quick_gelu: true };
  const other = await outcome(
    blobs({ ...OWN, 'open_clip_config.json': { ...OWN['open_clip_config.json'], model_cfg: quick } }),
  );
  assert.equal(other.info.config.activation, 'quick_gelu');
  assert.notDeepEqual(other.values, values);
});

describe('which files are read', () => {
  test('where there is no config.json, its own, and nothing of preprocessing', async () => {
    const commit = hub.add('org/clip', OWN);
    const { info } = await outcome(at('clip'));
    assert.deepEqual(
      hub.asked().map(({ host, name }) => `${host} ${name}`),
      [
        ...['hub config.json', 'hub open_clip_config.json'],
        ...['hub open_clip_model.safetensors', 'store open_clip_model.safetensors'],
      ],
    );
    assert.deepEqual([info.files, info.commit], [['open_clip_model.safetensors'], commit]);
  });

  test("beside another library's, only where its file is named", async () => {
    hub.add('org/both', { ...vit(), ...OWN });
    assert.equal((await outcome(at('both'))).info.output.kind, 'logits');
    assert.equal(hub.asked(/open_clip/).length, 0);
    hub.forget();
    const { info } = await outcome(`${at('both')}open_clip_model.safetensors`);
    assert.equal(info.output.kind, 'embedding');
    assert.equal(hub.asked(/^(config|model)/).length, 0);
  });
});

describe('what does not run is refused in a sentence, before its weights are read', () => {
  /** @type {[string, object, RegExp][]} */
  const towers = [
    ['a ResNet', { layers: [3, 4, 6, 3] }, /picture tower is a ResNet, which this version does not run$/],
    ['an attentional pooler', { attentional_pool: true }, /has an attentional pooler/],
    ['norms of its own', { norm_kwargs: { bias: false } }, /has norms or activations of its own/],
    ['a pool of its own', { timm_model_name: 'vit_tiny_patch16_224', timm_pool: 'abs_attn' }, /the pool "abs_attn"/],
    ['another tower of timm', { timm_model_name: 'convnext_base' }, /architecture "convnext_base" is none that/],
  ];
  for (const [what, vision, message] of towers)
    test(what, async () => {
      hub.add('org/other', folder(vision, []));
      await assert.rejects(outcome(at('other')), (error) => {
        assert.ok(error instanceof TesseraeError && error.code === 'ERR_CONFIG', String(error));
        assert.match(error.message, message);
        return true;
      });
      assert.equal(hub.asked(/safetensors/).length, 0);
    });

  test('layers that its own blocks may have, a second layer behind the tower, a way to resize', async () => {
    const [, [, , values]] = TENSORS;
    const block = ['visual.transformer.resblocks.0.attn.ln_inner.weight', [DIM], values];
    const vision = OWN['open_clip_config.json'].model_cfg.vision_cfg;
    const more = (/** @type {any[]} */ tensor) => blobs(folder(vision, /** @type {any} */ ([...all, tensor])));
    const all = TENSORS.map(([name, ...rest]) => [`visual.${own(name)}`, ...rest]);
    await assert.rejects(
      outcome(more(block)),
      /ERR_CONFIG: .*layers that this version lacks \("blocks\.0\.attn\.ln_inner/,
    );
    const mlp = ['visual.head.mlp.fc1.weight', [DIM, DIM], new Float32Array(DIM * DIM)];
    await assert.rejects(outcome(more(mlp)), /ERR_CONFIG: .*has a head behind the network/);
    const config = OWN['open_clip_config.json'];
    const longest = { ...config, preprocess_cfg: { resize_mode: 'longest' } };
    await assert.rejects(
      outcome(blobs({ ...OWN, 'open_clip_config.json': longest })),
      /ERR_CONFIG: .*takes pictures with resize_mode "longest"/,
    );
  });
});
