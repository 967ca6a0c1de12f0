// What a model of ours is given for a picture, when its file has the preprocessing of a checkpoint of transformers or
// timm: web/hub/preprocess.js and the core's own work together. For scripts/parity/hub_preprocess.mjs and
// test/web/hub_preprocess.test.js.
import { loadModel } from '../../web/index.js';
import { preprocessOf } from '../../web/hub/preprocess.js';
import { safetensors } from './weights.js';

/** A ViT of one patch, all zeros: it only says how large its image is. */
function model(/** @type {any} */ preprocess, side = 16) {
  const config = {
    image_size: side,
    patch_size: side,
    num_classes: 2,
    dim: 4,
    depth: 1,
    heads: 1,
    dim_head: 4,
    mlp_dim: 4,
  };
  const patch = 3 * side * side;
  const layers = 'transformer.layers.0';
  const shapes = {
    cls_token: [1, 4],
    pos_embedding: [2, 4],
    'to_patch_embedding.1.weight': [patch],
    'to_patch_embedding.1.bias': [patch],
    'to_patch_embedding.2.weight': [4, patch],
    'to_patch_embedding.2.bias': [4],
    'to_patch_embedding.3.weight': [4],
    'to_patch_embedding.3.bias': [4],
    [`${layers}.0.norm.weight`]: [4],
    [`${layers}.0.norm.bias`]: [4],
    [`${layers}.0.to_qkv.weight`]: [12, 4],
    [`${layers}.1.net.0.weight`]: [4],
    [`${layers}.1.net.0.bias`]: [4],
    [`${layers}.1.net.1.weight`]: [4, 4],
    [`${layers}.1.net.1.bias`]: [4],
    [`${layers}.1.net.4.weight`]: [4, 4],
    [`${layers}.1.net.4.bias`]: [4],
    'transformer.norm.weight': [4],
    'transformer.norm.bias': [4],
    'mlp_head.weight': [2, 4],
    'mlp_head.bias': [2],
  };
  const tensors = Object.entries(shapes).map(([name, shape]) => ({
    name,
    shape,
    dtype: 'F32',
    bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
  }));
  return safetensors(tensors, { arch: 'vit', config, preprocess });
}

/**
 * @param {any} from what preprocessOf takes
 * @param {{ data: Uint8Array, width: number, height: number, channels: number }[]} pictures
 * @returns {Promise<{ error: string } | { info: any, results: { data: Float32Array, dims: number[], fitted: any }[] }>}
 */
export async function pixelsOf(from, pictures) {
  let preprocess;
  try {
    preprocess = preprocessOf(from);
  } catch (error) {
    return { error: /** @type {Error} */ (error).message };
  }
  const loaded = await loadModel(model(preprocess, from.config?.image_size), { worker: false, threads: 1 });
  const results = [];
  for (const picture of pictures) results.push(await loaded.preprocess(picture));
  const { preprocess: info } = loaded.info;
  await loaded.dispose();
  return { info, results };
}
