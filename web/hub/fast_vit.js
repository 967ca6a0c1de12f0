// @ts-check
/** FastViT and MobileCLIP's picture towers: timm's `fastvit_*`. Shapes tell all but lkc_use_act and the head's use. */
/** @type {import('./family.js').Read} */
export const read = ({ config, timm, shape }) => {
  const dim = (/** @type {string} */ name, at = 0) => shape(name)?.[at] ?? 0;
  const count = (/** @type {(i: number) => string} */ name, n = 0) => {
    while (shape(name(n))) n++;
    return n;
  };
  const inference_mode = !!shape('stem.0.reparam_conv.weight'); // after timm's reparameterize_model
  const kxk = inference_mode ? 'reparam_conv.weight' : 'conv_kxk.0.conv.weight';
  const fc1 = (/** @type {number} */ s, i = 0) => `stages.${s}.blocks.${i}.mlp.fc1.weight`;
  const stages = Array.from({ length: count(fc1) }, (_, s) => s);
  const flags = (/** @type {string} */ name) => stages.map((s) => +!!shape(`stages.${s}.${name}`));
  const attention = flags('blocks.0.token_mixer.qkv.weight');
  const norm = `stages.${attention.indexOf(1)}.blocks.0.norm.`;
  const width = dim(fc1(stages.length - 1), 1);
  const clip = /_mci/.test(String(timm));
  const num_classes = dim('head.fc.weight');
  if (!shape(`final_conv.${kxk}`) || config.act_layer || config.down_stride || (config.global_pool ?? 'avg') !== 'avg')
    throw new Error(`${timm} is supported without act_layer, down_stride and fork_feat, with global_pool "avg"`);
  return {
    arch: 'fast_vit',
    config: {
      in_chans: dim(`stem.0.${kxk}`, 1),
      num_classes,
      projection: clip && (num_classes === 512 || num_classes === 768), // CLIP's, not a classifier trained since
      layers: stages.map((s) => count((i) => fc1(s, i))),
      embed_dims: stages.map((s) => dim(fc1(s), 1)),
      mlp_ratios: stages.map((s) => dim(fc1(s)) / dim(fc1(s), 1)),
      attention,
      pos_embs: stages.map((s) => dim(`stages.${s}.pos_emb.${inference_mode ? 'reparam_conv' : 'pos_enc'}.weight`, 2)),
      se_downsamples: flags('downsample.proj.0.se.fc1.weight'),
      cls_ratio: dim(`final_conv.${kxk}`) / width,
      repmixer_kernel_size: dim(`stages.0.blocks.0.token_mixer.${inference_mode ? kxk : `mixer.${kxk}`}`, 2) || 3,
      inference_mode,
      stem_use_scale_branch: !!shape('stem.0.conv_scale.conv.weight'),
      lkc_use_act: config.lkc_use_act ?? clip,
      layer_scale: !!(shape('stages.0.blocks.0.layer_scale.gamma') ?? shape('stages.0.blocks.0.layer_scale_1.gamma')),
      norm_layer: shape(`${norm}weight`) && !shape(`${norm}running_mean`) ? 'layer' : 'batch',
    },
    rules: [[/(.*(?:weight|bias|gamma|mean|var))/, '$1']],
  };
};
