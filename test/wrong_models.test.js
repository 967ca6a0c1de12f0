// Model files that are wrong: a tensor missing or misshapen, each config key out of its range. The error names what and
// where, and leaves nothing behind. Alone: node --test test/wrong_models.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from '../web/heap.js';
import { instantiate } from '../web/engine.js';
import { compile } from '../web/wasm.js';
import { tiny, file, load } from './parity/cases.js';
import { draw, drawTensors } from './parity/weights.js';

async function refuses(bytes, codes, parts, what) {
  await assert.rejects(
    load(bytes, { dtype: 'f32' }),
    (error) => {
      assert.ok([codes].flat().includes(error.code), `${what}: ${error.code ?? 'no code'}: ${error.message}`);
      for (const part of [parts].flat())
        assert.ok(error.message.includes(part), `${what}: no "${part}" in: ${error.message}`);
      assert.equal(error.stage, 'model', what);
      return true;
    },
    what,
  );
}

for (const name of [
  'mae_tiny',
  'simmim_tiny',
  'mpp_tiny',
  'mp3_tiny',
  'vit_tiny',
  'simple_vit_tiny',
  'cct_tiny',
  'cct_class_token',
  'glom_tiny',
  'max_vit_tiny',
  'max_vit_with_registers_tiny',
  'sep_vit_tiny',
  'distillable_vit_tiny',
  'cait_tiny',
  'deepvit_tiny',
  'parallel_vit_tiny',
  'vit_for_small_dataset_tiny',
  'vit_with_patch_merger_never',
  'xcit_tiny',
  'cross_vit_tiny',
  't2t_tiny',
  'learnable_memory_vit_tiny',
  'ats_vit_smaller',
  'gcvit_tiny',
  'involution_tiny',
  'patch_merger_tiny',
  'jumbo_vit_tiny',
  'rvt_tiny',
  'efficient_tiny',
  'efficient_x_tiny',
  'distill_tiny',
  'dino_tiny',
  'es_vit_tiny',
  'na_vit_tiny',
  'na_vit_nested_tensor_tiny',
]) {
  test(`${name}: a tensor that is missing or misshapen is named`, async () => {
    const golden = tiny(name);
    const tensors = drawTensors(golden);
    const whole = await load(file(golden), { dtype: 'f32' });
    const { unused } = whole.info;
    await whole.dispose();
    assert.ok(
      unused.every((path) => /num_batches_tracked|cls_token|_head\./.test(path)),
      `${unused}`,
    );
    for (const tensor of tensors.filter(({ name: path }) => !unused.includes(path))) {
      const others = tensors.filter((t) => t !== tensor);
      await refuses(
        file(golden, { tensors: others }),
        'ERR_MODEL_TENSOR_MISSING',
        tensor.name,
        `${tensor.name} left out`,
      );
      const shape = tensor.shape.length ? tensor.shape.map((n, i) => (i === tensor.shape.length - 1 ? n + 1 : n)) : [2];
      const grown = {
        name: tensor.name,
        dtype: 'F32',
        shape,
        bytes: new Uint8Array(draw('misshapen', tensor.name, shape).buffer),
      };
      await refuses(
        file(golden, { tensors: [...others, grown] }),
        'ERR_MODEL_TENSOR_SHAPE',
        tensor.name,
        `${tensor.name} grown`,
      );
    }
  });
}

// [what is wrong, case, change of its config (undefined removes a key), code(s), words that the message must have]
const CONFIGS = [
  ['a key is missing', 'vit_tiny', { depth: undefined }, 'ERR_CONFIG', 'depth'],
  ['an unknown key', 'vit_tiny', { dpeth: 2 }, 'ERR_CONFIG', 'dpeth'],
  ['no patches', 'vit_tiny', { image_size: 0 }, 'ERR_CONFIG', 'image_size'],
  ['patches larger than the image', 'vit_tiny', { patch_size: 32 }, 'ERR_CONFIG', 'patch_size'],
  ['patches that do not divide the image', 'vit_tiny', { patch_size: [8, 5] }, 'ERR_CONFIG', 'patch_size'],
  ['a million heads', 'vit_tiny', { heads: 1e6 }, ['ERR_CONFIG', 'ERR_MODEL_TENSOR_SHAPE'], []],
  ['heads that overflow', 'vit_tiny', { heads: 2147483647, dim_head: 2147483647 }, 'ERR_CONFIG', []],
  [
    'a layer without its number of tokens',
    'ats_vit_tiny',
    { max_tokens_per_depth: [16, 9, 5] },
    'ERR_CONFIG',
    'max_tokens_per_depth',
  ],
  [
    'more tokens than the layer before',
    'ats_vit_tiny',
    { max_tokens_per_depth: [9, 16, 5, 2] },
    'ERR_CONFIG',
    'max_tokens_per_depth',
  ],
  ['patches of a list that are not square', 'na_vit_tiny', { patch_size: [8, 4] }, 'ERR_CONFIG', 'patch_size'],
  ['a negative depth', 'vit_tiny', { depth: -1 }, 'ERR_CONFIG', 'depth'],
  ['a depth beyond reason', 'vit_tiny', { depth: 1e9 }, ['ERR_CONFIG', 'ERR_MODEL_TENSOR_MISSING'], []],
  ['more layers than the file has', 'vit_tiny', { depth: 3 }, 'ERR_MODEL_TENSOR_MISSING', 'transformer.layers.2.'],
  ['half a layer', 'vit_tiny', { depth: 1.5 }, 'ERR_CONFIG', 'depth'],
  ['a number in quotes', 'vit_tiny', { dim: '16' }, 'ERR_CONFIG', 'dim'],
  ['a pool that does not exist', 'vit_tiny', { pool: 'max' }, 'ERR_CONFIG', 'pool'],
  ['three sides', 'vit_tiny', { image_size: [16, 16, 16] }, 'ERR_CONFIG', 'image_size'],
  ['a key of another architecture', 'simple_vit_tiny', { pool: 'cls' }, 'ERR_CONFIG', 'pool'],
  ['a width that is no multiple of four', 'simple_vit_tiny', { dim: 18 }, 'ERR_CONFIG', 'dim'],
  ['a stride of 0', 'cct_tiny', { stride: 0 }, 'ERR_CONFIG', 'stride'],
  ['a kernel larger than the image', 'cct_tiny', { kernel_size: 99 }, ['ERR_CONFIG', 'ERR_MODEL_TENSOR_SHAPE'], []],
  ['a preset that does not exist', 'cct_preset', { preset: 'cct_3' }, 'ERR_CONFIG', 'cct_3'],
  [
    'an embedding of an unknown kind',
    'cct_tiny',
    { positional_embedding: 'rotary' },
    'ERR_CONFIG',
    'positional_embedding',
  ],
  ['no levels', 'glom_tiny', { levels: 0 }, 'ERR_CONFIG', 'levels'],
  ['a single level, whose top-down part is empty', 'glom_tiny', { levels: 1 }, 'ERR_CONFIG', 'levels'],
  ['an even window', 'xcit_tiny', { local_patch_kernel_size: 2 }, 'ERR_CONFIG', 'local_patch_kernel_size'],
  ['a scale without a width', 'cross_vit_tiny', { lg_dim: undefined }, 'ERR_CONFIG', 'lg_dim'],
  ['large patches that do not divide the image', 'cross_vit_tiny', { lg_patch_size: 5 }, 'ERR_CONFIG', 'lg_patch_size'],
  ['windows that are no pairs', 't2t_tiny', { t2t_layers: [7, 4] }, 'ERR_CONFIG', 't2t_layers'],
  ['windows that leave nothing', 't2t_tiny', { t2t_layers: [[63, 1]] }, 'ERR_CONFIG', 't2t_layers'],
  [
    'windows whose tokens are too wide',
    't2t_tiny',
    {
      t2t_layers: [
        [15, 1],
        [15, 1],
        [3, 1],
      ],
    },
    'ERR_CONFIG',
    't2t_layers',
  ],
  ['no class layers given', 'cait_tiny', { cls_depth: undefined }, 'ERR_CONFIG', 'cls_depth'],
  ['a key that this variant lacks', 'cait_tiny', { pool: 'mean' }, 'ERR_CONFIG', 'pool'],
  ['no classes, where a head is always there', 'deepvit_tiny', { num_classes: 0 }, 'ERR_CONFIG', 'num_classes'],
  ['frames that patches do not divide', 'vit_3d_tiny', { frames: 7 }, 'ERR_CONFIG', 'frame_patch_size'],
  ['rows that patches do not divide', 'vit_3d_tiny', { image_patch_size: 5 }, 'ERR_CONFIG', 'image_patch_size'],
  ['a width that has no sines', 'simple_vit_3d_tiny', { dim: 11 }, 'ERR_CONFIG', 'dim'],
  ['depths that differ', 'vivit_self', { spatial_depth: 2 }, 'ERR_CONFIG', 'temporal_depth'],
  ['a third variant', 'vivit_tiny', { variant: 'factorized_dot_product' }, 'ERR_CONFIG', 'variant'],
  ['padding beyond half a window of frames', 'cct_3d_tiny', { frame_pooling_padding: 1 }, 'ERR_CONFIG', []],
  ['no branches', 'parallel_vit_tiny', { num_parallel_branches: 0 }, 'ERR_CONFIG', 'num_parallel_branches'],
  ['patches that are not square', 'vit_for_small_dataset_tiny', { patch_size: [8, 4] }, 'ERR_CONFIG', 'patch_size'],
  [
    'nothing to merge into',
    'vit_with_patch_merger_tiny',
    { patch_merge_num_tokens: 0 },
    'ERR_CONFIG',
    'patch_merge_num_tokens',
  ],
  ['a list that is too short', 'mobile_vit_tiny', { dims: [8, 12] }, 'ERR_CONFIG', 'dims'],
  [
    'channels that do not fit',
    'mobile_vit_tiny',
    { channels: [4, 8, 8, 6, 8, 8, 6, 6, 8, 8, 16] },
    'ERR_CONFIG',
    'channels',
  ],
  [
    'blocks that do not divide the map',
    'nest_tiny',
    { num_hierarchies: 4, block_repeats: 1 },
    ['ERR_CONFIG'],
    'num_hierarchies',
  ],
  ['a picture that windows do not divide', 'twins_svt_tiny', { image_size: 20 }, 'ERR_CONFIG', 'image_size'],
  ['heads for another number of stages', 'sep_vit_tiny', { heads: [1, 2, 4] }, 'ERR_CONFIG', 'heads'],
  [
    'kernels that are no lists',
    'crossformer_tiny',
    { cross_embed_kernel_sizes: [4, 2, 2, 2] },
    'ERR_CONFIG',
    'cross_embed_kernel_sizes',
  ],
  [
    'a kernel below the stride',
    'crossformer_tiny',
    { cross_embed_kernel_sizes: [[2], [2], [2], [2]] },
    'ERR_CONFIG',
    'cross_embed_kernel_sizes',
  ],
  ['a side that is no multiple of 16', 'levit_tiny', { image_size: 40 }, 'ERR_CONFIG', 'image_size'],
  ['a picture that patches do not divide', 'tutorial_vit_tiny', { patch_size: 5 }, 'ERR_CONFIG', 'img_size'],
  ['heads that do not divide the width', 'tutorial_vit_tiny', { num_heads: 3 }, 'ERR_CONFIG', 'token_len'],
  ['a picture without channels', 'tutorial_vit_tiny', { img_size: [12, 20] }, 'ERR_CONFIG', 'img_size'],
  ['another patch than the transformer has', 'mpp_tiny', { patch_size: 8 }, 'ERR_CONFIG', 'patch_size'],
  ['more colours than can be told', 'mpp_tiny', { output_channel_bits: 8 }, 'ERR_CONFIG', 'channels'],
  ['a mean that is short of a channel', 'mpp_tiny', { mean: [0.5, 0.5] }, 'ERR_CONFIG', 'mean'],
  ['a mean that is no list', 'mpp_tiny', { std: 0.5 }, 'ERR_CONFIG', 'std'],
  ['a table that needs four columns', 'mp3_vit', { dim: 18 }, 'ERR_CONFIG', 'dim'],
  [
    'a key that MP3 lacks',
    'mp3_tiny',
    { vit: { ...tiny('mp3_tiny').config.vit, pool: 'mean' } },
    'ERR_CONFIG',
    'vit key "pool"',
  ],
  ['no encoder', 'mae_tiny', { encoder: undefined }, 'ERR_CONFIG', 'encoder'],
  ['an encoder that is no object', 'simmim_tiny', { encoder: 'vit' }, 'ERR_CONFIG', 'encoder'],
  [
    'a key that the encoder lacks',
    'mae_tiny',
    { encoder: { ...tiny('mae_tiny').config.encoder, depht: 2 } },
    'ERR_CONFIG',
    'depht',
  ],
  [
    'an encoder without width',
    'mae_tiny',
    { encoder: { ...tiny('mae_tiny').config.encoder, dim: undefined } },
    'ERR_CONFIG',
    'encoder key "dim"',
  ],
  ['everything hidden', 'mae_tiny', { masking_ratio: 1 }, 'ERR_CONFIG', 'masking_ratio'],
  ['nothing hidden', 'simmim_tiny', { masking_ratio: 0.05 }, 'ERR_CONFIG', '0 of 16'],
  ['a decoder without width', 'mae_tiny', { decoder_dim: undefined }, 'ERR_CONFIG', 'decoder_dim'],
  ['heads that do not divide a stage', 'gcvit_tiny', { num_heads: [1, 3] }, 'ERR_CONFIG', 'num_heads'],
  ['a stage without heads', 'gcvit_tiny', { num_heads: [1] }, 'ERR_CONFIG', 'num_heads'],
  ['windows that do not divide the map', 'gcvit_tiny', { window_size: [3, 2] }, 'ERR_CONFIG', 'window_size'],
  ['too few ratios', 'gcvit_tiny', { window_size: undefined, window_ratio: [8] }, 'ERR_CONFIG', 'window_ratio'],
  ['a side that is no multiple of the stem', 'timm_levit_tiny', { image_size: 40 }, 'ERR_CONFIG', 'image_size'],
  ['more ways than stages', 'timm_levit_tiny', { down_ops: Array(2).fill([4, 2, 4, 2]) }, 'ERR_CONFIG', 'down_ops'],
  ['a stage below its keys', 'timm_levit_tiny', { key_dim: [9, 4] }, 'ERR_CONFIG', 'embed_dim'],
  ['values of no width', 'timm_levit_tiny', { attn_ratio: [0] }, 'ERR_CONFIG', 'attn_ratio'],
  ['heads that do not divide the tokens', 'timm_cait_tiny', { num_heads: 5 }, 'ERR_CONFIG', 'num_heads'],
  ['heads that do not divide the channels', 'timm_xcit_tiny', { num_heads: 5 }, 'ERR_CONFIG', 'num_heads'],
  ['patches that no stem makes', 'timm_xcit_tiny', { patch_size: 12 }, 'ERR_CONFIG', 'patch_size'],
  ['a width that pooling cannot make', 'timm_pit_tiny', { embed_dim: [8, 12] }, 'ERR_CONFIG', 'embed_dim'],
  ['stages without windows', 'swin_tiny', { window_size: [4] }, 'ERR_CONFIG', 'window_size'],
  ['windows that are neither numbers nor pairs', 'swin_pairs', { window_size: [[4]] }, 'ERR_CONFIG', 'window_size'],
  ['heads that do not divide a stage of Swin', 'swin_tiny', { num_heads: [1, 3] }, 'ERR_CONFIG', 'num_heads'],
  ['a map below a window of transformers', 'swin_transformers', { window_size: 4 }, 'ERR_CONFIG', 'stage 1 has a map'],
  [
    'too few windows of pretraining',
    'swin_v2_odd',
    { pretrained_window_sizes: [5] },
    'ERR_CONFIG',
    'pretrained_window',
  ],
  ['groups that do not divide the channels', 'involution_layer', { group_number: 4 }, 'ERR_CONFIG', 'group_number'],
  ['a stride that does not divide the picture', 'involution_layer', { stride: 4 }, 'ERR_CONFIG', 'stride'],
  [
    'nothing left between the convolutions',
    'involution_layer',
    { reduction_ratio: 6 },
    'ERR_CONFIG',
    'reduction_ratio',
  ],
  ['a key of the other network', 'involution_cnn', { kernel_size: 3 }, 'ERR_CONFIG', 'kernel_size'],
  ['a class that does not exist', 'spt_tiny', { class: 'STP' }, 'ERR_CONFIG', 'class'],
  ['a key of the whole model', 'spt_tiny', { depth: 2 }, 'ERR_CONFIG', 'depth'],
  ['a merger into nothing', 'patch_merger_tiny', { num_tokens_out: 0 }, 'ERR_CONFIG', 'num_tokens_out'],
  ['a probability above 1', 'vit_with_patch_dropout_tiny', { patch_dropout: 1.5 }, 'ERR_CONFIG', 'patch_dropout'],
  [
    'a jumbo layer beyond reason',
    'jumbo_vit_tiny',
    { jumbo_cls_k: 1024, jumbo_ff_mult: 64 },
    'ERR_CONFIG',
    'jumbo_ff_mult',
  ],
  ['a model of no layers', 'jumbo_vit_tiny', { depth: 0 }, 'ERR_CONFIG', 'depth'],
  ['pictures that are not square', 'rvt_tiny', { image_size: [12, 8] }, 'ERR_CONFIG', 'image_size'],
  ['heads whose numbers make no pairs', 'rvt_tiny', { dim_head: 7 }, 'ERR_CONFIG', 'dim_head'],
  [
    'a hidden layer that cannot be learned from',
    'dino_tiny',
    { hidden_layer: 'mlp_head' },
    'ERR_CONFIG',
    'hidden_layer',
  ],
  ['a network that cannot be taught', 'dino_tiny', { net: { arch: 'glom' } }, 'ERR_CONFIG', 'net key "arch"'],
  [
    'a network beside the keys of its wrapper',
    'dino_tiny',
    { net: 'vit' },
    'ERR_CONFIG',
    '"net" is missing; expected an object',
  ],
  ['an encoder of another kind', 'mae_tiny', { encoder: { arch: 'simple_vit' } }, 'ERR_CONFIG', 'encoder key "arch"'],
  [
    'pictures that the network inside does not take',
    'dino_tiny',
    { net: { ...tiny('dino_tiny').config.net, channels: 1 } },
    'ERR_CONFIG',
    'channels',
  ],
  [
    'a key of the network inside',
    'es_vit_tiny',
    { net: { ...tiny('es_vit_tiny').config.net, s4_depth: 1 } },
    'ERR_CONFIG',
    'net key "s4_depth"',
  ],
  ['a key of the student beside it', 'distill_tiny', { depth: 1 }, 'ERR_CONFIG', 'depth'],
  [
    'a student without classes',
    'distill_tiny',
    { student: { ...tiny('distill_tiny').config.student, num_classes: undefined } },
    'ERR_CONFIG',
    'student key "num_classes"',
  ],
  ['a temperature of 0', 'distill_tiny', { temperature: 0 }, 'ERR_CONFIG', 'temperature'],
  [
    'a kernel without a middle',
    'efficient_tiny',
    { attn_values_residual_conv_kernel: 4 },
    'ERR_CONFIG',
    'attn_values_residual_conv_kernel',
  ],
  ['a width of the MLP of another package', 'efficient_x_tiny', { mlp_dim: 32 }, 'ERR_CONFIG', 'mlp_dim'],
  [
    'small patches that do not divide the image',
    'look_vit_tiny',
    { highres_patch_size: 5 },
    'ERR_CONFIG',
    'highres_patch_size',
  ],
  [
    'small patches that are not smaller',
    'look_vit_tiny',
    { highres_patch_size: 8 },
    'ERR_CONFIG',
    'highres_patch_size',
  ],
  [
    'a convolution without a middle',
    'look_vit_tiny',
    { patch_conv_kernel_size: 4 },
    'ERR_CONFIG',
    'patch_conv_kernel_size',
  ],
  ['a factor that leaves nothing', 'look_vit_tiny', { highres_mlp_factor: 0.05 }, 'ERR_CONFIG', 'highres_mlp_factor'],
  ['a key of an option', 'glom_tiny', { iters: 3 }, 'ERR_CONFIG', 'iters'],
];

for (const [what, name, change, codes, parts] of CONFIGS) {
  test(`config: ${what}`, async () => {
    const golden = tiny(name);
    await refuses(file(golden, { config: { ...golden.config, ...change } }), codes, parts, what);
  });
}

test('config: an unknown architecture is named', async () => {
  await refuses(file(tiny('vit_tiny'), { arch: 'vitt' }), 'ERR_CONFIG', 'vitt', 'arch');
});

test('a file that is refused leaves nothing allocated behind', async () => {
  const { module } = await compile({ deterministic: true, fetch, signal: new AbortController().signal });
  const core = instantiate(module);
  const context = core.tsr_wasm_context_create(1);
  const heap = new Heap(core, context);
  const attempt = (bytes) =>
    heap.frame((frame) => {
      const loader = core.tsr_wasm_loader_create(context, 0, bytes.length);
      const failed = core.tsr_wasm_loader_feed(loader, frame.copy(bytes), bytes.length) !== 0;
      if (failed) core.tsr_wasm_loader_destroy(loader);
      const model = failed ? 0 : core.tsr_wasm_loader_finish(loader);
      if (model) core.tsr_wasm_model_destroy(model);
      core.tsr_wasm_context_clear(context);
      return Boolean(model);
    });
  const idle = core.tsr_wasm_context_bytes(context);
  assert.equal(attempt(file(tiny('vit_tiny'))), true, 'the good file loads');
  assert.equal(core.tsr_wasm_context_bytes(context), idle, 'after a model was destroyed');
  for (const [what, name, change] of CONFIGS) {
    const golden = tiny(name);
    assert.equal(attempt(file(golden, { config: { ...golden.config, ...change } })), false, what);
    assert.equal(core.tsr_wasm_context_bytes(context), idle, what);
  }
  for (const name of ['vit_tiny', 'cct_tiny', 'glom_tiny']) {
    const tensors = drawTensors(tiny(name));
    assert.equal(attempt(file(tiny(name), { tensors: tensors.slice(1) })), false);
    assert.equal(core.tsr_wasm_context_bytes(context), idle, `${name} without ${tensors[0].name}`);
    const whole = file(tiny(name));
    assert.equal(attempt(whole.subarray(0, whole.length - 1)), false);
    assert.equal(core.tsr_wasm_context_bytes(context), idle, `${name} cut short`);
  }
});
