// Preprocessing of checkpoints of transformers and timm: web/hub/preprocess.js, and the pixels that the libraries make
// (test/golden/hub, written by scripts/parity/hub_preprocess.py).
// Run alone: node --test test/web/hub_preprocess.test.js (needs make wasm)
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { preprocessOf } from '../../web/hub/preprocess.js';
import { root } from '../helpers/make.js';
import { pixelsOf } from '../parity/pixels.js';

// Of the 255 levels of a pixel: floats are rounded in another order. A wrong 8-bit pixel is off by 1.
const TOLERANCE = 0.01;
const MASK = (1n << 64n) - 1n;

/** What golden_image.py calls random_picture(w, h, 3, seed). */
function picture(width, height, seed) {
  const words = new BigUint64Array(Math.ceil((width * height * 3) / 8));
  let state = BigInt(seed);
  for (let i = 0; i < words.length; i++) {
    state = (state + 0x9e3779b97f4a7c15n) & MASK;
    let z = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    words[i] = z ^ (z >> 31n);
  }
  return { data: new Uint8Array(words.buffer, 0, width * height * 3), width, height, channels: 3 };
}

const golden = JSON.parse(readFileSync(join(root, 'test', 'golden', 'hub', 'preprocess.json'), 'utf8'));
for (const { width, height, seed, dims, data, ...from } of golden) {
  test(`pixels as the library's: ${JSON.stringify(from.timm ?? from.processor)}`, async () => {
    const wanted = new Float32Array(Uint8Array.from(Buffer.from(data, 'base64')).buffer);
    const { error, info, results } = await pixelsOf(from, [picture(width, height, seed)]);
    assert.equal(error, undefined);
    assert.deepEqual(results[0].dims, [1, ...dims]);
    wanted.forEach((want, i) => {
      const levels = (results[0].data[i] - want) * 255 * info.std[Math.floor(i / (dims[1] * dims[2]))];
      assert.ok(Math.abs(levels) < TOLERANCE, `value ${i} is ${results[0].data[i]}, the library's ${want}`);
    });
  });
}

/** The keys of `wanted` alone. */
const some = (from, wanted) => {
  const got = preprocessOf(from);
  return Object.fromEntries(Object.keys(wanted).map((key) => [key, got[key]]));
};

test('without a file: the class that goes with model_type, to the size of the model', () => {
  for (const [model_type, image_size, wanted] of [
    ['vit', 384, { fit: 'squash', size: [384, 384], resize: 'bilinear' }],
    ['swinv2', 256, { fit: 'squash', size: [256, 256] }],
    ['deit', 112, { fit: 'squash', size: [112, 112], resize_size: [128, 128], crop_offset: 'floor' }],
    ['mobilevit', 256, { fit: 'crop', size: [256, 256], shortest_edge: 224, bgr: true }],
    ['dinov2_with_registers', undefined, { fit: 'crop', size: [224, 224], shortest_edge: 224 }],
    ['levit', 224, { fit: 'crop', size: [224, 224], shortest_edge: 256 }],
    ['cvt', undefined, { fit: 'squash', size: [384, 384], resize_size: undefined }],
    ['siglip_vision_model', 256, { fit: 'squash', size: [256, 256], resize: 'bicubic' }],
    ['dinov3_vit', 224, { rescale_first: true }],
  ])
    assert.deepEqual(some({ config: { model_type, image_size } }, wanted), wanted);
  const config = { model_type: 'clip', vision_config: { image_size: 336 } };
  assert.deepEqual(some({ config }, { size: 0, shortest_edge: 0 }), { size: [336, 336], shortest_edge: 336 });
  assert.deepEqual(preprocessOf({ config: { model_type: 'vit', image_size: 32 }, processor: {} }).size, [224, 224]);
  assert.deepEqual(preprocessOf({ config: {}, type: 'vit' }), preprocessOf({ config: { model_type: 'vit' } }));
});

test('what cannot be done is said', () => {
  const refused = (from, words) => assert.throws(() => preprocessOf(from), { message: words });
  const of = (image_processor_type, keys) => ({ processor: { image_processor_type, ...keys } });
  refused(
    of('SegformerImageProcessor'),
    /^image processor SegformerImageProcessor is none of vit,deit,.*docs\/format\.md/,
  );
  refused({ config: { model_type: 'siglip2' } }, /^image processor of siglip2 is none of/);
  refused(of('SiglipImageProcessor', { size: 224 }), /images of many sizes \(\{"shortest_edge":224\}, no crop\)/);
  refused(of('ViTImageProcessor', { size: { longest_edge: 224 } }), /images of many sizes/);
  refused(of('BitImageProcessor', { do_center_crop: false }), /images of many sizes/);
  refused(of('ConvNextImageProcessor', { size: 48, do_center_crop: true, crop_size: 40 }), /crops or pads twice/);
  refused(of('ViTImageProcessor', { do_pad: true, pad_size: 256 }), /crops or pads twice/);
});
